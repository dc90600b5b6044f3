// What JSX compiles to. esbuild adds this import to each file (scripts/console.mjs).

export { Fragment, h } from "preact";
