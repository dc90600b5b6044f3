// Many simultaneous users on the built Worker while a random tenth of all calls to D1, Pi and the
// limiters fails. Each answer is compared with a model of its user, each token is verified offline,
// and at the end the tables are compared with Pi's ledger.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createVerifier } from "pioneer-session";
import { AUDIENCE, CREDENTIAL, audit, startTestbed } from "./testbed.mjs";

const RATE = 0.1; // the share of calls that break
const HANGS = 0.03; // the share of these that never answer
const GRACE_MS = 100_000; // GRACE_SECONDS in src/session/refresh.rs, minus the delay of a busy machine
const APPROVAL_MS = 45_000; // APPROVAL_SECONDS of the simulated Pi, likewise
const TRIES = 12;
const AHEAD_SECONDS = 200; // the scheduled run reconciles a payment after two minutes without a change
const MEGABYTE = 1024 * 1024;

/** The errors that a request may have while its calls break. */
const BROKEN = new Set(["503 storage_unavailable", "503 upstream_unavailable", "504 upstream_timeout", "502 upstream_invalid"]);

/** Random numbers from 0 to 1. Equal seeds produce equal numbers. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Runs the load for this many seconds. Returns the figures and everything that was wrong. */
export async function load({ seconds, users: count, seed, rate = RATE }) {
  const testbed = await startTestbed();
  const figures = { seed, seconds, users: count, requests: 0, faults: 0, faultsByKind: {}, answers: {}, tokensVerified: 0, paid: 0, erased: 0, scheduledRuns: 0, wrongVerdicts: [], outOfPlace: [] };
  const samples = [];
  try {
    const verifier = await createVerifier({ issuer: testbed.issuer, audience: AUDIENCE });
    const end = performance.now() + seconds * 1000;
    const isOver = () => performance.now() > end;
    const note = ({ status, json, calls }) => {
      figures.requests += 1;
      for (const hit of calls.hit ?? []) {
        figures.faults += 1;
        figures.faultsByKind[hit] = (figures.faultsByKind[hit] ?? 0) + 1;
      }
      const key = `${status} ${json.code ?? ""}`.trim();
      figures.answers[key] = (figures.answers[key] ?? 0) + 1;
    };
    const people = Array.from({ length: count }, (_, index) => new Person(testbed, index, generator(seed + index * 7919), { verifier, figures, note, isOver, rate }));
    const clock = async () => {
      const random = generator(seed ^ 0x5eed);
      while (!isOver()) {
        await sleep(2000);
        note(await testbed.scheduled(AHEAD_SECONDS, { chaos: { rate, hangs: HANGS, seed: Math.floor(random() * 2 ** 32) } }));
        figures.scheduledRuns += 1;
      }
    };
    const memory = async () => {
      while (!isOver()) {
        const { json } = await testbed.ask("GET", "/faults/memory");
        samples.push({ rss: residentBytes(testbed.pid), heap: await testbed.heap(), wasm: json.bytes, instances: json.instances });
        await sleep(500);
      }
    };
    await Promise.all([...people.map((person) => person.live()), clock(), memory()]);

    // From here on, nothing breaks; the scheduled runs finish the open payments.
    await testbed.drain();
    for (const person of people) await person.settle();
    figures.outOfPlace.push(...await audit(testbed));
    for (const { uid, data } of await testbed.rows("SELECT uid, data FROM users WHERE data IS NOT NULL")) {
      if (JSON.parse(data).uid !== uid) figures.outOfPlace.push(`${uid} has another user's data`);
    }
    for (const { count: many } of await testbed.rows("SELECT count(*) AS count FROM sessions JOIN users USING (uid) WHERE revoked_at IS NULL GROUP BY uid HAVING count(*) > 10")) {
      figures.outOfPlace.push(`a user has ${many} live sessions`);
    }
    figures.paid = (await testbed.rows("SELECT count(*) AS count FROM payments WHERE state = 'paid'"))[0].count;
    figures.requestsPerSecond = Math.round(figures.requests / seconds);
    figures.memory = thirds(samples);
    await verifier.close();
    return figures;
  } finally {
    await testbed.close();
  }
}

/** One user, who sends one request after the other and knows the right answers. */
class Person {
  constructor(testbed, number, random, run) {
    Object.assign(this, { testbed, random, ...run });
    this.user = testbed.newUser(5_000 + number);
    this.live = this.live.bind(this);
    this.forget();
    this.ended = new Map(); // sid to token: sessions that an answer reported as revoked
  }

  /** Resets the model to a user who has never signed in. */
  forget() {
    this.session = undefined;
    this.mayBeEnded = false;
    this.data = [undefined]; // possible values: the last known one, and those sent since
    this.etag = undefined;
    this.bought = new Map(); // orders that an answer reported as paid, with their transactions
    this.mayBeBought = new Set();
  }

  chaos() {
    return { chaos: { rate: this.rate, hangs: HANGS, seed: Math.floor(this.random() * 2 ** 32) } };
  }

  wrong(what, answer) {
    this.figures.wrongVerdicts.push(`${this.user.uid}: ${what}: ${answer ? `${answer.status} ${answer.text.slice(0, 300)} ${JSON.stringify(answer.calls)}` : ""}`);
  }

  /** Sends a request with a tenth of its calls broken. Its answer must be an allowed one, or
   * report a broken call. */
  async ask(method, path, allowed, options = {}) {
    const answer = await this.user.ask(method, path, { faults: this.chaos(), ...options });
    this.note(answer);
    const hit = answer.calls.hit ?? [];
    const isUnsigned = answer.json.code === "internal" && hit.some((fault) => fault.startsWith("signature"));
    answer.isBroken = isUnsigned || BROKEN.has(`${answer.status} ${answer.json.code}`);
    // On a busy machine, a call can exceed its deadline of five seconds without a fault.
    if (answer.isBroken && hit.length === 0 && answer.took < 4_500) this.wrong(`${method} ${path}: nothing was broken`, answer);
    const key = answer.status < 300 ? String(answer.status) : `${answer.status} ${answer.json.code}`;
    if (!answer.isBroken && !allowed.includes(key)) this.wrong(`${method} ${path}`, answer);
    return answer;
  }

  /** Repeats the request until its answer does not report a broken call. */
  async insist(method, path, allowed, options) {
    for (let tries = 1; ; tries++) {
      const answer = await this.ask(method, path, allowed, typeof options === "function" ? options() : options);
      if (!answer.isBroken || tries === TRIES) return answer;
    }
  }

  get endings() {
    return this.mayBeEnded ? ["401 session_revoked"] : [];
  }

  /** Whether the session was revoked, where the model allows it. */
  lost(answer) {
    if (answer.json.code !== "session_revoked") return false;
    this.session = undefined;
    return true;
  }

  take(json, what, sid) {
    const session = this.verifier.verify(json.sessionToken);
    this.figures.tokensVerified += 1;
    if (session.uid !== this.user.uid || json.user.uid !== this.user.uid) this.wrong(`${what}: another's token`, { status: 200, text: JSON.stringify(json) });
    if (sid !== undefined && session.sid !== sid) this.wrong(`${what}: another session`, { status: 200, text: JSON.stringify(json) });
    this.user.keep(json);
    this.session = session.sid;
    this.mayBeEnded = false;
  }

  async live() {
    const acts = [
      [8, this.refresh], [8, this.show], [10, this.write], [6, this.read], [12, this.buy], [3, this.callOff], [4, this.me],
      [3, this.list], [4, this.claim], [3, this.introspect], [3, this.signOut], [2, this.signInAgain], [1, this.erase],
    ];
    const total = acts.reduce((sum, [weight]) => sum + weight, 0);
    while (!this.isOver()) {
      try {
        if (this.session === undefined) {
          await this.signIn();
          continue;
        }
        let drawn = this.random() * total;
        const [, act] = acts.find(([weight]) => (drawn -= weight) < 0);
        await act.call(this);
      } catch (error) {
        this.wrong(`the model failed: ${error.stack}`);
        return;
      }
    }
  }

  async signIn() {
    const answer = await this.ask("POST", "/session", ["200"], { token: null, body: { accessToken: this.user.accessToken } });
    if (answer.status === 200) this.take(answer.json, "sign-in");
  }

  /** Signs in from another device. The earlier sessions stay valid, up to ten of them. */
  signInAgain() {
    return this.signIn();
  }

  async refresh() {
    const [{ refreshToken }, sid] = [this.user, this.session];
    let first;
    const answer = await this.insist("POST", "/session/refresh", ["200", "401 refresh_rejected", "401 refresh_reused"], () => {
      first ??= performance.now();
      return { token: null, body: { refreshToken } };
    });
    if (answer.status === 200) return this.take(answer.json, "refresh", sid);
    if (answer.isBroken) {
      this.session = undefined;
      return;
    }
    const isLate = performance.now() - first > GRACE_MS;
    if (!(answer.json.code === "refresh_reused" && isLate) && !this.mayBeEnded) this.wrong("refresh", answer);
    this.session = undefined;
  }

  async show() {
    const answer = await this.ask("GET", "/session", ["200", ...this.endings]);
    if (answer.status === 200) {
      if (answer.json.uid !== this.user.uid || answer.json.sid !== this.session) this.wrong("show", answer);
      this.mayBeEnded = false;
    } else this.lost(answer);
  }

  async write() {
    const text = JSON.stringify({ uid: this.user.uid, value: Math.floor(this.random() * 1e9) });
    const isUncertain = this.data.length > 1;
    if (isUncertain) return this.read();
    const answer = await this.ask("PUT", "/me/data", ["204", ...this.endings], { body: text, headers: this.etag && { "if-match": this.etag } });
    if (answer.status === 204) [this.data, this.etag] = [[text], answer.headers.get("etag")];
    else if (answer.isBroken) this.data.push(text);
    else this.lost(answer);
  }

  async read() {
    const answer = await this.insist("GET", "/me/data", ["200", ...this.endings]);
    if (answer.status !== 200) return void this.lost(answer);
    const found = answer.headers.has("etag") ? answer.text : undefined;
    if (!this.data.includes(found)) this.wrong(`read: not one of ${JSON.stringify(this.data)}`, answer);
    [this.data, this.etag] = [[found], answer.headers.get("etag") ?? undefined];
  }

  /** Creates an order and its payment at Pi. First finishes a payment that Pi reports as
   * incomplete. */
  async begin() {
    const answer = await this.insist("POST", "/orders", ["201", ...this.endings], { body: { productId: "coffee" } });
    if (answer.status !== 201) return void this.lost(answer);
    const { orderId, amount, memo, metadata } = answer.json;
    if (amount !== "3.14") this.wrong("order", answer);
    const made = await this.testbed.pi(this.user, "POST", "payments", { amount: Number(amount), memo, metadata });
    if (made.error === "ongoing_payment_found") return this.recover(made.payment);
    return { id: made.identifier, orderId, since: performance.now() };
  }

  async recover({ identifier, metadata, transaction }) {
    const answer = await this.insist("POST", `/payments/${identifier}/recover`, ["200", ...this.endings]);
    if (answer.status === 200) this.paid(answer, identifier, metadata.orderId, transaction.txid);
    else this.lost(answer);
  }

  paid(answer, id, orderId, txid) {
    const { paymentId, state, amount, ...rest } = answer.json;
    if (paymentId !== id || state !== "paid" || amount !== "3.14" || rest.orderId !== orderId || rest.txid !== txid) this.wrong("paid", answer);
    this.bought.set(orderId, txid);
  }

  async approve({ id, since }) {
    const answer = await this.insist("POST", `/payments/${id}/approve`, ["200", "409 payment_cancelled", ...this.endings]);
    if (answer.json.code === "payment_cancelled" && performance.now() - since < APPROVAL_MS) this.wrong("approve", answer);
    if (answer.status === 200 && answer.json.state !== "approved") this.wrong("approve", answer);
    if (answer.status !== 200) this.lost(answer);
    return answer.status === 200;
  }

  async buy() {
    const payment = await this.begin();
    if (payment === undefined || !(await this.approve(payment))) return;
    const { transaction } = await this.testbed.pi(this.user, "POST", `payments/${payment.id}/pay`);
    this.mayBeBought.add(payment.orderId);
    // Some users close the page now. The scheduled run, or the next purchase, finishes the payment.
    if (this.random() < 0.2) return;
    const answer = await this.insist("POST", `/payments/${payment.id}/complete`, ["200", ...this.endings], { body: { txid: transaction.txid } });
    if (answer.status === 200) this.paid(answer, payment.id, payment.orderId, transaction.txid);
    else this.lost(answer);
  }

  async callOff() {
    const payment = await this.begin();
    if (payment === undefined) return;
    if (this.random() < 0.5 && !(await this.approve(payment))) return;
    const answer = await this.insist("POST", `/payments/${payment.id}/cancel`, ["200", ...this.endings]);
    if (answer.status === 200 && answer.json.state !== "cancelled") this.wrong("cancel", answer);
    if (answer.status !== 200) this.lost(answer);
  }

  async me() {
    const answer = await this.ask("GET", "/me", ["200", ...this.endings]);
    if (answer.status !== 200) return void this.lost(answer);
    const orders = answer.json.purchases.map(({ orderId }) => orderId);
    const known = (orderId) => this.bought.has(orderId) || this.mayBeBought.has(orderId);
    if (answer.json.user.uid !== this.user.uid || new Set(orders).size !== orders.length || ![...this.bought.keys()].every((id) => orders.includes(id)) || !orders.every(known)) {
      this.wrong(`me: bought ${[...this.bought.keys()]}, perhaps ${[...this.mayBeBought]}`, answer);
    }
  }

  async list() {
    const answer = await this.ask("GET", "/sessions", ["200", ...this.endings]);
    if (answer.status !== 200) return void this.lost(answer);
    const sids = answer.json.sessions.map(({ sid }) => sid);
    if (sids.length > 10 || !sids.includes(this.session) || sids.some((sid) => this.ended.has(sid))) this.wrong("list", answer);
  }

  async claim() {
    const { adId } = await this.testbed.pi(this.user, "POST", "ads", { status: "granted" });
    const answer = await this.insist("POST", `/ads/${adId}/claim`, ["200", ...this.endings]);
    if (answer.status === 200 && answer.json.granted !== true) this.wrong("claim", answer);
    if (answer.status !== 200) this.lost(answer);
  }

  async introspect() {
    const [[sid, token] = []] = [...this.ended].slice(-1);
    const isEnded = sid !== undefined && this.random() < 0.5;
    const answer = await this.ask("POST", "/introspect", ["200"], { token: CREDENTIAL, body: `token=${isEnded ? token : this.user.token}`, headers: { "content-type": "application/x-www-form-urlencoded" } });
    if (answer.status !== 200) return;
    if (isEnded ? answer.json.active : (answer.json.active ? answer.json.sub !== this.user.uid : !this.mayBeEnded)) this.wrong("introspect", answer);
  }

  async signOut() {
    const { token } = this.user;
    const answer = await this.ask("DELETE", "/session", ["204", ...this.endings]);
    if (answer.status === 204) this.ended.set(this.session, token);
    if (answer.isBroken) this.mayBeEnded = true;
    else this.session = undefined;
  }

  async erase() {
    if (this.mayBeEnded) return this.show();
    const { token } = this.user;
    let [tries, isRepeated] = [0, false];
    const answer = await this.insist("DELETE", "/me", ["204", "401 session_revoked"], () => {
      isRepeated = tries > 0;
      tries += 1;
      return {};
    });
    // Only the erasure, if its answer was lost, can have revoked the session.
    if (answer.status !== 204 && !isRepeated) this.wrong("erase", answer);
    this.ended.set(this.session, token);
    this.figures.erased += 1;
    this.forget();
  }

  /** Checks the model of sessions and data after the faults have stopped. */
  async settle() {
    const { user } = this;
    for (const [sid, token] of this.ended) {
      const answer = await this.testbed.ask("GET", "/session", { token });
      if (answer.json.code !== "session_revoked") this.wrong(`the ended session ${sid} is accepted`, answer);
    }
    if (this.session === undefined) return;
    const answer = await user.ask("GET", "/me");
    if (answer.status === 401 && this.mayBeEnded) return;
    if (answer.status !== 200) return this.wrong("at the end", answer);
    const orders = answer.json.purchases.map(({ orderId }) => orderId);
    // By now, everything that was paid at Pi must be delivered.
    for (const orderId of [...this.bought.keys(), ...this.mayBeBought]) {
      if (orders.filter((order) => order === orderId).length !== 1) this.wrong(`${orderId} was paid, and is not delivered once`, answer);
    }
  }
}

/** The resident memory of a process in bytes; undefined without /proc. */
function residentBytes(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/^VmRSS:\s+(\d+) kB/m)[1]) * 1024;
  } catch {
    return undefined;
  }
}

/** The medians of the first and of the last third, in megabytes. */
function thirds(samples) {
  const middle = (some, name) => {
    const values = some.map((sample) => sample[name]).sort((a, b) => a - b);
    const value = values[Math.floor(values.length / 2)];
    return value === undefined ? undefined : Math.round((value / MEGABYTE) * 10) / 10;
  };
  const third = Math.floor(samples.length / 3);
  const [first, last] = [samples.slice(0, third), samples.slice(-third)];
  return {
    samples: samples.length,
    rssFirst: middle(first, "rss"),
    rssLast: middle(last, "rss"),
    heapFirst: middle(first, "heap"),
    heapLast: middle(last, "heap"),
    wasmFirst: middle(first, "wasm"),
    wasmLast: middle(last, "wasm"),
    instances: samples.at(-1)?.instances,
  };
}
