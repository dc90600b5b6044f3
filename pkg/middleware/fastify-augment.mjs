// Empty at run time: applications import pioneer-session/fastify/augment for its types.
export {};
