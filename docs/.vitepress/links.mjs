// Links of a page that leave docs/. The site leads them to the files at GitHub.

import { readFileSync } from "node:fs";
import { posix } from "node:path";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

/** The address of the site, which ends with a slash. */
export const { homepage } = manifest;

/** The address of the repository for people. */
export const repository = manifest.repository.url.replace(/^git\+|\.git$/g, "");

/**
 * The address at GitHub if the link leaves docs/ or leads to a folder, for which the site has no
 * page; otherwise the link as it is.
 */
export function outside(link, page) {
  if (/^([a-z]+:|#|\/)/.test(link)) return link;
  const [path, anchor] = link.split("#");
  const target = posix.normalize(posix.join("docs", posix.dirname(page), path));
  if (target.startsWith("docs/") && posix.extname(target) !== "") return link;
  // GitHub leads from `blob` to `tree` by itself if the path is a folder.
  return `${repository}/blob/main/${target}${anchor ? `#${anchor}` : ""}`;
}

/** Makes markdown-it write such links. Without it, VitePress would report them as dead. */
export function outsideLinks(markdown) {
  const open = markdown.renderer.rules.link_open ?? ((tokens, index, options, env, self) => self.renderToken(tokens, index, options));
  markdown.renderer.rules.link_open = (tokens, index, options, env, self) => {
    const link = tokens[index].attrGet("href");
    if (link) tokens[index].attrSet("href", outside(link, env.relativePath ?? ""));
    return open(tokens, index, options, env, self);
  };
}
