//! All tests that run on the host, in one binary: one link, and one place for what they share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail, and documents itself by its name"
)]

mod jwt;
mod limits;
mod openapi;
mod payment;
mod properties;
mod service;
mod settings;
mod simulator;
mod store;
mod support;
