// The site: plain Markdown of docs/, built by VitePress into target/site. Nothing in a page is Vue
// or raw HTML, so that GitHub shows the same.

import { slug } from "github-slugger";
import { homepage, outsideLinks, repository } from "./links.mjs";
import { parts, title } from "./pages.mjs";
import { writePlain } from "./plain.mjs";

const link = (page) => `/${page.replace(/(^|\/)index$/, "$1")}`;

export default {
  title: "pioneer-session",
  description: "Sign-in, sessions and payments for Pi Network apps",
  lang: "en",
  base: new URL(homepage).pathname,
  outDir: "../target/site",
  cacheDir: "../target/site-cache",
  cleanUrls: true,
  // Pages show addresses of the servers that `npm start` runs on the reader's machine.
  ignoreDeadLinks: "localhostLinks",
  markdown: {
    html: false,
    // The anchors that GitHub makes, so that one link works in both places.
    anchor: { slugify: slug },
    config: outsideLinks,
  },
  themeConfig: {
    nav: [{ text: "GitHub", link: repository }],
    sidebar: parts().map(({ name, pages }) => ({ text: name, items: pages.map((page) => ({ text: title(page), link: link(page) })) })),
    // A result contains every word of the query: with any of them, a search for one error code
    // lists the others as well.
    search: { provider: "local", options: { miniSearch: { searchOptions: { combineWith: "AND" } } } },
    outline: { level: [2, 3] },
    editLink: { pattern: `${repository}/edit/main/docs/:path`, text: "Edit this page" },
  },
  // package.json lets VitePress use the project's esbuild, which does not translate for Vite 5's
  // default, older browsers.
  vite: { build: { target: "es2022" } },
  buildEnd: ({ outDir }) => writePlain(outDir),
};
