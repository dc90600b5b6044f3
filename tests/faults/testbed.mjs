// The test bed of the faults: the built Worker in fault-worker.mjs, the simulated Pi, the proxy
// between them, and users.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { generateProof } from "dpop";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { startWorkerProcess } from "../support/worker-process.mjs";
import { processOf, startSimulator } from "../support/workers.mjs";
import { startPiProxy } from "./pi-proxy.mjs";

export const AUDIENCE = "test-app";
export const CREDENTIAL = randomBytes(32).toString("base64url");
export const OPERATOR = randomBytes(32).toString("base64url");
const LIMITS = ["SIGN_IN", "USER_SIGN_IN", "REFRESH", "ORDER", "PAYMENT", "AD", "WRITE", "READ"].map((name) => `${name}_LIMIT`);

const contents = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const MODULES = [
  { type: "ESModule", path: `${root}/build/fault-worker.mjs`, contents: contents("fault-worker.mjs") },
  { type: "ESModule", path: `${root}/build/wasm-memory.mjs`, contents: contents("wasm-memory.mjs") },
  { type: "ESModule", path: `${root}/build/index.js` },
  { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
];

/** Connects to the inspector of the isolate, with the protocol of Chrome's developer tools. */
async function inspect(inspector) {
  const targets = await (await fetch(`http://${inspector.host}/json/list`)).json();
  const target = targets.find(({ id }) => id.startsWith("core:user:")) ?? targets[0];
  const url = new URL(target.webSocketDebuggerUrl).pathname;
  const socket = new WebSocket(`ws://${inspector.host}${url}`);
  const waiting = new Map();
  let asked = 0;
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(data);
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  await new Promise((done, fail) => {
    socket.addEventListener("open", done);
    socket.addEventListener("error", () => fail(new Error(`no inspector at ${url}`)));
  });
  const ask = (method) => new Promise((done) => {
    asked += 1;
    waiting.set(asked, done);
    socket.send(JSON.stringify({ id: asked, method }));
  });
  return { ask, close: () => socket.close() };
}

let numbers = 0; // the number of the next user; each user appears in one case

/** Starts everything. With a folder for its database, a test can kill the Worker and start it
 * again. */
export async function startTestbed(folder) {
  const simulator = await startSimulator();
  const proxy = await startPiProxy(simulator.url);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const lines = [];
  const options = {
    modules: MODULES,
    bindings: {
      ENVIRONMENT: "development",
      SESSION_ISSUER: url,
      SESSION_AUDIENCE: AUDIENCE,
      SESSION_KEYS: JSON.stringify({ keys: [newKey()] }),
      REFRESH_SECRET: randomBytes(32).toString("base64url"),
      BACKEND_CREDENTIALS: JSON.stringify({ api: createHash("sha256").update(CREDENTIAL).digest("hex") }),
      OPERATOR_CREDENTIALS: JSON.stringify({ alice: { sha256: createHash("sha256").update(OPERATOR).digest("hex"), role: "owner" } }),
      PI_API_BASE: proxy.url,
      PI_APP_ID: "simulated-app",
      PI_API_KEY: "simulated-server-api-key",
      PI_NETWORK: "Pi Testnet",
    },
    // The Worker calls every limiter, but none of these limits is ever reached.
    ratelimits: Object.fromEntries(LIMITS.map((name, index) => [name, { namespace_id: String(index + 1), simple: { limit: 1_000_000, period: 60 } }])),
  };
  const testbed = { url, proxy, simulator, lines, issuer: url };

  if (folder === undefined) {
    const worker = new Miniflare(convertV4MiniflareOptions({
      ...options,
      host: "127.0.0.1",
      port,
      modulesRoot: `${root}/build`,
      compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
      d1Databases: { DB: "test" },
      inspectorPort: 0,
      handleStructuredLogs: ({ message }) => lines.push(message),
    }));
    testbed.pid = await processOf(worker);
    await fetch(`${url}/session`); // sets the development database up
    const database = await worker.getD1Database("DB");
    testbed.rows = async (sql) => (await database.prepare(sql).all()).results;
    testbed.batch = async (statements) => (await database.batch(statements.map((sql) => database.prepare(sql)))).map(({ results }) => results);
    const inspector = await inspect(await worker.getInspectorURL());
    testbed.heap = async () => {
      // An idle isolate does not read messages to its inspector.
      const timer = setInterval(() => fetch(`${url}/faults/memory`).then((response) => response.text(), () => {}), 100);
      await inspector.ask("HeapProfiler.collectGarbage");
      const { usedSize } = await inspector.ask("Runtime.getHeapUsage");
      clearInterval(timer);
      return usedSize;
    };
    testbed.stop = async () => {
      inspector.close();
      await worker.dispose();
    };
  } else {
    let worker;
    testbed.start = async () => void (worker = await startWorkerProcess({ ...options, port, state: folder }));
    testbed.rows = (sql) => worker.rows(sql);
    testbed.kill = () => worker.kill();
    testbed.stop = () => worker.close();
    await testbed.start();
  }
  await testbed.rows("INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'A cup of coffee', 31400000) ON CONFLICT DO NOTHING");

  /** Sends a request to the Worker. `faults` says which of its calls break: `{ d1: { 2: "hang" }
   * }`. */
  testbed.ask = async (method, path, { body, token, faults, headers } = {}) => {
    const began = performance.now();
    const response = await fetch(url + path, {
      method,
      body: body && (typeof body === "string" ? body : JSON.stringify(body)),
      headers: {
        ...(body && { "content-type": "application/json" }),
        ...(token && { authorization: `Bearer ${token}` }),
        ...(faults && { "x-faults": JSON.stringify({ ...faults, at: proxy.url }) }),
        ...headers,
      },
    });
    const text = await response.text();
    const took = performance.now() - began;
    let json = {};
    if (text.startsWith("{")) json = JSON.parse(text);
    return { status: response.status, headers: response.headers, text, json, took, calls: JSON.parse(response.headers.get("x-calls") ?? "{}") };
  };
  /** Runs the scheduled event once, this many seconds ahead. */
  testbed.scheduled = (seconds, faults) => testbed.ask("POST", "/faults/scheduled", { faults: { ...faults, aheadMs: seconds * 1000 } });
  /** Runs the scheduled event until it changes no payment any more. */
  testbed.drain = async () => {
    const unfinished = async () => JSON.stringify(await testbed.rows("SELECT id, state FROM payments WHERE state IN ('recorded', 'approved') ORDER BY id"));
    for (const ahead of [200, 900, 1800, 3600, 7200]) {
      for (let [before, now, run] = ["", await unfinished(), 0]; before !== now && run < 100; run++) {
        await testbed.scheduled(ahead);
        [before, now] = [now, await unfinished()];
      }
    }
  };
  /** Sends a user's request to Pi, without the Worker. */
  testbed.pi = async (user, method, path, body) => {
    const response = await fetch(`${simulator.url}/simulator/${path}`, { method, headers: { authorization: `Bearer ${user.accessToken}` }, body: body && JSON.stringify(body) });
    return response.status === 204 ? undefined : response.json();
  };
  testbed.ledger = () => testbed.pi({ accessToken: "" }, "GET", "ledger");
  testbed.close = async () => {
    await testbed.stop();
    await proxy.close();
    await simulator.close();
  };
  testbed.newUser = (number = numbers++) => new User(testbed, number);
  return testbed;
}

/** A user of the simulated Pi, with tokens, orders, payments and ads. */
export class User {
  constructor(testbed, number) {
    this.testbed = testbed;
    this.accessToken = `sim-crowd-${number}`;
    this.uid = `c4007d00-0000-4000-8000-${String(number).padStart(12, "0")}`;
    [this.orders, this.payments, this.ads, this.sids] = [[], [], [], []];
  }

  ask(method, path, options) {
    return this.testbed.ask(method, path, { token: this.token, ...options });
  }

  async signIn(faults, { headers, dpopJkt } = {}) {
    const answer = await this.testbed.ask("POST", "/session", { body: { accessToken: this.accessToken, dpopJkt }, headers, faults });
    if (answer.status === 200) this.keep(answer.json);
    return answer;
  }

  /** Refreshes with a proof of the key. */
  async prove(key, refreshToken, faults) {
    const dpop = await generateProof(key, `${this.testbed.url}/session/refresh`, "POST");
    return this.ask("POST", "/session/refresh", { token: null, body: { refreshToken }, headers: { dpop }, faults });
  }

  keep({ sessionToken, refreshToken }) {
    [this.token, this.refreshToken] = [sessionToken, refreshToken];
    this.sid = JSON.parse(Buffer.from(sessionToken.split(".")[1], "base64url")).sid;
    this.sids.push(this.sid);
  }

  async order(faults, headers) {
    const answer = await this.ask("POST", "/orders", { body: { productId: "coffee" }, headers, faults });
    if (answer.status === 201) this.orders.push(answer.json.orderId);
    return answer;
  }

  /** Creates an order, and its payment as the browser does. */
  async begin() {
    const { status, text, json } = await this.order();
    assert.equal(status, 201, text);
    const { identifier } = await this.testbed.pi(this, "POST", "payments", { amount: Number(json.amount), memo: json.memo, metadata: json.metadata });
    this.payments.push(identifier);
    return identifier;
  }

  step(id, step, faults) {
    return this.ask("POST", `/payments/${id}/${step}`, { faults });
  }

  complete(id, txid, faults) {
    return this.ask("POST", `/payments/${id}/complete`, { body: { txid }, faults });
  }

  async approved() {
    const id = await this.begin();
    const { status, text } = await this.step(id, "approve");
    assert.equal(status, 200, text);
    return { id };
  }

  async sign(id) {
    return (await this.testbed.pi(this, "POST", `payments/${id}/pay`)).transaction.txid;
  }

  async signed() {
    const { id } = await this.approved();
    return { id, txid: await this.sign(id) };
  }

  async watchAd() {
    const { adId } = await this.testbed.pi(this, "POST", "ads", { status: "granted" });
    this.ads.push(adId);
    return adId;
  }

  /** All data of the user in the tables, without ids and times, so that equal states of two
   * users compare as equal. */
  async state() {
    const { uid } = this;
    const list = (ids) => `(${ids.map((id) => `'${id}'`).join(", ")})`;
    // In one statement, because each query from outside workerd costs milliseconds.
    const parts = {
      user: `json_array(username, scopes, sign_ins, data, erased_at IS NOT NULL) AS row FROM users WHERE uid = '${uid}'`,
      sessions: `json_array(refreshes, sid IN (SELECT sid FROM live_sessions)) AS row FROM sessions WHERE uid = '${uid}'`,
      orders: `json_array(product_id, amount_stroops, uid IS NULL) AS row FROM orders WHERE uid = '${uid}' OR id IN ${list(this.orders)}`,
      payments: `json_array(state, amount_stroops, txid IS NOT NULL, uid IS NULL) AS row FROM payments WHERE uid = '${uid}' OR id IN ${list(this.payments)}`,
      ads: `json_array(uid IS NULL) AS row FROM ads WHERE uid = '${uid}' OR id IN ${list(this.ads)}`,
      erased: `json_array(1) AS row FROM erased_sessions WHERE sid IN ${list(this.sids)}`,
    };
    const columns = Object.entries(parts).map(([name, sql]) => `(SELECT json_group_array(row) FROM (SELECT ${sql} ORDER BY row)) AS ${name}`);
    const [row] = await this.testbed.rows(`SELECT ${columns.join(", ")}`);
    const asTexts = (list) => JSON.parse(list).map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
    const state = Object.fromEntries(Object.entries(row).map(([name, list]) => [name, asTexts(list)]));
    return JSON.stringify(state);
  }
}

/** Compares the tables with Pi's ledger. A payment is paid here if and only if it is completed
 * at Pi with the same verified transaction; an order has one active payment; every reference has
 * its row. Returns the differences. */
export async function audit({ rows, ledger }) {
  const wrong = [];
  const at = new Map((await ledger()).payments.map((payment) => [payment.identifier, payment]));
  const payments = await rows("SELECT id, state, txid, uid, amount_stroops, order_id FROM payments");
  for (const { id, state, txid, uid, amount_stroops } of payments) {
    const theirs = at.get(id);
    const isPaidThere = theirs?.status.developer_completed && theirs.status.transaction_verified && !theirs.status.cancelled;
    if ((state === "paid") !== Boolean(isPaidThere)) wrong.push(`${id} is ${state} here, ${JSON.stringify(theirs?.status)} at Pi`);
    if (state === "paid" && theirs?.transaction?.txid !== txid) wrong.push(`${id} has another transaction at Pi`);
    if (state === "paid" && Math.round(theirs.amount * 1e7) !== amount_stroops) wrong.push(`${id} has another amount at Pi`);
    if (uid !== null && theirs && theirs.user_uid !== uid) wrong.push(`${id} is another user's at Pi`);
    at.delete(id);
  }
  for (const { identifier, status } of at.values()) {
    if (status.developer_completed || (status.developer_approved && !status.cancelled)) wrong.push(`${identifier} is not known here, ${JSON.stringify(status)} at Pi`);
  }
  for (const [what, sql] of Object.entries({
    "an order with two active payments": "SELECT order_id FROM payments WHERE state <> 'cancelled' GROUP BY order_id HAVING count(*) > 1",
    "a payment without its order": "SELECT id FROM payments WHERE order_id IS NOT NULL AND order_id NOT IN (SELECT id FROM orders)",
    "a payment of another user's order": "SELECT payments.id FROM payments JOIN orders ON orders.id = order_id WHERE payments.uid IS NOT NULL AND orders.uid IS NOT NULL AND payments.uid <> orders.uid",
    "a payment of another amount than its order": "SELECT payments.id FROM payments JOIN orders ON orders.id = order_id WHERE payments.amount_stroops <> orders.amount_stroops",
    "a transaction that paid two payments": "SELECT txid FROM payments WHERE txid IS NOT NULL GROUP BY txid HAVING count(*) > 1",
    "a session without its user": "SELECT sid FROM sessions WHERE uid NOT IN (SELECT uid FROM users)",
    "a session of an erased user": "SELECT sid FROM sessions JOIN users USING (uid) WHERE erased_at IS NOT NULL",
    "a user who never had a session": "SELECT uid FROM users WHERE erased_at IS NULL AND sign_ins < 1",
    "an ad without its user": "SELECT id FROM ads WHERE uid IS NOT NULL AND uid NOT IN (SELECT uid FROM users)",
  })) {
    for (const row of await rows(sql)) wrong.push(`${what}: ${JSON.stringify(row)}`);
  }
  return wrong;
}
