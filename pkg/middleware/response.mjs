// The `Response` for a problem, on platforms that answer with one.

/** @import { Problem } from "./problem.mjs" */

import { own } from "../verify/own.mjs";

/** @param {Problem} problem */
export const responseOf = ({ status, headers, body }) => new Response(body, own({ status, headers }));
