// Runs the recipes of docs/recipes.md as they are written there, against the built Worker. Without
// a session, a request is refused; with one, it is answered; and once the session is revoked, it is
// refused again.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../../scripts/paths.mjs";
import { table } from "../docs/document.mjs";
import { AUDIENCE, issuer as startTestIssuer } from "../support/issuer.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";
import { Application, page, prepare, program } from "./applications.mjs";

const ALICE = { uid: "a11ce000-0000-4000-8000-000000000001", username: "alice_pioneer" };
const FEED_MS = 15_000; // between two polls of the feed, as in the recipes
const KEPT_MS = 5_000; // how long the Worker keeps what it has read for the feed
const CHECK_MS = 5_000; // between two checks of a socket, and the deadline for its token
const SLOW_MS = 5_000; // two busy cores

/**
 * The recipes for requests. `profile` is the guarded path, `other` another spelling of it, and
 * `more` are paths that a guard for a folder must guard as well. `data` and `code` find the route's
 * answer and the code of a refusal.
 */
const REQUESTS = [
  {
    name: "sveltekit", options: { sources: "src" }, profile: "/api/profile", other: "/%61pi/profile", more: ["/api", "/api/inside"],
    async start(app, issuer) {
      app.build(program("vite"), "build");
      await app.start(issuer, process.execPath, ["build"]);
    },
  },
  { name: "h3", profile: "/api/profile", other: "/%61pi/profile", start: (app, issuer) => app.start(issuer, process.execPath, ["server.js"]) },
  {
    name: "h3-1", profile: "/api/profile", other: "/%61pi/profile",
    // The changes that the page describes.
    options: {
      recipe: "h3", links: { h3: "h3-1" },
      edit: (text) => text.replace("import { defineHandler }", "import { defineEventHandler, toWebRequest }").replace("defineHandler(", "defineEventHandler(").replace("event.req)", "toWebRequest(event))"),
    },
    start: (app, issuer) => app.start(issuer, process.execPath, ["server.js"]),
  },
  {
    name: "react-router", options: { sources: "app", dependencies: { isbot: "*" } }, profile: "/api/profile", other: "/%61pi/profile",
    async start(app, issuer) {
      app.build(program("react-router"), "build");
      await app.start(issuer, program("react-router-serve"), ["build/server/index.js"]);
    },
  },
  {
    name: "astro", options: { sources: "src" }, profile: "/api/profile", other: "/%61pi/profile", more: ["/api"],
    async start(app, issuer) {
      app.build(program("astro"), "build");
      await app.start(issuer, process.execPath, ["dist/server/entry.mjs"]);
    },
  },
  { name: "elysia", profile: "/api/profile", other: "/%61pi/profile", start: (app, issuer) => app.start(issuer, program("bun"), ["server.js"], { fixed: 3004 }) },
  {
    name: "deno", options: { recipe: "serve" }, profile: "/api/profile", other: "/%61pi/profile",
    start: (app, issuer) =>
      app.start(issuer, program("deno"), ["serve", "--no-prompt", "--node-modules-dir=manual", "--host", "127.0.0.1", "--port", "$PORT", "--allow-net=127.0.0.1", "--allow-env=SESSION_ISSUER,SESSION_AUDIENCE", "server.js"]),
  },
  { name: "bun", options: { recipe: "serve" }, profile: "/api/profile", other: "/%61pi/profile", start: (app, issuer) => app.start(issuer, program("bun"), ["server.js"]) },
  {
    name: "trpc", profile: "/trpc/profile", other: "/trpc/%70rofile",
    start: (app, issuer) => app.start(issuer, process.execPath, ["server.js"]),
    data: ({ result }) => result.data, code: ({ error }) => error.message,
  },
];

const authorization = (token) => ({ headers: { authorization: `Bearer ${token}` } });

describe("the recipes", () => {
  const apps = {};
  /** The clients of Socket.io: they reconnect for ever, so they are closed after a failure, too. */
  const clients = [];
  let simulator;
  let issuer;
  let testIssuer;
  let alice;
  let gone;

  const signIn = async () => {
    const response = await fetch(`${issuer.url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"accessToken":"sim-alice"}' });
    return (await response.json()).sessionToken;
  };
  const opened = (client) => {
    clients.push(client);
    return client;
  };
  /** The token with the signature of another one. */
  const forged = () => alice.replace(/[^.]+$/, gone.split(".")[2]);
  /** A session as the page has it. */
  const sessionWith = (token) => ({ token, renewsAt: new Date(Date.now() + 60_000), renew: () => assert.fail("the session needs no renewal") });

  before(async () => {
    prepare();
    simulator = await startSimulator();
    issuer = { ...(await startIssuer({ pi: simulator.url, allowedOrigin: "https://app.example.com", variables: { SESSION_TTL: "3600" } })), audience: "test-app" };
    testIssuer = { ...(await startTestIssuer()), audience: AUDIENCE };
    alice = await signIn();
    gone = await signIn();
  });
  after(async () => {
    for (const client of clients) client.disconnect();
    await Promise.all(Object.values(apps).map((app) => app.close()));
    await Promise.all([issuer, simulator, testIssuer].map((server) => server?.close()));
  });

  for (const { name, options, profile, other, more = [], start, data = (body) => body, code = (body) => body.code } of REQUESTS) {
    test(`${name}: answers only requests with a valid session`, async () => {
      apps[name] = new Application(name, options);
      await start(apps[name], issuer);
      const { url } = apps[name];
      const ask = async (path, init) => {
        const response = await fetch(`${url}${path}`, init);
        return { status: response.status, text: await response.text() };
      };
      assert.equal((await ask("/")).status, 200);

      const refused = async (init, reason, path = profile) => {
        const { status, text } = await ask(path, init);
        assert.equal(status, 401, text);
        assert.equal(code(JSON.parse(text)), reason);
      };
      const invalid = name === "trpc" ? "bad_signature" : "session_invalid";
      await refused({}, "session_missing");
      await refused({}, "session_missing", `${profile}?token=${alice}`);
      await refused({ headers: { cookie: `session=${alice}` } }, "session_missing");
      await refused(authorization(forged()), invalid);
      for (const path of more) await refused({}, "session_missing", path);
      // Another spelling of the path, which some routers send to the same route.
      for (const path of [other, `/${profile}`, `${profile}/`, `${profile}.data`]) {
        const { text } = await ask(path, { redirect: "manual" });
        assert.ok(!text.includes(ALICE.uid) && !text.includes("undefined"), `${path}: ${text}`);
      }
      for (const token of [alice, gone]) {
        const { status, text } = await ask(profile, authorization(token));
        assert.equal(status, 200, text);
        assert.deepEqual(data(JSON.parse(text)), ALICE);
      }
    });
  }

  describe("websocket", () => {
    let openSocket;
    const closed = async (socket) => {
      const { code, reason } = (await once(socket, "close"))[0];
      return `${code} ${reason}`;
    };
    const message = async (socket) => (await once(socket, "message"))[0].data;
    /** A socket that sends this as its first message. */
    async function begin(first, query = "") {
      const socket = new WebSocket(apps.websocket.url.replace("http", "ws") + query);
      await once(socket, "open");
      if (first !== undefined) socket.send(first);
      return socket;
    }

    before(async () => {
      apps.websocket = new Application("websocket");
      await apps.websocket.start(issuer, process.execPath, ["server.js"], { fixed: 3005 });
      ({ openSocket } = await apps.websocket.module("page.js"));
    });

    test("answers a session, and no socket without one", async () => {
      const socket = await openSocket(apps.websocket.url.replace("http", "ws"), sessionWith(alice));
      assert.equal(await message(socket), "signed in");
      socket.send("hello");
      assert.equal(await message(socket), `${ALICE.username}: hello`);
      socket.close();
      assert.equal(await closed(await begin(forged())), "4401 bad_signature");
      assert.equal(await closed(await begin("hello", `?token=${alice}`)), "4401 token_malformed");
      assert.equal(await closed(await begin(new Uint8Array(100))), "4401 token_malformed");
      assert.equal(await closed(await begin("")), "4401 token_malformed");
    });

    test("the page renews a session that is about to expire, before it opens a socket", async () => {
      const session = { token: gone, renewsAt: new Date(0), renew: async () => void (session.token = alice) };
      const socket = await openSocket(apps.websocket.url.replace("http", "ws"), session);
      assert.equal(session.token, alice);
      assert.equal(await message(socket), "signed in");
      socket.close();
    });

    test("closes a socket that sends no token, and one that sends too much", { timeout: 2 * (CHECK_MS + SLOW_MS) }, async () => {
      const started = Date.now();
      assert.equal(await closed(await begin()), "4401 session_missing");
      assert.ok(Date.now() - started < CHECK_MS + SLOW_MS);
      assert.match(await closed(await begin("x".repeat(8_193))), /^(1006|1009) /);
      const socket = await begin(alice);
      assert.equal(await message(socket), "signed in");
      socket.send("x".repeat(8_193));
      assert.match(await closed(socket), /^(1006|1009) /);
      assert.equal(await message(await begin(alice)), "signed in");
    });
  });

  describe("socket-io", () => {
    let openSocket;
    let client;
    /** Resolves with "connected", or with the reason for which the server refuses. */
    const outcome = (socket) => Promise.race([once(socket, "connect").then(() => "connected"), once(socket, "connect_error").then(([{ message }]) => message)]);
    const begin = (options) => opened(client.io(apps["socket-io"].url, { forceNew: true, reconnection: false, ...options }));

    before(async () => {
      apps["socket-io"] = new Application("socket-io");
      await apps["socket-io"].start(issuer, process.execPath, ["server.js"], { fixed: 3006 });
      ({ openSocket } = await apps["socket-io"].module("page.js"));
      client = await import(new URL("../../target/recipes/node_modules/socket.io-client/build/esm/index.js", import.meta.url));
    });

    test("answers a session, and no socket without one", async () => {
      const socket = opened(openSocket(apps["socket-io"].url, sessionWith(alice)));
      assert.equal(await outcome(socket), "connected");
      assert.equal(await socket.emitWithAck("say", "hello"), `${ALICE.username}: hello`);
      socket.disconnect();
      for (const [options, reason] of [
        [{}, "token_malformed"],
        [{ auth: { token: forged() } }, "bad_signature"],
        [{ auth: { token: { toString: 1 } } }, "token_malformed"],
        [{ query: { token: alice } }, "token_malformed"],
        [{ extraHeaders: { authorization: `Bearer ${alice}` } }, "token_malformed"],
      ]) {
        const refused = begin(options);
        assert.equal(await outcome(refused), reason, JSON.stringify(options));
        refused.disconnect();
      }
    });

    test("the page renews a session that is about to expire, before it connects", async () => {
      const session = { token: gone, renewsAt: new Date(0), renew: async () => void (session.token = alice) };
      const socket = opened(openSocket(apps["socket-io"].url, session));
      assert.equal(await outcome(socket), "connected");
      assert.equal(session.token, alice);
      socket.disconnect();
    });

    test("closes a connection that sends no token, and one that sends too much", { timeout: 2 * (CHECK_MS + SLOW_MS) }, async () => {
      const started = Date.now();
      const raw = new WebSocket(`${apps["socket-io"].url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
      await once(raw, "close");
      assert.ok(Date.now() - started < CHECK_MS + SLOW_MS);
      const socket = begin({ auth: { token: alice }, transports: ["websocket"] });
      assert.equal(await outcome(socket), "connected");
      socket.emit("say", "x".repeat(8_193));
      await once(socket, "disconnect");
    });
  });

  describe("once the session is revoked", () => {
    let socket;
    let io;
    let stays;
    before(async () => {
      const address = apps.websocket.url.replace("http", "ws");
      const [pageOfSocket, pageOfIo] = await Promise.all(["websocket", "socket-io"].map((name) => apps[name].module("page.js")));
      socket = await pageOfSocket.openSocket(address, sessionWith(gone));
      stays = await pageOfSocket.openSocket(address, sessionWith(alice));
      io = opened(pageOfIo.openSocket(apps["socket-io"].url, sessionWith(gone)));
      await Promise.all([once(socket, "message"), once(stays, "message"), once(io, "connect")]);
      socket.closed = once(socket, "close");
      io.closed = once(io, "disconnect");
      assert.equal((await issuer.endSession(gone)).status, 204);
    });

    for (const { name, profile, code = (body) => body.code } of REQUESTS) {
      test(`${name}: refuses it, and no other`, async () => {
        const deadline = Date.now() + FEED_MS + KEPT_MS + SLOW_MS;
        let response;
        do {
          response = await fetch(`${apps[name].url}${profile}`, authorization(gone));
          if (response.ok) await sleep(200);
        } while (response.ok && Date.now() < deadline);
        assert.equal(response.status, 401);
        assert.equal(code(await response.json()), name === "trpc" ? "revoked" : "session_revoked");
        assert.equal((await fetch(`${apps[name].url}${profile}`, authorization(alice))).status, 200);
      });
    }

    test("websocket: closes a socket that only listens, and no other", { timeout: FEED_MS + KEPT_MS + CHECK_MS + SLOW_MS }, async () => {
      const { code, reason } = (await socket.closed)[0];
      assert.equal(`${code} ${reason}`, "4401 revoked");
      assert.equal(stays.readyState, WebSocket.OPEN);
      stays.close();
    });

    test("socket-io: disconnects a socket that only listens", { timeout: FEED_MS + KEPT_MS + CHECK_MS + SLOW_MS }, async () => {
      assert.equal((await io.closed)[0], "io server disconnect");
    });
  });

  describe("once the token has expired", () => {
    const TOLERANCE_MS = 5_000; // the verifier's
    const short = () => testIssuer.token({ exp: Math.floor(Date.now() / 1000) + 2 });

    test("websocket and socket-io: disconnect sockets that only listen", { timeout: 2_000 + TOLERANCE_MS + CHECK_MS + 2 * SLOW_MS }, async () => {
      for (const [name, fixed] of [["websocket", 3005], ["socket-io", 3006]]) {
        const copy = `${name}-expired`;
        apps[copy] = new Application(copy, { recipe: name });
        await apps[copy].start(testIssuer, process.execPath, ["server.js"], { fixed });
      }
      const pages = await Promise.all(["websocket", "socket-io"].map((name) => apps[name].module("page.js")));
      const socket = await pages[0].openSocket(apps["websocket-expired"].url.replace("http", "ws"), sessionWith(short()));
      const io = opened(pages[1].openSocket(apps["socket-io-expired"].url, sessionWith(short())));
      const ended = Promise.all([once(socket, "close"), once(io, "disconnect")]);
      await Promise.all([once(socket, "message"), once(io, "connect")]);
      const [[{ reason }], [why]] = await ended;
      assert.deepEqual([reason, why], ["expired", "io server disconnect"]);
    });
  });
});

test("docs/recipes.md names the versions of tests/recipes/package.json", () => {
  const { devDependencies } = JSON.parse(readFileSync(`${root}/tests/recipes/package.json`, "utf8"));
  const version = (name) => devDependencies[name].replace(/^npm:.+@/, "");
  const names = { SvelteKit: "@sveltejs/kit", "React Router": "react-router", Astro: "astro", Elysia: "elysia", tRPC: "@trpc/server", WebSocket: "ws", "Socket.io": "socket.io" };
  assert.ok(page.includes(`| Deno ${version("deno")}, Bun ${version("bun")} |`));
  const written = Object.fromEntries(table(page, "framework", "version").map(([cell, text]) => [cell.match(/\[(.+?)\]/)[1], text]));
  assert.deepEqual(written, {
    ...Object.fromEntries(Object.entries(names).map(([name, of]) => [name, version(of)])),
    "no framework": "–",
    "Nuxt and h3": `h3 ${version("h3")}, and h3 ${version("h3-1")}, which Nuxt 4 has`,
  });
});

test("A7: the frameworks have exact versions and checksums", () => {
  const json = (name) => JSON.parse(readFileSync(`${root}/tests/recipes/${name}`, "utf8"));
  for (const version of Object.values(json("package.json").devDependencies)) assert.match(version, /^(npm:[a-z0-9]+@)?\d+\.\d+\.\d+$/);
  for (const [name, { integrity }] of Object.entries(json("package-lock.json").packages)) assert.ok(name === "" || integrity?.startsWith("sha512-"), name);
});
