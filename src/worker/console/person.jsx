// The drawer of one person: sessions, payments, data, and everything that an owner may do about
// them.

import { useState } from "preact/hooks";
import { pathOf } from "./api.js";
import { AuditEntry } from "./audit.jsx";
import { Drawer } from "./dialogs.jsx";
import { number, size } from "./format.js";
import { Copy, Deed, Facts, Foreign, Items, Loaded, Problem, Status, Time } from "./parts.jsx";
import { PaymentRow } from "./payments.jsx";
import { useList, useLoad, useShared } from "./state.js";

const MAX_REASON = 200; // characters, as the Worker allows

export function PersonDrawer({ uid, close, said }) {
  const loaded = useLoad(pathOf(["users", uid]));
  const username = loaded.data?.user.username;
  return (
    <Drawer kind="Person" title={username ? <Foreign>{username}</Foreign> : "No username"} close={close}>
      <Status text={said} />
      <Loaded from={loaded}>{({ user, data }) => <Person user={user} data={data} close={close} />}</Loaded>
    </Drawer>
  );
}

function Person({ user, data, close }) {
  const { isOwner } = useShared();
  const { uid, scopes, firstSeenAt, lastSeenAt, signIns, blockedAt, blockedReason } = user;
  return (
    <>
      {blockedAt && (
        <p class="notice">
          Blocked since <Time at={blockedAt} />
          {blockedReason && (
            <>
              : <Foreign>{blockedReason}</Foreign>
            </>
          )}
        </p>
      )}
      <Facts
        rows={[
          [
            "uid",
            <span class="with-copy">
              <code>{uid}</code>
              <Copy text={uid} what="the uid" />
            </span>,
          ],
          ["First seen", firstSeenAt && <Time at={firstSeenAt} />],
          ["Last seen", lastSeenAt && <Time at={lastSeenAt} isSpan />],
          ["Sign-ins", signIns === undefined ? undefined : number(signIns)],
          ["Scopes", scopes?.join(", ")],
        ]}
      />
      {isOwner && <Acts user={user} />}
      <Sessions uid={uid} />
      <PaymentsOf uid={uid} />
      <Data uid={uid} data={data} />
      <AuditOf uid={uid} />
      {isOwner && <Erase uid={uid} close={close} />}
    </>
  );
}

/** Hands the browser a file. It is text of the Worker, so no number in it changes. */
function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // Safari begins the download a moment later.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function Acts({ user: { uid, username, blockedAt } }) {
  const { api, ask } = useShared();
  const name = username ?? uid;
  const endAll = {
    title: "Sign this person out everywhere?",
    text: `${name} must sign in again on every device.`,
    action: "Sign out everywhere",
    isDangerous: true,
    act: async () => {
      await api.act("POST", pathOf(["users", uid, "revoke"]));
      return "This person was signed out everywhere.";
    },
  };
  const block = {
    title: "Block this person?",
    text: "All sessions are revoked, and the next sign-in is refused. Pi gives a new uid to somebody who withdraws the consent and grants it again, so a block can be walked around.",
    action: "Block",
    isDangerous: true,
    field: { label: "Reason, for the other operators", maxLength: MAX_REASON },
    act: async (reason) => {
      await api.act("POST", pathOf(["users", uid, "block"]), { reason });
      return "The person is blocked.";
    },
  };
  const unblock = async () => {
    await api.act("POST", pathOf(["users", uid, "unblock"]));
    return "The person may sign in again.";
  };
  const exportAll = async () => {
    download(`user-${uid}.json`, await api.text(pathOf(["users", uid, "export"])));
    return "The export was downloaded.";
  };
  return (
    <div class="actions">
      <button onClick={() => ask(endAll)}>Sign out everywhere …</button>
      {blockedAt ? <Deed deed={unblock}>Unblock</Deed> : <button onClick={() => ask(block)}>Block …</button>}
      <Deed deed={exportAll} title="One JSON document of everything that is stored about this person. The audit notes it.">
        Export
      </Deed>
    </div>
  );
}

/** The browser and the system in a user agent, as far as they are known. The whole is in the title. */
function deviceOf(agent) {
  const name = /** @type {[string, RegExp][]} */ ([
    ["Pi Browser", /PiBrowser/i],
    ["Firefox", /Firefox|FxiOS/],
    ["Edge", /Edg/],
    ["Chrome", /Chrome|CriOS/],
    ["Safari", /Safari/],
  ]).find(([, pattern]) => pattern.test(agent))?.[0];
  const system = /** @type {[string, RegExp][]} */ ([
    ["Android", /Android/],
    ["iPhone", /iPhone/],
    ["iPad", /iPad/],
    ["Windows", /Windows/],
    ["macOS", /Mac OS/],
    ["Linux", /Linux/],
  ]).find(([, pattern]) => pattern.test(agent))?.[0];
  return name && system ? `${name}, ${system}` : agent;
}

function Sessions({ uid }) {
  const { api, isOwner } = useShared();
  const list = useList(pathOf(["users", uid, "sessions"]), "sessions");
  const end = (sid) => async () => {
    await api.act("DELETE", pathOf(["sessions", sid]));
    return "The session was revoked.";
  };
  return (
    <section aria-labelledby="sessions-of">
      <h3 id="sessions-of">Sessions</h3>
      <Items list={list} empty="No live session.">
        {({ sid, createdAt, lastSeenAt, expiresAt, userAgent, country }) => (
          <li key={sid} class="row with-button">
            <div>
              <span class="name" title={userAgent}>
                <Foreign>{userAgent ? deviceOf(userAgent) : "unknown device"}</Foreign>
                {country && <span class="faint"> {country}</span>}
              </span>
              <span class="row-more">
                <span>
                  seen <Time at={lastSeenAt} isSpan />, since <Time at={createdAt} />, ends <Time at={expiresAt} isSpan />
                </span>
              </span>
            </div>
            {isOwner && (
              <Deed kind="small" label="End this session" deed={end(sid)}>
                End
              </Deed>
            )}
          </li>
        )}
      </Items>
    </section>
  );
}

function PaymentsOf({ uid }) {
  const list = useList(pathOf(["users", uid, "payments"]), "payments");
  return (
    <section aria-labelledby="payments-of">
      <h3 id="payments-of">Payments</h3>
      <Items list={list} empty="No payments.">
        {(payment) => <PaymentRow key={payment.paymentId} payment={payment} isOfPerson />}
      </Items>
    </section>
  );
}

function Data({ uid, data }) {
  const { api, isOwner } = useShared();
  const [{ text, error, isBusy }, setState] = useState(/** @type {{ text?: string, error?: Error, isBusy?: boolean }} */ ({}));
  const show = async () => {
    setState({ isBusy: true });
    try {
      setState({ text: await api.text(pathOf(["users", uid, "data"])) });
    } catch (error) {
      setState({ error });
    }
  };
  return (
    <section aria-labelledby="data-of">
      <h3 id="data-of">Data of the app</h3>
      {!data && <p class="empty">The app has stored nothing for this person.</p>}
      {data && (
        <div class="with-button">
          <p>
            {size(data.bytes)}, version <code>{data.version}</code>
          </p>
          {isOwner && text === undefined && (
            <button class="small" disabled={isBusy} onClick={show} title="The audit notes that you have looked.">
              Show
            </button>
          )}
        </div>
      )}
      {error && <Problem error={error} />}
      {text !== undefined && (
        <pre tabIndex={0} aria-label="Data of the app">
          {text}
        </pre>
      )}
    </section>
  );
}

function AuditOf({ uid }) {
  const list = useList(pathOf(["audit"], { target: uid, limit: 10 }), "entries");
  return (
    <section aria-labelledby="audit-of">
      <h3 id="audit-of">What operators did</h3>
      <Items list={list} empty="No operator has acted on this person.">
        {(entry) => <AuditEntry key={entry.id} entry={entry} here={uid} />}
      </Items>
    </section>
  );
}

function Erase({ uid, close }) {
  const { api, ask } = useShared();
  const erase = {
    title: "Erase this person?",
    text: `The user, the data and the sessions are deleted for good. Payments stay without a name. Export first if somebody may ask for the data later. To go on, type the uid: ${uid}`,
    action: "Erase for good",
    isDangerous: true,
    field: { label: "The uid", expected: uid },
    act: async (confirm) => {
      await api.act("DELETE", pathOf(["users", uid], { confirm }));
      close();
      return "The person was erased.";
    },
  };
  return (
    <section class="last">
      <button class="danger-quiet" onClick={() => ask(erase)}>
        Erase this person …
      </button>
    </section>
  );
}
