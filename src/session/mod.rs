//! What a session is, and what is kept of its user. It knows neither HTTP, nor tokens, nor Pi; where
//! rows live is the business of a [`Store`].

mod data;
mod memory;
mod refresh;
mod store;

pub use data::{Data, Expected};
pub use memory::MemoryStore;
pub use refresh::{GRACE_SECONDS, RACE_SECONDS, RefreshKey, RefreshToken};
pub use store::{
    Ended, Erased, Error, KEPT_SECONDS, MAX_PROOFS, NAMED_OF_USER, Opened, PROOFS_SECONDS,
    Refreshed, Revoked, Store, Use, Written,
};

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
    /// When it last got a session token: at the sign-in, then at each refresh.
    pub last_seen_at: UnixTime,
    /// How often it was refreshed.
    pub refreshes: u32,
    /// When its newest session token expires, which is never after the session's own end.
    pub token_expires_at: UnixTime,
    /// When the last of its session tokens expires: an older one lives longer if `SESSION_TTL` was lowered since.
    pub tokens_expire_at: UnixTime,
    /// When it ends by itself, unless it is refreshed before.
    pub expires_at: UnixTime,
    /// The app that Pi said the access token was made for, if that was asked: `PI_APP_ID` at the sign-in.
    pub app_id: Option<String>,
    /// The thumbprint of the key that its refresh tokens are bound to, if its client named one.
    pub thumbprint: Option<Identifier>,
    /// Where it was begun, for its user to recognise.
    pub device: Device,
}

impl Session {
    /// A session that begins now.
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

/// How long things live, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A session token.
    pub token: u32,
    /// A session that is not refreshed.
    pub idle: u32,
    /// A session, however often it is refreshed.
    pub max: u32,
}

impl Lifetimes {
    /// When a session token that is issued now, and its session, expire.
    #[must_use]
    pub fn ends(&self, created_at: UnixTime, now: UnixTime) -> (UnixTime, UnixTime) {
        let session = now.plus(self.idle).min(created_at.plus(self.max));
        (now.plus(self.token).min(session), session)
    }
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
