//! The import law of `src/lib.rs`: who may know of whom. Breaking it fails here, in a sentence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{collections::BTreeSet, fs, path::Path};

const BASE: &[&str] = &["time", "secret", "identifier", "json"];
const PLATFORM: &[&str] =
    &["worker", "js_sys", "web_sys", "wasm_bindgen", "getrandom", "SystemTime", "Instant"];

/// For each module: what it may import besides the base and itself, and words it must not say.
fn law(module: &str) -> Option<(&'static [&'static str], Vec<&'static str>)> {
    let with = |more: &[&'static str]| [PLATFORM, more].concat();
    Some(match module {
        "time" | "secret" | "identifier" | "json" => (&[], with(&["http"])),
        "jwt" | "session" | "dpop" => (&[], with(&["http"])),
        "payment" => (&["pi"], with(&["http"])),
        "pi" => (&[], with(&[])),
        "service" => (&["dpop", "jwt", "payment", "pi", "session"], with(&[])),
        "simulator" => (&["pi"], vec![]),
        "worker" => (&["service", "jwt", "payment", "pi", "session"], vec![]),
        "npm" => (&["jwt"], vec!["http"]),
        _ => return None,
    })
}

/// The rules that a source text of a module breaks, each as a sentence.
fn broken(module: &str, source: &str) -> Vec<String> {
    let Some((allowed, forbidden)) = law(module) else {
        return vec![format!("`{module}` is not in the law: add it to tests/layers.rs")];
    };
    // The name of a request header is no name of a module.
    let code = without_comments(source).replace("\"cf-worker\"", "\"\"");
    let may = |name: &String| {
        name == module || BASE.contains(&name.as_str()) || allowed.contains(&name.as_str())
    };
    let imports = imports(&code).into_iter().filter(|name| !may(name)).map(|name| {
        format!("`{module}` may import {allowed:?} and the base {BASE:?} only, not `{name}`")
    });
    let said = words(&code).into_iter().filter(|word| forbidden.contains(word));
    imports.chain(said.map(|word| format!("`{module}` must not know of `{word}`"))).collect()
}

fn without_comments(source: &str) -> String {
    let line = |line: &str| {
        // `://` is an address in a text, any other `//` begins a comment.
        let cut = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
        line[..cut.map_or(line.len(), |(at, _)| at)].to_owned() + "\n"
    };
    source.lines().map(line).collect()
}

fn words(code: &str) -> BTreeSet<&str> {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect()
}

/// The first name after each `crate::`, or each first name in its braces.
fn imports(code: &str) -> BTreeSet<String> {
    let first = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        // A glob has no name, and is everything.
        if text.starts_with('*') {
            "*".to_owned()
        } else {
            text[..end.unwrap_or(text.len())].into()
        }
    };
    let mut names = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        let Some(group) = path.trim_start().strip_prefix('{') else {
            names.insert(first(path));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for letter in group.chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => drop(names.insert(first(&std::mem::take(&mut item)))),
                _ => {}
            }
            if depth == 0 && !(letter == ',' && item.is_empty()) {
                item.push(letter);
            }
        }
        names.insert(first(&item));
    }
    names.remove("");
    names
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.to_str().unwrap().replace('\\', "/"), text));
        }
    }
}

#[test]
fn every_module_keeps_the_import_law_and_says_what_it_is() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    let mut found = Vec::new();
    sources(Path::new(root), &mut found);
    assert!(found.len() > 20, "the sources were not found");
    let mut complaints = Vec::new();
    for (path, text) in &found {
        let inside = path.strip_prefix(root).unwrap();
        let module = inside.split('/').next().unwrap().trim_end_matches(".rs");
        if !text.starts_with("//! ") {
            complaints.push(format!("{inside}: every file begins with `//!`, what it is for"));
        }
        if module != "lib" {
            complaints.extend(broken(module, text).iter().map(|why| format!("{inside}: {why}")));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_forbidden_import_is_caught_however_it_is_written() {
    for (module, source) in [
        ("jwt", "use crate::{json, pi::User};"),
        ("jwt", "use crate::{\n    json::{self, Error},\n    session::Store, // why\n};"),
        ("jwt", "use http::Request;"),
        ("pi", "fn f() { crate::jwt::sign() }"),
        ("session", "let x: http::Uri;"),
        ("session", "use crate::*;"),
        ("json", "pub use crate::{secret::Secret, jwt};"),
        ("time", "use std::time::SystemTime;"),
        ("service", "use crate::{jwt::{self, Claims}, simulator};"),
        ("service", "use worker::Env;"),
        ("simulator", "use crate::service;"),
        ("npm", "use crate::session;"),
        ("worker", "use crate::npm;"),
        ("novel", ""),
    ] {
        assert!(!broken(module, source).is_empty(), "{module}: {source}");
    }
    for (module, source) in [
        ("jwt", "// use crate::pi;\n/// http\nuse crate::{json::{self, Error}, time::UnixTime};"),
        ("jwt", "const A: &str = \"https://a.example\"; use crate::jwt::Error;"),
        ("service", "use crate::{\n    jwt::{self, Claims},\n    pi::{self},\n    session,\n};"),
        ("worker", "use worker::Env; use crate::{service, session::Store, time::UnixTime};"),
    ] {
        assert_eq!(broken(module, source), Vec::<String>::new(), "{module}: {source}");
    }
}

/// The names of the headers that a source text reads.
fn headers_read(code: &str) -> BTreeSet<String> {
    let name = |argument: &str| match argument.strip_prefix("header::") {
        Some(constant) => Some(constant.to_lowercase().replace('_', "-")),
        None => argument.strip_prefix('"')?.strip_suffix('"').map(str::to_owned),
    };
    let calls = ["get(", "get_all(", "text("].into_iter().flat_map(|call| code.split(call).skip(1));
    calls.filter_map(|rest| name(rest.split(')').next()?)).collect()
}

#[test]
fn the_worker_hands_on_each_header_that_the_service_reads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entry = fs::read_to_string(root.join("src/worker/runtime/entry.mjs")).unwrap();
    let mut names = BTreeSet::new();
    for file in fs::read_dir(root.join("src/service")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        names.extend(headers_read(&without_comments(&text)));
    }
    for name in ["authorization", "content-type", "cf-ipcountry", "if-match", "origin"] {
        assert!(names.contains(name), "{name} is not found any more: {names:?}");
    }
    for name in names {
        assert!(
            entry.contains(&format!("\"{name}\"")),
            "src/worker/runtime/entry.mjs: `{name}` is missing"
        );
    }
}
