// Attacks with the tokens of differential/cases.mjs, on every target that verifies tokens.

import { FIXED_NOW, rowsAt } from "../differential/cases.mjs";
import { suites } from "../differential/keys.mjs";
import { attempt, control } from "./runner.mjs";
import { now } from "./testbed.mjs";

/** The rows with this id, each with its token and its key set. Rows about exact seconds use a
 * fixed time. */
function rowsOf(id) {
  const [live, fixed] = [now(), FIXED_NOW].map(rowsAt);
  const rows = live.map((row, i) => (row.edge ? { ...fixed[i], at: FIXED_NOW } : row));
  return rows.filter((row) => row.id === id).map((row) => ({ ...row, isGood: row.kind === "must-accept" && !row.lost }));
}

/** Judges a package verifier's result for a row. */
function judged(row, { uid, code, name, text = "" }) {
  if (row.isGood) return control(row.name, uid !== undefined);
  // A short token could be in an error text by chance, so only long ones are searched for.
  const isEchoed = row.token.length > 40 && text.includes(row.token);
  return attempt(row.name, uid !== undefined || isEchoed, name === "SessionError" && typeof code === "string" ? "" : `${name} ${code}`);
}

/** Whether an HTTP header can carry the token unchanged. */
const isHeader = (token) => /^[\x21-\x7e]+$/.test(token) && token.length < 8_000;

/** The targets of an attack whose tokens are rows of the differential matrix. */
export function fromRows(id) {
  return {
    async *node(testbed) {
      for (const row of rowsOf(id)) yield judged(row, await testbed.node(row.token, { jwks: row.jwks, at: row.at }));
    },
    async *workerd(testbed) {
      for (const at of [undefined, FIXED_NOW]) {
        const rows = rowsOf(id).filter((row) => row.at === at);
        const tokens = Object.assign(rows.map(({ token, jwks }) => ({ token, jwks })), { at });
        for (const [i, result] of (rows.length > 0 ? await testbed.workerd(tokens) : []).entries()) yield judged(rows[i], result);
      }
    },
    async *worker(testbed) {
      const worker = await testbed.worker;
      await worker.openTokenSession();
      const known = JSON.stringify(suites.EdDSA.jwks);
      // The Worker's keys are settings and its clock has no tolerance, so only the package gets
      // other key sets and exact seconds.
      for (const row of rowsOf(id).filter(({ at, jwks }) => at === undefined && JSON.stringify(jwks) === known)) {
        if (isHeader(row.token)) {
          if (row.isGood) yield control(`${row.name} (as a bearer token)`, (await worker.call("/session", { token: row.token })).status === 200);
          else yield worker.refuses(`${row.name} (as a bearer token)`, () => worker.call("/session", { token: row.token }), [400, 401], ["session_invalid", "session_expired", "session_missing", "ambiguous_credentials"]);
        }
        const response = await worker.call("/introspect", { method: "POST", token: testbed.credential, body: new URLSearchParams({ token: row.token }) });
        const { active, code } = await response.json();
        if (row.isGood) yield control(`${row.name} (introspected)`, active === true);
        else yield attempt(`${row.name} (introspected)`, active, active === false || code === "body_too_large" ? "" : `${response.status} ${code}`);
      }
      yield control("a good token of this session", (await worker.call("/session", { token: rowsOf("G1")[0].token })).status === 200);
    },
  };
}
