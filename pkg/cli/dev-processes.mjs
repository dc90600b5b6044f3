// The processes that `dev` starts: their output is shown when something is wrong, and all of them
// end together.

import { spawn } from "node:child_process";
import { Problem } from "./problem.mjs";

const KEPT_LINES = 40; // of each process, for the case that it stops: enough for an error of wrangler's
const STOP_MS = 5_000; // workerd writes its database before it ends
const hasGroups = process.platform !== "win32";
const WRONG = /\[ERROR\]|"level":"error"/;
const environment = () => ({ ...process.env, WRANGLER_SEND_METRICS: "false" });

export class Processes {
  #children = /** @type {import("node:child_process").ChildProcess[]} */ ([]);
  #verbose;
  #isStopping = false;
  #ending = /** @type {Promise<void> | undefined} */ (undefined);
  #stop = /** @type {(problem?: Problem) => void} */ (() => {});
  /** Settled when everything has stopped. */
  ended;

  /** @param {{ verbose: boolean }} options */
  constructor({ verbose }) {
    this.#verbose = verbose;
    this.ended = new Promise((done, fail) => {
      this.#stop = (problem) => void this.#end().then(() => (problem ? fail(problem) : done(undefined)));
    });
    this.ended.catch(() => {}); // `until` reports it, too
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => this.#stop());
  }

  /**
   * Starts a process that should run until all of them stop.
   *
   * @param {string} name
   * @param {string[]} program
   * @param {string[]} args
   * @param {import("node:child_process").SpawnOptions} [options]
   */
  start(name, [program = "", ...before], args, options = {}) {
    // A process group of its own, because npm does not pass signals on to its scripts.
    const child = spawn(program, [...before, ...args], { env: environment(), ...options, stdio: ["ignore", "pipe", "pipe"], detached: hasGroups });
    /** @type {string[]} */
    const lines = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
        for (const line of text.split("\n")) {
          if (this.#verbose || WRONG.test(line)) console.log(line);
          lines.push(line);
          if (lines.length > KEPT_LINES) lines.shift();
        }
      });
    }
    child.on("error", () => {});
    child.on("close", (code) => {
      if (this.#isStopping) return;
      const output = this.#verbose ? "" : `\n${lines.join("\n").trim()}`;
      this.#stop(new Problem(`${name} stopped (exit code ${code}).${output}`));
    });
    this.#children.push(child);
  }

  /**
   * Waits until all of the URLs answer.
   *
   * @param {number} seconds
   * @param {string[]} urls
   */
  async until(seconds, urls) {
    const end = Date.now() + seconds * 1000;
    const waiting = new Set(urls);
    const isUp = (/** @type {string} */ url) => fetch(url).then(({ status }) => status < 500, () => false);
    let failure = /** @type {Problem | undefined} */ (undefined);
    this.ended.catch((problem) => (failure = problem));
    while (waiting.size > 0) {
      if (failure) throw failure;
      if (this.#isStopping) return;
      if (Date.now() > end) {
        const problem = new Problem(`${[...waiting].join(" and ")} did not answer within ${seconds} seconds. Run it again with --verbose to see why.`);
        this.#stop(problem);
        throw problem;
      }
      for (const url of waiting) if (await isUp(url)) waiting.delete(url);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  /** Stops all of them, and waits until they have ended. */
  stop() {
    this.#stop();
    return this.ended.catch(() => {});
  }

  #end() {
    this.#ending ??= this.#killAll();
    return this.#ending;
  }

  async #killAll() {
    this.#isStopping = true;
    const running = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const closed = running.map((child) => new Promise((done) => child.once("close", done)));
    for (const child of running) signal(child, "SIGTERM");
    const timer = setTimeout(() => running.forEach((child) => signal(child, "SIGKILL")), STOP_MS);
    await Promise.all(closed);
    clearTimeout(timer);
  }
}

/**
 * Sends a signal to a process and to those that it has started.
 *
 * @param {import("node:child_process").ChildProcess} child
 * @param {NodeJS.Signals} name
 */
function signal(child, name) {
  if (!hasGroups || child.pid === undefined) return child.kill(name);
  try {
    return process.kill(-child.pid, name);
  } catch {
    return false; // all of them have ended
  }
}

/**
 * Runs a program to its end, and reports its output if it fails.
 *
 * @param {string} program
 * @param {string[]} args
 */
export function runToEnd(program, args) {
  const child = spawn(program, args, { env: { ...environment(), CI: "true" }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => (code === 0 ? done(undefined) : fail(new Problem(`wrangler failed:\n${output.trim()}`))));
  });
}
