//! The problem documents ([RFC 9457]) that answer a failed request: the status, the stable code,
//! the text for the developer, and the headers of each [`Error`].
//!
//! The text says what is wrong and what to do next. It never repeats input, tokens, keys or
//! settings' values.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use std::{borrow::Cow, fmt};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{answer, error::Error};
use crate::{payment::Mismatch, pi};

/// A problem's `type` is this page, at the section of its code.
const TYPE: &str = concat!(env!("CARGO_PKG_HOMEPAGE"), "errors#");

/// Used when Pi or the database does not say how long to wait: a moment, so that clients do not all
/// come back immediately.
const RETRY_AFTER_SECONDS: u32 = 2;

/// The limiters count by the minute (wrangler.toml), and do not say when the next minute begins.
const RATE_LIMITED_SECONDS: u32 = 60;

/// Declares [`Code`]: for each code its meaning, its status and its name.
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $code:ident = $status:ident $name:literal,)+) => {
        /// The stable codes of problems. The list may grow; a code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $meaning])+ $code,)+
        }

        impl Code {
            /// The code as a problem document contains it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// The status of the response.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status,)+ }
            }
        }

        /// For the documents.
        #[cfg(not(target_arch = "wasm32"))]
        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The meaning of the code, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$code => concat!($($meaning),+),)+ }
            }

            /// The `type` of a problem with this code.
            #[must_use]
            pub fn kind(self) -> String {
                format!("{TYPE}{self}")
            }
        }
    };
}

codes! {
    /// The request is not one that this route accepts.
    InvalidRequest = BAD_REQUEST "invalid_request",
    /// The request has more than one credential.
    AmbiguousCredentials = BAD_REQUEST "ambiguous_credentials",
    /// Pi rejected the access token.
    AccessTokenRejected = UNAUTHORIZED "access_token_rejected",
    /// The request has no session token.
    SessionMissing = UNAUTHORIZED "session_missing",
    /// The session token is not from this issuer.
    SessionInvalid = UNAUTHORIZED "session_invalid",
    /// The session token has expired.
    SessionExpired = UNAUTHORIZED "session_expired",
    /// The session was revoked.
    SessionRevoked = UNAUTHORIZED "session_revoked",
    /// The refresh token is unknown, or its session was revoked or has expired.
    RefreshRejected = UNAUTHORIZED "refresh_rejected",
    /// The refresh token was used before, so the session was revoked.
    RefreshReused = UNAUTHORIZED "refresh_reused",
    /// The DPoP proof is not a valid one by the key of the session.
    InvalidDpopProof = UNAUTHORIZED "invalid_dpop_proof",
    /// The DPoP proof needs the nonce of this answer.
    UseDpopNonce = UNAUTHORIZED "use_dpop_nonce",
    /// The request has no credential of a backend.
    BackendRejected = UNAUTHORIZED "backend_rejected",
    /// The request has no valid token or credential of an operator.
    OperatorRejected = UNAUTHORIZED "operator_rejected",
    /// The access token was issued for another app.
    WrongApp = FORBIDDEN "wrong_app",
    /// Pages of this web origin may not call the Worker.
    OriginNotAllowed = FORBIDDEN "origin_not_allowed",
    /// The payment belongs to another user.
    PaymentNotYours = FORBIDDEN "payment_not_yours",
    /// The operator's role does not permit the request.
    OperatorForbidden = FORBIDDEN "operator_forbidden",
    /// An operator has blocked the user.
    UserBlocked = FORBIDDEN "user_blocked",
    /// There is no such route or resource.
    NotFound = NOT_FOUND "not_found",
    /// There is no product with this id.
    ProductNotFound = NOT_FOUND "product_not_found",
    /// The user has no order with this id.
    OrderNotFound = NOT_FOUND "order_not_found",
    /// Pi does not know the payment.
    PaymentNotFound = NOT_FOUND "payment_not_found",
    /// The route has other methods.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed",
    /// The body did not arrive in time.
    RequestTimeout = REQUEST_TIMEOUT "request_timeout",
    /// Another payment has paid the order, or is paying it.
    OrderAlreadyPaid = CONFLICT "order_already_paid",
    /// The order is too old, or its product is no longer for sale.
    OrderExpired = CONFLICT "order_expired",
    /// The payment was cancelled.
    PaymentCancelled = CONFLICT "payment_cancelled",
    /// The payment has a transaction, so it cannot be cancelled.
    PaymentHasTransaction = CONFLICT "payment_has_transaction",
    /// There is a product with this id already.
    ProductExists = CONFLICT "product_exists",
    /// Another user claimed the ad.
    AdAlreadyClaimed = CONFLICT "ad_already_claimed",
    /// Pi does not confirm that the ad was watched to its end.
    AdNotGranted = CONFLICT "ad_not_granted",
    /// The stored object is not the one that If-Match names.
    PreconditionFailed = PRECONDITION_FAILED "precondition_failed",
    /// The body is longer than this route accepts.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large",
    /// The body has another type than this route accepts.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type",
    /// The key was used for another request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY "idempotency_key_reused",
    /// The deed cannot be undone, and the request does not confirm it.
    ConfirmationRequired = UNPROCESSABLE_ENTITY "confirmation_required",
    /// The payment differs from its order.
    PaymentMismatch = UNPROCESSABLE_ENTITY "payment_mismatch",
    /// The transaction is not the one that pays this payment.
    TxidMismatch = UNPROCESSABLE_ENTITY "txid_mismatch",
    /// An object is stored already, and If-Match does not name it.
    PreconditionRequired = PRECONDITION_REQUIRED "precondition_required",
    /// There were too many requests.
    RateLimited = TOO_MANY_REQUESTS "rate_limited",
    /// A setting of the Worker is missing or malformed.
    Misconfigured = INTERNAL_SERVER_ERROR "misconfigured",
    /// An unexpected error occurred.
    Internal = INTERNAL_SERVER_ERROR "internal",
    /// Pi refused the request.
    PiRefused = BAD_GATEWAY "pi_refused",
    /// Pi's answer cannot be used.
    UpstreamInvalid = BAD_GATEWAY "upstream_invalid",
    /// Pi could not be reached.
    UpstreamUnavailable = SERVICE_UNAVAILABLE "upstream_unavailable",
    /// The database is not available.
    StorageUnavailable = SERVICE_UNAVAILABLE "storage_unavailable",
    /// Pi did not answer in time.
    UpstreamTimeout = GATEWAY_TIMEOUT "upstream_timeout",
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pi_error: Option<&'a str>,
}

impl Error {
    /// The problem document, with the headers that its status requires.
    pub(super) fn response(&self, request_id: &str) -> Response<Vec<u8>> {
        let (code, detail) = self.row();
        let status = code.status();
        let problem = Problem {
            kind: &[TYPE, code.name()].concat(),
            title: status.canonical_reason().unwrap_or(code.name()),
            status: status.as_u16(),
            code: code.name(),
            detail: &detail,
            request_id,
            pi_error: match self {
                Self::PiRefused(refusal) => refusal.as_ref().map(pi::Refusal::as_str),
                _ => None,
            },
        };
        let mut response = answer::json(status, &problem);
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

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.row().0
    }

    /// The code, and the text for the developer.
    fn row(&self) -> (Code, Cow<'static, str>) {
        let (code, detail) = match self {
            Self::InvalidRequest(why) => (Code::InvalidRequest, *why),
            Self::AmbiguousCredentials => (
                Code::AmbiguousCredentials,
                "The request has more than one credential. Send one, once: an Authorization header, a cookie, or a token in the body.",
            ),
            Self::AccessTokenRejected(_) => (
                Code::AccessTokenRejected,
                "Pi does not accept this access token. Call Pi.authenticate again and send the new one.",
            ),
            Self::SessionMissing => (
                Code::SessionMissing,
                "The request has no session token. Sign in with POST /session, then send Authorization: Bearer <sessionToken>.",
            ),
            Self::SessionInvalid(_) => (
                Code::SessionInvalid,
                "This is not a session token from this issuer. Sign in again.",
            ),
            Self::SessionExpired => (
                Code::SessionExpired,
                "The session token has expired. Refresh the session, or sign in again.",
            ),
            Self::SessionRevoked => {
                (Code::SessionRevoked, "The session was revoked. Sign in again.")
            }
            Self::RefreshRejected => (
                Code::RefreshRejected,
                "The refresh token is unknown, or its session was revoked or has expired. Sign in again.",
            ),
            Self::RefreshReused => (
                Code::RefreshReused,
                "This refresh token was used before, so it may have been copied. The session was revoked. Sign in again.",
            ),
            Self::InvalidDpopProof | Self::RefreshOtherKey => (
                Code::InvalidDpopProof,
                "The DPoP header is not a new proof by the key of this session (RFC 9449). Nothing was changed. Send a new proof, or none if the sign-in named no key. If the key is lost, sign in again.",
            ),
            Self::UseDpopNonce(_) => (
                Code::UseDpopNonce,
                "The proof's iat is not the issuer's time. Send a new proof with the DPoP-Nonce header of this answer as its nonce.",
            ),
            Self::BackendRejected => (
                Code::BackendRejected,
                "This route is for the app's own backends. Send Authorization: Bearer <credential>, with a credential whose hash is in BACKEND_CREDENTIALS.",
            ),
            Self::OperatorRejected => (
                Code::OperatorRejected,
                "This route is for operators. Send Authorization: Bearer <credential>, with a credential whose hash is in OPERATOR_CREDENTIALS, or with an unexpired token that POST /admin/session returned for it.",
            ),
            Self::OperatorForbidden => (
                Code::OperatorForbidden,
                "This needs the role owner. Nothing was changed. The role of each operator is in OPERATOR_CREDENTIALS.",
            ),
            Self::ConfirmationRequired => (
                Code::ConfirmationRequired,
                "This cannot be undone, so it must be confirmed. Nothing was changed. Send confirm: the uid in the query string to erase a user, the value of SESSION_AUDIENCE in the body to revoke all sessions.",
            ),
            Self::UserBlocked => (
                Code::UserBlocked,
                "An operator of this app has blocked this user. Nothing was changed. Do not try again: show the user how to contact the app.",
            ),
            Self::RateLimited => {
                (Code::RateLimited, "Too many attempts. Try again after Retry-After seconds.")
            }
            Self::PaymentNotYours => (
                Code::PaymentNotYours,
                "This payment belongs to another user. Send the paymentId that Pi's SDK passed to this user's page.",
            ),
            Self::PaymentNotFound | Self::PaymentUnknown(_) => (
                Code::PaymentNotFound,
                "Pi does not know this payment. Send the paymentId that Pi's SDK passed to the page. If you did, PI_API_KEY may belong to another Pi app or network.",
            ),
            Self::OrderNotFound => (
                Code::OrderNotFound,
                "This user has no order with this id. Make one with POST /orders.",
            ),
            Self::ProductNotFound => (
                Code::ProductNotFound,
                "There is no product with this id. GET /products lists them.",
            ),
            Self::ProductExists => (
                Code::ProductExists,
                "There is a product with this id already. Nothing was changed. To change its price, send PATCH /admin/products/{id}.",
            ),
            Self::OrderAlreadyPaid => (
                Code::OrderAlreadyPaid,
                "Another payment has paid this order, or is paying it. Make a new order with POST /orders.",
            ),
            Self::OrderExpired => (
                Code::OrderExpired,
                "The order is more than an hour old, or its product is no longer for sale. Make a new order with POST /orders.",
            ),
            Self::PaymentCancelled => (
                Code::PaymentCancelled,
                "The payment was cancelled. Make a new order with POST /orders.",
            ),
            Self::PaymentHasTransaction => (
                Code::PaymentHasTransaction,
                "The payment has a transaction, so it cannot be cancelled. Send it to recover. If recover answers the same, Pi has cancelled a payment that was made: contact the operator of this app.",
            ),
            Self::CancelledWithTransaction(_) => (
                Code::PaymentHasTransaction,
                "Pi cancelled this payment although it has a transaction. Do not pay again. Ask the operator of this app to settle it.",
            ),
            Self::AdAlreadyClaimed => (
                Code::AdAlreadyClaimed,
                "Another user has claimed this ad. Show the user a new ad.",
            ),
            Self::AdNotGranted => (
                Code::AdNotGranted,
                "Pi does not confirm that this ad was watched to its end. Nothing was granted.",
            ),
            Self::PaymentMismatch(mismatch) => (
                Code::PaymentMismatch,
                match mismatch {
                    Mismatch::Direction => {
                        "This is not a payment from a user to the app: its direction is not user_to_app. Nothing was changed."
                    }
                    Mismatch::Network => {
                        "The payment's network is not the one of PI_NETWORK. It was not approved."
                    }
                    Mismatch::Order => {
                        "The payment's metadata.orderId names no open order of this user. Make one with POST /orders, and pass its metadata to Pi.createPayment unchanged."
                    }
                    Mismatch::Amount => {
                        "The payment's amount is not the price of the order. Pass the order's amount to Pi.createPayment unchanged."
                    }
                },
            ),
            Self::TxidMismatch => (
                Code::TxidMismatch,
                "This transaction is not the one that pays this payment. Send the txid that Pi's SDK passed to the page with this paymentId.",
            ),
            Self::PiRefused(_) => (
                Code::PiRefused,
                "Pi refused this request. The member piError has Pi's reason, if Pi sent one. Nothing counts as paid.",
            ),
            Self::WrongApp => (
                Code::WrongApp,
                "The access token was not issued for this app. Call Pi.authenticate in this app and send its token.",
            ),
            Self::OriginNotAllowed(_) => (
                Code::OriginNotAllowed,
                "Pages of this origin may not call the Worker. Add the origin to ALLOWED_ORIGINS exactly as the browser sends it; the Worker's log names it. The app's domain, its www host and its pinet.com host are three origins.",
            ),
            Self::OriginNotIssuer(_) => (
                Code::OriginNotAllowed,
                "Only pages of the issuer's own origin may call the routes of operators. Call them from such a page, or from a program without an Origin header.",
            ),
            Self::NotFound => {
                (Code::NotFound, "No such route or resource. GET /openapi.json lists the routes.")
            }
            Self::MethodNotAllowed(_) => (
                Code::MethodNotAllowed,
                "This route does not have this method. The Allow header lists its methods.",
            ),
            Self::IdempotencyKeyReused => (
                Code::IdempotencyKeyReused,
                "This Idempotency-Key was used for another request. Make a new key for each request, and send it again only to repeat that request.",
            ),
            Self::PreconditionFailed => (
                Code::PreconditionFailed,
                "The data has changed. Read it again, merge your changes, and send its new ETag in If-Match.",
            ),
            Self::PreconditionRequired => (
                Code::PreconditionRequired,
                "There is data already. Read it, and send its ETag in If-Match.",
            ),
            Self::BodyTooLarge => (
                Code::BodyTooLarge,
                "The body is too long. Send at most 16 KiB, 64 KiB to /me/data, or 256 KiB to /notifications.",
            ),
            Self::RequestTimeout => (
                Code::RequestTimeout,
                "The body did not arrive in time, and nothing was changed. Send the request again.",
            ),
            Self::UnsupportedMediaType => (
                Code::UnsupportedMediaType,
                "This route does not accept this type of body. Send Content-Type: application/json (a form to /introspect), in UTF-8 and uncompressed.",
            ),
            Self::Misconfigured(setting) => {
                let detail = format!("The Worker is not configured: {setting}");
                return (Code::Misconfigured, detail.into());
            }
            Self::Internal(_) => (
                Code::Internal,
                "An unexpected error occurred. Report the requestId to the operator of this service.",
            ),
            Self::UpstreamInvalid(_) => (
                Code::UpstreamInvalid,
                "Pi's answer cannot be used, and nothing was changed. Try again later.",
            ),
            Self::UpstreamUnavailable(_) => (
                Code::UpstreamUnavailable,
                "Pi could not be reached and nothing was changed. Try again after Retry-After seconds.",
            ),
            Self::UpstreamTimeout => (
                Code::UpstreamTimeout,
                "Pi did not answer in time and nothing was changed. Try again.",
            ),
            Self::StorageUnavailable(error) if error.lacks_migration() => (
                Code::StorageUnavailable,
                "The database is not set up for this version. Its operator must run: npx wrangler d1 migrations apply DB --remote",
            ),
            Self::StorageUnavailable(_) => (
                Code::StorageUnavailable,
                "The database is not available. It is safe to try again after Retry-After seconds.",
            ),
        };
        (code, detail.into())
    }

    /// The header that the status requires.
    fn header(&self, status: StatusCode) -> Option<(HeaderName, HeaderValue)> {
        Some(match self {
            Self::MethodNotAllowed(allow) => (header::ALLOW, HeaderValue::from_static(allow)),
            Self::UpstreamUnavailable(pi::Error::Unavailable { retry_after: Some(seconds) }) => {
                (header::RETRY_AFTER, HeaderValue::from(*seconds))
            }
            Self::RateLimited => (header::RETRY_AFTER, HeaderValue::from(RATE_LIMITED_SECONDS)),
            // RFC 6750 §3.1: a request without any credential gets no error code.
            Self::SessionMissing => (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::InvalidDpopProof | Self::RefreshOtherKey => (
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
}
