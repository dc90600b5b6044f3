// Nothing at run time: pioneer-session/express/augment is imported for its types.
export {};
