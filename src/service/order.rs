//! `/products` and `/orders`: what is sold, and a user's wish to buy it, made here before anything is paid.

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    App, Entropy, Error, Ports, body,
    credential::claims,
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

/// `POST /orders`: 201, at the price of now; 404 `product_not_found`.
pub(super) async fn create<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    let user = limited_user(app, request, Limit::Orders).await?;
    let wanted: OrderBody = body::read(request)?;
    let products = app.store.products().await?;
    let product = products.into_iter().find(|product| product.id.as_str() == wanted.product_id);
    let Product { id: product_id, name: memo, amount } = product.ok_or(Error::ProductNotFound)?;
    let uid = Some(user.uid);
    let order = Order { id: entropy.id(), uid, product_id, amount, memo, created_at: app.now() };
    app.store.keep_order(&order).await?;
    Ok(answer(StatusCode::CREATED, &order, None))
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
    let Ordered { order, payment, .. } = found.ok_or(Error::OrderNotFound)?;
    if order.uid.as_ref() != Some(&user.uid) {
        return Err(Error::OrderNotFound);
    }
    // Until Pi has approved it, a payment is nothing that the user would know of.
    let payment = payment.filter(|payment| payment.state != State::Recorded);
    let payment = payment.as_ref().map(|payment| (payment.id.as_str(), payment.state.name()));
    Ok(answer(StatusCode::OK, &order, payment))
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
