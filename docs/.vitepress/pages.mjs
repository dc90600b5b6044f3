// The order of the site's pages: the parts of the sidebar, and the pages of each part.

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const folder = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/**
 * A page is its path in docs/ without `.md`. A path that ends with a slash stands for all pages of
 * that folder.
 */
const PARTS = {
  Start: ["index", "try", "start", "your-app", "simulator", "deploy", "before-you-go-live"],
  "Frontend and backends": ["browser", "verify", "frameworks", "recipes", "platforms", "other-languages", "languages/"],
  Selling: ["payments", "support"],
  Operate: ["console", "logs", "costs"],
  Understand: ["how-it-works", "refresh", "threats", "network", "performance", "matrix", "dependencies", "architecture", "decisions/"],
  Reference: ["http", "errors", "settings", "cli", "storage"],
  Help: ["troubleshooting"],
};

/** The Markdown files of docs/, each as the path of its page. */
const existing = () =>
  readdirSync(folder, { recursive: true })
    .filter((path) => path.endsWith(".md") && !path.startsWith("."))
    .map((path) => path.replace(/\.md$/, ""))
    .sort();

export const source = (page) => readFileSync(`${folder}/${page}.md`, "utf8");

/** The text of the page's first heading. */
export function title(page) {
  const [, text] = source(page).match(/^# (.+)$/m) ?? [];
  if (!text) throw new Error(`docs/${page}.md has no title. Begin it with a line "# Title".`);
  return text.replaceAll("`", "");
}

/**
 * Compares the listed pages with the files: `missing` are listed without a file, `unlisted` are
 * files that no part lists, `duplicate` are listed more than once.
 */
export function compare(parts, files) {
  const listed = Object.values(parts).flat().filter((page) => !page.endsWith("/"));
  const folders = Object.values(parts).flat().filter((page) => page.endsWith("/"));
  return {
    missing: listed.filter((page) => !files.includes(page)),
    unlisted: files.filter((page) => !listed.includes(page) && !folders.some((path) => page.startsWith(path))),
    duplicate: listed.filter((page, index) => listed.indexOf(page) !== index),
  };
}

/**
 * The parts with their pages, each folder replaced by its pages. Throws if a page has no place, or
 * a place no page.
 */
export function parts() {
  const files = existing();
  const { missing, unlisted, duplicate } = compare(PARTS, files);
  const problems = [
    ...missing.map((page) => `docs/${page}.md does not exist: write it, or remove it from PARTS`),
    ...unlisted.map((page) => `docs/${page}.md is in no part of the sidebar: add it to PARTS`),
    ...duplicate.map((page) => `docs/${page}.md is in the sidebar more than once: remove it from one part of PARTS`),
  ];
  if (problems.length > 0) throw new Error(`docs/.vitepress/pages.mjs:\n  ${problems.join("\n  ")}`);
  const expand = (page) => (page.endsWith("/") ? files.filter((file) => file.startsWith(page)) : [page]);
  return Object.entries(PARTS)
    .map(([name, pages]) => ({ name, pages: pages.flatMap(expand) }))
    .filter(({ pages }) => pages.length > 0);
}
