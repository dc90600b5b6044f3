// Types for `pioneer-session/simulator`: the simulated Pi as a Worker module, for tests and
// development. Every pioneer-session Worker in production refuses it as its PI_API_BASE.

/** The binding that lets the simulated Pi remember payments over a restart. */
export interface Env {
  /** A Durable Object namespace of the class `SimulatedPi`. */
  PI?: unknown;
}

/** The Durable Object of the binding PI. */
export declare class SimulatedPi {
  constructor(context: unknown);
  fetch(request: Request): Promise<Response>;
}

/** The Worker. */
declare const simulator: {
  fetch(request: Request, env?: Env): Promise<Response>;
};
export default simulator;
