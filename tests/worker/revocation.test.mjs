// How the npm package learns about revoked sessions: from feeds of every kind, and from the Worker
// itself while its keys change under load.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { createVerifier, verify } from "pioneer-session";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";
import { AUDIENCE, feedOf, fingerprintOf, mint } from "../support/issuer.mjs";

const now = () => Math.floor(Date.now() / 1000);
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Waits until a condition is true, for ten seconds at most. */
async function until(condition, what) {
  for (const end = Date.now() + 10_000; !(await condition()); await sleep(20)) assert.ok(Date.now() < end, `did not happen in time: ${what}`);
}

describe("a verifier with revocations", () => {
  const key = newKey();
  const other = newKey();
  const publicJwk = ({ d, state, ...bare }) => ({ ...bare, alg: "EdDSA", use: "sig" });

  /** An issuer whose answers the test sets. */
  async function issuer() {
    const made = { keys: [key], alg: "EdDSA", polls: [], etag: undefined };
    const server = createServer((request, response) => {
      if (request.url === "/.well-known/jwks.json") return response.writeHead(200).end(JSON.stringify({ keys: made.keys.map(publicJwk) }));
      made.polls.push(request);
      made.respond(response, request);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    made.url = `http://127.0.0.1:${server.address().port}`;
    made.token = (members = {}, options) => mint({
      iss: made.url, aud: AUDIENCE, sub: "uid-1", sid: "sid-1", iat: now() - 10, exp: now() + 590, auth_time: now() - 10, jti: "jti-1", scope: "", ...members,
    }, { key, alg: made.alg, ...options });
    made.feed = (members = {}, options = {}) => feedOf({ iss: made.url, ...members }, { key, alg: made.alg, ...options });
    /** Answers as the Worker does: with the windows of these revocations, numbered from 1. */
    made.revoke = (...sids) => {
      const all = [...(made.revoked ?? []), ...sids];
      made.revoked = all;
      made.respond = (response, request) => {
        const from = Math.min(Number(new URL(request.url, made.url).searchParams.get("after")), all.length);
        const etag = `W/"${from}-${all.length}"`;
        if (request.headers["if-none-match"] === etag) return response.writeHead(304, { etag }).end();
        response.writeHead(200, { etag }).end(made.feed({ sids: all.slice(from), from, to: all.length }));
      };
    };
    made.respond = (response) => response.writeHead(200).end(made.feed());
    made.close = () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    };
    made.verifier = (revocations = { pollSeconds: 1 }) => createVerifier({ issuer: made.url, audience: AUDIENCE, revocations });
    return made;
  }

  test("refuses exactly the sessions that the feed names, to the second", async () => {
    const server = await issuer();
    const at = now() - 60;
    server.respond = (response) => response.writeHead(200).end(server.feed({ epoch: at - 100, sids: ["zz", "sid-9", "__proto__", "aa"], users: { "uid-9": at } }));
    const made = await server.verifier();
    try {
      const revoked = (members) => assert.throws(() => made.verify(server.token(members)), { name: "SessionError", code: "revoked" });
      const holds = (members) => assert.equal(made.verify(server.token(members)).uid, members.sub ?? "uid-1");
      for (const sid of ["zz", "sid-9", "aa", "__proto__"]) revoked({ sid });
      for (const sid of ["sid-1", "SID-9", "sid", "zzz", "constructor"]) holds({ sid });
      revoked({ sub: "uid-9", iat: at - 1 });
      holds({ sub: "uid-9", iat: at });
      holds({ sub: "uid-8", iat: at - 1 });
      revoked({ iat: at - 101, exp: at + 400 });
      holds({ iat: at - 100, exp: at + 400 });
      // The order of the checks: an expired or forged token is reported as that first.
      assert.throws(() => made.verify(server.token({ sid: "zz", iat: at - 600, exp: at - 1 })), { code: "expired" });
      assert.deepEqual(Object.keys(made.health()).sort(), ["keysAgeSeconds", "revocationsAgeSeconds"]);
      assert.equal((await verify(server.token(), { issuer: server.url, audience: AUDIENCE, revocations: true })).sid, "sid-1");
      await assert.rejects(verify(server.token({ sid: "zz" }), { issuer: server.url, audience: AUDIENCE, revocations: true }), { code: "revoked" });
    } finally {
      await made.close();
      await server.close();
    }
  });

  for (const alg of ["EdDSA", "Ed25519"]) test(`T3, T7: accepts only the issuer's own and newest feed, with the name ${alg} of the algorithm`, async () => {
    const server = await issuer();
    server.alg = alg;
    try {
      const sound = server.feed({ sids: ["sid-8", "sid-9"], users: { "uid-9": now() } });
      const [token, fingerprints] = [sound.subarray(0, sound.indexOf("\n")), sound.subarray(sound.indexOf("\n") + 1)];
      const [head, payload, signature] = token.toString().split(".");
      assert.equal(fingerprints.length, 16);
      server.respond = (response) => response.writeHead(200).end(sound);
      const made = await server.verifier();
      assert.equal(made.verify(server.token()).sid, "sid-1");
      assert.throws(() => made.verify(server.token({ sid: "sid-8" })), { code: "revoked" });
      await made.close();
      const within = (text) => Buffer.concat([Buffer.from(`${text}\n`), fingerprints]);
      const flipped = Buffer.from(sound);
      flipped[flipped.length - 1] ^= 1;
      for (const [what, feed] of Object.entries({
        "a session token": server.token(),
        "a session token with fingerprints": within(server.token()),
        "a feed of another key": server.feed({}, { key: other }),
        "a feed of another key in this one's name": server.feed({}, { signer: other }),
        "another payload": within(`${head}.${base64url({ iss: server.url })}.${signature}`),
        "a session's header": within(`${base64url({ alg, kid: key.kid, typ: "pi-session+jwt" })}.${payload}.${signature}`),
        "the other name of the algorithm in a signed header": within(`${base64url({ alg: alg === "EdDSA" ? "Ed25519" : "EdDSA", kid: key.kid, typ: "pi-revocations+jwt" })}.${payload}.${signature}`),
        "the algorithm in lower case": server.feed({}, { alg: alg.toLowerCase() }),
        "the algorithm in upper case": server.feed({}, { alg: alg.toUpperCase() }),
        "the algorithm Ed448": server.feed({}, { alg: "Ed448" }),
        "the algorithm ES256": server.feed({}, { alg: "ES256" }),
        "both names of the algorithm": server.feed({}, { alg: ["EdDSA", "Ed25519"] }),
        "another issuer": server.feed({ iss: "https://other.example" }),
        "another audience": server.feed({ aud: "other" }),
        "an old one": server.feed({ iat: now() - 400, exp: now() - 100 }),
        "one of the future": server.feed({ iat: now() + 60, exp: now() + 120 }),
        "one without an end": server.feed({ exp: now() + 86_400 }),
        "one that begins after its end": server.feed({ from: 1, to: 0 }),
        "one that leaves out the first revocations": server.feed({ from: 1, to: 2, sids: ["sid-1"] }),
        "a negative number": server.feed({ from: -1, to: 0 }),
        "a missing member": server.feed({ users: undefined }),
        "a missing time": server.feed({ last_iat: undefined }),
        "an odd user": server.feed({ users: { "uid-1": "soon" } }),
        "no line feed": token,
        "no fingerprints": sound.subarray(0, token.length + 1),
        "one fingerprint of two": sound.subarray(0, -8),
        "half a fingerprint": sound.subarray(0, -4),
        "one fingerprint too many": Buffer.concat([sound, fingerprints.subarray(0, 8)]),
        "a repeated fingerprint": Buffer.concat([sound, fingerprints.subarray(8)]),
        "fingerprints in another order": server.feed({ sids: ["sid-8", "sid-9"], fingerprints: Buffer.concat([fingerprints.subarray(8), fingerprints.subarray(0, 8)]) }),
        "a changed bit": flipped,
        "not a feed": "<html>",
        "nothing": "",
        "padding": within(`${token}=`),
        "two line feeds": within(`${token}\n`),
      })) {
        server.respond = (response) => response.writeHead(200).end(feed);
        await assert.rejects(server.verifier(), { name: "SessionError", code: "revocations_unavailable" }, what);
      }
      for (const respond of [
        (response) => response.writeHead(500).end(),
        (response) => response.writeHead(304).end(),
        (response) => response.writeHead(302, { location: "/elsewhere" }).end(),
        (response) => response.destroy(),
        (response) => response.writeHead(200).end(Buffer.alloc(6 * 1024 * 1024 + 1, "a")),
      ]) {
        server.respond = respond;
        await assert.rejects(server.verifier(), { code: "revocations_unavailable" });
      }
    } finally {
      await server.close();
    }
  });

  test("polls, keeps the last valid feed, and ignores an older one", async () => {
    const server = await issuer();
    server.respond = (response, request) => {
      if (request.headers["if-none-match"] === "W/\"one\"") return response.writeHead(304).end();
      response.writeHead(200, { etag: "W/\"one\"" }).end(server.feed({ sids: ["sid-1"] }));
    };
    const made = await server.verifier();
    const isRevoked = (members) => {
      try {
        made.verify(server.token(members));
        return false;
      } catch (error) {
        assert.equal(error.code, "revoked");
        return true;
      }
    };
    try {
      await until(() => server.polls.length >= 3, "polls");
      assert.ok(server.polls.slice(1).every(({ headers }) => headers["if-none-match"] === "W/\"one\""));
      assert.ok(isRevoked() && !isRevoked({ sid: "sid-2" }));
      server.respond = (response) => response.writeHead(200).end(server.feed({ iat: now() - 30, exp: now() + 200 }));
      const before = server.polls.length;
      await until(() => server.polls.length >= before + 2, "polls");
      assert.ok(isRevoked(), "an older feed must not restore a session");
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-1", "sid-2"] }));
      await until(() => isRevoked({ sid: "sid-2" }), "the newest feed");
      // The feed can be the first thing that a new key signs.
      server.keys = [key, other];
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-3"] }, { key: other }));
      const later = await server.verifier({ pollSeconds: 2 });
      assert.throws(() => later.verify(server.token({ sid: "sid-3" })), { code: "revoked" });
      await later.close();
    } finally {
      await made.close();
      await server.close();
    }
  });

  /** The error code for a token with these members, or nothing. */
  const refusalOf = (made, server, members) => {
    try {
      made.verify(server.token(members));
      return undefined;
    } catch (error) {
      return error.code;
    }
  };

  /** Waits until the verifier has polled twice more, so that it has used the first answer. */
  const polled = async (server) => {
    const before = server.polls.length;
    await until(() => server.polls.length >= before + 2, "polls");
  };

  test("takes the whole once, then only the difference, and sends an entity tag only to its own address", async () => {
    const server = await issuer();
    const old = Array.from({ length: 1000 }, (_, index) => `old-session-${index}`.padEnd(24, "x"));
    server.revoke(...old);
    const sizes = [];
    const end = (respond) => (response, request) => {
      const write = response.end.bind(response);
      response.end = (body) => {
        sizes.push([request.url, request.headers["if-none-match"], response.statusCode, body?.length ?? 0]);
        return write(body);
      };
      respond(response, request);
    };
    server.respond = end(server.respond);
    const made = await server.verifier();
    try {
      await polled(server);
      server.revoke("sid-1");
      server.respond = end(server.respond);
      await until(() => refusalOf(made, server) === "revoked", "the difference");
      await polled(server);
      const statuses = (url) => sizes.filter(([each]) => each === url).map(([, etag, status]) => [etag, status]);
      assert.deepEqual(statuses("/revocations"), [[undefined, 200]], "the whole is asked for once");
      const difference = statuses("/revocations?after=1000");
      const tag = 'W/"1000-1000"';
      assert.deepEqual([...difference.slice(0, 2), difference.at(-1)], [[undefined, 200], [tag, 304], [tag, 200]]);
      assert.deepEqual(statuses("/revocations?after=1001").slice(0, 2), [[undefined, 200], ['W/"1001-1001"', 304]]);
      assert.ok(sizes.filter(([url]) => url !== "/revocations").every(([, , , length]) => length < 1024), JSON.stringify(sizes));
      for (const sid of [old[0], old[999]]) assert.equal(refusalOf(made, server, { sid }), "revoked");
      assert.equal(refusalOf(made, server, { sid: "sid-2" }), undefined);
    } finally {
      await made.close();
      await server.close();
    }
  });

  test("an issuer that is behind, has restarted or repeats a window restores no session", async () => {
    const server = await issuer();
    server.revoke("sid-1", "sid-2", "sid-3");
    const made = await server.verifier();
    const windows = {
      "one that is behind": { from: 2, to: 2 },
      "one that knows nothing": { from: 0, to: 0 },
      "one whose numbers began again": { from: 0, to: 1, sids: ["sid-7"] },
      "the first window again": { from: 0, to: 3, sids: ["sid-1", "sid-2", "sid-3"] },
      "an older window": { from: 0, to: 2, sids: ["sid-1"], iat: now() - 60, exp: now() + 200 },
      "an earlier epoch and user": { from: 3, to: 3, epoch: 0, users: { "uid-1": 0 } },
    };
    try {
      for (const [what, window] of Object.entries(windows)) {
        server.respond = (response) => response.writeHead(200).end(server.feed(window));
        await polled(server);
        assert.equal(server.polls.at(-1).url, "/revocations?after=3", what);
        for (const sid of ["sid-1", "sid-2", "sid-3"]) assert.equal(refusalOf(made, server, { sid }), "revoked", what);
        assert.equal(refusalOf(made, server, { sid: "sid-4" }), undefined, what);
        assert.ok(made.health().revocationsAgeSeconds <= 3, `${what} is no error`);
      }
      assert.equal(refusalOf(made, server, { sid: "sid-7" }), "revoked");
    } finally {
      await made.close();
      await server.close();
    }
  });

  test("after a window that is refused, asks for the whole feed, and forgets nothing", async () => {
    const windows = {
      "a window that leaves revocations out": (server) => server.feed({ from: 5, to: 6, sids: ["sid-6"] }),
      "a window whose fingerprints belong to another": (server) => server.feed({ from: 2, to: 3, sids: ["sid-3"], fingerprints: fingerprintOf("sid-4") }),
      "a truncated window": (server) => server.feed({ from: 2, to: 3, sids: ["sid-3"] }).subarray(0, -1),
      "a window of another issuer": (server) => server.feed({ iss: "https://other.example", from: 2, to: 3, sids: ["sid-3"] }),
      "a window of another key": (server) => server.feed({ from: 2, to: 3, sids: ["sid-3"] }, { key: other }),
      "a page": () => "<html>",
    };
    await Promise.all(Object.entries(windows).map(async ([what, window]) => {
      const server = await issuer();
      server.revoke("sid-1", "sid-2");
      const made = await server.verifier();
      try {
        const sound = server.respond;
        server.respond = (response, request) => {
          if (request.url.includes("?")) return response.writeHead(200).end(window(server));
          sound(response, request);
        };
        const before = server.polls.length;
        await until(() => server.polls.slice(before).filter(({ url }) => url === "/revocations").length >= 2, "the whole again");
        const urls = server.polls.slice(before).map(({ url }) => url);
        const refused = urls.indexOf("/revocations?after=2");
        assert.deepEqual(urls.slice(refused, refused + 2), ["/revocations?after=2", "/revocations"], what);
        assert.deepEqual(["sid-1", "sid-2"].map((sid) => refusalOf(made, server, { sid })), ["revoked", "revoked"], what);
        assert.deepEqual(["sid-3", "sid-4", "sid-6"].map((sid) => refusalOf(made, server, { sid })), [undefined, undefined, undefined], what);
        // The whole contains later revocations, too, and after it the differences go on.
        server.revoke("sid-3");
        await until(() => refusalOf(made, server, { sid: "sid-3" }) === "revoked", "the later revocation");
        await until(() => server.polls.at(-1).url === "/revocations?after=3", "the difference again");
      } finally {
        await made.close();
        await server.close();
      }
    }));
  });

  test("when the whole feed is refused, too, fails closed at the age that is configured, and says why", async (context) => {
    const server = await issuer();
    server.revoke("sid-1");
    const made = await server.verifier({ pollSeconds: 1, maxAgeSeconds: 60 });
    const token = server.token({ sid: "sid-2", exp: now() + 3500 });
    const real = Date.now;
    try {
      server.respond = (response) => response.writeHead(200).end(server.feed({ from: 5, to: 6 }));
      await polled(server);
      await polled(server);
      assert.equal(made.verify(token).sid, "sid-2");
      context.mock.method(Date, "now", () => real() + 70_000);
      assert.throws(() => made.verify(token), { code: "revocations_unavailable", message: /leaves out revocations .*window_missing/ });
      context.mock.restoreAll();
      server.revoke("sid-2");
      await until(() => refusalOf(made, server, { sid: "sid-2" }) === "revoked", "the next whole feed");
    } finally {
      context.mock.restoreAll();
      await made.close();
      await server.close();
    }
  });

  test("a fingerprint that two sessions share revokes only tokens as old as the named one", async () => {
    const server = await issuer();
    // Only the last 12 characters count. In ids that the Worker made, they are random.
    const [named, bystander] = ["first-session-id-named", "other-session-id-named"];
    assert.deepEqual(fingerprintOf(named), fingerprintOf(bystander));
    const at = now() - 60;
    server.respond = (response) => response.writeHead(200).end(server.feed({ sids: [named], last_iat: at, last_exp: at + 600 }));
    const made = await server.verifier();
    try {
      const refusal = (sid, iat) => refusalOf(made, server, { sid, iat, exp: iat + 600 });
      assert.deepEqual([refusal(named, at), refusal(bystander, at)], ["revoked", "revoked"]);
      assert.equal(refusal(bystander, at + 1), undefined, "the bystander's next token, after a refresh");
    } finally {
      await made.close();
      await server.close();
    }
  });

  test("K5: without the issuer it uses the last feed, reports its age, and fails closed if configured to", async (context) => {
    const server = await issuer();
    server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-9"] }));
    const lasting = await server.verifier({ pollSeconds: 1 });
    const strict = await server.verifier({ pollSeconds: 1, maxAgeSeconds: 120 });
    const tokens = { good: server.token({ exp: now() + 3500 }), ended: server.token({ sid: "sid-9", exp: now() + 3500 }) };
    await server.close();
    const real = Date.now;
    try {
      for (const later of [0, 110]) {
        context.mock.method(Date, "now", () => real() + later * 1000);
        for (const made of [lasting, strict]) {
          // The clock jump also triggers its timers, so it asks once more, in vain.
          await made.ready();
          assert.equal(made.verify(tokens.good).sid, "sid-1");
          assert.throws(() => made.verify(tokens.ended), { code: "revoked" });
        }
      }
      context.mock.method(Date, "now", () => real() + 1_000_000);
      await lasting.ready();
      await assert.rejects(strict.ready(), { code: "revocations_unavailable" });
      assert.equal(lasting.verify(tokens.good).sid, "sid-1");
      assert.ok(lasting.health().revocationsAgeSeconds >= 1000);
      assert.throws(() => strict.verify(tokens.good), { code: "revocations_unavailable" });
    } finally {
      context.mock.restoreAll();
      await Promise.all([lasting.close(), strict.close()]);
    }
  });

  for (const [clock, ahead] of [["slow", 45], ["fast", -400]]) {
    test(`R11: with a clock that is too ${clock} for the issuer's feeds, accepts nothing once the last feed is five minutes old`, async (context) => {
      const server = await issuer();
      const made = await server.verifier({ pollSeconds: 1 });
      const token = server.token({ exp: now() + 3500 });
      const real = Date.now;
      try {
        assert.equal(made.verify(token).sid, "sid-1");
        // The new feeds name a session revoked since then, but the verifier cannot distinguish them
        // from old ones.
        const respond = server.respond;
        const before = server.polls.length;
        server.respond = (response) => {
          // The third poll gets no answer. After the jump of the clock, this feed would be valid.
          if (server.polls.length > before + 2) return;
          response.writeHead(200).end(server.feed({ iat: now() + ahead, exp: now() + ahead + 300, sids: ["sid-1"] }));
        };
        await until(() => server.polls.length > before + 2, "polls");
        assert.equal(made.verify(token).sid, "sid-1", "one malformed feed must not stop the verifier");
        context.mock.method(Date, "now", () => real() + 310_000);
        assert.throws(() => made.verify(token), { code: "revocations_unavailable", message: /clock/ });
        server.respond = respond;
        await until(() => {
          try {
            return made.verify(token);
          } catch {
            return false;
          }
        }, "a feed of this time");
      } finally {
        context.mock.restoreAll();
        await made.close();
        await server.close();
      }
    });
  }

  test("S1: verify() also learns about a revoked session within the interval", async (context) => {
    const server = await issuer();
    const options = { issuer: server.url, audience: AUDIENCE, revocations: true };
    const token = server.token();
    const real = Date.now;
    try {
      assert.equal((await verify(token, options)).sid, "sid-1");
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-1"] }));
      context.mock.method(Date, "now", () => real() + 10_000);
      assert.equal((await verify(token, options)).sid, "sid-1");
      context.mock.method(Date, "now", () => real() + 15_500);
      await assert.rejects(verify(token, options), { code: "revoked" });
    } finally {
      context.mock.restoreAll();
      await server.close();
    }
  });

  test("K7: refuses a cached token when the feed names its session", async () => {
    const server = await issuer();
    const made = await createVerifier({ issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 }, cache: { max: 10 } });
    try {
      const token = server.token();
      for (let i = 0; i < 3; i++) assert.equal(made.verify(token).sid, "sid-1");
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-1"] }));
      await until(() => {
        try {
          return !made.verify(token);
        } catch (error) {
          return error.code === "revoked";
        }
      }, "the feed");
    } finally {
      await made.close();
      await server.close();
    }
  });

  test("rejects invalid options", async () => {
    for (const revocations of [1, "yes", null, { pollSeconds: 0 }, { pollSeconds: 1.5 }, { pollSeconds: 301 }, { poll: 1 }, { maxAgeSeconds: 29 }, { maxAgeSeconds: NaN }]) {
      await assert.rejects(createVerifier({ issuer: "https://a.example", audience: AUDIENCE, jwks: { keys: [publicJwk(key)] }, revocations }), { code: "invalid_options" });
    }
  });
});

describe("the Worker and its verifiers", { timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-keys-"));
  const file = join(folder, "keys.json");
  const origin = "http://127.0.0.1";
  let pi;
  let workers;
  let issuer;

  const command = (...args) => execFileSync(process.execPath, [`${root}/pkg/cli/index.mjs`, "keys", ...args, "--file", file], { stdio: ["ignore", "pipe", "pipe"] });
  const kids = () => JSON.parse(readFileSync(file, "utf8")).keys.map(({ kid, state }) => `${state} ${kid}`).sort();

  before(async () => {
    const people = Array.from({ length: 50 }, (_, index) => [`token-${index}`, user({ uid: `uid-${index}`, username: `user_${index}` })]);
    pi = await startFakePi(Object.fromEntries(people));
    // Every state of the keys during a rotation, each deployed as a Worker with the same database.
    const states = {};
    command("new");
    states.a = readFileSync(file, "utf8");
    command("rotate");
    states.b = readFileSync(file, "utf8");
    command("rotate", "--now");
    states.c = readFileSync(file, "utf8");
    command("retire", "--now");
    states.d = readFileSync(file, "utf8");
    assert.equal(new Set([...Object.values(states)]).size, 4);
    const port = await freePort();
    issuer = `${origin}:${port}`;
    const shared = {
      ENVIRONMENT: "development", SESSION_ISSUER: issuer, SESSION_AUDIENCE: AUDIENCE, PI_API_BASE: pi.url, PI_APP_ID: "test-app", RATE_LIMITS: "off",
      SESSION_TTL: "3600", REFRESH_SECRET: randomBytes(32).toString("base64url"), MAX_SESSIONS_PER_USER: "100",
    };
    const compatibilityDate = readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1];
    const modules = [
      { type: "ESModule", path: `${root}/build/index.js` },
      { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
    ];
    workers = new Miniflare(convertV4MiniflareOptions({
      handleStructuredLogs() {},
      port,
      host: "127.0.0.1",
      workers: [
        {
          name: "front",
          modules: true,
          compatibilityDate,
          // Selects the current deployment.
          script: `let stage = "a"; export default { fetch(request, env) {
            const { pathname } = new URL(request.url);
            if (!pathname.startsWith("/deploy/")) return env[stage].fetch(request);
            stage = pathname.at(-1);
            return new Response();
          } }`,
          serviceBindings: Object.fromEntries(Object.keys(states).map((name) => [name, name])),
        },
        ...Object.entries(states).map(([name, keys]) => ({
          name, modulesRoot: `${root}/build`, modules, compatibilityDate, bindings: { ...shared, SESSION_KEYS: keys }, d1Databases: { DB: "test" },
        })),
      ],
    }));
    await workers.ready;
    // The first request sets the development database up.
    await ask("/session");
  });

  after(async () => {
    await workers?.dispose();
    await pi?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (path, { token, ...init } = {}) =>
    fetch(`${issuer}${path}`, { ...init, headers: { ...(init.body && { "content-type": "application/json" }), ...(token && { authorization: `Bearer ${token}` }) } });
  const signIn = async (index = 0) => {
    const response = await ask("/session", { method: "POST", body: JSON.stringify({ accessToken: `token-${index}` }) });
    assert.equal(response.status, 200);
    return response.json();
  };

  test("S1: verifiers refuse a session revoked at the Worker within the interval, and other devices stay signed in", async () => {
    const verifier = await createVerifier({ issuer, audience: AUDIENCE, revocations: { pollSeconds: 1 } });
    try {
      const [here, there] = [(await signIn()).sessionToken, (await signIn()).sessionToken];
      for (const token of [here, there]) assert.equal(verifier.verify(token).uid, "uid-0");
      assert.equal((await ask("/session", { token: here, method: "DELETE" })).status, 204);
      assert.equal((await ask("/session", { token: here })).status, 401);
      const isRevoked = (token) => {
        try {
          verifier.verify(token);
          return false;
        } catch (error) {
          return error.code === "revoked";
        }
      };
      await until(() => isRevoked(here), "the feed");
      assert.ok(!isRevoked(there));
      assert.ok(verifier.health().revocationsAgeSeconds <= 3);
    } finally {
      await verifier.close();
    }
  });

  test("a key rotation by the commands, under load, fails no request", async (context) => {
    const verifier = await createVerifier({ issuer, audience: AUDIENCE });
    const seen = new Set();
    let done = 0;
    /** Signs in and verifies, ten at a time. */
    const load = async (count) => {
      let left = count;
      const one = async () => {
        while (left-- > 0) {
          const index = left % 50;
          const { sessionToken, refreshToken } = await signIn(index);
          seen.add(JSON.parse(Buffer.from(sessionToken.split(".")[0], "base64url")).kid);
          assert.equal(verifier.verify(sessionToken).uid, `uid-${index}`);
          if (index % 10 === 0) {
            const refreshed = await ask("/session/refresh", { method: "POST", body: JSON.stringify({ refreshToken }) });
            assert.equal(verifier.verify((await refreshed.json()).sessionToken).uid, `uid-${index}`);
          }
          done += 1;
        }
      };
      await Promise.all(Array.from({ length: 10 }, one));
    };
    try {
      await load(250);
      const old = (await signIn()).sessionToken;
      // The first `keys rotate`: the Worker publishes the next key.
      await ask("/deploy/b");
      await load(250);
      assert.equal(seen.size, 1, "published, not yet signing");
      // Ten minutes pass on the verifier's clock: it fetches the keys again.
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + 600_000);
      await verifier.ready();
      assert.equal(verifier.health().keysAgeSeconds, 0);
      context.mock.restoreAll();
      // The second `keys rotate`: the new key signs, and tokens of the old one are still valid.
      await ask("/deploy/c");
      await load(250);
      assert.equal(seen.size, 2);
      assert.equal(verifier.verify(old).uid, "uid-0");
      assert.equal((await ask("/session", { token: old })).status, 200);
      // `keys retire` after all tokens of the old key have expired: tokens of the new key stay
      // valid.
      await ask("/deploy/d");
      await load(250);
      assert.equal(seen.size, 2);
      assert.equal(done, 1000);
      assert.equal((await ask("/session", { token: old })).status, 401);
      assert.deepEqual(kids().length, 1);
    } finally {
      await verifier.close();
    }
  });
});
