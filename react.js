// pioneer-session/react, for resolvers that look for a file and do not read `exports` (Parcel by
// default, webpack 4).
export * from "./pkg/react/index.mjs";
