// The products: their prices, and whether they are sold. The Worker checks every value again.

import { pathOf } from "./api.js";
import { pi } from "./format.js";
import { Amount, Badge, Deed, Foreign, Items, Panel, Problem } from "./parts.jsx";
import { useList, useShared } from "./state.js";
import { useState } from "preact/hooks";

export function Products() {
  const { isOwner } = useShared();
  const list = useList("products", "products");
  return (
    <Panel id="products" title="Products">
      <Items list={list} empty="No products yet.">
        {(product) => <Product key={product.id} product={product} />}
      </Items>
      {isOwner && <Add />}
    </Panel>
  );
}

function Product({ product: { id, name, amount, active } }) {
  const { api, ask, isOwner } = useShared();
  const change = (changes) => api.act("PATCH", pathOf(["products", id]), changes);
  const price = {
    title: `New price of ${name}`,
    text: `It costs ${pi(amount)} now. Orders that are already open keep their price.`,
    action: "Change price",
    field: { label: "Price in Pi", initial: amount, inputMode: "decimal", preview: (value) => `${pi(amount)} → ${pi(value)}` },
    act: async (value) => {
      await change({ amount: value });
      return `The price was changed from ${pi(amount)} to ${pi(value)}.`;
    },
  };
  const toggle = async () => {
    await change({ active: !active });
    return active ? "The product is no longer sold." : "The product is sold again.";
  };
  return (
    <li class="row with-button">
      <div>
        <span class="name">
          <Foreign>{name}</Foreign>
        </span>
        <span class="row-more">
          <span>
            <code>{id}</code> · <Amount>{amount}</Amount> {!active && <Badge kind="cancelled">not sold</Badge>}
          </span>
        </span>
      </div>
      {isOwner && (
        <div class="buttons">
          <button class="small" aria-label={`Change the price of ${name}`} onClick={() => ask(price)}>
            Price
          </button>
          <Deed kind="small" label={`${active ? "Stop" : "Start"} selling ${name}`} deed={toggle}>
            {active ? "Stop" : "Start"}
          </Deed>
        </div>
      )}
    </li>
  );
}

const FIELDS = [
  { name: "id", label: "Id, which your app orders by" },
  { name: "name", label: "Name, which the user reads", maxLength: 100 },
  { name: "amount", label: "Price in Pi", inputMode: "decimal" },
];

function Add() {
  const { api, act } = useShared();
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined));
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const product = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, /** @type {string} */ (value).trim()]));
    try {
      await act(async () => {
        await api.act("POST", "products", product);
        return "The product was added.";
      });
      setError(undefined);
      form.reset();
    } catch (error) {
      setError(error);
    }
  };
  return (
    <details class="add">
      <summary>Add a product</summary>
      <form onSubmit={submit}>
        {FIELDS.map(({ name, label, ...more }) => (
          <label key={name}>
            <span>{label}</span>
            <input name={name} required autocomplete="off" autocapitalize="none" {...more} />
          </label>
        ))}
        {error && <Problem error={error} />}
        <button class="primary">Add</button>
      </form>
    </details>
  );
}
