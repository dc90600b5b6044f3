//! Signs the cursors of lists, so that a changed cursor, or one of another list, is refused.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::secret::Secret;

/// Separates these codes from others that derive from the same secret.
const PURPOSE: &[u8] = b"pioneer-session cursor\n";

/// The bytes of a code: half of an HMAC-SHA-256. Nobody finds one of 2^128 by trying.
const CODE_BYTES: usize = 16;

/// The key of the codes. `Debug` prints nothing of it.
#[derive(Clone)]
pub(in crate::service) struct CursorKey(Hmac<Sha256>);

impl CursorKey {
    /// Derives the key from this secret.
    pub(in crate::service) fn new(secret: &Secret) -> Option<Self> {
        Hmac::new_from_slice(secret.expose().as_bytes()).ok().map(Self)
    }

    /// A cursor with this text, for this scope only.
    pub(super) fn sign(&self, scope: &str, text: &str) -> String {
        let code = self.code(scope, text.as_bytes()).finalize().into_bytes();
        let code = code.get(..CODE_BYTES).unwrap_or_default();
        BASE64URL.encode([code, text.as_bytes()].concat())
    }

    /// The text of a cursor that was signed with this key for this scope.
    pub(super) fn open(&self, scope: &str, cursor: &str) -> Option<String> {
        let bytes = BASE64URL.decode(cursor).ok()?;
        let (code, text) = bytes.split_at_checked(CODE_BYTES)?;
        self.code(scope, text).verify_truncated_left(code).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    fn code(&self, scope: &str, text: &[u8]) -> Hmac<Sha256> {
        let mut code = self.0.clone();
        for part in [PURPOSE, scope.as_bytes(), text] {
            code.update(part);
        }
        code
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
