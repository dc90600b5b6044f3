// Types of pioneer-session/worker, which is built from Rust. They import no package: the types that
// `wrangler types` writes, and those of @cloudflare/workers-types, fit them.

/** A D1 database. */
export interface Database {
  prepare(query: string): any;
  batch(statements: any[]): Promise<any>;
}

/** A rate limit binding. */
export interface RateLimit {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/**
 * The settings of the Worker: vars, secrets and bindings in wrangler.toml. Vars are text, also
 * where the text is a number.
 */
export interface Env {
  /** The Worker's own https origin; `iss` of the tokens. */
  SESSION_ISSUER: string;
  /** A name for the app; `aud` of the tokens. */
  SESSION_AUDIENCE: string;
  /** The lifetime of a session token, seconds. */
  SESSION_TTL?: string;
  /** A session that is not refreshed for this long expires, seconds. */
  REFRESH_IDLE_TTL?: string;
  /** A session expires this long after its sign-in, seconds. */
  REFRESH_MAX_TTL?: string;
  MAX_SESSIONS_PER_USER?: string;
  /** The web origins of the frontend, comma separated. */
  ALLOWED_ORIGINS?: string;
  /** "on" or "off": whether browsers also get the session as cookies. */
  SESSION_COOKIE?: string;
  /** The `app_id` that Pi must return for an access token. */
  PI_APP_ID?: string;
  PI_API_BASE?: string;
  /** The network that payments must be on, such as "Pi Network" or "Pi Testnet". */
  PI_NETWORK?: string;
  /** How many payments a scheduled run checks. */
  RECONCILE_LIMIT?: string;
  /** "on" or "off". */
  RATE_LIMITS?: string;
  /** "on" or "off": whether the Worker counts events for its operator. */
  COUNTS?: string;
  /** "all", "app" (no routes of operators) or "admin" (nothing else but /health). */
  SERVES?: string;
  /** "on" or "off": whether the log has the ids of users, sessions, orders, payments and ads. */
  LOG_IDS?: string;
  /** "on" or "off": whether successful polls are logged. */
  LOG_POLLS?: string;
  /** "production" or "development". */
  ENVIRONMENT?: string;

  /** Secret: the private keys, JSON. */
  SESSION_KEYS: string;
  /** Secret: public keys that will sign later, JSON. */
  SESSION_KEYS_NEXT?: string;
  /** Secret: 32 random bytes or more, base64url. */
  REFRESH_SECRET: string;
  /** Secret: the app's Server API Key, for payments, ads and notifications. */
  PI_API_KEY?: string;
  /** Secret: the hashes of the backends' credentials, JSON. */
  BACKEND_CREDENTIALS?: string;
  /** Secret: the operators' roles and the hashes of their credentials, JSON. */
  OPERATOR_CREDENTIALS?: string;

  DB: Database;
  SIGN_IN_LIMIT?: RateLimit;
  USER_SIGN_IN_LIMIT?: RateLimit;
  REFRESH_LIMIT?: RateLimit;
  ORDER_LIMIT?: RateLimit;
  PAYMENT_LIMIT?: RateLimit;
  AD_LIMIT?: RateLimit;
  WRITE_LIMIT?: RateLimit;
  READ_LIMIT?: RateLimit;
}

/** The Worker. */
declare const worker: {
  fetch(request: Request, env: Env, context: { waitUntil(promise: Promise<unknown>): void }): Response | Promise<Response>;
  /** Reconciles open payments and deletes expired rows. */
  scheduled(event: { readonly cron: string; readonly scheduledTime: number }, env: Env): Promise<void>;
};
export default worker;
