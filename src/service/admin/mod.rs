//! The routes of operators: the people who run the app. [`operator`] is the guard that every
//! handler here calls first, except those of the page ([`console`]), which has no secrets.

pub(super) mod audit_list;
pub(super) mod block;
pub(super) mod console;
pub(super) mod cursor;
pub(super) mod deeds;
pub(super) mod deployment;
pub(super) mod disclosure;
pub(super) mod erasure;
mod list;
mod needs;
mod object;
pub(super) mod offer;
pub(super) mod operator;
pub(super) mod operators;
pub(super) mod overview;
pub(super) mod payments;
pub(super) mod people;
pub(super) mod products;
pub(super) mod records;
pub(super) mod revocation;
pub(super) mod session;
pub(super) mod settle;
mod summary;
