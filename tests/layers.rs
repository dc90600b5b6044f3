//! The import law: which module may import which (`src/lib.rs` has the picture), and which file of
//! a module may import which other. A forbidden import fails here, with a sentence that names it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const BASE: &[&str] = &["time", "secret", "identifier", "json"];
const PLATFORM: &[&str] =
    &["worker", "js_sys", "web_sys", "wasm_bindgen", "getrandom", "SystemTime", "Instant"];

/// For each module: the modules that it may import besides the base and itself, and the words that
/// it must not contain.
fn law(module: &str) -> Option<(&'static [&'static str], Vec<&'static str>)> {
    let with = |more: &[&'static str]| [PLATFORM, more].concat();
    Some(match module {
        "time" | "secret" | "identifier" | "json" => (&[], with(&["http"])),
        "audit" | "jwt" | "session" | "dpop" => (&[], with(&["http"])),
        "payment" => (&["pi"], with(&["http"])),
        "pi" => (&[], with(&[])),
        "service" => (&["audit", "dpop", "jwt", "payment", "pi", "session"], with(&[])),
        "simulator" => (&["pi"], vec![]),
        "worker" => (&["service", "audit", "jwt", "payment", "pi", "session"], vec![]),
        "npm" => (&["jwt"], vec!["http"]),
        _ => return None,
    })
}

/// The rules of the law that a source text of a module breaks, each as a sentence.
fn broken(module: &str, source: &str) -> Vec<String> {
    let Some((allowed, forbidden)) = law(module) else {
        return vec![format!("`{module}` is not in the law: add it to tests/layers.rs")];
    };
    // The name of a request header is not the name of a module.
    let code = without_comments(source).replace("\"cf-worker\"", "\"\"");
    let may = |name: &String| {
        name == module || BASE.contains(&name.as_str()) || allowed.contains(&name.as_str())
    };
    let imports = imports(&code).into_iter().filter(|name| !may(name)).map(|name| {
        format!("`{module}` may import {allowed:?} and the base {BASE:?} only, not `{name}`")
    });
    let contained = words(&code).into_iter().filter(|word| forbidden.contains(word));
    imports.chain(contained.map(|word| format!("`{module}` must not contain `{word}`"))).collect()
}

fn without_comments(source: &str) -> String {
    let line = |line: &str| {
        // `://` is part of an address in a text; any other `//` begins a comment.
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
        // A glob has no name, and imports everything.
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

/// The sources of a kind below a folder, by path.
fn sources(folder: &Path, kind: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, kind, found);
        } else if path.extension().is_some_and(|extension| extension == kind) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.to_str().unwrap().replace('\\', "/"), text));
        }
    }
}

#[test]
fn every_module_keeps_the_import_law_and_every_file_says_what_it_is_for() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    let mut found = Vec::new();
    sources(Path::new(root), "rs", &mut found);
    assert!(found.len() > 20, "the sources were not found");
    let mut complaints = Vec::new();
    for (path, text) in &found {
        let inside = path.strip_prefix(root).unwrap();
        let module = inside.split('/').next().unwrap().trim_end_matches(".rs");
        if !text.starts_with("//! ") {
            complaints.push(format!(
                "{inside}: begin the file with `//!` and a sentence that says what it is for"
            ));
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
fn the_worker_passes_on_each_header_that_the_service_reads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entry = fs::read_to_string(root.join("src/worker/runtime/entry.mjs")).unwrap();
    let mut names = BTreeSet::new();
    let mut files = Vec::new();
    sources(&root.join("src/service"), "rs", &mut files);
    for (_, text) in files {
        names.extend(headers_read(&without_comments(&text)));
    }
    for name in ["authorization", "content-type", "cf-ipcountry", "if-match", "origin"] {
        assert!(names.contains(name), "{name} is no longer found: {names:?}");
    }
    for name in names {
        assert!(
            entry.contains(&format!("\"{name}\"")),
            "src/service reads the header `{name}`: add it to the lists in src/worker/runtime/entry.mjs"
        );
    }
}

/// The files of one folder of `src`, from the ground up. A file may import files of earlier rows,
/// and files that no row names. Files of one row do not import each other. A file that no row names
/// may import only others of its kind. A name that is a folder's stands for all files below it.
const LAYERS: &[(&str, &[&[&str]])] = &[
    (
        "service",
        &[
            // The handlers. Code that two of them need is in a file of its own.
            &[
                "ad",
                "backend",
                "data",
                "notification",
                "openapi",
                "order",
                "payment",
                "revocations",
                "session",
                "session_list",
            ],
            &["route"],
            &["mod"],
        ],
    ),
    (
        "worker",
        &[
            &["runtime/wire"],
            &["runtime/job"],
            &["runtime/host"],
            &["log"],
            &["d1", "fetch", "limiter", "request", "response", "runtime/entry", "signer"],
            &["config", "migrations"],
            &["mod"],
        ],
    ),
];

/// The paths that a source text names after `prefix`, with the groups of `use` taken apart.
fn paths(code: &str, prefix: &str) -> Vec<Vec<String>> {
    fn tree<'a>(text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
        let text = text.trim_start();
        if let Some(mut rest) = text.strip_prefix('{') {
            while !rest.trim_start().starts_with('}') && !rest.is_empty() {
                rest = tree(rest, before, found).trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            return rest.trim_start().strip_prefix('}').unwrap_or(rest);
        }
        let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let (name, rest) = text.split_at(end.unwrap_or(text.len()).max(1).min(text.len()));
        let path = [before, &[name.to_owned()]].concat();
        if let Some(rest) = rest.strip_prefix("::") {
            return tree(rest, &path, found);
        }
        found.push(path);
        // After a name: `as other`.
        rest.find([',', '}', ';']).map_or(rest, |at| &rest[at..])
    }
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let is_whole =
            !code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == ':');
        if is_whole {
            tree(&code[at + prefix.len()..], &[], &mut found);
        }
    }
    found
}

/// The files that a file of a folder imports. Names are paths in the folder, without extensions.
fn imported(folder: &str, file: &str, code: &str, files: &BTreeSet<String>) -> BTreeSet<String> {
    let home: Vec<&str> = file.split('/').collect();
    // `super` of a file is the folder that it is in; of its mod.rs, the one above.
    let depth = home.len() - 1 - usize::from(home.last() == Some(&"mod") && home.len() > 1);
    let inside = |above: &[&str], path: &[String]| {
        let whole: Vec<&str> =
            above.iter().copied().chain(path.iter().map(String::as_str)).collect();
        // The longest beginning that is a file or a folder.
        (0..=whole.len()).rev().find_map(|length| {
            let name = whole[..length].join("/");
            let module = if name.is_empty() { "mod".to_owned() } else { format!("{name}/mod") };
            [name, module].into_iter().find(|name| files.contains(name))
        })
    };
    let from_super = paths(code, "super::").into_iter().filter_map(|path| {
        let more = path.iter().take_while(|name| *name == "super").count();
        inside(home.get(..depth.checked_sub(more)?)?, &path[more..])
    });
    let from_root = paths(code, &format!("crate::{folder}::"))
        .into_iter()
        .filter_map(|path| inside(&[], &path));
    let scripts = code.split("from \"./").skip(1).filter_map(|rest| {
        let name = rest.split(".mjs\"").next()?;
        inside(&home[..home.len() - 1], &[name.to_owned()])
    });
    from_super.chain(from_root).chain(scripts).filter(|name| name != file).collect()
}

/// The rules inside of a folder that its files break, each as a sentence. `texts` are their
/// sources, by name.
fn broken_inside(folder: &str, rows: &[&[&str]], texts: &BTreeMap<String, String>) -> Vec<String> {
    let unit = |file: &str| {
        let first = file.split('/').next().unwrap_or_default();
        let is_named = rows.iter().any(|row| row.contains(&first));
        if is_named { first.to_owned() } else { file.to_owned() }
    };
    let row = |unit: &str| rows.iter().position(|row| row.contains(&unit)).map_or(0, |row| row + 1);
    let files: BTreeSet<String> = texts.keys().cloned().collect();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in texts {
        // A test inside of a file names that file with `super`.
        let code = without_comments(text.split("#[cfg(test)]").next().unwrap_or_default());
        let to = imported(folder, file, &code, &files).into_iter().map(|to| unit(&to));
        let to = to.filter(|to| *to != unit(file));
        arrows.entry(unit(file)).or_default().extend(to);
    }
    let mut complaints: Vec<_> = rows
        .iter()
        .flat_map(|row| row.iter())
        .filter(|name| !arrows.contains_key(**name))
        .map(|name| {
            format!("{folder}/{name} does not exist: remove it from LAYERS in tests/layers.rs")
        })
        .collect();
    for (from, targets) in &arrows {
        for to in targets {
            let is_allowed = row(to) < row(from) || (row(to), row(from)) == (0, 0);
            if !is_allowed {
                complaints.push(format!(
                    "{folder}/{from} must not import {folder}/{to}: LAYERS in tests/layers.rs allows imports of earlier \
                     rows only. Move the shared code to a file that both may import."
                ));
            }
            if reaches(&arrows, to, from) && from < to {
                complaints.push(format!(
                    "{folder}/{from} and {folder}/{to} import each other in a circle"
                ));
            }
        }
    }
    complaints
}

/// Whether one file imports another, directly or through others.
fn reaches(arrows: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let (mut known, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        if file == to {
            return true;
        }
        if known.insert(file) {
            open.extend(arrows.get(file).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// The sources of a folder by name: Rust, and the scripts, which have the layer of the Rust file
/// with the same name.
fn texts_of(folder: &str) -> BTreeMap<String, String> {
    let root = format!("{}/src/{folder}/", env!("CARGO_MANIFEST_DIR"));
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let (mut found, mut scripts) = (Vec::new(), Vec::new());
    sources(Path::new(&root), "rs", &mut found);
    sources(Path::new(&root), "mjs", &mut scripts);
    // Scripts first: tests inside of a Rust file are cut off with all that follows.
    for (path, text) in scripts.into_iter().chain(found) {
        let name = path.strip_prefix(&root).unwrap();
        let name = name.trim_end_matches(".rs").trim_end_matches(".mjs").to_owned();
        texts.entry(name).or_default().push_str(&text);
    }
    texts
}

#[test]
fn inside_of_a_folder_imports_go_one_way() {
    let broken =
        |(folder, rows): &(&str, &[&[&str]])| broken_inside(folder, rows, &texts_of(folder));
    let complaints: Vec<_> = LAYERS.iter().flat_map(broken).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_forbidden_import_inside_of_a_folder_is_caught_however_it_is_written() {
    const ROWS: &[&[&str]] = &[&["deep/ground"], &["one", "other", "room"], &["route"], &["mod"]];
    let with = |file: &str, text: &str| {
        let names = [
            "deep/ground",
            "free",
            "free_too",
            "one",
            "other",
            "room/mod",
            "room/inner",
            "route",
            "mod",
        ];
        let mut texts: BTreeMap<String, String> =
            names.into_iter().map(|name| (name.to_owned(), String::new())).collect();
        texts.insert("free_too".to_owned(), "use super::free::F;".to_owned());
        texts.insert(file.to_owned(), text.to_owned());
        broken_inside("house", ROWS, &texts)
    };
    for (file, text) in [
        ("one", "use super::other::Item;"),
        ("one", "use super::{free, route::{self, Table}};"),
        ("one", "use super::App;"),
        ("one", "use crate::house::App;"),
        ("one", "fn f() { crate::house::other::call() }"),
        ("one", "use super::{\n    free::{A, B as C},\n    room::D,\n};"),
        ("room/inner", "use super::super::one;"),
        ("room/mod", "use super::one;"),
        ("deep/ground", "use super::super::one::A;"),
        ("deep/ground", "import { a } from \"../one.mjs\"; use super::super::route;"),
        ("free", "use super::one;"),
        ("free", "use super::free_too;"),
        ("novel", "use super::mod_item;"),
    ] {
        assert_eq!(with(file, text).len(), 1, "{file}: {text}: {:?}", with(file, text));
    }
    for (file, text) in [
        ("one", "use super::{deep::ground::A, free::{self, B as C}, free_too};"),
        ("one", "// super::other\npub(super) fn f() {}\n#[cfg(test)]\nmod tests { use super::f; }"),
        ("room/inner", "use super::Room; use super::super::free;"),
        ("room/mod", "use super::{deep::ground, free};"),
        ("route", "use super::{one, other, room::Room};"),
        ("mod", "pub(in crate::house) use self::route::Table; use crate::house::one;"),
    ] {
        assert_eq!(with(file, text), Vec::<String>::new(), "{file}: {text}");
    }
    let texts = BTreeMap::from([("mod".to_owned(), String::new())]);
    assert_eq!(broken_inside("house", &[&["gone"], &["mod"]], &texts).len(), 1);
}

#[test]
fn every_test_file_is_part_of_a_binary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut found = Vec::new();
    sources(&root.join("tests"), "rs", &mut found);
    // Programs of their own, with their own manifests.
    let is_program = |path: &str| {
        ["/differential/rust/", "/languages/programs/"].iter().any(|folder| path.contains(folder))
    };
    found.retain(|(path, _)| !is_program(path));
    assert!(found.len() > 30, "the tests were not found");
    let is_linked = |path: &str| {
        let inside = path.rsplit_once("/tests/").unwrap().1;
        let name = inside.trim_end_matches(".rs").trim_end_matches("/mod");
        let (folder, module) = name.rsplit_once('/').unwrap_or(("", name));
        let parent = if folder.is_empty() { "host.rs".into() } else { format!("{folder}/mod.rs") };
        let parent = fs::read_to_string(root.join("tests").join(parent)).unwrap_or_default();
        parent.contains(&format!("mod {module};"))
            || manifest.contains(&format!("\"tests/{inside}\""))
    };
    let left: Vec<_> = found.iter().map(|(path, _)| path).filter(|path| !is_linked(path)).collect();
    assert!(left.is_empty(), "no binary contains these tests: {left:?}");
}
