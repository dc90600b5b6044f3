// `add`: lets an existing application check sessions. It writes one new file, and two lines into
// .env.

/** @import { Dialect, Framework } from "./frameworks.mjs" */

import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { dialectOf, frameworkOf, managerOf, manifestOf, mustBeOneApp, sourceFolder } from "./app.mjs";
import { warnIfExposedToGit } from "./files.mjs";
import { guardFile, importLine } from "./frameworks.mjs";
import { install, manager } from "./package-manager.mjs";
import { NAME, VERSION, tarball } from "./package-source.mjs";
import { Problem } from "./problem.mjs";

/** The settings, with the values of `npx pioneer-session dev`. */
const SETTINGS = { SESSION_ISSUER: "http://localhost:8787", SESSION_AUDIENCE: "demo" };

/**
 * `add`
 *
 * @param {{ framework?: string, pm?: string, "no-install"?: boolean, offline?: boolean }} options
 */
export async function add(options) {
  const folder = process.cwd();
  const manifest = manifestOf(folder);
  mustBeOneApp(folder, manifest);
  const framework = frameworkOf(folder, manifest, options.framework);
  const dialect = dialectOf(folder, manifest, framework);
  const pm = manager(options.pm ?? managerOf(folder));
  const path = `${sourceFolder(folder)}pioneer-session.${dialect.ending}`;
  if (existsSync(path)) throw new Problem(`${path} exists already, and is not overwritten. Delete it, then run add again.`);
  const lines = missingLines(".env");

  if (!options["no-install"]) {
    console.error(`Installing ${NAME} …`);
    const isInstalled = await install(pm, { cwd: folder, add: tarball() ?? `${NAME}@^${VERSION}`, offline: options.offline });
    if (!isInstalled) throw new Problem(`\`${pm}\` could not install ${NAME}, so no file was written. Fix the error above, or pass --no-install.`);
  }
  writeFileSync(path, guardFile(framework, dialect), { flag: "wx" });
  try {
    if (lines !== "") appendFileSync(".env", lines, { encoding: "latin1", mode: 0o600 });
  } catch (error) {
    rmSync(path);
    throw error;
  }
  if (lines !== "") warnIfExposedToGit(".env");
  console.log(farewell({ framework, dialect, path, isNew: lines !== "", install: options["no-install"] ? `${pm} ${pm === "npm" ? "install" : "add"} ${NAME}` : undefined }));
}

/**
 * The lines that a dotenv file lacks, as they must be appended to it.
 *
 * @param {string} file
 */
function missingLines(file) {
  if (existsSync(file) && !statSync(file).isFile()) throw new Problem(`${file} is not a file. Rename it, then run add again.`);
  const text = existsSync(file) ? readFileSync(file, "latin1") : "";
  if (text.includes("\0")) throw new Problem(`${file} is not UTF-8 text. Save it as UTF-8, then run add again.`);
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const missing = Object.entries(SETTINGS).filter(([name]) => !new RegExp(`^\\s*(export\\s+)?${name}\\s*[=:]`, "m").test(text));
  if (missing.length === 0) return "";
  return (text === "" || text.endsWith("\n") ? "" : newline) + missing.map(([name, value]) => `${name}=${value}${newline}`).join("");
}

/**
 * The next steps, for the terminal.
 *
 * @param {{ framework: Framework, dialect: Dialect, path: string, isNew: boolean, install: string | undefined }} added
 */
function farewell({ framework, dialect, path, isNew, install }) {
  const inApp = importLine(basename(path), dialect, framework);
  return [
    ...(install === undefined ? [] : [`Install the package: ${install}`, ""]),
    `${path} is new. Put these lines into your app:`,
    "",
    `  ${inApp}`,
    `  ${framework.line}`,
    "",
    isNew
      ? "The settings that are new in .env are those of `npx pioneer-session dev`. In production, set SESSION_ISSUER and SESSION_AUDIENCE to those of your Worker."
      : ".env has SESSION_ISSUER and SESSION_AUDIENCE already.",
    ...(framework.name === "next" ? [] : ["If your app does not read .env itself, start it with: node --env-file=.env"]),
  ].join("\n");
}
