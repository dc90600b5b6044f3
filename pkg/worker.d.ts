// Types of pioneer-session/worker, which is built from Rust.

/** The Worker. Its settings, secrets and bindings come from wrangler.toml, not from code. */
declare const worker: {
  fetch(request: Request, env: unknown, context: { waitUntil(promise: Promise<unknown>): void }): Response | Promise<Response>;
  scheduled(event: unknown, env: unknown): Promise<void>;
};
export default worker;
