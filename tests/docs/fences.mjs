// The fenced blocks of a Markdown document, and the word of each that says how it is tested.

import { fromMarkdown } from "mdast-util-from-markdown";

/** Says how a block is tested, from the text after its language. Throws if it does not say so. */
function purpose(meta, language) {
  const [, reason] = meta.match(/^real="([^"]+)"$/) ?? [];
  if (reason) return { kind: "real", reason };
  const [, path] = meta.match(/^file=([\w./+-]+)$/) ?? [];
  if (path) return { kind: "file", path };
  const languages = { run: ["sh"], background: ["sh"], answer: ["json", "text"], check: ["ts", "tsx", "js", "html", "toml"], figure: ["text"] };
  if (languages[meta]?.includes(language)) return { kind: meta };
  throw new Error(meta ? `does not know \`${language} ${meta}\`` : "does not say how it is tested");
}

const KINDS = 'Write one of: `sh run`, `sh background`, `json answer`, `text answer`, `LANGUAGE file=NAME`, `ts check`, `tsx check`, `js check`, `html check`, `toml check`, `text figure`, `LANGUAGE real="reason"`';

/** The blocks in their order. Indented code is a block without a word. */
export function fences(text, file) {
  const blocks = [];
  const visit = (node) => {
    if (node.type === "code") {
      const at = `${file}:${node.position.start.line}`;
      try {
        blocks.push({ at, line: node.position.start.line, language: node.lang ?? "", text: node.value, ...purpose(node.meta ?? "", node.lang ?? "") });
      } catch ({ message }) {
        throw new Error(`${at}: this block ${message}. ${KINDS}.`);
      }
    }
    node.children?.forEach(visit);
  };
  visit(fromMarkdown(text));
  return blocks;
}
