// A database that answers at once, as a Worker behind the D1 binding: what a request costs without its storage. It
// speaks D1's protocol, keeps nothing, and says that every session is live.

const meta = { served_by: "instant", duration: 0, changes: 0, last_row_id: 0, changed_db: false, size_after: 0, rows_read: 0, rows_written: 0 };
const USER = ["uid", "username", "scopes", "first_seen_at", "last_seen_at"];

const table = (columns = [], rows = []) => ({ success: true, results: { columns, rows }, meta });

function answer({ sql, params }) {
  if (sql.includes("INSERT INTO users")) {
    const [uid, username, scopes, now] = params;
    return table([...USER, "sign_ins"], [[uid, username, scopes, now, now, 1]]);
  }
  if (sql.includes("JOIN users")) return table(USER, [["a11ce000-0000-4000-8000-000000000001", "pioneer_1", "username payments", params[1], params[1]]]);
  if (sql.includes("SELECT name FROM d1_migrations")) return table(["name"], [[params[0]]]);
  return table();
}

export default {
  async fetch(request) {
    const queries = await request.json();
    return Response.json([queries].flat().map(answer));
  },
};
