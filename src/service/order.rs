//! `/products` and `/orders`: what is sold, and a user's wish to buy it, made here before anything is paid.

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    App, Entropy, Error, Ports, body,
    credential::claims,
    idempotency,
    limit::{self, Limit},
};
use crate::{
    identifier::Identifier,
    payment::{Order, Ordered, Product, State, Store as _},
    session::{Store as _, User},
};

#[derive(Serialize)]
struct ProductsJson<'a> {
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

/// What the frontend hands to `Pi.createPayment`, and how far the order has come.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderJson<'a> {
    order_id: &'a str,
    product_id: &'a str,
    amount: String,
    memo: &'a str,
    metadata: Metadata<'a>,
    /// `open` until a payment lives, then that payment's.
    state: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    order_id: &'a str,
}

/// `GET /products`: 200, or 429 for a client that asks too often.
pub(super) async fn products<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    limit::by_address(app, Limit::Reads, request.headers()).await?;
    let products = app.store.products().await?;
    let products = products.iter().map(|Product { id, name, amount }| ProductJson {
        id: id.as_str(),
        name,
        amount: amount.to_string(),
    });
    Ok(body::json(StatusCode::OK, &ProductsJson { products: products.collect() }))
}

/// `POST /orders`: 201.
///
/// 1. Knows the user of the live session, and counts their orders: 401, 429.
/// 2. Reads the product and the request's key: 400, 413, 415, 404 `product_not_found`.
/// 3. Keeps the order, at the price of now. With a key that the user has sent before, answers with the order that it made,
///    as it now stands: 422 `idempotency_key_reused` if that is for another product, or of the user before an erasure.
pub(super) async fn create<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let user = limited_user(app, request, Limit::Orders).await?;
    // (2)
    let wanted: OrderBody = body::read(request)?;
    let key = idempotency::key(request.headers())?;
    let id = key.map_or(entropy.id(), |key| idempotency::id("order", &user.uid, &key, ""));
    let products = app.store.products().await?;
    let product = products.into_iter().find(|product| product.id.as_str() == wanted.product_id);
    let Some(Product { id: product_id, name: memo, amount }) = product else {
        // The product may have been stopped since the order whose answer was lost.
        let found = app.store.order(&id).await?;
        let same = found.filter(|Ordered { order, .. }| {
            order.uid.as_ref() == Some(&user.uid) && order.product_id.as_str() == wanted.product_id
        });
        return Ok(standing(StatusCode::CREATED, &same.ok_or(Error::ProductNotFound)?));
    };
    let uid = Some(user.uid);
    let order = Order { id, uid, product_id, amount, memo, created_at: app.now() };
    // (3)
    if app.store.keep_order(&order).await? {
        return Ok(answer(StatusCode::CREATED, &order, None));
    }
    let found = app.store.order(&order.id).await?;
    let same = found.filter(|Ordered { order: kept, .. }| {
        (&kept.uid, &kept.product_id) == (&order.uid, &order.product_id)
    });
    Ok(standing(StatusCode::CREATED, &same.ok_or(Error::IdempotencyKeyReused)?))
}

/// `GET /orders/{orderId}`: 200; 404 `order_not_found`, also for another user's.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let user = user(app, request).await?;
    let id = Identifier::parse(id.to_owned()).ok_or(Error::OrderNotFound)?;
    let found = app.store.order(&id).await?;
    let own = found.filter(|found| found.order.uid.as_ref() == Some(&user.uid));
    Ok(standing(StatusCode::OK, &own.ok_or(Error::OrderNotFound)?))
}

/// An order as it stands. Until Pi has approved it, a payment is nothing that the user would know of.
fn standing(status: StatusCode, Ordered { order, payment, .. }: &Ordered) -> Response<Vec<u8>> {
    let payment = payment.as_ref().filter(|payment| payment.state != State::Recorded);
    answer(status, order, payment.map(|payment| (payment.id.as_str(), payment.state.name())))
}

fn answer(
    status: StatusCode,
    order: &Order,
    payment: Option<(&str, &'static str)>,
) -> Response<Vec<u8>> {
    let order_id = order.id.as_str();
    let answer = OrderJson {
        order_id,
        product_id: order.product_id.as_str(),
        amount: order.amount.to_string(),
        memo: &order.memo,
        metadata: Metadata { order_id },
        state: payment.map_or("open", |(_, state)| state),
        created_at: order.created_at.to_rfc3339(),
        payment_id: payment.map(|(id, _)| id),
    };
    body::json(status, &answer)
}

/// The user of the request's live session.
pub(super) async fn user<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<User, Error> {
    let sid = claims(app, request)?.sid;
    app.store.user(&sid, app.now()).await?.ok_or(Error::SessionRevoked)
}

/// As [`user`], of a request that counts against this limit of the user's: 429. The token of a session that has ended does
/// not count: whoever has it must not spend its owner's limit.
pub(super) async fn limited_user<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    limit: Limit,
) -> Result<User, Error> {
    let user = user(app, request).await?;
    limit::by_owner(app, limit, &user.uid).await?;
    Ok(user)
}
