// `import "pioneer-session/pi"` declares Pi's SDK, `Pi` and `window.Pi`, in the whole program.
// These are the parts that Pi documents; the newer ones are optional. A page that declares `Pi`
// globally itself must remove its own declaration, because TypeScript allows only one.

import type { PiSdk } from "pioneer-session/browser";

/** A scope. Pi grants others too, so ignore unknown ones. */
export type PiScope = "username" | "payments" | "wallet_address" | "in_app_notifications" | (string & {});

/** A payment, as Pi's SDK reports it. It proves nothing: ask your backend. */
export interface PiPaymentDto {
  readonly identifier: string;
  readonly user_uid: string;
  readonly amount: number;
  readonly memo: string;
  readonly metadata: object;
  readonly from_address?: string;
  readonly to_address?: string;
  readonly direction?: "user_to_app" | "app_to_user";
  readonly created_at?: string;
  readonly network?: "Pi Network" | "Pi Testnet";
  readonly status: {
    readonly developer_approved: boolean;
    readonly transaction_verified: boolean;
    readonly developer_completed: boolean;
    readonly cancelled: boolean;
    readonly user_cancelled: boolean;
  };
  /** Null while nobody has paid. */
  readonly transaction: null | { readonly txid: string; readonly verified: boolean; readonly _link: string };
}

export interface PiAuthResult {
  /** Secret. Send it to the issuer only: `signInWithToken` does that. */
  readonly accessToken: string;
  /** For display only: a page can change it. */
  readonly user: { readonly uid: string; readonly username?: string };
}

export interface PiPaymentData {
  amount: number;
  memo: string;
  metadata: object;
}

export interface PiPaymentCallbacks {
  onReadyForServerApproval(paymentId: string): void;
  onReadyForServerCompletion(paymentId: string, txid: string): void;
  onCancel(paymentId: string): void;
  onError(error: Error, payment?: PiPaymentDto): void;
}

export type PiAdType = "interstitial" | "rewarded";

export interface PiAds {
  showAd(type: PiAdType): Promise<{
    readonly type: PiAdType;
    readonly result:
      | "AD_REWARDED"
      | "AD_CLOSED"
      | "AD_DISPLAY_ERROR"
      | "AD_NETWORK_ERROR"
      | "AD_NOT_AVAILABLE"
      | "ADS_NOT_SUPPORTED"
      | "USER_UNAUTHENTICATED";
    /** Of a rewarded ad. The reward is real once the issuer has confirmed it. */
    readonly adId?: string;
  }>;
  isAdReady(type: PiAdType): Promise<{ readonly type: PiAdType; readonly ready: boolean }>;
  requestAd(type: PiAdType): Promise<{
    readonly type: PiAdType;
    readonly result: "AD_LOADED" | "AD_FAILED_TO_LOAD" | "AD_NOT_AVAILABLE" | "ADS_NOT_SUPPORTED";
  }>;
}

/** Pi's SDK, `https://sdk.minepi.com/pi-sdk.js`. */
export interface PiNetworkSdk extends PiSdk {
  /** Before anything else. `sandbox` is for the page that https://sandbox.minepi.com shows. */
  init(options: { version: "2.0" | (string & {}); sandbox?: boolean }): Promise<void>;
  /** Call either this or `signIn` of pioneer-session, never both. */
  authenticate(scopes: readonly PiScope[], onIncompletePaymentFound: (payment: PiPaymentDto) => void): Promise<PiAuthResult>;
  createPayment(payment: PiPaymentData, callbacks: PiPaymentCallbacks): unknown;
  readonly Ads: PiAds;
  /** Which of these this Pi Browser has. */
  nativeFeaturesList(): Promise<readonly ("inline_media" | "request_permission" | "ad_network" | (string & {}))[]>;
  /** Only with the native feature `request_permission`. */
  requestPermission?(permission: string): Promise<unknown>;
  openShareDialog(title: string, message: string): void;
  openUrlInSystemBrowser(url: string): Promise<void>;
  /** Pi Sign-in without pioneer-session. Newer than the rest, so it may be missing. */
  signIn?(options: { clientId: string; redirectUri: string; scopes?: readonly PiScope[]; state?: string }): unknown;
}

declare global {
  // `var` makes it a member of `window` and `globalThis` too.
  /** Pi's SDK. It is missing until its script has run: then `window.Pi` is undefined. */
  var Pi: PiNetworkSdk;
}
