// Makes the files of the page for operators (src/worker/console): a document, a script and a style
// sheet. The last two have a hash of their text in their names, because browsers keep them.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { bundling, esbuildInputs } from "./inputs.mjs";
import { root } from "./paths.mjs";

const SOURCES = "src/worker/console";

/** KB, gzipped together. 23 of them are uPlot and 7 are Preact. A phone loads them once for each
 * version, in a second on a slow network, and the Worker's script carries them at every start. */
const CEILING = 48;

const HASH_LENGTH = 12; // 72 bits: names differ, and nobody can choose one

/** uPlot formats numbers in the language that the browser names, and throws before the page has begun
 * if that is no language, such as "C". The page formats its numbers itself. */
function withAnyLanguage(script) {
  const parts = script.split(/new Intl\.NumberFormat\(\w+\?\w+\.language:"en-US"\)/);
  if (parts.length !== 2) throw new Error("uPlot no longer reads the language of the browser where it did. Change withAnyLanguage in scripts/console.mjs.");
  return parts.join("new Intl.NumberFormat");
}

/** The file names with their texts, the files that were read, and the size. The document has the
 * name that src/service/admin/console.rs gives it. */
export function buildConsole() {
  const { metafile, outputFiles } = buildSync({
    ...bundling,
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
    // The script imports the style sheet, which has the part of uPlot's own that charts without a
    // legend need.
    legalComments: "none",
    logLevel: "warning",
  });
  const files = {};
  const textOf = (extension) => outputFiles.find(({ path }) => path.endsWith(extension)).text;
  const named = (extension, text) => {
    const hash = createHash("sha256").update(text).digest("base64url").slice(0, HASH_LENGTH);
    const name = `main-${hash}${extension}`;
    files[name] = text;
    return name;
  };
  const template = `${SOURCES}/index.html`;
  files["index.html"] = readFileSync(`${root}/${template}`, "utf8").replace("main.css", named(".css", textOf(".css"))).replace("main.js", named(".js", withAnyLanguage(textOf(".js"))));
  const kilobytes = Object.values(files).reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0) / 1000;
  return { files, inputs: [...esbuildInputs(metafile), template], kilobytes, ceiling: CEILING };
}
