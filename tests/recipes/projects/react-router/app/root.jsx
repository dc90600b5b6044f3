// The document of every page.

import { Outlet, Scripts } from "react-router";

export function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        {children}
        <Scripts />
      </body>
    </html>
  );
}

export default function Root() {
  return <Outlet />;
}
