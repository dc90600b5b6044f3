// Sends the HTTP requests of the commands.

import { readBody } from "../verify/body.mjs";
import { Problem } from "./problem.mjs";

/**
 * @typedef {object} Limits
 * @property {number} timeoutMs one deadline for headers and body
 * @property {number} maxBytes of the body; reading stops there, and then `isWhole` is false
 * @property {(reason: string) => string} explain the text of the problem when there is no answer
 */

/**
 * Sends one request. It follows no redirect.
 *
 * @param {string | URL} url
 * @param {RequestInit} init
 * @param {Limits} limits
 */
export async function request(url, init, { timeoutMs, maxBytes, explain }) {
  try {
    const response = await fetch(url, { ...init, redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
    const { bytes, isWhole } = await readBody(response, maxBytes);
    return { response, text: Buffer.from(bytes).toString(), isWhole };
  } catch (error) {
    const { name, cause } = /** @type {Error & { cause?: { code?: string } }} */ (error);
    const isLate = name === "TimeoutError";
    throw new Problem(explain(isLate ? `no complete answer within ${timeoutMs / 1000} seconds` : (cause?.code ?? "the connection failed")));
  }
}
