//! Sign-in for apps on Pi Network. Pi is asked once which user a token belongs to; from then on a
//! signed session says so, and any backend can verify it offline.
//!
//! This is one crate that is built in two ways. As a Cloudflare Worker (feature `worker`) it takes
//! the access token from Pi's frontend SDK, asks Pi's `GET /v2/me` which user it belongs to, and
//! returns a session token. As an npm package (feature `npm`) it verifies that token in Node, in
//! another Worker or in a browser. Feature `simulator` is a Pi Platform in memory, for tests and
//! for development.
//!
//! It is not a general JWT library (it has one algorithm, one header, one issuer), an OAuth server
//! or a wallet.
//!
//! ```text
//!       worker ───► service ───► session · payment · dpop · audit
//!                     ├────────► jwt ◄──────── npm
//!                     └────────► pi  ◄──────── simulator
//! ```
//!
//! Every arrow is an import, and there are no others (`payment` also uses the types of `pi`). The
//! leaves do not know each other, and take time, randomness, storage, network and signatures as
//! arguments. `tests/layers.rs` checks this.

#[cfg(all(target_arch = "wasm32", feature = "worker", feature = "npm"))]
compile_error!(
    "build `worker` and `npm` apart: what one exports for its JavaScript is no part of the other"
);
#[cfg(all(
    target_arch = "wasm32",
    feature = "simulator",
    any(feature = "worker", feature = "npm")
))]
compile_error!("build `simulator` apart: it must never be part of what is deployed or published");

pub mod identifier;
pub mod json;
pub mod secret;
pub mod time;

pub mod audit;
pub mod dpop;
pub mod jwt;
pub mod payment;
pub mod pi;
pub mod session;

pub mod service;

#[cfg(all(target_arch = "wasm32", feature = "npm"))]
pub mod npm;
#[cfg(feature = "simulator")]
pub mod simulator;
#[cfg(all(target_arch = "wasm32", feature = "worker"))]
pub mod worker;
