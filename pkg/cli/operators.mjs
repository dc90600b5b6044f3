// The `operators` commands: the people who may operate the service.

import { addCredential } from "./credentials.mjs";
import { Misuse } from "./problem.mjs";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const ROLES = ["viewer", "owner"];

/**
 * `operators add NAME`: a credential for a person, and the entry by which the Worker knows it.
 *
 * @param {{ file?: string, role?: string }} options
 * @param {string} name
 */
export function add({ file, role = "owner" }, name) {
  if (!NAME.test(name)) throw new Misuse("NAME must be 1 to 64 letters, digits, hyphens or underscores, and begin with a letter or a digit.");
  if (!ROLES.includes(role)) throw new Misuse(`--role must be ${ROLES.join(" or ")}.`);
  addCredential({
    setting: "OPERATOR_CREDENTIALS",
    name,
    file,
    entry: (sha256) => ({ sha256, role }),
    taken: "To give this person another credential, first remove the old entry.",
    use: "Keep it in a password manager: anyone who has it can sign in as this operator.",
  });
}
