//! The same requests to every store. This test sends them to the service with the stores in memory,
//! where each question about a session and payments is answered by its default, which is its
//! specification. `tests/transcript.json` keeps the requests with these answers, and
//! `tests/worker/transcript.test.mjs` expects the same answers from the Worker with D1.
//!
//! `UPDATE=1 cargo test --features simulator --test host transcript` writes the file.

use super::*;
use pioneer_session::{
    payment::{MAX_OPEN_ORDERS, Product},
    pi::{Amount, Transport as _},
};

/// A request, in which `{name}` stands for a value of an earlier answer. `caller` is the
/// credential. `keep` gives values of the answer a name, each by its JSON pointer.
#[derive(Clone, Copy, Default)]
struct Step<'a> {
    caller: &'a str,
    request: &'a str,
    body: Option<&'a Value>,
    key: Option<&'a str>,
    keep: &'a [(&'a str, &'a str)],
}

struct Script {
    app: TestApp,
    steps: Vec<Value>,
    /// The kept values, with their names.
    kept: Vec<(String, String)>,
}

impl Script {
    fn filled(&self, text: &str) -> String {
        self.kept.iter().fold(text.to_owned(), |text, (value, name)| text.replace(name, value))
    }

    /// The answer without its texts and tokens, and with names instead of ids and times.
    fn shown(&self, answer: &Value) -> Value {
        const HIDDEN: [&str; 9] = [
            "detail",
            "requestId",
            "title",
            "type",
            "sessionToken",
            "refreshToken",
            "sid",
            "userAgent",
            "country",
        ];
        match answer {
            Value::Object(members) => {
                let members = members.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str()));
                members.map(|(name, value)| (name.clone(), self.shown(value))).collect()
            }
            Value::Array(values) => values.iter().map(|value| self.shown(value)).collect(),
            Value::String(text) if text.len() == 20 && text.ends_with('Z') => json!("{time}"),
            Value::String(text) => match self.kept.iter().find(|(value, _)| value == text) {
                Some((_, name)) => json!(name),
                None => json!(text),
            },
            other => other.clone(),
        }
    }

    /// Sends a request, a second after the one before. Requests below `/simulator/` go to Pi.
    fn send(&mut self, step: Step<'_>) -> u16 {
        let now = NOW + i64::try_from(self.steps.len()).unwrap();
        let (method, path) = step.request.split_once(' ').unwrap();
        let (path, bearer) = (self.filled(path), format!("Bearer {}", self.filled(step.caller)));
        let mut headers = Vec::new();
        headers.extend((!step.caller.is_empty()).then_some(("authorization", bearer.as_str())));
        headers.extend(step.body.map(|_| ("content-type", "application/json")));
        headers.extend(step.key.map(|key| ("idempotency-key", key)));
        let body = step.body.map(|body| self.filled(&body.to_string())).unwrap_or_default();
        let request = request(method, &path, &headers, &body);
        let is_to_pi = path.starts_with("/simulator/");
        let (status, text) = if is_to_pi {
            self.app.transport.simulator.now.set(at(now));
            let answer = block_on(self.app.transport.simulator.send(request)).unwrap();
            (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
        } else {
            let reply = call_at(&self.app, &request, now);
            (reply.status, reply.body)
        };
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        let mut keep = serde_json::Map::new();
        for (name, pointer) in step.keep {
            let Some(value) = answer.pointer(pointer).and_then(Value::as_str) else { continue };
            if !self.kept.iter().any(|(known, _)| known == value) {
                self.kept.push((value.to_owned(), format!("{{{name}}}")));
                keep.insert((*name).to_owned(), json!(pointer));
            }
        }
        let answer = if is_to_pi { Value::Null } else { self.shown(&answer) };
        self.steps.push(json!({
            "caller": step.caller, "request": step.request, "body": step.body, "key": step.key,
            "keep": keep, "status": status, "answer": answer,
        }));
        status
    }

    fn ask(&mut self, caller: &str, request: &str) {
        self.send(Step { caller, request, ..Step::default() });
    }

    fn sign_in(&mut self, persona: &str, name: &str) {
        let (body, keep) = (json!({ "accessToken": persona }), [(name, "/sessionToken")]);
        let request = "POST /session";
        let step = Step { request, body: Some(&body), keep: &keep, ..Step::default() };
        assert_eq!(self.send(step), 200);
    }

    fn order(&mut self, caller: &str, product: &str, key: Option<&str>, name: &str) {
        let (body, keep) = (json!({ "productId": product }), [(name, "/orderId")]);
        let request = "POST /orders";
        self.send(Step { caller, request, body: Some(&body), key, keep: &keep });
    }

    fn at_pi(&mut self, caller: &str, request: &str, body: &Value, keep: &[(&str, &str)]) {
        let status = self.send(Step { caller, request, body: Some(body), key: None, keep });
        assert!((200..300).contains(&status), "{request}: {status}");
    }

    /// Sets the products and their prices in stroops.
    fn sell(&mut self, products: &[(&str, i64)]) {
        let product = |&(id, stroops): &(&str, i64)| Product {
            id: id.to_owned().try_into().unwrap(),
            name: format!("A cup of {id}"),
            amount: Amount::from_stroops(stroops.try_into().unwrap()),
        };
        self.app.store.payments.products.replace(products.iter().map(product).collect());
        self.steps.push(json!({ "sell": products }));
    }

    /// Makes an order in each state for this user. Returns the names of its payments.
    fn order_in_each_state(&mut self, user: &str, persona: &str) -> Vec<String> {
        let (token, mut payments) = (format!("{{{user}}}"), Vec::new());
        for state in ["open", "paid", "cancelled", "replaced", "recorded", "approved"] {
            let order = format!("{user}-{state}");
            self.order(&token, "coffee", Some(state), &order);
            let mut pay = |script: &mut Self, name: String| {
                let metadata = json!({ "orderId": format!("{{{order}}}") });
                let body = json!({ "amount": 3, "memo": "a cup", "metadata": metadata });
                let keep = [(name.as_str(), "/identifier")];
                script.at_pi(persona, "POST /simulator/payments", &body, &keep);
                payments.push(format!("{{{name}}}"));
                format!("/payments/{{{name}}}")
            };
            if state == "open" {
                continue;
            }
            let payment = pay(self, format!("{order}-payment"));
            if state == "recorded" {
                let fault = json!({ "step": "approve", "fault": "html500" });
                self.at_pi(persona, "POST /simulator/faults", &fault, &[]);
            }
            self.ask(&token, &format!("POST {payment}/approve"));
            match state {
                "recorded" => self.at_pi(persona, "DELETE /simulator/faults", &json!({}), &[]),
                "paid" => {
                    let (name, at_pi) = (format!("{order}-txid"), format!("/simulator{payment}"));
                    let keep = [(name.as_str(), "/transaction/txid")];
                    self.at_pi(persona, &format!("POST {at_pi}/pay"), &json!({}), &keep);
                    let body = json!({ "txid": format!("{{{name}}}") });
                    let request = &format!("POST {payment}/complete");
                    let (caller, body) = (token.as_str(), Some(&body));
                    let step = Step { caller, request, body, ..Step::default() };
                    assert_eq!(self.send(step), 200);
                }
                "cancelled" | "replaced" => self.ask(&token, &format!("POST {payment}/cancel")),
                _ => {}
            }
            if state == "replaced" {
                let payment = pay(self, format!("{order}-second-payment"));
                self.ask(&token, &format!("POST {payment}/approve"));
            }
        }
        let (name, granted) = (format!("{user}-ad"), json!({ "status": "granted" }));
        self.at_pi(persona, "POST /simulator/ads", &granted, &[(name.as_str(), "/adId")]);
        self.ask(&token, &format!("POST /ads/{{{name}}}/claim"));
        payments
    }

    fn show_users(&mut self) {
        for uid in [ALICE, "b0b00000-0000-4000-8000-000000000002", CAROL, "nobody"] {
            self.ask(CREDENTIAL, &format!("GET /users/{uid}"));
            self.ask(CREDENTIAL, &format!("GET /users/{uid}/payments"));
        }
    }

    /// Sends a request for every page of a list.
    fn ask_pages(&mut self, path: &str, limit: u32) {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut request = format!("GET {path}{separator}limit={limit}");
        for page in 1.. {
            let name = format!("{path} {limit} {page}");
            let keep = [(name.as_str(), "/next")];
            let step = Step { caller: OWNER, request: &request, keep: &keep, ..Step::default() };
            assert_eq!(self.send(step), 200, "{request}");
            let has_next = self.steps.last().is_some_and(|step| step["keep"][&name].is_string());
            if !has_next {
                break;
            }
            request = format!("GET {path}{separator}limit={limit}&after={{{name}}}");
        }
    }

    /// An operator does everything, also what cannot be done, and then reads the audit.
    fn act_as_operator(&mut self, payments: &[String]) {
        for payment in payments {
            for step in ["settle", "cancel"] {
                self.ask(OWNER, &format!("POST /admin/payments/{payment}/{step}"));
            }
        }
        let act = |script: &mut Self, request: &str, body: &Value| {
            script.send(Step { caller: OWNER, request, body: Some(body), ..Step::default() })
        };
        for (id, name, amount) in
            [("milk", "Milk \u{202e}<b>", "0.0000001"), ("milk", "Cream", "1"), ("oats", "", "1")]
        {
            let product = json!({ "id": id, "name": name, "amount": amount });
            act(self, "POST /admin/products", &product);
        }
        for change in [
            json!({ "active": false }),
            json!({ "amount": "900719925.4740991", "active": true }),
            json!({ "amount": "0" }),
        ] {
            for id in ["milk", "none"] {
                act(self, &format!("PATCH /admin/products/{id}"), &change);
            }
        }
        self.ask("", "GET /products");
        for (persona, uid) in [("sim-crowd-8", CROWD), ("", "nobody")] {
            if !persona.is_empty() {
                self.sign_in(persona, "crowd");
            }
            let path = format!("/admin/users/{uid}");
            let block = json!({ "reason": "Sells accounts. \u{202e}\"'\\" });
            act(self, &format!("POST {path}/block"), &block);
            let token = json!({ "accessToken": persona });
            self.send(Step { request: "POST /session", body: Some(&token), ..Step::default() });
            self.ask("{crowd}", "GET /me");
            self.ask(OWNER, &format!("GET {path}"));
            self.ask(OWNER, &format!("POST {path}/unblock"));
            for request in ["POST {path}/revoke", "GET {path}/data", "GET {path}/export"] {
                self.ask(OWNER, &request.replace("{path}", &path));
            }
            for confirm in
                ["", "?confirm=other", &format!("?confirm={uid}"), &format!("?confirm={uid}")]
            {
                self.ask(OWNER, &format!("DELETE {path}{confirm}"));
            }
        }
        self.ask(OWNER, &format!("GET /admin/users/{ALICE}/export"));
        self.ask(OWNER, "DELETE /admin/sessions/none");
        self.ask(CREDENTIAL, &format!("POST /users/{ALICE}/revoke"));
        self.ask(CREDENTIAL, "POST /revoke-all");
        for confirm in ["other", "test-app"] {
            let confirm = json!({ "confirm": confirm });
            act(self, "POST /admin/revoke-all", &confirm);
        }
        for entries in ["actor=api", "actor=alice", "target=milk", "action=user.erased"] {
            self.ask_pages(&format!("/admin/audit?{entries}"), 7);
        }
    }

    /// An operator reads everything.
    fn show_operator(&mut self, payments: &[String]) {
        for list in [
            "users",
            "users?q=alice",
            "users?q=CROWD_",
            "users?q=a%25",
            "users?q=_",
            "users?q='",
            "users?q=a11ce000-0000-4000-8000-000000000001",
            "users?q=%ED%A0%80",
            "users/a11ce000-0000-4000-8000-000000000001/payments",
            "payments",
            "payments?state=unfinished",
            "payments?state=paid",
            "payments?state=cancelled",
            "payments?stuck=true",
            "payments?q={alice-replaced}",
            "payments?q={bob-paid-payment}",
            "payments?q=none",
            "audit",
        ] {
            for limit in [3, 100] {
                self.ask_pages(&format!("/admin/{list}"), limit);
            }
        }
        for payment in payments {
            self.ask(OWNER, &format!("GET /admin/payments/{payment}"));
        }
        for uid in [ALICE, CAROL, "nobody"] {
            self.ask(OWNER, &format!("GET /admin/users/{uid}"));
            self.ask(OWNER, &format!("GET /admin/users/{uid}/sessions"));
        }
    }
}

/// The user whose token is `sim-no-username`.
const CAROL: &str = "ca501000-0000-4000-8000-000000000003";

/// The user whose token is `sim-crowd-8`.
const CROWD: &str = "c4007d00-0000-4000-8000-000000000008";

/// The steps, with the answers of the stores in memory.
fn steps() -> Vec<Value> {
    let mut script = Script {
        app: test_app_with(&[("SESSION_AUDIENCE", "test-app")]),
        steps: Vec::new(),
        kept: Vec::new(),
    };
    script.sell(&[("coffee", 30_000_000), ("tea", 7)]);
    let mut payments = vec!["none".to_owned(), "%20".to_owned()];
    let users = [("alice", "sim-alice"), ("bob", "sim-bob"), ("carol", "sim-no-username")];
    for (user, persona) in users {
        script.sign_in(persona, user);
        payments.extend(script.order_in_each_state(user, persona));
    }
    script.order("{alice}", "tea", Some("tea"), "alice-tea");
    script.sell(&[("coffee", 20_000_000)]);
    script.ask("{carol}", "DELETE /me");
    script.show_users();

    // A session that is not live, which the process does not know yet.
    for request in [
        "GET /me",
        "GET /payments",
        "GET /orders/{alice-open}",
        "POST /payments/{alice-paid-payment}/approve",
        "POST /ads/{alice-ad}/claim",
        "POST /orders",
    ] {
        let name = format!("revoked-{}", script.steps.len());
        script.sign_in("sim-crowd-7", &name);
        let caller = &format!("{{{name}}}");
        script.ask(caller, "DELETE /session");
        let coffee = json!({ "productId": "coffee" });
        let body = request.ends_with("/orders").then_some(&coffee);
        assert_eq!(script.send(Step { caller, request, body, ..Step::default() }), 401);
    }

    // Every user asks for everything.
    let watched = json!({ "status": "granted" });
    script.at_pi("sim-alice", "POST /simulator/ads", &watched, &[("watched", "/adId")]);
    for (user, persona) in users {
        let name = format!("{user}-again");
        script.sign_in(persona, &name);
        let caller = &format!("{{{name}}}");
        for product in ["coffee", "tea", "none"] {
            for key in [None, Some("open"), Some("paid"), Some("tea"), Some("new")] {
                let made = format!("made-{}", script.steps.len());
                script.order(caller, product, key, &made);
            }
        }
        if user == "alice" {
            for _ in 0..MAX_OPEN_ORDERS {
                let made = format!("made-{}", script.steps.len());
                script.order(caller, "coffee", None, &made);
            }
        }
        // Every order, and also those that were deleted because the user had too many.
        let orders = script.kept.iter().map(|(_, name)| name.clone()).filter(|name| {
            name.starts_with("{made-") || users.iter().any(|(user, _)| is_order(name, user))
        });
        for order in orders.chain(["none".to_owned(), "%20".to_owned()]).collect::<Vec<_>>() {
            script.ask(caller, &format!("GET /orders/{order}"));
        }
        for payment in &payments {
            for step in ["approve", "recover"] {
                script.ask(caller, &format!("POST /payments/{payment}/{step}"));
            }
        }
        for ad in ["{alice-ad}", "{bob-ad}", "{carol-ad}", "{watched}", "none", "%20"] {
            script.ask(caller, &format!("POST /ads/{ad}/claim"));
        }
        script.ask(caller, "GET /payments");
        script.ask(caller, "GET /me");
    }
    script.show_users();
    script.act_as_operator(&payments);
    script.show_operator(&payments);
    script.steps
}

/// Whether the name is that of an order of this user: `{user-state}`.
fn is_order(name: &str, user: &str) -> bool {
    let state = name.strip_prefix(&format!("{{{user}-"));
    state.is_some_and(|state| !state.contains('-') && !["ad}", "again}"].contains(&state))
}

#[test]
fn the_transcript_has_the_answers_of_the_stores_in_memory() {
    let lines: Vec<String> = steps().iter().map(Value::to_string).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcript.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).is_ok_and(|written| written == text),
        "tests/transcript.json is out of date. Run: UPDATE=1 cargo test --features simulator --test host transcript"
    );
}
