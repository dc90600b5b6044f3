/** Why a session was refused, or a verifier could not be made. */
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

export class SessionError extends Error {
  readonly name: "SessionError";
  readonly code: SessionErrorCode;
  /** What to do about it. */
  readonly hint: string;
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

/** Only the object's own members are options: nothing is read from its prototype. */
export interface VerifyOptions {
  /** The Worker's SESSION_ISSUER, exactly: an origin such as `https://session.example.com`, without a slash at its end. */
  issuer: string;
  /** The Worker's SESSION_AUDIENCE, exactly. */
  audience: string;
  /** How far the clocks may differ, whole seconds from 0 to 60; 5 by default. */
  clockTolerance?: number;
  /** The issuer's public keys. With them, no keys are ever fetched; new ones must be passed to a new verifier. */
  jwks?: { keys: readonly Jwk[] };
  /** Where the keys are, if not at `<issuer>/.well-known/jwks.json`. https, or http on this machine. */
  jwksUrl?: string;
  /**
   * Learn of ended sessions: polls the issuer's signed feed, every 15 seconds unless it says otherwise, and refuses
   * their tokens. While the issuer cannot be reached, the last feed is used. If the issuer answers with feeds that this
   * machine's clock takes for old or future ones, the last feed is used for five minutes, and then no token is accepted.
   */
  revocations?: boolean | RevocationOptions;
  /**
   * Remember up to `max` verified tokens, and verify none of them again. Expiry, keys and revocation are checked all the
   * same. `claims` are frozen then. Off by default.
   */
  cache?: false | { max: number };
  /**
   * Called instead of the global `fetch`, for a proxy, a service binding or a test. Pass the same function each time:
   * verifiers that differ in it share no keys. It must not cache, and a redirect that it follows is refused.
   */
  fetch?: (url: string, init: FetchInit) => Promise<FetchedResponse>;
}

/** What the option `fetch` is called with: a `RequestInit`. */
export interface FetchInit {
  method: "GET";
  redirect: "manual";
  headers: Record<string, string>;
  /** An AbortSignal. */
  signal: any;
  cache?: "no-store";
}

/** What the option `fetch` resolves to: a `Response`, or as much of one as is read. */
export interface FetchedResponse {
  readonly status: number;
  readonly redirected?: boolean;
  readonly headers: { get(name: string): string | null };
  /** A ReadableStream; another stream is read with `arrayBuffer()`. */
  readonly body: any;
  arrayBuffer(): Promise<ArrayBuffer>;
}

export interface RevocationOptions {
  /** How often to ask, whole seconds from 1 to 300; 15 by default. */
  pollSeconds?: number;
  /**
   * Refuse every token (`revocations_unavailable`) once the feed is older than this. Without it, a feed is used for as
   * long as the issuer cannot be reached: such an issuer begins no sessions either, and those that are known expire.
   * In Workers, where nothing polls between requests, it is 300 unless it is given.
   */
  maxAgeSeconds?: number;
}

/** What `requireSession` of the middlewares takes: the options of a verifier, or a verifier that is there already. */
export type RequireSessionOptions = VerifyOptions | { verifier: Verifier };

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

export interface Session {
  /** The user's id in this app: the only key for a user. */
  uid: string;
  /** The session's id. */
  sid: string;
  /** For display, when the user granted it. Never a key. */
  username?: string;
  /** The scopes that the user granted. */
  scopes: string[];
  /** Whether Pi said that the access token was made for this app. */
  appBound: boolean;
  issuedAt: Date;
  expiresAt: Date;
  authTime: Date;
  /** Everything that the token says, except members named `__proto__` or `constructor`. */
  claims: SessionClaims;
}

export interface Verifier {
  /**
   * Verifies a session token, at once and offline. Throws a SessionError. After the process stood still (a cloud function
   * was frozen, a machine slept), it throws `keys_unavailable` or `revocations_unavailable` until the issuer was asked again:
   * where that happens, call `ready()` before it.
   */
  verify(token: string): Session;
  /**
   * Waits until keys and feed are as fresh as was asked for, or throws. Only needed where timers do not run between
   * requests (Workers, AWS Lambda, Cloud Run, Vercel): there, call it before `verify`. It waits for at most three seconds, and does not wait for an
   * issuer that has just failed to answer while earlier keys and feed may still be used.
   */
  ready(): Promise<this>;
  /** Prepares the keys for fast verification now, in some milliseconds each; otherwise that happens with use. */
  warm(): this;
  /** How old keys and feed are, seconds. The keys' age is 0 when they were passed as `jwks`. */
  health(): { keysAgeSeconds: number; revocationsAgeSeconds?: number };
  /** Stops fetching, unless another open verifier has the same options. */
  close(): Promise<void>;
}

/** Makes a verifier, and waits until it has keys. */
export function createVerifier(options: VerifyOptions): Promise<Verifier>;

/** Verifies one session token. The issuer's keys are fetched once and kept. */
export function verify(token: string, options: VerifyOptions): Promise<Session>;
