// `import "pioneer-session/express/augment"` declares `request.session` on the requests of Express, in the whole program.
// Types of express-session claim the same name: where they are installed, use `sessionOf(request)` instead.

import type { Session } from "pioneer-session";

declare global {
  namespace Express {
    interface Request {
      /** The verified session, on routes behind `requireSession`; nothing on others. */
      session: Session;
    }
  }
}
