//! Everything that is kept, in D1: the only SQL in the crate. The tables are in `migrations`.
//!
//! A call is one statement, or one batch, which D1 runs as a transaction. What must be checked before a
//! write is part of the write.

mod payment;
mod session;

use serde::Deserialize;
use worker::{D1Database, D1PreparedStatement, D1Result};

use crate::session::Error;

/// A store in the database that is bound as `DB`.
pub(super) struct D1Store {
    database: D1Database,
}

impl D1Store {
    pub(super) const fn new(database: D1Database) -> Self {
        Self { database }
    }
}

async fn run(statement: D1PreparedStatement) -> Result<D1Result, Error> {
    Ok(statement.all().await?)
}

fn rows<T: for<'a> Deserialize<'a>>(result: &D1Result) -> Result<Vec<T>, Error> {
    Ok(result.results()?)
}

fn changes(result: &D1Result) -> Result<usize, Error> {
    Ok(result.meta()?.and_then(|meta| meta.changes).unwrap_or(0))
}

fn failed(reason: &str) -> Error {
    Error { reason: reason.to_owned() }
}

/// D1's message names tables and columns, never values. Its first line is enough, without a stack.
impl From<worker::Error> for Error {
    fn from(error: worker::Error) -> Self {
        let text = error.to_string();
        Self { reason: text.lines().next().unwrap_or_default().chars().take(200).collect() }
    }
}
