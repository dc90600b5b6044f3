//! Orders and payments: the products for sale, who ordered them, which of Pi's payments pays for an
//! order, and the state of that payment. This module knows neither HTTP nor sessions; a [`Store`]
//! decides where rows are stored.
//!
//! The server makes an order before anything is paid, so the browser never decides what is bought
//! and for how much. An order has at most one live payment, and is paid when that payment is: one
//! row, one state.

mod check;
mod memory;
mod store;

pub use check::{Mismatch, check, check_origin};
pub use memory::{Known, MemoryStore};
pub use store::{Claim, Due, Ordered, Paid, Store};

use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

const DAY: u32 = 24 * 3600;

/// One hour, in seconds. An older order is no longer approved: its price may have changed, and the
/// page that made it lets the user pay within minutes.
pub const ORDER_LIFETIME: u32 = 3600;

/// How many orders without any payment a user may have. A page makes one when the user presses
/// "buy", so a person with twenty has abandoned nineteen. A program would make thousands.
pub const MAX_OPEN_ORDERS: u32 = 20;

/// One day, in seconds. An order without any payment is deleted after it. It cannot be approved
/// after [`ORDER_LIFETIME`]; the rest of the day is for a person who asks about it.
pub const ORDER_KEPT: u32 = DAY;

/// Ninety days, in seconds. A cancelled payment without a transaction moved no money. It is kept
/// for as long as its user may still ask about it.
pub const CANCELLED_KEPT: u32 = 90 * DAY;

/// Two years, in seconds. Once the row of a claimed ad is deleted, anyone who knows the ad's id can
/// claim it again, if Pi still reports it as granted. Pi's documents do not say for how long it
/// does. Two years make such a claim worth little, and bound the table.
pub const AD_KEPT: u32 = 2 * 365 * DAY;

/// Seconds until the scheduled run reads a payment for the first time. Until then, the page that
/// took the last step is still at work.
pub const FIRST_LOOK: u32 = 120;

/// Five minutes, in seconds: the first pause between two reads of a payment. It is also the
/// distance between two runs, so a user who has just had a turn comes after every user who has
/// waited since.
pub const FIRST_PAUSE: u32 = 300;

/// One day, in seconds. Each pause is twice as long as the one before, up to this.
pub const LONGEST_PAUSE: u32 = DAY;

/// After so many reads, the scheduled run gives a payment up. Nine doubling pauses take 42 and a
/// half hours, and twenty pauses of a day follow, so the last read is more than three weeks after
/// the first.
pub const MAX_LOOKS: u32 = 30;

/// Seconds between a read of a payment and the next one. `looks` counts the earlier reads.
#[must_use]
pub fn pause_after(looks: u32) -> u32 {
    FIRST_PAUSE.checked_shl(looks.min(16)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

/// A product for sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The product's id, which the app chooses.
    pub id: Identifier,
    /// The text that the payer reads.
    pub name: String,
    /// The price.
    pub amount: Amount,
}

/// A product, for sale or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The product.
    pub product: Product,
    /// Whether it is for sale.
    pub is_active: bool,
}

/// An order of a user, at the price of that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The order's id.
    pub id: Identifier,
    /// The user; none once the user was erased.
    pub uid: Option<Identifier>,
    /// The product.
    pub product_id: Identifier,
    /// The exact price.
    pub amount: Amount,
    /// The text that the payer reads.
    pub memo: String,
    /// When the order was made.
    pub created_at: UnixTime,
}

/// The stored state of one of Pi's payments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Pi's id of the payment.
    pub id: Identifier,
    /// The order that it pays for; none if the payment was only cancelled here.
    pub order_id: Option<Identifier>,
    /// The payer; none once the user was erased.
    pub uid: Option<Identifier>,
    /// The amount.
    pub amount: Amount,
    /// The state.
    pub state: State,
    /// The transaction that paid it. In any other state than [`State::Paid`]: a transaction that Pi
    /// has verified although Pi reports the payment as cancelled, kept for a person.
    pub txid: Option<TxId>,
    /// When it was first stored.
    pub created_at: UnixTime,
    /// When its state last changed.
    pub updated_at: UnixTime,
}

/// The state of a payment. It only ever moves down this list, and the last two are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Stored, before Pi is asked to approve it.
    Recorded,
    /// Approved at Pi: the user may pay.
    Approved,
    /// Completed at Pi: paid.
    Paid,
    /// Cancelled.
    Cancelled,
}

impl State {
    /// The state's name, in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Approved => "approved",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Recorded, Self::Approved, Self::Paid, Self::Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether the state can no longer change.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Paid | Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_LOOK, LONGEST_PAUSE, MAX_LOOKS, pause_after};

    #[test]
    fn pauses_double_up_to_a_day_and_all_looks_take_three_weeks() {
        let pauses: Vec<u32> = (0..MAX_LOOKS).map(pause_after).collect();
        assert_eq!(pauses[..4], [300, 600, 1200, 2400]);
        assert_eq!(pauses[8..10], [76_800, LONGEST_PAUSE]);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
        let last: u32 = FIRST_LOOK + pauses[..pauses.len() - 1].iter().sum::<u32>();
        assert!((21 * 86_400..23 * 86_400).contains(&last), "{last}");
    }
}
