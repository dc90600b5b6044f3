// A client as a developer writes it with openapi-typescript and openapi-fetch.
// tests/openapi/openapi.test.mjs compiles it against types that it generates from the OpenAPI
// document, and runs it.

import createClient from "openapi-fetch";
import type { components, paths } from "./types.ts";

type Problem = components["schemas"]["Problem"];

/** Signs in, reads the user's record, refreshes the session, and signs out. Returns the results. */
export async function visit(baseUrl: string, accessToken: string) {
  const client = createClient<paths>({ baseUrl });
  const signedIn = await client.POST("/session", { body: { accessToken } });
  if (signedIn.error) throw new Error(explain(signedIn.error));
  const authorization = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const { sessionToken, refreshToken, user } = signedIn.data;

  const me = await client.GET("/me", authorization(sessionToken));
  if (me.error) throw new Error(explain(me.error));

  const refreshed = await client.POST("/session/refresh", { body: { refreshToken } });
  if (refreshed.error) throw new Error(explain(refreshed.error));

  const { response: signedOut } = await client.DELETE("/session", authorization(refreshed.data.sessionToken));
  const after = await client.GET("/me", authorization(refreshed.data.sessionToken));
  // The codes of a status are a union, so the compiler knows every case.
  const code: "session_missing" | "session_invalid" | "session_expired" | "session_revoked" | undefined =
    after.error?.status === 401 ? after.error.code : undefined;

  const { data: sale } = await client.GET("/products");
  const prices: string[] = (sale?.products ?? []).map(({ amount }) => amount);
  return { uid: user.uid, sameUser: me.data.user.uid === user.uid, signedOut: signedOut.status, code, prices };
}

function explain({ status, code, detail, type }: Problem): string {
  return `${status} ${code}: ${detail} See ${type}`;
}

/** Never called: each of these calls must be an error of the compiler. */
export async function mistakes(client: ReturnType<typeof createClient<paths>>) {
  // @ts-expect-error there is no such route
  await client.GET("/nowhere");
  // @ts-expect-error the route has no such method
  await client.PUT("/session");
  // @ts-expect-error the access token is missing
  await client.POST("/session", { body: {} });
  // @ts-expect-error the session id is missing
  await client.DELETE("/sessions/{sid}");
}
