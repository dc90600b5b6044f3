// The site as plain text, for programs that read it: each page as Markdown beside its HTML,
// llms.txt with a line for each page (https://llmstxt.org), and llms-full.txt with all pages in one
// file.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { homepage, outside } from "./links.mjs";
import { parts, source, title } from "./pages.mjs";

/** The page's Markdown, in which links that leave docs/ are complete addresses. */
const plain = (page) => source(page).replace(/(\]\()([^)\s]+)(\))/g, (_, before, link, after) => before + outside(link, page) + after);

/** The page's first paragraph on one line. */
const summary = (page) => source(page).split(/\n{2,}/).find((paragraph) => !/^[#>|!`]/.test(paragraph))?.replace(/\s+/g, " ") ?? "";

/** Writes the texts into the folder of the built site. */
export function writePlain(out) {
  const all = parts();
  for (const page of all.flatMap(({ pages }) => pages)) {
    mkdirSync(dirname(`${out}/${page}`), { recursive: true });
    writeFileSync(`${out}/${page}.md`, plain(page));
  }
  const lines = all.flatMap(({ name, pages }) => [
    `## ${name}\n`,
    ...pages.map((page) => `- [${title(page)}](${homepage}${page}.md): ${summary(page).replace(/\[([^\]]+)\]\([^)]*\)/g, "$1")}`),
    "",
  ]);
  writeFileSync(`${out}/llms.txt`, `# pioneer-session\n\n> ${summary("index")}\n\n${lines.join("\n")}`);
  const full = all.flatMap(({ pages }) => pages).map((page) => `<!-- ${homepage}${page}.md -->\n\n${plain(page)}`);
  writeFileSync(`${out}/llms-full.txt`, full.join("\n\n"));
}
