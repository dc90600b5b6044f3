// The public Ed25519 vectors on a platform. The package has no function for bare signatures, so the
// wasm of tests/vectors runs: the same Rust code, built for the Worker.

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { paths, root } from "../../scripts/paths.mjs";

/** The name of the column. */
export const VECTORS = "vectors of signatures";

const read = (name) => JSON.parse(readFileSync(`${root}/tests/vectors/${name}`, "utf8"));
const [NEITHER, BOTH] = [0, 3];

/** Flags of valid vectors: a component of low order next to one of large order. */
const HARMLESS = ["low_order_component_A", "low_order_component_R"];

/** Each vector with the verdict that both ways of verifying must return. */
const vectors = [
  ...read("wycheproof_ed25519_test.json").testGroups.flatMap(({ publicKey, tests }) =>
    tests.map(({ msg, sig, result }) => ({ key: publicKey.pk, message: msg, signature: sig, expected: result === "valid" ? BOTH : NEITHER }))),
  ...read("cctv_ed25519vectors.json").map(({ key, msg, sig, flags }) => ({
    key, message: Buffer.from(msg).toString("hex"), signature: sig, expected: (flags ?? []).every((flag) => HARMLESS.includes(flag)) ? BOTH : NEITHER,
  })),
];
export const count = vectors.length;

const asked = JSON.stringify(vectors.map(({ key, message, signature }) => ({ key, message, signature })));

/** Node before version 25 lacks Uint8Array.fromHex. */
const PROGRAM = `
import { readFileSync } from "node:fs";
Uint8Array.fromHex ??= (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const { default: worker } = await import("./verdict.mjs");
const body = readFileSync("vectors.json", "utf8");
console.log(await (await worker.fetch(new Request("http://localhost/", { method: "POST", body }))).text());
`;

/** Runs the Worker of tests/vectors as a program in `folder`. */
async function runIn(folder, run) {
  const imported = /import (\w+) from ?"\.\/index_bg\.wasm";/;
  const source = readFileSync(`${paths.verdict}/index.js`, "utf8");
  if (!imported.test(source)) throw new Error("target/verdict/index.js no longer imports its wasm like this. Adapt tests/platforms/vectors.mjs.");
  const compiled = 'import { readFileSync as readWasm } from "node:fs"; const $1 = new WebAssembly.Module(readWasm("verdict.wasm"));';
  writeFileSync(`${folder}/verdict.mjs`, source.replace(imported, compiled));
  copyFileSync(`${paths.verdict}/index_bg.wasm`, `${folder}/verdict.wasm`);
  writeFileSync(`${folder}/vectors.json`, asked);
  writeFileSync(`${folder}/vectors.mjs`, PROGRAM);
  return JSON.parse(await run("vectors.mjs", ["vectors.json", "verdict.wasm"]));
}

/** Runs the vectors in a folder, or at the URL of their Worker. Returns "passed" or the error. */
export async function vectorsIn(place, run) {
  try {
    const verdicts = run ? await runIn(place, run) : await (await fetch(place, { method: "POST", body: asked })).json();
    const wrong = vectors.filter(({ expected }, index) => verdicts[index] !== expected);
    return verdicts.length === count && wrong.length === 0 ? "passed" : `${wrong.length} of ${count} vectors have another verdict`;
  } catch (error) {
    return String(error.stack ?? error);
  }
}
