//! The Rust columns of the differential matrix: the crates `jsonwebtoken` and `jwt-simple`, each
//! with its strictest options.
//!
//! `differential <column>` reads the tokens that `run.mjs` sends on standard input, and prints the
//! verdicts as JSON. In both crates the caller declares a type for the claims, so each column
//! checks the types of the claims that the crate leaves to its caller.

use std::{collections::HashSet, io::Read, panic};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use jwt_simple::prelude::{
    Duration, Ed25519PublicKey, EdDSAPublicKeyLike, Token, VerificationOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct Setting {
    now: u64,
    issuer: String,
    audience: String,
    typ: String,
    tolerance: u64,
    #[serde(rename = "maxAge")]
    max_age: u64,
    tokens: Vec<Option<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    token: String,
    jwks: Value,
}

#[derive(Serialize)]
struct Judgement {
    verdict: &'static str,
    reason: Option<String>,
}

/// The claims of a session, for a crate that leaves all of them to the caller.
#[derive(Deserialize)]
#[expect(dead_code, reason = "deserializing checks their types")]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: f64,
    exp: f64,
    auth_time: f64,
    jti: String,
    scope: String,
    preferred_username: Option<String>,
    app_bound: Option<bool>,
}

/// The claims of a session that `jwt-simple` does not take for itself.
#[derive(Serialize, Deserialize)]
struct OwnClaims {
    sid: String,
    auth_time: f64,
    scope: String,
    preferred_username: Option<String>,
    app_bound: Option<bool>,
}

fn with_jsonwebtoken(setting: &Setting, entry: &Entry) -> Result<(), String> {
    let reason = |error: jsonwebtoken::errors::Error| format!("{error:?}");
    let header = jsonwebtoken::decode_header(&entry.token).map_err(reason)?;
    let keys: JwkSet =
        serde_json::from_value(entry.jwks.clone()).map_err(|error| error.to_string())?;
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or("unknown key")?;
    let key = DecodingKey::from_jwk(key).map_err(reason)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[&setting.issuer]);
    validation.set_audience(&[&setting.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = setting.tolerance;
    jsonwebtoken::decode::<Claims>(&entry.token, &key, &validation).map_err(reason)?;
    Ok(())
}

fn with_jwt_simple(setting: &Setting, entry: &Entry) -> Result<(), String> {
    let reason = |error: jwt_simple::Error| error.to_string();
    let metadata = Token::decode_metadata(&entry.token).map_err(reason)?;
    let kid = metadata.key_id().ok_or("unknown key")?;
    let keys = entry.jwks.get("keys").and_then(Value::as_array).ok_or("no keys")?;
    let key = keys.iter().find(|key| key.get("kid").and_then(Value::as_str) == Some(kid));
    let key = key.ok_or("unknown key")?.to_string();
    let key = Ed25519PublicKey::from_jwk(&key).map_err(reason)?;
    let options = VerificationOptions {
        accept_future: false,
        required_key_id: Some(kid.to_owned()),
        required_signature_type: Some(setting.typ.clone()),
        allowed_issuers: Some(HashSet::from([setting.issuer.clone()])),
        allowed_audiences: Some(HashSet::from([setting.audience.clone()])),
        time_tolerance: Some(Duration::from_secs(setting.tolerance)),
        max_validity: Some(Duration::from_secs(setting.max_age)),
        // The limit of pioneer-session. Only this crate has the option.
        max_token_length: Some(4096),
        artificial_time: Some(Duration::from_secs(setting.now)),
        ..VerificationOptions::default()
    };
    key.verify_token::<OwnClaims>(&entry.token, Some(options)).map_err(reason)?;
    Ok(())
}

type Column = fn(&Setting, &Entry) -> Result<(), String>;

fn judge(column: Column, setting: &Setting, entry: &Entry) -> Judgement {
    match panic::catch_unwind(|| column(setting, entry)) {
        Ok(Ok(())) => Judgement { verdict: "accepts", reason: None },
        Ok(Err(reason)) => Judgement { verdict: "refuses", reason: Some(reason) },
        Err(_) => Judgement { verdict: "throws a panic", reason: None },
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let column: Column = match std::env::args().nth(1).as_deref() {
        Some("jsonwebtoken") => with_jsonwebtoken,
        Some("jwt-simple") => with_jwt_simple,
        _ => return Err("call it with jsonwebtoken or jwt-simple".into()),
    };
    panic::set_hook(Box::new(|_| {}));
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let setting: Setting = serde_json::from_str(&input)?;
    let judged: Vec<Option<Judgement>> = setting
        .tokens
        .iter()
        .map(|entry| entry.as_ref().map(|entry| judge(column, &setting, entry)))
        .collect();
    println!("{}", serde_json::to_string(&judged)?);
    Ok(())
}
