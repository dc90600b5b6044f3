// Records the page's steps: each action, with its requests, their answers, and its calls of Pi's SDK.
//
// A real app does not need this file. It watches `fetch` from outside, so that the rest of the page
// is the code that an app would have. It keeps no answer's tokens.

import { isRepeatable } from "./curl.js";
import { shorten } from "./shorten.js";

/** @import { Call } from "./calls.js" */

/**
 * One line of a step: a request to the Worker or to the backend, or a call of Pi's SDK.
 *
 * @typedef {object} Entry
 * @property {"http" | "pi"} kind
 * @property {string} name the method, or the name of the call
 * @property {string} target
 * @property {any} [sent]
 * @property {any} [received]
 * @property {string} status
 * @property {"good" | "bad"} [outcome] absent while the answer is awaited
 * @property {number} [milliseconds]
 * @property {Record<string, string>} [headers] of the answer, if they say something here
 * @property {{ method: string, url: string, headers: Headers, body: string }} [request] if curl can
 *   repeat it
 */

/** @typedef {{ call: Call, subject: string, entries: Entry[], begun: Date }} Step */

const BACKGROUND = {
  title: "In the background",
  docs: "browser#stay-signed-in",
  note: "The page did this by itself, after an action or in another tab.",
  run: async () => {},
};

/** Headers of answers that the page explains. */
const SHOWN = ["etag", "retry-after", "verified-in-ms", "requests-to-worker"];

/**
 * @param {readonly string[]} origins whose requests are recorded
 * @param {(step: Step, entry: Entry) => void} changed is called for each new entry, and again once
 *   it has its answer
 */
export function createJournal(origins, changed) {
  /** @type {Step | undefined} */
  let step;

  /** Requests from now on belong to this step. */
  function begin(call, subject = "") {
    step = { call, subject, entries: [], begun: new Date() };
  }

  function end() {
    step = undefined;
  }

  /** @param {Entry} entry */
  function record(entry) {
    if (!step) begin(BACKGROUND);
    const owner = /** @type {Step} */ (step);
    owner.entries.push(entry);
    changed(owner, entry);
    return (/** @type {Partial<Entry>} */ news) => {
      Object.assign(entry, news);
      changed(owner, entry);
    };
  }

  const send = window.fetch.bind(window);
  window.fetch = async (input, init) => {
    const request = new Request(input instanceof Request ? input.clone() : input, init);
    const url = new URL(request.url);
    // Sent before any wait: the user may leave the page after a click.
    const sending = send(input, init);
    // Copied before the page reads the answer, because it can be read only once.
    if (origins.includes(url.origin)) follow(request, url, sending.then((response) => response.clone()));
    return sending;
  };

  /** Records a request and its answer, without any delay for the page. */
  async function follow(request, url, copying) {
    const { method, headers } = request;
    const path = url.pathname + url.search;
    const target = url.origin === location.origin ? path : url.host + path;
    const answered = record({ kind: "http", name: method, target, status: "…" });
    const begun = performance.now();
    try {
      const [body, response] = await Promise.all([request.text(), copying]);
      const repeatable = isRepeatable(request) && { request: { method, url: url.href, headers, body } };
      answered({ sent: shorten(parse(body)), ...repeatable });
      const milliseconds = Math.round(performance.now() - begun);
      const shown = SHOWN.flatMap((name) => (response.headers.has(name) ? [[name, response.headers.get(name)]] : []));
      const text = await response.text();
      answered({ status: String(response.status), outcome: response.ok ? "good" : "bad", milliseconds, received: shorten(parse(text)), headers: Object.fromEntries(shown) });
    } catch {
      answered({ status: "no answer", outcome: "bad" });
    }
  }

  /** Pi's SDK, with a record of its calls. */
  function observed(Pi) {
    return {
      init: (options) => Pi.init(options),
      async authenticate(scopes, onIncompletePaymentFound) {
        const answered = record({ kind: "pi", name: "Pi", target: "authenticate", sent: shorten(scopes), status: "asks the user" });
        try {
          const result = await Pi.authenticate(scopes, onIncompletePaymentFound);
          answered({ status: "allowed", outcome: "good", received: shorten({ accessToken: result.accessToken }) });
          return result;
        } catch (error) {
          answered({ status: "cancelled", outcome: "bad" });
          throw error;
        }
      },
      createPayment(payment, callbacks) {
        record({ kind: "pi", name: "Pi", target: "createPayment", sent: shorten(payment), status: "opens the wallet" });
        const watched = Object.entries(callbacks).map(([name, callback]) => [
          name,
          (...values) => {
            const texts = values.filter((value) => typeof value === "string");
            record({ kind: "pi", name: "Pi", target: name, sent: shorten(texts), status: "calls the page", ...(name === "onError" && { outcome: "bad" }) });
            return callback(...values);
          },
        ]);
        return Pi.createPayment(payment, Object.fromEntries(watched));
      },
    };
  }

  return { begin, end, observed };
}

/** The value of a JSON text, or the text itself. Undefined if it is empty. */
function parse(text) {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
