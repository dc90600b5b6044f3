/** The cookies that a browser keeps of an answer, as it sends them. Those that the answer removes are not among them. */
export const cookiesOf = (response) =>
  response.headers.getSetCookie().filter((cookie) => !cookie.endsWith("Max-Age=0")).map((cookie) => cookie.split(";")[0]);
