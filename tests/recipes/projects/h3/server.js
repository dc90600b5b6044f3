// The h3 application: one open route, and the recipe's.

import { H3, serve } from "h3";
import profile from "./profile.js";

const app = new H3().get("/", () => ({ hello: "anybody" })).get("/api/profile", profile);
serve(app, { hostname: "127.0.0.1", port: Number(process.env.PORT) });
