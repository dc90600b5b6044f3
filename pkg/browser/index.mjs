// pioneer-session/browser: signs Pi users in from a web page, keeps the session alive, and lets the
// user pay. It sends Pi's token to the issuer only, and the session's token to the issuer and to
// the origins that the page lists. The build bundles these files into one, pkg/wasm/browser.mjs.

export { SignInError } from "./errors.mjs";
export { pageSession } from "./page.mjs";
export { finishPiSignIn, signInWithPi, startPiSignIn } from "./pi-sign-in.mjs";
export { resume, signIn, signInWithToken } from "./sign-in.mjs";
