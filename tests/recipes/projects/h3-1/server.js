// The h3 application of Nuxt 4, which has h3 1: one open route, and the recipe's.

import { createServer } from "node:http";
import { createApp, createRouter, defineEventHandler, toNodeListener } from "h3";
import profile from "./profile.js";

const router = createRouter().get("/", defineEventHandler(() => ({ hello: "anybody" }))).get("/api/profile", profile);
createServer(toNodeListener(createApp().use(router))).listen(Number(process.env.PORT), "127.0.0.1");
