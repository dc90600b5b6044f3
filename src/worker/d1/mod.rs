//! Everything that is kept, in D1: the only SQL in the crate. The tables are in `migrations`.
//!
//! A call is one statement, or one batch, which D1 runs as a transaction. What must be checked before a
//! write is part of the write.

mod payment;
mod session;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use worker::D1Database;

use super::{bridge, job::Wait};
use crate::session::Error;

/// A store in the database that is bound as `DB`.
pub(super) struct D1Store<'a> {
    database: &'a D1Database,
}

/// `query!("SQL with ?1 and ?2", one, other)`: a statement, as `bridge.mjs` takes it.
macro_rules! query {
    ($($part:expr),+ $(,)?) => { serde_json::json!([$($part),+]) };
}
pub(super) use query;

/// What a statement was answered: how many rows it changed, and those that it found.
#[derive(Deserialize)]
pub(super) struct Outcome(usize, Vec<Row>);

/// A row, by its columns.
#[derive(Deserialize)]
struct Row(Map<String, Value>);

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
        serde_json::from_slice(&outcomes).map_err(|_| failed("an answer of an unknown form"))
    }
}

impl Outcome {
    const fn changes(&self) -> usize {
        self.0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.1.is_empty()
    }

    /// The first row.
    fn one<T>(self, read: impl Fn(Row) -> Result<T, Error>) -> Result<Option<T>, Error> {
        self.1.into_iter().next().map(read).transpose()
    }

    fn all<T, C: FromIterator<T>>(
        self,
        read: impl Fn(Row) -> Result<T, Error>,
    ) -> Result<C, Error> {
        self.1.into_iter().map(read).collect()
    }
}

impl Row {
    /// Takes a column out; what is absent is NULL.
    fn take<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<T, Error> {
        serde_json::from_value(self.0.remove(column).unwrap_or_default())
            .map_err(|_| failed(&format!("{column} is not of its type")))
    }
}

fn failed(reason: &str) -> Error {
    Error { reason: reason.to_owned() }
}
