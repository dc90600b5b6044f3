//! `/products` and `/orders`: the products that are for sale, and the orders of a user. An order
//! fixes the price before anything is paid.

use std::rc::Rc;

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    answer::{self, Caching},
    app::{App, Entropy, Ports},
    attempts, body, credential,
    error::Error,
    fresh, idempotency,
    limit::Limit,
    memory::ProductList,
    store::{Draft, Placed, Store as _},
};
use crate::{
    identifier::Identifier,
    payment::{Ordered, Product, State, Store as _},
};

#[derive(Serialize)]
struct ProductListJson<'a> {
    products: Vec<ProductJson<'a>>,
}

#[derive(Serialize)]
struct ProductJson<'a> {
    id: &'a str,
    name: &'a str,
    amount: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderBody {
    product_id: String,
}

/// The order, with the members that the frontend passes to `Pi.createPayment`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderJson<'a> {
    order_id: &'a str,
    product_id: &'a str,
    amount: String,
    memo: &'a str,
    metadata: MetadataJson<'a>,
    /// `open` until there is a payment, then the payment's state.
    state: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetadataJson<'a> {
    order_id: &'a str,
}

/// `GET /products`: 200 with the products for sale, or 304 if the client has them; 429. The
/// database is asked if it was not asked in the last few seconds. A list without products is not
/// kept, so that the first product of a new shop is seen immediately.
pub(super) async fn products<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    attempts::by_address(app, Limit::Reads, request.headers()).await?;
    let now = app.now();
    let (list, max_age) = match app.memory.products(now) {
        Some(known) => known,
        None => {
            let products = app.store.products().await?;
            let list = Rc::new(product_list(&products));
            if products.is_empty() {
                (list, 0)
            } else {
                app.memory.keep_products(&list, now);
                (list, fresh::seconds_left(now, app.now()))
            }
        }
    };
    let ProductList { text, etag } = &*list;
    let caching = Caching { etag, max_age, media_type: "application/json" };
    let text = (!answer::is_known(request.headers(), etag)).then(|| text.clone().into_bytes());
    Ok(answer::cacheable(caching, text))
}

fn product_list(products: &[Product]) -> ProductList {
    let products = products.iter().map(|Product { id, name, amount }| ProductJson {
        id: id.as_str(),
        name,
        amount: amount.to_string(),
    });
    // Structs of strings always serialize.
    let list = ProductListJson { products: products.collect() };
    let text = serde_json::to_string(&list).unwrap_or_default();
    ProductList { etag: answer::etag(text.as_bytes()), text }
}

/// `POST /orders`: 201.
///
/// 1. Counts the orders of the token's session: 401, 429.
/// 2. Reads the product and the request's key: 400, 408, 413, 415.
/// 3. Stores the order at the current price: 401 if the session was revoked, 404
///    `product_not_found`. If the user has sent the key before, returns the order of that request
///    in its current state: 422 `idempotency_key_reused` if it is for another product, or if the
///    user was erased since.
pub(super) async fn create<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    // (1) Only the store knows whether the session is live, and it is asked once, for the order. So
    // the session is counted and not its user: a thief of a revoked token must not use up the limit
    // of the user's other sessions.
    let claims = credential::claims(app, request)?;
    attempts::by_owner(app, Limit::Orders, &claims.sid).await?;
    // (2)
    let wanted: OrderBody = body::json(request, body::MAX_BYTES)?;
    let key = idempotency::key(request.headers())?;
    let id =
        key.map_or(entropy.id(&claims.sub), |key| idempotency::id("order", &claims.sub, &key, ""));
    // (3)
    let draft = Draft { id: &id, product_id: &wanted.product_id };
    let placed = app.store.place_order(&claims.sid, &draft, app.now()).await?;
    match credential::live(app, &claims, placed)? {
        Placed::Done(ordered) => Ok(show_order(app, StatusCode::CREATED, &ordered)),
        Placed::NotSold => Err(Error::ProductNotFound),
        Placed::IdTaken => Err(Error::IdempotencyKeyReused),
    }
}

/// `GET /orders/{orderId}`: 200; 404 `order_not_found`, also for an order of another user.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = credential::claims(app, request)?;
    let id = Identifier::parse(id.to_owned());
    let found = app.store.user_and_order(&claims.sid, id.as_ref(), app.now()).await?;
    let (uid, found) = credential::live(app, &claims, found)?;
    let own = found.filter(|found| found.order.uid.as_ref() == Some(&uid));
    Ok(show_order(app, StatusCode::OK, &own.ok_or(Error::OrderNotFound)?))
}

/// An order in its current state. Its payment is shown once Pi has approved it.
fn show_order<P: Ports>(
    app: &App<'_, P>,
    status: StatusCode,
    Ordered { order, payment, .. }: &Ordered,
) -> Response<Vec<u8>> {
    app.note(|facts| facts.order_id = Some(order.id.clone()));
    let payment = payment.as_ref().filter(|payment| payment.state != State::Recorded);
    let order_id = order.id.as_str();
    let order = OrderJson {
        order_id,
        product_id: order.product_id.as_str(),
        amount: order.amount.to_string(),
        memo: &order.memo,
        metadata: MetadataJson { order_id },
        state: payment.map_or("open", |payment| payment.state.name()),
        created_at: order.created_at.to_rfc3339(),
        payment_id: payment.map(|payment| payment.id.as_str()),
    };
    answer::json(status, &order)
}
