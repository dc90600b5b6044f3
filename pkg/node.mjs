export { SessionError, createVerifier, verify } from "./wasm/node.cjs";
