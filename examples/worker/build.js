// Copies the browser module of pioneer-session to the place where the import map of the page looks
// for it. wrangler runs this before it serves or deploys.

import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = new URL("public/pioneer-session/", import.meta.url);
mkdirSync(folder, { recursive: true });
copyFileSync(fileURLToPath(import.meta.resolve("pioneer-session/browser")), new URL("browser.mjs", folder));
