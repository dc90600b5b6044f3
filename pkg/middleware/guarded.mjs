// Which requests passed requireSession. Reading `request.session` needs a type that claims the name for the whole program;
// `sessionOf(request)` does not.

const sessions = new WeakMap();

export function remember(request, session) {
  sessions.set(request, session);
}

/** The session of a request that passed requireSession. */
export function sessionOf(request) {
  const session = sessions.get(request);
  if (session) return session;
  // `import` and `require` have a copy of the middleware each.
  throw new Error("This request has not passed requireSession. Add requireSession to its route, from the module that sessionOf comes from.");
}
