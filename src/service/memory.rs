//! What a process remembers between requests. It belongs to one set of settings and bindings, and
//! is dropped with them: nothing in it can be another deployment's.

/// The memory of one deployment in one process.
#[derive(Debug, Default)]
pub struct Memory {}
