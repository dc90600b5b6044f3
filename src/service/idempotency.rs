//! `Idempotency-Key` ([draft-ietf-httpapi-idempotency-key-header]): a value by which a client says that a request is a repeat
//! of one whose answer was lost.
//!
//! [draft-ietf-httpapi-idempotency-key-header]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/

use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::Error;
use crate::identifier::Identifier;

/// A UUID has 36 characters, and 64 leave room for any other random value.
const MAX_CHARACTERS: usize = 64;

/// The request's key, if it names one.
///
/// # Errors
/// [`Error::InvalidRequest`].
pub(super) fn key(headers: &HeaderMap) -> Result<Option<Identifier>, Error> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().and_then(|text| Identifier::parse(text.to_owned()));
    let key = key.filter(|key| key.as_str().len() <= MAX_CHARACTERS && values.next().is_none());
    key.map(Some).ok_or(Error::InvalidRequest(
        "Idempotency-Key must be sent once, and be 1 to 64 characters of A-Z a-z 0-9 _ -.",
    ))
}

/// The id of what a request begins that names a key: the same at each repeat. The owner is part of it, so that nobody can
/// meet another's, and so is `request`: what else a repeat has in common with the first try.
pub(super) fn id(purpose: &str, owner: &Identifier, key: &Identifier, request: &str) -> Identifier {
    // None of the parts has a line break, so that no two requests are one text.
    let digest = Sha256::digest(format!("{purpose}\n{owner}\n{key}\n{request}"));
    Identifier::from_entropy(digest.first_chunk().copied().unwrap_or_default())
}
