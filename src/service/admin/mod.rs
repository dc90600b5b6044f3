//! The routes of operators: the people who run the app. [`operator`] is the guard that every handler
//! here calls first, except those of the page ([`console`]), which has no secrets.

pub(super) mod console;
pub(super) mod operator;
pub(super) mod operators;
pub(super) mod session;
