//! Strict verification of Ed25519 ([RFC 8032]) over dalek's public API. Signing and the encoding of
//! keys are in `key`.
//!
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT};
use ed25519_dalek::Signature;
use sha2::{Digest, Sha512};

use super::table::{Table, sum_of_products};

/// A public key, with the tables that make verification fast after some use.
#[derive(Debug)]
pub struct PublicKey {
    key: ed25519_dalek::VerifyingKey,
    /// The table of its negative.
    table: OnceLock<Table>,
    uses: AtomicU32,
}

/// Preparing the tables takes as long as some hundred verifications save. A process that sees only
/// a few tokens works without them.
const USES_BEFORE_TABLES: u32 = 32;

impl PublicKey {
    /// The public key with these bytes, if they are the canonical encoding of a point of large
    /// order.
    ///
    /// A small-order key would accept one signature for every message.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).ok()?;
        let canonical = key.to_edwards().compress().as_bytes() == bytes;
        let (table, uses) = (OnceLock::new(), AtomicU32::new(0));
        (canonical && !key.is_weak()).then_some(Self { key, table, uses })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Prepares the tables now.
    pub fn warm(&self) {
        self.uses.store(USES_BEFORE_TABLES, Ordering::Relaxed);
        self.tables();
    }

    /// Whether the signature is valid. It rejects the cases that RFC 8032 leaves open: S and R must
    /// be canonical, and neither R nor the key may have small order. It does not take constant
    /// time, because everything here is public.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        if self.uses.fetch_add(1, Ordering::Relaxed) < USES_BEFORE_TABLES {
            return self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok();
        }
        self.verifies_with_tables(message, signature).unwrap_or(false)
    }

    /// RFC 8032 §5.1.7, without the cofactor: R must be the encoding of S·B - k·A. Only a canonical
    /// encoding can equal one that was just made, and a point equals R's only if it is of R's
    /// order.
    fn verifies_with_tables(&self, message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        let (r, s) = signature.split_first_chunk::<32>()?;
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        let hash =
            Sha512::new().chain_update(r).chain_update(self.as_bytes()).chain_update(message);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let (base, minus_key) = self.tables();
        let point: EdwardsPoint = sum_of_products(&s, base, &k, minus_key);
        Some(point.compress().as_bytes() == r && !point.is_small_order())
    }

    fn tables(&self) -> (&'static Table, &Table) {
        static BASE: OnceLock<Table> = OnceLock::new();
        let base = BASE.get_or_init(|| Table::new(ED25519_BASEPOINT_POINT));
        (base, self.table.get_or_init(|| Table::new(-self.key.to_edwards())))
    }
}
