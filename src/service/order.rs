//! `/products` and `/orders`: the products that are for sale, and the orders of a user. An order
//! fixes the price before anything is paid.

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    answer,
    app::{App, Entropy, Ports},
    attempts, body, credential,
    error::Error,
    idempotency,
    limit::Limit,
};
use crate::{
    identifier::Identifier,
    payment::{Order, Ordered, Product, State, Store as _},
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

/// `GET /products`: 200 with the products for sale, or 429.
pub(super) async fn products<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    attempts::by_address(app, Limit::Reads, request.headers()).await?;
    let products = app.store.products().await?;
    let products = products.iter().map(|Product { id, name, amount }| ProductJson {
        id: id.as_str(),
        name,
        amount: amount.to_string(),
    });
    Ok(answer::json(StatusCode::OK, &ProductListJson { products: products.collect() }))
}

/// `POST /orders`: 201.
///
/// 1. Finds the user of the live session, and counts their orders: 401, 429.
/// 2. Reads the product and the request's key: 400, 408, 413, 415, 404 `product_not_found`.
/// 3. Stores the order at the current price. If the user has sent the key before, returns the order
///    of that request in its current state: 422 `idempotency_key_reused` if it is for another
///    product, or if the user was erased since.
pub(super) async fn create<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let user = credential::limited_user(app, request, Limit::Orders).await?;
    // (2)
    let wanted: OrderBody = body::json(request, body::MAX_BYTES)?;
    let key = idempotency::key(request.headers())?;
    let id = key.map_or(entropy.id(), |key| idempotency::id("order", &user.uid, &key, ""));
    let products = app.store.products().await?;
    let product = products.into_iter().find(|product| product.id.as_str() == wanted.product_id);
    let Some(Product { id: product_id, name: memo, amount }) = product else {
        // The product may have been withdrawn since the order whose answer was lost.
        let found = app.store.order(&id).await?;
        let same = found.filter(|Ordered { order, .. }| {
            order.uid.as_ref() == Some(&user.uid) && order.product_id.as_str() == wanted.product_id
        });
        return Ok(current(StatusCode::CREATED, &same.ok_or(Error::ProductNotFound)?));
    };
    let uid = Some(user.uid);
    let order = Order { id, uid, product_id, amount, memo, created_at: app.now() };
    // (3)
    if app.store.keep_order(&order).await? {
        return Ok(show_order(StatusCode::CREATED, &order, None));
    }
    let found = app.store.order(&order.id).await?;
    let same = found.filter(|Ordered { order: kept, .. }| {
        (&kept.uid, &kept.product_id) == (&order.uid, &order.product_id)
    });
    Ok(current(StatusCode::CREATED, &same.ok_or(Error::IdempotencyKeyReused)?))
}

/// `GET /orders/{orderId}`: 200; 404 `order_not_found`, also for an order of another user.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let user = credential::user(app, request).await?;
    let id = Identifier::parse(id.to_owned()).ok_or(Error::OrderNotFound)?;
    let found = app.store.order(&id).await?;
    let own = found.filter(|found| found.order.uid.as_ref() == Some(&user.uid));
    Ok(current(StatusCode::OK, &own.ok_or(Error::OrderNotFound)?))
}

/// An order in its current state. Its payment is shown once Pi has approved it.
fn current(status: StatusCode, Ordered { order, payment, .. }: &Ordered) -> Response<Vec<u8>> {
    let payment = payment.as_ref().filter(|payment| payment.state != State::Recorded);
    show_order(status, order, payment.map(|payment| (payment.id.as_str(), payment.state.name())))
}

fn show_order(
    status: StatusCode,
    order: &Order,
    payment: Option<(&str, &'static str)>,
) -> Response<Vec<u8>> {
    let order_id = order.id.as_str();
    let order = OrderJson {
        order_id,
        product_id: order.product_id.as_str(),
        amount: order.amount.to_string(),
        memo: &order.memo,
        metadata: MetadataJson { order_id },
        state: payment.map_or("open", |(_, state)| state),
        created_at: order.created_at.to_rfc3339(),
        payment_id: payment.map(|(id, _)| id),
    };
    answer::json(status, &order)
}
