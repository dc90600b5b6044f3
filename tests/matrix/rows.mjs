// The rows of the matrix: a tool, a build or run with it, and the result, which must be
// SERVER_RESULT or PAGE_RESULT. The `quick` rows also run in `npm test`.

import { writeFileSync } from "node:fs";
import { browsers } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { PAGE_RESULT, Project, RESULT, SERVER_RESULT, home, packageFolder } from "./projects.mjs";

const CLASSIC_PAGE = '<!doctype html><title></title><body><script src="./out.js"></script>\n';
const MODULE_PAGE = '<!doctype html><title></title><script type="module" src="./out.js"></script>\n';

// A warning fails a row, because users see it first.
const esbuild = (settings) => `
import { build } from "esbuild";
const { warnings } = await build({ bundle: true, logLevel: "silent", ...${JSON.stringify(settings)} });
if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
`;

const rollup = (input, settings, output) => `
import { rollup } from "rollup";
import commonjs from "@rollup/plugin-commonjs";
import resolve from "@rollup/plugin-node-resolve";
const onwarn = (warning) => { throw new Error(warning.message); };
const bundle = await rollup({ input: ${JSON.stringify(input)}, plugins: [resolve(${JSON.stringify(settings)}), commonjs()], onwarn });
await bundle.write(${JSON.stringify(output)});
`;

/** webpack, and Rspack, which has the same interface. */
const webpack = (from, settings) => `
${from}
const settings = { mode: "production", performance: { hints: false }, ...${JSON.stringify(settings)} };
settings.output.path = import.meta.dirname + "/" + settings.output.path;
pack(settings, (error, stats) => {
  if (!error && !stats.hasErrors() && !stats.hasWarnings()) return;
  console.error(error ?? stats.toString());
  process.exitCode = 1;
});
`;
const WEBPACK = 'import pack from "webpack";';
const RSPACK = 'import { rspack as pack } from "@rspack/core";';

async function builtPage(name, build, { html = CLASSIC_PAGE, folder = "dist", files = {} } = {}) {
  const project = new Project(name, { "build.mjs": build, [`${folder}/index.html`]: html, ...files });
  project.node("build.mjs");
  return project.open(folder);
}

function builtProgram(name, build, output) {
  const project = new Project(name, { "build.mjs": build });
  project.node("build.mjs");
  return project.node(output);
}

/** One major version of Vite, in development and built. The version is installed under the name
 * `alias`. */
function vite(major, alias, quick) {
  const row = (what, run) => ({ tool: "Vite", of: alias, what, quick: quick && what.startsWith("build"), expected: PAGE_RESULT, run });
  return [
    row("build, page in Chromium", async () => {
      const project = new Project(`vite ${major} build`, { "build.mjs": `import { build } from "${alias}";\nawait build({ logLevel: "warn" });\n` });
      project.node("build.mjs");
      return project.open("dist");
    }),
    row("dev, page in Chromium", async () => {
      const port = await freePort();
      const project = new Project(`vite ${major} dev`, {
        "dev.mjs": `import { createServer } from "${alias}";\nawait (await createServer({ server: { host: "127.0.0.1", port: ${port}, strictPort: true } })).listen();\n`,
      });
      return project.openAt(process.execPath, ["dev.mjs"], port);
    }),
  ];
}

// Vercel's edge runtime forbids compiling bytes; the one of `next start` only warns.
const FORBID_BYTES = `const refuse = () => { throw new Error("bytes may not be compiled here"); };
WebAssembly.Module = WebAssembly.compile = WebAssembly.instantiate = refuse;\n`;

/** Next.js with one of its two bundlers. One application has everything except the two kinds of
 * middleware, which exclude each other. */
function next(bundler, edge) {
  const files = {
    // The tools are above the folder of the project.
    "next.config.mjs": `export default { turbopack: { root: ${JSON.stringify(home)} }, outputFileTracingRoot: ${JSON.stringify(home)} };\n`,
    "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>;\n",
    "app/page.js": `"use client";
import { useEffect } from "react";
export default function Page() {
  useEffect(() => void import("../page.mjs"), []);
  return null;
}\n`,
    "app/node/route.js": `import { served } from "../../served.mjs";
export const dynamic = "force-dynamic";
export const GET = async () => new Response(await served());\n`,
    "edge.mjs": FORBID_BYTES,
    ...edge.files,
  };
  const guard = (file, name) => ({
    [file]: `${name === "middleware" ? 'import "./edge.mjs";' : ""}
import { served } from "./served.mjs";
export async function ${name}() { return new Response(await served()); }
export const config = { matcher: "/guarded" };\n`,
  });
  const applications = {};
  /** Builds an application at its first row. */
  async function start(file, name) {
    if (!applications[name]) {
      const project = new Project(`next ${bundler} ${name}`, { ...files, ...guard(file, name) });
      project.tool("next", "build", `--${bundler}`);
      applications[name] = project;
    }
    const port = await freePort();
    return [applications[name], [process.execPath, [`${packageFolder("next")}/dist/bin/next`, "start", "-H", "127.0.0.1", "-p", String(port)], port]];
  }
  const asked = (what, path, guarded) => ({
    tool: "Next.js", of: "next", what: `${bundler}, ${what}`, expected: SERVER_RESULT,
    async run() {
      const [project, server] = await start(...guarded);
      return (await project.ask(...server, [path]))[0];
    },
  });
  const [proxy, middleware] = [["proxy.js", "proxy"], ["middleware.js", "middleware"]];
  return [
    asked("route handler in Node", "/node", proxy),
    asked(edge.what, edge.path, proxy),
    asked("proxy.js, in Node", "/guarded", proxy),
    asked("middleware.js, on the edge", "/guarded", middleware),
    {
      tool: "Next.js", of: "next", what: `${bundler}, client component, page in Chromium`, expected: PAGE_RESULT,
      async run() {
        const [project, server] = await start(...proxy);
        return project.openAt(...server);
      },
    },
  ];
}

const EDGE_ROUTE = {
  what: "route handler on the edge",
  path: "/edge",
  files: {
    "app/edge/route.js": `import "../../edge.mjs";
import { served } from "../../served.mjs";
export const runtime = "edge";
export const dynamic = "force-dynamic";
export const GET = async () => new Response(await served());\n`,
  },
};
// Next.js 16.4 with webpack builds no route handler for the edge, not even one without imports.
const EDGE_API = {
  what: "API route on the edge",
  path: "/api/edge",
  files: {
    "pages/api/edge.js": `import "../../edge.mjs";
import { served } from "../../served.mjs";
export const config = { runtime: "edge" };
export default async () => new Response(await served());\n`,
  },
};

/** Environments that imitate a page have no Request, or a different one, so they run the program
 * for pages. */
const programIn = (environment) => (["node", "edge-runtime"].includes(environment) ? ["served", SERVER_RESULT] : ["check", RESULT]);

function jest(environment, how = "", settings = {}, files = {}) {
  const [name, expected] = programIn(environment);
  return {
    tool: "Jest", of: "jest", what: `environment ${environment}${how}`, expected,
    run() {
      const project = new Project(`jest ${environment}`, {
        "jest.config.json": JSON.stringify({ testEnvironment: environment, testMatch: ["**/*.test.cjs"], transform: {}, ...settings }),
        "its.test.cjs": `const { ${name} } = require("./${name}.cjs");
const { signIn } = require("pioneer-session/browser");
test("${name}", async () => expect(await ${name}() + typeof signIn).toBe("${expected}function"));\n`,
        ...files,
      });
      project.tool("jest", "--ci", "--watchman=false");
      return expected; // or Jest would have failed
    },
  };
}

function vitest(environment, config = { test: { environment } }) {
  const [name, expected] = programIn(environment);
  return {
    tool: "Vitest", of: "vitest", what: `environment ${environment}`, expected,
    run() {
      const project = new Project(`vitest ${environment}`, {
        "vitest.config.mjs": typeof config === "string" ? config : `export default ${JSON.stringify(config)};\n`,
        "its.test.mjs": `import { expect, test } from "vitest";
import { ${name} } from "./${name}.mjs";
test("${name}", async () => expect(await ${name}()).toBe("${expected}"));\n`,
      });
      project.tool("vitest", "run");
      return expected; // or Vitest would have failed
    },
  };
}

const bun = () => `${packageFolder("@oven/bun-linux-x64")}/bin/bun`;
const deno = () => `${packageFolder("@deno/linux-x64-glibc")}/deno`;

/** TypeScript, with the types of session packages that must not conflict with ours. */
const TYPED = `
import express from "express";
import "express-session";
import Fastify from "fastify";
import "@fastify/session";
import { verify, type Session } from "pioneer-session";
import { signIn } from "pioneer-session/browser";
import { requireSession, sessionOf } from "pioneer-session/express";
import { requireSession as guard, sessionOf as sessionOfFastify } from "pioneer-session/fastify";
import { sessionFrom } from "pioneer-session/fetch";
const options = { issuer: "https://session.example.com", audience: "example-app" };
const app = express();
app.get("/old", (request, response) => void response.json(request.session.cookie.maxAge));
app.get("/new", requireSession(options), (request, response) => void response.json(sessionOf(request).uid));
const fastify = Fastify();
fastify.get("/old", async (request) => request.session.sessionId);
fastify.register(async (scope) => {
  scope.register(guard(options));
  scope.get("/new", async (request) => sessionOfFastify(request).uid);
});
export const all: [typeof verify, typeof signIn, typeof sessionFrom, Session?] = [verify, signIn, sessionFrom];
`;

function typescript(what, ...flags) {
  return {
    tool: "TypeScript", of: "typescript5", what, expected: "compiled",
    run() {
      const project = new Project(`typescript ${what}`, { "program.ts": TYPED }, { type: "commonjs" });
      project.node(`${packageFolder("typescript5")}/bin/tsc`, "--noEmit", "--strict", "--skipLibCheck", "--esModuleInterop", "--target", "es2022", "--lib", "es2022,dom", ...flags, "program.ts");
      return "compiled";
    },
  };
}

export const rows = [
  {
    tool: "esbuild", of: "esbuild", what: "platform browser, page in Chromium", quick: true, expected: PAGE_RESULT,
    run: () => builtPage("esbuild browser", esbuild({ entryPoints: ["page.mjs"], platform: "browser", format: "esm", outfile: "dist/out.js" }), { html: MODULE_PAGE }),
  },
  {
    tool: "esbuild", of: "esbuild", what: "format iife, page in Chromium", quick: true, expected: PAGE_RESULT,
    run: () => builtPage("esbuild iife", esbuild({ entryPoints: ["page.mjs"], format: "iife", target: "es2020", outfile: "dist/out.js" })),
  },
  {
    tool: "esbuild", of: "esbuild", what: "platform node, run in Node", quick: true, expected: SERVER_RESULT,
    run: () => builtProgram("esbuild node", esbuild({ entryPoints: ["main.mjs"], platform: "node", outfile: "dist/out.cjs" }), "dist/out.cjs"),
  },
  {
    tool: "esbuild", of: "esbuild", what: "platform neutral, run in Node", quick: true, expected: SERVER_RESULT,
    run: () => builtProgram("esbuild neutral", esbuild({ entryPoints: ["main.mjs"], platform: "neutral", outfile: "dist/out.mjs" }), "dist/out.mjs"),
  },

  {
    tool: "Rollup", of: "rollup", what: "node-resolve for browsers, page in Chromium", quick: true, expected: PAGE_RESULT,
    run: () => builtPage("rollup browser", rollup("page.mjs", { browser: true }, { file: "dist/out.js", format: "iife" })),
  },
  {
    tool: "Rollup", of: "rollup", what: "node-resolve as it is, run in Node", quick: true, expected: SERVER_RESULT,
    run: () => builtProgram("rollup defaults", rollup("main.mjs", {}, { file: "dist/out.mjs" }), "dist/out.mjs"),
  },
  {
    tool: "Rollup", of: "rollup", what: "node-resolve with the condition node, run in Node", quick: true, expected: SERVER_RESULT,
    run: () => builtProgram("rollup node", rollup("main.mjs", { exportConditions: ["node"] }, { file: "dist/out.mjs" }), "dist/out.mjs"),
  },

  ...[["webpack", "webpack", WEBPACK, true], ["Rspack", "@rspack/core", RSPACK, false]].flatMap(([tool, of, from, quick]) => [
    {
      tool, of, what: "target web, page in Chromium", quick, expected: PAGE_RESULT,
      run: () => builtPage(`${tool} web`, webpack(from, { entry: "./page.mjs", output: { path: "dist", filename: "out.js" } })),
    },
    {
      tool, of, what: "target node, run in Node", quick, expected: SERVER_RESULT,
      run: () => builtProgram(`${tool} node`, webpack(from, { entry: "./main.mjs", target: "node", output: { path: "dist", filename: "out.cjs" } }), "dist/out.cjs"),
    },
    {
      tool, of, what: "target web, require, page in Chromium", expected: PAGE_RESULT,
      run: () => builtPage(`${tool} require`, webpack(from, { entry: "./page.cjs", output: { path: "dist", filename: "out.js" } }), {
        files: {
          "page.cjs": `const { check } = require("./check.cjs");
import("pioneer-session/browser").then(async ({ signIn }) => (document.title = (await check()) + " " + typeof signIn));\n`,
        },
      }),
    },
  ]),

  ...vite(8, "vite", true),
  ...vite(7, "vite7"),
  ...vite(6, "vite6"),
  ...vite(5, "vite5"),

  ...[["as it is", {}], ["with packageExports", { "@parcel/resolver-default": { packageExports: true } }]].map(([how, manifest]) => ({
    tool: "Parcel", of: "parcel", what: `build ${how}, page in Chromium`, expected: PAGE_RESULT,
    async run() {
      const project = new Project(`parcel ${how}`, {}, manifest);
      // Parcel reads its configuration from the root of the project, the folder with its lock file.
      writeFileSync(`${project.folder}/package-lock.json`, "{}");
      project.tool("parcel", "build", "index.html", "--no-cache", "--dist-dir", "dist", "--public-url", "./");
      return project.open("dist");
    },
  })),

  {
    tool: "ncc", of: "@vercel/ncc", what: "build, run in Node", expected: SERVER_RESULT,
    run() {
      const project = new Project("ncc");
      project.tool("ncc", "build", "main.mjs", "-o", "dist");
      return project.node("dist/index.mjs");
    },
  },

  {
    tool: "Bun", of: "bun", what: "build for Bun, run", expected: SERVER_RESULT,
    run() {
      const project = new Project("bun build");
      project.run(bun(), "build", "main.mjs", "--target", "bun", "--outfile", "dist/out.js");
      return project.run(bun(), "run", "dist/out.js");
    },
  },
  {
    tool: "Bun", of: "bun", what: "build for browsers, page in Chromium", expected: PAGE_RESULT,
    run() {
      const project = new Project("bun browser", { "dist/index.html": MODULE_PAGE });
      project.run(bun(), "build", "page.mjs", "--target", "browser", "--outfile", "dist/out.js");
      return project.open("dist");
    },
  },
  {
    tool: "Deno", of: "deno", what: "bundle, run", expected: SERVER_RESULT,
    run() {
      const project = new Project("deno bundle");
      project.run(deno(), "bundle", "--node-modules-dir=manual", "-o", "dist/out.js", "main.mjs");
      return project.run(deno(), "run", "dist/out.js");
    },
  },
  {
    tool: "Deno", of: "deno", what: "bundle for browsers, page in Chromium", expected: PAGE_RESULT,
    run() {
      const project = new Project("deno browser", { "dist/index.html": MODULE_PAGE });
      project.run(deno(), "bundle", "--node-modules-dir=manual", "--platform", "browser", "-o", "dist/out.js", "page.mjs");
      return project.open("dist");
    },
  },

  ...next("turbopack", EDGE_ROUTE),
  ...next("webpack", EDGE_API),

  {
    tool: "Cloudflare's Vite plugin", of: "@cloudflare/vite-plugin", what: "build, run in workerd", expected: SERVER_RESULT,
    async run() {
      const port = await freePort();
      const project = new Project("cloudflare", {
        "wrangler.jsonc": JSON.stringify({ name: "worker", main: "worker.mjs", compatibility_date: "2026-09-01" }),
        "worker.mjs": 'import { served } from "./served.mjs";\nexport default { fetch: async () => new Response(await served()) };\n',
        "index.html": undefined, // it would be served instead of the page
        "vite.config.mjs": 'import { cloudflare } from "@cloudflare/vite-plugin";\nexport default { plugins: [cloudflare()] };\n',
      });
      project.node(`${packageFolder("vite")}/bin/vite.js`, "build");
      return (await project.ask(process.execPath, [`${packageFolder("vite")}/bin/vite.js`, "preview", "--host", "127.0.0.1", "--port", String(port)], port, ["/"]))[0];
    },
  },

  jest("node"),
  jest("jsdom", ", TextEncoder and TextDecoder from Node", { setupFiles: ["./setup.cjs"] }, {
    "setup.cjs": 'const { TextDecoder, TextEncoder } = require("node:util");\nObject.assign(globalThis, { TextDecoder, TextEncoder });\n',
  }),

  vitest("node"),
  vitest("jsdom"),
  vitest("happy-dom"),
  vitest("edge-runtime"),
  vitest("browser (Chromium)", `import { playwright } from "@vitest/browser-playwright";
const launchOptions = { executablePath: ${JSON.stringify(browsers.chromium.find())}, args: ["--no-sandbox"] };
export default { test: { browser: { enabled: true, headless: true, screenshotFailures: false, provider: playwright({ launchOptions }), instances: [{ browser: "chromium" }] } } };\n`),

  typescript("module commonjs, moduleResolution node10", "--module", "commonjs", "--moduleResolution", "node10"),
  typescript("module nodenext", "--module", "nodenext"),
  typescript("moduleResolution bundler", "--module", "esnext", "--moduleResolution", "bundler"),
];
