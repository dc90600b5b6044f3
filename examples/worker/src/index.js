// The whole Worker. Its settings are in wrangler.toml.

export { default } from "pioneer-session/worker";
