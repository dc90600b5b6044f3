// The project's targets, compared with the measurements. A missed target is reported like a met
// one.

import { median } from "./statistics.mjs";

/** How many times as fast the first is as the second. Compares times of the same round, because
 * both had the same conditions. */
export const faster = (one, other) => median(one.rounds.map((time, i) => other.rounds[i] / time));

/** The same for throughput, slice by slice. */
export const busier = ({ ours, peer }) => median(ours.slices.map((perSecond, i) => perSecond / peer.slices[i]));

const OURS = "pioneer-session";
const times = (number) => `${number.toFixed(number < 0.1 ? 3 : 2)}×`;

const atLeast = (what, number, floor) => ({ what, target: `≥ ${floor}×`, measured: times(number), met: number >= floor });
const atMost = (what, number, ceiling, unit) => ({ what, target: `≤ ${ceiling} ${unit}`, measured: `${number.toFixed(1)} ${unit}`, met: number <= ceiling });
const noWorse = (what, ours, peer, unit) => ({ what, target: "no worse", measured: `${ours.toFixed(1)} to ${peer.toFixed(1)} ${unit}`, met: ours <= peer });

function ofNode({ node, cases, absent }, isPinned) {
  const { valid } = cases;
  const name = (text) => `Node ${node.slice(1).split(".")[0]}: ${text}`;
  const lines = [
    atLeast(name("valid token, against fast-jwt"), faster(valid[OURS], valid["fast-jwt"]), 2.4),
    atLeast(name("valid token, against jose"), faster(valid[OURS], valid.jose), 3),
    atLeast(name("valid token, against node:crypto by hand"), faster(valid[OURS], valid["node:crypto by hand"]), 2),
  ];
  if (isPinned) lines.push(atLeast(name("valid token, against @node-rs/jsonwebtoken"), faster(valid[OURS], valid["@node-rs/jsonwebtoken"]), 1));
  const spread = valid[OURS].p99 / valid[OURS].nsPerOp;
  lines.push({ what: name("valid token, p99 to median"), target: "≤ 2×", measured: times(spread), met: spread <= 2 });
  const ourHit = valid[`${OURS}, cache`];
  const hit = atLeast(name("cache hit, against fast-jwt's"), faster(ourHit ?? valid[OURS], valid["fast-jwt, cache"]), 5);
  lines.push(absent.length === 0 ? hit : { ...hit, measured: `${hit.measured}: this version has no cache`, met: false });
  for (const kind of ["malformed", "foreign"]) {
    const { [OURS]: ours, ...others } = cases[kind];
    const [[cheapest, theirs]] = Object.entries(others).sort(([, a], [, b]) => a.nsPerOp - b.nsPerOp);
    const part = 1 / faster(ours, theirs);
    lines.push({ what: name(`refusing a ${kind} token, time to the cheapest peer's (${cheapest})`), target: "< 0.1×", measured: times(part), met: part < 0.1 });
  }
  return lines;
}

function ofWorker({ scenarios, rss, firstRequest }) {
  const floors = { "health": 1, "jwks": 1, "session check, no storage": 1.5, "session check of other tokens, no storage": 1.5, "sign-in, no storage": 1.2, "session check, D1": 1.2, "sign-in, D1": 1.1 };
  const measured = Object.entries(floors).map(([name, floor]) => [name, scenarios[name], floor]);
  return [
    ...measured.map(([name, scenario, floor]) => atLeast(`Worker: ${name}, throughput`, busier(scenario), floor)),
    ...measured.map(([name, { ours, peer }]) => noWorse(`Worker: ${name}, p99`, ours.p99Ms, peer.p99Ms, "ms")),
    noWorse("Worker: memory after load", rss.ours.loaded / 1e6, rss.peer.loaded / 1e6, "MB"),
    noWorse("Worker: start to first answer", firstRequest.ours.totalMs, firstRequest.peer.totalMs, "ms"),
  ];
}

function ofRows({ steps, scans }) {
  const [first, last] = [steps[0], steps.at(-1)].map(({ operations }) => operations);
  const growing = Object.keys(first).filter((name) => last[name].read > first[name].read || last[name].written > first[name].written);
  const [few, many] = ["sign-in at the limit of sessions", "sign-in at the limit of sessions, many ended"].map((name) => last[name].read);
  const { written } = last.refresh;
  const none = (what, found) => ({ what, target: "none", measured: found.join(", ") || "none", met: found.length === 0 });
  return [
    none("D1: scans of users or sessions in the plans", scans),
    none("D1: operations whose rows grow with the users", growing),
    { what: "D1: rows read by a sign-in at the limit of sessions, with many ended ones to without", target: "no more", measured: `${many} to ${few}`, met: many <= few },
    { what: "D1: rows written by a refresh", target: "≤ 1", measured: String(written), met: written <= 1 },
  ];
}

function ofFeed({ sizes }) {
  const { count, kinds, verifier } = sizes.at(-1);
  const name = (text) => `Feed of ${count.toLocaleString("en")} sessions: ${text}`;
  const { whole, wholeAgain, behind, unchanged } = kinds;
  return [
    atMost(name("the whole"), whole.bytes / 1000, 900, "KB"),
    atMost(name("the whole, first answer of a process, without D1"), whole.ms - whole.d1Ms, 60, "ms"),
    atMost(name("the whole, remembered"), wholeAgain.ms, 60, "ms"),
    atMost(name("a poll one interval behind"), behind.bytes / 1000, 20, "KB"),
    atMost(name("a poll that is up to date"), unchanged.bytes / 1000, 1, "KB"),
    { what: name("calls of D1 by a poll that is up to date"), target: "none", measured: String(unchanged.d1), met: unchanged.d1 === 0 },
    atMost(name("memory of a verifier"), (verifier.wasm + verifier.heapUsed) / 1e6, 2, "MB"),
  ];
}

export function targets({ nodes, worker, waits, feed, rows, sizes }) {
  return [
    ...(nodes ?? []).flatMap((node, i) => ofNode(node, i === 0)),
    ...(worker ? ofWorker(worker) : []),
    ...(waits ? [noWorse("Worker: a purchase with D1 and Pi far away", waits.ours.purchase.ms, waits.peer.purchase.ms, "ms")] : []),
    ...(feed ? ofFeed(feed) : []),
    ...(rows ? ofRows(rows) : []),
    ...(sizes ? [atMost("Worker, gzipped", sizes.workerGzippedBytes / 1000, 200, "KB"), atMost("npm wasm, gzipped", sizes.npmWasmGzippedBytes / 1000, 80, "KB")] : []),
  ];
}
