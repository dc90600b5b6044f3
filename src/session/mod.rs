//! Sessions, and the stored data of their users. This module knows neither HTTP, nor tokens, nor
//! Pi; a [`Store`] decides where rows are stored.

mod data;
mod memory;
mod refresh;
mod store;

pub use data::{Data, Expected};
pub use memory::MemoryStore;
pub use refresh::{GRACE_SECONDS, RACE_SECONDS, RefreshKey, RefreshToken};
pub use store::{
    Ended, Erased, Error, Group, KEPT_SECONDS, MAX_PROOFS, NAMED_OF_USER, NUMBERS_PER_SECOND,
    Opened, PROOFS_SECONDS, Refreshed, Revoked, SIGN_INS_SECONDS, Store, TAIL_CHARACTERS, Use,
    Written,
};

use crate::{identifier::Identifier, time::UnixTime};

/// The time for which one user is signed in on one device: a row with the name `sid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session id, which is new at every sign-in.
    pub sid: Identifier,
    /// The user.
    pub uid: Identifier,
    /// When the user signed in.
    pub created_at: UnixTime,
    /// When the session last got a session token: at the sign-in, then at each refresh.
    pub last_seen_at: UnixTime,
    /// How often it was refreshed.
    pub refreshes: u32,
    /// When its newest session token expires, which is never after the end of the session.
    pub token_expires_at: UnixTime,
    /// When the last of its session tokens expires. An older token expires later than the newest if
    /// `SESSION_TTL` was lowered since.
    pub tokens_expire_at: UnixTime,
    /// When the session expires, unless it is refreshed before.
    pub expires_at: UnixTime,
    /// The app for which Pi says the access token was issued, if `PI_APP_ID` was set at the
    /// sign-in.
    pub app_id: Option<String>,
    /// The thumbprint of the key to which its refresh tokens are bound, if the client named one.
    pub thumbprint: Option<Identifier>,
    /// The device, so that the user can recognise the session.
    pub device: Device,
}

impl Session {
    /// A new session.
    #[must_use]
    pub fn begin(
        sid: Identifier,
        uid: Identifier,
        app_id: Option<String>,
        thumbprint: Option<Identifier>,
        device: Device,
        now: UnixTime,
        lifetimes: &Lifetimes,
    ) -> Self {
        let (token_expires_at, expires_at) = lifetimes.ends(now, now);
        let (created_at, last_seen_at, refreshes) = (now, now, 0);
        Self {
            tokens_expire_at: token_expires_at,
            sid,
            uid,
            created_at,
            last_seen_at,
            refreshes,
            token_expires_at,
            expires_at,
            app_id,
            thumbprint,
            device,
        }
    }
}

/// Lifetimes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A session token.
    pub token: u32,
    /// A session that is not refreshed.
    pub idle: u32,
    /// A session, regardless of refreshes.
    pub max: u32,
}

impl Lifetimes {
    /// When a session token that is issued now expires, and when its session does.
    #[must_use]
    pub fn ends(&self, created_at: UnixTime, now: UnixTime) -> (UnixTime, UnixTime) {
        let session = now.plus(self.idle).min(created_at.plus(self.max));
        (now.plus(self.token).min(session), session)
    }
}

/// The device as the sign-in described it. Nothing depends on it, because both members can be
/// forged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The browser's own name, cut to a length.
    pub user_agent: Option<String>,
    /// ISO 3166-1 alpha-2, from the network's edge.
    pub country: Option<String>,
}

/// A user, as known from signing in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The only key.
    pub uid: Identifier,
    /// As of the last sign-in. It is absent if the user no longer grants its scope.
    pub username: Option<String>,
    /// As of the last sign-in.
    pub scopes: Vec<String>,
    /// The first sign-in.
    pub first_seen_at: UnixTime,
    /// The last sign-in.
    pub last_seen_at: UnixTime,
}

/// The facts about a user from a sign-in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The user's id.
    pub uid: Identifier,
    /// The user's name, if granted.
    pub username: Option<String>,
    /// The scopes granted.
    pub scopes: Vec<String>,
}

/// A user after a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user's row.
    pub user: User,
    /// Whether there was no row before.
    pub is_new: bool,
}
