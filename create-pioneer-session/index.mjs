#!/usr/bin/env node
// `npm create pioneer-session`: runs `pioneer-session init` with the same arguments.

import { createRequire } from "node:module";

const { bin } = createRequire(import.meta.url)("pioneer-session/package.json");
process.argv.splice(2, 0, "init");
await import(new URL(bin["pioneer-session"], import.meta.resolve("pioneer-session/package.json")).href);
