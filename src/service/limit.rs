//! Rate limits: how often a client, a user or a session may try something. A separate binding
//! counts each kind. The table of [`Limit`] has the reason for each limit and its default.

/// A kind of request that is counted. The defaults are those of `wrangler.toml`, where a deployment
/// changes them. A day has 1,440 minutes.
///
/// | limit | counts | by | a minute | because |
/// |---|---|---|---|---|
/// | `SIGN_IN_LIMIT` | access tokens that Pi is asked about; refresh tokens that are not ours; wrong credentials of operators | address | 300 | One address of a mobile network may have thousands of people, each of whom signs in once a day. |
/// | `USER_SIGN_IN_LIMIT` | sign-ins | user or operator | 10 | A person signs in once a day on each device; each sign-in beyond `MAX_SESSIONS_PER_USER` puts one more session into the revocation feed. |
/// | `REFRESH_LIMIT` | refresh tokens that are ours | session | 30 | A session is refreshed every ten minutes, and each of its tabs may try again after a lost answer. |
/// | `ORDER_LIMIT` | orders | session | 20 | A person who buys decides every few seconds at most. |
/// | `PAYMENT_LIMIT` | steps of payments | user | 60 | Pi's SDK repeats a step every ten seconds; each may ask Pi five times, with the app's key. |
/// | `AD_LIMIT` | claims of ads | user | 20 | An ad takes fifteen seconds; each claim may ask Pi three times, with the app's key. |
/// | `WRITE_LIMIT` | writes of data, and erasures | session | 60 | A game that saves every second. |
/// | `READ_LIMIT` | reads of the products and of the revocation feed | address | 600 | A verifier asks four times a minute, so one address has room for 150 of them. |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Access tokens, unproven refresh tokens and operators' wrong credentials, by address.
    SignIns,
    /// Sign-ins, by user or operator.
    UserSignIns,
    /// Refreshes, by session.
    Refreshes,
    /// Orders, by session.
    Orders,
    /// Steps of payments, by user.
    Payments,
    /// Claims of ads, by user.
    Ads,
    /// Writes of data and erasures, by session.
    Writes,
    /// Reads without a session that ask the database, by address.
    Reads,
}

impl Limit {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::SignIns,
        Self::UserSignIns,
        Self::Refreshes,
        Self::Orders,
        Self::Payments,
        Self::Ads,
        Self::Writes,
        Self::Reads,
    ];

    /// The name of the binding.
    #[must_use]
    pub const fn binding(self) -> &'static str {
        match self {
            Self::SignIns => "SIGN_IN_LIMIT",
            Self::UserSignIns => "USER_SIGN_IN_LIMIT",
            Self::Refreshes => "REFRESH_LIMIT",
            Self::Orders => "ORDER_LIMIT",
            Self::Payments => "PAYMENT_LIMIT",
            Self::Ads => "AD_LIMIT",
            Self::Writes => "WRITE_LIMIT",
            Self::Reads => "READ_LIMIT",
        }
    }
}

/// Counts requests by key, outside of the service.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Limiter {
    /// Whether one more request with this key is within the limit. A limiter that fails returns
    /// true: it protects against floods, and must not lock everybody out itself.
    async fn admits(&self, limit: Limit, key: &str) -> bool;

    /// Whether the limit applies: whether the platform has a counter for it.
    fn is_bound(&self, limit: Limit) -> bool;
}
