// The results as text and as charts.

import { bars } from "./chart.mjs";
import { busier, faster } from "./targets.mjs";

const OURS = "pioneer-session";
const times = (number) => `${number.toFixed(number < 0.1 ? 3 : 2)}×`;
const duration = (ns) => (ns < 1e3 ? `${ns.toFixed(0)} ns` : ns < 1e6 ? `${(ns / 1e3).toFixed(1)} µs` : `${(ns / 1e6).toFixed(1)} ms`);
const size = (bytes) => (Math.abs(bytes) < 1e5 ? `${(bytes / 1e3).toFixed(1)} KB` : `${(bytes / 1e6).toFixed(2)} MB`);
const ms = (number) => `${number.toFixed(1)} ms`;
const cpu = (milliseconds) => (milliseconds === null ? "not measured" : `${(1000 * milliseconds).toFixed(0)} µs`);

const table = (head, rows) => [`| ${head.join(" | ")} |`, `|${head.map(() => "---|").join("")}`, ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n");

const CASES = {
  valid: "A valid token",
  malformed: "Refused: not a token, but just as long",
  foreign: "Refused: another issuer's token with another key id",
  forged: "Refused: signed by another key",
  expired: "Refused: expired, with a valid signature",
};

function node({ node: version, cases, cold, memory, many, tokenBytes }) {
  const parts = [`## Verifying in Node ${version.slice(1)}`, `The token has ${tokenBytes.EdDSA} bytes. "Speed" is relative to ${OURS} in the same rounds: below 1× is slower, above 1× faster.`];
  for (const [kind, results] of Object.entries(cases)) {
    parts.push(`### ${CASES[kind]}`, table(
      ["", "speed", "a call", "mean", "p99", "least"],
      Object.entries(results).sort(([, a], [, b]) => a.nsPerOp - b.nsPerOp).map(([name, result]) => [name, times(faster(result, results[OURS])), ...[result.nsPerOp, result.mean, result.p99, result.min].map(duration)]),
    ));
  }
  parts.push("### A fresh process: import, create a verifier, verify one token", table(
    ["", "import and make", "first token", "together"],
    Object.entries(cold).sort(([, a], [, b]) => a.totalMs - b.totalMs).map(([name, { importMs, firstMs, totalMs }]) => [name, ms(importMs), ms(firstMs), ms(totalMs)]),
  ));
  parts.push("### Memory that a verifier adds after the import, with its keys used", table(
    ["", "keys", "RSS", "JavaScript heap", "wasm memory", "wasm in all"],
    Object.entries(memory).flatMap(([name, counts]) => Object.entries(counts).map(([keys, { rss, heapUsed, wasm, wasmTotal }]) => [name, keys, size(rss), size(heapUsed), size(wasm), size(wasmTotal)])),
  ));
  parts.push(`With 100 keys, the last of which signed, a call takes ${times(1 / faster(many[100], many[1]))} what it takes with one.`);
  return parts;
}

function worker({ scenarios, rss, firstRequest, gzippedBytes }) {
  const names = Object.keys(rss); // ours, peer, and an earlier build if there is one
  const row = (what, text) => [what, ...names.map(text)];
  const ratios = names.slice(1).map((other) => (scenario) => times(busier({ ours: scenario.ours, peer: scenario[other] })));
  return [
    "## The Worker, compared with the same service in JavaScript (Hono, jose, WebCrypto)",
    'Above 1×, ours serves more requests. "No storage" is a database in the isolate of the Worker that answers immediately and stores nothing; "D1" is the real one, as Miniflare runs it. A session check sends one token again and again, which ours caches and the peer verifies; one of "other tokens" sends so many that ours verifies each one too. Refused tokens never reach a database: an expired one costs everything that a session check does before it, a forged one only the signature. CPU is the CPU time of workerd for a request, in the slice with the least.',
    ...(names.includes("before") ? ['"before" is an earlier build of ours, loaded in turns with the others.'] : []),
    table(
      ["", ...names.slice(1).map((name) => `throughput to ${name}`), ...["CPU", "/s", "p50", "p99"].flatMap((what) => names.map((name) => `${name} ${what}`))],
      Object.entries(scenarios).map(([name, scenario]) => [
        name, ...ratios.map((ratio) => ratio(scenario)),
        ...names.map((each) => cpu(scenario[each].cpuMs)), ...names.map((each) => scenario[each].perSecond.toFixed(0)), ...names.map((each) => ms(scenario[each].p50Ms)), ...names.map((each) => ms(scenario[each].p99Ms)),
      ]),
    ),
    table(["", ...names], [
      row("workerd's memory, started", (name) => size(rss[name].start)),
      row("workerd's memory, after load", (name) => size(rss[name].loaded)),
      row("start until it listens", (name) => ms(firstRequest[name].listenMs)),
      row("first request, a session check", (name) => ms(firstRequest[name].firstMs)),
      row("start to first answer", (name) => ms(firstRequest[name].totalMs)),
      row("uploaded, gzipped", (name) => size(gzippedBytes[name])),
    ]),
  ];
}

const trips = ({ d1, pi }) => `${d1} + ${pi}`;

function waitsPart({ delays, ours, peer }) {
  const row = (name, our, theirs) => [name, trips(our), `${our.ms.toFixed(0)} ms`, ...(theirs ? [trips(theirs), `${theirs.ms.toFixed(0)} ms`] : ["", ""])];
  return [
    "## Waits",
    `The calls of a request to D1 and to Pi (D1 + Pi), and its time with D1 ${delays.d1} ms and Pi ${delays.pi} ms away. The peer is a payment flow that is written by hand in JavaScript. A purchase is an order, its approval and its completion.`,
    table(
      ["", "ours", "time", "peer", "time"],
      [row("**a purchase**", ours.purchase, peer.purchase), ...Object.entries(ours.routes).map(([name, our]) => row(name, our, peer.routes[name]))],
    ),
  ];
}

const grouped = (number) => number.toLocaleString("en");
const millions = (number) => `${number.toFixed(0)} million`;
const dollars = (number) => `$${number.toFixed(2)}`;

function rowsPart({ steps, plan, scans, costs }) {
  const first = steps[0];
  return [
    "## As the tables grow",
    "One request after the other, with a real D1. In brackets: relative to the first line.",
    table(["rows of users and of sessions", "sign-in p50", "p99", "session check p50", "p99"], steps.map(({ rows, signIn, check }) => [
      rows.toLocaleString("en"),
      `${ms(signIn.p50Ms)} (${times(signIn.p50Ms / first.signIn.p50Ms)})`, ms(signIn.p99Ms),
      `${ms(check.p50Ms)} (${times(check.p50Ms / first.check.p50Ms)})`, ms(check.p99Ms),
    ])),
    "Rows that D1 reads / writes for each operation, by the number of users. Entries of indexes count.",
    table(["", ...steps.map(({ rows }) => grouped(rows))], Object.keys(first.operations).map((name) => [name, ...steps.map(({ operations: { [name]: { read, written } } }) => `${read} / ${written}`)])),
    `A million users in a month, as bench/README.md models them: ${millions(costs.used.read)} rows read, ${millions(costs.used.written)} rows written, ${millions(costs.used.requests)} requests and ${millions(costs.used.cpuMs)} ms of CPU time. They cost ${dollars(costs.whole)}, or ${dollars(costs.billed)} above the amounts that Cloudflare's paid plan includes. The rows of a million purchases (order, approval, completion): ${dollars(costs.purchase)}.`,
    scans.length === 0 ? "No statement of either scans users or sessions:" : `**These steps scan a table**: ${scans.join("; ")}.`,
    `<details><summary>Query plans</summary>\n\n\`\`\`\n${Object.entries(plan).map(([name, steps]) => [name, ...steps.map((step) => `  ${step}`)].join("\n")).join("\n")}\n\`\`\`\n\n</details>`,
  ];
}

const KINDS = {
  whole: "the whole, first answer of a process",
  signedAgain: "the whole, signed again",
  wholeAgain: "the whole, remembered",
  behind: "a poll one interval behind, first",
  behindAgain: "a poll one interval behind, remembered",
  upToDate: "a poll that is up to date, first",
  unchanged: "a poll that is up to date, 304",
};

function feedPart({ namedSeconds, pollSeconds, sizes, minute }) {
  const polled = sizes.map(({ count, ended }) => `${grouped(ended)} of ${grouped(count)}`).join(", ");
  return [
    "## The feed of revoked sessions",
    `The sessions of each size were revoked evenly in ${namedSeconds / 60} minutes. A verifier polls every ${pollSeconds} seconds, in which as many more are revoked as in the same part of these minutes: ${polled}. Bytes include the headers. "Other time" is the time without D1. CPU time is that of the process, in which D1 runs, too.`,
    ...sizes.flatMap(({ count, kinds, verifier }) => [
      `### ${grouped(count)} revoked sessions`,
      table(["", "bytes", "calls of D1", "rows read", "D1's time", "other time", "CPU"], Object.entries(KINDS).map(([kind, name]) => {
        const { bytes, d1, rowsRead, ms: all, d1Ms, cpuMs } = kinds[kind];
        return [name, size(bytes), String(d1), grouped(rowsRead), ms(d1Ms), ms(all - d1Ms), ms(cpuMs)];
      })),
      `A verifier is ready with the whole after ${ms(verifier.readyMs)}. It uses ${size(verifier.wasm)} more wasm memory and ${size(verifier.heapUsed)} more JavaScript heap than one with an empty feed.`,
    ]),
    `### ${grouped(minute.verifiers)} verifiers for a simulated minute, ${grouped(minute.count)} revoked sessions`,
    table(["", "polls", "calls of D1", "rows read"], [
      ["measured, one process", grouped(minute.polls), grouped(minute.d1), grouped(minute.rowsRead)],
      ["computed: each poll reads as much as a first answer", grouped(minute.polls), grouped(minute.forgetful.d1), grouped(minute.forgetful.rowsRead)],
    ]),
    `The answers have ${size(minute.bytes / minute.polls)} on average, and all of them take ${(minute.cpuMs / 1000).toFixed(1)} s of CPU time. Each process that answers reads the database separately.`,
  ];
}

const sizesPart = ({ installed, tarballBytes, workerGzippedBytes, npmWasmGzippedBytes, nodeEntryBytes }) => [
  "## Sizes",
  table(["installed", "packages", "files"], Object.entries(installed).map(([name, { packages, bytes }]) => [name, packages, size(bytes)])),
  `Ours includes the built Worker and the command line tool; Node loads ${size(nodeEntryBytes)} of it. Downloaded: ${size(tarballBytes)}. Gzipped: the Worker ${size(workerGzippedBytes)}, the npm package's wasm ${size(npmWasmGzippedBytes)}.`,
];

const head = ({ machine, versions, failed }) => [
  "# Benchmark",
  `${machine.date} · ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGB} GB, ${machine.system} · ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}`,
  `Load average: ${machine.loadBefore.toFixed(1)} before, ${machine.loadAfter.toFixed(1)} after. ${machine.isBusy ? "**The machine was busy with other work before the run: treat every figure here as a trial.**" : ""}`.trim(),
  ...failed.map(({ part, reason }) => `**Not measured: ${part}** (${reason})`),
];

export function markdown(results) {
  const { nodes, worker: workerResults, waits, feed, rows, sizes, targets } = results;
  return [
    ...head(results),
    "## Targets",
    table(["", "target", "measured", ""], targets.map(({ what, target, measured, met }) => [what, target, measured, met ? "met" : "**missed**"])),
    ...nodes.flatMap(node),
    ...(workerResults ? worker(workerResults) : []),
    ...(waits ? waitsPart(waits) : []),
    ...(feed ? feedPart(feed) : []),
    ...(rows ? rowsPart(rows) : []),
    ...(sizes ? sizesPart(sizes) : []),
  ].join("\n\n") + "\n";
}

/** The printed summary: the ratios, and whether each target is met. */
export function summary(results) {
  const { nodes, worker: workerResults, waits, feed, rows, targets, failed, machine } = results;
  const lines = [];
  const pad = (text) => text.padEnd(34);
  for (const { node: version, cases } of nodes) {
    lines.push("", `Verifying, Node ${version.slice(1)}: speed of ${OURS} = 1`);
    const kinds = Object.keys(cases);
    lines.push(`  ${pad("")}${kinds.map((kind) => kind.padStart(11)).join("")}`);
    for (const name of Object.keys(cases.valid)) {
      const cells = kinds.map((kind) => (cases[kind][name] ? times(faster(cases[kind][name], cases[kind][OURS])) : "–").padStart(11));
      lines.push(`  ${pad(name)}${cells.join("")}`);
    }
    lines.push(`  ${pad(`(${OURS}, a call)`)}${kinds.map((kind) => duration(cases[kind][OURS].nsPerOp).padStart(11)).join("")}`);
  }
  if (workerResults) {
    lines.push("", "Worker: throughput of ours to the JavaScript Worker's");
    for (const [name, { ours, peer, before }] of Object.entries(workerResults.scenarios)) {
      const earlier = before ? `   to before: ${times(busier({ ours, peer: before }))}` : "";
      lines.push(`  ${pad(name)}${times(busier({ ours, peer })).padStart(11)}${earlier}`);
    }
  }
  if (waits) {
    const { delays, ours, peer } = waits;
    lines.push("", `Waits: calls to D1 + Pi, and time with D1 ${delays.d1} ms and Pi ${delays.pi} ms away`);
    const cell = (found) => `${trips(found)}, ${found.ms.toFixed(0)} ms`.padStart(18);
    const line = (name, our, theirs) => lines.push(`  ${name.padEnd(36)}${our}${theirs}`);
    line("", "ours".padStart(18), "peer".padStart(18));
    for (const name of Object.keys(peer.routes)) line(name, cell(ours.routes[name]), cell(peer.routes[name]));
    line("a purchase", cell(ours.purchase), cell(peer.purchase));
  }
  if (feed) {
    const { count, kinds } = feed.sizes.at(-1);
    lines.push("", `The feed of ${grouped(count)} revoked sessions: bytes, and time without D1`);
    for (const [kind, name] of Object.entries(KINDS)) lines.push(`  ${name.padEnd(46)}${size(kinds[kind].bytes).padStart(10)}${ms(kinds[kind].ms - kinds[kind].d1Ms).padStart(12)}`);
    const { verifiers, d1, rowsRead } = feed.minute;
    lines.push(`  ${grouped(verifiers)} verifiers in a minute: ${grouped(d1)} calls of D1, ${grouped(rowsRead)} rows read`);
  }
  if (rows) {
    lines.push("", "As the tables grow: time to that with the fewest rows (p50)");
    for (const { rows: count, signIn, check } of rows.steps) {
      lines.push(`  ${pad(`${count.toLocaleString("en")} rows`)}${`sign-in ${times(signIn.p50Ms / rows.steps[0].signIn.p50Ms)}`.padStart(18)}${`check ${times(check.p50Ms / rows.steps[0].check.p50Ms)}`.padStart(18)}`);
    }
  }
  if (rows) {
    const { rows: count, operations } = rows.steps.at(-1);
    lines.push("", `Rows that D1 reads / writes, with ${grouped(count)} users`);
    for (const [name, { read, written }] of Object.entries(operations)) lines.push(`  ${name.padEnd(46)}${`${read} / ${written}`.padStart(10)}`);
    lines.push(`  a million users in a month: ${dollars(rows.costs.whole)}, or ${dollars(rows.costs.billed)} above the included amounts`);
  }
  lines.push("", "Targets");
  for (const { what, target, measured, met } of targets) lines.push(`  ${met ? "met   " : "MISSED"}  ${what}: ${measured} (${target})`);
  for (const { part, reason } of failed) lines.push(`  NOT MEASURED  ${part}: ${reason}`);
  if (machine.isBusy) lines.push("", `The machine was busy (load average ${machine.loadBefore.toFixed(1)} on ${machine.cores} cores): a trial, no more.`);
  return lines.join("\n");
}

/** The charts, by file name. */
export function charts({ nodes, worker: workerResults, rows }) {
  const files = {};
  if (nodes.length > 0) {
    files["verify.svg"] = bars({
      title: "Verifying a valid token: speed, fast-jwt without cache = 1",
      reference: 1,
      groups: nodes.map(({ node: version, cases: { valid } }) => ({
        heading: `Node ${version.slice(1)}`,
        // Cache hits have another scale.
        rows: Object.entries(valid).filter(([name]) => !name.endsWith(", cache")).map(([name, result]) => {
          const value = faster(result, valid["fast-jwt"]);
          return { label: name, value, text: times(value), strong: name === OURS };
        }),
      })),
    });
  }
  if (workerResults) {
    files["worker.svg"] = bars({
      title: "The Worker's throughput, the same Worker in JavaScript = 1",
      reference: 1,
      groups: [{
        heading: "workerd, 16 connections",
        rows: Object.entries(workerResults.scenarios).map(([label, scenario]) => ({ label, value: busier(scenario), text: times(busier(scenario)), strong: true })),
      }],
    });
  }
  if (rows) {
    files["rows.svg"] = bars({
      title: "Latency (p50) as users and sessions grow, with D1",
      groups: [["signIn", "Sign-in"], ["check", "Session check"]].map(([member, heading]) => ({
        heading,
        rows: rows.steps.map((step) => ({ label: `${step.rows.toLocaleString("en")} rows`, value: step[member].p50Ms, text: ms(step[member].p50Ms), strong: true })),
      })),
    });
  }
  return files;
}
