// Attacks on the connection between the Worker and Pi.

import { gzipSync } from "node:zlib";
import { attempt, control } from "./runner.mjs";
import { ALICE, claimsOf } from "./testbed.mjs";
import { JSON_TYPE, user } from "../support/fake-pi.mjs";

const send = (status, headers, body) => (_, response) => response.writeHead(status, headers).end(body);
const good = JSON.stringify(user());

/** Signs in while Pi gives each of these answers. */
async function* answers(testbed, list) {
  const worker = await testbed.worker;
  const token = "transport";
  for (const [name, answer, status, code, check] of list) {
    testbed.answers[token] = answer;
    let found;
    yield await worker.refuses(name, async () => (found = await worker.signIn(token)), status, code);
    if (check) yield control(check.name, check.holds(found));
  }
  delete testbed.answers[token];
}

export const transport = [
  {
    id: "U1",
    title: "An access token contains line breaks or other characters that change the request to Pi.",
    defence: "An access token has only the characters of RFC 6750, at most 4,096 of them. Otherwise 400, and the Worker does not ask Pi.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const { requests } = await testbed.pi;
        const before = requests.length;
        const odd = ["", " ", "a b", "a\r\nX-Evil: 1", "a\n", "\r\na", "a\u0000", "é", "a\t", "=", "a=b", "a,b", "a;b", "\ufeffa", "a\u2028", "x".repeat(4097), 7, 1.5, null, true, ["token-alice"], {}, { toString: "token-alice" }];
        for (const accessToken of odd) yield worker.refuses(`the token ${JSON.stringify(accessToken).slice(0, 40)}`, () => worker.post("/session", { accessToken }), 400, "invalid_request");
        yield attempt("Pi was asked about one of them", requests.length !== before);
        testbed.answers["abc.DEF~123+/=="] = user();
        yield control("every permitted character is taken", (await worker.signIn("abc.DEF~123+/==")).status === 200);
      },
    },
  },
  {
    id: "U2",
    title: "Pi's answer redirects the request, and the access token with it, to another server.",
    defence: "The Worker follows no redirect: 502.",
    on: {
      async *worker(testbed) {
        const { url, requests } = await testbed.elsewhere;
        requests.length = 0;
        const list = [];
        for (const status of [301, 302, 303, 307, 308]) {
          for (const location of [`${url}/v2/me`, "/v2/me", `//${new URL(url).host}/v2/me`]) list.push([`${status} to ${location.replace(/\d{4,}/, "N")}`, send(status, { location }), 502, "upstream_invalid"]);
        }
        yield* answers(testbed, list);
        yield attempt("the other server was asked", requests.length > 0);
      },
    },
  },
  {
    id: "U3",
    title: "A request, or a careless setting, sends the Worker to a server of the attacker's choice.",
    defence: "The upstream is a setting, and production accepts only https://api.minepi.com. Nothing in a request changes it.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const { url, requests } = await testbed.elsewhere;
        requests.length = 0;
        const production = { ENVIRONMENT: "production", RATE_LIMITS: "on", PI_NETWORK: "Pi Network" };
        const bases = [
          url, "http://api.minepi.com", "https://api.minepi.com@evil.example", "https://api.minepi.com.evil.example", "https://api.minepi.com:444", "https://api.minepi.com/evil", "https://api.minepi.com.",
          "https://apі.minepi.com", "https://api.minepi.com?x", "https://api.minepi.com#x", "//evil.example", "file:///etc/passwd", "http://169.254.169.254", "HTTPS://API.MINEPI.COM", "javascript:alert(1)",
        ];
        for (const base of bases) {
          yield worker.refuses(`production with PI_API_BASE ${base.replace(/:\d{5}/, "")}`, () => worker.signIn("token-alice", { overrides: { bindings: { ...production, PI_API_BASE: base } } }), 500, "misconfigured");
        }
        for (const base of ["ftp://evil.example", "evil.example", "https://user@evil.example", "https://evil.example/path"]) {
          yield worker.refuses(`development with PI_API_BASE ${base}`, () => worker.signIn("token-alice", { overrides: { bindings: { PI_API_BASE: base } } }), 500, "misconfigured");
        }
        const headers = { "x-forwarded-host": new URL(url).host, "x-pi-api-base": url, forwarded: `host=${new URL(url).host}` };
        const body = { accessToken: "token-alice", piApiBase: url, PI_API_BASE: url, issuer: url };
        const response = await worker.post(`/session?PI_API_BASE=${encodeURIComponent(url)}&upstream=${encodeURIComponent(url)}`, body, { headers });
        yield attempt("a query, headers and members of the body name another server", requests.length > 0);
        yield control("that request is answered by Pi", response.status === 200);
      },
    },
  },
  {
    id: "U4",
    title: "A server that impersonates Pi answers with something other than Pi's JSON.",
    defence: "The Worker accepts only application/json, in UTF-8, with one object of Pi's shape: otherwise 502.",
    on: {
      async *worker(testbed) {
        const json = (body) => send(200, JSON_TYPE, body);
        yield* answers(testbed, [
          ["HTML", send(200, { "content-type": "text/html" }, "<html>"), 502, "upstream_invalid"],
          ["JSON that says it is HTML", send(200, { "content-type": "text/html" }, good), 502, "upstream_invalid"],
          ["no content type", send(200, {}, good), 502, "upstream_invalid"],
          ["an empty body", json(""), 502, "upstream_invalid"],
          ["an array", json(`[${good}]`), 502, "upstream_invalid"],
          ["a string", json('"x"'), 502, "upstream_invalid"],
          ["null", json("null"), 502, "upstream_invalid"],
          ["half of the object", json(good.slice(0, 40)), 502, "upstream_invalid"],
          ["more after the object", json(`${good}x`), 502, "upstream_invalid"],
          ["a byte order mark", json(`\ufeff${good}`), 502, "upstream_invalid"],
          ["UTF-16", send(200, { "content-type": "application/json; charset=utf-16le" }, Buffer.from(good, "utf16le")), 502, "upstream_invalid"],
          ["bytes that are no UTF-8", json(Buffer.concat([Buffer.from('{"uid":"'), Buffer.from([0xff]), Buffer.from('"}')])), 502, "upstream_invalid"],
          ["an error object with 200", json('{"error":"unknown_error"}'), 502, "upstream_invalid"],
          ["a compressed body of 50 MB", send(200, { ...JSON_TYPE, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(50_000_000, " "))), [502, 503], ["upstream_invalid", "upstream_unavailable"]],
          ["JSON nested ten thousand deep", json("[".repeat(10_000) + "]".repeat(10_000)), 502, "upstream_invalid"],
        ]);
      },
    },
  },
  {
    id: "U5",
    title: "A server that impersonates Pi answers with an endless body.",
    defence: "The Worker stops reading at 64 KiB: 502.",
    on: {
      async *worker(testbed) {
        const endless = (_, response) => {
          response.writeHead(200, JSON_TYPE);
          const timer = setInterval(() => response.write(Buffer.alloc(64 * 1024, " ")), 1);
          response.on("close", () => clearInterval(timer));
        };
        const large = (length) => (_, response) => response.writeHead(200, { ...JSON_TYPE, ...(length && { "content-length": length }) }).end(" ".repeat(5_000_000));
        yield* answers(testbed, [
          ["a body that never ends", endless, 502, "upstream_invalid"],
          ["5 MB without a length", large(), 502, "upstream_invalid"],
          ["5 MB with its length", large(5_000_000), 502, "upstream_invalid"],
          ["a body that is shorter than its length", (_, response) => {
            response.writeHead(200, { ...JSON_TYPE, "content-length": "1000" });
            response.write('{"uid":"a');
            setTimeout(() => response.destroy(), 50);
          }, 503, "upstream_unavailable"],
        ]);
      },
    },
  },
  {
    id: "U6",
    title: "Pi, or a server that impersonates it, does not answer or sends one byte at a time, to delay the Worker.",
    defence: "After ten seconds in all: 504 upstream_timeout, never \"bad token\". Other requests do not wait.",
    isSlow: true,
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const drip = (headers) => (_, response) => {
          response.writeHead(200, headers);
          const timer = setInterval(() => response.write(" "), 200);
          response.on("close", () => clearInterval(timer));
        };
        Object.assign(testbed.answers, { "slow-silent": () => {}, "slow-drip": drip(JSON_TYPE), "slow-gzip": drip({ ...JSON_TYPE, "content-encoding": "gzip" }) });
        const began = performance.now();
        const slow = Promise.all(["slow-silent", "slow-drip", "slow-gzip"].map(async (token) => [token, await worker.signIn(token), performance.now() - began]));
        yield control("a sign-in beside them is answered", (await worker.signIn()).status === 200);
        for (const [token, response, took] of await slow) {
          const { code } = await response.json();
          const isRight = response.status === 504 && code === "upstream_timeout";
          const isEnded = ["slow-gzip"].includes(token) ? [502, 503, 504].includes(response.status) : isRight;
          yield attempt(`${token} is held up for more than fifteen seconds, or gets a session`, took > 15_000 || response.ok, isEnded ? "" : `${response.status} ${code}`);
        }
      },
    },
  },
  {
    id: "U7",
    title: "The Worker mistakes a failure of Pi for a sign-in, or for a bad token.",
    defence: "Pi's 401 and 403 become 401; 429 and 5xx become 503 with Retry-After; everything else becomes 502. Nothing is written.",
    on: {
      async *worker(testbed) {
        const retry = (seconds) => ({ name: `Retry-After ${seconds} is passed on`, holds: (response) => response.headers.get("retry-after") === String(seconds) });
        yield* answers(testbed, [
          ["401", send(401, {}, ""), 401, "access_token_rejected"],
          ["401 with a good user", send(401, JSON_TYPE, good), 401, "access_token_rejected"],
          ["403", send(403, JSON_TYPE, good), 401, "access_token_rejected"],
          ["400 with a good user", send(400, JSON_TYPE, good), 502, "upstream_invalid"],
          ["404", send(404, JSON_TYPE, "{}"), 502, "upstream_invalid"],
          ["429", send(429, { "retry-after": "7" }, ""), 503, "upstream_unavailable", retry(7)],
          ["500 with a good user", send(500, JSON_TYPE, good), 503, "upstream_unavailable"],
          ["503 with 70 KB", send(503, { "retry-after": "9" }, "x".repeat(70_000)), 503, "upstream_unavailable", retry(9)],
          ["201 with a good user", send(201, JSON_TYPE, good), [502], "upstream_invalid"],
          ["204", send(204, {}, ""), 502, "upstream_invalid"],
          ["206 with a good user", send(206, JSON_TYPE, good), 502, "upstream_invalid"],
          ["a reset connection", (request) => request.socket.destroy(), 503, "upstream_unavailable"],
        ]);
        const worker = await testbed.instrumented;
        yield worker.refuses("nobody listens", () => worker.signIn("token-alice", { overrides: { bindings: { PI_API_BASE: "http://127.0.0.1:9" } } }), 503, "upstream_unavailable");
      },
    },
  },
  {
    id: "U8",
    title: "Cookies, headers or texts of Pi's answer reach the client.",
    defence: "Only the user's fields of Pi's answer reach the client.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        testbed.answers["token-cookie"] = send(200, { ...JSON_TYPE, "set-cookie": "evil4711=1", "x-evil4711": "evil4711" }, JSON.stringify(user({ evil4711: "evil4711", credentials: { scopes: ["username"], evil4711: "evil4711" } })));
        testbed.answers["token-error"] = send(400, { ...JSON_TYPE, "set-cookie": "evil4711=1" }, '{"error":"evil4711","error_message":"evil4711"}');
        for (const token of ["token-cookie", "token-error"]) {
          const response = await worker.signIn(token);
          yield attempt(`of ${token}, something is passed on`, `${[...response.headers]} ${await response.text()}`.includes("evil4711"));
          if (token === "token-cookie") yield control("the user is signed in", response.status === 200);
        }
      },
    },
  },
  {
    id: "U9",
    title: "A client's cookies and headers reach Pi.",
    defence: "The request to Pi is GET /v2/me with three headers that the Worker sets itself.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const { requests } = await testbed.pi;
        const theirs = { cookie: "a=b", "x-forwarded-for": "10.0.0.1", "x-own": "1", "user-agent": "evil", accept: "evil", "accept-language": "evil", referer: "https://evil.example/", "cf-connecting-ip": "10.0.0.2", traceparent: "evil" };
        const response = await worker.signIn("token-alice", { headers: theirs });
        const { method, url, headers } = requests.at(-1);
        for (const [name, value] of Object.entries(theirs)) yield attempt(`the header ${name}`, headers[name] === value);
        yield attempt("another method or path", method !== "GET" || url !== "/v2/me");
        const ours = { authorization: "Bearer token-alice", accept: "application/json" };
        yield control("the Worker's own headers", response.status === 200 && Object.entries(ours).every(([name, value]) => headers[name] === value) && /^pioneer-session\//.test(headers["user-agent"]));
        yield control("the session is Alice's", claimsOf((await response.json()).sessionToken).sub === ALICE);
      },
    },
  },
];
