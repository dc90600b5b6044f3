//! The routes of operators: the people who run the app. [`operator`] is the guard that every handler
//! here calls first.

pub(super) mod block;
pub(super) mod deeds;
pub(super) mod disclosure;
pub(super) mod erasure;
pub(super) mod offer;
pub(super) mod operator;
pub(super) mod operators;
pub(super) mod revocation;
pub(super) mod session;
pub(super) mod settle;
