//! The format in which wasm and JavaScript exchange data. `wire.mjs` is its other half, and
//! `tests/worker/wire.test.mjs` writes with each half and reads with the other.
//!
//! A message is a list of fields and a body. It crosses as a whole: header by header, statement by
//! statement, the crossings would cost more than the work that is done with them.
//!
//! ```text
//! field LF field LF … field LF NUL body
//! ```
//!
//! In a field, a line feed, a NUL and an escape character are written as an escape character and a
//! letter. The body is any bytes. The statements of D1 and their outcomes have typed values, and
//! cross as JSON, which `JSON.parse` and `JSON.stringify` are fastest at.

use std::borrow::Cow;

use crate::json;

const FIELD_END: u8 = b'\n';
const HEAD_END: u8 = b'\0';
const ESCAPE: u8 = 0x1b;

/// The bytes that a field cannot contain, and the letters that stand for them after [`ESCAPE`].
const ESCAPED: [(u8, u8); 3] = [(FIELD_END, b'n'), (HEAD_END, b'0'), (ESCAPE, b'e')];

/// The message of the error that JavaScript throws when a deadline passes.
pub(super) const DEADLINE: &[u8] = b"deadline";

/// Reads the answer to a question of yes or no.
pub(in crate::worker) fn is_yes(answer: &[u8]) -> bool {
    answer == b"yes"
}

/// Writes the answer to a question of yes or no.
pub(in crate::worker) const fn yes(is: bool) -> &'static [u8] {
    if is { b"yes" } else { b"no" }
}

/// Fields as they cross.
#[derive(Debug, Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// No fields, with room for some bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Adds a field.
    #[inline(never)]
    pub fn push(&mut self, field: &[u8]) {
        // Nearly every field is plain, and is copied as a whole.
        if field.iter().all(|&byte| byte > ESCAPE) {
            self.0.extend_from_slice(field);
        } else {
            for byte in field {
                match ESCAPED.iter().find(|(special, _)| special == byte) {
                    Some((_, letter)) => self.0.extend_from_slice(&[ESCAPE, *letter]),
                    None => self.0.push(*byte),
                }
            }
        }
        self.0.push(FIELD_END);
    }

    /// Adds fields that are written already.
    pub fn append(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// The bytes, for [`Fields::append`].
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The message with these fields and this body.
    #[must_use]
    pub fn with_body(mut self, body: &[u8]) -> Vec<u8> {
        self.0.reserve_exact(1 + body.len());
        self.0.push(HEAD_END);
        self.0.extend_from_slice(body);
        self.0
    }
}

/// A message that was read.
#[derive(Debug)]
pub struct Message<'a> {
    /// The fields.
    pub fields: Vec<Cow<'a, [u8]>>,
    /// The body.
    pub body: &'a [u8],
}

/// Reads a message. `None` if the end of its fields is missing.
#[must_use]
pub fn read(message: &[u8]) -> Option<Message<'_>> {
    let end = message.iter().position(|&byte| byte == HEAD_END)?;
    let (head, rest) = message.split_at_checked(end)?;
    let mut fields = Vec::new();
    for field in head.split(|&byte| byte == FIELD_END) {
        fields.push(unescape(field));
    }
    // After the last line feed, nothing is left.
    fields.pop();
    Some(Message { fields, body: rest.get(1..)? })
}

fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&ESCAPE) {
        return Cow::Borrowed(field);
    }
    let (mut plain, mut bytes) = (Vec::with_capacity(field.len()), field.iter());
    while let Some(&byte) = bytes.next() {
        // `wire.mjs` writes no other letter after an escape character.
        let letter = if byte == ESCAPE { bytes.next() } else { None };
        let escaped = ESCAPED.iter().find(|(_, known)| Some(known) == letter);
        plain.push(escaped.map_or(byte, |(byte, _)| *byte));
    }
    Cow::Owned(plain)
}

/// A statement of D1: an array in JSON, of its SQL and its parameters.
#[derive(Debug)]
pub struct Statement(String);

/// A value that is passed to a statement.
pub trait Parameter {
    /// Adds it, in JSON.
    fn write(&self, text: &mut String);
}

impl Statement {
    /// A statement of constant SQL. Its address and its length cross instead of its text:
    /// `host.mjs` reads the text once, and keeps the prepared statement.
    #[must_use]
    pub fn constant(sql: &'static str, parameters: &[&dyn Parameter]) -> Self {
        let mut text = format!("[{},{}", sql.as_ptr().addr(), sql.len());
        for parameter in parameters {
            text.push(',');
            parameter.write(&mut text);
        }
        text.push(']');
        Self(text)
    }

    /// A statement of other SQL, without parameters.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        let mut text = "[".to_owned();
        sql.write(&mut text);
        text.push(']');
        Self(text)
    }
}

/// Writes a batch of statements.
#[must_use]
pub fn batch(statements: Vec<Statement>) -> String {
    let texts: Vec<_> = statements.into_iter().map(|Statement(text)| text).collect();
    format!("[{}]", texts.join(","))
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

impl Parameter for u64 {
    fn write(&self, text: &mut String) {
        text.push_str(&self.to_string());
    }
}

impl Parameter for u32 {
    fn write(&self, text: &mut String) {
        u64::from(*self).write(text);
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

/// The outcome of a statement: its numbers of rows, and the rows that it found.
#[derive(Debug)]
pub struct Outcome {
    /// How many rows it changed.
    pub changes: u32,
    /// How many rows D1 read, which is what it bills.
    pub rows_read: u32,
    /// How many rows D1 wrote, those of indexes included.
    pub rows_written: u32,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values of each row that it found, by column.
    pub rows: Vec<Vec<json::Value>>,
}

/// Reads the outcomes of a batch. Values are moved, because the list of revocations has very many
/// rows.
///
/// # Errors
/// Any of [`json::Error`], if they are not in the form that `wire.mjs` writes.
pub fn outcomes(answer: &[u8]) -> Result<Vec<Outcome>, json::Error> {
    array(json::parse(answer)?)?.into_iter().map(outcome).collect()
}

fn outcome(outcome: json::Value) -> Result<Outcome, json::Error> {
    let parts: [json::Value; 5] = array(outcome)?.try_into().map_err(|_| json::Error::Shape)?;
    let [changes, rows_read, rows_written, columns, rows] = parts;
    let rows = array(rows)?.into_iter().map(array).collect::<Result<_, _>>()?;
    Ok(Outcome {
        changes: changes.read()?,
        rows_read: rows_read.read()?,
        rows_written: rows_written.read()?,
        columns: columns.read()?,
        rows,
    })
}

fn array(value: json::Value) -> Result<Vec<json::Value>, json::Error> {
    let json::Value::Array(elements) = value else { return Err(json::Error::Shape) };
    Ok(elements)
}
