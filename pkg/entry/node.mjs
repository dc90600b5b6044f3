export { SessionError, createVerifier, makeVerifier, verify } from "./wasm/node.cjs";
