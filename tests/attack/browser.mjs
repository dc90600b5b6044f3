// Attacks from other web pages, with cookies and with headers.

import { attempt, control } from "./runner.mjs";
import { ALICE, APP } from "./testbed.mjs";

const EVIL = "https://evil.example";
const statusOf = async (response) => (await response).status;

/** Every route with each of its methods. */
export const ROUTES = [
  ["GET", "/session"], ["POST", "/session"], ["DELETE", "/session"], ["POST", "/session/refresh"], ["GET", "/sessions"], ["DELETE", "/sessions"], ["DELETE", "/sessions/x"], ["GET", "/me"], ["DELETE", "/me"], ["GET", "/me/data"],
  ["PUT", "/me/data"], ["GET", "/products"], ["POST", "/orders"], ["GET", "/orders/x"], ["GET", "/payments"], ["POST", "/payments/x/approve"], ["POST", "/payments/x/complete"], ["POST", "/payments/x/cancel"], ["POST", "/payments/x/recover"],
  ["POST", "/ads/x/claim"], ["GET", "/revocations"], ["POST", "/introspect"], ["GET", "/users/x"], ["GET", "/users/x/payments"], ["POST", "/users/x/revoke"], ["POST", "/revoke-all"], ["POST", "/notifications"], ["GET", "/openapi.json"],
  ["GET", "/.well-known/jwks.json"], ["GET", "/health"],
];

/** Answers of every kind: refusals, preflights, unknown routes, a sign-in. */
const answersOf = (worker) => [
  ...ROUTES.map(([method, path]) => [`${method} ${path}`, () => worker.call(path, { method })]), ...ROUTES.map(([, path]) => [`OPTIONS ${path}`, () => worker.call(path, { method: "OPTIONS", headers: { origin: APP } })]),
  ["an unknown route", () => worker.call("/nowhere")], ["a wrong method", () => worker.call("/health", { method: "PATCH" })], ["a refused origin", () => worker.call("/session", { headers: { origin: EVIL } })], ["a sign-in", () => worker.signIn()],
];

export const browser = [
  {
    id: "B1",
    title: "A script of the page, or an unencrypted request, reads the session cookies.",
    defence: "The cookies are __Host- cookies with Secure, HttpOnly, SameSite=None, Partitioned and Path=/; signing out deletes the unpartitioned ones too.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const response = await worker.signIn("token-alice", { headers: { origin: APP } });
        const { sessionToken, refreshToken } = await response.json();
        const set = response.headers.getSetCookie().filter((cookie) => !cookie.endsWith("Max-Age=0"));
        const expected = [["__Host-pi_session", sessionToken, 600], ["__Host-pi_refresh", refreshToken, 604_800]].map(([name, value, seconds]) => `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=${seconds}`);
        for (const [i, text] of expected.entries()) {
          yield attempt(`a cookie with other attributes: ${text.slice(0, 20)}`, set[i] !== text);
          yield attempt("a cookie of more than 4,096 bytes", set[i].length > 4096);
        }
        const cookies = set.map((cookie) => cookie.split(";")[0]);
        const out = await worker.call("/session", { method: "DELETE", cookies, headers: { origin: APP } });
        const cleared = out.headers.getSetCookie();
        for (const name of ["__Host-pi_session", "__Host-pi_refresh"]) {
          for (const partitioned of [true, false]) yield attempt(`after the sign-out, ${name} ${partitioned ? "with" : "without"} Partitioned stays`, !cleared.some((cookie) => cookie.startsWith(`${name}=;`) && cookie.includes("Partitioned") === partitioned && cookie.endsWith("Max-Age=0")));
        }
        yield control("the sign-out is answered", out.status === 204);
      },
      async *browser(testbed) {
        const { page, context, issuer, close } = await testbed.page();
        await page.evaluate(async (issuer) => (window.session = await api.signIn(Pi, { issuer, cookie: true })), issuer.url);
        const cookies = await context.cookies();
        yield control("the browser has both cookies", cookies.length === 2);
        for (const { name, httpOnly, secure } of cookies) yield attempt(`${name} can be read`, !httpOnly || !secure);
        yield attempt("document.cookie shows one", (await page.evaluate(() => document.cookie)) !== "");
        yield attempt("the session object shows the token", (await page.evaluate(() => JSON.stringify([session.token, session]))).includes("eyJ"));
        await close();
      },
    },
  },
  {
    id: "B2",
    title: "Another host of the domain sets a cookie with the same or a similar name.",
    defence: "Only the exact __Host- names count; a duplicate name is 400.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const [mine, theirs] = [await worker.session(), await worker.session("token-bob")];
        const [session] = mine.cookies;
        const value = theirs.sessionToken;
        const get = (cookies) => worker.call("/session", { cookies });
        for (const name of ["pi_session", "__host-pi_session", "__HOST-pi_session", "__Secure-pi_session", "__Host-pi_session.0", "__Host-pi_session2", "=__Host-pi_session", "__Host-PI_SESSION", "%5F_Host-pi_session"]) {
          yield worker.refuses(`only ${name}`, () => get([`${name}=${value}`]), 401, "session_missing");
          const uid = (await (await get([`${name}=${value}`, session])).json()).uid;
          yield attempt(`${name} next to the real one`, uid !== ALICE);
        }
        for (const cookies of [[session, `__Host-pi_session=${value}`], [`__Host-pi_session=${value}`, session], [session, session], [session, "__Host-pi_session="], [session, ` __Host-pi_session=${value}`]]) yield worker.refuses("the duplicate name", () => get(cookies), 400, "ambiguous_credentials");
        for (const quoted of [`"${value}"`, `${value},${value}`, `${value}%20`]) yield worker.refuses(`the value ${quoted.slice(0, 1)}…`, () => get([`__Host-pi_session=${quoted}`]), 401, "session_invalid");
        yield control("the real one", (await statusOf(get([session]))) === 200);
      },
    },
  },
  {
    id: "B3",
    title: "A page of another origin reads answers.",
    defence: "Access-Control-Allow-Origin is the exact, listed origin, or absent; every answer has Vary: Origin.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        for (const origin of ["null", EVIL, `${APP}.evil.example`, "https://evil-app.example.com", "http://app.example.com", `${APP}:8443`, APP.toUpperCase(), `${APP}.`, `${APP}/`, `${APP}, ${EVIL}`, "*"]) {
          for (const method of ["GET", "OPTIONS"]) {
            const response = await worker.call("/products", { method, headers: { origin, "access-control-request-method": "GET" } });
            const isOpen = [...response.headers.keys()].some((name) => name.startsWith("access-control-") && name !== "access-control-allow-methods" && name !== "access-control-max-age");
            yield attempt(`${method} from ${origin}`, isOpen, response.status === 403 ? "" : String(response.status));
          }
        }
        for (const [name, send] of answersOf(worker)) yield attempt(`${name} has no Vary: Origin`, !/\bOrigin\b/.test((await send()).headers.get("vary")));
        for (const [, path] of ROUTES) {
          const { headers } = await worker.call(path, { headers: { origin: APP } });
          yield attempt(`${path} lets every origin read`, headers.get("access-control-allow-origin") === "*" || headers.get("access-control-allow-origin")?.includes(","));
        }
        yield control("the listed origin may read", (await worker.call("/products", { headers: { origin: APP } })).headers.get("access-control-allow-origin") === APP);
      },
    },
  },
  {
    id: "B4",
    title: "Another site posts a form, or navigates, with the visitor's cookies.",
    defence: "A change with a cookie needs an allowed Origin; only application/json is a body; reads from other sites are refused.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const mine = await worker.session();
        const { cookies } = mine;
        for (const [method, path] of ROUTES.filter(([method]) => method !== "GET")) {
          if (/introspect|users|revoke-all|notifications/.test(path)) continue;
          for (const headers of [{ origin: EVIL }, { origin: "null" }, {}, { "sec-fetch-site": "cross-site" }]) {
            yield worker.refuses(`${method} ${path} ${JSON.stringify(headers)}`, () => worker.call(path, { method, cookies, headers, ...(method !== "DELETE" && { body: "{}" }) }), 403, "origin_not_allowed");
          }
        }
        for (const path of ["/session", "/me", "/me/data", "/payments"]) yield worker.refuses(`GET ${path} from another site`, () => worker.call(path, { cookies, headers: { "sec-fetch-site": "cross-site" } }), 403, "origin_not_allowed");
        const body = JSON.stringify({ accessToken: "token-bob" });
        for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json", "application/jsonp", "application/json, text/plain", "application/json; charset=utf-16", ""]) {
          yield worker.refuses(`a body of type ${type || "nothing"}`, () => worker.post("/session", body, { headers: { "content-type": type } }), 415, "unsupported_media_type");
        }
        for (const method of ["HEAD", "GET"]) {
          for (const header of ["x-http-method-override", "x-http-method", "x-method-override"]) {
            await worker.call("/session?_method=DELETE", { method, cookies, headers: { [header]: "DELETE" } });
            yield attempt(`${method} with ${header}`, (await statusOf(worker.call("/session", { token: mine.sessionToken }))) !== 200);
          }
        }
        yield control("the app's own page, from a frame of another site too", (await statusOf(worker.call("/session", { cookies, headers: { origin: APP, "sec-fetch-site": "cross-site" } }))) === 200);
      },
      async *browser(testbed) {
        const { page, context, issuer, elsewhere, close } = await testbed.page();
        await page.evaluate(async (issuer) => (window.session = await api.signIn(Pi, { issuer, cookie: true })), issuer.url);
        const cookie = (await context.cookies()).length;
        // If its session were revoked, the page would silently start another one.
        const seen = () => page.evaluate(async (issuer) => JSON.stringify([(await (await session.fetch(`${issuer}/session`)).json()).sid, asked]), issuer.url);
        const before = await seen();
        const other = await context.newPage();
        await other.route("https://evil.example/**", (route) => route.fulfill({ status: 200, contentType: "text/html", body: "<!doctype html>" }));
        await other.goto(`${elsewhere.url}/`);
        await other.evaluate(async (issuer) => {
          for (const path of ["/session/refresh", "/session", "/orders"]) {
            await fetch(issuer + path, { method: "POST", mode: "no-cors", credentials: "include", body: "{}" }).catch(() => {});
            const form = Object.assign(document.createElement("form"), { method: "POST", action: issuer + path, target: "frame", enctype: "text/plain" });
            const frame = Object.assign(document.createElement("iframe"), { name: "frame" });
            document.body.append(frame, form);
            form.submit();
            await new Promise((done) => setTimeout(done, 300));
          }
          navigator.sendBeacon(`${issuer}/session/refresh`, new Blob(["{}"], { type: "text/plain" }));
          await fetch(`${issuer}/session`, { method: "DELETE", credentials: "include" }).catch(() => {});
        }, issuer.url);
        yield attempt("posts and forms of another page revoke or replace the session", (await seen()) !== before);
        yield control("the visitor had cookies and a session", cookie === 2 && before.includes(",1]"));
        await close();
      },
    },
  },
  {
    id: "B5",
    title: "Another site frames the Worker's answers, so that its visitor clicks there.",
    defence: "Every answer has Content-Security-Policy: default-src 'none'; frame-ancestors 'none'.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        for (const [name, send] of answersOf(worker)) yield attempt(`${name} can be framed`, !/frame-ancestors 'none'/.test((await send()).headers.get("content-security-policy")));
        yield control("a sign-in", (await statusOf(worker.signIn())) === 200);
      },
      async *browser(testbed) {
        const { page, issuer, app, close } = await testbed.page();
        const framed = (url) => page.evaluate(async (url) => {
          const frame = Object.assign(document.createElement("iframe"), { src: url });
          const loaded = new Promise((done) => frame.addEventListener("load", done));
          document.body.append(frame);
          await loaded;
          return frame.contentWindow.length >= 0;
        }, url).then(async () => {
          const frame = page.frames().at(-1);
          return { url: frame.url(), text: await frame.evaluate(() => document.body.innerText).catch(() => "") };
        });
        for (const path of ["/health", "/session", "/openapi.json", "/products"]) {
          const { url, text } = await framed(issuer.url + path);
          yield attempt(`${path} is shown in a frame`, url.startsWith(issuer.url) && /status|problem|openapi|products|code/.test(text));
        }
        const { text } = await framed(`${app.url}/browser.mjs`);
        yield control("a page that permits it is shown in a frame", text.includes("SignInError"));
        await close();
      },
    },
  },
  {
    id: "B6",
    title: "The browser blocks cookies and storage, so that the session is kept in localStorage, or nobody can sign in.",
    defence: "The bearer token works without cookies and storage, and the page keeps it only in memory.",
    on: {
      async *browser(testbed) {
        const { page, context, issuer, sent, close } = await testbed.page();
        // In a browser that blocks cookies and storage, storage throws and cookies are dropped.
        await page.evaluate(() => {
          for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });
        });
        const seen = await page.evaluate(async (issuer) => {
          window.session = await api.signIn(Pi, { issuer });
          const first = (await session.fetch(`${issuer}/session`)).status;
          await session.renew();
          return [session.user.uid, first, (await session.fetch(`${issuer}/me`)).status];
        }, issuer.url);
        yield control("sign-in, renewal and requests work without cookies and storage", JSON.stringify(seen) === JSON.stringify([ALICE, 200, 200]));
        yield attempt("a cookie was kept or sent", (await context.cookies()).length > 0 || (await Promise.all(sent.map((request) => request.allHeaders()))).some((headers) => headers.cookie));
        const other = await testbed.page();
        const kept = await other.page.evaluate(async (issuer) => {
          await api.signIn(Pi, { issuer });
          return localStorage.length + sessionStorage.length + (await indexedDB.databases()).length + (await caches.keys()).length;
        }, issuer.url);
        yield attempt("something is stored although the page did not ask for it", kept > 0);
        await other.close();
        await close();
      },
    },
  },
  {
    id: "B7",
    title: "A request has two credentials, and two programs take it for two different users.",
    defence: "Two credentials are 400; the Worker reads no token from a URL or a body.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const [alice, bob] = [await worker.session(), await worker.session("token-bob")];
        const token = alice.sessionToken;
        const raw = async (name, lines, expected) => {
          const answer = await worker.raw(`GET /session HTTP/1.1\r\nHost: x\r\n${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`);
          return attempt(name, /^HTTP\/1.1 200/.test(answer), answer.includes(expected) ? "" : answer.slice(0, 60));
        };
        yield worker.refuses("cookie and bearer of two users", () => worker.call("/session", { token, cookies: bob.cookies }), 400, "ambiguous_credentials");
        yield worker.refuses("cookie and bearer of one user", () => worker.call("/session", { token, cookies: alice.cookies }), 400, "ambiguous_credentials");
        yield worker.refuses("two tokens with a comma", () => worker.call("/session", { headers: { authorization: `Bearer ${token}, Bearer ${bob.sessionToken}` } }), 400, "ambiguous_credentials");
        yield raw("two Authorization lines", [`Authorization: Bearer ${token}`, `Authorization: Bearer ${bob.sessionToken}`], "ambiguous_credentials");
        yield raw("two equal Authorization lines", [`Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`], "ambiguous_credentials");
        yield raw("a Basic and a Bearer line", ["Authorization: Basic eDp5", `Authorization: Bearer ${token}`], "ambiguous_credentials");
        for (const query of ["access_token", "token", "session", "authorization", "Authorization"]) yield worker.refuses(`?${query}=`, () => worker.call(`/session?${query}=${token}`), 401, "session_missing");
        yield worker.refuses("Basic", () => worker.call("/session", { headers: { authorization: `Basic ${token}` } }), 401, "session_missing");
        for (const name of ["x-authorization", "x-access-token", "proxy-authorization", "x-session-token"]) yield worker.refuses(name, () => worker.call("/session", { headers: { [name]: `Bearer ${token}` } }), 401, "session_missing");
        yield worker.refuses("a refresh token in the body beside the cookie", () => worker.post("/session/refresh", { refreshToken: alice.refreshToken }, { cookies: bob.cookies, headers: { origin: APP } }), 400, "ambiguous_credentials");
        yield control("one credential", (await statusOf(worker.call("/session", { token }))) === 200);
      },
    },
  },
  {
    id: "B8",
    title: "A text of the request returns in a header, with quotes or line breaks that add other headers.",
    defence: "Only an allowed origin, which is a setting, returns in a header; no other text of the request does.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const MARK = "reflected4711";
        const texts = [MARK, `${MARK}"`, `${MARK}%0d%0aSet-Cookie:%20a=b`, `${MARK}\\", x="`, `${MARK}é`];
        const sends = (text) => {
          const header = Buffer.from(text).toString("latin1");
          return {
            "the path": () => worker.call(`/${text}`), "the query": () => worker.call(`/session?realm=${text}&error_description=${text}`), "the bearer token": () => worker.call("/session", { headers: { authorization: `Bearer ${header}` } }),
            "the scheme": () => worker.call("/session", { headers: { authorization: `${header} x` } }), "Origin": () => worker.call("/session", { headers: { origin: `https://${header}` } }), "Content-Type": () => worker.post("/session", "{}", { headers: { "content-type": header } }),
            "If-Match": () => worker.call("/me/data", { method: "PUT", headers: { "if-match": `"${header}"` } }), "If-None-Match": () => worker.call("/.well-known/jwks.json", { headers: { "if-none-match": `"${header}"` } }), "the cookie": () => worker.call("/session", { cookies: [`__Host-pi_session=${header}`] }),
            "the access token": () => worker.post("/session", { accessToken: text }), "the refresh token": () => worker.post("/session/refresh", { refreshToken: text }), "a session id": () => worker.call(`/sessions/${text}`, { method: "DELETE" }), "User-Agent": () => worker.signIn("token-alice", { headers: { "user-agent": header } }),
            "X-Request-Id": () => worker.call("/health", { headers: { "x-request-id": header } }), "Access-Control-Request-Headers": () => worker.call("/me", { method: "OPTIONS", headers: { origin: APP, "access-control-request-headers": `${MARK};${header}` } }), "the credential of a backend": () => worker.call("/revoke-all", { method: "POST", headers: { authorization: `Bearer ${header}` } }),
          };
        };
        for (const text of texts) {
          for (const [name, send] of Object.entries(sends(text))) {
            const response = await send();
            yield attempt(`${name}: ${text}`, JSON.stringify([...response.headers]).includes(MARK) || (response.status >= 400 && (await response.text()).includes(MARK)));
          }
        }
        const challenge = (await worker.call("/session", { token: "x" })).headers.get("www-authenticate");
        yield attempt("the challenge has a text that is not fixed", challenge !== 'Bearer error="invalid_token"');
        const smuggled = await worker.raw(`GET /session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${MARK}\rX: y\r\nConnection: close\r\n\r\n`);
        yield attempt("a bare CR in a header is taken", /^HTTP\/1.1 200/.test(smuggled) || smuggled.includes(MARK));
        yield control("a good token", (await statusOf(worker.call("/session", { token: (await worker.session()).sessionToken }))) === 200);
      },
    },
  },
  {
    id: "B9",
    title: "An answer with a session is cached, read as HTML, embedded by another site, or requested without TLS.",
    defence: "Every answer has nosniff, HSTS, no-referrer and same-origin; every answer that is not public has no-store.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const fixed = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin", "strict-transport-security": "max-age=31536000" };
        const PUBLIC = /^GET \/(products|revocations|openapi\.json|\.well-known\/jwks\.json)$/;
        for (const [name, send] of answersOf(worker)) {
          const { headers } = await send();
          for (const [header, value] of Object.entries(fixed)) yield attempt(`${name} without ${header}`, headers.get(header) !== value);
          yield attempt(`${name} may be cached`, headers.get("cache-control") !== "no-store" && !PUBLIC.test(name));
        }
        yield control("the key set may be cached", /public/.test((await worker.call("/.well-known/jwks.json")).headers.get("cache-control")));
      },
    },
  },
];

