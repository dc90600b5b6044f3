// Verifiers in processes as they are: frozen and woken, with frozen intrinsics, with other clocks and timers, with requests
// that no socket brought, and with more verifiers than anybody needs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { root } from "../scripts/paths.mjs";
import { AUDIENCE, issuer } from "./issuer.mjs";

let made;
let options;
before(async () => {
  made = await issuer();
  options = { issuer: made.url, audience: AUDIENCE, revocations: true };
});
after(() => made.close());

describe("frozen intrinsics", () => {
  for (const [kind, args, freeze] of [["node --frozen-intrinsics", ["--frozen-intrinsics"], false], ["Object.freeze", [], true]]) {
    test(`${kind}: a bad token is a refusal, and a mistake in the options is one`, async () => {
      const { good, expired, forged, revoked } = made.tokens;
      const program = { options, freeze, tokens: { good, expired, forged, revoked, malformed: "x" } };
      const { stdout } = await promisify(execFile)(process.execPath, [...args, `${root}/tests/frozen.mjs`], { cwd: root, env: { ...process.env, PROGRAM: JSON.stringify(program) } });
      const refused = (code) => ({ name: "SessionError", code, hint: "string" });
      const all = (code) => ({ sync: refused(code), once: refused(code), fetch: 401, express: 401 });
      assert.deepEqual(JSON.parse(stdout), {
        good: { sync: "uid-alice", once: "uid-alice", fetch: "uid-alice", express: 200 },
        expired: all("expired"), forged: all("bad_signature"), revoked: all("revoked"), malformed: all("token_malformed"),
        options: refused("invalid_options"),
      });
    });
  }
});
