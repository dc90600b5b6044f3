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
pub use store::{Paid, Recorded, Store};

use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

/// Seconds. Who has not paid within it will hardly do so in the next five minutes.
pub const HOUR: u32 = 3600;

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
    /// The transaction that paid it.
    pub txid: Option<TxId>,
    /// When it was first written down.
    pub created_at: UnixTime,
    /// When it last moved, or was last looked after.
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
