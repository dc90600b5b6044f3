//! What a process remembers between requests. It belongs to one set of settings and bindings, and
//! is dropped with them: nothing in it can be another deployment's.

use std::cell::RefCell;

use super::feed::Feed;

/// The memory of one deployment in one process.
#[derive(Debug, Default)]
pub struct Memory {
    /// The revocations.
    pub(super) feed: RefCell<Feed>,
}
