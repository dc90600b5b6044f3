// Calls the routes of operators, and turns every failure into one kind of error.

/** A request that did not succeed, in the words of the Worker. */
export class Refused extends Error {
  /** @param {{ status?: number, code?: string, detail: string, requestId?: string }} problem */
  constructor({ status = 0, code = "unreachable", detail, requestId }) {
    super(detail);
    Object.assign(this, { status, code, requestId });
  }
}

/** The problem of a response. An answer that is not from the Worker has no document. */
async function problem(response) {
  const { status } = response;
  const { code, detail, requestId } = await response.json().catch(() => ({}));
  return new Refused({
    status,
    code: code ?? "unknown",
    detail: detail ?? `The answer has the status ${status} and no explanation.`,
    requestId: requestId ?? response.headers.get("x-request-id") ?? undefined,
  });
}

async function send(method, path, token, body, signal) {
  let response;
  try {
    response = await fetch(`/admin/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
      // The Worker reads no cookie here. Cloudflare Access, if it protects the page, needs its own.
      credentials: "same-origin",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused({ detail: "The Worker could not be reached. Check the connection." });
  }
  if (!response.ok) throw await problem(response);
  return response;
}

/** Exchanges a credential for a token. */
export const signIn = async (credential) => (await send("POST", "session", credential)).json();

/** The calls of an operator with a token. Once the token is no longer valid, `onRejected` is called. */
export function connect(token, onRejected) {
  const call = (method, path, body, signal) =>
    send(method, path, token, body, signal).catch((error) => {
      if (error.code === "operator_rejected") onRejected();
      throw error;
    });
  return {
    read: async (path, signal) => (await call("GET", path, undefined, signal)).json(),
    /** As text: a number in a user's data may be too large for JavaScript. */
    text: async (path) => (await call("GET", path)).text(),
    /** Acts. The result is undefined if the answer has none. */
    act: async (method, path, body) => {
      const response = await call(method, path, body);
      return response.status === 204 ? undefined : response.json();
    },
  };
}

/** A path with its parts and its query encoded. A member of the query without a value is left out. */
export function pathOf(parts, query = {}) {
  const members = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const path = parts.map(encodeURIComponent).join("/");
  return members.length > 0 ? `${path}?${new URLSearchParams(members)}` : path;
}
