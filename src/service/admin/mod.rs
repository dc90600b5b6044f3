//! The routes of operators: the people who run the app. [`operator`] is the guard that every handler
//! here calls first.

pub(super) mod deeds;
pub(super) mod operator;
pub(super) mod operators;
pub(super) mod revocation;
pub(super) mod session;
