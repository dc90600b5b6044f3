//! `GET /admin/products`: all products, also those that are not for sale.

use http::Response;

use super::{
    object::{Array, Object},
    records::Records as _,
};
use crate::{
    payment::Product,
    service::{
        answer,
        app::{App, Ports},
        error::Error,
    },
};

/// 200 with the products, by id.
pub(in crate::service) async fn list<P: Ports>(
    app: &App<'_, P>,
) -> Result<Response<Vec<u8>>, Error> {
    let products = app.store.all_products().await?;
    let products = Array::of(&products, |(product, is_active)| json(product, *is_active));
    let answer = Object::new().raw("products", &products).end();
    Ok(answer::json_text(answer.into_bytes()))
}

/// A product as every route of operators shows it.
pub(in crate::service) fn json(product: &Product, is_active: bool) -> String {
    let mut object = Object::new();
    object
        .text("id", product.id.as_str())
        .text("name", &product.name)
        .amount("amount", product.amount)
        .flag("active", is_active)
        .end()
}
