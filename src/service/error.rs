//! The reasons for which a request fails, and the reason that each error of another module becomes.
//! Here is no status and no text for clients: [`super::problem`] decides those.

use super::settings::Misconfigured;
use crate::{identifier::Identifier, jwt, payment, pi, session};

/// Why a request failed.
#[derive(Clone, Debug)]
pub enum Error {
    /// The request is not one that the route accepts. The text says why.
    InvalidRequest(&'static str),
    /// The request has more than one credential.
    AmbiguousCredentials,
    /// Pi rejected the access token, or the token has expired.
    AccessTokenRejected(pi::Error),
    /// The request has no session token.
    SessionMissing,
    /// The session token is not valid.
    SessionInvalid(jwt::Error),
    /// The session token has expired.
    SessionExpired,
    /// The session token is valid, but its session was revoked.
    SessionRevoked,
    /// The refresh token is not from this Worker, or its session was revoked or has expired.
    RefreshRejected,
    /// The refresh token was used before. Its session was revoked.
    RefreshReused,
    /// The proof of the client's key is not valid.
    InvalidDpopProof,
    /// The refresh token is the right one of its session, but it came with another key or without
    /// one.
    RefreshOtherKey,
    /// The proof was not made just now. A proof with this nonce will be accepted.
    UseDpopNonce(String),
    /// A request to a backend route has no known credential.
    BackendRejected,
    /// A request to an operators' route has no credential of an operator and no valid token.
    OperatorRejected,
    /// The operator's role does not permit the request.
    OperatorForbidden,
    /// The deed cannot be undone, and the request does not confirm it.
    ConfirmationRequired,
    /// An operator has blocked the user.
    UserBlocked,
    /// There were more requests than the limit.
    RateLimited,
    /// The payment belongs to another user.
    PaymentNotYours,
    /// The path does not contain the id of a payment.
    PaymentNotFound,
    /// Pi does not know the payment. The number counts the payments in a row that Pi did not know.
    PaymentUnknown(u32),
    /// The user has no order with this id.
    OrderNotFound,
    /// No product with this id is for sale.
    ProductNotFound,
    /// There is a product with this id already.
    ProductExists,
    /// The order is paid, or its payment is.
    OrderAlreadyPaid,
    /// The order is older than [`payment::ORDER_LIFETIME`], or its product is no longer for sale.
    OrderExpired,
    /// The payment was cancelled.
    PaymentCancelled,
    /// The payment has a transaction on the chain. It cannot be cancelled, and it does not count as
    /// cancelled even if Pi reports that it is.
    PaymentHasTransaction,
    /// Pi reports that this payment is cancelled, and that it has a verified transaction. A person
    /// must settle it.
    CancelledWithTransaction(Identifier),
    /// Another user claimed the ad.
    AdAlreadyClaimed,
    /// Pi does not confirm that the ad was granted.
    AdNotGranted,
    /// The payment differs from its order.
    PaymentMismatch(payment::Mismatch),
    /// The transaction is not the one of this payment, or it paid for something else.
    TxidMismatch,
    /// Pi refused the request, with its own code if it sent one.
    PiRefused(Option<pi::Refusal>),
    /// The access token was issued for another app, or Pi does not say for which app.
    WrongApp,
    /// The request comes from a page of another origin, here as printable text; or it has cookies
    /// but names no origin.
    OriginNotAllowed(Option<String>),
    /// The request to an operators' route comes from a page of this origin, which may call others.
    OriginNotIssuer(String),
    /// There is no such route or resource.
    NotFound,
    /// The route has other methods: these.
    MethodNotAllowed(&'static str),
    /// The `Idempotency-Key` was used for another request.
    IdempotencyKeyReused,
    /// The stored value is not the one that the request expects.
    PreconditionFailed,
    /// The request does not say which stored value it expects.
    PreconditionRequired,
    /// The body is longer than the route accepts.
    BodyTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body has another type than the route accepts.
    UnsupportedMediaType,
    /// A setting is missing or malformed.
    Misconfigured(Misconfigured),
    /// The service is in a state that should not exist. The text names it.
    Internal(&'static str),
    /// Pi's answer cannot be used.
    UpstreamInvalid(pi::Error),
    /// Pi could not be reached.
    UpstreamUnavailable(pi::Error),
    /// Pi did not answer in time.
    UpstreamTimeout,
    /// The storage failed.
    StorageUnavailable(session::Error),
}

impl From<pi::Error> for Error {
    fn from(error: pi::Error) -> Self {
        use pi::{Error as Pi, Unreachable};
        match error {
            Pi::Refused | Pi::Expired => Self::AccessTokenRejected(error),
            Pi::NotFound => Self::PaymentUnknown(1),
            Pi::KeyRefused => Self::Misconfigured(Misconfigured::refused_by_pi()),
            Pi::Declined(code) => match code.as_ref().map(pi::Refusal::as_str) {
                Some("cancelled_payment") => Self::PaymentCancelled,
                Some("payment_tx_present") => Self::PaymentHasTransaction,
                Some("txid_mismatch") => Self::TxidMismatch,
                _ => Self::PiRefused(code),
            },
            Pi::Unavailable { .. } | Pi::Unreachable(Unreachable::Connection) => {
                Self::UpstreamUnavailable(error)
            }
            Pi::Unreachable(Unreachable::Deadline) => Self::UpstreamTimeout,
            Pi::Unreachable(Unreachable::TooLarge) | Pi::Unreadable(_) => {
                Self::UpstreamInvalid(error)
            }
        }
    }
}

impl From<jwt::Error> for Error {
    fn from(error: jwt::Error) -> Self {
        match error {
            jwt::Error::Expired => Self::SessionExpired,
            jwt::Error::Revoked => Self::SessionRevoked,
            other => Self::SessionInvalid(other),
        }
    }
}

impl From<session::Error> for Error {
    fn from(error: session::Error) -> Self {
        Self::StorageUnavailable(error)
    }
}

impl From<Misconfigured> for Error {
    fn from(setting: Misconfigured) -> Self {
        Self::Misconfigured(setting)
    }
}

impl Error {
    /// The exact reason where the code does not tell it. It goes to the log only.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::AccessTokenRejected(error)
            | Self::UpstreamInvalid(error)
            | Self::UpstreamUnavailable(error) => Some(error.to_string()),
            Self::SessionInvalid(error) => Some(error.to_string()),
            Self::StorageUnavailable(error) => Some(error.to_string()),
            Self::Misconfigured(setting) => Some(setting.to_string()),
            Self::RefreshReused => Some(
                "suspected theft: a spent refresh token was used again, so its session was revoked"
                    .to_owned(),
            ),
            Self::RefreshOtherKey => Some(
                "suspected theft: a refresh token came with another key or without one; its session stays open"
                    .to_owned(),
            ),
            Self::CancelledWithTransaction(id) => Some(format!(
                "Pi cancelled payment {id}, which has a verified transaction: a person must settle it"
            )),
            Self::OriginNotAllowed(Some(origin)) => {
                Some(format!("the origin {origin} is not in ALLOWED_ORIGINS"))
            }
            Self::OriginNotIssuer(origin) => {
                Some(format!("the origin {origin} is not the issuer's own"))
            }
            Self::OriginNotAllowed(None) => {
                Some("a request with cookies names no origin".to_owned())
            }
            Self::PaymentUnknown(in_a_row) => {
                let which = match in_a_row {
                    0 | 1 => "this payment".to_owned(),
                    count => format!("any of the last {count} payments"),
                };
                Some(format!(
                    "Pi does not know {which}: PI_API_KEY may belong to another Pi app or network"
                ))
            }
            Self::PiRefused(code) => {
                Some(code.as_ref().map_or("Pi sent no code", pi::Refusal::as_str).to_owned())
            }
            Self::Internal(state) => Some((*state).to_owned()),
            _ => None,
        }
    }

    /// Whether the session that the request's cookies name no longer exists.
    pub(super) const fn ends_cookies(&self) -> bool {
        matches!(self, Self::RefreshRejected | Self::RefreshReused | Self::SessionRevoked)
    }
}
