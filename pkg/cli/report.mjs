// The findings of `doctor`, printed as they come.

/** An error must be fixed; a warning is a choice to be made knowingly. */
export class Report {
  #counts = { error: 0, warning: 0, note: 0 };
  #said = new Set();

  /** @param {string} text */
  error = (text) => this.#say("error", text);
  /** @param {string} text */
  warning = (text) => this.#say("warning", text);
  /** @param {string} text */
  note = (text) => this.#say("note", text);

  /**
   * @param {"error" | "warning" | "note"} kind
   * @param {string} text
   */
  #say(kind, text) {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#counts[kind] += 1;
    console.log(`${kind}: ${text}`);
  }

  /** Prints the summary. Returns false if there are errors. */
  end() {
    const { error, warning } = this.#counts;
    /** @type {(number: number, word: string) => string} */
    const count = (number, word) => `${number || "No"} ${word}${number === 1 ? "" : "s"}`;
    console.log([count(error, "error"), warning > 0 && count(warning, "warning")].filter(Boolean).join(", "));
    return error === 0;
  }
}
