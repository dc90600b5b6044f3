//! Everything that is kept, in D1: the only SQL in the crate. The tables are in `migrations`.
//!
//! A call is one statement, or one batch, which D1 runs as a transaction. What must be checked before a
//! write is part of the write.

mod payment;
mod session;

use serde::de::DeserializeOwned;
use serde_json::Value;
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

/// A statement as `bridge.mjs` takes it: where its SQL is, and how long; then its parameters. A constant need not be
/// written out each time, and what has been prepared of it can be kept by its address.
pub(super) fn statement(sql: &'static str, parameters: &[&dyn Parameter]) -> Value {
    let place = [Value::from(sql.as_ptr().addr()), Value::from(sql.len())];
    place.into_iter().chain(parameters.iter().map(|parameter| parameter.value())).collect()
}

/// What SQL can be given.
pub(super) trait Parameter {
    fn value(&self) -> Value;
}

impl Parameter for str {
    fn value(&self) -> Value {
        self.into()
    }
}

impl Parameter for String {
    fn value(&self) -> Value {
        self.as_str().into()
    }
}

impl Parameter for Identifier {
    fn value(&self) -> Value {
        self.as_str().into()
    }
}

impl Parameter for UnixTime {
    fn value(&self) -> Value {
        self.seconds().into()
    }
}

impl Parameter for Amount {
    fn value(&self) -> Value {
        self.stroops().into()
    }
}

impl Parameter for u32 {
    fn value(&self) -> Value {
        (*self).into()
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Parameter::value)
    }
}

impl<T: Parameter + ?Sized> Parameter for &T {
    fn value(&self) -> Value {
        (*self).value()
    }
}

/// What a statement was answered: how many rows it changed, and those that it found.
pub(super) struct Outcome {
    changes: usize,
    rows: Vec<Row>,
}

/// A row, by its columns.
struct Row(json::Object);

impl<'a> D1Store<'a> {
    pub(super) const fn new(database: &'a D1Database) -> Self {
        Self { database }
    }

    /// Runs one statement.
    async fn run(&self, statement: Value) -> Result<Outcome, Error> {
        let [outcome] = self.batch([statement]).await?;
        Ok(outcome)
    }

    /// Runs the statements, all or none of them.
    pub(super) async fn batch<const N: usize>(
        &self,
        statements: [Value; N],
    ) -> Result<[Outcome; N], Error> {
        let outcomes = self.batch_of(statements.into()).await?;
        outcomes.try_into().map_err(|_| failed("not every statement was answered"))
    }

    /// Runs any number of statements, all or none of them.
    pub(super) async fn batch_of(&self, statements: Vec<Value>) -> Result<Vec<Outcome>, Error> {
        bridge::batch(self.database.as_ref(), &Value::Array(statements).to_string());
        // D1's message names tables and columns, never values. Its first line is enough.
        let outcomes = Wait.await.map_err(|reason| {
            failed(&reason.lines().next().unwrap_or_default().chars().take(200).collect::<String>())
        })?;
        let outcomes = json::parse(&outcomes).ok().and_then(Outcome::all_of);
        outcomes.ok_or_else(|| failed("an answer of an unknown form"))
    }
}

impl Outcome {
    /// What `bridge.mjs` gives for a batch: changes and rows of each statement. Values are moved, for a row of a feed is
    /// one of many.
    fn all_of(answer: json::Value) -> Option<Vec<Self>> {
        let json::Value::Array(outcomes) = answer else { return None };
        outcomes.into_iter().map(Self::of).collect()
    }

    fn of(outcome: json::Value) -> Option<Self> {
        let json::Value::Array(parts) = outcome else { return None };
        let parts: [json::Value; 2] = parts.try_into().ok()?;
        let [json::Value::Unsigned(changes), json::Value::Array(rows)] = parts else { return None };
        let row =
            |row| if let json::Value::Object(columns) = row { Some(Row(columns)) } else { None };
        let rows = rows.into_iter().map(row).collect::<Option<_>>()?;
        Some(Self { changes: changes.try_into().ok()?, rows })
    }

    const fn changes(&self) -> usize {
        self.changes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first row.
    fn one<T>(self, read: impl Fn(Row) -> Result<T, Error>) -> Result<Option<T>, Error> {
        self.rows.into_iter().next().map(read).transpose()
    }

    fn all<T, C: FromIterator<T>>(
        self,
        read: impl Fn(Row) -> Result<T, Error>,
    ) -> Result<C, Error> {
        self.rows.into_iter().map(read).collect()
    }
}

impl Row {
    /// Takes a column out; what was not asked for is NULL.
    fn take<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<T, Error> {
        let value = self.0.take(column).unwrap_or(json::Value::Null);
        value.read().map_err(|_| failed(&format!("{column} is not of its type")))
    }
}

fn failed(reason: &str) -> Error {
    Error { reason: reason.to_owned() }
}
