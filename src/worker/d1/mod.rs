//! The store in D1, with the only SQL in the crate. The tables are in `migrations`, and
//! `docs/decisions/d1-layer.md` says why this does not use the D1 types of the `worker` crate.
//!
//! A call is one statement, or one batch, which D1 runs as a transaction. A condition of a write is
//! checked in the same statement as the write.

mod counts;
mod deeds;
mod payment;
mod records;
mod service;
mod session;

use std::{cell::Cell, mem};

use serde::de::DeserializeOwned;
use worker::D1Database;

use super::runtime::{
    host::{self, Failure},
    job,
    wire::{self, Outcome, Parameter, Statement},
};
use crate::{identifier::Identifier, json, pi::Amount, session::Error, time::UnixTime};

/// A store in the database that is bound as `DB`.
pub(super) struct D1Store<'a> {
    database: &'a D1Database,
    /// Whether events are counted: they are not if the setting is off or the tables are missing.
    counts: &'a Cell<bool>,
    /// The names and the texts of all migrations, in order.
    migrations: &'static [(&'static str, &'static str)],
}

/// `query!("SQL with ?1 and ?2", one, other)`.
macro_rules! query {
    ($sql:expr $(, $parameter:expr)* $(,)?) => {
        $crate::worker::runtime::wire::Statement::constant(
            $sql,
            &[$(&$parameter as &dyn $crate::worker::runtime::wire::Parameter),*],
        )
    };
}
pub(super) use query;

/// The user of the live session `?1` at the time `?2`, in SQL.
macro_rules! session_user {
    () => {
        "(SELECT uid FROM live_sessions WHERE sid = ?1 AND expires_at > ?2)"
    };
}
use session_user;

impl Parameter for Identifier {
    fn write(&self, text: &mut String) {
        self.as_str().write(text);
    }
}

impl Parameter for UnixTime {
    fn write(&self, text: &mut String) {
        text.push_str(&self.seconds().to_string());
    }
}

impl Parameter for Amount {
    fn write(&self, text: &mut String) {
        self.stroops().write(text);
    }
}

/// A row, by its columns.
struct Row<'a> {
    columns: &'a [String],
    values: Vec<json::Value>,
}

impl<'a> D1Store<'a> {
    pub(super) const fn new(
        database: &'a D1Database,
        counts: &'a Cell<bool>,
        migrations: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { database, counts, migrations }
    }

    /// Runs one statement.
    async fn run(&self, statement: Statement) -> Result<Outcome, Error> {
        let [outcome] = self.batch([statement]).await?;
        Ok(outcome)
    }

    /// Runs the statements, all or none of them.
    pub(super) async fn batch<const N: usize>(
        &self,
        statements: [Statement; N],
    ) -> Result<[Outcome; N], Error> {
        let outcomes = self.batch_of(statements.into()).await?;
        outcomes.try_into().map_err(|_| failed("D1 did not return an outcome for every statement"))
    }

    /// Runs any number of statements, all or none of them.
    pub(super) async fn batch_of(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, Error> {
        let batch = wire::batch(statements);
        let outcomes = host::batch(self.database.as_ref(), &batch).await.map_err(unavailable)?;
        let outcomes = wire::outcomes(&outcomes)
            .map_err(|_| failed("D1 returned an answer of an unknown form"))?;
        for Outcome { rows_read, rows_written, .. } in &outcomes {
            job::note_rows(*rows_read, *rows_written);
        }
        Ok(outcomes)
    }
}

impl Outcome {
    const fn changes(&self) -> usize {
        self.changes as usize
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first row.
    fn one<T>(self, read: impl Fn(Row<'_>) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let Self { columns, rows, .. } = self;
        rows.into_iter().next().map(|values| read(Row { columns: &columns, values })).transpose()
    }

    /// A loop: as an iterator that is collected, it would be several times as large for each type.
    fn all<T>(self, read: impl Fn(Row<'_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let Self { columns, rows, .. } = self;
        let mut all = Vec::with_capacity(rows.len());
        for values in rows {
            all.push(read(Row { columns: &columns, values })?);
        }
        Ok(all)
    }
}

impl Row<'_> {
    /// Takes the value of a column; a column that was not selected is NULL.
    fn take<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<T, Error> {
        let at = self.columns.iter().position(|name| name == column);
        let value = at.and_then(|at| self.values.get_mut(at));
        let value = value.map_or(json::Value::Null, |value| mem::replace(value, json::Value::Null));
        value.read().map_err(|_| failed(&format!("the column {column} has an unexpected type")))
    }
}

/// The longest part of a message of D1 that is logged, in characters.
const MAX_REASON: usize = 200;

/// D1's message names tables and columns, never values. Its first line is enough.
fn unavailable(failure: Failure) -> Error {
    match failure {
        Failure::Deadline => failed("deadline"),
        Failure::Thrown(message) => {
            let line = message.lines().next().unwrap_or_default();
            failed(&line.chars().take(MAX_REASON).collect::<String>())
        }
    }
}

fn failed(reason: &str) -> Error {
    Error { reason: reason.to_owned() }
}
