//! How asking Pi can end without an answer that counts. Three kinds, never to be confused: Pi said no ·
//! Pi could not be asked · Pi answered something else. No variant carries a body or a token.

use super::Refusal;

/// Why a question to Pi brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Pi said no: 401 or 403. The token is wrong, expired or revoked.
    #[error("Pi refused the access token")]
    Refused,
    /// Pi knows nothing of this id, or it is another app's.
    #[error("Pi does not know it")]
    NotFound,
    /// Pi does not take the Server API Key: 401 or 403 without a code.
    #[error("Pi refused the Server API Key")]
    KeyRefused,
    /// Pi said no to what was asked, with its own code if it gave one.
    #[error("Pi refused: {}", .0.as_ref().map_or("no code", Refusal::as_str))]
    Declined(Option<Refusal>),
    /// Pi answered, but the token's `valid_until` has passed.
    #[error("the access token's valid_until has passed")]
    Expired,
    /// Pi could not be asked: 429 or 5xx, with the seconds of `Retry-After` if Pi gave them.
    #[error("Pi is not available")]
    Unavailable {
        /// Seconds after which Pi asks to be tried again.
        retry_after: Option<u32>,
    },
    /// Pi could not be asked: no whole answer came.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Pi answered something else; the text says what was wrong with it.
    #[error("Pi's answer cannot be used: {0}")]
    Unreadable(&'static str),
}

/// Why no whole answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// No connection, or it broke.
    #[error("the connection to Pi failed")]
    Connection,
    /// Not done within the request's [`Deadline`](super::Deadline).
    #[error("Pi did not answer in time")]
    Deadline,
    /// The body went on past [`MAX_BODY_BYTES`](super::MAX_BODY_BYTES).
    #[error("Pi's answer is too large")]
    TooLarge,
}
