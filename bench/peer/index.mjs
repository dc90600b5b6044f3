// The peer of bench/worker.mjs: sign-in and session check.

export { app as default } from "./app.mjs";
