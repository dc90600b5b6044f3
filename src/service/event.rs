//! The events of the log: the name of what happened, in every line. A successful request has the
//! event of its row in the table of routes ([`super::route`]), a failed one that of its [`Error`].
//!
//! `docs/logs.md` lists them, with the words of [OWASP's logging vocabulary] for the same.
//!
//! [OWASP's logging vocabulary]: https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html

use super::error::Error;

/// Declares [`Event`]: for each event its meaning, its name and OWASP's word.
macro_rules! events {
    ($($(#[doc = $meaning:literal])+ $event:ident = $name:literal $($owasp:literal)?,)+) => {
        /// What happened. The list may grow; a name never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $meaning])+ $event,)+
        }

        impl Event {
            /// The name, as the log has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$event => $name,)+ }
            }
        }

        /// For the documents.
        #[cfg(not(target_arch = "wasm32"))]
        impl Event {
            /// All events.
            pub const ALL: &[Self] = &[$(Self::$event,)+];

            /// The meaning of the event, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$event => concat!($($meaning),+),)+ }
            }

            /// OWASP's word for the event, or an empty text.
            #[must_use]
            pub const fn owasp(self) -> &'static str {
                match self { $(Self::$event => concat!($($owasp)?),)+ }
            }
        }
    };
}

events! {
    /// A user signed in.
    SessionOpened = "session.opened" "authn_login_success",
    /// A session was refreshed.
    SessionRefreshed = "session.refreshed" "session_renewed",
    /// A user ended a session.
    SessionEnded = "session.ended" "authn_token_revoked",
    /// A user ended all of the user's sessions.
    SessionsEnded = "sessions.ended" "authn_token_revoked",
    /// A sign-in was refused: Pi rejects the access token, it is another app's, or an operator has
    /// blocked the user.
    SessionRefused = "session.refused" "authn_login_fail",
    /// A session token, a refresh token, a proof, or the credential of a backend or an operator is
    /// missing or not valid.
    CredentialRefused = "credential.refused" "authz_fail",
    /// A refresh token was used again, so it may be stolen; its session was revoked.
    RefreshReused = "refresh.reused" "authn_token_reuse",
    /// A refresh token came without its key or with another, so it may be stolen.
    RefreshOtherKey = "refresh.other_key" "authn_token_reuse",
    /// A page of an origin that is not in ALLOWED_ORIGINS called the Worker.
    OriginRefused = "origin.refused" "malicious_cors",
    /// A client, a user or a session reached a rate limit.
    LimitExceeded = "limit.exceeded" "excess_rate_limit_exceeded",
    /// A user was erased.
    UserErased = "user.erased" "user_deleted",
    /// The app's data for a user was replaced.
    DataReplaced = "data.replaced" "sensitive_update",
    /// A user ordered a product, or repeated the request.
    OrderMade = "order.made",
    /// A payment is approved.
    PaymentApproved = "payment.approved",
    /// A payment is paid.
    PaymentPaid = "payment.paid",
    /// A payment is cancelled.
    PaymentCancelled = "payment.cancelled",
    /// A step of a payment was refused, or a scheduled run could not finish the payment.
    PaymentFailed = "payment.failed",
    /// A scheduled run gave a payment up after weeks; it needs a person.
    PaymentGivenUp = "payment.given_up",
    /// A user claimed the reward of an ad.
    AdClaimed = "ad.claimed",
    /// An operator exchanged a credential for a token.
    OperatorSignedIn = "operator.signed_in" "authn_login_success",
    /// An operator revoked a session of a user.
    OperatorEndedSession = "operator.session_ended" "authn_token_revoked",
    /// An operator revoked all sessions of a user.
    OperatorEndedSessions = "operator.sessions_ended" "authn_token_revoked",
    /// An operator revoked all sessions of all users.
    OperatorEndedEveryone = "operator.everyone_ended" "authn_token_revoked",
    /// An operator blocked a user.
    OperatorBlocked = "operator.user_blocked" "user_updated",
    /// An operator unblocked a user.
    OperatorUnblocked = "operator.user_unblocked" "user_updated",
    /// An operator erased a user.
    OperatorErased = "operator.user_erased" "user_deleted",
    /// An operator read the app's data for a user.
    OperatorReadData = "operator.data_read" "sensitive_read",
    /// An operator read everything that is stored about a user.
    OperatorExported = "operator.user_exported" "sensitive_read",
    /// An operator had a payment compared with Pi's record, and completed or cancelled if possible.
    OperatorSettled = "operator.payment_settled",
    /// An operator cancelled a payment.
    OperatorCancelled = "operator.payment_cancelled",
    /// An operator added a product.
    OperatorAddedProduct = "operator.product_added",
    /// An operator changed a product.
    OperatorChangedProduct = "operator.product_changed",
    /// A backend introspected a session token.
    BackendIntrospected = "backend.introspected",
    /// A backend read a user's record or payments.
    BackendRead = "backend.read" "sensitive_read",
    /// A backend revoked all sessions of a user.
    BackendRevoked = "backend.revoked" "authn_token_revoked",
    /// A backend revoked all sessions of all users.
    BackendRevokedAll = "backend.revoked_all" "authn_token_revoked",
    /// A backend sent notifications.
    NotificationsSent = "notifications.sent",
    /// Any other request succeeded: a user or an app read something.
    RequestServed = "request.served",
    /// The revocation feed, the keys, the OpenAPI document, a health check or a preflight was
    /// served; logged only with LOG_POLLS.
    PollServed = "poll.served",
    /// The request was refused for a reason that no other event has.
    RequestRefused = "request.refused" "input_validation_fail",
    /// The request failed with an unexpected error.
    RequestFailed = "request.failed",
    /// The job of a request was stopped, and the wasm may have been started anew.
    JobStopped = "job.stopped" "sys_crash",
    /// Pi refused the app's request, could not be reached, or sent an answer that cannot be used.
    PiFailed = "pi.failed",
    /// The database failed.
    StorageFailed = "storage.failed",
    /// The numbers for the operator could not be stored.
    CountsFailed = "counts.failed",
    /// A rate limit could not count an attempt, and let it through.
    LimitFailed = "limit.failed",
    /// A setting is missing or malformed, or Pi refuses the app's key.
    SettingsWrong = "settings.wrong",
    /// A setting that weakens the service was found when the Worker started.
    SettingsWeak = "settings.weak",
    /// A scheduled run reconciled payments and deleted expired rows.
    ReconcileRan = "reconcile.ran",
    /// A scheduled run could not reconcile payments.
    ReconcileFailed = "reconcile.failed",
    /// A scheduled run could not delete expired rows.
    SweepFailed = "sweep.failed",
}

impl Error {
    /// The event of a request that fails for this reason.
    pub(super) const fn event(&self) -> Event {
        match self {
            Self::AccessTokenRejected(_) | Self::WrongApp | Self::UserBlocked => {
                Event::SessionRefused
            }
            Self::SessionMissing
            | Self::SessionInvalid(_)
            | Self::SessionExpired
            | Self::SessionRevoked
            | Self::RefreshRejected
            | Self::InvalidDpopProof
            | Self::UseDpopNonce(_)
            | Self::BackendRejected
            | Self::OperatorRejected
            | Self::OperatorForbidden => Event::CredentialRefused,
            Self::RefreshReused => Event::RefreshReused,
            Self::RefreshOtherKey => Event::RefreshOtherKey,
            Self::OriginNotAllowed(_) | Self::OriginNotIssuer(_) => Event::OriginRefused,
            Self::RateLimited => Event::LimitExceeded,
            Self::PaymentNotYours
            | Self::PaymentNotFound
            | Self::PaymentUnknown(_)
            | Self::OrderAlreadyPaid
            | Self::OrderExpired
            | Self::PaymentCancelled
            | Self::PaymentHasTransaction
            | Self::CancelledWithTransaction(_)
            | Self::PaymentMismatch(_)
            | Self::TxidMismatch => Event::PaymentFailed,
            Self::InvalidRequest(_)
            | Self::AmbiguousCredentials
            | Self::OrderNotFound
            | Self::ProductNotFound
            | Self::ProductExists
            | Self::ConfirmationRequired
            | Self::AdAlreadyClaimed
            | Self::AdNotGranted
            | Self::NotFound
            | Self::MethodNotAllowed(_)
            | Self::IdempotencyKeyReused
            | Self::PreconditionFailed
            | Self::PreconditionRequired
            | Self::BodyTooLarge
            | Self::RequestTimeout
            | Self::UnsupportedMediaType => Event::RequestRefused,
            Self::PiRefused(_)
            | Self::UpstreamInvalid(_)
            | Self::UpstreamUnavailable(_)
            | Self::UpstreamTimeout => Event::PiFailed,
            Self::StorageUnavailable(_) => Event::StorageFailed,
            Self::Misconfigured(_) => Event::SettingsWrong,
            Self::Internal(_) => Event::RequestFailed,
        }
    }
}
