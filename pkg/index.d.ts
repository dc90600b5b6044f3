// The public types of pioneer-session, on every platform.

/** Why a session was refused, or why a verifier could not be made. */
export type SessionErrorCode =
  | "token_malformed"
  | "token_too_long"
  | "unknown_key"
  | "bad_signature"
  | "wrong_issuer"
  | "wrong_audience"
  | "not_yet_valid"
  | "expired"
  | "invalid_claims"
  | "revoked"
  | "keys_unavailable"
  | "revocations_unavailable"
  | "session_missing"
  | "ambiguous_credentials"
  | "invalid_options";

/** A session was refused, or a verifier could not be made. It never contains the token. */
export class SessionError extends Error {
  readonly name: "SessionError";
  readonly code: SessionErrorCode;
  /** The cause, and the next step for the developer. */
  readonly hint: string;
  /** The URL of the page about the code. */
  readonly help: string;
  private constructor();
}

/** A public Ed25519 key (RFC 8037). Its `kid` is its RFC 7638 thumbprint. */
export interface Jwk {
  kty: string;
  crv?: string;
  x?: string;
  kid?: string;
  [member: string]: unknown;
}

/**
 * The options of a verifier. Only the object's own members count; nothing is read from its
 * prototype.
 */
export interface VerifyOptions {
  /**
   * The Worker's SESSION_ISSUER, exactly: an origin such as `https://session.example.com`, without
   * a slash at its end.
   */
  issuer: string;
  /** The Worker's SESSION_AUDIENCE, exactly. */
  audience: string;
  /** By how much the clocks may differ, whole seconds from 0 to 60; 5 by default. */
  clockTolerance?: number;
  /**
   * The issuer's public keys. With them, the verifier never fetches keys; pass newer keys to a new
   * verifier.
   */
  jwks?: { keys: readonly Jwk[] };
  /**
   * The address of the keys, if it is not `<issuer>/.well-known/jwks.json`: https, or http on this
   * machine.
   */
  jwksUrl?: string;
  /**
   * Refuses the tokens of revoked sessions. The verifier polls the issuer's signed feed, every 15
   * seconds by default. While the issuer cannot be reached, it uses the last feed. If the issuer
   * answers with feeds that are old or from the future by this machine's clock, it uses the last
   * feed for five minutes, and then accepts no token.
   */
  revocations?: boolean | RevocationOptions;
  /**
   * Remembers up to `max` verified tokens, and does not verify their signatures again. Expiry, keys
   * and revocation are still checked. The `claims` are frozen. Off by default.
   */
  cache?: false | { max: number };
  /**
   * A function to call instead of the global `fetch`, for a proxy, a service binding or a test.
   * Pass the same function each time: verifiers with different functions share no keys. It must not
   * cache. If it follows a redirect, the answer is refused.
   */
  fetch?: (url: string, init: FetchInit) => Promise<FetchedResponse>;
}

/** The second argument of the option `fetch`: a `RequestInit`. */
export interface FetchInit {
  method: "GET";
  redirect: "manual";
  headers: Record<string, string>;
  /** An AbortSignal. */
  signal: any;
  cache?: "no-store";
}

/** The result of the option `fetch`: a `Response`, or an object with the members that are read. */
export interface FetchedResponse {
  readonly status: number;
  readonly redirected?: boolean;
  readonly headers: { get(name: string): string | null };
  /** A ReadableStream. Any other kind of stream is read with `arrayBuffer()`. */
  readonly body: any;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** How to follow the feed of revoked sessions. */
export interface RevocationOptions {
  /** The interval between two polls, whole seconds from 1 to 300; 15 by default. */
  pollSeconds?: number;
  /**
   * The greatest age of the feed. When the feed is older, the verifier refuses every token
   * (`revocations_unavailable`). Without this option, the last feed is used for as long as the
   * issuer cannot be reached: such an issuer starts no sessions, and the known ones expire. In
   * Workers, where nothing polls between requests, the default is 300.
   */
  maxAgeSeconds?: number;
}

/**
 * Is called with each refused request, and is not waited for. The client's answer stays the same,
 * also when the function throws. `error` never contains the token; `request` does.
 */
export type OnRefused<Request = any> = (error: SessionError, request: Request) => unknown;

/** The options of a guard: those of a verifier, or an existing verifier. */
export type GuardOptions<Request = any> = (VerifyOptions | { verifier: Verifier }) & {
  /**
   * Called with each refused request, instead of a warning on the console. Without it, the
   * middleware warns once for each code that only the developer can do something about.
   */
  onRefused?: OnRefused<Request>;
};

/** The options of a middleware's `requireSession`. */
export type RequireSessionOptions<Request = any, Name extends string = "session"> = GuardOptions<Request> & {
  /** The name under which a request gets its session; `session` by default. */
  property?: Name;
};

/** The claims in a session token. */
export interface SessionClaims {
  iss: string;
  aud: string;
  sub: string;
  sid: string;
  /** Seconds since 1970, like `exp` and `auth_time`. */
  iat: number;
  exp: number;
  auth_time: number;
  jti: string;
  scope: string;
  preferred_username?: string;
  app_bound?: boolean;
  [claim: string]: unknown;
}

/** A verified session. */
export interface Session {
  /** The user's id in this app. Store data about the user under this id only. */
  uid: string;
  /** The session's id. */
  sid: string;
  /**
   * The user's name for display, if the user granted it. It may change, so never store data under
   * it.
   */
  username?: string;
  /** The scopes that the user granted. */
  scopes: string[];
  /** Whether Pi confirmed that the access token was issued for this app. */
  appBound: boolean;
  issuedAt: Date;
  expiresAt: Date;
  authTime: Date;
  /** All claims of the token, except members named `__proto__` or `constructor`. */
  claims: SessionClaims;
}

/** Verifies the session tokens of one issuer. */
export interface Verifier {
  /**
   * Verifies a session token synchronously, without a network call. Throws a SessionError. After
   * the process stood still (a cloud function was frozen, a machine slept), it throws
   * `keys_unavailable` or `revocations_unavailable` until the issuer has answered again. On such
   * platforms, call `ready()` before it.
   */
  verify(token: string): Session;
  /**
   * Waits until keys and feed are fresh, or throws a SessionError. Call it before `verify` where
   * timers do not run between requests (Workers, AWS Lambda, Cloud Run, Vercel). It waits for at
   * most three seconds. It does not wait for an issuer that has just failed to answer if earlier
   * keys and feed may still be used.
   */
  ready(): Promise<this>;
  /**
   * Prepares the keys for fast verification, in a few milliseconds each. Without it, that happens
   * during use.
   */
  warm(): this;
  /** The age of keys and feed, seconds. The age of keys that were passed as `jwks` is 0. */
  health(): { keysAgeSeconds: number; revocationsAgeSeconds?: number };
  /** Closes the verifier. It stops fetching, unless another open verifier has the same options. */
  close(): Promise<void>;
}

/** Makes a verifier, and waits until it has keys. Rejects with a SessionError. */
export function createVerifier(options: VerifyOptions): Promise<Verifier>;

/**
 * Verifies one session token. The issuer's keys are fetched once and kept. Rejects with a
 * SessionError.
 */
export function verify(token: string, options: VerifyOptions): Promise<Session>;
