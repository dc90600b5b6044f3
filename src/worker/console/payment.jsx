// The drawer of one payment: its steps, its last problem, and the two acts that there are.

import { pathOf } from "./api.js";
import { DEFINITIONS } from "./definitions.js";
import { Drawer } from "./dialogs.jsx";
import { pi } from "./format.js";
import { Copy, Deed, Facts, Foreign, Loaded, Status, Time } from "./parts.jsx";
import { StateBadge } from "./payments.jsx";
import { useLoad, useShared } from "./state.js";

const STEPS = {
  ordered: "The user ordered the product.",
  recorded: "The Worker noted the payment.",
  approved: "Pi approved it.",
  paid: "Pi completed it. The order is paid.",
  cancelled: "It was cancelled.",
  checked: "The Worker asked Pi about it.",
};

export function PaymentDrawer({ id, close, said }) {
  const loaded = useLoad(pathOf(["payments", id]));
  const payment = loaded.data?.payment;
  return (
    <Drawer kind="Payment" title={payment?.amount ? pi(payment.amount) : "Payment"} close={close}>
      <Status text={said} />
      <Loaded from={loaded}>{(data) => <Payment {...data} />}</Loaded>
    </Drawer>
  );
}

const WithCopy = ({ text, what }) => (
  <span class="with-copy">
    <code>{text}</code>
    <Copy text={text} what={what} />
  </span>
);

function Payment({ payment, order, timeline }) {
  const { isOwner } = useShared();
  const { paymentId, uid, username, productId, memo, txid, checks, nextCheckAt, problem, state } = payment;
  const isFinished = state === "paid" || state === "cancelled";
  return (
    <>
      <p class="badges">
        <StateBadge payment={payment} />
      </p>
      {problem && !isFinished && (
        <p class="notice">
          The last attempt failed: <code>{problem}</code>
        </p>
      )}
      {isOwner && !isFinished && <Acts payment={payment} />}
      <ol class="timeline">
        {timeline.map(({ at, event }, index) => (
          <li key={`${event} ${at} ${index}`} class={event}>
            <Time at={at} />
            <span>{STEPS[event] ?? event}</span>
          </li>
        ))}
        {!isFinished && nextCheckAt && (
          <li class="planned">
            <Time at={nextCheckAt} />
            <span>The Worker asks Pi again.</span>
          </li>
        )}
      </ol>
      <Facts
        rows={[
          ["User", uid ? <a href={`#user/${encodeURIComponent(uid)}`}>{username ? <Foreign>{username}</Foreign> : uid}</a> : "erased"],
          ["Product", productId ?? order?.productId],
          ["Memo", (memo ?? order?.memo) && <Foreign>{memo ?? order.memo}</Foreign>],
          ["Payment", <WithCopy text={paymentId} what="the payment's id" />],
          ["Order", order?.orderId && <WithCopy text={order.orderId} what="the order's id" />],
          ["Transaction", txid && <WithCopy text={txid} what="the transaction's id" />],
          ["Checks", checks, DEFINITIONS.checks],
        ]}
      />
      <p class="faint">Pi has no refunds, so there is no button for one. To return an amount, send it to the user from your app's wallet.</p>
    </>
  );
}

const RESULTS = {
  paid: "Pi has completed the payment. The order is paid.",
  cancelled: "The payment is cancelled.",
  approved: "The payment is still not paid.",
  recorded: "The payment is still not approved.",
};

const resultOf = (answer) => RESULTS[answer?.state] ?? "Done.";

function Acts({ payment: { paymentId, txid, amount } }) {
  const { api, ask } = useShared();
  const settle = async () => resultOf(await api.act("POST", pathOf(["payments", paymentId, "settle"])));
  const cancel = {
    title: "Cancel this payment?",
    text: `The user has not paid the ${amount ? pi(amount) : "amount"} yet, and will not be able to pay this order afterwards.`,
    action: "Cancel payment",
    isDangerous: true,
    act: async () => resultOf(await api.act("POST", pathOf(["payments", paymentId, "cancel"]))),
  };
  return (
    <div class="actions">
      <Deed kind="primary" title="Asks Pi about this payment and finishes it: with a transaction it is completed, without one it is cancelled or waits." deed={settle}>
        Look again now
      </Deed>
      {!txid && (
        <button class="danger-quiet" onClick={() => ask(cancel)}>
          Cancel …
        </button>
      )}
    </div>
  );
}
