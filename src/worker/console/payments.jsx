// The list of payments, and a payment as a row of any list.

import { pathOf } from "./api.js";
import { DEFINITIONS } from "./definitions.js";
import { Amount, Badge, Choice, Foreign, Id, Items, Panel, Time } from "./parts.jsx";
import { useList } from "./state.js";

const FILTERS = [
  ["all", "All"],
  ["stuck", "Stuck"],
  ["paid", "Paid"],
  ["cancelled", "Cancelled"],
];

const LIMIT = 10; // more would push the rest of the page out of reach on a phone

const queryOf = (filter) => ({ limit: LIMIT, ...(filter === "stuck" ? { stuck: "true" } : filter === "all" ? {} : { state: filter }) });

export const StateBadge = ({ payment: { state, isStuck } }) => (
  <>
    <Badge kind={state}>{state}</Badge>
    {isStuck && (
      <Badge kind="stuck" title={DEFINITIONS.stuck}>
        ⚠ stuck
      </Badge>
    )}
  </>
);

/** An unfinished payment has the time since it began; any other has the time of its end. */
const timeOf = ({ state, createdAt, updatedAt }) => (state === "paid" || state === "cancelled" ? (updatedAt ?? createdAt) : createdAt);

/** In the drawer of a person, the row begins with the product. */
export const PaymentRow = ({ payment, isOfPerson = false }) => {
  const { paymentId, productId, username, uid, amount, problem, state } = payment;
  return (
    <li class="row">
      <a href={`#payment/${encodeURIComponent(paymentId)}`}>
        <span class="row-main">
          <span class="name">{isOfPerson ? <Foreign>{productId ?? "unknown product"}</Foreign> : username ? <Foreign>{username}</Foreign> : uid ? <Id>{uid}</Id> : "erased user"}</span>
          <span class="row-side">
            {amount && <Amount>{amount}</Amount>}
          </span>
        </span>
        <span class="row-more">
          <span>
            <Time at={timeOf(payment)} />
            {productId && !isOfPerson && (
              <>
                {" · "}
                <Foreign>{productId}</Foreign>
              </>
            )}
            {problem && state !== "paid" && state !== "cancelled" && (
              <>
                {" · "}
                <code>{problem}</code>
              </>
            )}
          </span>
          <span class="row-side">
            <StateBadge payment={payment} />
          </span>
        </span>
      </a>
    </li>
  );
};

const EMPTY = {
  all: "No payments yet.",
  stuck: "No payment is stuck.",
  paid: "No payment has been paid yet.",
  cancelled: "No payment was cancelled.",
};

export function Payments({ filter, setFilter }) {
  const list = useList(pathOf(["payments"], queryOf(filter)), "payments");
  return (
    <Panel id="payments" title="Payments" control={<Choice label="Which payments" options={FILTERS} value={filter} onChoose={setFilter} />}>
      <Items list={list} empty={EMPTY[filter]}>
        {(payment) => <PaymentRow key={payment.paymentId} payment={payment} />}
      </Items>
    </Panel>
  );
}
