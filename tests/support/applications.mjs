// An application of each framework for which the package has a middleware, on a real socket.

import "reflect-metadata";
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { serve } from "@hono/node-server";
import { All, Controller, HttpCode, Module, UseGuards } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { NextRequest } from "next/server.js";
import { createVerifier } from "pioneer-session";

/** The module of the package for an application. */
export const moduleOf = (name) => `pioneer-session/${name.split(" ")[0]}`;

/** Serves a function from Request to Response. */
const listen = (fetch) =>
  new Promise((done) => {
    const server = serve({ fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) =>
      done({ url: `http://127.0.0.1:${port}`, close: () => new Promise((closed) => server.close(closed)) }));
  });

/** An application of NestJS on one of its HTTP servers. Its decorators are applied by hand. */
async function nest({ sessionGuard, CurrentSession }, options, adapter) {
  class Profile {
    profile({ uid, username }) {
      return { uid, username };
    }
    broken() {
      throw new Error("of the application");
    }
  }
  const decorate = (name, ...decorators) => decorators.forEach((decorator) => decorator(Profile.prototype, name, Object.getOwnPropertyDescriptor(Profile.prototype, name)));
  const signedIn = UseGuards(sessionGuard(options));
  decorate("profile", All("profile"), HttpCode(200), signedIn);
  decorate("broken", All("broken"), signedIn);
  CurrentSession()(Profile.prototype, "profile", 0);
  Controller()(Profile);
  class Application {}
  Module({ controllers: [Profile] })(Application);
  const app = await NestFactory.create(Application, adapter, { logger: false });
  await app.listen(0, "127.0.0.1");
  return { url: await app.getUrl(), close: () => app.close() };
}

/**
 * The applications. `/profile` returns the signed-in user, and `/broken` throws behind the
 * middleware. The option `property` is the name under which they read the session.
 */
export const applications = {
  async express({ requireSession }, options) {
    const app = express();
    app.set("env", "test"); // answers errors instead of printing them
    app.set("query parser", "extended");
    app.use(express.json(), express.urlencoded({ extended: true }));
    const signedIn = requireSession(options);
    app.all("/profile", signedIn, ({ [options.property ?? "session"]: { uid, username } }, response) => response.json({ uid, username }));
    app.get("/broken", signedIn, () => {
      throw new Error("of the application");
    });
    const server = createServer(app);
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return { url: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((done) => server.close(done)) };
  },
  async fastify({ requireSession }, options) {
    const app = Fastify();
    app.get("/public", async (request) => ({ session: request.session === undefined }));
    app.register(async (scope) => {
      scope.register(requireSession(options));
      scope.all("/profile", async ({ [options.property ?? "session"]: { uid, username } }) => ({ uid, username }));
      scope.get("/broken", async () => {
        throw new Error("of the application");
      });
    });
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    return { url, close: () => app.close() };
  },
  async hono({ requireSession }, options) {
    const app = new Hono();
    const signedIn = requireSession(options);
    app.all("/profile", signedIn, (c) => c.json({ uid: c.var[options.property ?? "session"].uid, username: c.get(options.property ?? "session").username }));
    app.get("/broken", signedIn, () => {
      throw new Error("of the application");
    });
    app.onError((_, c) => c.text("", 500));
    return listen(app.fetch);
  },
  async koa({ requireSession }, options) {
    const app = new Koa();
    app.silent = true;
    const signedIn = requireSession(options);
    app.use((ctx, next) => (ctx.path === "/profile" || ctx.path === "/broken" ? signedIn(ctx, next) : next()));
    app.use((ctx) => {
      if (ctx.path === "/broken") throw new Error("of the application");
      const { uid, username } = ctx.state[options.property ?? "session"];
      ctx.body = { uid, username };
    });
    const server = createServer(app.callback());
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return { url: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((done) => server.close(done)) };
  },
  "nest on Express": (api, options) => nest(api, options, new ExpressAdapter()),
  "nest on Fastify": (api, options) => nest(api, options, new FastifyAdapter()),
  async next({ requireSession }, options) {
    const signedIn = requireSession(options);
    const routes = {
      "/profile": signedIn(async (request, { params, [options.property ?? "session"]: { uid, username } }) => {
        assert.ok(request instanceof NextRequest);
        assert.deepEqual(await params, { slug: "x" });
        return Response.json({ uid, username });
      }),
      "/broken": signedIn(() => {
        throw new Error("of the application");
      }),
    };
    return listen((request) => {
      const given = new NextRequest(request.url, { method: request.method, headers: request.headers });
      return routes[given.nextUrl.pathname](given, { params: Promise.resolve({ slug: "x" }) }).catch(() => new Response(null, { status: 500 }));
    });
  },
  async fetch({ sessionFrom, refusal }, { verifier, onRefused, ...options }) {
    verifier ??= await createVerifier(options); // its timers keep no process alive
    return listen(async (request) => {
      try {
        const { uid, username } = await sessionFrom(request, verifier, { onRefused });
        if (request.url.endsWith("/broken")) throw new Error("of the application");
        return Response.json({ uid, username });
      } catch (error) {
        try {
          return refusal(error);
        } catch (again) {
          assert.equal(again, error);
          return new Response(null, { status: 500 });
        }
      }
    });
  },
};
