// Says what is wrong, and what to do about it: with the configuration in this folder, or with a deployed Worker.

import { checkConfiguration, issuerOf } from "./configuration.mjs";
import { checkDeployment } from "./deployment.mjs";
import { checkPage } from "./page.mjs";
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

/** `doctor`, `doctor URL`, and either with `--page URL` */
export async function doctor({ page, ...options }, url) {
  if (url !== undefined) {
    if (Object.keys(options).length > 0) throw new Misuse("A deployed Worker is checked by its URL. --page is the only option beside it.");
    if (!URL.canParse(url)) throw new Misuse("The URL must be whole, such as https://session.example.com");
  }
  if (page !== undefined) {
    if (!URL.canParse(page)) throw new Misuse("--page must be a whole URL, such as https://app.example.com");
    if (options["secrets-file"] !== undefined) throw new Misuse("--page checks no secrets. Leave out --secrets-file.");
  }
  const report = new Report();
  try {
    if (url !== undefined) await checkDeployment(report, new URL(url));
    else if (page === undefined) checkConfiguration(report, options);
    if (page !== undefined) await checkPage(report, new URL(page), url ?? issuerOf(options));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    report.error(error.message);
  }
  return report.end();
}
