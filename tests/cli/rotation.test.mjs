// A change of the signing key by someone who has never had the old private key, on the built
// Worker: what the Deploy button leaves.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { newKey } from "../../pkg/cli/keys.mjs";
import { createVerifier } from "../../pkg/index.mjs";
import { root } from "../../scripts/paths.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";
import { startIssuer } from "../support/workers.mjs";

const cwd = mkdtempSync(join(tmpdir(), "pioneer-session-rotation-"));
const FILE = join(cwd, "session-keys.json");

function keys(...args) {
  return new Promise((done) => {
    const child = spawn(process.execPath, [`${root}/pkg/cli/index.mjs`, "keys", ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (output[name] += text));
    child.on("close", (code) => done({ code, ...output }));
  });
}

const read = () => JSON.parse(readFileSync(FILE, "utf8"));

describe("keys rotate --issuer", () => {
  const old = newKey();
  let pi;
  let issuer;
  /** Starts the Worker again with other secrets, as `wrangler secret put` does. */
  const restart = async (variables) => {
    await issuer?.close();
    issuer = await startIssuer({ pi: pi.url, allowedOrigin: "", variables: { PI_APP_ID: "test-app", ...variables } });
  };
  const signIn = async () => {
    const response = await fetch(`${issuer.url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"accessToken":"token-alice"}' });
    return (await response.json()).sessionToken;
  };
  const kidOf = (token) => JSON.parse(Buffer.from(token.split(".")[0], "base64url")).kid;
  const published = async () => (await (await fetch(`${issuer.url}/.well-known/jwks.json`)).json()).keys.map(({ kid }) => kid);

  before(async () => {
    pi = await startFakePi({ "token-alice": user() });
    await restart({ SESSION_KEYS: JSON.stringify({ keys: [old] }) });
  });
  after(async () => {
    await issuer?.close();
    await pi?.close();
    rmSync(cwd, { recursive: true, force: true });
  });

  test("E4: changes the key, and no token becomes invalid", async () => {
    const before = await signIn();
    const first = await keys("rotate", "--issuer", issuer.url, "--file", FILE);
    assert.equal(first.code, 0, first.stderr);
    const [next, ...published1] = read().keys;
    assert.equal(statSync(FILE).mode & 0o777, 0o600);
    assert.deepEqual([next.state, published1.map(({ kid, state, d }) => [kid, state, d])], ["next", [[old.kid, "retired", undefined]]]);
    assert.ok(!`${first.stdout}${first.stderr}`.includes(next.d), "the private key is printed");
    const again = await keys("rotate", "--issuer", issuer.url, "--file", FILE);
    assert.equal(again.stdout, first.stdout, "a second call prints the same");

    await restart({ SESSION_KEYS: JSON.stringify({ keys: [old] }), SESSION_KEYS_NEXT: first.stdout });
    assert.deepEqual((await published()).toSorted(), [old.kid, next.kid].toSorted());
    assert.equal(kidOf(await signIn()), old.kid, "it is announced, and does not sign");

    const early = await keys("rotate", "--file", FILE);
    assert.deepEqual([early.code, /Too early/.test(early.stderr)], [1, true]);
    writeFileSync(FILE, JSON.stringify({ keys: [{ ...next, since: new Date(Date.now() - 601_000).toISOString() }, ...published1] }));
    const second = await keys("rotate", "--file", FILE);
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, /wrangler secret delete SESSION_KEYS_NEXT/);
    assert.deepEqual(read().keys.map(({ kid, state, since }) => [kid, state, Date.now() - Date.parse(since) < 60_000]), [[next.kid, "active", true], [old.kid, "retired", true]]);

    // For a moment, the new key is in both secrets.
    await restart({ SESSION_KEYS: readFileSync(FILE, "utf8"), SESSION_KEYS_NEXT: first.stdout });
    assert.deepEqual((await published()).toSorted(), [old.kid, next.kid].toSorted());
    const after = await signIn();
    assert.equal(kidOf(after), next.kid);
    const jwks = await (await fetch(`${issuer.url}/.well-known/jwks.json`)).json();
    for (const token of [before, after]) {
      const { iss } = JSON.parse(Buffer.from(token.split(".")[1], "base64url")); // each start has a port of its own
      const verifier = await createVerifier({ issuer: iss, audience: "test-app", jwks });
      assert.equal(verifier.verify(token).uid, user().uid);
    }
  });

  test("refuses what cannot work", async () => {
    const refused = async (code, reason, ...args) => {
      const result = await keys("rotate", ...args);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, reason);
    };
    const other = join(cwd, "other.json");
    await refused(2, /--issuer needs --file/, "--issuer", issuer.url);
    await refused(2, /cannot be combined/, "--issuer", issuer.url, "--file", other, "--now");
    for (const url of ["session.example.com", "http://session.example.com", `${issuer.url}/`, `${issuer.url}/x`]) await refused(2, /must be the Worker's origin/, "--issuer", url, "--file", other);
    await refused(1, /is not the key set/, "--issuer", pi.url, "--file", other);
    for (const keys of ["null", "{}", "[]", "[null]", "[1]", '["x"]', "[{}]", '[{"kty":"OKP"}]']) {
      const hostile = createServer((_, response) => response.end(`{"keys":${keys}}`)).listen(0, "127.0.0.1");
      await once(hostile, "listening");
      await refused(1, /is not the key set/, "--issuer", `http://127.0.0.1:${hostile.address().port}`, "--file", other);
      hostile.close();
    }
    assert.ok(!existsSync(other));
    await refused(1, /cannot be reached/, "--issuer", "http://127.0.0.1:1", "--file", other);
    await refused(1, /has the key that signs, so --issuer is not needed/, "--issuer", issuer.url, "--file", FILE);
  });
});
