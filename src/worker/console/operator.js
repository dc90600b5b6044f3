// Keeps who is signed in: in this tab only, and not for longer than somebody uses it.

const KEY = "operator";
const IDLE_MS = 30 * 60_000; // as long as a colleague may leave the desk, and no longer
const NOTED_EVERY_MS = 10_000; // storage is written at most this often

/** The operator of this tab, unless the time is over. */
export function resume(now = Date.now()) {
  try {
    const operator = JSON.parse(sessionStorage.getItem(KEY));
    return operator && isFresh(operator, now) ? operator : undefined;
  } catch {
    return undefined;
  }
}

export const isFresh = ({ expiresAt, activeAt }, now = Date.now()) => now < expiresAt && now < activeAt + IDLE_MS;

/** Keeps the operator whom the Worker has just let in. The credential itself is not kept. */
export function keep({ operatorToken, expiresIn, name, role }, now = Date.now()) {
  const operator = { token: operatorToken, name, role, expiresAt: now + expiresIn * 1000, activeAt: now };
  store(operator);
  return operator;
}

/** Notes that the operator is there. */
export function noteActivity(operator, now = Date.now()) {
  if (now < operator.activeAt + NOTED_EVERY_MS || !isFresh(operator, now)) return;
  operator.activeAt = now;
  store(operator);
}

export function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Without storage, nothing was kept.
  }
}

function store(operator) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(operator));
  } catch {
    // Without storage, a reload of the page asks for the credential again.
  }
}
