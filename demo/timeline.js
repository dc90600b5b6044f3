// Shows the journal: the newest step first, with its code, its requests and their answers.

import { BACKEND_CODE, calls, codeOf, DOCS } from "./calls.js";
import { curl } from "./curl.js";
import { copyButton, element } from "./element.js";

/** @import { Entry, Step } from "./journal.js" */

/** Older steps make place, because nobody scrolls through a hundred. */
const MAX_STEPS = 20;

/** Splits a JSON text at names, strings, and other values, to colour them. */
const JSON_PARTS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null|-?\d[\d.eE+-]*)\b/g;

function coloured(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const parts = [];
  let last = 0;
  for (const { 0: part, 1: string, 2: colon, index } of text.matchAll(JSON_PARTS)) {
    parts.push(text.slice(last, index));
    const className = colon ? "name" : string ? "string" : "value";
    parts.push(element("span", { className, textContent: part }));
    last = index + part.length;
  }
  return [...parts, text.slice(last)];
}

/** A block that scrolls by itself, so the keyboard must reach it. */
function block(label, ...content) {
  const pre = element("pre", { tabIndex: 0 }, ...content);
  pre.setAttribute("aria-label", label);
  pre.setAttribute("role", "region");
  return pre;
}

const part = (label, value) => [element("p", { className: "part", textContent: label }), block(label, ...coloured(value))];

function code(label, text) {
  const heading = element("div", { className: "part" }, label, copyButton("Copy", () => text, `Copy: ${label}`));
  return [heading, block(label, text)];
}

/** Fills the line of an entry, and again once it has an answer. */
function fill(line, { kind, name, target, sent, received, status, outcome = "", milliseconds, headers = {}, request }) {
  const result = element("span", { className: `result ${outcome}`, textContent: status });
  const time = milliseconds === undefined ? "" : `${milliseconds} ms`;
  line.querySelector("summary").replaceChildren(
    element("span", { className: `method ${kind}`, textContent: name }),
    element("span", { className: "target", textContent: target }),
    result,
    element("span", { className: "time", textContent: time }),
  );
  const notes = Object.entries(headers).map(([header, value]) => `${header}: ${value}`);
  line.querySelector(".details").replaceChildren(
    ...(sent === undefined ? [] : part(kind === "pi" ? "Arguments" : "Request", sent)),
    ...(received === undefined ? [] : part(kind === "pi" ? "Result" : "Answer", received)),
    ...(notes.length > 0 ? [element("p", { className: "headers", textContent: notes.join("\n") })] : []),
    ...(request ? [copyButton("Copy as curl", () => curl(request), `Copy ${name} ${target} as curl`)] : []),
  );
}

/**
 * @param {HTMLElement} list
 * @param {HTMLElement} empty is shown until there is a step
 */
export function createTimeline(list, empty) {
  /** @type {Map<Step, HTMLElement>} */
  const items = new Map();
  /** @type {Map<Entry, HTMLElement>} */
  const lines = new Map();
  let number = 0;

  /** @param {Step} step */
  function add(step) {
    const { call, subject, begun } = step;
    // The reader follows the newest one. An older one opens with a click.
    for (const item of items.values()) item.querySelector("details").open = false;
    const text = codeOf(call.run);
    const title = subject ? `${call.title}: ${subject}` : call.title;
    const docs = element("a", { href: DOCS + call.docs, target: "_blank", rel: "noopener", textContent: "Read the docs" });
    docs.setAttribute("aria-label", `Read the docs: ${call.title} (opens a new tab)`);
    const item = element("li", {},
      element("details", { className: "step", open: true },
        element("summary", {},
          element("span", { className: "number", textContent: String(++number) }),
          element("h3", { textContent: title }),
          element("time", { textContent: begun.toLocaleTimeString(), dateTime: begun.toISOString() }),
        ),
        element("p", { className: "note" }, `${call.note} `, docs),
        ...(text ? code("Your page", text) : []),
        ...(call === calls.backend ? code("Your backend", BACKEND_CODE) : []),
        element("div", { className: "entries" }),
      ),
    );
    items.set(step, item);
    list.prepend(item);
    for (const old of [...items.keys()].slice(0, -MAX_STEPS)) remove(old);
    empty.hidden = true;
    return item;
  }

  function remove(step) {
    items.get(step)?.remove();
    items.delete(step);
    for (const entry of step.entries) lines.delete(entry);
  }

  /**
   * @param {Step} step
   * @param {Entry} entry
   */
  return function show(step, entry) {
    const item = items.get(step) ?? add(step);
    let line = lines.get(entry);
    if (!line) {
      // The first request says most of a step, so it is open.
      const open = entry.kind === "http" && !item.querySelector(".entry[open]");
      line = element("details", { className: "entry", open }, element("summary"), element("div", { className: "details" }));
      lines.set(entry, line);
      item.querySelector(".entries").append(line);
    }
    fill(line, entry);
  };
}
