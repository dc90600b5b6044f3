// `dev token`: signs a simulated user in at the local Worker, for a call with curl.

import { printable } from "./deployment.mjs";
import { portsFrom } from "./dev.mjs";
import { parseObject } from "./json.mjs";
import { Problem } from "./problem.mjs";
import { request } from "./request.mjs";

const LIMITS = { timeoutMs: 10_000, maxBytes: 64 * 1024 };

/**
 * @param {{ port?: string }} options
 * @param {string} [persona]
 */
export async function token({ port }, persona = "sim-alice") {
  const issuer = `http://localhost:${portsFrom(port).worker}`;
  const accessToken = persona.startsWith("sim-") ? persona : `sim-${persona}`;
  const explain = () => `Nothing answers at ${issuer}. Start it first: npx pioneer-session dev`;
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ accessToken }) };
  const { response, text } = await request(`${issuer}/session`, init, { ...LIMITS, explain });
  const { sessionToken, code, detail } = parseObject(text) ?? {};
  if (response.status !== 200 || typeof sessionToken !== "string") {
    throw new Problem(`The Worker refused this user${typeof code === "string" ? printable(`: ${code}. ${detail}`) : "."} http://localhost:${portsFrom(port).pi}/simulator/personas lists the simulated users.`);
  }
  console.log(sessionToken);
}
