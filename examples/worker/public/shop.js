// The shop: lists the products of the Worker, sells them, and lists the user's purchases.

const $ = (id) => document.getElementById(id);

const PAYING = {
  ordered: "Waiting for the approval of the payment …",
  approved: "Approved. Pay in the wallet.",
  completing: "Paid. Waiting for the confirmation …",
  delayed: "Not confirmed yet. Trying again in a few seconds …",
};

/** Asks the Worker, as the user. */
async function get(session, path) {
  const response = await session.fetch(path);
  if (!response.ok) throw new Error("The service does not work at the moment. Try again later.");
  return response.json();
}

export async function showShop({ session, sdk, run, say }) {
  const { products } = await get(session, "/products");
  const buy = async ({ id, name }) => {
    const { amount } = await session.pay(await sdk, id, { onState: (state) => say(PAYING[state] ?? "") });
    await showPurchases(session, products);
    say(`You have bought ${name} for ${amount} π.`);
  };
  $("products").replaceChildren(...products.map((product) => {
    const button = document.createElement("button");
    button.textContent = `Buy ${product.name} for ${product.amount} π`;
    button.addEventListener("click", () => run(() => buy(product)));
    return item(button);
  }));
  if (products.length === 0) $("products").replaceChildren(item("There is nothing to buy yet."));
  await showPurchases(session, products);
}

async function showPurchases(session, products) {
  const { purchases } = await get(session, "/me");
  const nameOf = (productId) => products.find(({ id }) => id === productId)?.name ?? productId;
  $("purchases").replaceChildren(...purchases.map(({ productId, amount, paidAt }) => item(`${nameOf(productId)}, ${amount} π, ${new Date(paidAt).toLocaleString()}`)));
  if (purchases.length === 0) $("purchases").replaceChildren(item("You have not bought anything yet."));
}

function item(content) {
  const element = document.createElement("li");
  element.append(content);
  return element;
}
