// Types of pioneer-session/worker, which is built from Rust.

/** The Worker. Its settings, secrets and bindings come from wrangler.toml, not from code. */
export default class Worker {
  constructor(context: unknown, env: unknown);
  fetch(request: Request): Promise<Response>;
  scheduled(event: unknown): Promise<void>;
}
