// What operators and backends did, the newest first. Entries are never changed.

import { Foreign, Id, Items, Panel, Time } from "./parts.jsx";
import { useList } from "./state.js";

const ACTIONS = {
  "user.data_read": "looked at the data of",
  "user.exported": "exported",
  "user.erased": "erased",
  "user.sessions_ended": "signed out everywhere",
  "user.blocked": "blocked",
  "user.unblocked": "unblocked",
  "session.ended": "revoked a session of",
  "payment.asked": "asked Pi about payment",
  "payment.settled": "looked again at payment",
  "payment.cancelled": "cancelled payment",
  "product.added": "added product",
  "product.changed": "changed product",
  "everyone.sessions_ended": "signed everybody out",
  "notifications.asked": "asked Pi to send notifications",
  "notifications.sent": "sent notifications",
};

/** The address of the drawer of a target, if it has one. */
function addressOf(action, target) {
  const kind = action.split(".")[0].replace("session", "user");
  return kind === "user" || kind === "payment" ? `#${kind}/${encodeURIComponent(target)}` : undefined;
}

const plain = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

/** The detail as text: "approved → paid", "amount 3 → 3.14". */
function detailOf({ before, after, old = {}, new: current = {}, ...others }) {
  const texts = Object.entries(others).map(([name, value]) => `${name} ${plain(value)}`);
  if (before !== undefined && after !== undefined) texts.push(`${plain(before)} → ${plain(after)}`);
  for (const [name, value] of Object.entries(current)) {
    if (old[name] !== value) texts.push(`${name} ${plain(old[name])} → ${plain(value)}`);
  }
  return texts.join(", ");
}

/** `here` is the target whose drawer shows the entry: it needs no link to itself.
 *
 * @param {{ entry: any, here?: string }} properties */
export function AuditEntry({ entry: { at, actor, via, action, target, detail, requestId }, here }) {
  const address = target && target !== here && addressOf(action, target);
  return (
    <li class="row plain" title={requestId && `Request ${requestId}`}>
      <span>
        <b>
          <Foreign>{actor}</Foreign>
        </b>{" "}
        {ACTIONS[action] ?? action} {target && (address ? <a href={address}><Id>{target}</Id></a> : <Id>{target}</Id>)}
      </span>
      <span class="row-more">
        <span>
          <Time at={at} /> · {via}
          {detail && (
            <>
              {" · "}
              <Foreign>{detailOf(detail)}</Foreign>
            </>
          )}
        </span>
      </span>
    </li>
  );
}

export function Audit() {
  const list = useList("audit?limit=10", "entries");
  return (
    <Panel id="audit" title="What operators did">
      <Items list={list} empty="No operator and no backend has acted yet.">
        {(entry) => <AuditEntry key={entry.id} entry={entry} />}
      </Items>
    </Panel>
  );
}
