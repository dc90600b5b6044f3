//! Client of the Pi Platform API (`https://api.minepi.com/v2`, documented at
//! <https://github.com/pi-apps/pi-platform-docs>). It does no I/O: each endpoint has a function
//! that makes the request and one that reads the response, and a [`Transport`] carries them.
//!
//! | endpoint | here |
//! |---|---|
//! | `GET /v2/me` | [`me`](fn@me) |
//! | `GET /v2/payments/{id}`, `POST …/approve`, `…/complete`, `…/cancel` | [`Payments`] |
//! | `GET /v2/ads_network/status/{id}` | [`is_ad_granted`] |
//! | `POST /v2/in_app_notifications/notify` | [`notify`] |
//!
//! Pi has no webhooks, no refresh tokens and no second host for the sandbox.

mod ad;
mod amount;
mod answer;
mod error;
mod key;
mod me;
mod notification;
mod payment;

pub use ad::is_ad_granted;
pub use amount::Amount;
pub use error::{Error, Unreachable};
pub use key::{Refusal, ServerApiKey};
pub use me::{AccessToken, User};
pub use notification::{Notification, notify};
pub use payment::{Payment, Payments, Transaction, TxId};

use crate::time::UnixTime;

/// Sends requests to Pi.
///
/// An implementation must not follow redirects, because they would carry the token to another host.
/// It must give up after the request's [`Deadline`], with the body included, and must stop reading
/// at [`MAX_BODY_BYTES`].
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Transport {
    /// Sends the request and returns the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`Unreachable`] if there is no whole answer.
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, Unreachable>;
}

/// An extension of each request to Pi: the seconds within which the whole answer must arrive.
///
/// Pi documents no deadline. A page waits for twenty seconds, in which a step of a payment asks Pi
/// up to three times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub u32);

impl Deadline {
    /// For requests that the client soon repeats. A user has waited long after five seconds.
    pub(crate) const SHORT: Self = Self(5);
    /// For requests whose failure costs the user most. `/v2/me` has been seen to take more than
    /// five seconds, and its failure ends a sign-in. The step that completes a payment waits for
    /// the chain.
    pub(crate) const LONG: Self = Self(10);
}

/// The documented answers are under 2 KiB. 64 KiB leave room for additions.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Asks Pi for the user of this access token. `base` is Pi's origin, without a slash at its end.
/// `now` is called once the answer has arrived.
///
/// # Errors
/// Any [`Error`]. Only [`Error::Refused`] and [`Error::Expired`] are about the token.
pub async fn me(
    transport: &impl Transport,
    base: &str,
    token: &AccessToken,
    now: impl FnOnce() -> UnixTime,
) -> Result<User, Error> {
    let response = transport.send(me::request(base, token)?).await?;
    me::response(&response, now())
}
