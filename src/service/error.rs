//! Every way a request can be refused, and the only place where an error gets a status.
//!
//! The answer is `application/problem+json` ([RFC 9457]) with a stable `code`, and a `detail` that says
//! what to do next and echoes nothing. The exact reason goes to the log, under the same request id.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::Misconfigured;
use crate::{identifier::Identifier, jwt, payment, pi, session};

/// Why a request was refused.
#[derive(Clone, Debug)]
pub enum Error {
    /// The request is not what the route takes; the text says why.
    InvalidRequest(&'static str),
    /// More than one credential.
    AmbiguousCredentials,
    /// Pi said no to the access token, or its time has passed.
    AccessTokenRejected(pi::Error),
    /// No session token.
    SessionMissing,
    /// A session token that does not hold.
    SessionInvalid(jwt::Error),
    /// A session token whose time has passed.
    SessionExpired,
    /// A session token that holds, of a session that was ended.
    SessionRevoked,
    /// A refresh token that is not ours, or whose session has ended.
    RefreshRejected,
    /// A refresh token that was spent before: this session was ended.
    RefreshReused(Identifier),
    /// A proof of a key that does not hold; or, with a session: the right token of this session, but another key, or none.
    InvalidDpopProof(Option<Identifier>),
    /// A proof that was not made just now. With this nonce, the next one is.
    UseDpopNonce(String),
    /// A caller of the backend routes without a credential that is known.
    BackendRejected,
    /// More requests than the limit.
    RateLimited,
    /// Another user's payment.
    PaymentNotYours,
    /// A text that is not the id of a payment.
    PaymentNotFound,
    /// Pi does not know the payment, and none of so many that it was asked about before.
    PaymentUnknown(u32),
    /// No order of this id, of this user.
    OrderNotFound,
    /// Nothing of this id is sold.
    ProductNotFound,
    /// The order is paid, or its payment is.
    OrderAlreadyPaid,
    /// The order is older than [`payment::ORDER_LIFETIME`], or its product is no longer sold.
    OrderExpired,
    /// The payment was called off.
    PaymentCancelled,
    /// The payment has a transaction on the chain. It cannot be cancelled, and does not count as cancelled if Pi says that
    /// it is.
    PaymentHasTransaction,
    /// Pi says that this payment is cancelled, and that it has a verified transaction: a person must settle it.
    CancelledWithTransaction(Identifier),
    /// The ad was claimed by somebody else.
    AdAlreadyClaimed,
    /// Pi does not say that the ad was granted.
    AdNotGranted,
    /// The payment is not what its order says.
    PaymentMismatch(payment::Mismatch),
    /// The transaction is another, or has paid something else.
    TxidMismatch,
    /// Pi said no, with its own code if it gave one.
    PiRefused(Option<pi::Refusal>),
    /// The access token was made for another app, or Pi does not say for which.
    WrongApp,
    /// A browser page of another origin, as printable text; or a request with cookies that names none.
    OriginNotAllowed(Option<String>),
    /// No such route.
    NotFound,
    /// The route has other methods: these.
    MethodNotAllowed(&'static str),
    /// The request's `Idempotency-Key` was used for another request.
    IdempotencyKeyReused,
    /// The stored value is not the one that the request expects.
    PreconditionFailed,
    /// The request does not say which stored value it expects.
    PreconditionRequired,
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// The body did not come in time.
    RequestTimeout,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// A setting is missing or malformed.
    Misconfigured(Misconfigured),
    /// A state that should not exist; the text names it.
    Internal(&'static str),
    /// Pi answered with something that cannot be used.
    UpstreamInvalid(pi::Error),
    /// Pi could not be asked.
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
            Pi::KeyRefused => Self::Misconfigured(Misconfigured {
                setting: "PI_API_KEY",
                problem: "was refused by Pi: it must be the Server API Key of this app, from Pi's developer portal"
                    .to_owned(),
            }),
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

/// When nobody says how long: a moment, so that clients do not come back at once and all together.
const RETRY_AFTER_SECONDS: u32 = 2;

/// The limiters count by the minute (wrangler.toml), and do not say when the next begins.
const RATE_LIMITED_SECONDS: u32 = 60;

impl Error {
    /// Status, code and detail: one row for each.
    fn row(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        let (status, code, detail) = match self {
            Self::InvalidRequest(why) => (S::BAD_REQUEST, "invalid_request", *why),
            Self::AmbiguousCredentials => (
                S::BAD_REQUEST,
                "ambiguous_credentials",
                "Send one credential, once: an Authorization header, a cookie, or a token in the body.",
            ),
            Self::AccessTokenRejected(_) => (
                S::UNAUTHORIZED,
                "access_token_rejected",
                "Pi does not accept this access token. Call Pi.authenticate again and send the new one.",
            ),
            Self::SessionMissing => (
                S::UNAUTHORIZED,
                "session_missing",
                "Sign in with POST /session, then send Authorization: Bearer <sessionToken>.",
            ),
            Self::SessionInvalid(_) => (
                S::UNAUTHORIZED,
                "session_invalid",
                "This is not a session token of this issuer. Sign in again.",
            ),
            Self::SessionExpired => (
                S::UNAUTHORIZED,
                "session_expired",
                "The session token has expired. Refresh the session, or sign in again.",
            ),
            Self::SessionRevoked => {
                (S::UNAUTHORIZED, "session_revoked", "The session was ended. Sign in again.")
            }
            Self::RefreshRejected => (
                S::UNAUTHORIZED,
                "refresh_rejected",
                "The refresh token is unknown, or its session has ended. Sign in again.",
            ),
            Self::RefreshReused(_) => (
                S::UNAUTHORIZED,
                "refresh_reused",
                "This refresh token was used before, so somebody may have copied it. The session was ended; sign in again.",
            ),
            Self::InvalidDpopProof(_) => (
                S::UNAUTHORIZED,
                "invalid_dpop_proof",
                "The DPoP header is not a new proof by the key of this session (RFC 9449). Send a new one, or none if the sign-in named no key. Nothing was changed. If the key is lost, sign in again.",
            ),
            Self::UseDpopNonce(_) => (
                S::UNAUTHORIZED,
                "use_dpop_nonce",
                "The proof's iat is not the issuer's time. Send a new proof with the DPoP-Nonce header of this answer as its nonce.",
            ),
            Self::BackendRejected => (
                S::UNAUTHORIZED,
                "backend_rejected",
                "This route is for the app's own backends. Send Authorization: Bearer <credential>, one whose hash is in BACKEND_CREDENTIALS.",
            ),
            Self::RateLimited => (
                S::TOO_MANY_REQUESTS,
                "rate_limited",
                "Too many attempts. Try again after Retry-After seconds.",
            ),
            Self::PaymentNotYours => (
                S::FORBIDDEN,
                "payment_not_yours",
                "This payment is another user's. Send only what Pi's SDK gives this user.",
            ),
            Self::PaymentNotFound | Self::PaymentUnknown(_) => (
                S::NOT_FOUND,
                "payment_not_found",
                "Pi does not know this payment. Send the paymentId that Pi's SDK gave. If that is what you sent, PI_API_KEY may belong to another Pi app or network.",
            ),
            Self::OrderNotFound => (
                S::NOT_FOUND,
                "order_not_found",
                "This user has no order of this id. Make one with POST /orders.",
            ),
            Self::ProductNotFound => (
                S::NOT_FOUND,
                "product_not_found",
                "Nothing of this id is sold. GET /products lists what is.",
            ),
            Self::OrderAlreadyPaid => (
                S::CONFLICT,
                "order_already_paid",
                "The order is paid, or being paid, by another payment. Make a new one with POST /orders.",
            ),
            Self::OrderExpired => (
                S::CONFLICT,
                "order_expired",
                "The order is more than an hour old, or its product is no longer sold. Make a new order with POST /orders.",
            ),
            Self::PaymentCancelled => (
                S::CONFLICT,
                "payment_cancelled",
                "The payment was cancelled. Make a new order with POST /orders.",
            ),
            Self::PaymentHasTransaction => (
                S::CONFLICT,
                "payment_has_transaction",
                "The payment has a transaction, so it cannot be cancelled. Send it to recover. If recover answers the same, Pi has cancelled a payment that was made: contact the operator of this app.",
            ),
            Self::CancelledWithTransaction(_) => (
                S::CONFLICT,
                "payment_has_transaction",
                "Pi cancelled this payment although it has a transaction. Do not pay again: the operator of this service must settle it.",
            ),
            Self::AdAlreadyClaimed => {
                (S::CONFLICT, "ad_already_claimed", "Another user has claimed this ad.")
            }
            Self::AdNotGranted => (
                S::CONFLICT,
                "ad_not_granted",
                "Pi does not say that this ad was watched to its end. Nothing was granted.",
            ),
            Self::PaymentMismatch(mismatch) => (
                S::UNPROCESSABLE_ENTITY,
                "payment_mismatch",
                match mismatch {
                    payment::Mismatch::Direction => {
                        "This is not a payment of a user to the app: its direction is not user_to_app. Nothing was changed."
                    }
                    payment::Mismatch::Network => {
                        "The payment's network is not the one of PI_NETWORK. It was not approved."
                    }
                    payment::Mismatch::Order => {
                        "The payment's metadata.orderId names no open order of this user. Make one with POST /orders, and pass its metadata to Pi.createPayment as it is."
                    }
                    payment::Mismatch::Amount => {
                        "The payment's amount is not what the order costs. Pass the order's amount to Pi.createPayment as it is."
                    }
                },
            ),
            Self::TxidMismatch => (
                S::UNPROCESSABLE_ENTITY,
                "txid_mismatch",
                "This transaction is not the one that pays this payment. Send the txid that Pi's SDK gave with it.",
            ),
            Self::PiRefused(_) => (
                S::BAD_GATEWAY,
                "pi_refused",
                "Pi refused this; piError is its reason, where it gave one. Nothing counts as paid.",
            ),
            Self::WrongApp => (
                S::FORBIDDEN,
                "wrong_app",
                "The access token was not made for this app. Call Pi.authenticate in this app and send its token.",
            ),
            Self::OriginNotAllowed(_) => (
                S::FORBIDDEN,
                "origin_not_allowed",
                "Pages of this origin may not call. Add the origin to ALLOWED_ORIGINS exactly as the browser sends it; the Worker's log names it. The app's domain, its www host and its pinet.com host are an origin each.",
            ),
            Self::NotFound => {
                (S::NOT_FOUND, "not_found", "There is no such route, or nothing of this name.")
            }
            Self::MethodNotAllowed(_) => (
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The Allow header lists the methods of this route.",
            ),
            Self::IdempotencyKeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another request. Make a new key for each request, and send it again only to repeat that request.",
            ),
            Self::PreconditionFailed => (
                S::PRECONDITION_FAILED,
                "precondition_failed",
                "The data has changed. Read it again, merge, and send its new ETag in If-Match.",
            ),
            Self::PreconditionRequired => (
                S::PRECONDITION_REQUIRED,
                "precondition_required",
                "There is data already. Read it, and send its ETag in If-Match.",
            ),
            Self::BodyTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "Send at most 16 KiB, 64 KiB to /me/data, or 256 KiB to /notifications.",
            ),
            Self::RequestTimeout => (
                S::REQUEST_TIMEOUT,
                "request_timeout",
                "The body did not arrive in time. Nothing was changed; send the request again.",
            ),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send Content-Type: application/json (a form to /introspect), in UTF-8 and uncompressed.",
            ),
            Self::Misconfigured(setting) => {
                return (
                    S::INTERNAL_SERVER_ERROR,
                    "misconfigured",
                    format!("The owner of this service must set it up: {setting}."),
                );
            }
            Self::Internal(_) => (
                S::INTERNAL_SERVER_ERROR,
                "internal",
                "Something unexpected happened. Report the requestId to the owner of this service.",
            ),
            Self::UpstreamInvalid(_) => (
                S::BAD_GATEWAY,
                "upstream_invalid",
                "Pi's answer could not be understood. Nothing was changed; try again later.",
            ),
            Self::UpstreamUnavailable(_) => (
                S::SERVICE_UNAVAILABLE,
                "upstream_unavailable",
                "Pi cannot be reached. Nothing was changed; try again after Retry-After seconds.",
            ),
            Self::UpstreamTimeout => (
                S::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "Pi did not answer in time. Nothing was changed; try again.",
            ),
            Self::StorageUnavailable(_) => (
                S::SERVICE_UNAVAILABLE,
                "storage_unavailable",
                "The database is not available. It is safe to try again after Retry-After seconds.",
            ),
        };
        (status, code, detail.to_owned())
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// The exact reason, where the code does not say it. For the log only.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::AccessTokenRejected(error)
            | Self::UpstreamInvalid(error)
            | Self::UpstreamUnavailable(error) => Some(error.to_string()),
            Self::SessionInvalid(error) => Some(error.to_string()),
            Self::StorageUnavailable(error) => Some(error.to_string()),
            Self::Misconfigured(setting) => Some(setting.to_string()),
            Self::RefreshReused(sid) => Some(format!(
                "suspected theft: a spent refresh token was used again, so session {sid} was ended"
            )),
            Self::InvalidDpopProof(Some(sid)) => Some(format!(
                "suspected theft: a refresh token of session {sid} came with another key, or with none; the session goes on"
            )),
            Self::CancelledWithTransaction(id) => Some(format!(
                "Pi cancelled payment {id}, which has a verified transaction: a person must settle it"
            )),
            Self::OriginNotAllowed(Some(origin)) => {
                Some(format!("the origin {origin} is not in ALLOWED_ORIGINS"))
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
                Some(code.as_ref().map_or("Pi gave no code", pi::Refusal::as_str).to_owned())
            }
            Self::Internal(state) => Some((*state).to_owned()),
            _ => None,
        }
    }

    /// A header that the status requires, and its value.
    fn header(&self, status: StatusCode) -> Option<(header::HeaderName, HeaderValue)> {
        Some(match self {
            Self::MethodNotAllowed(allow) => (header::ALLOW, HeaderValue::from_static(allow)),
            Self::UpstreamUnavailable(pi::Error::Unavailable { retry_after: Some(seconds) }) => {
                (header::RETRY_AFTER, HeaderValue::from(*seconds))
            }
            // RFC 6750 §3.1: without any credential, no error code.
            Self::RateLimited => (header::RETRY_AFTER, HeaderValue::from(RATE_LIMITED_SECONDS)),
            Self::SessionMissing => (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::InvalidDpopProof(_) => (
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"DPoP error="invalid_dpop_proof", algs="ES256""#),
            ),
            Self::UseDpopNonce(_) => (
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"DPoP error="use_dpop_nonce", algs="ES256""#),
            ),
            _ if status == StatusCode::UNAUTHORIZED => (
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer error="invalid_token""#),
            ),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                (header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))
            }
            _ => return None,
        })
    }

    /// Whether the session that the request's cookies name is no more.
    pub(super) const fn ends_cookies(&self) -> bool {
        matches!(self, Self::RefreshRejected | Self::RefreshReused(_) | Self::SessionRevoked)
    }

    pub(super) fn response(&self, request_id: &str) -> Response<Vec<u8>> {
        let (status, code, detail) = self.row();
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or(code),
            status: status.as_u16(),
            code,
            detail,
            request_id,
            pi_error: match self {
                Self::PiRefused(code) => code.as_ref().map(pi::Refusal::as_str),
                _ => None,
            },
        };
        let mut response = super::body::json(status, &problem);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.header(status));
        if let Self::UseDpopNonce(nonce) = self
            && let Ok(nonce) = HeaderValue::from_str(nonce)
        {
            headers.insert("dpop-nonce", nonce);
        }
        response
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pi_error: Option<&'a str>,
}
