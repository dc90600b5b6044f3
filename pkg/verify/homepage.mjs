// Where the project's pages are. Errors link to them.

/** package.json has the same address as `homepage`; a test compares them. */
export const HOMEPAGE = "https://pioneer-session.github.io/pioneer-session/";

/**
 * The page about an error code.
 *
 * @param {string} code
 */
export const helpFor = (code) => `${HOMEPAGE}errors#${code}`;
