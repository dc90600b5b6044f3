//! Why a token or a key was rejected. No variant contains its text.

/// Why a token was rejected, or could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Longer than [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    #[error("the token is longer than 4096 bytes")]
    TooLong,
    /// Not three parts, or not strict base64url without padding.
    #[error("the token is not a compact JWS in strict base64url")]
    Malformed,
    /// The header is not, byte for byte, a header of a known key.
    #[error("the header is not one of a known key")]
    UnknownKey,
    /// The signature is not valid, or is not in its one canonical form.
    #[error("the signature is not valid")]
    Signature,
    /// The payload is not one JSON object; or it has duplicate names, a missing claim, a claim with
    /// a wrong type, or an impossible value such as a lifetime over the maximum.
    #[error("the claims are malformed")]
    Claims,
    /// `iss` is another issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` is another audience.
    #[error("the token is for another audience")]
    Audience,
    /// `iat` or `nbf` is further ahead than the clock tolerance.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `exp` has passed, the clock tolerance included.
    #[error("the token has expired")]
    Expired,
    /// The revocation feed names the session, its user or an epoch after the token was issued.
    #[error("the session was revoked")]
    Revoked,
    /// The window of the revocation feed begins after the last one that is known.
    #[error("a window of the revocation feed is missing")]
    Gap,
}

impl Error {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "bad_signature",
            Self::Claims => "invalid_claims",
            Self::Issuer => "wrong_issuer",
            Self::Audience => "wrong_audience",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Gap => "window_missing",
        }
    }
}

/// Why a key or a set of keys was rejected at import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a JSON object with an array `keys`, duplicate names included.
    #[error("not a JSON object with an array \"keys\" of JSON Web Keys")]
    Malformed,
    /// A key is not an Ed25519 JWK (`kty` OKP, `crv` Ed25519), or is not meant for signatures.
    #[error("a key is not an Ed25519 signature key")]
    NotEd25519,
    /// `x` or `d` is not 32 bytes in base64url without padding, or `x` is not a canonical point of
    /// large order, or `d` belongs to another `x`.
    #[error("a key's \"x\" or \"d\" is not a valid Ed25519 key")]
    Unsound,
    /// `kid` is not the RFC 7638 thumbprint of the key.
    #[error("a key's \"kid\" is not its RFC 7638 thumbprint")]
    WrongKeyId,
    /// Two keys have one `kid`.
    #[error("two keys have the same \"kid\"")]
    DuplicateKeyId,
    /// A public set contains a private member.
    #[error("a public key set contains a private key")]
    Private,
    /// The `state` of a key is not `next`, `active` or `retired`.
    #[error("each key needs a \"state\" of next, active or retired")]
    State,
    /// The active key lacks `d`.
    #[error("the active key needs its private member \"d\"")]
    NoPrivateKey,
    /// In the set of coming keys, a `state` is not `next`.
    #[error("each key needs the \"state\" next")]
    NotNext,
    /// There is no key, or more than one, with the state `active`.
    #[error("exactly one key must be active")]
    NotOneActive,
    /// The set has no usable key.
    #[error("the set has no Ed25519 key")]
    Empty,
    /// The set has more keys than [`KeySet::MAX_KEYS`](super::KeySet::MAX_KEYS).
    #[error("the set has more than 100 keys")]
    TooMany,
}
