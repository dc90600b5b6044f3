// Makes the files of the page for operators (src/worker/console): a document, a script and a style
// sheet. The last two have a hash of their text in their names, because browsers keep them.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { esbuildInputs } from "./inputs.mjs";
import { root } from "./paths.mjs";

const SOURCES = "src/worker/console";

/** KB, gzipped together. 23 of them are uPlot and 7 are Preact. A phone loads them once for each
 * version, in a second on a slow network, and the Worker's script carries them at every start. */
const CEILING = 48;

const HASH_LENGTH = 12; // 72 bits: names differ, and nobody can choose one

/** The file names with their texts, the files that were read, and the size. The document has the
 * name that src/service/admin/console.rs gives it. */
export function buildConsole() {
  const { metafile, outputFiles } = buildSync({
    absWorkingDir: root,
    entryPoints: [{ in: `${SOURCES}/main.jsx`, out: "main" }],
    outdir: "out",
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: "iife",
    target: "es2022",
    // Smaller than the automatic transform, whose runtime does the same again.
    jsxFactory: "h",
    jsxFragment: "Fragment",
    inject: [`${SOURCES}/jsx.js`],
    // uPlot's own style sheet is imported by the script, and becomes part of ours.
    legalComments: "none",
    logLevel: "warning",
  });
  const files = {};
  const named = (extension) => {
    const { text } = outputFiles.find(({ path }) => path.endsWith(extension));
    const hash = createHash("sha256").update(text).digest("base64url").slice(0, HASH_LENGTH);
    const name = `main-${hash}${extension}`;
    files[name] = text;
    return name;
  };
  const template = `${SOURCES}/index.html`;
  files["index.html"] = readFileSync(`${root}/${template}`, "utf8").replace("main.css", named(".css")).replace("main.js", named(".js"));
  const kilobytes = Object.values(files).reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0) / 1000;
  return { files, inputs: [...esbuildInputs(metafile), template], kilobytes, ceiling: CEILING };
}
