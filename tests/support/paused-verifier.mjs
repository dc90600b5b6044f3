// A process with verifiers that a test pauses and continues. The variable PROGRAM has their options
// as JSON. Each message is a token; the answer has the result of each way to verify it. The
// verifier's own verify() runs first, before anything else can have asked the issuer.

import { createVerifier, verify } from "pioneer-session";
import { requireSession } from "pioneer-session/express";

const options = JSON.parse(process.env.PROGRAM);
const verifier = await createVerifier(options);
// Each has another tolerance, because verifiers with equal options share their keys and their feed.
const guarded = requireSession({ ...options, clockTolerance: 6 });
const readied = await createVerifier({ ...options, clockTolerance: 7 });

const outcome = (action) => Promise.resolve().then(action).then(({ uid }) => uid, ({ code, message }) => code ?? message);
const through = (token) => new Promise((done) => {
  const request = { headers: { authorization: `Bearer ${token}` } };
  guarded(request, { setHeader() {}, end: (body) => done(JSON.parse(body).code) }, (error) => done(error?.message ?? request.session.uid));
});

process.on("message", async (token) => {
  let sync;
  try {
    sync = verifier.verify(token).uid;
  } catch ({ code }) {
    sync = code;
  }
  const [once, middleware, ready] = await Promise.all([
    outcome(() => verify(token, options)),
    through(token),
    outcome(async () => (await readied.ready()).verify(token)),
  ]);
  process.send({ sync, once, middleware, ready, after: await outcome(async () => (await verifier.ready()).verify(token)) });
});
process.send("started");
