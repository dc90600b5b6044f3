// The checks of a request for Pi Sign-in, as https://accounts.pinet.com/oauth/authorize makes them.

/**
 * The problem of a request, or undefined. The text never repeats the request's.
 *
 * @param {URL} url
 */
export function problem({ searchParams }) {
  const one = (name) => {
    const [value, ...others] = searchParams.getAll(name);
    return others.length === 0 ? value || undefined : undefined;
  };
  if (one("response_type") !== "token") return "response_type must be token, once: Pi Sign-in has no other flow.";
  if (one("client_id") === undefined) return "client_id must be there, once.";
  if (searchParams.getAll("state").length > 1) return "state must not be there twice.";
  const target = one("redirect_uri");
  if (!target || !isReturnable(target)) return "redirect_uri must be there, once: an https URL, or http on this machine, without a fragment.";
  return undefined;
}

/** Whether Pi redirects to this address. Every other scheme, `javascript:` among them, is rejected. */
function isReturnable(target) {
  if (!URL.canParse(target)) return false;
  const { protocol, hostname, username } = new URL(target);
  const isSecure = protocol === "https:" || (protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(hostname));
  return isSecure && username === "" && !target.includes("#");
}
