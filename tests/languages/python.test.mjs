// The program of docs/languages/python.md with an issuer: the built Worker, and one that fails,
// redirects and counts the requests.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newKey } from "../../pkg/cli/keys.mjs";
import { paths } from "../../scripts/paths.mjs";
import { AUDIENCE, claims, feedOf, issuer as startFakeIssuer, mint } from "../support/issuer.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";
import { writePage } from "./pages.mjs";
import { languages } from "./rows.mjs";

/** Starts the page's program for this issuer. It polls the feed each second. */
function startApp(url, audience) {
  const page = writePage("python");
  const settings = 'Issuer("http://localhost:8787", "demo")';
  const code = page.read("app.py");
  assert.ok(code.includes(settings));
  page.write("app.py", code.replace(settings, `Issuer(${JSON.stringify(url)}, ${JSON.stringify(audience)}, poll=1)`));
  const child = spawn(paths.python, ["app.py"], { cwd: page.folder, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    /** The answer to a request with this token. */
    async ask(token) {
      child.stdin.write(`${token}\n`);
      return (await lines.next()).value;
    },
    async stop() {
      child.stdin.end();
      const code = child.exitCode ?? (await new Promise((done) => child.once("exit", done)));
      page.remove();
      assert.equal(code, 0);
    },
  };
}

/** Runs `work` with the program, and stops it. */
async function withApp(url, audience, work) {
  const app = startApp(url, audience);
  try {
    await work(app);
  } finally {
    await app.stop();
  }
}

// Without Python, the set-up has said so.
describe("the Python program of the documents", { skip: !languages.python.find() && "Python is not installed" }, () => {
  test("accepts a session of the built Worker until the user signs out", async () => {
    const pi = await startSimulator();
    const worker = await startIssuer({ pi: pi.url, allowedOrigin: "https://app.example" });
    try {
      const body = JSON.stringify({ accessToken: "sim-alice" });
      const answer = await fetch(`${worker.url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body });
      const { sessionToken, user } = await answer.json();
      await withApp(worker.url, "test-app", async ({ ask }) => {
        assert.equal(await ask(sessionToken), user.uid);
        assert.equal(await ask(`${sessionToken.slice(0, -86)}${"A".repeat(86)}`), "401 bad_signature");
        assert.equal(await ask("no token"), "401 token_malformed");
        assert.equal((await worker.endSession(sessionToken)).status, 204);
        await sleep(6_100); // the Worker's process remembers the feed for five seconds, then the next poll
        assert.equal(await ask(sessionToken), "401 revoked");
      });
    } finally {
      await worker.close();
      await pi.close();
    }
  });

  test("forged tokens with unknown keys cause one fetch of the keys, not one each", async () => {
    const fake = await startFakeIssuer();
    try {
      await withApp(fake.url, AUDIENCE, async ({ ask }) => {
        for (let i = 0; i < 20; i++) assert.equal(await ask(fake.token({}, { key: newKey() })), "401 unknown_key");
        assert.equal(await ask(fake.tokens.good), "uid-alice");
        assert.equal(fake.asked.filter((path) => path === "/.well-known/jwks.json").length, 1);
      });
    } finally {
      await fake.close();
    }
  });

  test("while the issuer fails, it uses the last keys and the last feed", async () => {
    let isFailing = false;
    const fake = await startFakeIssuer({ fails: () => isFailing });
    try {
      await withApp(fake.url, AUDIENCE, async ({ ask }) => {
        assert.equal(await ask(fake.tokens.good), "uid-alice");
        isFailing = true;
        await sleep(1_100); // the next poll
        assert.equal(await ask(fake.tokens.good), "uid-alice");
        assert.equal(await ask(fake.tokens.revoked), "401 revoked");
        assert.ok(fake.asked.filter((path) => path === "/revocations").length >= 2);
      });
    } finally {
      await fake.close();
    }
  });

  test("while the feed is unchanged, it keeps the last one", async () => {
    const key = newKey();
    const { kty, crv, x, kid } = key;
    const etag = 'W/"unchanged"';
    const answers = [];
    let iss;
    const server = createServer((request, response) => {
      if (request.url !== "/revocations") return response.end(JSON.stringify({ keys: [{ kty, crv, x, kid }] }));
      const status = request.headers["if-none-match"] === etag ? 304 : 200;
      answers.push(status);
      response.writeHead(status, { etag }).end(status === 200 ? feedOf({ iss, sids: ["ended"] }, { key }) : undefined);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    iss = `http://127.0.0.1:${server.address().port}`;
    try {
      await withApp(iss, AUDIENCE, async ({ ask }) => {
        assert.equal(await ask(mint(claims(iss), { key })), "uid-alice");
        await sleep(1_100); // the next poll
        assert.equal(await ask(mint(claims(iss), { key })), "uid-alice");
        assert.equal(await ask(mint(claims(iss, { sid: "ended", iat: claims(iss).iat - 60 }), { key })), "401 revoked");
        assert.deepEqual(answers.slice(0, 2), [200, 304]);
      });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  for (const failing of ["/.well-known/jwks.json", "/revocations"]) {
    test(`without ${failing} from the start, it accepts nothing`, async () => {
      const fake = await startFakeIssuer({ fails: (path) => path === failing });
      try {
        await withApp(fake.url, AUDIENCE, async ({ ask }) => {
          assert.equal(await ask(fake.tokens.good), "503");
          assert.equal(await ask(fake.tokens.forged), "503");
        });
      } finally {
        await fake.close();
      }
    });
  }

  test("it follows no redirect, and reads no answer that is too long or not a key set", async () => {
    const fake = await startFakeIssuer();
    const bodies = ["", "[]", '{"keys":[{}]}', '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"a"}]}', " ".repeat(64 * 1024 + 1), "\xff"];
    try {
      for (const body of [undefined, ...bodies]) {
        const server = createServer((request, response) => {
          if (body === undefined) response.writeHead(302, { location: `${fake.url}${request.url}` }).end();
          else response.end(Buffer.from(body, "latin1"));
        });
        await new Promise((done) => server.listen(0, "127.0.0.1", done));
        await withApp(`http://127.0.0.1:${server.address().port}`, AUDIENCE, async ({ ask }) => assert.equal(await ask(fake.tokens.good), "503", body));
        server.closeAllConnections();
        server.close();
      }
      assert.deepEqual(fake.asked, []);
    } finally {
      await fake.close();
    }
  });
});
