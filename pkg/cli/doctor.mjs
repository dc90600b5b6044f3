// Says what is wrong, and what to do about it: with the configuration in this folder, or with a deployed Worker.

import { checkConfiguration } from "./configuration.mjs";
import { checkDeployment } from "./deployment.mjs";
import { Misuse, Problem } from "./problem.mjs";

/** What was found. An error keeps the Worker from being sound; a warning is a choice to be made knowingly. */
class Report {
  #counts = { error: 0, warning: 0, note: 0 };
  #said = new Set();

  error = (text) => this.#say("error", text);
  warning = (text) => this.#say("warning", text);
  note = (text) => this.#say("note", text);

  #say(kind, text) {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#counts[kind] += 1;
    console.log(`${kind}: ${text}`);
  }

  /** Prints the summary; false when there are errors. */
  end() {
    const { error, warning } = this.#counts;
    const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
    const warnings = warning > 0 && count(warning, "warning");
    if (error > 0) console.log([count(error, "error"), warnings].filter(Boolean).join(", "));
    else console.log(warnings ? `Nothing is wrong; ${warnings}` : "Nothing is wrong.");
    return error === 0;
  }
}

/** `doctor`, `doctor URL` */
export async function doctor(options, url) {
  if (url !== undefined) {
    if (Object.keys(options).length > 0) throw new Misuse("A deployed Worker is looked at by its URL alone, without options.");
    if (!URL.canParse(url)) throw new Misuse("The URL must be whole, such as https://session.example.com");
  }
  const report = new Report();
  try {
    if (url === undefined) checkConfiguration(report, options);
    else await checkDeployment(report, new URL(url));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    report.error(error.message);
  }
  return report.end();
}
