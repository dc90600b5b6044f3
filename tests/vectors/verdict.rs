//! Verifies a signature with both verification paths, compiled like the Worker, so that
//! `tests/vectors/vectors.test.mjs` can check them in workerd.

use pioneer_session::{
    json,
    jwt::PublicKey,
    worker::runtime::wire::{self, Fields, Message, Parameter, Statement},
};
use wasm_bindgen::prelude::wasm_bindgen;

/// Bit 0: without prepared tables; bit 1: with them. A refused key sets no bit.
#[wasm_bindgen]
#[must_use]
pub fn verdict(key: &[u8], message: &[u8], signature: &[u8]) -> u8 {
    let verifies = |is_warm: bool| {
        let key = PublicKey::new(key.try_into().ok()?)?;
        if is_warm {
            key.warm();
        }
        Some(key.verifies(message, signature.try_into().ok()?))
    };
    let [plain, warm] = [false, true].map(|is_warm| u8::from(verifies(is_warm) == Some(true)));
    plain | warm << 1
}

/// Reads a message and writes it again.
#[wasm_bindgen]
#[must_use]
pub fn echo(message: &[u8]) -> Vec<u8> {
    let Some(Message { fields: read, body }) = wire::read(message) else { return Vec::new() };
    let mut fields = Fields::default();
    for field in read {
        fields.push(&field);
    }
    fields.with_body(body)
}

/// Reads the outcomes of a batch, and writes a batch with a statement for each row: its parameters
/// are the row's values, all of them texts or NULL.
#[wasm_bindgen(js_name = echoRows)]
#[must_use]
pub fn echo_rows(outcomes: &[u8]) -> String {
    let outcomes = wire::outcomes(outcomes).unwrap_or_default();
    let rows = outcomes.into_iter().flat_map(|outcome| outcome.rows);
    wire::batch(rows.map(|row| statement(row).unwrap_or_else(|_| Statement::of(""))).collect())
}

fn statement(row: Vec<json::Value>) -> Result<Statement, json::Error> {
    let values: Vec<Option<String>> =
        row.into_iter().map(json::Value::read).collect::<Result<_, _>>()?;
    let parameters: Vec<_> = values.iter().map(|value| value as &dyn Parameter).collect();
    Ok(Statement::constant("SELECT 1", &parameters))
}
