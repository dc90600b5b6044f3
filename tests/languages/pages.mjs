// The code of the pages in docs/languages, as files in a folder, so that tests run what readers
// copy.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "../../scripts/paths.mjs";
import { fences } from "../docs/fences.mjs";

/** Writes the code of a page into a new folder. `place` has other paths for some of its files. */
export function writePage(id, place = {}) {
  const folder = mkdtempSync(join(tmpdir(), `pioneer-session-${id}-`));
  const write = (path, text) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const page = `docs/languages/${id}.md`;
  for (const { kind, path, text } of fences(readFileSync(`${root}/${page}`, "utf8"), page)) {
    if (kind === "file") write(place[path] ?? path, `${text}\n`);
  }
  return {
    folder,
    write,
    read: (path) => readFileSync(join(folder, path), "utf8"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
