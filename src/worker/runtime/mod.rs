//! How wasm and JavaScript run a job together: the only code that knows both languages.
//!
//! The runtime calls `entry.mjs` with a request or a scheduled event. That begins a job: a future
//! that Rust polls. A job runs until it needs something that only JavaScript can do (read a body,
//! fetch, query D1, sign, count). JavaScript awaits it, then polls the job again with the result.
//!
//! ```text
//! runtime        entry.mjs                           job.rs, host.rs           the service
//!    │ fetch()       │                                     │                        │
//!    ├──────────────►│ begin(id, length, now)              │                        │
//!    │               ├────────────────────────────────────►│ poll                   │
//!    │               │                                     ├───────────────────────►│ handle()
//!    │               │               host.mjs              │ host::batch(…).await   │
//!    │               │◄─ job.promise ◄─┤◄──────────────────┼────────────────────────┤ store
//!    │   a promise   │                                     │                        │
//!    │◄──────────────┤◄──────────────── waits ─────────────┤                        │
//!    │               │ await job.promise, or its deadline  │                        │
//!    │               │ resume(id, length, is_good, now)    │                        │
//!    │               ├────────────────────────────────────►│ poll ─────────────────►│ rows
//!    │               │                                     │  … as often as needed  │
//!    │               │                                     │ put(response) ◄────────┤ Response
//!    │               │◄──────────────── done ──────────────┤                        │
//!    │◄──────────────┤ respond()                           │                        │
//! ```
//!
//! A request that needs nothing from JavaScript is done after `begin`, without a promise. A
//! repeatable answer is kept in JavaScript, and an equal request then begins no job. Data
//! crosses in the format of `wire.rs` and `wire.mjs`: into the buffer of `room`, and out of the
//! buffer of `output`.
//!
//! If a call into the wasm fails, its memory is in an unknown state. `entry.mjs` then starts a new
//! instance, and answers every job that was in flight with 500. No later request is affected.

pub(super) mod host;
pub mod job;
pub mod wire;
