//! `Idempotency-Key` ([draft-ietf-httpapi-idempotency-key-header]): the header with which a client
//! marks a request as a repeat of an earlier one whose answer was lost.
//!
//! [draft-ietf-httpapi-idempotency-key-header]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/

use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::identifier::Identifier;

/// A UUID has 36 characters. 64 leave room for any other random value.
const MAX_CHARACTERS: usize = 64;

/// The request's key, if it has one.
///
/// # Errors
/// [`Error::InvalidRequest`].
pub(super) fn key(headers: &HeaderMap) -> Result<Option<Identifier>, Error> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().and_then(|text| Identifier::parse(text.to_owned()));
    let key = key.filter(|key| key.as_str().len() <= MAX_CHARACTERS && values.next().is_none());
    key.map(Some).ok_or(Error::InvalidRequest(
        "Idempotency-Key is not valid. Send it once, with 1 to 64 characters of A-Z a-z 0-9 _ -.",
    ))
}

/// The id of the session or order that a request with a key creates: the same at each repeat. The
/// owner is part of it, so that no user can reach another user's. So is `request`: further content
/// that a repeat must share with the first try.
pub(super) fn id(purpose: &str, owner: &Identifier, key: &Identifier, request: &str) -> Identifier {
    // No part contains a line break, so two different requests never become the same text.
    let digest = Sha256::digest(format!("{purpose}\n{owner}\n{key}\n{request}"));
    Identifier::from_entropy(owner, digest.first_chunk().copied().unwrap_or_default())
}
