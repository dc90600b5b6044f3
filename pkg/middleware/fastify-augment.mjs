// Nothing at run time: pioneer-session/fastify/augment is imported for its types.
export {};
