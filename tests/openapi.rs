//! The OpenAPI document, written from the table of routes (`src/service/route.rs`) and the schemas
//! in `tests/openapi/parts.json`. `UPDATE=1 cargo test --features simulator --test host openapi`
//! writes `src/service/openapi.json`; without `UPDATE`, the test fails if that file differs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use pioneer_session::service::{Caller, Code, OPERATIONS, Operation};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

/// The parts that the table does not have. Raw, so that members keep their order.
#[derive(Deserialize)]
struct Parts {
    tags: Box<RawValue>,
    operations: BTreeMap<String, OperationParts>,
    components: BTreeMap<String, BTreeMap<String, Box<RawValue>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OperationParts {
    parameters: Option<Box<RawValue>>,
    request_body: Option<Box<RawValue>>,
    /// Those of success.
    responses: BTreeMap<String, Box<RawValue>>,
}

/// Members of a JSON object, in their order; each value is JSON text.
#[derive(Default)]
struct Object(Vec<(String, String)>);

impl Object {
    fn with(mut self, name: impl ToString, value: impl ToString) -> Self {
        self.0.push((name.to_string(), value.to_string()));
        self
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members = self.0.iter().map(|(name, value)| format!("{}:{value}", json!(name)));
        write!(formatter, "{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// The codes of an operation, by their status.
fn by_status(operation: &Operation) -> BTreeMap<u16, Vec<Code>> {
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in operation.codes() {
        statuses.entry(code.status().as_u16()).or_default().push(code);
    }
    statuses
}

/// The name of the response with these codes.
fn response_name(codes: &[Code]) -> String {
    codes.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>().join("Or")
}

fn names(codes: &[Code]) -> Vec<&'static str> {
    codes.iter().map(|code| code.name()).collect()
}

/// The response of a status with these codes.
fn problem_response(status: u16, codes: &[Code]) -> Object {
    let mut headers = Object::default().with("X-Request-Id", reference("headers", "RequestId"));
    if status == 401 {
        headers = headers.with("WWW-Authenticate", reference("headers", "Challenge"));
    }
    if codes.contains(&Code::UseDpopNonce) {
        headers = headers.with("DPoP-Nonce", reference("headers", "DPoPNonce"));
    }
    if matches!(status, 429 | 503) {
        headers = headers.with("Retry-After", reference("headers", "RetryAfter"));
    }
    let meanings: Vec<&str> = codes.iter().map(|code| code.meaning().trim()).collect();
    let narrowed = json!({ "properties": { "status": { "const": status }, "code": { "enum": names(codes) } } });
    let schema = json!({ "allOf": [reference("schemas", "Problem"), narrowed] });
    let media_type = Object::default().with("schema", schema);
    Object::default()
        .with("description", json!(meanings.join(" Or: ")))
        .with("headers", headers)
        .with("content", Object::default().with("application/problem+json", media_type))
}

fn problem_schema() -> Object {
    let page = Code::Internal.kind().replace("internal", "");
    let properties = Object::default()
        .with("type", json!({ "type": "string", "pattern": format!("^{}[a-z_]+$", page.replace('.', "\\.")), "description": "A page that explains the code." }))
        .with("title", json!({ "type": "string", "description": "The reason phrase of the status." }))
        .with("status", json!({ "type": "integer", "minimum": 400, "maximum": 599 }))
        .with("code", json!({ "enum": names(Code::ALL), "description": "Why the request failed. A code never changes its meaning." }))
        .with("detail", json!({ "type": "string", "description": "What is wrong and what to do next, for the developer." }))
        .with("requestId", json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{16}$", "description": "Finds the request in the log." }))
        .with("piError", json!({ "type": "string", "description": "Pi's own code, with pi_refused." }));
    let code = Code::SessionExpired;
    let example = Object::default()
        .with("type", json!(code.kind()))
        .with("title", json!(code.status().canonical_reason()))
        .with("status", json!(code.status().as_u16()))
        .with("code", json!(code.name()))
        .with(
            "detail",
            json!("The session token has expired. Refresh the session, or sign in again."),
        )
        .with("requestId", json!("dGhlLXJlcXVlc3Qt"));
    Object::default()
        .with("type", json!("object"))
        .with("description", json!("RFC 9457."))
        .with("properties", properties)
        .with("required", json!(["type", "title", "status", "code", "detail", "requestId"]))
        .with("examples", format!("[{example}]"))
}

fn operation_object(operation: &Operation, parts: &OperationParts) -> Object {
    let mut responses = Object::default();
    for (status, response) in &parts.responses {
        responses = responses.with(status, response);
    }
    for (status, codes) in by_status(operation) {
        responses = responses.with(status, reference("responses", &response_name(&codes)));
    }
    let security = match operation.caller {
        Caller::Anyone => json!([]),
        Caller::Session => json!([{ "session": [] }, { "cookie": [] }]),
        Caller::Backend => json!([{ "backend": [] }]),
        Caller::Operator | Caller::Owner => json!([{ "operator": [] }]),
    };
    let mut object = Object::default()
        .with("operationId", json!(operation.id))
        .with("tags", json!([operation.tag]))
        .with("summary", json!(operation.summary()))
        .with("description", json!(operation.description()))
        .with("security", security);
    if let Some(parameters) = &parts.parameters {
        object = object.with("parameters", parameters);
    }
    if let Some(body) = &parts.request_body {
        object = object.with("requestBody", body);
    }
    object.with("responses", responses)
}

/// The references to the parameters that a path names in braces.
fn path_parameters(path: &str, parts: &Parts) -> Vec<Value> {
    let named = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
    let component = |name: &str| {
        let found = parts.components["parameters"].iter().find(|(_, parameter)| {
            let parameter: Value = serde_json::from_str(parameter.get()).unwrap();
            parameter["in"] == "path" && parameter["name"] == name
        });
        reference("parameters", found.unwrap_or_else(|| panic!("no parameter {name}")).0)
    };
    named.map(component).collect()
}

fn document() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let parts = fs::read_to_string(format!("{root}/tests/openapi/parts.json")).unwrap();
    let parts: Parts = serde_json::from_str(&parts).unwrap();
    let described: BTreeSet<&str> = parts.operations.keys().map(String::as_str).collect();
    let declared: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!(described, declared, "parts.json and the table of routes have other operations");

    let mut paths = Object::default();
    for operations in OPERATIONS.chunk_by(|one, next| one.path == next.path) {
        let mut item = Object::default();
        let parameters = path_parameters(operations[0].path, &parts);
        if !parameters.is_empty() {
            item = item.with("parameters", json!(parameters));
        }
        for operation in operations {
            let object = operation_object(operation, &parts.operations[operation.id]);
            item = item.with(operation.method.to_ascii_lowercase(), object);
        }
        paths = paths.with(operations[0].path, item);
    }

    let all: BTreeMap<Vec<Code>, u16> =
        OPERATIONS.iter().flat_map(by_status).map(|(status, codes)| (codes, status)).collect();
    let mut responses = Object::default();
    for (codes, status) in all {
        responses = responses.with(response_name(&codes), problem_response(status, &codes));
    }
    let mut components = Object::default();
    for (kind, members) in &parts.components {
        let mut object = Object::default();
        if kind == "schemas" {
            object = object.with("Problem", problem_schema());
        }
        for (name, member) in members {
            object = object.with(name, member);
        }
        components = components.with(kind, object);
    }
    let license = env!("CARGO_PKG_LICENSE");
    let info = Object::default()
        .with("title", json!(env!("CARGO_PKG_NAME")))
        .with("version", json!(env!("CARGO_PKG_VERSION")))
        .with("description", json!("Sign-in, sessions and payments for a Pi app. Every error is an RFC 9457 problem with a stable `code`."))
        .with("license", json!({ "name": license, "identifier": license }));
    let server = Object::default()
        .with("url", json!("/"))
        .with("description", json!("The Worker that serves this document, at its SESSION_ISSUER."));
    let document = Object::default()
        .with("openapi", json!("3.1.0"))
        .with("info", info)
        .with("servers", format!("[{server}]"))
        .with("tags", parts.tags)
        .with("paths", paths)
        .with("components", components.with("responses", responses));
    in_lines(&document.to_string())
}

/// How deep the file has a line for each member: operations and components. The wasm contains the
/// file, so the rest is compact.
const LINES_TO_DEPTH: usize = 3;

/// JSON text without white space, but with a line for each member down to [`LINES_TO_DEPTH`].
fn in_lines(text: &str) -> String {
    let (mut out, mut depth, mut in_string, mut is_escaped) = (String::new(), 0, false, false);
    for letter in text.chars() {
        if in_string {
            in_string = letter != '"' || is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            out.push(letter);
            continue;
        }
        in_string = letter == '"';
        match letter {
            ' ' | '\n' => continue,
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        out.push(letter);
        if matches!(letter, '{' | '[' | ',') && depth <= LINES_TO_DEPTH {
            out.push('\n');
        }
    }
    out + "\n"
}

#[test]
fn the_document_is_the_one_that_the_table_of_routes_describes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/service/openapi.json");
    let document = document();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, document).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(path).unwrap() == document,
        "src/service/openapi.json is out of date. Run: UPDATE=1 cargo test --features simulator --test host openapi"
    );
}

#[test]
fn every_operation_is_described() {
    for operation in OPERATIONS {
        let (summary, description) = (operation.summary(), operation.description());
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{}", operation.id);
        assert!(description.ends_with('.'), "{}", operation.id);
    }
    for code in Code::ALL {
        assert!(code.meaning().ends_with('.'), "{code}");
    }
}
