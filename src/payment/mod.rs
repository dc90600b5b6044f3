//! Orders and payments: what is sold, who ordered it, which payment of Pi's pays for it, and in which state that is.
//! It knows neither HTTP nor sessions; where rows live is the business of a [`Store`].
//!
//! An order is made by the server before anything is paid, so what is bought and for how much is never the browser's
//! word. One live payment belongs to one order, and the order is paid when its payment is: one row, one state.

mod check;
mod memory;
mod store;

pub use check::{Mismatch, check};
pub use memory::MemoryStore;
pub use store::{Due, Ordered, Paid, Recorded, Store};

use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

const DAY: u32 = 24 * 3600;

/// One hour, in seconds. An older order is not approved any more: its price is of another time, and the page that made
/// it has the user pay within minutes.
pub const ORDER_LIFETIME: u32 = 3600;

/// How many orders without any payment a user can have. A page makes one when the user presses "buy", so a person with
/// twenty has left nineteen behind; a program would make thousands.
pub const MAX_OPEN_ORDERS: u32 = 20;

/// One day, in seconds. An order without any payment is deleted then: it cannot be approved after [`ORDER_LIFETIME`], and
/// the rest is for a person who asks what became of it.
pub const ORDER_KEPT: u32 = DAY;

/// Ninety days, in seconds. A cancelled payment without a transaction moved no money. It is kept for as long as its user
/// may still ask about it.
pub const CANCELLED_KEPT: u32 = 90 * DAY;

/// Two years, in seconds. A claimed ad whose row is gone can be claimed again by anyone who knows its id, if Pi still says
/// that it was granted; Pi's documents do not say for how long it does. Two years make such a claim worth little, and
/// bound the table.
pub const AD_KEPT: u32 = 2 * 365 * DAY;

/// Seconds until the scheduled run looks at a payment for the first time. Until then, the page that moved it is still at
/// work.
pub const FIRST_LOOK: u32 = 120;

/// Five minutes, in seconds: how long the scheduled run waits after its first look at a payment. It is also the distance
/// between two runs, so a user whose turn has passed comes after every user who has waited since then.
pub const FIRST_PAUSE: u32 = 300;

/// One day, in seconds. Each pause is twice as long as the one before, up to this.
pub const LONGEST_PAUSE: u32 = DAY;

/// After so many looks, the scheduled run gives a payment up. Nine doubling pauses take 42 and a half hours, and twenty
/// pauses of a day follow, so the last look is more than three weeks after the first.
pub const MAX_LOOKS: u32 = 30;

/// Seconds from a look at a payment to the next one. `looks` counts those before.
#[must_use]
pub fn pause_after(looks: u32) -> u32 {
    FIRST_PAUSE.checked_shl(looks.min(16)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

/// Something that can be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its id, chosen by the app.
    pub id: Identifier,
    /// What the payer reads.
    pub name: String,
    /// What it costs.
    pub amount: Amount,
}

/// A user's wish to buy a product, at the price of that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id, new for each.
    pub id: Identifier,
    /// Whose it is; nobody's once the user was erased.
    pub uid: Option<Identifier>,
    /// What is bought.
    pub product_id: Identifier,
    /// What must be paid, exactly.
    pub amount: Amount,
    /// What the payer reads.
    pub memo: String,
    /// When it was made.
    pub created_at: UnixTime,
}

/// What is known here of one of Pi's payments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Pi's id of the payment.
    pub id: Identifier,
    /// What it pays for; nothing that is known, when it was only called off.
    pub order_id: Option<Identifier>,
    /// Who pays; nobody once the user was erased.
    pub uid: Option<Identifier>,
    /// How much.
    pub amount: Amount,
    /// How far it has come.
    pub state: State,
    /// The transaction that paid it. In any other state than [`State::Paid`]: one that Pi has verified although it says
    /// that the payment is cancelled, kept for a person.
    pub txid: Option<TxId>,
    /// When it was first written down.
    pub created_at: UnixTime,
    /// When it last moved.
    pub updated_at: UnixTime,
}

/// How far a payment has come. It only ever moves down this list, and neither of the last two moves at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Written down, before Pi is asked to approve it.
    Recorded,
    /// Approved at Pi: the user may pay.
    Approved,
    /// Completed at Pi: paid.
    Paid,
    /// Called off.
    Cancelled,
}

impl State {
    /// Its name, in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Approved => "approved",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Recorded, Self::Approved, Self::Paid, Self::Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether it will not move any more.
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
