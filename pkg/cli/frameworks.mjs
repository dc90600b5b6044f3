// The frameworks that `add` knows: how to find them, the file that it writes, and the line for the
// application.

/**
 * @typedef {object} Framework
 * @property {string} name as in --framework and in the exports of this package
 * @property {string} title
 * @property {string} dependency the package by which it is found
 * @property {number} oldest the first major version that works
 * @property {string} guard the function of this package that makes the guard
 * @property {string} line the line that goes into the application
 */

/** @type {Framework[]} */
export const FRAMEWORKS = [
  // NestJS and Next.js come first, because they run on others of this list.
  { name: "nest", title: "NestJS", dependency: "@nestjs/core", oldest: 10, guard: "sessionGuard", line: "@UseGuards(signedIn)" },
  { name: "next", title: "Next.js", dependency: "next", oldest: 13, guard: "requireSession", line: "export const GET = signedIn((request, { session }) => Response.json({ uid: session.uid }));" },
  { name: "express", title: "Express", dependency: "express", oldest: 4, guard: "requireSession", line: 'app.get("/profile", signedIn, (request, response) => response.json({ uid: request.session.uid }));' },
  { name: "fastify", title: "Fastify", dependency: "fastify", oldest: 4, guard: "requireSession", line: "app.register(async (scope) => { scope.register(signedIn); scope.get(\"/profile\", async (request) => ({ uid: request.session.uid })); });" },
  { name: "hono", title: "Hono", dependency: "hono", oldest: 4, guard: "requireSession", line: 'app.get("/profile", signedIn, (c) => c.json({ uid: c.var.session.uid }));' },
  { name: "koa", title: "Koa", dependency: "koa", oldest: 2, guard: "requireSession", line: "app.use(signedIn); // then ctx.state.session.uid" },
];

/** How a project writes modules. `ending` is that of its files. */
/** @typedef {{ ending: "ts" | "js", isCommonJs: boolean }} Dialect */

/**
 * The file that `add` writes.
 *
 * @param {Framework} framework
 * @param {Dialect} dialect
 */
export function guardFile({ name, guard }, { ending, isCommonJs }) {
  const values = ending === "ts" ? ['SESSION_ISSUER = ""', 'SESSION_AUDIENCE = ""'] : ["SESSION_ISSUER", "SESSION_AUDIENCE"];
  return `// Lets only requests of signed-in Pioneers pass. Both settings are those of the Worker that signs
// them in; .env has them on this machine.

${isCommonJs ? `const { ${guard} } = require("pioneer-session/${name}");` : `import { ${guard} } from "pioneer-session/${name}";`}

const { ${values.join(", ")} } = process.env;

${isCommonJs ? "exports.signedIn" : "export const signedIn"} = ${guard}({ issuer: SESSION_ISSUER, audience: SESSION_AUDIENCE, revocations: true });
`;
}

/**
 * The line that imports the guard into a file of the application.
 *
 * @param {string} path
 * @param {Dialect} dialect
 * @param {Framework} framework
 */
export function importLine(path, { isCommonJs }, { name }) {
  // Node needs the ending of the compiled file; the bundler of Next.js needs none.
  const module = path.replace(/\.ts$/, name === "next" ? "" : ".js");
  return isCommonJs ? `const { signedIn } = require("./${module}");` : `import { signedIn } from "./${module}";`;
}
