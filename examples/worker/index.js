// The whole Worker: sign-in, sessions, keys. Its settings are in wrangler.toml.

export { default } from "pioneer-session/worker";
