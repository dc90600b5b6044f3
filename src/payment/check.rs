//! What must be true of a payment before the app's key is used for it.

use super::Order;
use crate::pi::Payment;

/// In what a payment differs from its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is not to the app.
    Direction,
    /// It is on another network: testnet Pi buys nothing.
    Network,
    /// It names no order of this user.
    Order,
    /// It is not what the order costs.
    Amount,
}

/// Compares a payment, as Pi has it, with the order that it names. `order` must be the payer's own. What Pi does not
/// say, as in old payments, is not what it must be.
///
/// # Errors
/// The first [`Mismatch`], in the order of its variants.
pub fn check<'a>(
    payment: &Payment,
    order: Option<&'a Order>,
    network: &str,
) -> Result<&'a Order, Mismatch> {
    if payment.is_user_to_app != Some(true) {
        return Err(Mismatch::Direction);
    }
    if payment.network.as_deref() != Some(network) {
        return Err(Mismatch::Network);
    }
    let order = order
        .filter(|order| Some(&order.id) == payment.order_id.as_ref())
        .filter(|order| order.uid.as_ref() == Some(&payment.uid))
        .ok_or(Mismatch::Order)?;
    if payment.amount == order.amount { Ok(order) } else { Err(Mismatch::Amount) }
}
