// Compares the modules of the package with the public types, which are written by hand: a module
// must have what its types promise, and must not export more. types.test.mjs compiles it.

import type * as declaredIndex from "pioneer-session";
import type * as declaredBrowser from "pioneer-session/browser";
import type * as declaredExpress from "pioneer-session/express";
import type * as declaredFastify from "pioneer-session/fastify";
import type * as declaredFetch from "pioneer-session/fetch";
import type * as declaredHono from "pioneer-session/hono";
import type * as declaredKoa from "pioneer-session/koa";
import type * as declaredNest from "pioneer-session/nest";
import type * as declaredNext from "pioneer-session/next";
import type * as declaredReact from "pioneer-session/react";
import * as browser from "../../pkg/browser/index.mjs";
import * as index from "../../pkg/index.mjs";
import * as express from "../../pkg/middleware/express.mjs";
import * as fastify from "../../pkg/middleware/fastify.mjs";
import * as fetch from "../../pkg/middleware/fetch.mjs";
import * as hono from "../../pkg/middleware/hono.mjs";
import * as koa from "../../pkg/middleware/koa.mjs";
import * as nest from "../../pkg/middleware/nest.mjs";
import * as next from "../../pkg/middleware/next.mjs";
import * as react from "../../pkg/react/index.mjs";

/** `true` if two modules export the same names. */
type SameNames<A, B> = [keyof A, keyof B] extends [keyof B, keyof A] ? true : never;

// The public class has a private constructor, which no other class can have. So its instances are
// compared.
export const indexFits: Omit<typeof declaredIndex, "SessionError"> = index;
export const errorFits: declaredIndex.SessionError = new index.SessionError("expired");
export const browserFits: typeof declaredBrowser = browser;
export const expressFits: typeof declaredExpress = express;
export const fastifyFits: typeof declaredFastify = fastify;
export const fetchFits: typeof declaredFetch = fetch;
export const honoFits: typeof declaredHono = hono;
export const koaFits: typeof declaredKoa = koa;
export const nestFits: typeof declaredNest = nest;
export const nextFits: typeof declaredNext = next;
export const reactFits: typeof declaredReact = react;

export const names: [
  SameNames<typeof declaredIndex, typeof index>,
  SameNames<typeof declaredBrowser, typeof browser>,
  SameNames<typeof declaredExpress, typeof express>,
  SameNames<typeof declaredFastify, typeof fastify>,
  SameNames<typeof declaredFetch, typeof fetch>,
  SameNames<typeof declaredHono, typeof hono>,
  SameNames<typeof declaredKoa, typeof koa>,
  SameNames<typeof declaredNest, typeof nest>,
  SameNames<typeof declaredNext, typeof next>,
  SameNames<typeof declaredReact, typeof react>,
] = [true, true, true, true, true, true, true, true, true, true];
