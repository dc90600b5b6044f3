//! What a session is, and what is kept of its user. It knows neither HTTP, nor tokens, nor Pi; where
//! rows live is the business of a [`Store`].

mod data;
mod store;

pub use data::{Data, Expected};
pub use store::{Ended, Error, MemoryStore, Store, Written};

use crate::{identifier::Identifier, time::UnixTime};

/// A signed-in span of one user on one device: a row, named by `sid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Session id, new at every sign-in.
    pub sid: Identifier,
    /// Whose it is.
    pub uid: Identifier,
    /// When the user signed in.
    pub created_at: UnixTime,
    /// When it ends by itself.
    pub expires_at: UnixTime,
    /// Where it was begun, for its user to recognise.
    pub device: Device,
}

/// What the request that began a session said of itself. Nothing is decided by it: both can be lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The browser, in its own words, cut to a length.
    pub user_agent: Option<String>,
    /// ISO 3166-1 alpha-2, as the network's edge saw it.
    pub country: Option<String>,
}

/// What is known of a user from signing in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The only key.
    pub uid: Identifier,
    /// As of the last sign-in; gone when its scope is no longer granted.
    pub username: Option<String>,
    /// As of the last sign-in.
    pub scopes: Vec<String>,
    /// The first sign-in.
    pub first_seen_at: UnixTime,
    /// The last sign-in.
    pub last_seen_at: UnixTime,
}

/// What a sign-in learned of a user.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The user's id.
    pub uid: Identifier,
    /// The user's name, when granted.
    pub username: Option<String>,
    /// The scopes granted.
    pub scopes: Vec<String>,
}

/// A user as a sign-in leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user's row.
    pub user: User,
    /// Whether there was no row before.
    pub is_new: bool,
}
