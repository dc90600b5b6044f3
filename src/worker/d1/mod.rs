//! Everything that is kept, in D1: the only SQL in the crate. The tables are in `migrations`.
//!
//! A call is one statement, or one batch, which D1 runs as a transaction. What must be checked before a
//! write is part of the write.

mod payment;
mod session;

use std::mem;

use serde::de::DeserializeOwned;
use worker::D1Database;

use super::{bridge, job::Wait};
use crate::{identifier::Identifier, json, pi::Amount, session::Error, time::UnixTime};

/// A store in the database that is bound as `DB`.
pub(super) struct D1Store<'a> {
    database: &'a D1Database,
}

/// `query!("SQL with ?1 and ?2", one, other)`.
macro_rules! query {
    ($sql:expr $(, $parameter:expr)* $(,)?) => {
        $crate::worker::d1::statement($sql, &[$(&$parameter as &dyn $crate::worker::d1::Parameter),*])
    };
}
pub(super) use query;

/// A statement as `bridge.mjs` takes it: an array, in JSON.
pub(super) struct Statement(String);

/// Where its SQL is, and how long; then its parameters. A constant need not be written out each time, and what has been
/// prepared of it can be kept by its address.
pub(super) fn statement(sql: &'static str, parameters: &[&dyn Parameter]) -> Statement {
    let mut text = format!("[{},{}", sql.as_ptr().addr(), sql.len());
    for parameter in parameters {
        text.push(',');
        parameter.write(&mut text);
    }
    text.push(']');
    Statement(text)
}

impl Statement {
    /// Of SQL that is no constant, and has no parameters.
    pub(super) fn of(sql: &str) -> Self {
        let mut text = "[".to_owned();
        sql.write(&mut text);
        text.push(']');
        Self(text)
    }
}

/// What SQL can be given.
pub(super) trait Parameter {
    /// Adds it, in JSON.
    fn write(&self, text: &mut String);
}

impl Parameter for str {
    fn write(&self, text: &mut String) {
        // A string can always be written.
        text.push_str(&serde_json::to_string(self).unwrap_or_default());
    }
}

impl Parameter for String {
    fn write(&self, text: &mut String) {
        self.as_str().write(text);
    }
}

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
        text.push_str(&self.stroops().to_string());
    }
}

impl Parameter for u32 {
    fn write(&self, text: &mut String) {
        text.push_str(&self.to_string());
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn write(&self, text: &mut String) {
        match self {
            Some(value) => value.write(text),
            None => text.push_str("null"),
        }
    }
}

impl<T: Parameter + ?Sized> Parameter for &T {
    fn write(&self, text: &mut String) {
        (*self).write(text);
    }
}

/// What a statement was answered: how many rows it changed, and those that it found.
pub(super) struct Outcome {
    changes: usize,
    columns: Vec<String>,
    rows: Vec<Vec<json::Value>>,
}

/// A row, by its columns.
struct Row<'a> {
    columns: &'a [String],
    values: Vec<json::Value>,
}

impl<'a> D1Store<'a> {
    pub(super) const fn new(database: &'a D1Database) -> Self {
        Self { database }
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
        outcomes.try_into().map_err(|_| failed("not every statement was answered"))
    }

    /// Runs any number of statements, all or none of them.
    pub(super) async fn batch_of(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, Error> {
        let texts: Vec<_> = statements.into_iter().map(|Statement(text)| text).collect();
        bridge::batch(self.database.as_ref(), &format!("[{}]", texts.join(",")));
        // D1's message names tables and columns, never values. Its first line is enough.
        let outcomes = Wait.await.map_err(|reason| {
            failed(&reason.lines().next().unwrap_or_default().chars().take(200).collect::<String>())
        })?;
        let outcomes = json::parse(&outcomes).and_then(Outcome::all_of);
        outcomes.map_err(|_| failed("an answer of an unknown form"))
    }
}

impl Outcome {
    /// What `bridge.mjs` gives for a batch. Values are moved, for a feed has very many rows.
    fn all_of(answer: json::Value) -> Result<Vec<Self>, json::Error> {
        array(answer)?.into_iter().map(Self::of).collect()
    }

    fn of(outcome: json::Value) -> Result<Self, json::Error> {
        let parts: [json::Value; 3] = array(outcome)?.try_into().map_err(|_| json::Error::Shape)?;
        let [changes, columns, rows] = parts;
        let rows = array(rows)?.into_iter().map(array).collect::<Result<_, _>>()?;
        Ok(Self { changes: changes.read()?, columns: columns.read()?, rows })
    }

    const fn changes(&self) -> usize {
        self.changes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first row.
    fn one<T>(self, read: impl Fn(Row<'_>) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let Self { columns, rows, .. } = self;
        rows.into_iter().next().map(|values| read(Row { columns: &columns, values })).transpose()
    }

    fn all<T, C: FromIterator<T>>(
        self,
        read: impl Fn(Row<'_>) -> Result<T, Error>,
    ) -> Result<C, Error> {
        let Self { columns, rows, .. } = self;
        rows.into_iter().map(|values| read(Row { columns: &columns, values })).collect()
    }
}

impl Row<'_> {
    /// Takes a column out; what was not asked for is NULL.
    fn take<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<T, Error> {
        let at = self.columns.iter().position(|name| name == column);
        let value = at.and_then(|at| self.values.get_mut(at));
        let value = value.map_or(json::Value::Null, |value| mem::replace(value, json::Value::Null));
        value.read().map_err(|_| failed(&format!("{column} is not of its type")))
    }
}

fn array(value: json::Value) -> Result<Vec<json::Value>, json::Error> {
    let json::Value::Array(elements) = value else { return Err(json::Error::Shape) };
    Ok(elements)
}

fn failed(reason: &str) -> Error {
    Error { reason: reason.to_owned() }
}
