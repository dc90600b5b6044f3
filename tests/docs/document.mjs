// Reading Markdown documents: their headings, tables, links and anchors.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import GithubSlugger from "github-slugger";
import { fromMarkdown } from "mdast-util-from-markdown";
import { root } from "../../scripts/paths.mjs";

export const read = (path) => readFileSync(`${root}/${path}`, "utf8");

/** README.md and every page of docs/. */
export function pages() {
  const found = readdirSync(`${root}/docs`, { recursive: true }).filter((path) => path.endsWith(".md") && !path.startsWith("."));
  return ["README.md", ...found.sort().map((path) => `docs/${path}`)];
}

function* nodes(node) {
  yield node;
  for (const child of node.children ?? []) yield* nodes(child);
}

const words = (node) => [...nodes(node)].map(({ type, value }) => (type === "text" || type === "inlineCode" ? value : "")).join("");

/** The texts of the headings of this depth. */
export const headings = (text, depth) => [...nodes(fromMarkdown(text))].filter((node) => node.type === "heading" && node.depth === depth).map(words);

/** The cells of the rows of the table whose header begins with these cells. */
export function table(text, ...header) {
  const rows = text.split("\n").map((line) => (line.startsWith("|") ? line.slice(1).replace(/\|\s*$/, "").split(/(?<!\\)\|/).map((cell) => cell.trim()) : undefined));
  const start = rows.findIndex((row) => row && header.every((name, index) => row[index] === name));
  if (start === -1) throw new Error(`There is no table with the header | ${header.join(" | ")} |.`);
  const end = rows.findIndex((row, index) => index > start && !row);
  return rows.slice(start + 2, end === -1 ? undefined : end);
}

/** The text in backticks at the beginning of a cell. */
export const name = (cell) => cell.match(/^`([^`]+)`/)?.[1] ?? cell;

/** The anchors of the headings, as GitHub makes them. */
export function anchors(text) {
  const slugger = new GithubSlugger();
  return new Set([...nodes(fromMarkdown(text))].filter(({ type }) => type === "heading").map((node) => slugger.slug(words(node))));
}

/**
 * The links of a document that lead nowhere: to a file that does not exist, or to a heading that
 * its file does not have. Links in tables count, too: the parser does not know tables, but their
 * cells are text with links for it.
 */
export function deadLinks(path, text = read(path)) {
  const links = [...nodes(fromMarkdown(text))].filter(({ type }) => type === "link" || type === "image" || type === "definition");
  const dead = [];
  for (const { url, position } of links) {
    if (/^[a-z]+:/.test(url)) continue;
    const [file, anchor] = url.split("#");
    const target = file === "" ? path : relative(root, join(root, dirname(path), decodeURIComponent(file)));
    const at = `${path}:${position.start.line}: ${url}`;
    if (target !== path && !existsSync(`${root}/${target}`)) dead.push(`${at} (no such file)`);
    else if (anchor && target.endsWith(".md") && !anchors(target === path ? text : read(target)).has(anchor)) dead.push(`${at} (no such heading)`);
  }
  return dead;
}
