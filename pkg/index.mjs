// The public functions, on every platform. `imports` in package.json says which file is "#entry"
// for a platform.

export { SessionError, createVerifier, verify } from "#entry";
