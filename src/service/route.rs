//! The table of routes. Each row has a path, a method, the handler, who may call it, the most bytes
//! of a body, and the event of a success; and, for the documents only, a summary, a description and
//! error codes.
//!
//! Everything else derives from it: matching a path, the names and the events in the log, the
//! `Allow` lists, the dispatch, [`body_limit`], and the OpenAPI document (`tests/openapi`).

use std::pin::Pin;

use http::{HeaderMap, HeaderValue, Method, Request, Response};

#[cfg(not(target_arch = "wasm32"))]
use super::problem::Code;
use super::{
    ad,
    admin::{
        audit_list, block, console, deployment, disclosure, erasure, offer,
        operator::{self, Admitted},
        overview, payments as operator_payments, people, products as operator_products, revocation,
        session as operator_session, settle,
    },
    app::{App, Entropy, Ports},
    backend, body, browser, credential, data,
    error::Error,
    event::Event,
    health, keys, notification, openapi, order,
    payment::{self, Step},
    revocations, session, session_list,
    settings::{Serves, Settings},
    user,
};
use crate::jwt::Role;

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Everyone.
    Anyone,
    /// A user with a session.
    Session,
    /// One of the app's own backends.
    Backend,
    /// An operator with any role.
    Operator,
    /// An operator with the role `owner`.
    Owner,
}

impl Caller {
    /// The role that an operator needs, if only operators may call.
    const fn role(self) -> Option<Role> {
        match self {
            Self::Anyone | Self::Session | Self::Backend => None,
            Self::Operator => Some(Role::Viewer),
            Self::Owner => Some(Role::Owner),
        }
    }
}

/// The part of an `Allow` list that stands for a method.
macro_rules! allowed {
    (GET) => {
        "GET, HEAD, "
    };
    ($method:ident) => {
        concat!(stringify!($method), ", ")
    };
}

/// The event of a success: that of the row, if it names one.
macro_rules! logged {
    () => {
        Event::RequestServed
    };
    ($event:ident) => {
        Event::$event
    };
}

/// The pattern of the operator in a row that this caller may call.
macro_rules! admitted {
    (Operator, $admitted:ident) => {
        Some($admitted)
    };
    (Owner, $admitted:ident) => {
        Some($admitted)
    };
    ($other:ident, $admitted:ident) => {
        _
    };
}

/// Declares [`Route`], [`serve`] and [`OPERATIONS`] from the table.
macro_rules! routes {
    (
        |$app:ident, $admitted:ident, $request:ident, $entropy:ident, $name:ident|
        $(
            $route:ident $path:literal in $tag:ident {
                $(
                    $(#[doc = $text:literal])+
                    $method:ident $id:ident by $caller:ident $(takes $max_bytes:path)?
                        => $handler:expr, $(logs $event:ident,)? fails [$($code:ident),*];
                )+
            }
        )+
    ) => {
        /// A route: a path, with one or several methods.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Route {
            $($route,)+
        }

        const ROUTES: &[(Route, Pattern)] = &[$((Route::$route, Pattern::new($path)),)+];

        impl Route {
            /// The route's path, as the table writes it.
            pub(super) const fn path(self) -> &'static str {
                match self { $(Self::$route => $path,)+ }
            }

            /// The route's methods, as `Allow` lists them.
            const fn allow(self) -> &'static str {
                match self { $(Self::$route => concat!($(allowed!($method),)+ "OPTIONS"),)+ }
            }

            /// The event of a success.
            fn event(self, method: &Method) -> Event {
                match (self, method) {
                    $($((Self::$route, &Method::$method) => logged!($($event)?),)+)+
                    // Only a preflight succeeds with another method.
                    _ => Event::PollServed,
                }
            }

            /// Who may call, and the most bytes of the body.
            fn limits(self, method: &Method) -> (Caller, usize) {
                match (self, method) {
                    $($((Self::$route, &Method::$method) => (Caller::$caller, 0 $(+ $max_bytes)?),)+)+
                    _ => (Caller::Anyone, 0),
                }
            }
        }

        /// Calls the handler of a route and a method. `$name` is the part of the path that the
        /// route leaves open. A row by `Operator` or `Owner` is reached only with an operator.
        #[expect(unused_variables, reason = "many handlers need not know which operator asks")]
        async fn dispatch<P: Ports>(
            $app: &App<'_, P>,
            $admitted: Option<&Admitted<'_>>,
            $request: &Request<Vec<u8>>,
            $entropy: Entropy,
            (route, $name): (Route, &str),
        ) -> Result<Response<Vec<u8>>, Error> {
            // In a box, each handler stays a function of its own. Inlined, all of them become one
            // function of 120 KB, and V8 needs 8 ms to compile it before the first answer.
            let answer: Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, Error>>>> =
                match (route, plain($request.method()), $admitted) {
                    $($((Route::$route, &Method::$method, admitted!($caller, $admitted)) => {
                        Box::pin($handler)
                    })+)+
                    (_, &Method::OPTIONS, _) => {
                        return Ok(browser::preflight($request.headers(), route.allow()));
                    }
                    _ => return Err(Error::MethodNotAllowed(route.allow())),
                };
            answer.await
        }

        /// All operations, for the documents.
        #[cfg(not(target_arch = "wasm32"))]
        pub const OPERATIONS: &[Operation] = &[
            $($(Operation {
                id: stringify!($id),
                tag: stringify!($tag),
                method: stringify!($method),
                path: $path,
                text: &[$($text),+],
                caller: Caller::$caller,
                max_bytes: 0 $(+ $max_bytes)?,
                event: logged!($($event)?),
                codes: &[$(Code::$code),*],
            },)+)+
        ];
    };
}

routes! {
    |app, admitted, request, entropy, name|

    Session "/session" in session {
        /// Sign in with Pi's access token
        ///
        /// The Worker asks Pi which user the token belongs to, and opens a session. A client may
        /// send Pi's whole AuthResult; only its accessToken is read.
        POST signIn by Anyone takes body::MAX_BYTES => session::sign_in(app, request, entropy),
            logs SessionOpened,
            fails [
                AccessTokenRejected, WrongApp, UserBlocked, RateLimited, UpstreamInvalid, UpstreamUnavailable,
                UpstreamTimeout, StorageUnavailable
            ];
        /// Show the session and its user
        ///
        /// Reads the database, so a revoked session is rejected immediately.
        GET getSession by Session => session::show(app, request), fails [StorageUnavailable];
        /// Sign out
        ///
        /// Revokes the session. With SESSION_COOKIE on, the refresh cookie also names the session,
        /// and the answer removes the cookies.
        DELETE signOut by Session => session::sign_out(app, request),
            logs SessionEnded, fails [StorageUnavailable];
    }

    Refresh "/session/refresh" in session {
        /// Refresh the session
        ///
        /// Spends the refresh token and returns the next one with a new session token. The body
        /// carries refreshToken. With SESSION_COOKIE on, the cookie may carry it instead: then the
        /// body has no refreshToken, or is absent.
        POST refreshSession by Anyone takes body::MAX_BYTES => session::refresh(app, request),
            logs SessionRefreshed,
            fails [
                RefreshRejected, RefreshReused, InvalidDpopProof, UseDpopNonce, RateLimited,
                StorageUnavailable
            ];
    }

    Sessions "/sessions" in session {
        /// List the user's sessions
        ///
        /// The live sessions, the newest first.
        GET listSessions by Session => session_list::list(app, request), fails [StorageUnavailable];
        /// Sign out everywhere
        ///
        /// Revokes all sessions of the user, this one included.
        DELETE signOutEverywhere by Session => session_list::revoke_all(app, request),
            logs SessionsEnded,
            fails [StorageUnavailable];
    }

    OneSession "/sessions/{sid}" in session {
        /// Revoke one of the user's sessions
        ///
        /// It may be this one.
        DELETE endSession by Session => session_list::revoke_one(app, request, name),
            logs SessionEnded,
            fails [NotFound, StorageUnavailable];
    }

    Me "/me" in user {
        /// Read the user's record
        ///
        /// The user, the purchases to deliver, and the app's data for this user.
        GET getMe by Session => user::show(app, request), fails [StorageUnavailable];
        /// Erase the user
        ///
        /// Deletes the user, the data and the sessions. Payments stay without the user's name.
        DELETE eraseMe by Session => user::erase(app, request),
            logs UserErased,
            fails [RateLimited, StorageUnavailable];
    }

    Data "/me/data" in user {
        /// Read the app's JSON object for this user
        ///
        /// While there is none, the answer is {} without an ETag.
        GET getData by Session => data::show(app, request), fails [StorageUnavailable];
        /// Replace the app's JSON object for this user
        ///
        /// Once there is an object, If-Match must name it.
        PUT putData by Session takes data::MAX_BYTES => data::replace(app, request),
            logs DataReplaced,
            fails [PreconditionFailed, PreconditionRequired, RateLimited, StorageUnavailable];
    }

    Products "/products" in payments {
        /// List the products for sale
        ///
        /// Prices are in Pi, as decimal text.
        GET listProducts by Anyone => order::products(app, request),
            fails [RateLimited, StorageUnavailable];
    }

    Orders "/orders" in payments {
        /// Order a product
        ///
        /// Stores the order at the current price. Pass its amount, memo and metadata to
        /// Pi.createPayment unchanged.
        POST createOrder by Session takes body::MAX_BYTES => order::create(app, request, entropy),
            logs OrderMade,
            fails [ProductNotFound, IdempotencyKeyReused, RateLimited, StorageUnavailable];
    }

    OneOrder "/orders/{orderId}" in payments {
        /// Read one of the user's orders
        ///
        /// With its payment, once Pi has approved it.
        GET getOrder by Session => order::show(app, request, name),
            fails [OrderNotFound, StorageUnavailable];
    }

    Payments "/payments" in payments {
        /// List the user's payments
        ///
        /// The payments that Pi has approved, or that were cancelled, the newest first.
        GET listPayments by Session => payment::list(app, request), fails [StorageUnavailable];
    }

    ApprovePayment "/payments/{paymentId}/approve" in payments {
        /// Have Pi approve a payment
        ///
        /// For onReadyForServerApproval. The Worker compares the payment with its order first.
        POST approvePayment by Session => payment::take(app, request, name, Step::Approve),
            logs PaymentApproved,
            fails [
                PaymentNotYours, PaymentNotFound, OrderAlreadyPaid, OrderExpired, PaymentCancelled,
                PaymentHasTransaction, PaymentMismatch, TxidMismatch, RateLimited, PiRefused,
                UpstreamInvalid, UpstreamUnavailable, StorageUnavailable, UpstreamTimeout
            ];
    }

    CompletePayment "/payments/{paymentId}/complete" in payments {
        /// Have Pi complete a payment
        ///
        /// For onReadyForServerCompletion. Only Pi's answer makes a payment paid.
        POST completePayment by Session takes body::MAX_BYTES
            => payment::take(app, request, name, Step::Complete),
            logs PaymentPaid,
            fails [
                PaymentNotYours, PaymentNotFound, OrderAlreadyPaid, PaymentCancelled,
                PaymentHasTransaction, PaymentMismatch, TxidMismatch, RateLimited, PiRefused,
                UpstreamInvalid, UpstreamUnavailable, StorageUnavailable, UpstreamTimeout
            ];
    }

    CancelPayment "/payments/{paymentId}/cancel" in payments {
        /// Cancel a payment without a transaction
        ///
        /// For onCancel. A payment with a transaction cannot be cancelled.
        POST cancelPayment by Session => payment::take(app, request, name, Step::Cancel),
            logs PaymentCancelled,
            fails [
                PaymentNotYours, PaymentNotFound, OrderAlreadyPaid, PaymentCancelled,
                PaymentHasTransaction, PaymentMismatch, TxidMismatch, RateLimited, PiRefused,
                UpstreamInvalid, UpstreamUnavailable, StorageUnavailable, UpstreamTimeout
            ];
    }

    RecoverPayment "/payments/{paymentId}/recover" in payments {
        /// Complete or cancel an unfinished payment
        ///
        /// For onIncompletePaymentFound. Completes a payment with a transaction, and cancels one
        /// without.
        POST recoverPayment by Session => payment::take(app, request, name, Step::Recover),
            fails [
                PaymentNotYours, PaymentNotFound, OrderAlreadyPaid, PaymentCancelled,
                PaymentHasTransaction, PaymentMismatch, TxidMismatch, RateLimited, PiRefused,
                UpstreamInvalid, UpstreamUnavailable, StorageUnavailable, UpstreamTimeout
            ];
    }

    Ad "/ads/{adId}/claim" in payments {
        /// Claim a rewarded ad
        ///
        /// Grants the reward once, to the first user who claims it. A repeat by the same user
        /// returns the same answer.
        POST claimAd by Session => ad::claim(app, request, name),
            logs AdClaimed,
            fails [
                AdAlreadyClaimed, AdNotGranted, RateLimited, PiRefused, UpstreamInvalid,
                UpstreamUnavailable, StorageUnavailable, UpstreamTimeout
            ];
    }

    Jwks "/.well-known/jwks.json" in discovery {
        /// Read the public keys
        ///
        /// A JWK Set (RFC 7517) with the keys of every state.
        GET getKeys by Anyone => keys::jwks(app.settings, request.headers()),
            logs PollServed, fails [];
    }

    Revocations "/revocations" in discovery {
        /// Read the feed of revoked sessions
        ///
        /// A signed window of it, for verifiers that work offline: all of it, or what was revoked
        /// after the number `after`.
        GET getRevocations by Anyone => revocations::feed(app, request),
            logs PollServed,
            fails [InvalidRequest, RateLimited, StorageUnavailable];
    }

    OpenApi "/openapi.json" in discovery {
        /// Read this document
        ///
        /// OpenAPI 3.1.
        GET getDocument by Anyone => openapi::document(request.headers()),
            logs PollServed, fails [];
    }

    Root "/" in discovery {
        /// Describe the service
        ///
        /// For a person who opens the Worker's address.
        GET getService by Anyone => health::introduce(app), fails [];
    }

    Health "/health" in discovery {
        /// Check that the Worker runs
        ///
        /// It also answers if settings are missing.
        GET getHealth by Anyone => health::show(),
            logs PollServed, fails [];
    }

    Introspect "/introspect" in backends {
        /// Introspect a session token
        ///
        /// RFC 7662: the claims of the token, if it is valid and its session is live.
        POST introspect by Backend takes body::MAX_BYTES => backend::introspect(app, request),
            logs BackendIntrospected,
            fails [StorageUnavailable];
    }

    User "/users/{uid}" in backends {
        /// Read a user's record
        ///
        /// As GET /me shows it.
        GET getUser by Backend => backend::show_user(app, request, name),
            logs BackendRead,
            fails [NotFound, StorageUnavailable];
    }

    UserPayments "/users/{uid}/payments" in backends {
        /// List a user's payments
        ///
        /// As GET /payments shows them.
        GET listUserPayments by Backend => backend::show_payments(app, request, name),
            logs BackendRead,
            fails [NotFound, StorageUnavailable];
    }

    RevokeUser "/users/{uid}/revoke" in backends {
        /// Revoke all sessions of a user
        ///
        /// A user who is unknown or was erased has none.
        POST revokeUser by Backend => backend::revoke_user(app, request, entropy, name),
            logs BackendRevoked,
            fails [NotFound, StorageUnavailable];
    }

    RevokeAll "/revoke-all" in backends {
        /// Revoke all sessions of all users
        ///
        /// Every user has to sign in again.
        POST revokeAll by Backend => backend::revoke_everyone(app, request, entropy),
            logs BackendRevokedAll,
            fails [StorageUnavailable];
    }

    Notifications "/notifications" in backends {
        /// Send in-app notifications
        ///
        /// Passes them on to Pi, which delivers them to users who have agreed.
        POST sendNotifications by Backend takes notification::MAX_BYTES
            => notification::notify(app, request, entropy),
            logs NotificationsSent,
            fails [
                PiRefused, UpstreamInvalid, UpstreamUnavailable, UpstreamTimeout, StorageUnavailable
            ];
    }

    OperatorSession "/admin/session" in operators {
        /// Sign in as an operator
        ///
        /// Exchanges an operator's credential for a token of an hour. Asks neither the database nor
        /// Pi.
        POST signInOperator by Operator => operator_session::sign_in(app, admitted, request.headers()),
            logs OperatorSignedIn,
            fails [];
        /// Show the operator
        ///
        /// The name and the role, and when the token expires if the request came with one.
        GET getOperator by Operator => async { Ok(operator_session::show(admitted)) }, fails [];
    }

    Overview "/admin/overview" in operators {
        /// Show the numbers, and what needs an operator
        ///
        /// Today, the same day a week ago, a series of the range, and the last scheduled run. If
        /// the database lacks a migration, the answer says so, and has no numbers.
        GET getOverview by Operator => overview::show(app, admitted, request),
            fails [InvalidRequest, StorageUnavailable];
    }

    People "/admin/users" in operators {
        /// List or search the users
        ///
        /// Those who came last first. With q, the user with that uid, then those whose name begins
        /// with it.
        GET listUsers by Operator => people::list(app, request),
            fails [InvalidRequest, StorageUnavailable];
    }

    Person "/admin/users/{uid}" in operators {
        /// Read a user
        ///
        /// With the size and the version of the app's data, not the data.
        GET getOneUser by Operator => people::show(app, name),
            fails [NotFound, StorageUnavailable];
        /// Erase any user
        ///
        /// As DELETE /me does. The query confirms it with the uid. The audit keeps the uid.
        DELETE eraseUser by Owner => erasure::erase(app, admitted, request, entropy, name),
            logs OperatorErased,
            fails [InvalidRequest, NotFound, ConfirmationRequired, StorageUnavailable];
    }

    PersonSessions "/admin/users/{uid}/sessions" in operators {
        /// List the live sessions of a user
        ///
        /// The newest first.
        GET listSessionsOfUser by Operator => people::sessions(app, name),
            fails [NotFound, StorageUnavailable];
    }

    PersonPayments "/admin/users/{uid}/payments" in operators {
        /// List the payments of a user
        ///
        /// The last changed first, in every state.
        GET listPaymentsOfUser by Operator => people::payments(app, request, name),
            fails [InvalidRequest, NotFound, StorageUnavailable];
    }

    AllPayments "/admin/payments" in operators {
        /// List or search the payments
        ///
        /// The newest first; the stuck ones, the oldest first. With q, those with that id, order or
        /// transaction.
        GET listAllPayments by Operator => operator_payments::list(app, request),
            fails [InvalidRequest, StorageUnavailable];
    }

    OnePayment "/admin/payments/{paymentId}" in operators {
        /// Read a payment
        ///
        /// With its order and its timeline.
        GET getPayment by Operator => operator_payments::show(app, name),
            fails [NotFound, StorageUnavailable];
    }

    AllProducts "/admin/products" in operators {
        /// List all products
        ///
        /// Also those that are not for sale.
        GET listAllProducts by Operator => operator_products::list(app),
            fails [StorageUnavailable];
        /// Add a product
        ///
        /// It is for sale immediately.
        POST addProduct by Owner takes body::MAX_BYTES => offer::add(app, admitted, request, entropy),
            logs OperatorAddedProduct,
            fails [ProductExists, StorageUnavailable];
    }

    SettingsInForce "/admin/settings" in operators {
        /// Show the settings
        ///
        /// The values of vars, and whether each secret and binding is set. No secret is shown.
        GET getSettings by Operator => deployment::settings(app),
            fails [StorageUnavailable];
    }

    KeyStates "/admin/keys" in operators {
        /// Show the keys
        ///
        /// The public keys with their states and ages.
        GET getKeyStates by Operator => deployment::keys(app), fails [];
    }

    Audit "/admin/audit" in operators {
        /// List what operators and backends did
        ///
        /// The newest entries first.
        GET listAudit by Operator => audit_list::list(app, request),
            fails [InvalidRequest, StorageUnavailable];
    }

    // The deeds of operators.

    AdminSession "/admin/sessions/{sid}" in operators {
        /// Revoke a session of any user
        ///
        /// The user's other sessions stay live.
        DELETE revokeSession by Owner => revocation::session(app, admitted, entropy, name),
            logs OperatorEndedSession,
            fails [NotFound, StorageUnavailable];
    }

    AdminRevokeUser "/admin/users/{uid}/revoke" in operators {
        /// Revoke all sessions of any user
        ///
        /// The user can sign in again.
        POST revokeSessionsOfUser by Owner => revocation::user(app, admitted, entropy, name),
            logs OperatorEndedSessions,
            fails [NotFound, StorageUnavailable];
    }

    AdminBlock "/admin/users/{uid}/block" in operators {
        /// Block a user
        ///
        /// Revokes all sessions of the user, and refuses the user's sign-ins. At Pi, a person has a
        /// new uid after withdrawing the consent and giving it again.
        POST blockUser by Owner takes body::MAX_BYTES => block::block(app, admitted, request, entropy, name),
            logs OperatorBlocked,
            fails [NotFound, StorageUnavailable];
    }

    AdminUnblock "/admin/users/{uid}/unblock" in operators {
        /// Unblock a user
        ///
        /// The user can sign in again.
        POST unblockUser by Owner => block::unblock(app, admitted, entropy, name),
            logs OperatorUnblocked,
            fails [NotFound, StorageUnavailable];
    }

    AdminUserData "/admin/users/{uid}/data" in operators {
        /// Read the app's JSON object for any user
        ///
        /// The audit gets an entry about it.
        GET getDataOfUser by Owner => disclosure::data(app, admitted, entropy, name),
            logs OperatorReadData,
            fails [NotFound, StorageUnavailable];
    }

    AdminExport "/admin/users/{uid}/export" in operators {
        /// Export everything that is stored about a user
        ///
        /// For a user who asks for it. The audit gets an entry about it.
        GET exportUser by Owner => disclosure::export(app, admitted, entropy, name),
            logs OperatorExported,
            fails [NotFound, StorageUnavailable];
    }

    AdminSettle "/admin/payments/{paymentId}/settle" in operators {
        /// Complete or cancel a payment as Pi's record allows
        ///
        /// As a scheduled run does, immediately. A payment that still waits for its user stays as
        /// it is.
        POST settlePayment by Owner
            => settle::take(app, admitted, entropy, name, settle::Step::Settle),
            logs OperatorSettled,
            fails [
                NotFound, PaymentNotYours, PaymentNotFound, PaymentCancelled,
                PaymentHasTransaction, PaymentMismatch, TxidMismatch, PiRefused, UpstreamInvalid,
                UpstreamUnavailable, StorageUnavailable, UpstreamTimeout
            ];
    }

    AdminCancel "/admin/payments/{paymentId}/cancel" in operators {
        /// Cancel any payment without a transaction
        ///
        /// A payment with a transaction cannot be cancelled, and Pi has no refund.
        POST cancelPaymentOfUser by Owner
            => settle::take(app, admitted, entropy, name, settle::Step::Cancel),
            logs OperatorCancelled,
            fails [
                NotFound, PaymentNotFound, PaymentCancelled, PaymentHasTransaction,
                PaymentMismatch, TxidMismatch, PiRefused, UpstreamInvalid, UpstreamUnavailable,
                StorageUnavailable, UpstreamTimeout
            ];
    }

    AdminProduct "/admin/products/{productId}" in operators {
        /// Change a product
        ///
        /// Its price, or whether it is for sale. Orders that exist keep their price.
        PATCH changeProduct by Owner takes body::MAX_BYTES
            => offer::change(app, admitted, request, entropy, name),
            logs OperatorChangedProduct,
            fails [ProductNotFound, StorageUnavailable];
    }

    AdminRevokeAll "/admin/revoke-all" in operators {
        /// Revoke all sessions of everybody
        ///
        /// Every user has to sign in again. The body confirms it with the value of
        /// SESSION_AUDIENCE.
        POST revokeEverySession by Owner takes body::MAX_BYTES
            => revocation::everyone(app, admitted, request, entropy),
            logs OperatorEndedEveryone,
            fails [ConfirmationRequired, StorageUnavailable];
    }

    Console "/console" in operators {
        /// Open the console
        ///
        /// A page for operators. It has no secrets: an operator signs in on it.
        GET getConsole by Anyone => console::document(), fails [];
    }

    ConsoleFile "/console/{name}" in operators {
        /// Load a file of the console
        ///
        /// A script or a style sheet, with a hash of its text in its name.
        GET getConsoleFile by Anyone => console::file(app, name), fails [NotFound];
    }
}

/// A path of the table. `{…}` stands for a name, which is any text without a slash.
struct Pattern {
    before: &'static str,
    /// None if the path has no name.
    after: Option<&'static str>,
}

impl Pattern {
    #[expect(clippy::indexing_slicing, reason = "the table is read when it is compiled")]
    const fn new(path: &'static str) -> Self {
        let bytes = path.as_bytes();
        let (mut open, mut close) = (0, 0);
        while open < bytes.len() && bytes[open] != b'{' {
            open += 1;
        }
        while close < bytes.len() && bytes[close] != b'}' {
            close += 1;
        }
        if open == bytes.len() {
            return Self { before: path, after: None };
        }
        Self { before: path.split_at(open).0, after: Some(path.split_at(close + 1).1) }
    }

    /// The name in a path that has this pattern; empty if the pattern has no name.
    fn name_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.after {
            None => (path == self.before).then_some(""),
            Some(after) => path
                .strip_prefix(self.before)?
                .strip_suffix(after)
                .filter(|name| !name.contains('/')),
        }
    }
}

impl Route {
    /// The route of a path, and the name in it.
    pub(super) fn of(path: &str) -> Option<(Self, &str)> {
        ROUTES.iter().find_map(|(route, pattern)| Some((*route, pattern.name_in(path)?)))
    }

    /// The same, if this deployment serves the route. Any other route is as unknown as a path
    /// without one.
    pub(super) fn served<'a>(settings: &Settings, path: &'a str) -> Option<(Self, &'a str)> {
        Self::of(path).filter(|(route, _)| match route {
            Self::Health => true,
            route if route.is_for_operators() => settings.operators.is_some(),
            _ => settings.serves != Serves::Admin,
        })
    }

    /// Whether the route is for operators.
    fn is_for_operators(self) -> bool {
        ["/admin/", "/console"].iter().any(|start| self.path().starts_with(start))
    }
}

/// The allowed origin of the request, if it names one. No page of another origin may act for an
/// operator, not even one that may act for users.
///
/// # Errors
/// [`Error::OriginNotAllowed`], [`Error::OriginNotIssuer`].
pub(super) fn origin(
    settings: &Settings,
    route: Option<(Route, &str)>,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, Error> {
    if route.is_some_and(|(route, _)| route.is_for_operators()) {
        browser::own_origin(settings, headers)
    } else {
        browser::origin(settings, headers)
    }
}

/// HEAD is GET without the body, which `finish` removes.
fn plain(method: &Method) -> &Method {
    if *method == Method::HEAD { &Method::GET } else { method }
}

/// The event of a success at a route.
pub(super) fn event(route: Option<(Route, &str)>, method: &Method) -> Event {
    route.map_or(Event::RequestServed, |(route, _)| route.event(plain(method)))
}

/// The answer of a route, if there is one at the request's path.
pub(super) async fn serve<P: Ports>(
    app: &App<'_, P>,
    route: Option<(Route, &str)>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    let route = route.ok_or(Error::NotFound)?;
    // The routes of operators read no cookie.
    if !route.0.is_for_operators() {
        browser::guard_cookies(app.settings, request)?;
    }
    let (caller, _) = route.0.limits(plain(request.method()));
    let admitted = match caller.role() {
        Some(role) => Some(operator::admit(app, request.headers(), role).await?),
        None => None,
    };
    dispatch(app, admitted.as_ref(), request, entropy, route).await
}

/// The most bytes of body that the request may have, for an edge that asks before it reads them. It
/// is 0 if the response does not depend on the body: a caller without a valid credential must not
/// make the Worker read one.
pub fn body_limit<P: Ports>(app: &App<'_, P>, request: &Request<Vec<u8>>) -> usize {
    let Some(route) = Route::served(app.settings, request.uri().path()) else { return 0 };
    let (caller, max_bytes) = route.0.limits(request.method());
    let headers = request.headers();
    let is_admitted = max_bytes > 0
        && match caller {
            Caller::Anyone => origin(app.settings, Some(route), headers).is_ok(),
            Caller::Session => credential::claims(app, request).is_ok(),
            Caller::Backend => credential::backend(app, headers).is_ok(),
            Caller::Operator | Caller::Owner => {
                caller.role().is_some_and(|role| operator::is_admitted(app, headers, role))
            }
        };
    if is_admitted { max_bytes } else { 0 }
}

/// A row of the table, for the documents.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The `operationId`.
    pub id: &'static str,
    /// The group to which it belongs.
    pub tag: &'static str,
    /// In upper case.
    pub method: &'static str,
    /// With names in braces.
    pub path: &'static str,
    /// The lines of its summary and of its description.
    text: &'static [&'static str],
    /// Who may call it.
    pub caller: Caller,
    /// The most bytes of its body; 0 for an operation without one.
    pub max_bytes: usize,
    /// The event of a success.
    pub event: Event,
    /// The codes that the handler adds to those of every operation.
    codes: &'static [Code],
}

#[cfg(not(target_arch = "wasm32"))]
impl Operation {
    /// One line, without a full stop.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.text.first().map_or("", |line| line.trim())
    }

    /// One or a few sentences.
    #[must_use]
    pub fn description(&self) -> String {
        let lines: Vec<&str> = self.text.iter().skip(1).map(|line| line.trim()).collect();
        lines.join(" ").trim().to_owned()
    }

    /// The codes of all problems with which it may answer.
    #[must_use]
    pub fn codes(&self) -> Vec<Code> {
        const EVERYWHERE: &[Code] = &[
            Code::AmbiguousCredentials,
            Code::OriginNotAllowed,
            Code::Misconfigured,
            Code::Internal,
        ];
        const BODY: &[Code] = &[
            Code::InvalidRequest,
            Code::RequestTimeout,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
        ];
        let credential: &[Code] = match self.caller {
            Caller::Anyone => &[],
            Caller::Session => &[
                Code::SessionMissing,
                Code::SessionInvalid,
                Code::SessionExpired,
                Code::SessionRevoked,
            ],
            Caller::Backend => &[Code::BackendRejected],
            Caller::Operator => &[Code::OperatorRejected, Code::RateLimited],
            Caller::Owner => &[Code::OperatorRejected, Code::OperatorForbidden, Code::RateLimited],
        };
        let body = if self.max_bytes > 0 { BODY } else { &[] };
        let mut codes = [EVERYWHERE, credential, body, self.codes].concat();
        codes.sort_unstable();
        codes
    }
}
