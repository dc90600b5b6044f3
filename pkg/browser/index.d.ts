// The types of browser.mjs: signing in from a web page, the session that comes of it, and buying with it.

/** What the issuer says about the user. */
export interface User {
  /** The user's id in this app: the only key for a user. */
  uid: string;
  /** For display, when the user granted it. Never a key. */
  username?: string;
  /** The scopes that the user granted. */
  scopes: string[];
  /** ISO 8601, in UTC. */
  firstSeenAt: string;
  lastSeenAt: string;
  /** Whether this sign-in was the user's first. */
  isNew?: boolean;
}

/** Why a sign-in, a session or a payment failed: one of these, or a `code` of the issuer's problem documents. */
export type SignInErrorCode =
  /** Pi's SDK says that the user cancelled; Pi Sign-in: the user did. */
  | "cancelled"
  /** Pi's SDK is missing, or does not answer in time · it failed: the message has its words, and `cause` its error. */
  | "pi_unavailable" | "pi_failed"
  /** Pi Sign-in: the user said no · it took too long · Pi has a problem · Pi sent an error with another name. */
  | "access_denied" | "expired" | "server_error" | "pi_error"
  /** Pi Sign-in: an answer without a state · with a state that this browser did not make, or has used. Both are refused. */
  | "no_pending_sign_in" | "state_mismatch"
  /** Pi Sign-in cannot begin here: the browser blocks localStorage and sessionStorage. Or IndexedDB fails, perhaps only for now. */
  | "storage_blocked"
  /** With `cookie`: the browser blocks it, or the issuer sets none. */
  | "cookie_blocked"
  /** The issuer could not be reached · its answer could not be read. */
  | "network" | "invalid_answer"
  /** `fetch` to an origin that is not listed · that was answered with a redirect. */
  | "origin_not_listed" | "redirected"
  /** There is no session any more · another user has signed in to Pi, or in another tab. */
  | "signed_out" | "user_changed"
  /** The browser has lost the key of its session: IndexedDB was cleared, or fails and the session token has expired. */
  | "key_lost"
  /** `pay`: the user cancelled it, or Pi did · Pi's SDK reports an error, which is `cause`. */
  | "payment_cancelled" | "payment_failed"
  /** `pay`: an earlier payment has just been completed. Nothing new was bought. */
  | "payment_recovered"
  /** The session has ended at the issuer. */
  | "refresh_rejected" | "refresh_reused" | "session_revoked"
  | (string & {});

/** It never holds a token. */
export class SignInError extends Error {
  readonly name: "SignInError";
  readonly code: SignInErrorCode;
  /** For the person who uses the app. */
  readonly message: string;
  /** For the developer: what to do. It may be empty. */
  readonly hint: string;
  constructor(code: SignInErrorCode, message?: string, cause?: unknown, hint?: string);
}

/** As `sessionStorage` and `localStorage`. */
export type SessionStore = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export interface SessionOptions {
  /** The Worker's SESSION_ISSUER. */
  issuer: string;
  /** Other origins that get the session token: your backends, such as `https://api.example.com`. */
  origins?: readonly string[];
  /** Keep the session in the Worker's cookie (its SESSION_COOKIE is `on`), out of reach of the page's scripts. */
  cookie?: boolean;
  /**
   * Keeps the session over a reload: `() => sessionStorage`, or `() => localStorage` for all tabs of the browser, and see
   * `resume`. A function, because a browser that blocks storage throws at its very name; without storage, the session
   * works until the page is left. Every script of the page can read it there. A copy of it is worth nothing elsewhere once
   * the session token has expired, unless the browser had no IndexedDB at the sign-in: the refresh token is bound to a key
   * that no script can export.
   */
  storage?: SessionStore | (() => SessionStore);
  /**
   * The session has ended: without an error by `signOut`, here or in another tab; with one by itself. Show the sign-in
   * button.
   */
  onSignedOut?: (error?: SignInError) => void;
}

export interface PiOptions {
  /** What to ask the user for; `["username"]` by default. */
  scopes?: readonly string[];
  /**
   * For how long to wait for Pi's SDK, milliseconds; 30,000 by default. Then the call fails with `pi_unavailable`. The SDK
   * is not asked twice at a time: the next call takes an answer that comes later.
   */
  piTimeout?: number;
  /** The session could not be renewed, for this reason (such as `key_lost`), and Pi has begun a new one for the same user. */
  onReplaced?: (reason: SignInError) => void;
  /**
   * With the scope `payments`, Pi tells of a payment that was left unfinished. The issuer is asked to complete it, or to
   * cancel it if nothing was paid; then this is called, with `paid` or `cancelled` as its state. It is also called with a
   * payment that was paid after `pay` had rejected.
   */
  onRecovered?: (payment: Payment) => void;
  /** Does it in place of that; called once there is a session. */
  onIncompletePaymentFound?: (payment: any, session: BrowserSession) => void;
}

/** `window.Pi`, as far as it is used here. */
export interface PiSdk {
  authenticate(scopes: any, onIncompletePaymentFound: (payment: any) => void): Promise<{ accessToken: string }>;
}

/** `window.Pi`, as far as it is used to pay. */
export interface PiWallet extends PiSdk {
  createPayment(payment: any, callbacks: any): unknown;
}

/** A payment, as the issuer has it. */
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
 * How far a payment is: the order is made, and Pi's wallet opens · the issuer lets the user pay · the user has paid, and
 * the issuer makes sure · done. `delayed`: a step failed, for now; Pi asks for it again in some seconds.
 */
export type PayingState = "ordered" | "approved" | "completing" | "paid" | "delayed";

export interface PayOptions {
  /** Called whenever the payment has come further. `error` says why it is `delayed`. */
  onState?: (state: PayingState, error?: SignInError) => void;
}

export interface BrowserSession {
  /** Undefined once the session has ended, like all of these. */
  readonly user: User | undefined;
  /** The session token, for what is not `fetch`. It may be about to expire: `renew` first. Not with `cookie`. */
  readonly token: string | undefined;
  readonly expiresAt: Date | undefined;
  /** From then on, the next `fetch` renews the session first. */
  readonly renewsAt: Date | undefined;
  /**
   * `fetch`, with the session: to the issuer and to the listed origins, and to no other. It renews a session that
   * runs out. While the token is valid, it waits three seconds at most for that. When an origin refuses the session (401 with `session_expired`, `session_invalid`, `session_missing` or
   * `session_revoked`), it renews the session at the issuer and repeats the request once; a stream as body is not
   * repeated. If the request is refused again, or if this origin has caused three renewals within a minute, the caller
   * gets the origin's own answer. Only the issuer ends a session: then it rejects with a SignInError. It obeys `signal`
   * also while it waits for the renewal. It needs no `this`.
   */
  fetch(this: void, input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Renews the session now, in one tab at a time. All callers that wait for it share one request. */
  renew(this: void): Promise<void>;
  /**
   * Buys a product of the issuer's: makes the order, opens Pi's wallet, and resolves once the issuer has Pi's word that
   * it is paid. Asks Pi for the scope `payments` if this page has not. When it rejects, nothing was bought, as far as
   * is known here; what was paid all the same is recovered at the next sign-in or payment, or by the issuer itself.
   */
  pay(this: void, Pi: PiWallet, productId: string, options?: PayOptions): Promise<PaidPayment>;
  /**
   * Signs out, in all tabs. The request outlives the page, so that the page may be left at once. Rejects when the issuer
   * could not be told; in this browser the session is over in any case.
   */
  signOut(this: void): Promise<void>;
}

/**
 * Signs in through Pi's SDK, after `Pi.init`. A call while another one is under way, as of a double click, returns the same
 * session.
 */
export function signIn(Pi: PiSdk | undefined, options: SessionOptions & PiOptions): Promise<BrowserSession>;

/**
 * The session that a reload left in `storage` or in the cookie; null when there is none. With `Pi`, a session that
 * can be renewed no longer is replaced by a new sign-in.
 */
export function resume(options: SessionOptions & PiOptions & { Pi?: PiSdk }): Promise<BrowserSession | null>;

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
 * Takes Pi's answer out of the page's URL, and signs in; null when there is none. Call it before anything else on the
 * page, so that no other script sees the token. A second call returns the same session, as for a component that React's
 * StrictMode mounts twice. Pi cannot be asked again from here: once the session is over, the user signs in again.
 */
export function finishPiSignIn(options: SessionOptions): Promise<BrowserSession | null>;

/**
 * For one sign-in button: signs in through Pi's SDK where it answers within `piTimeout`, or else begins Pi Sign-in, which
 * leaves the page (null). In a frame, there is the SDK only.
 */
export function signInWithPi(
  options: SessionOptions & PiOptions & PiSignInOptions & { Pi?: PiSdk },
): Promise<BrowserSession | null>;
