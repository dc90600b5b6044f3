//! The arguments of a handler: the settings and the ports, the random bytes of its request, and the
//! facts that it notes for the log.

use std::cell::Cell;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};

use super::{
    error::Error,
    limit::Limiter,
    log::{Facts, Spent},
    memory::Memory,
    settings::Settings,
    signer::Signer,
    store::Store,
};
use crate::{
    identifier::Identifier,
    jwt::{self, SigningInput},
    pi::Transport,
    time::UnixTime,
};

/// Tells the time.
pub trait Clock {
    /// The current time. A handler asks again after each wait: a fact that was true before Pi
    /// answered may no longer be true.
    fn now(&self) -> UnixTime;

    /// The time and the calls that the request has taken so far.
    fn spent(&self) -> Spent {
        Spent::default()
    }
}

/// The ports: what the service needs from the platform that runs it.
pub trait Ports {
    /// Tells the time.
    type Clock: Clock;
    /// Stores users, sessions, orders and payments.
    type Store: Store;
    /// Sends requests to Pi.
    type Transport: Transport;
    /// Counts attempts.
    type Limiter: Limiter;
    /// Signs tokens and checks proofs.
    type Signer: Signer;
}

/// The settings and the ports of one deployment, and the facts about one request.
pub struct App<'a, P: Ports> {
    /// Parsed once, and kept for as long as the process lives.
    pub settings: &'a Settings,
    /// Kept for as long as the settings.
    pub memory: &'a Memory,
    /// Tells the time.
    pub clock: P::Clock,
    /// Stores users, sessions, orders and payments.
    pub store: P::Store,
    /// Sends requests to Pi.
    pub transport: P::Transport,
    /// Counts attempts.
    pub limiter: P::Limiter,
    /// Signs tokens and checks proofs.
    pub signer: P::Signer,
    /// Whether the console has a file with this name, whose text the edge adds to the response.
    pub has_console_file: fn(&str) -> bool,
    /// The facts about the request that is being answered.
    pub facts: Cell<Facts>,
}

impl<P: Ports> App<'_, P> {
    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Notes a fact about the request, for the log.
    pub(super) fn note(&self, note: impl Fn(&mut Facts)) {
        note_in(&self.facts, &note);
    }

    /// Signs an input that was made for the active key.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub(super) async fn sign(
        &self,
        input: Result<SigningInput, jwt::Error>,
    ) -> Result<String, Error> {
        let input = input.map_err(|_| Error::Internal("a token or feed is over its size limit"))?;
        let signature = self.signer.sign(input.as_bytes()).await;
        Ok(input.signed(&signature.ok_or(Error::Internal("the platform did not sign"))?))
    }
}

/// Not generic, so that the wasm contains it once.
#[inline(never)]
fn note_in(facts: &Cell<Facts>, note: &dyn Fn(&mut Facts)) {
    let mut noted = facts.take();
    note(&mut noted);
    facts.set(noted);
}

/// The random bytes of one request, from a cryptographically secure generator.
#[derive(Clone, Copy)]
pub struct Entropy {
    request_id: [u8; 12],
    id: [u8; 16],
}

impl Entropy {
    /// The number of bytes that a request needs.
    pub const BYTES: usize = 28;

    /// Divides the bytes: 96 bits for the request's id in a log, 128 bits for a session or an
    /// order.
    #[must_use]
    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        let (request_id, id) = bytes.split_at(12);
        // The lengths are those of the fields, so the defaults are never used.
        Self {
            request_id: request_id.try_into().unwrap_or_default(),
            id: id.try_into().unwrap_or_default(),
        }
    }

    pub(super) fn request_id(&self) -> String {
        BASE64URL.encode(self.request_id)
    }

    /// The id of a session or an order of this user that the request creates.
    pub(super) fn id(&self, uid: &Identifier) -> Identifier {
        Identifier::from_entropy(uid, self.id)
    }
}
