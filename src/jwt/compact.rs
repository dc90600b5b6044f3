//! `header.payload.signature` ([RFC 7515] §7.1): the size limit, exactly three parts, and base64url
//! in its one canonical spelling. The meaning of the parts is not here.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};

use super::Error;

/// The size that fits a cookie (RFC 6265 §6.1) and any proxy's header buffer. Tokens of this
/// service have about 600 bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// 64 bytes in base64url.
const SIGNATURE_CHARACTERS: usize = 86;

/// The parts of a token, still encoded.
pub(super) struct Parts<'a> {
    /// The signed text: header, dot, payload.
    pub(super) signed: &'a [u8],
    pub(super) header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

/// Splits a token of at most `limit` bytes at the first and the last dot. The decoder rejects
/// further dots.
pub(super) fn split(token: &[u8], limit: usize) -> Result<Parts<'_>, Error> {
    if token.len() > limit {
        return Err(Error::TooLong);
    }
    let last_dot = token.iter().rposition(|&byte| byte == b'.').ok_or(Error::Malformed)?;
    let (signed, signature) = token.split_at(last_dot);
    let first_dot = signed.iter().position(|&byte| byte == b'.').ok_or(Error::Malformed)?;
    let (header, payload) = signed.split_at(first_dot);
    // Both still begin with a dot.
    let (payload, signature) =
        (payload.get(1..).unwrap_or_default(), signature.get(1..).unwrap_or_default());
    if payload.is_empty() || signature.len() != SIGNATURE_CHARACTERS {
        return Err(Error::Malformed);
    }
    Ok(Parts { signed, header, payload, signature })
}

impl Parts<'_> {
    /// Decodes payload and signature. The decoder rejects padding, white space, other alphabets and
    /// stray trailing bits, so a token has only one spelling. It does not have to take constant
    /// time: the caller has the token and may read it.
    pub(super) fn decode(&self) -> Result<(Vec<u8>, [u8; 64]), Error> {
        let decode = |text| BASE64URL.decode(text).map_err(|_| Error::Malformed);
        let signature = decode(self.signature)?.try_into().map_err(|_| Error::Malformed)?;
        Ok((decode(self.payload)?, signature))
    }
}

/// The JWS Signing Input ([RFC 7515] §2): a token without its signature.
///
/// [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515#section-2
pub struct SigningInput(String);

impl SigningInput {
    /// The input for a token of at most `limit` bytes, from an encoded header and a payload.
    pub(super) fn new(header: &str, payload: &[u8], limit: usize) -> Result<Self, Error> {
        let length = header.len() + 1 + (payload.len() * 4).div_ceil(3) + 1 + SIGNATURE_CHARACTERS;
        if length > limit {
            return Err(Error::TooLong);
        }
        let mut text = String::with_capacity(length);
        text.push_str(header);
        text.push('.');
        BASE64URL.encode_string(payload, &mut text);
        Ok(Self(text))
    }

    /// The text to sign.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The token with this signature.
    #[must_use]
    pub fn signed(self, signature: &[u8; 64]) -> String {
        let mut token = self.0;
        token.push('.');
        BASE64URL.encode_string(signature, &mut token);
        token
    }
}
