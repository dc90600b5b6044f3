// Tries the tokens of differential/cases.mjs on everything that verifies tokens.

import { FIXED_NOW, makeTokens } from "../differential/cases.mjs";
import { suites } from "../differential/keys.mjs";
import { attempt, control } from "./runner.mjs";
import { cases, now } from "./world.mjs";

/** The rows with this id, each with its token and its key set. Edges are exact to the second, so their time is fixed. */
function rowsOf(id) {
  const [live, fixed] = [now(), FIXED_NOW].map((time) => makeTokens("EdDSA", time));
  return cases.flatMap((row, i) => {
    const made = (row.edge ? fixed : live)[i];
    return row.id === id && made ? [{ ...row, ...made, isGood: row.kind === "must-accept" && !row.lost, at: row.edge ? FIXED_NOW : undefined }] : [];
  });
}

/** What a verifier of the package says of a row. */
function judged(row, { uid, code, name, text = "" }) {
  if (row.isGood) return control(row.name, uid !== undefined);
  // A token without a secret in it is printed by nobody, so only long ones are looked for.
  const isEchoed = row.token.length > 40 && text.includes(row.token);
  return attempt(row.name, uid !== undefined || isEchoed, name === "SessionError" && typeof code === "string" ? "" : `${name} ${code}`);
}

/** Whether HTTP can carry the token in a header as it is. */
const isHeader = (token) => /^[\x21-\x7e]+$/.test(token) && token.length < 8_000;

/** The targets of an attack whose tokens are rows of the differential matrix. */
export function fromRows(id) {
  return {
    async *node(world) {
      for (const row of rowsOf(id)) yield judged(row, await world.node(row.token, { jwks: row.jwks, at: row.at }));
    },
    async *workerd(world) {
      for (const at of [undefined, FIXED_NOW]) {
        const rows = rowsOf(id).filter((row) => row.at === at);
        const tokens = Object.assign(rows.map(({ token, jwks }) => ({ token, jwks })), { at });
        for (const [i, result] of (rows.length > 0 ? await world.workerd(tokens) : []).entries()) yield judged(rows[i], result);
      }
    },
    async *worker(world) {
      const worker = await world.worker;
      await worker.openTokenSession();
      const known = JSON.stringify(suites.EdDSA.jwks);
      // The keys of the Worker are settings, and its clock has no tolerance: edges and other key sets are for the package.
      for (const row of rowsOf(id).filter(({ at, jwks }) => at === undefined && JSON.stringify(jwks) === known)) {
        if (isHeader(row.token)) {
          if (row.isGood) yield control(`${row.name} (as a bearer token)`, (await worker.call("/session", { token: row.token })).status === 200);
          else yield worker.refuses(`${row.name} (as a bearer token)`, () => worker.call("/session", { token: row.token }), [400, 401], ["session_invalid", "session_expired", "session_missing", "ambiguous_credentials"]);
        }
        const response = await worker.call("/introspect", { method: "POST", token: world.credential, body: new URLSearchParams({ token: row.token }) });
        const { active, code } = await response.json();
        if (row.isGood) yield control(`${row.name} (introspected)`, active === true);
        else yield attempt(`${row.name} (introspected)`, active, active === false || code === "body_too_large" ? "" : `${response.status} ${code}`);
      }
      yield control("a good token of this session", (await worker.call("/session", { token: rowsOf("G1")[0].token })).status === 200);
    },
  };
}
