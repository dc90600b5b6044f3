// `POST /introspect` of the built Worker, called by an OAuth client that others wrote
// (oauth4webapi). Backends in any language reach the Worker through such clients.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import * as oauth from "oauth4webapi";
import { startIssuer, startSimulator } from "../support/workers.mjs";

const CREDENTIAL = randomBytes(32).toString("base64url");
const client = { client_id: "shop" };
/** The Worker knows a backend by a bearer credential (RFC 7662 §2.1). */
const bearer = (credential) => (_server, _client, _body, headers) => headers.set("authorization", `Bearer ${credential}`);

describe("an OAuth client introspects", () => {
  let pi, issuer, server, session;
  const introspect = (token, authentication = bearer(CREDENTIAL), options = {}) =>
    oauth.introspectionRequest(server, client, authentication, token, { [oauth.allowInsecureRequests]: true, ...options });
  const answer = async (...args) => oauth.processIntrospectionResponse(server, client, await introspect(...args));

  before(async () => {
    pi = await startSimulator();
    issuer = await startIssuer({
      pi: pi.url,
      allowedOrigin: "https://app.example",
      variables: { BACKEND_CREDENTIALS: JSON.stringify({ shop: createHash("sha256").update(CREDENTIAL).digest("hex") }) },
    });
    server = { issuer: issuer.url, introspection_endpoint: `${issuer.url}/introspect` };
    const body = JSON.stringify({ accessToken: "sim-alice" });
    session = await (await fetch(`${issuer.url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body })).json();
  });
  after(async () => {
    await issuer?.close();
    await pi?.close();
  });

  test("a session token is active, with its claims", async () => {
    const { active, sub, username, token_type, iss, aud, exp, iat } = await answer(session.sessionToken);
    assert.equal(active, true);
    assert.deepEqual({ sub, username, token_type, iss, aud }, { sub: session.user.uid, username: session.user.username, token_type: "Bearer", iss: issuer.url, aud: "test-app" });
    assert.ok(exp > iat && exp - iat <= 3600);
  });

  test("a hint about the token's type changes nothing", async () => {
    const options = { additionalParameters: { token_type_hint: "access_token" } };
    assert.equal((await answer(session.sessionToken, bearer(CREDENTIAL), options)).active, true);
  });

  test("the body may also name the client", async () => {
    const named = (_server, { client_id }, body, headers) => {
      body.set("client_id", client_id);
      headers.set("authorization", `Bearer ${CREDENTIAL}`);
    };
    assert.equal((await answer(session.sessionToken, named)).active, true);
  });

  for (const [what, token] of Object.entries({
    "a forged token": () => `${session.sessionToken.slice(0, -4)}AAAA`,
    "a refresh token": () => session.refreshToken,
    "any text": () => "no token",
  })) {
    test(`${what} is inactive, without a reason`, async () => assert.deepEqual(await answer(token()), { active: false }));
  }

  test("another credential, and a session token as the credential, are refused with a challenge", async () => {
    for (const credential of ["x".repeat(43), session.sessionToken]) {
      const response = await introspect(session.sessionToken, bearer(credential));
      assert.equal(response.status, 401);
      await assert.rejects(oauth.processIntrospectionResponse(server, client, response), (error) => {
        assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, error.name);
        assert.deepEqual(error.cause.map(({ scheme }) => scheme), ["bearer"]);
        return true;
      });
    }
  });

  test("a client's secret in the body or as Basic does not stand for the credential", async () => {
    for (const authentication of [oauth.ClientSecretPost(CREDENTIAL), oauth.ClientSecretBasic(CREDENTIAL), oauth.None()]) {
      const response = await introspect(session.sessionToken, authentication);
      assert.ok([400, 401].includes(response.status), String(response.status));
      assert.ok(!JSON.stringify(await response.json()).includes(session.user.uid));
    }
  });

  test("a revocation is in the next answer", async () => {
    assert.equal((await issuer.endSession(session.sessionToken)).status, 204);
    assert.deepEqual(await answer(session.sessionToken), { active: false });
  });
});
