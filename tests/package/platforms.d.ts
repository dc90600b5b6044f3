// Types of the modules and globals that only some platforms have, for the check of pkg/.

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "cloudflare:workers" {
  export function waitUntil(promise: Promise<unknown>): void;
}

declare var Deno: undefined | { unrefTimer?(id: number): void };
