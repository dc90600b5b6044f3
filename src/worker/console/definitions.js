// What each figure means: the page shows these as titles.

export const DEFINITIONS = {
  signIns: "Sign-ins since midnight UTC that Pi confirmed. Exact.",
  newUsers: "Users whose first sign-in was since midnight UTC. Exact.",
  refreshes: "Sessions refreshed since midnight UTC. About: a stopped isolate loses at most five minutes of it.",
  paid: "Orders whose payment became paid since midnight UTC, and their sum in Pi. Exact.",
  users: "All users who were not erased, as counted at the time shown.",
  liveSessions: "Sessions that are neither expired nor revoked, as counted at the time shown.",
  activeYesterday: "Users who used a session yesterday (UTC).",
  refused: "Requests that the Worker refused since midnight UTC, by the code of the answer. About.",
  pi: "Calls of the Worker to Pi since midnight UTC. A call failed if Pi did not answer or answered with an error of its own. About.",
  half: "Half of the calls took at most this long.",
  most: "95 of 100 calls took at most this long.",
  rowsRead: "Rows that D1 read since midnight UTC, and their share of the free plan's 5,000,000 a day.",
  rowsWritten: "Rows that D1 wrote since midnight UTC, indexes included, and their share of the free plan's 100,000 a day.",
  weekAgo: "The same weekday a week ago, until the same hour.",
  run: "The scheduled event reconciles payments and makes these figures. It runs every five minutes.",
  stuck: "Unfinished for more than an hour.",
  checks: "How often the Worker has asked Pi about this payment by itself.",
};
