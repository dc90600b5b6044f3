// The npm package as its users get it: packed, installed in another folder, imported, required,
// compiled, run in Node 20 and 24, in workerd and in a browser, and compared with other JavaScript
// libraries.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { createPrivateKey, sign as edSign } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { createSigner } from "fast-jwt";
import { SignJWT, importJWK, jwtVerify } from "jose";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { paths, root } from "../../scripts/paths.mjs";
import { openBrowser } from "../support/browser.mjs";
import { feedOf, mint as signedBy } from "../support/issuer.mjs";
import { pack } from "../support/packed-example.mjs";

const ISSUER = "https://session.example.com";
const AUDIENCE = "example-app";
const TYP = "pi-session+jwt";

const key = newKey();
const { d, state, ...bare } = key;
const publicKey = { ...bare, alg: "EdDSA", use: "sig" };
const jwks = { keys: [publicKey] };
const privateKey = createPrivateKey({ key, format: "jwk" });

const now = () => Math.floor(Date.now() / 1000);
const base64url = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const claims = (members = {}) => ({
  iss: ISSUER, aud: AUDIENCE, sub: "uid-1", sid: "sid-1", iat: now(), exp: now() + 600, auth_time: now(), jti: "jti-1",
  scope: "username platform", preferred_username: "alice_pioneer", app_bound: true, ...members,
});
const header = { alg: "EdDSA", kid: key.kid, typ: TYP };

/** Signs any payload under any header with the private key. */
function mint(payload = claims(), head = header) {
  const signed = `${base64url(head)}.${base64url(payload)}`;
  return `${signed}.${edSign(null, Buffer.from(signed), privateKey).toString("base64url")}`;
}

/** Starts a server of keys that counts its requests. `respond` answers them. */
async function keyServer() {
  const server = { fetches: 0, respond: (response) => response.writeHead(200, { "content-type": "application/jwk-set+json" }).end(JSON.stringify(jwks)) };
  const http = createServer((_, response) => {
    server.fetches += 1;
    server.respond(response);
  });
  await new Promise((done) => http.listen(0, "127.0.0.1", done));
  server.url = `http://127.0.0.1:${http.address().port}`;
  server.close = () => {
    http.closeAllConnections();
    return new Promise((done) => http.close(done));
  };
  return server;
}

describe("the packed package", () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-"));
  let api;

  const node20 = process.env.NODE_20 || systemNode();

  /** The Node that is installed on this machine. npm puts another one before it on the path. */
  function systemNode() {
    const candidates = process.env.PATH.split(":").map((entry) => join(entry, "node"));
    return candidates.find((path) => !path.startsWith(paths.modules) && existsSync(path));
  }

  before(async () => {
    const tarball = pack(folder);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true }));
    execFileSync("npm", ["install", "--no-audit", "--no-fund", "--offline", tarball], { cwd: folder });
    api = await import(pathToFileURL(join(folder, "node_modules/pioneer-session/pkg/index.mjs")));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const verifier = (options = {}) => api.createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks, ...options });
  const throws = (action, code) => assert.throws(action, (error) => {
    assert.ok(error instanceof api.SessionError, String(error));
    assert.equal(error.code, code);
    assert.ok(error.hint);
    return true;
  });

  test("has no dependencies, and the versions agree", () => {
    const { dependencies, version } = JSON.parse(readFileSync(join(folder, "node_modules/pioneer-session/package.json"), "utf8"));
    assert.equal(dependencies, undefined);
    assert.equal(version, readFileSync(`${root}/Cargo.toml`, "utf8").match(/^version = "(.+)"/m)[1]);
  });

  test("publint and attw find nothing wrong", () => {
    // All kinds of resolution, also that of `module: commonjs`, which does not read `exports`.
    const attw = ["attw", "--pack", "."];
    for (const [tool, ...args] of [
      ["publint", "--strict"],
      [...attw, "--exclude-entrypoints", "worker", "simulator"],
      // Only wrangler loads them, so they need not work with require.
      [...attw, "--ignore-rules", "cjs-resolves-to-esm", "--entrypoints", "worker", "simulator"],
    ]) {
      const { status, stdout, stderr } = spawnSync(`${paths.modules}/.bin/${tool}`, args, { cwd: root, encoding: "utf8" });
      assert.equal(status, 0, `${tool}: ${stdout}${stderr}`);
    }
  });

  test("import and require return the same three names, and one SessionError, in the Node of this run and in the machine's own", () => {
    writeFileSync(join(folder, "both.mjs"), `
      import { createRequire } from "node:module";
      import * as imported from "pioneer-session";
      const required = createRequire(import.meta.url)("pioneer-session");
      if (required.SessionError !== imported.SessionError) throw new Error("two instances");
      for (const found of [imported, required]) {
        const names = Object.keys(found).sort().join();
        if (names !== "SessionError,createVerifier,verify") throw new Error("exports " + names);
      }
      const options = { issuer: ${JSON.stringify(ISSUER)}, audience: ${JSON.stringify(AUDIENCE)}, jwks: ${JSON.stringify(jwks)} };
      globalThis.fetch = () => { throw new Error("offline"); };
      const { uid } = await imported.verify(${JSON.stringify(mint())}, options);
      const same = (await required.createVerifier(options)).verify(${JSON.stringify(mint())});
      console.log(process.version, uid, same.uid);
    `);
    for (const node of [process.execPath, node20]) {
      assert.match(execFileSync(node, ["both.mjs"], { cwd: folder, encoding: "utf8" }), /^v\d+\.\S+ uid-1 uid-1\n$/);
    }
  });

  test("its types compile, in ES modules and in CommonJS", () => {
    const source = (head) => `${head}
      const options: VerifyOptions = { issuer: "a", audience: "b", clockTolerance: 5, jwks: { keys: [] } };
      export async function check(token: string): Promise<string | undefined> {
        try {
          const { uid, username, expiresAt } = await verify(token, options);
          const verifier = await createVerifier(options);
          const session: Session = verifier.verify(token);
          return uid + username + expiresAt.toISOString() + session.claims.jti;
        } catch (error) {
          if (error instanceof SessionError && error.code === "expired") return error.hint;
          // @ts-expect-error a token is a string
          await verify(42, options);
          throw error;
        }
      }`;
    const names = "SessionError, createVerifier, verify, type Session, type VerifyOptions";
    writeFileSync(join(folder, "esm.mts"), source(`import { ${names} } from "pioneer-session";`));
    writeFileSync(join(folder, "cjs.cts"), source(`import { ${names} } from "pioneer-session";`));
    writeFileSync(join(folder, "page.mts"), `
      import { SignInError, finishPiSignIn, resume, signIn, startPiSignIn, type BrowserSession, type SessionOptions } from "pioneer-session/browser";
      declare const Pi: {
        authenticate(scopes: string[], found: (payment: unknown) => void): Promise<{ accessToken: string; user: object }>;
        createPayment(payment: { amount: number; memo: string; metadata: object }, callbacks: { onCancel(paymentId: string): void }): void;
      };
      const options: SessionOptions = { issuer: "https://a.example", origins: ["https://b.example"], storage: sessionStorage, onSignedOut: (error) => console.log(error?.code) };
      export async function begin(): Promise<string | undefined> {
        try {
          const session: BrowserSession = (await finishPiSignIn(options)) ?? (await resume({ ...options, Pi })) ?? (await signIn(Pi, { ...options, scopes: ["payments"], onRecovered: ({ state, txid }) => console.log(state, txid?.length) }));
          const { fetch, user, expiresAt } = session;
          // @ts-expect-error once the session has ended, there is no user
          console.log(user.uid);
          const { txid } = await session.pay(Pi, "coffee", { onState: (state, error) => console.log(state === "delayed", error?.code) });
          console.log(txid.length);
          return (await fetch("https://b.example", { method: "PUT" })).statusText + user?.uid + expiresAt?.toISOString();
        } catch (error) {
          if (error instanceof SignInError && error.code === "cancelled") return error.message;
          // @ts-expect-error the client id is required
          startPiSignIn({ redirectUri: "https://a.example" });
          throw error;
        }
      }`);
    // Compiled apart, because the declaration is for a whole program.
    writeFileSync(join(folder, "global.mts"), `
      import "pioneer-session/pi";
      import { pageSession, signIn, signInWithToken, type SessionState } from "pioneer-session/browser";
      import { useSession } from "pioneer-session/react";
      await Pi.init({ version: "2.0", sandbox: true });
      await signIn(window.Pi, { issuer: "https://a.example" });
      const { accessToken, user } = await Pi.authenticate(["payments"], ({ identifier, transaction }) => console.log(identifier, transaction?.txid));
      const session = await signInWithToken(accessToken, { issuer: "https://a.example", scopes: ["payments"], getAccessToken: async (scopes, found) => (await Pi.authenticate(scopes, found)).accessToken });
      console.log(user.username, (await session.pay(Pi, "coffee")).txid);
      const end: () => void = session.subscribe(({ user }) => console.log(user?.uid));
      const { result, adId } = await Pi.Ads.showAd("rewarded");
      if (result === "AD_REWARDED") console.log(adId?.length, (await Pi.nativeFeaturesList()).includes("ad_network"));
      Pi.openShareDialog("title", "text");
      // @ts-expect-error the other two types do not exist
      await Pi.Ads.showAd("banner");
      const page = pageSession({ issuer: "https://a.example", getPi: async () => { await Pi.init({ version: "2.0" }); return Pi; } });
      export function Name(): string {
        const state: SessionState = useSession(page);
        // @ts-expect-error only a signed-in state has a user
        console.log(state.user.uid);
        if (state.status === "signedIn") return state.user.username ?? state.user.uid;
        return state.status === "signedOut" ? (state.error?.message ?? "") : state.status;
      }
      // @ts-expect-error the page is required
      useSession();
      // @ts-expect-error the issuer is required
      pageSession({});
      const { signIn: enter } = page;
      document.onclick = () => enter();
      end();`);
    writeFileSync(join(folder, "reference.cts"), `
      /// <reference types="pioneer-session/pi" />
      void Pi.init({ version: "2.0" });`);
    const tsc = (...args) => spawnSync(`${paths.modules}/.bin/tsc`, ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--types", "", ...args], { cwd: folder, encoding: "utf8" });
    for (const { status, stdout } of [tsc("esm.mts", "cjs.cts"), ...["page.mts", "global.mts", "reference.cts"].map((name) => tsc("--lib", "es2022,dom", name))]) assert.equal(status, 0, stdout);
  });

  test("works in workerd", async () => {
    const server = await keyServer();
    // Bundled as wrangler does: the wasm stays a module for the runtime.
    const { build } = await import("esbuild");
    writeFileSync(join(folder, "entry.mjs"), `
      import { verify } from "pioneer-session";
      const options = ${JSON.stringify({ issuer: ISSUER, audience: AUDIENCE })};
      const inline = { ...options, jwks: ${JSON.stringify(jwks)} };
      const remote = { ...options, jwksUrl: ${JSON.stringify(`${server.url}/keys`)} };
      export default { async fetch(request) {
        try {
          const { uid } = await verify(await request.text(), request.url.endsWith("remote") ? remote : inline);
          return new Response(uid);
        } catch (error) { return new Response(error.code, { status: 401 }); }
      } };`);
    await build({ entryPoints: [join(folder, "entry.mjs")], outfile: join(folder, "worker/entry/entry.js"), bundle: true, format: "esm", conditions: ["workerd"], external: ["*.wasm", "cloudflare:workers"], logLevel: "error" });
    const worker = new Miniflare(convertV4MiniflareOptions({
      modulesRoot: join(folder, "worker"),
      modules: [
        { type: "ESModule", path: join(folder, "worker/entry/entry.js") },
        { type: "CompiledWasm", path: join(folder, "worker/wasm/pioneer_session_bg.wasm"), contents: readFileSync(`${paths.wasm}/pioneer_session_bg.wasm`) },
      ],
      compatibilityDate: "2026-11-01",
    }));
    try {
      const url = await worker.ready;
      const post = async (body, path = "/") => (await fetch(new URL(path, url), { method: "POST", body })).text();
      assert.equal(await post(mint()), "uid-1");
      assert.equal(await post(`${mint()}A`), "token_malformed");
      assert.equal(await post(mint(claims({ exp: now() - 60, iat: now() - 600 }))), "expired");
      // K6: requests that arrive together share one fetch, and none waits forever.
      const together = await Promise.all(Array.from({ length: 20 }, () => post(mint(), "/remote")));
      assert.deepEqual([...new Set(together)], ["uid-1"]);
      assert.equal(server.fetches, 1);
    } finally {
      await worker.dispose();
      await server.close();
    }
  });

  test("works in a browser as static files, and names the missing part of a Content-Security-Policy", async () => {
    const types = { mjs: "text/javascript", js: "text/javascript" };
    const server = createServer((request, response) => {
      const [path, policy] = request.url.split("?");
      if (path === "/") {
        return response.writeHead(200, { "content-type": "text/html", ...(policy && { "content-security-policy": decodeURIComponent(policy) }) }).end("<!doctype html>");
      }
      try {
        const file = readFileSync(join(folder, "node_modules/pioneer-session", path));
        response.writeHead(200, { "content-type": types[path.split(".").at(-1)] }).end(file);
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const browser = await openBrowser();
    try {
      const page = await browser.newPage();
      const inPage = async (policy = "") => {
        await page.goto(`http://127.0.0.1:${server.address().port}/?${encodeURIComponent(policy)}`);
        return page.evaluate(
          async ([options, good, expired]) => {
            const { createVerifier } = await import("/pkg/entry/web.mjs");
            let verifier;
            try {
              verifier = await createVerifier(options);
            } catch (error) {
              return `${error.name}: ${error.message}`;
            }
            const code = (token) => {
              try {
                return verifier.verify(token).uid;
              } catch (error) {
                return error.code;
              }
            };
            return [code(good), code(expired)];
          },
          [{ issuer: ISSUER, audience: AUDIENCE, jwks }, mint(), mint(claims({ exp: now() - 60, iat: now() - 600 }))],
        );
      };
      assert.deepEqual(await inPage(), ["uid-1", "expired"]);
      assert.deepEqual(await inPage("script-src 'self' 'wasm-unsafe-eval'; connect-src 'none'"), ["uid-1", "expired"]);
      assert.match(await inPage("script-src 'self'"), /^TypeError: .*add 'wasm-unsafe-eval' to script-src/);
    } finally {
      await browser.close();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  });

  test("an import does not compile the wasm, and the first calls share one instance", () => {
    writeFileSync(join(folder, "first.mjs"), `
      let compiled = 0;
      for (const name of ["Module", "Instance"]) {
        const Real = WebAssembly[name];
        WebAssembly[name] = class extends Real { constructor(...args) { super(...args); compiled += 1; } };
      }
      const { instantiate } = WebAssembly;
      WebAssembly.instantiate = (...args) => { compiled += 1; return instantiate(...args); };
      globalThis.fetch = () => { throw new Error("offline"); };
      const options = { issuer: ${JSON.stringify(ISSUER)}, audience: ${JSON.stringify(AUDIENCE)}, jwks: ${JSON.stringify(jwks)} };
      const { verify, createVerifier, makeVerifier } = await import(process.argv[2]);
      const atImport = compiled;
      const token = ${JSON.stringify(mint())};
      // The synchronous call comes while the others wait for the engine.
      const waiting = [verify(token, options), createVerifier(options)];
      const made = makeVerifier(options);
      const [{ uid }, created] = await Promise.all(waiting);
      const uids = [uid, created.verify(token).uid, made.verify(token).uid, (await verify(token, options)).uid];
      console.log(JSON.stringify({ atImport, uids }));
    `);
    // Bundlers that target Node and do not set the condition "node" use web.mjs.
    for (const entry of ["wasm/node.cjs", "entry/web.mjs"].map((file) => `./node_modules/pioneer-session/pkg/${file}`)) {
      for (const node of [process.execPath, node20]) {
        const { status, stdout, stderr } = spawnSync(node, ["first.mjs", entry], { cwd: folder, encoding: "utf8" });
        assert.equal(status, 0, stderr);
        assert.deepEqual(JSON.parse(stdout), { atImport: 0, uids: ["uid-1", "uid-1", "uid-1", "uid-1"] }, entry);
      }
    }
  });

  test("without WebAssembly, an import succeeds, and each call says what to do", () => {
    writeFileSync(join(folder, "without.mjs"), `
      const { WebAssembly } = globalThis;
      delete globalThis.WebAssembly;
      const { SessionError, verify, createVerifier, makeVerifier } = await import("./node_modules/pioneer-session/pkg/wasm/node.cjs");
      const options = { issuer: ${JSON.stringify(ISSUER)}, audience: ${JSON.stringify(AUDIENCE)}, jwks: ${JSON.stringify(jwks)} };
      const token = ${JSON.stringify(mint())};
      for (const call of [() => verify(token, options), () => createVerifier(options), async () => makeVerifier(options)]) {
        const error = await call().catch((error) => error);
        if (!(error instanceof TypeError) || !/WebAssembly is not defined/.test(error.message)) throw error;
      }
      // A later call tries again.
      globalThis.WebAssembly = WebAssembly;
      console.log((await verify(token, options)).uid);
    `);
    assert.equal(execFileSync(process.execPath, ["without.mjs"], { cwd: folder, encoding: "utf8" }), "uid-1\n");
  });

  for (const alg of ["EdDSA", "Ed25519"]) test(`T1 to T9, T13 to T15: with ${alg} in the header of a good token, every other header, spelling and payload is refused`, async () => {
    assert.equal(publicKey.alg, "EdDSA"); // the key's name of the algorithm, with either header
    const made = await verifier();
    const check = (token) => made.verify(token);
    const head = { alg, kid: key.kid, typ: TYP };
    const good = mint(claims(), head);
    assert.equal(check(good).uid, "uid-1");
    const payload = JSON.stringify(claims());
    for (const other of [
      ...["none", "HS256", "ES256", "RS256", "Ed448", "Ed25519ph", "eddsa", "EDDSA", "ed25519", "ED25519", `${alg} `, [alg], ["EdDSA", "Ed25519"], null, undefined].map((name) => ({ ...head, alg: name })),
      { ...head, kid: "other" }, { ...head, kid: undefined }, { ...head, kid: ["x"] }, { ...head, kid: "__proto__" }, { ...head, typ: "JWT" }, { ...head, typ: undefined },
      { ...head, jwk: publicKey }, { ...head, jku: "https://evil.example" }, { ...head, crit: ["b64"], b64: false },
      { typ: TYP, kid: key.kid, alg }, { alg, typ: TYP, kid: key.kid }, `${JSON.stringify(head)} `, JSON.stringify(head).replace(",", ", "),
      ...["EdDSA", "Ed25519"].map((name) => JSON.stringify(head).replace("{", `{"alg":"${name}",`)),
    ]) {
      throws(() => check(mint(payload, other)), "unknown_key");
    }
    // The signature is over the name, so a token has no second spelling by the other name.
    const renamed = base64url({ ...head, alg: alg === "EdDSA" ? "Ed25519" : "EdDSA" });
    throws(() => check(good.replace(/^[^.]+/, renamed)), "bad_signature");
    for (const text of ["[]", '"x"', "1", "null", "", "{}", "{", `${payload} x`, `\ufeff${payload}`, payload.replace("}", ',"sub":"b"}'), payload.replace("}", ',"su\\u0062":"b"}'), payload.replace("}", ',"x":"\\ud800"}'), payload.replace("}", ',"x":1e400}')]) {
      const code = text === "" ? "token_malformed" : "invalid_claims";
      throws(() => check(mint(text, head)), code);
    }
    for (const [text, code] of [
      [`${good}=`, "token_malformed"], [`${good}\n`, "token_malformed"], [` ${good}`, "token_malformed"], [`"${good}"`, "token_malformed"],
      [`Bearer ${good}`, "token_malformed"], [`${good}.x`, "token_malformed"], [good.replaceAll(".", ""), "token_malformed"], ["", "token_malformed"],
      [good.replace(/.$/, "\u0141"), "token_malformed"], ["x".repeat(4097), "token_too_long"], ["x".repeat(2 ** 24), "token_too_long"],
    ]) {
      throws(() => check(text), code);
    }
    assert.throws(() => check(`Bearer ${good}`), ({ hint }) => hint.includes('without "Bearer "'));
    // 64 bytes leave four spare bits in base64, so there are sixteen spellings. Only one is a
    // token.
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const accepted = [...alphabet].filter((last) => {
      try {
        return check(good.slice(0, -1) + last);
      } catch {
        return false;
      }
    });
    assert.deepEqual(accepted, [good.at(-1)]);
  });

  test("R15, A6: a polluted Object.prototype adds no option, no key and no credential", async () => {
    const [attackers, asked] = [newKey(), []];
    let iss;
    const signed = (payload, signer = key) => signedBy(payload, { key: signer });
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers["x-polluted"] ?? ""}`);
      if (request.url === "/revocations") return response.end(feedOf({ iss, aud: AUDIENCE, sids: ["ended"] }, { key }));
      if (request.headers["if-none-match"] === '"keys"') return response.writeHead(304).end();
      response.writeHead(200, { etag: '"keys"' }).end(JSON.stringify(jwks));
    });
    const attacker = createServer((request, response) => {
      asked.push(`${request.method} the attacker's ${request.url}`);
      response.end(JSON.stringify({ keys: [] }));
    });
    for (const each of [server, attacker]) await new Promise((done) => each.listen(0, "127.0.0.1", done));
    const [url, attackerUrl] = [server, attacker].map((each) => `http://127.0.0.1:${each.address().port}`);
    iss = url;
    const { d: _d, state: _state, ...attackersPublic } = { ...attackers, alg: "EdDSA", use: "sig" };
    const of = (members) => claims({ iss, sub: "uid-alice", ...members });
    const { preferred_username: _name, app_bound: _bound, ...sparse } = of();
    const program = {
      issuer: iss, audience: AUDIENCE, jwks,
      attacker: { url: attackerUrl, jwks: { keys: [attackersPublic] }, token: signed(of({ iss: attackerUrl }), attackers) },
      tokens: {
        good: signed(of()), attackers: signed(of(), attackers), justExpired: signed(of({ iat: now() - 600, exp: now() - 20 })), otherAudience: signed(of({ aud: "other-app" })),
        otherIssuer: signed(of({ iss: attackerUrl })), revoked: signed(of({ sid: "ended" })), sparse: signed(sparse), lasting: signed(of({ exp: now() + 3000 })),
        attackersLasting: signed(of({ exp: now() + 3000 }), attackers),
      },
    };
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [`${root}/tests/package/polluted.mjs`], { cwd: root, env: { ...process.env, PROGRAM: JSON.stringify(program) } });
      const { members, checks, failures } = JSON.parse(stdout);
      assert.deepEqual(failures, []);
      assert.ok(members > 30 && Object.keys(checks).length > 10);
      for (const [name, count] of Object.entries(checks)) assert.ok(count === members + 1 || name.startsWith("node:http"), name);
      assert.deepEqual([...new Set(asked)].sort(), ["GET /.well-known/jwks.json ", "GET /revocations "], "the requests that were made");
    } finally {
      for (const each of [server, attacker]) {
        each.closeAllConnections();
        await new Promise((done) => each.close(done));
      }
    }
  });

  test("T16: a token that is not a string is a TypeError", async () => {
    const { verify } = api;
    const made = await verifier();
    for (const token of [undefined, null, 42, {}, [], new String(mint()), Buffer.from(mint()), { toString: mint }]) {
      assert.throws(() => made.verify(token), TypeError);
      await assert.rejects(verify(token, { issuer: ISSUER, audience: AUDIENCE, jwks }), TypeError);
    }
  });

  test("T16: a getter is read once, so it cannot pass a check with one value and be used with another", async () => {
    const attackers = newKey();
    const { d: _d, state: _state, ...attackersPublic } = { ...attackers, alg: "EdDSA", use: "sig" };
    /** Options whose members return their first value once, and the next value after that. */
    const changing = (values) => {
      const options = {};
      for (const [name, [first, next]] of Object.entries(values)) {
        let reads = 0;
        Object.defineProperty(options, name, { enumerable: true, get: () => (reads++ === 0 ? first : next) });
      }
      return options;
    };
    const values = () => changing({
      issuer: [ISSUER, "https://evil.example"], audience: [AUDIENCE, "other-app"], clockTolerance: [0, 60],
      jwks: [changing({ keys: [[publicKey], [attackersPublic]] }), { keys: [attackersPublic] }], cache: [changing({ max: [3, 1e9] }), false],
    });
    const justExpired = mint(claims({ iat: now() - 600, exp: now() - 20 }));
    const made = await api.createVerifier(values());
    assert.equal(made.verify(mint()).uid, "uid-1");
    throws(() => made.verify(justExpired), "expired");
    assert.equal((await api.verify(mint(), values())).uid, "uid-1");
    await assert.rejects(api.verify(justExpired, values()), { code: "expired" });
    // The key set and the options may also change after the call.
    const keys = [publicKey];
    const options = { issuer: ISSUER, audience: AUDIENCE, jwks: { keys } };
    const later = await api.createVerifier(options);
    keys[0] = attackersPublic;
    options.audience = "other-app";
    assert.equal(later.verify(mint()).uid, "uid-1");
  });

  test("T16, A6: only the object's own members are options", async () => {
    const options = { issuer: ISSUER, audience: AUDIENCE, jwks };
    for (const inherited of Object.keys(options)) {
      const { [inherited]: value, ...rest } = options;
      const odd = Object.assign(Object.create({ [inherited]: value }), rest);
      if (inherited === "jwks") odd.jwksUrl = "http://127.0.0.1:9/keys";
      const code = inherited === "jwks" ? "keys_unavailable" : "invalid_options";
      await assert.rejects(api.createVerifier(odd), { name: "SessionError", code }, inherited);
    }
    // JSON.parse makes such members the object's own, but they are not options.
    for (const text of ['{"__proto__":{"jwks":{}}}', '{"constructor":{}}']) {
      await assert.rejects(api.createVerifier({ ...JSON.parse(text), ...options, ["__proto__"]: {} }), { code: "invalid_options" });
    }
  });

  test("T14, A6: claims with the name of a prototype pollute neither the session nor its copies", async () => {
    const bad = '"__proto__":{"polluted":true,"list":[1]},"constructor":{"prototype":{"polluted":true}},"toJSON":"x","hasOwnProperty":1,"then":2';
    const escaped = bad.replace("__proto__", "\\u005f_proto\\u005f_").replace("constructor", "con\\u0073tructor");
    for (const members of [bad, escaped, `"extra":[{"deep":{${bad}}}]`, `"extra":{${escaped}}`]) {
      for (const cache of [false, { max: 2 }]) {
        const made = await verifier({ cache });
        const token = mint(JSON.stringify(claims({ preferred_username: "al\"ice\\" })).replace(/}$/, `,${members}}`));
        for (let time = 0; time < 2; time++) {
          const session = made.verify(token);
          assert.equal(session.uid, "uid-1");
          assert.equal(session.username, 'al"ice\\');
          /** Copies member by member, and follows objects, as careless code does. */
          const merge = (target, source) => {
            for (const name of Object.keys(source)) {
              if (source[name] !== null && typeof source[name] === "object") merge((target[name] ??= {}), source[name]);
              else target[name] = source[name];
            }
            return target;
          };
          const merged = merge({}, session.claims);
          const assigned = Object.assign({}, session.claims, session.claims.extra);
          for (const object of [{}, [], session, session.claims, merged, assigned]) assert.equal(object.polluted, undefined);
          assert.equal(Object.getPrototypeOf(assigned), Object.prototype);
          assert.equal(JSON.parse(JSON.stringify(session)).claims.sub, "uid-1");
          assert.ok(session.claims.extra || session.claims.toJSON === "x", "the other claims are kept");
        }
      }
    }
  });

  test("R11, C7: with the largest tolerance and the slowest clock, a token is accepted for at most two minutes after it has expired", async (context) => {
    const exp = now() + 300;
    const token = mint(claims({ iat: exp - 600, exp }));
    const verifiers = await Promise.all([false, { max: 5 }].map((cache) => verifier({ clockTolerance: 60, cache })));
    /** Sets the clock to this many seconds after the token has expired, and 60 seconds slow. */
    const at = (seconds) => {
      context.mock.restoreAll();
      context.mock.method(Date, "now", () => (exp + seconds - 60) * 1000);
    };
    try {
      for (const made of verifiers) {
        for (const seconds of [0, 60, 119]) {
          at(seconds);
          assert.equal(made.verify(token).uid, "uid-1", `${seconds} s after its end`);
        }
        for (const seconds of [120, 121, 3600]) {
          at(seconds);
          throws(() => made.verify(token), "expired");
        }
        at(120 - 0.001);
        assert.equal(made.verify(token).uid, "uid-1");
      }
    } finally {
      context.mock.restoreAll();
    }
  });

  test("C1 to C6: claims just inside and outside of their limits", async () => {
    const made = await verifier();
    for (const [members, code] of [
      [{ exp: now() - 6, iat: now() - 100 }, "expired"], [{ iat: now() + 60, exp: now() + 600 }, "not_yet_valid"], [{ nbf: now() + 60 }, "not_yet_valid"],
      [{ nbf: null }, "invalid_claims"], [{ exp: String(now() + 600) }, "invalid_claims"], [{ exp: now() + 0.5 }, "invalid_claims"], [{ exp: undefined }, "invalid_claims"],
      [{ exp: now() * 1000 }, "invalid_claims"], [{ iat: now(), exp: now() + 3602 }, "invalid_claims"], [{ iat: undefined }, "invalid_claims"],
      [{ aud: [AUDIENCE] }, "invalid_claims"], [{ aud: `${AUDIENCE}/` }, "wrong_audience"], [{ aud: undefined }, "invalid_claims"],
      [{ iss: `${ISSUER}/` }, "wrong_issuer"], [{ iss: ISSUER.replace("https", "http") }, "wrong_issuer"], [{ iss: undefined }, "invalid_claims"],
      [{ sub: "" }, "invalid_claims"], [{ sub: "x".repeat(129) }, "invalid_claims"], [{ sub: 7 }, "invalid_claims"], [{ sid: undefined }, "invalid_claims"],
    ]) {
      throws(() => made.verify(mint(claims(members))), code);
    }
    assert.equal(made.verify(mint(claims({ exp: now() - 2, iat: now() - 100 }))).uid, "uid-1");
    assert.equal(made.verify(mint(claims({ nbf: now(), extra: { __proto__: null, polluted: true } }))).uid, "uid-1");
    assert.equal(made.verify(mint(JSON.stringify(claims()).replace("}", ',"__proto__":{"polluted":true}}'))).uid, "uid-1");
    assert.equal({}.polluted, undefined);
  });

  test("the session has the documented members", async () => {
    const { claims: raw, ...session } = (await verifier()).verify(mint());
    assert.deepEqual(Object.keys(session).sort(), ["appBound", "authTime", "expiresAt", "issuedAt", "scopes", "sid", "uid", "username"]);
    assert.deepEqual(session.scopes, ["username", "platform"]);
    assert.equal(session.expiresAt.getTime(), raw.exp * 1000);
    const { preferred_username: _, ...rest } = claims();
    assert.ok(!("username" in (await verifier()).verify(mint({ ...rest, scope: "" }))));
  });

  test("tokens from jose and fast-jwt are accepted only in the exact format", async () => {
    const made = await verifier();
    const imported = await importJWK(key, "EdDSA");
    const exact = await new SignJWT(claims()).setProtectedHeader(header).sign(imported);
    assert.equal(made.verify(exact).uid, "uid-1");
    throws(() => made.verify(createSigner({ algorithm: "EdDSA", key: privateKey.export({ type: "pkcs8", format: "pem" }), kid: key.kid })(claims())), "unknown_key");
    const other = await new SignJWT(claims()).setProtectedHeader({ alg: "EdDSA", typ: "JWT", kid: key.kid }).sign(imported);
    throws(() => made.verify(other), "unknown_key");
    await jwtVerify(exact, await importJWK(publicKey), { issuer: ISSUER });
  });

  test("invalid options and key sets are refused", async () => {
    const rejects = (options, code = "invalid_options") => assert.rejects(api.createVerifier({ issuer: ISSUER, audience: AUDIENCE, ...options }), { name: "SessionError", code });
    for (const options of [
      { issuer: "" }, { issuer: 7 }, { audience: undefined }, { jwks, clockTolerance: 61 }, { jwks, clockTolerance: -1 }, { jwks, clockTolerance: NaN },
      { jwks, jwksUrl: "https://a.example" }, { jwks, revocation: true }, { jwksUrl: "http://a.example/keys" }, { jwksUrl: "file:///etc/passwd" }, { issuer: "not a url" },
      { jwks: { keys: [] } }, { jwks: {} }, { jwks: null }, { jwks: { keys: [key] } }, { jwks: { keys: [publicKey, publicKey] } }, { jwks: { keys: [{ ...publicKey, kid: "other" }] } },
      { jwks: { keys: [{ ...publicKey, x: publicKey.x.slice(1) }] } }, { jwks: { keys: [{ ...publicKey, x: `${publicKey.x}=` }] } }, { jwks: { keys: [{ ...publicKey, use: "enc" }] } },
      { jwks: { keys: [{ ...publicKey, crv: "Ed448" }] } }, { jwks: { keys: [{ ...publicKey, x: "A".repeat(43) }] } },
    ]) {
      await rejects(options);
    }
    await assert.rejects(api.createVerifier(), TypeError);
  });

  test("K2, K3, K5: keys by URL are fetched once, kept while the issuer fails, and not fetched for each forged token", async () => {
    const server = await keyServer();
    try {
      const options = { issuer: ISSUER, audience: AUDIENCE, jwksUrl: `${server.url}/keys` };
      const made = await api.createVerifier(options);
      for (let i = 0; i < 100; i++) made.verify(mint());
      assert.equal(server.fetches, 1);
      for (let i = 0; i < 1000; i++) throws(() => made.verify(mint(claims(), { ...header, kid: `kid-${i}` })), "unknown_key");
      assert.equal(server.fetches, 1, "an unknown key within 30 s of a fetch causes no other");
      assert.ok(made.health().keysAgeSeconds <= 5);
      await made.close();
      for (const respond of [
        (response) => response.writeHead(302, { location: "/elsewhere" }).end(),
        (response) => response.writeHead(200).end("<html>"),
        (response) => response.writeHead(200).end("x".repeat(70_000)),
        (response) => response.writeHead(200).end(JSON.stringify({ keys: {} })),
        (response) => response.writeHead(200).end(JSON.stringify({ keys: [key] })),
        (response) => response.writeHead(200).end(JSON.stringify({ keys: [publicKey, publicKey] })),
        (response) => response.writeHead(500).end(),
        (response) => response.destroy(),
      ]) {
        server.fetches = 0;
        server.respond = respond;
        await assert.rejects(api.createVerifier(options), { name: "SessionError", code: "keys_unavailable" });
        assert.equal(server.fetches, 1);
      }
    } finally {
      await server.close();
    }
  });

  test("K2: after a failure, verify works again as soon as the issuer answers", async (context) => {
    const server = await keyServer();
    const { respond } = server;
    try {
      const options = { issuer: ISSUER, audience: AUDIENCE, jwksUrl: `${server.url}/recovering` };
      server.respond = (response) => response.writeHead(200).end('{"keys":[]}');
      await assert.rejects(api.verify(mint(), options), { code: "keys_unavailable" });
      await assert.rejects(api.verify(mint(), options), { code: "keys_unavailable" });
      assert.equal(server.fetches, 1, "not asked again within the pause");
      server.respond = respond;
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + 5_500);
      assert.equal((await api.verify(mint(), options)).uid, "uid-1");
      assert.equal(server.fetches, 2);
    } finally {
      context.mock.restoreAll();
      await server.close();
    }
  });

  test("verify() fetches the keys of its issuer", async () => {
    const server = await keyServer();
    try {
      const options = { issuer: server.url, audience: AUDIENCE };
      const token = mint(claims({ iss: server.url }));
      for (let i = 0; i < 3; i++) assert.equal((await api.verify(token, options)).uid, "uid-1");
      assert.equal(server.fetches, 1);
    } finally {
      await server.close();
    }
  });

  test("K2, T4: a new key is found after the cooldown, and a slow issuer causes keys_unavailable", async (context) => {
    const server = await keyServer();
    try {
      const next = newKey();
      const { d: _, state: __, ...nextPublic } = next;
      const nextToken = (() => {
        const signed = `${base64url({ ...header, kid: next.kid })}.${base64url(claims())}`;
        return `${signed}.${edSign(null, Buffer.from(signed), createPrivateKey({ key: next, format: "jwk" })).toString("base64url")}`;
      })();
      const options = { issuer: ISSUER, audience: AUDIENCE, jwksUrl: `${server.url}/rotating` };
      assert.equal((await api.verify(mint(), options)).uid, "uid-1");
      server.respond = (response) => response.end(JSON.stringify({ keys: [publicKey, nextPublic] }));
      await assert.rejects(api.verify(nextToken, options), { code: "unknown_key" });
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + 31_000);
      assert.equal((await api.verify(nextToken, options)).uid, "uid-1");
      assert.equal(server.fetches, 2);
      // The issuer removes the old key. Its tokens are refused once the set has been fetched again.
      server.respond = (response) => response.end(JSON.stringify({ keys: [nextPublic] }));
      context.mock.restoreAll();
      context.mock.method(Date, "now", () => real() + 62_000);
      await assert.rejects(api.verify(mint(claims(), { ...header, kid: "x" }), options), { code: "unknown_key" });
      await assert.rejects(api.verify(mint(), options), { code: "unknown_key" });
      context.mock.restoreAll();

      server.respond = () => {};
      const started = performance.now();
      await assert.rejects(api.createVerifier({ ...options, jwksUrl: `${server.url}/slow` }), { code: "keys_unavailable" });
      assert.ok(performance.now() - started < 10_000);
    } finally {
      await server.close();
    }
  });

  test("K4, K5: a removed key is refused after five minutes, and keys are used for an hour while the issuer fails", async (context) => {
    const server = await keyServer();
    try {
      const other = newKey();
      const { d: _d, state: _state, ...next } = { ...other, alg: "EdDSA", use: "sig" };
      server.respond = (response) => response.writeHead(200).end(JSON.stringify({ keys: [publicKey, next] }));
      const options = { issuer: ISSUER, audience: AUDIENCE, jwksUrl: `${server.url}/removed` };
      const lasting = mint(claims({ exp: now() + 3500 }));
      assert.equal((await api.verify(lasting, options)).uid, "uid-1");
      const made = await api.createVerifier(options);
      server.respond = (response) => response.writeHead(200).end(JSON.stringify({ keys: [next] }));
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + 290_000);
      assert.equal((await api.verify(lasting, options)).uid, "uid-1");
      context.mock.method(Date, "now", () => real() + 301_000);
      await assert.rejects(api.verify(lasting, options), { code: "unknown_key" });
      context.mock.restoreAll();

      // A set of ten thousand keys and a body that is no set are ignored; the known keys stay for
      // an hour.
      for (const body of [JSON.stringify({ keys: Array.from({ length: 10_000 }, () => publicKey) }), "[]", "null"]) {
        server.respond = (response) => response.writeHead(200).end(body);
        context.mock.method(Date, "now", () => real() + 3_400_000);
        assert.equal((await made.ready()).verify(lasting).uid, "uid-1");
        context.mock.restoreAll();
      }
      server.respond = (response) => response.writeHead(503).end();
      context.mock.method(Date, "now", () => real() + 3_601_000);
      await assert.rejects(made.ready(), { code: "keys_unavailable", message: /503/ });
      await made.close();
    } finally {
      context.mock.restoreAll();
      await server.close();
    }
  });

  test("K5: after a quiet hour the first token waits for keys, and a closed verifier says so", async (context) => {
    const server = await keyServer();
    try {
      const options = { issuer: ISSUER, audience: AUDIENCE, jwksUrl: `${server.url}/quiet` };
      assert.equal((await api.verify(mint(), options)).uid, "uid-1");
      const made = await api.createVerifier(options);
      await made.close();
      const token = mint(claims({ iat: now() + 3700, exp: now() + 4300 }));
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + 3_701_000);
      assert.equal((await api.verify(token, options)).uid, "uid-1");
      assert.equal(server.fetches, 3);
      assert.throws(() => made.verify(token), { code: "keys_unavailable", message: /closed/ });
    } finally {
      await server.close();
    }
  });

  test("K7: the cache returns no expired token and none of a removed key, and a caller cannot change the session of another", async (context) => {
    const server = await keyServer();
    try {
      const options = { issuer: ISSUER, audience: AUDIENCE, jwks, cache: { max: 3 } };
      const made = await api.createVerifier(options);
      const token = mint(claims({ exp: now() + 100, nested: { list: [1] } }));
      const first = made.verify(token);
      first.uid = "evil";
      first.scopes.push("evil");
      first.expiresAt.setTime(0);
      assert.throws(() => (first.claims.sub = "evil"), TypeError);
      assert.throws(() => first.claims.nested.list.push(2), TypeError);
      const second = made.verify(token);
      assert.deepEqual([second.uid, second.scopes, second.claims.nested.list], ["uid-1", ["username", "platform"], [1]]);
      assert.ok(second.expiresAt.getTime() > Date.now());
      // Any other spelling is another token.
      for (let at = 0; at < token.length; at += 7) throws2(() => made.verify(token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1)));
      for (let i = 0; i < 100; i++) assert.equal(made.verify(mint(claims({ jti: `jti-${i}` }))).claims.jti, `jti-${i}`);
      const real = Date.now;
      const clock = (offset) => {
        context.mock.restoreAll(); // each mock would wrap the one before it
        context.mock.method(Date, "now", () => real() + offset);
      };
      assert.equal(made.verify(token).uid, "uid-1");
      clock(103_000); // two seconds before the tolerance ends, because the token's times are whole seconds and this test takes a while
      assert.equal(made.verify(token).uid, "uid-1");
      clock(106_000);
      throws(() => made.verify(token), "expired");
      clock(-60_000);
      throws(() => made.verify(token), "not_yet_valid");
      context.mock.restoreAll();

      const remote = { issuer: ISSUER, audience: AUDIENCE, jwksUrl: `${server.url}/cached`, cache: { max: 3 } };
      const other = newKey();
      const { d: _d, state: _state, ...next } = { ...other, alg: "EdDSA", use: "sig" };
      const lasting = mint(claims({ exp: now() + 3500 }));
      const following = await api.createVerifier(remote);
      assert.equal(following.verify(lasting).uid, "uid-1");
      server.respond = (response) => response.writeHead(200).end(JSON.stringify({ keys: [next] }));
      clock(301_000);
      await following.ready();
      throws(() => following.verify(lasting), "unknown_key");
      context.mock.restoreAll();
      await following.close();
      for (const cache of [true, 1, {}, { max: 0 }, { max: 1.5 }, { max: 100_001 }, null]) await assert.rejects(api.createVerifier({ ...options, cache }), { code: "invalid_options" });
    } finally {
      context.mock.restoreAll();
      await server.close();
    }

    function throws2(action) {
      assert.throws(action, { name: "SessionError" });
    }
  });

  test("a verifier returns the same results when it is warmed and when it is not", async () => {
    const [cold, warm] = [await verifier(), (await verifier()).warm()];
    for (let i = 0; i < 100; i++) {
      const token = mint(claims({ jti: `jti-${i}` }));
      assert.deepEqual(cold.verify(token), warm.verify(token));
      const at = token.length - 1 - (i % 80);
      const forged = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
      for (const made of [cold, warm]) assert.throws(() => made.verify(forged), { name: "SessionError" });
    }
  });

  test("an error never contains the token", async () => {
    const token = mint(claims({ iss: "https://evil.example" }));
    try {
      (await verifier()).verify(token);
      assert.fail("accepted");
    } catch (error) {
      for (const text of [JSON.stringify(error), String(error), error.stack, error.hint]) {
        assert.ok(!text.includes("evil.example") && !text.includes(token.slice(0, 40)));
      }
    }
  });
});
