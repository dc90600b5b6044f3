//! The routes with which an operator adds products, and changes their prices and whether they are
//! for sale. Orders that exist keep their price.

use http::{Request, Response, StatusCode};
use serde::Deserialize;

use super::{
    deeds::{Deed, Deeds as _},
    object::Object,
    operator::Admitted,
    products,
};
use crate::{
    audit::Action,
    identifier::Identifier,
    json,
    payment::{Offer, Product, Store as _},
    pi::Amount,
    service::{
        answer,
        app::{App, Entropy, Ports},
        body,
        error::Error,
    },
    session,
};

/// A line of Pi's payment dialog.
const MAX_NAME_CHARACTERS: usize = 100;

/// The digits of a stroop.
const MAX_DECIMALS: usize = 7;

/// How often a change is tried if others change the product at the same time.
const ATTEMPTS: u32 = 3;

const PRICE: Error = Error::InvalidRequest(
    "amount is not a price. Send a text with a number of Pi above 0, with at most 7 decimals, such as \"3.14\", and at most 900719925.4740991.",
);

#[derive(Deserialize)]
struct AddBody {
    id: Identifier,
    name: String,
    amount: String,
}

#[derive(Deserialize)]
struct ChangeBody {
    #[serde(default, deserialize_with = "json::present")]
    amount: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    active: Option<bool>,
}

/// `POST /admin/products`: 201 with the product, which is for sale.
///
/// 1. Reads the product: 400, 408, 413, 415.
/// 2. Adds it: 409 `product_exists`, 503.
pub(in crate::service) async fn add<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let AddBody { id, name, amount } = body::json(request, body::MAX_BYTES)?;
    if !body::is_line(&name, MAX_NAME_CHARACTERS) {
        return Err(Error::InvalidRequest(
            "name is not one line of 1 to 100 characters. The user reads it when paying.",
        ));
    }
    let amount = price(&amount).ok_or(PRICE)?;
    // (2)
    let product = Product { id, name, amount };
    let detail = Object::new().text("name", &product.name).amount("amount", amount).end();
    let entry = admitted
        .entry(Action::ProductAdded, Some(product.id.as_str()), entropy)
        .with_detail(detail);
    if !app.store.act(Deed::AddProduct(&product), &entry, app.now()).await? {
        return Err(Error::ProductExists);
    }
    Ok(shown(StatusCode::CREATED, &Offer { product, is_active: true }))
}

/// `PATCH /admin/products/{id}`: 200 with the product after the change.
///
/// 1. Checks the id: 404 `product_not_found`.
/// 2. Reads the new price, and whether the product is for sale from now on: 400, 408, 413, 415.
/// 3. Changes the product, if it is still as it was read, so that the audit has the price that was
///    replaced: 404 `product_not_found`, 503.
pub(in crate::service) async fn change<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    id: &str,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let id = Identifier::parse(id.to_owned()).ok_or(Error::ProductNotFound)?;
    // (2)
    let ChangeBody { amount, active } = body::json(request, body::MAX_BYTES)?;
    if amount.is_none() && active.is_none() {
        return Err(Error::InvalidRequest(
            "Nothing is to be changed. Send amount, active or both.",
        ));
    }
    let amount = amount.map(|text| price(&text).ok_or(PRICE)).transpose()?;
    // (3)
    for _ in 0..ATTEMPTS {
        let from = app.store.offer(&id).await?.ok_or(Error::ProductNotFound)?;
        let mut to = from.clone();
        to.product.amount = amount.unwrap_or(to.product.amount);
        to.is_active = active.unwrap_or(to.is_active);
        let detail = Object::new().raw("old", &terms(&from)).raw("new", &terms(&to)).end();
        let entry =
            admitted.entry(Action::ProductChanged, Some(id.as_str()), entropy).with_detail(detail);
        if app.store.act(Deed::ChangeOffer(&from, &to), &entry, app.now()).await? {
            return Ok(shown(StatusCode::OK, &to));
        }
    }
    let reason = "a product changes faster than it can be read".to_owned();
    Err(session::Error { reason }.into())
}

/// The price in a text of digits, as a person writes it.
fn price(text: &str) -> Option<Amount> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_number(whole) && is_number(decimals) && decimals.len() <= MAX_DECIMALS;
    Amount::parse(text).filter(|amount| is_plain && amount.stroops() > 0)
}

fn terms(Offer { product, is_active }: &Offer) -> String {
    Object::new().amount("amount", product.amount).flag("active", *is_active).end()
}

fn shown(status: StatusCode, Offer { product, is_active }: &Offer) -> Response<Vec<u8>> {
    let mut response = answer::json_text(products::json(product, *is_active).into_bytes());
    *response.status_mut() = status;
    response
}
