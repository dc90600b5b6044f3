//! The entries of the audit: who did what, to whom or what, and when. An operator's or a backend's
//! deed and its entry are stored in one transaction, so neither exists without the other.
//!
//! The trait that stores them is [`crate::service::Deeds`]. An entry contains no token, no app's
//! data and no IP address; the request's id leads to the line in the log.

/// Seconds for which an entry is kept: 400 days, so that a person who asks about last year's
/// December in January finds it. A trigger of the database refuses to delete a younger one.
pub const KEPT_SECONDS: u32 = 400 * 24 * 3600;

/// How a deed was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// With an operator's token, as the console does.
    Console,
    /// With an operator's credential itself, as the command line does.
    Cli,
    /// With the credential of a backend.
    Backend,
}

impl Via {
    /// The name, in the table and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Cli => "cli",
            Self::Backend => "backend",
        }
    }
}

/// Declares [`Action`]: for each action its meaning and its name.
macro_rules! actions {
    ($(#[doc = $meaning:literal] $action:ident = $name:literal,)+) => {
        /// What was done. The list may grow; a name never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $(#[doc = $meaning] $action,)+
        }

        impl Action {
            /// The name, in the table and in answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$action => $name,)+ }
            }
        }

        /// For the documents.
        #[cfg(not(target_arch = "wasm32"))]
        impl Action {
            /// All actions.
            pub const ALL: &[Self] = &[$(Self::$action,)+];

            /// The meaning of the action, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$action => $meaning,)+ }
            }
        }
    };
}

actions! {
    /// One session of a user was revoked. The detail has its id.
    SessionEnded = "session.ended",
    /// All sessions of a user were revoked.
    UserSessionsEnded = "user.sessions_ended",
    /// All sessions of all users were revoked.
    EveryoneSessionsEnded = "everyone.sessions_ended",
    /// A user was blocked, and all sessions of the user were revoked. The detail has the reason.
    UserBlocked = "user.blocked",
    /// A user may sign in again.
    UserUnblocked = "user.unblocked",
    /// A user was erased.
    UserErased = "user.erased",
    /// The app's data for a user was read.
    UserDataRead = "user.data_read",
    /// Everything that is stored about a user was read.
    UserExported = "user.exported",
    /// Pi was to be asked to complete or cancel a payment: the detail says which.
    PaymentAsked = "payment.asked",
    /// A payment was compared with Pi's record. The detail has its state before and after.
    PaymentSettled = "payment.settled",
    /// A payment was to be cancelled. The detail has its state before and after.
    PaymentCancelled = "payment.cancelled",
    /// A product was added. The detail has its name and its price.
    ProductAdded = "product.added",
    /// A product was changed. The detail has the old and the new price, and whether it is for sale.
    ProductChanged = "product.changed",
    /// Pi was to be asked to send notifications. The detail has their number.
    NotificationsAsked = "notifications.asked",
    /// Notifications went to Pi. The detail counts those requested, delivered and unconfirmed.
    NotificationsSent = "notifications.sent",
}

/// An entry, before it is stored. The store adds its number and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of the operator or the backend in the settings.
    pub actor: String,
    /// How the actor asked.
    pub via: Via,
    /// What the actor did.
    pub action: Action,
    /// The id of the user, the payment or the product.
    pub target: Option<String>,
    /// A JSON object with what the action and the target do not tell.
    pub detail: Option<String>,
    /// The request's id, which its line in the log also has.
    pub request_id: String,
}

impl Entry {
    /// The entry, with this JSON object as its detail.
    #[must_use]
    pub fn with_detail(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }
}
