// Uses the package as its users do: packs it, copies an example, starts a command there, and stops
// everything that the command has started.

import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, cpSync } from "node:fs";
import { basename } from "node:path";
import { environment, root } from "../../scripts/paths.mjs";

/**
 * Packs the package into `folder` and returns the path of the tarball. If the variable TARBALL
 * names a tarball, copies that one: a release publishes the file that was tested.
 */
export function pack(folder) {
  if (process.env.TARBALL) {
    const copy = `${folder}/${basename(process.env.TARBALL)}`;
    copyFileSync(process.env.TARBALL, copy);
    return copy;
  }
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { cwd: root, encoding: "utf8", env: environment }));
  return `${folder}/${filename}`;
}

/** Copies an example without the files that a trial run has left in its folder. */
export function copyExample(name, folder) {
  const left = new Set(["node_modules", "package-lock.json", ".next", ".wrangler", ".dev.vars"]);
  cpSync(`${root}/examples/${name}`, folder, { recursive: true, filter: (path) => !left.has(basename(path)) });
}

/** Starts the command and waits until `url` answers as `isReady` wants it. */
export async function serve(command, args, { url, cwd, env = {}, isReady = ({ ok }) => ok }) {
  // A process group of its own, because npm does not pass on the signals that it gets.
  const child = spawn(command, args, { cwd, env: { ...environment, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const closed = new Promise((done) => child.on("close", done));
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGTERM");
    await closed;
  };
  for (let tries = 0; ; tries++) {
    if (await fetch(url).then(isReady, () => false)) return { close };
    if (tries > 900 || child.exitCode !== null) {
      await close();
      throw new Error(`"${command} ${args.join(" ")}" does not answer at ${url}:\n${output}`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}
