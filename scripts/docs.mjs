// Builds the site of docs/ into target/site. With --serve, it then shows the site on this machine
// until Ctrl-C; PORT changes the port.

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { build } from "vitepress";
import { homepage } from "../docs/.vitepress/links.mjs";
import { root } from "./paths.mjs";

const site = `${root}/target/site`;

const TYPES = {
  ".css": "text/css", ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".json": "application/json",
  ".md": "text/markdown; charset=utf-8", ".png": "image/png", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
};

/**
 * Serves the built site as GitHub Pages does: below the path of the homepage, `errors` for
 * errors.html, and 404.html.
 */
function serve(port) {
  const base = new URL(homepage).pathname;
  const isFile = (path) => existsSync(path) && statSync(path).isFile();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    if (!path.startsWith(base)) return void response.writeHead(302, { location: base }).end();
    const file = join(site, normalize(`/${path.slice(base.length)}`));
    const found = [file, `${file}.html`, join(file, "index.html")].find(isFile);
    response.writeHead(found ? 200 : 404, { "content-type": TYPES[extname(found ?? ".html")] ?? "application/octet-stream" });
    createReadStream(found ?? `${site}/404.html`).pipe(response);
  });
  // Loopback only: the preview is for the person at this machine.
  server.listen(port, "127.0.0.1", () => console.log(`[docs] http://localhost:${port}${base} (Ctrl-C stops it)`));
}

// A failed build leaves no half of a site behind: VitePress empties the folder first and throws.
await build(`${root}/docs`);
console.log(`[docs] The site is in target/site.`);
if (process.argv.includes("--serve")) serve(Number(process.env.PORT || 4173));
