// `import "pioneer-session/express/augment"` declares `request.session` on the requests of Express,
// in the whole program. The types of express-session declare the same name. Where they are
// installed, use `sessionOf(request)` or the option `property` instead.

import type { Session } from "pioneer-session";

declare global {
  namespace Express {
    interface Request {
      /**
       * The verified session, on routes with `requireSession`. It is missing on other routes, so
       * use `sessionOf(request)` where it must be there.
       */
      session?: Session;
    }
  }
}
