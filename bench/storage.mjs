// A database in the Worker's isolate that answers immediately, to measure a request without its
// storage. It stores nothing, and treats every session as live.

const meta = { served_by: "instant", duration: 0, changes: 0, last_row_id: 0, changed_db: false, size_after: 0, rows_read: 0, rows_written: 0 };

function rows({ sql, parameters }) {
  if (sql.includes("INSERT INTO users")) {
    const [uid, username, scopes, now] = parameters;
    return [{ uid, username, scopes, first_seen_at: now, last_seen_at: now, sign_ins: 1 }];
  }
  if (sql.includes("JOIN users")) {
    const [, now] = parameters;
    return [{ uid: "a11ce000-0000-4000-8000-000000000001", username: "pioneer_1", scopes: "username payments", first_seen_at: now, last_seen_at: now }];
  }
  if (sql.includes("SELECT name FROM d1_migrations")) return [{ name: parameters[0] }];
  return [];
}

const begun = { ...meta, changes: 1 };
const answer = (statement) => ({ success: true, results: rows(statement), meta: statement.sql.includes("INSERT INTO sessions") ? begun : meta });

/** The part of D1's interface that the two Workers use. */
class D1PreparedStatement {
  constructor(sql, parameters) {
    this.sql = sql;
    this.parameters = parameters;
  }
  bind(...parameters) {
    return new D1PreparedStatement(this.sql, parameters);
  }
  async all() {
    return answer(this);
  }
  async first() {
    return rows(this)[0] ?? null;
  }
}

class D1Database {
  prepare(sql) {
    return new D1PreparedStatement(sql, []);
  }
  async batch(statements) {
    return statements.map(answer);
  }
}

const DB = new D1Database();
let bindings;

/** The Worker with this database. */
export const around = (worker) => ({
  fetch(request, env, context) {
    bindings ??= { ...env, DB };
    return worker.fetch(request, bindings, context);
  },
});
