// The tables of docs/simulator.md are those of the simulated Pi.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { name, read, table } from "../docs/document.mjs";
import { startSimulator } from "../support/workers.mjs";

const text = read("docs/simulator.md");
const FAULTS = readFileSync(`${root}/src/simulator/fault.rs`, "utf8");
let pi;
before(async () => {
  pi = await startSimulator();
});
after(() => pi?.close());

/** The names of an enum's variants in JSON: their `rename`, or snake case. */
function variants(type) {
  const [, body] = FAULTS.match(new RegExp(`pub enum ${type} \\{(.*?)^\\}`, "ms"));
  const found = [...body.matchAll(/(?:#\[serde\(rename = "(\w+)"\)\]\s+)?^ {4}([A-Z]\w*),$/gm)];
  return found.map(([, renamed, variant]) => renamed ?? variant.replace(/(?<!^)([A-Z]|500)/g, (match) => (match === "500" ? match : `_${match}`)).toLowerCase());
}

test("every persona is documented, with its title and in its order", async () => {
  const personas = await (await fetch(`${pi.url}/simulator/personas`)).json();
  assert.ok(personas.length > 15);
  assert.deepEqual(table(text, "access token", "title in the dialog").map(([token, title]) => ({ token: name(token), title })), personas);
});

test("every step and every fault is documented, and the simulated Pi knows it", async () => {
  const steps = table(text, "step", "request").map(([step]) => name(step));
  const faults = table(text, "fault", "the step happens").map(([fault]) => name(fault));
  assert.deepEqual(steps.toSorted(), variants("Step").sort());
  assert.deepEqual(faults.toSorted(), variants("FaultKind").sort());
  const add = (rule) => fetch(`${pi.url}/simulator/faults`, { method: "POST", body: JSON.stringify(rule) }).then(({ status }) => status);
  for (const step of steps) for (const fault of faults) assert.equal(await add({ step, fault, every: 3, times: 1 }), 204, `${step} ${fault}`);
  assert.equal(await add({ step: "pay", fault: "break" }), 400);
});

test("the settings for the Worker are those of the simulated Pi", () => {
  const settings = Object.fromEntries(table(text, "setting of the Worker", "value").map((row) => row.map(name)));
  const constant = (file, constant) => read(`src/simulator/${file}`).match(new RegExp(`pub const ${constant}: &str = "(.+)"`))[1];
  assert.equal(settings.PI_APP_ID, constant("mod.rs", "APP_ID"));
  assert.equal(settings.PI_API_KEY, constant("platform.rs", "SERVER_API_KEY"));
});
