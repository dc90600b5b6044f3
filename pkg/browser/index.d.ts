// The types of pioneer-session/browser: sign-in from a web page, the session, and payments with it.

/** The user, as the issuer knows them. */
export interface User {
  /** The user's id in this app: the only key for a user. */
  uid: string;
  /** For display, if the user granted it. Never a key. */
  username?: string;
  /** The scopes that the user granted. */
  scopes: string[];
  /** ISO 8601, in UTC. */
  firstSeenAt: string;
  lastSeenAt: string;
  /** Whether this sign-in was the user's first. */
  isNew?: boolean;
}

/** The reason of a failed sign-in, session or payment: one of these, or a `code` of the issuer's problem documents. */
export type SignInErrorCode =
  /** The user cancelled the sign-in. */
  | "cancelled"
  /** Pi's SDK is missing, or does not answer in time. */
  | "pi_unavailable"
  /** Pi's SDK failed. The hint has its text, and `cause` is its error. */
  | "pi_failed"
  /** Pi Sign-in: the user did not allow it. */
  | "access_denied"
  /** Pi Sign-in: it took too long. */
  | "expired"
  /** Pi Sign-in: Pi has a problem. */
  | "server_error"
  /** Pi Sign-in: Pi sent an error with another name. */
  | "pi_error"
  /** Pi Sign-in: the answer has no state, so it is refused. */
  | "no_pending_sign_in"
  /** Pi Sign-in: this browser did not create the answer's state, or has used it, so the answer is refused. */
  | "state_mismatch"
  /** Pi Sign-in cannot begin, because the browser blocks localStorage and sessionStorage. Or IndexedDB fails, perhaps only for now. */
  | "storage_blocked"
  /** With `cookie`: the browser blocks it, or the issuer sets none. */
  | "cookie_blocked"
  /** The issuer could not be reached. */
  | "network"
  /** The issuer's answer could not be read. */
  | "invalid_answer"
  /** `fetch` was called with an origin that is not listed. Nothing was sent. */
  | "origin_not_listed"
  /** `fetch` got a redirect, which it does not follow. Call it with the final URL. */
  | "redirected"
  /** The session has ended. */
  | "signed_out"
  /** Another user has signed in to Pi, or in another tab. */
  | "user_changed"
  /** The browser has lost the key of its session: IndexedDB was cleared, or fails and the session token has expired. */
  | "key_lost"
  /** `pay`: the user or Pi cancelled the payment. */
  | "payment_cancelled"
  /** `pay`: Pi's SDK reports an error, which is `cause`. */
  | "payment_failed"
  /** `pay`: an earlier payment has just been completed. Nothing new was bought. */
  | "payment_recovered"
  /** The session has ended at the issuer. */
  | "refresh_rejected" | "refresh_reused" | "session_revoked"
  | (string & {});

/** A sign-in, a session or a payment failed. The error never contains a token. */
export class SignInError extends Error {
  readonly name: "SignInError";
  readonly code: SignInErrorCode;
  /** For the person who uses the app. */
  readonly message: string;
  /** For the developer: what to do. It may be empty. */
  readonly hint: string;
  /** For the developer: the URL of the documentation of this code. */
  readonly help: string;
  constructor(code: SignInErrorCode, message?: string, cause?: unknown, hint?: string);
}

/** A storage such as `sessionStorage` or `localStorage`. */
export type SessionStore = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export interface SessionOptions {
  /** The Worker's SESSION_ISSUER. */
  issuer: string;
  /** Other origins that get the session token: your backends, such as `https://api.example.com`. */
  origins?: readonly string[];
  /** Keep the session in the Worker's cookie (its SESSION_COOKIE is `on`), out of reach of the page's scripts. */
  cookie?: boolean;
  /**
   * Keeps the session over a reload: `() => sessionStorage`, or `() => localStorage` for all tabs
   * of the browser, and see `resume`. A function, because a browser that blocks storage throws when
   * its name is read. Without storage, the session works until the user leaves the page. Every
   * script of the page can read it there. A copy of it is worth nothing elsewhere once the session
   * token has expired, unless the browser had no IndexedDB at the sign-in: the refresh token is
   * bound to a key that no script can export.
   */
  storage?: SessionStore | (() => SessionStore);
  /**
   * The session has ended. Without an error, `signOut` was called, here or in another tab. Show the
   * sign-in button.
   */
  onSignedOut?: (error?: SignInError) => void;
}

export interface PiOptions {
  /** The scopes to ask the user for; `["username"]` by default. */
  scopes?: readonly string[];
  /**
   * How long to wait for Pi's SDK, in milliseconds; 30,000 by default. Then the call fails with
   * `pi_unavailable`. The SDK is not asked twice at a time: the next call takes an answer that
   * comes later.
   */
  piTimeout?: number;
  /** The session could not be renewed, for this reason (such as `key_lost`), and Pi has begun a new one for the same user. */
  onReplaced?: (reason: SignInError) => void;
  /**
   * With the scope `payments`, Pi reports a payment that was left unfinished. The issuer is asked
   * to complete it, or to cancel it if nothing was paid; then this is called, with `paid` or
   * `cancelled` as its state. It is also called with a payment that was paid after `pay` had
   * rejected.
   */
  onRecovered?: (payment: Payment) => void;
  /** Handles such a payment instead of the issuer. It is called once there is a session. */
  onIncompletePaymentFound?: (payment: any, session: BrowserSession) => void;
}

/** For a page that calls `Pi.authenticate` itself. */
export interface TokenOptions {
  /**
   * Called when the session can no longer be renewed, and by `pay` if the page has not asked for
   * the scope `payments`. It calls `Pi.authenticate` with these arguments, and resolves with the
   * new access token. Without it, the session ends, and `pay` asks the SDK that it gets.
   */
  getAccessToken?: (scopes: readonly string[], onIncompletePaymentFound: (payment: any) => void) => string | Promise<string>;
}

/** The part of `window.Pi` that sign-in uses. */
export interface PiSdk {
  authenticate(scopes: any, onIncompletePaymentFound: (payment: any) => void): Promise<{ accessToken: string }>;
}

/** The part of `window.Pi` that payments use. */
export interface PiWallet extends PiSdk {
  createPayment(payment: any, callbacks: any): unknown;
}

/** A payment, as the issuer knows it. */
export interface Payment {
  paymentId: string;
  /** Absent from a payment that was cancelled before its order was known. */
  orderId?: string;
  state: "approved" | "paid" | "cancelled";
  /** Decimal text, exact, such as `3.14`. */
  amount: string;
  /** Once it is paid. */
  txid?: string;
}

export interface PaidPayment extends Payment {
  orderId: string;
  state: "paid";
  txid: string;
}

/**
 * The progress of a payment. `ordered`: the order exists, and Pi's wallet opens. `approved`: the
 * user can pay. `completing`: the user has paid, and the issuer checks it. `paid`: it is complete.
 * `delayed`: a step failed for now, and Pi asks for it again in a few seconds.
 */
export type PayingState = "ordered" | "approved" | "completing" | "paid" | "delayed";

export interface PayOptions {
  /** Called at each step of the payment. `error` is the reason why it is `delayed`. */
  onState?: (state: PayingState, error?: SignInError) => void;
}

export interface BrowserSession {
  /** Undefined once the session has ended, like all of these. */
  readonly user: User | undefined;
  /** The session token, for requests without `fetch`. It may be about to expire: call `renew` first. Undefined with `cookie`. */
  readonly token: string | undefined;
  readonly expiresAt: Date | undefined;
  /** From then on, the next `fetch` renews the session first. */
  readonly renewsAt: Date | undefined;
  /**
   * `fetch`, with the session, to the issuer and to the listed origins only. It renews a session
   * that is about to expire. While the token is valid, it waits at most three seconds for that. If
   * an origin refuses the session (401 with `session_expired`, `session_invalid`, `session_missing`
   * or `session_revoked`), it renews the session at the issuer and repeats the request once, but
   * not with a stream as body. If the request is refused again, or if this origin has caused three
   * renewals within a minute, it resolves with the origin's own answer. It rejects with a
   * SignInError once the issuer has ended the session. It obeys `signal` also while it waits for
   * the renewal. It needs no `this`.
   */
  fetch(this: void, input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /**
   * Calls the listener after each change: a renewal, here or in another tab, or the end. By then
   * `user` is undefined. Returns a function that ends this. An error in a listener stops no other.
   */
  subscribe(this: void, listener: (session: BrowserSession) => void): () => void;
  /** Renews the session now, in one tab at a time. All callers that wait for it share one request. */
  renew(this: void): Promise<void>;
  /**
   * Buys a product: orders it, opens Pi's wallet, and resolves once Pi has confirmed the payment to
   * the issuer. After the order, it asks Pi for the scope `payments` if this page has not. If it
   * rejects, nothing was bought, as far as this page knows. A payment that was made anyway is
   * recovered at the next sign-in or payment, or by the issuer itself.
   */
  pay(this: void, Pi: PiWallet, productId: string, options?: PayOptions): Promise<PaidPayment>;
  /**
   * Signs out, in all tabs. The request outlives the page, so the user may leave immediately. If
   * the issuer cannot be reached, it rejects, and the session is not revoked there; in this browser
   * it has ended in any case.
   */
  signOut(this: void): Promise<void>;
}

/**
 * Signs in through Pi's SDK, after `Pi.init`. A second call during the first one, as by a double
 * click, returns the same session.
 */
export function signIn(Pi: PiSdk | undefined, options: SessionOptions & PiOptions): Promise<BrowserSession>;

/**
 * Signs in with an access token that the page has from its own call of `Pi.authenticate`, or from
 * pi-sdk-react. `scopes` are those that the page asked Pi for. A second call with the same token,
 * during the first one, returns the same session.
 */
export function signInWithToken(
  accessToken: string,
  options: SessionOptions & PiOptions & TokenOptions,
): Promise<BrowserSession>;

/**
 * The session that a reload left in `storage` or in the cookie; null if there is none. With `Pi` or
 * `getAccessToken`, a new sign-in replaces a session that can no longer be renewed.
 */
export function resume(options: SessionOptions & PiOptions & TokenOptions & { Pi?: PiSdk }): Promise<BrowserSession | null>;

export interface PiSignInOptions {
  /** The app's client id, from Pi's portal. */
  clientId: string;
  /** The page that calls `finishPiSignIn`, exactly as it is registered with Pi. */
  redirectUri: string;
  /** `["username"]` by default; Pi Sign-in has no `payments`. */
  scopes?: readonly string[];
  /** Another Pi, in development. */
  authorizeUrl?: string;
}

/** Leaves the page to sign in with Pi, outside the Pi Browser. Pi comes back to `redirectUri`. */
export function startPiSignIn(options: PiSignInOptions): void;

/**
 * Takes Pi's answer out of the page's URL, and signs in; null if there is none. Call it before
 * anything else on the page, so that no other script sees the token. A second call returns the same
 * session, as for a component that React's StrictMode mounts twice. Once this session has ended,
 * the user must sign in again.
 */
export function finishPiSignIn(options: SessionOptions): Promise<BrowserSession | null>;

/**
 * For one sign-in button: signs in through Pi's SDK where it answers within `piTimeout`, or else
 * begins Pi Sign-in, which leaves the page (null). In a frame, only the SDK works.
 */
export function signInWithPi(
  options: SessionOptions & PiOptions & PiSignInOptions & { Pi?: PiSdk },
): Promise<BrowserSession | null>;

/** What a page does with its session. None of these needs `this`, so `onClick={signIn}` works. */
export interface PageActions {
  /** Signs in. It never rejects: a failure is `error` of the state. */
  signIn(this: void): Promise<void>;
  /** Signs out, in all tabs. It never rejects: a failure is `error` of the state. */
  signOut(this: void): Promise<void>;
  /** `fetch` of the session. Waits while the state is `loading`, and rejects with `signed_out` without a session. */
  fetch: BrowserSession["fetch"];
  /** `pay` of the session, with the SDK of `getPi`. Waits and rejects like `fetch`. */
  pay(this: void, productId: string, options?: PayOptions): Promise<PaidPayment>;
}

/** The state of a page's session, which never changes: after a change there is a new state. */
export type SessionState = Readonly<PageActions> &
  (
    | /** It is not known yet whether there is a session. */ {
        readonly status: "loading";
        readonly session: undefined;
        readonly user: undefined;
        readonly error: undefined;
      }
    | /** Show the sign-in button. `error` says why a sign-in failed or the session ended, if there is a reason to say. */ {
        readonly status: "signedOut";
        readonly session: undefined;
        readonly user: undefined;
        readonly error: SignInError | undefined;
      }
    | /** `signIn` is under way. Disable the button. */ {
        readonly status: "signingIn";
        readonly session: undefined;
        readonly user: undefined;
        readonly error: undefined;
      }
    | {
        readonly status: "signedIn";
        readonly session: BrowserSession;
        readonly user: User;
        readonly error: undefined;
      }
  );

export interface PageSessionOptions extends SessionOptions, PiOptions, TokenOptions, Partial<PiSignInOptions> {
  /**
   * Pi's SDK, at each use; `() => window.Pi` by default, once the page has called `Pi.init`. It may
   * be async, for example to call `Pi.init` itself.
   */
  getPi?: () => PiWallet | undefined | Promise<PiWallet | undefined>;
}

/** The session of a page as a store, in the shape that React, Vue and Svelte read. */
export interface PageSession extends PageActions {
  /**
   * Calls the listener with the state immediately, and after each change. Returns a function that
   * ends this. An error in a listener stops no other.
   */
  subscribe(this: void, listener: (state: SessionState) => void): () => void;
  getState(this: void): SessionState;
  /** The state before anything is known, `loading`: the one to render on a server. */
  getInitialState(this: void): SessionState;
}

/**
 * The session of this page. It begins immediately: it takes Pi's answer out of the URL if
 * `clientId` and `redirectUri` are given, and otherwise resumes the session in `storage` or in the
 * cookie. A second call with the same options returns the same store, and with others throws. On a
 * server, the state stays `loading`.
 */
export function pageSession(options: PageSessionOptions): PageSession;
