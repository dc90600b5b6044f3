/** The cookies that a browser keeps from an answer, in the form in which it sends them. Deleted
 * cookies are left out. */
export const cookiesOf = (response) =>
  response.headers.getSetCookie().filter((cookie) => !cookie.endsWith("Max-Age=0")).map((cookie) => cookie.split(";")[0]);
