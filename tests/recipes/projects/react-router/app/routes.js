// The routes: one open route, and the recipe's.

import { index, route } from "@react-router/dev/routes";

export default [index("home.jsx"), route("api/profile", "routes/profile.js")];
