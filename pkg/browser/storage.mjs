// The browser's storages, which may be blocked, full or missing.

export const PREFIX = "pioneer-session:";

// Functions, because a browser that blocks a storage throws when its name is read.
export const LOCAL = () => localStorage;
export const STORAGES = [LOCAL, () => sessionStorage];

/**
 * Calls a method of a storage or of another object. Returns undefined if that does not work.
 *
 * @param {any} storage
 * @param {string} method
 * @param {any[]} values
 * @returns {any}
 */
export function use(storage, method, ...values) {
  try {
    const found = (typeof storage === "function" ? storage() : storage)[method](...values);
    return found === undefined ? true : found;
  } catch {
    return undefined;
  }
}
