//! The errors of requests to Pi. Three kinds must never be confused: Pi refused, Pi could not be
//! reached, and Pi sent an unexpected answer. No variant contains a body or a token.

use super::Refusal;

/// Why a request to Pi failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Pi refused: 401 or 403. The token is wrong, expired or revoked.
    #[error("Pi refused the access token")]
    Refused,
    /// Pi does not know this id, or it belongs to another app.
    #[error("Pi does not know this id")]
    NotFound,
    /// Pi does not accept the Server API Key: 401 or 403 without a code.
    #[error("Pi refused the Server API Key")]
    KeyRefused,
    /// Pi refused the request, with its own code if it sent one.
    #[error("Pi refused: {}", .0.as_ref().map_or("no code", Refusal::as_str))]
    Declined(Option<Refusal>),
    /// Pi answered, but the token's `valid_until` has passed.
    #[error("the access token's valid_until has passed")]
    Expired,
    /// Pi is not available: 429 or 5xx, with the seconds of `Retry-After` if Pi sent them.
    #[error("Pi is not available")]
    Unavailable {
        /// Seconds after which Pi accepts a new attempt.
        retry_after: Option<u32>,
    },
    /// Pi could not be reached: there was no whole answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Pi sent an unexpected answer. The text names the problem.
    #[error("Pi's answer cannot be used: {0}")]
    Unreadable(&'static str),
}

/// Why there was no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// There was no connection, or it broke.
    #[error("the connection to Pi failed")]
    Connection,
    /// There was no whole answer within the request's [`Deadline`](super::Deadline).
    #[error("Pi did not answer in time")]
    Deadline,
    /// The body was longer than [`MAX_BODY_BYTES`](super::MAX_BODY_BYTES).
    #[error("Pi's answer is too large")]
    TooLarge,
}
