// The newest people, and a person as a row of any list.

import { Badge, Foreign, Id, Items, Panel, Time } from "./parts.jsx";
import { useList } from "./state.js";

export const PersonRow = ({ user: { uid, username, lastSeenAt, blockedAt } }) => (
  <li class="row">
    <a href={`#user/${encodeURIComponent(uid)}`}>
      <span class="row-main">
        <span class="name">{username ? <Foreign>{username}</Foreign> : "no username"}</span>
        <span class="row-side">{blockedAt && <Badge kind="blocked">blocked</Badge>}</span>
      </span>
      <span class="row-more">
        <Id>{uid}</Id>
        <span class="row-side">
          <Time at={lastSeenAt} isSpan />
        </span>
      </span>
    </a>
  </li>
);

export function People() {
  const list = useList("users?limit=8", "users");
  return (
    <Panel id="people" title="Newest people">
      <Items list={list} empty="Nobody has signed in yet.">
        {(user) => <PersonRow key={user.uid} user={user} />}
      </Items>
    </Panel>
  );
}
