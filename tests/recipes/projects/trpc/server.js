// Serves the recipe's tRPC router.

import { H3, serve } from "h3";
import { handler } from "./router.js";

const app = new H3().get("/", () => ({ hello: "anybody" })).all("/trpc/**", ({ req }) => handler(req));
serve(app, { hostname: "127.0.0.1", port: Number(process.env.PORT) });
