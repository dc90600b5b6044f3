// Empty at run time: applications import pioneer-session/express/augment for its types.
export {};
