// All attacks, in the order of the document.

import { identity } from "./identity.mjs";
import { transport } from "./transport.mjs";
import { token } from "./token.mjs";
import { claims } from "./claims.mjs";
import { signature } from "./signature.mjs";
import { keys } from "./keys.mjs";
import { session } from "./session.mjs";
import { browser } from "./browser.mjs";
import { abuse } from "./abuse.mjs";
import { review } from "./review.mjs";

export const entries = [...identity, ...transport, ...token, ...claims, ...signature, ...keys, ...session, ...browser, ...abuse, ...review];

/** Every id that must exist, chapter by chapter. */
export const IDS = Object.entries({ I: 7, U: 9, T: 16, C: 8, E: 5, K: 7, S: 8, B: 9, A: 8, R: 21 })
  .flatMap(([letter, count]) => Array.from({ length: count }, (_, i) => `${letter}${i + 1}`));
