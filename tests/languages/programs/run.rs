//! Prints the verdicts of the Rust program of the documents on the cases of conformance.json.

#[expect(dead_code, reason = "this program does not read every claim")]
mod session;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use session::{Refused, Verifier, load_keys};

fn main() {
    let path = std::env::args().nth(1).expect("the path of conformance.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let settings = &cases["settings"];
    let verifier = Verifier {
        issuer: settings["issuer"].as_str().unwrap().to_owned(),
        audience: settings["audience"].as_str().unwrap().to_owned(),
        tolerance: settings["clockTolerance"].as_i64().unwrap(),
        keys: load_keys(&cases["jwks"].to_string()).unwrap(),
    };
    let now = settings["now"].as_i64().unwrap();
    let read_feed = |text: &str| verifier.read_feed(&BASE64.decode(text).unwrap(), now);
    let feed = read_feed(cases["feeds"][0]["feed"].as_str().unwrap()).unwrap();
    let verdicts = |list: &str, member: &str, verdict: &dyn Fn(&str) -> Result<(), Refused>| {
        let entries = cases[list].as_array().unwrap().iter();
        let texts = entries.map(|entry| verdict(entry[member].as_str().unwrap()));
        texts.map(|found| found.err().map_or("valid", |Refused(reason)| reason)).collect::<Vec<_>>()
    };
    let tokens =
        verdicts("tokens", "token", &|text| verifier.verify(text, Some(&feed), now).map(drop));
    let feeds = verdicts("feeds", "feed", &|text| read_feed(text).map(drop));
    println!("{}", json!({ "tokens": tokens, "feeds": feeds }));
}
