// `doctor` accepts and refuses the same values of the Worker's settings as the Worker does: both
// run the cases in tests/settings.json.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkLocalSecrets } from "../../pkg/cli/local-secrets.mjs";
import { checkSettings } from "../../pkg/cli/settings.mjs";
import { root } from "../../scripts/paths.mjs";

const { base, cases } = JSON.parse(readFileSync(`${root}/tests/settings.json`, "utf8"));
const SECRETS = ["SESSION_KEYS", "SESSION_KEYS_NEXT", "REFRESH_SECRET", "PI_API_KEY", "BACKEND_CREDENTIALS", "OPERATOR_CREDENTIALS"];

const folder = mkdtempSync(join(tmpdir(), "settings-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The errors and notes of `doctor`, for these settings. A missing secret is only a note: it may be at Cloudflare. */
function examine(settings) {
  const [errors, notes] = [[], []];
  const report = { error: (text) => errors.push(text), warning() {}, note: (text) => notes.push(text) };
  const [secrets, vars] = [true, false].map((isSecret) => Object.entries(settings).filter(([name]) => SECRETS.includes(name) === isSecret));
  const file = join(folder, ".env");
  writeFileSync(file, secrets.map(([name, value]) => `${name}='${value}'\n`).join(""), { mode: 0o600 });
  checkSettings(report, Object.fromEntries(vars));
  checkLocalSecrets(report, file);
  return { errors, missing: notes.filter((note) => / is not in /.test(note)) };
}

for (const setting of new Set(cases.map((one) => one.setting))) {
  test(`${setting} is read as the Worker reads it`, () => {
    const wrong = [];
    for (const { value, with: others, accepted } of cases.filter((one) => one.setting === setting)) {
      const { errors, missing } = examine({ ...base, ...others, [setting]: value });
      const isRefused = [...errors, ...missing].length > 0;
      if (isRefused === accepted || !errors.every((text) => text.startsWith(setting))) wrong.push(`${JSON.stringify(value)}: ${errors}`);
    }
    assert.deepEqual(wrong, []);
  });
}

test("every setting of the Worker has cases", () => {
  const source = readFileSync(`${root}/src/service/settings.rs`, "utf8").split("#[cfg(test)]")[0];
  const names = new Set([...source.matchAll(/"([A-Z][A-Z_]+)"/g)].map(([, name]) => name));
  assert.deepEqual([...names].filter((name) => !cases.some(({ setting }) => setting === name)), []);
});
