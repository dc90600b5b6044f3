//! The checks that a payment must pass before the app's key is used for it.

use super::Order;
use crate::pi::Payment;

/// The difference between a payment and its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is not a payment to the app.
    Direction,
    /// It is on another network: Pi of the testnet buys nothing.
    Network,
    /// It does not name an order of this user.
    Order,
    /// It is not the price of the order.
    Amount,
}

/// Checks what a payment, as Pi has it, must be for any order. A field that Pi omits (older
/// payments lack some) counts as a mismatch.
///
/// # Errors
/// [`Mismatch::Direction`], [`Mismatch::Network`].
pub fn check_origin(payment: &Payment, network: &str) -> Result<(), Mismatch> {
    if payment.is_user_to_app != Some(true) {
        return Err(Mismatch::Direction);
    }
    if payment.network.as_deref() != Some(network) {
        return Err(Mismatch::Network);
    }
    Ok(())
}

/// Compares a payment, as Pi has it, with the order that it names. `order` must belong to the
/// payer.
///
/// # Errors
/// The first [`Mismatch`], in the order of its variants.
pub fn check<'a>(
    payment: &Payment,
    order: Option<&'a Order>,
    network: &str,
) -> Result<&'a Order, Mismatch> {
    check_origin(payment, network)?;
    let order = order
        .filter(|order| Some(&order.id) == payment.order_id.as_ref())
        .filter(|order| order.uid.as_ref() == Some(&payment.uid))
        .ok_or(Mismatch::Order)?;
    if payment.amount == order.amount { Ok(order) } else { Err(Mismatch::Amount) }
}
