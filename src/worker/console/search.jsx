// Finds a person by uid or the beginning of the username, and a payment by its id, its order or its
// transaction. A request id is not in the database: the log has it.

import { useState } from "preact/hooks";
import { pathOf } from "./api.js";
import { Command, Items, Panel } from "./parts.jsx";
import { PaymentRow } from "./payments.jsx";
import { PersonRow } from "./people.jsx";
import { useList } from "./state.js";

const REQUEST_ID = /^[A-Za-z0-9_-]{16}$/;

/** An empty field closes the results: browsers have a button or a key for that. */
export function Search() {
  const [wanted, setWanted] = useState("");
  const submit = (event) => {
    event.preventDefault();
    setWanted(/** @type {string} */ (new FormData(event.currentTarget).get("q")).trim());
  };
  return (
    <search>
      <form class="search" onSubmit={submit} onInput={({ target }) => /** @type {HTMLInputElement} */ (target).value === "" && setWanted("")}>
        <label class="unseen" for="q">
          Search for a person, a payment or a request
        </label>
        <input id="q" name="q" type="search" placeholder="Username or any id" maxLength={128} autocomplete="off" autocapitalize="none" spellcheck={false} />
        <button class="primary">Search</button>
      </form>
      {wanted !== "" && <Found key={wanted} wanted={wanted} />}
    </search>
  );
}

function Found({ wanted }) {
  const people = useList(pathOf(["users"], { q: wanted }), "users");
  const payments = useList(pathOf(["payments"], { q: wanted }), "payments");
  return (
    <Panel
      id="found"
      title={
        <>
          Results for “<bdi>{wanted}</bdi>”
        </>
      }
    >
      <h3>People</h3>
      <Items list={people} empty="Nobody has this uid, or a username that begins so.">
        {(user) => <PersonRow key={user.uid} user={user} />}
      </Items>
      <h3>Payments</h3>
      <Items list={payments} empty="No payment, order or transaction has this id.">
        {(payment) => <PaymentRow key={payment.paymentId ?? payment.orderId} payment={payment} />}
      </Items>
      {REQUEST_ID.test(wanted) && (
        <>
          <h3>Request</h3>
          <p>If it is the id of a request, paste this query into Workers Logs, in Cloudflare's dashboard.</p>
          <Command text={`requestId = "${wanted}"`} />
        </>
      )}
    </Panel>
  );
}
