//! The parts that tests of the service share: a simulated Pi, a store that can be made to fail, a
//! counter of attempts, and the checks of every reply.

mod records;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
    pin::pin,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, Request, Response};
use pioneer_session::{
    audit::{Action, Entry},
    identifier::Identifier,
    jwt::{self, SigningKey},
    payment::{self, Claim, Due, Offer, Order, Ordered, Paid, Product},
    pi::{Amount, Transport, TxId, Unreachable},
    service::{
        self, App, AuditRow, Clock, Counted, Counts, Deeds, Entropy, Limit, Limiter, LogEntry,
        Mark, Marks, Misconfigured, Number, Ports, Settings, Signer, Sum,
    },
    session::{
        Data, Ended, Erased, Error, Expected, Lifetimes, MemoryStore, Opened, RefreshToken,
        Refreshed, Revoked, Session, SignIn, Store, Use, User, Written,
    },
    simulator::{SERVER_API_KEY, Simulator},
    time::UnixTime,
};
use serde_json::{Value, json};

/// A section of this page explains each code.
pub const ERRORS_PAGE: &str = concat!(env!("CARGO_PKG_HOMEPAGE"), "errors#");
pub const NOW: i64 = 1_760_000_000;
pub const ALICE: &str = "a11ce000-0000-4000-8000-000000000001";
pub const ORIGIN: &str = "https://app.example";
/// Only for these tests: with a published key, no Worker starts in production.
pub const SEED: &str = "Xkkt3RzIF-KmaXNy6mH10I3OaeAMY_GqIe9dqVlrkL8";
pub const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519",
    "d":"Xkkt3RzIF-KmaXNy6mH10I3OaeAMY_GqIe9dqVlrkL8",
    "x":"4MGb5k9rJCnFfaqnJKXvoKiACsBatT2sraNWf8dnfpI",
    "kid":"zqnc2cNFOZGiJh6_nnMZdDlj7x_K2e_Ys9CwQU0v1cM","state":"active"}]}"#;

pub const REFRESH_SECRET: &str = "cmVmcmVzaC1zZWNyZXQtb2YtdGhlLXRlc3RzLTAxMjM";
/// The SHA-256 of `credential-of-a-backend`, and another hash.
pub const BACKENDS: &str = r#"{
    "other":"0000000000000000000000000000000000000000000000000000000000000000",
    "api":"7375bfa0180bf9b5d032ba7d2c5c6e2cf523b0b8d2392a68b547e155c5a5f76c"}"#;
pub const CREDENTIAL: &str = "credential-of-a-backend";
/// The SHA-256 of [`OWNER`] and of [`VIEWER`].
pub const OPERATORS: &str = r#"{
    "alice":{"sha256":"51d925d7c0820b76e0d992ccc679a5fb8782bb6b548b57097cf5b9e01a872bb8","role":"owner"},
    "bob":{"sha256":"274a530f50260aac351e75c2641c16c00003b9dcc52eb7039d00ab9be4c96a4d","role":"viewer"}}"#;
pub const OWNER: &str = "credential-of-an-owner";
pub const VIEWER: &str = "credential-of-a-viewer";

// --- The service under test -------------------------------------------------------------------

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// The simulated Pi, or one prepared answer instead of its next one.
pub struct Pi {
    pub simulator: Simulator,
    pub prepared: RefCell<Option<Response<Vec<u8>>>>,
    /// The clock of the service, and how many seconds each exchange takes.
    pub clock: Rc<Cell<UnixTime>>,
    pub takes: Cell<u32>,
}

impl Transport for Pi {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        let simulated = self.simulator.send(request).await;
        self.clock.set(self.clock.get().plus(self.takes.get()));
        self.prepared.take().map_or(simulated, Ok)
    }
}

/// What operators read that no request of a test has written.
#[derive(Default)]
pub struct Stored {
    /// In the order in which they happened.
    pub audit: Vec<AuditRow>,
    pub missing: Vec<&'static str>,
    /// Of hours and days.
    pub hours: Vec<Number>,
    pub days: Vec<Number>,
    pub marks: Vec<Mark>,
    /// Whether the database lacks a table that the numbers are read from.
    pub lacks_tables: bool,
}

/// A store that fails on request.
#[derive(Default)]
pub struct Faulty {
    pub memory: MemoryStore,
    pub payments: payment::MemoryStore,
    pub fails: Cell<bool>,
    /// Begins to fail after so many calls.
    pub fails_after: Cell<Option<u32>>,
    pub numbers: RefCell<Numbers>,
    pub marks: Cell<Marks>,
    /// The answers to operators that the other stores cannot derive.
    pub stored: RefCell<Stored>,
    /// The calls of the clock for the numbers.
    pub calls: RefCell<Vec<String>>,
}

impl Faulty {
    pub fn works(&self) -> Result<&MemoryStore, Error> {
        if let Some(left) = self.fails_after.get() {
            self.fails_after.set(left.checked_sub(1));
            self.fails.set(left == 0);
        }
        let failure = || Error { reason: "SQLITE_BUSY".into() };
        (!self.fails.get()).then_some(&self.memory).ok_or_else(failure)
    }
}

impl Store for Faulty {
    async fn open(
        &self,
        sign_in: &SignIn,
        session: &Session,
        keep: u32,
        replaced: Option<&Identifier>,
    ) -> Result<Opened, Error> {
        self.works()?.open(sign_in, session, keep, replaced).await
    }
    async fn refresh(
        &self,
        token: &RefreshToken,
        with: Use<'_>,
        lifetimes: &Lifetimes,
        now: UnixTime,
    ) -> Result<Refreshed, Error> {
        self.works()?.refresh(token, with, lifetimes, now).await
    }
    async fn record_of_user(
        &self,
        uid: &Identifier,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        self.works()?.record_of_user(uid).await
    }
    async fn revoke_user(&self, uid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        self.works()?.revoke_user(uid, now).await
    }
    async fn revoke_everyone(&self, now: UnixTime) -> Result<(), Error> {
        self.works()?.revoke_everyone(now).await
    }
    async fn revoked(
        &self,
        after: u64,
        expired_since: UnixTime,
        issued_since: UnixTime,
        limits: (u32, u32),
    ) -> Result<Revoked, Error> {
        self.works()?.revoked(after, expired_since, issued_since, limits).await
    }
    async fn sessions(&self, sid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error> {
        self.works()?.sessions(sid, now).await
    }
    async fn revoke_all(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        self.works()?.revoke_all(sid, now).await
    }
    async fn revoke_other(
        &self,
        sid: &Identifier,
        other: &Identifier,
        now: UnixTime,
    ) -> Result<Ended, Error> {
        self.works()?.revoke_other(sid, other, now).await
    }
    async fn user(&self, sid: &Identifier, now: UnixTime) -> Result<Option<User>, Error> {
        self.works()?.user(sid, now).await
    }
    async fn record(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<(User, Option<Data>)>, Error> {
        self.works()?.record(sid, now).await
    }
    async fn write(
        &self,
        sid: &Identifier,
        data: &Data,
        expected: &Expected,
        now: UnixTime,
    ) -> Result<Written, Error> {
        self.works()?.write(sid, data, expected, now).await
    }
    async fn revoke(&self, sid: &Identifier, now: UnixTime) -> Result<bool, Error> {
        self.works()?.revoke(sid, now).await
    }
    async fn erase(&self, sid: &Identifier, limit: u32, now: UnixTime) -> Result<Erased, Error> {
        // The orders and payments stay, without the user.
        let user = self.works()?.user(sid, now).await?;
        user.iter().for_each(|user| self.payments.forget(&user.uid));
        self.works()?.erase(sid, limit, now).await
    }
    async fn block(&self, uid: &Identifier, reason: &str, now: UnixTime) -> Result<bool, Error> {
        self.works()?.block(uid, reason, now).await
    }
    async fn unblock(&self, uid: &Identifier) -> Result<bool, Error> {
        self.works()?.unblock(uid).await
    }
    async fn erase_user(&self, uid: &Identifier, limit: u32, now: UnixTime) -> Result<bool, Error> {
        let is_known = self.works()?.erase_user(uid, limit, now).await?;
        self.payments.forget(uid);
        Ok(is_known)
    }
    async fn forget(&self, limit: u32) -> Result<bool, Error> {
        self.works()?.forget(limit).await
    }
    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Error> {
        Store::sweep(self.works()?, now, limit).await
    }
}

impl Faulty {
    pub fn books(&self) -> Result<&payment::MemoryStore, Error> {
        self.works().map(|_| &self.payments)
    }
}

/// A result that cannot fail, as one that can.
pub fn sound<T>(result: Result<T, Infallible>) -> Result<T, Error> {
    result.map_err(|never| match never {})
}

impl payment::Store for Faulty {
    type Error = Error;
    async fn products(&self) -> Result<Vec<Product>, Error> {
        sound(self.books()?.products().await)
    }
    async fn offer(&self, id: &Identifier) -> Result<Option<Offer>, Error> {
        sound(self.books()?.offer(id).await)
    }
    async fn add_product(&self, product: &Product) -> Result<bool, Error> {
        sound(self.books()?.add_product(product).await)
    }
    async fn change_offer(&self, from: &Offer, to: &Offer) -> Result<bool, Error> {
        sound(self.books()?.change_offer(from, to).await)
    }
    async fn keep_order(&self, order: &Order) -> Result<bool, Error> {
        sound(self.books()?.keep_order(order).await)
    }
    async fn order(&self, id: &Identifier) -> Result<Option<Ordered>, Error> {
        sound(self.books()?.order(id).await)
    }
    async fn purchases(&self, uid: &Identifier) -> Result<Vec<(Order, payment::Record)>, Error> {
        sound(self.books()?.purchases(uid).await)
    }
    async fn payment(&self, id: &Identifier) -> Result<Option<payment::Record>, Error> {
        sound(self.books()?.payment(id).await)
    }
    async fn payments(&self, uid: &Identifier) -> Result<Vec<payment::Record>, Error> {
        sound(self.books()?.payments(uid).await)
    }
    async fn record_payment(
        &self,
        id: &Identifier,
        claim: &Claim<'_>,
        now: UnixTime,
    ) -> Result<Option<Ordered>, Error> {
        sound(self.books()?.record_payment(id, claim, now).await)
    }
    async fn approve_payment(
        &self,
        id: &Identifier,
        now: UnixTime,
    ) -> Result<Option<payment::Record>, Error> {
        sound(self.books()?.approve_payment(id, now).await)
    }
    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Error> {
        sound(self.books()?.pay(id, txid, now).await)
    }
    async fn cancel_payment(
        &self,
        id: &Identifier,
        uid: &Identifier,
        amount: Amount,
        now: UnixTime,
    ) -> Result<payment::Record, Error> {
        sound(self.books()?.cancel_payment(id, uid, amount, now).await)
    }
    async fn adopt(&self, id: &Identifier, uid: &Identifier) -> Result<(), Error> {
        sound(self.books()?.adopt(id, uid).await)
    }
    async fn keep_transaction(
        &self,
        id: &Identifier,
        txid: &TxId,
        now: UnixTime,
    ) -> Result<(), Error> {
        sound(self.books()?.keep_transaction(id, txid, now).await)
    }
    async fn unfinished(&self, limit: u32, now: UnixTime) -> Result<Vec<Due>, Error> {
        sound(self.books()?.unfinished(limit, now).await)
    }
    async fn give_back(&self, ids: &[Identifier], now: UnixTime) -> Result<(), Error> {
        sound(self.books()?.give_back(ids, now).await)
    }
    async fn give_up(&self, id: &Identifier) -> Result<(), Error> {
        sound(self.books()?.give_up(id).await)
    }
    async fn keep_problems(&self, problems: &[(Identifier, &'static str)]) -> Result<(), Error> {
        sound(self.books()?.keep_problems(problems).await)
    }
    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Error> {
        sound(self.books()?.sweep(now, limit).await)
    }
    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Identifier>, Error> {
        sound(self.books()?.claim_ad(id, uid, now).await)
    }
    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Error> {
        sound(self.books()?.ad_owner(id).await)
    }
}

/// The numbers that were stored, by hour, name and label.
pub type Numbers = BTreeMap<(i64, &'static str, &'static str), Sum>;

impl Counts for Faulty {
    async fn add_counts(&self, counted: &[Counted]) -> Result<(), Error> {
        self.works()?;
        for (hour, what, sum) in counted {
            let [name, label] = what.names();
            let mut numbers = self.numbers.borrow_mut();
            let found = numbers.entry((hour.seconds(), name, label)).or_default();
            (found.n, found.total) = (found.n + sum.n, found.total + sum.total);
        }
        Ok(())
    }
    async fn mark_run(&self, outcome: &str, _: UnixTime) -> Result<Marks, Error> {
        self.works()?;
        self.calls.borrow_mut().push(format!("mark_run {outcome}"));
        Ok(self.marks.get())
    }
    async fn roll_up(&self, since: Option<UnixTime>, now: UnixTime) -> Result<(), Error> {
        self.works()?;
        let since = since.map_or_else(|| "nothing".to_owned(), |since| since.to_rfc3339());
        self.calls.borrow_mut().push(format!("roll_up {since}"));
        self.marks.set(Marks { rolled_up_at: Some(now), ..self.marks.get() });
        Ok(())
    }
    async fn forget_entries(&self, _: UnixTime) -> Result<(), Error> {
        self.works()?;
        self.calls.borrow_mut().push("forget_entries".to_owned());
        Ok(())
    }
    async fn take_stock(&self, with_active: bool, _: UnixTime) -> Result<(), Error> {
        self.works()?;
        self.calls.borrow_mut().push(format!("take_stock {with_active}"));
        Ok(())
    }
}

impl Deeds for Faulty {
    async fn keep_entry(&self, entry: &Entry, now: UnixTime) -> Result<(), Error> {
        self.works()?;
        let audit = &mut self.stored.borrow_mut().audit;
        let Entry { actor, via, action, target, detail, request_id } = entry.clone();
        audit.push(AuditRow {
            id: audit.last().map_or(1, |last| last.id + 1),
            at: now,
            actor,
            via: via.name().into(),
            action: action.name().into(),
            target,
            detail,
            request_id,
        });
        Ok(())
    }
    async fn was_erased(&self, uid: &Identifier) -> Result<bool, Error> {
        self.works()?;
        let entries = &self.stored.borrow().audit;
        Ok(entries.iter().any(|entry| {
            entry.action == Action::UserErased.name()
                && entry.target.as_deref() == Some(uid.as_str())
        }))
    }
}

impl service::Store for Faulty {}

/// The claim of a payment for exactly this order, at any age.
pub fn claim_of(order: &Order) -> Claim<'_> {
    let Order { id, uid, amount, .. } = order;
    let uid = uid.as_ref().expect("an order with a user");
    Claim { order_id: id, uid, amount: *amount, must_be_open: false }
}

/// Admits so many attempts with each key of a limit, and records the keys.
pub struct Counter {
    pub limit: Cell<usize>,
    pub keys: RefCell<Vec<String>>,
    pub unbound: RefCell<Vec<Limit>>,
}

impl Limiter for Counter {
    async fn admits(&self, limit: Limit, key: &str) -> bool {
        let key = format!("{} {key}", limit.binding());
        let mut keys = self.keys.borrow_mut();
        keys.push(key.clone());
        keys.iter().filter(|other| **other == key).count() <= self.limit.get()
    }

    fn is_bound(&self, limit: Limit) -> bool {
        !self.unbound.borrow().contains(&limit)
    }
}

/// The time of the test. A wait for Pi may move it.
pub struct Now(pub Rc<Cell<UnixTime>>);

impl Clock for Now {
    fn now(&self) -> UnixTime {
        self.0.get()
    }
}

/// Signs in this process, after so many failures.
pub struct Dalek {
    key: &'static SigningKey,
    pub failures: Cell<usize>,
}

impl Signer for Dalek {
    async fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let failures = self.failures.get();
        self.failures.set(failures.saturating_sub(1));
        (failures == 0).then(|| self.key.sign(message))
    }

    async fn verifies(&self, key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        use p256::ecdsa::signature::Verifier as _;
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key);
        let signature = p256::ecdsa::Signature::from_slice(signature);
        Some(key.is_ok_and(|key| signature.is_ok_and(|it| key.verify(message, &it).is_ok())))
    }
}

/// The key of a browser, for proofs (RFC 9449).
pub struct BrowserKey(p256::ecdsa::SigningKey);

impl BrowserKey {
    pub fn new(seed: u8) -> Self {
        Self(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    pub fn jwk(&self) -> Value {
        let point = self.0.verifying_key().to_sec1_point(false);
        let [x, y] = [&point.as_bytes()[1..33], &point.as_bytes()[33..]].map(base64url);
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
    }

    pub fn thumbprint(&self) -> String {
        use sha2::{Digest as _, Sha256};
        let Value::Object(jwk) = self.jwk() else { panic!() };
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        base64url(&Sha256::digest(text))
    }

    /// A proof for a refresh at this time.
    pub fn proof(&self, now: i64) -> String {
        self.changed(now, |_, _| {})
    }

    /// A proof whose header and claims are changed before it is signed.
    pub fn changed(&self, now: i64, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        static PROOFS: AtomicU64 = AtomicU64::new(1);
        let jti = format!("jti-{}", PROOFS.fetch_add(1, Ordering::Relaxed));
        let mut header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() });
        let url = "https://id.example/session/refresh";
        let mut claims = json!({ "htm": "POST", "htu": url, "iat": now, "jti": jti });
        change(&mut header, &mut claims);
        self.signed(&header.to_string(), &claims.to_string())
    }

    pub fn signed(&self, header: &str, claims: &str) -> String {
        use p256::ecdsa::signature::Signer as _;
        let input = [header, claims].map(|part| base64url(part.as_bytes())).join(".");
        let signature: p256::ecdsa::Signature = self.0.sign(input.as_bytes());
        format!("{input}.{}", base64url(&signature.to_bytes()))
    }
}

pub fn base64url(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The ports of the tests.
pub struct Simulated;

impl Ports for Simulated {
    type Clock = Now;
    type Store = Faulty;
    type Transport = Pi;
    type Limiter = Counter;
    type Signer = Dalek;
}

pub type TestApp = App<'static, Simulated>;

pub fn settings(changes: &[(&str, &str)]) -> Result<Settings, Misconfigured> {
    let base = [
        ("SESSION_ISSUER", "https://id.example"),
        ("SESSION_AUDIENCE", "app"),
        ("ALLOWED_ORIGINS", "https://app.example, https://sandbox.minepi.com"),
        ("PI_APP_ID", "simulated-app"),
        ("SESSION_KEYS", KEYS),
        ("REFRESH_SECRET", REFRESH_SECRET),
        ("PI_API_KEY", SERVER_API_KEY),
        ("PI_NETWORK", "Pi Testnet"),
        ("BACKEND_CREDENTIALS", BACKENDS),
        ("OPERATOR_CREDENTIALS", OPERATORS),
    ];
    Settings::read(|name| {
        let found = changes.iter().chain(&base).find(|(other, _)| *other == name);
        Ok(found.map(|(_, value)| (*value).to_owned()))
    })
}

/// The only file of the console in tests.
pub const CONSOLE_FILE: &str = "main-0123.js";

pub fn test_app_with(changes: &[(&str, &str)]) -> TestApp {
    let settings: &Settings = Box::leak(Box::new(settings(changes).unwrap()));
    let clock = Rc::new(Cell::new(at(NOW)));
    App {
        settings,
        memory: Box::leak(Box::default()),
        clock: Now(Rc::clone(&clock)),
        store: Faulty::default(),
        transport: Pi {
            simulator: Simulator::new(at(NOW)),
            prepared: RefCell::new(None),
            clock,
            takes: Cell::new(0),
        },
        limiter: Counter {
            limit: Cell::new(usize::MAX),
            keys: RefCell::default(),
            unbound: RefCell::default(),
        },
        signer: Dalek { key: settings.keys.active(), failures: Cell::new(0) },
        has_console_file: |name| name == CONSOLE_FILE,
        facts: Cell::default(),
    }
}

pub fn test_app() -> TestApp {
    test_app_with(&[])
}

pub fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds).unwrap()
}

pub fn entropy() -> Entropy {
    static DRAWS: AtomicU64 = AtomicU64::new(1);
    let draw = DRAWS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut bytes = [0; Entropy::BYTES];
    for at in [0, 12, 20] {
        bytes[at..at + 8].copy_from_slice(&draw);
    }
    Entropy::new(&bytes)
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as a text.
    pub body: String,
    pub bytes: Vec<u8>,
    /// How many requests to Pi it took.
    pub sent: usize,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }
    pub fn refresh(&self) -> String {
        self.json()["refreshToken"].as_str().expect("a refresh token").to_owned()
    }
    pub fn token(&self) -> String {
        self.json()["sessionToken"].as_str().expect("a session token").to_owned()
    }
}

/// Checks the properties of every reply, whatever it answers.
pub fn checked(request: &Request<Vec<u8>>, response: Response<Vec<u8>>) -> Reply {
    let record = response.extensions().get::<LogEntry>().expect("a record").clone();
    let (parts, bytes) = response.into_parts();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let (status, headers) = (parts.status.as_u16(), parts.headers);
    let reply = Reply { status, headers, body, bytes, sent: 0 };

    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    assert!(reply.headers.get_all("vary").iter().any(|names| names == "Origin"));
    assert_eq!(reply.header("x-request-id"), Some(record.request_id.as_str()));
    assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(reply.header("strict-transport-security"), Some("max-age=31536000"));
    let is_console = record.route.starts_with("/console") && reply.status == 200;
    let policy = reply.header("content-security-policy").unwrap();
    if is_console {
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    } else {
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
    }
    let is_read = matches!(request.method().as_str(), "GET" | "HEAD") && reply.status < 400;
    let max_ages = match request.uri().path() {
        "/.well-known/jwks.json" | "/openapi.json" if is_read => Some(300..=300),
        "/products" | "/revocations" if is_read => Some(0..=5),
        _ => None,
    };
    let cache_control = reply.header("cache-control");
    let max_age = cache_control.and_then(|value| value.strip_prefix("public, max-age="));
    match max_ages {
        Some(range) => assert!(range.contains(&max_age.unwrap().parse::<u32>().unwrap())),
        None if is_console && record.route != "/console" => {
            assert_eq!(max_age, Some("31536000, immutable"));
        }
        None => assert_eq!(cache_control, Some("no-store")),
    }

    if reply.status >= 400 {
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert!(record.code.is_some());
        if request.method() != "HEAD" {
            let problem = reply.json();
            let names = problem.as_object().unwrap().keys().filter(|name| *name != "piError");
            let names: Vec<&String> = names.collect();
            assert_eq!(names, ["code", "detail", "requestId", "status", "title", "type"]);
            let kind = problem["type"].as_str().unwrap().strip_prefix(ERRORS_PAGE);
            assert_eq!(kind, record.code);
            assert_eq!(problem["status"], reply.status);
            assert_eq!(problem["requestId"], record.request_id.as_str());
            assert_eq!(problem["code"], record.code.unwrap());
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.ends_with('.') || detail.contains(". Run: npx wrangler "), "{detail}");
            assert!(!problem["title"].as_str().unwrap().is_empty());
        }
        // The table of routes, and so the OpenAPI document, lists the code.
        let method = request.method().as_str().replace("HEAD", "GET");
        let mut operations = service::OPERATIONS.iter();
        let operation = operations.find(|op| (op.path, op.method) == (record.route, &method));
        if let Some(operation) = operation {
            let codes = operation.codes();
            let code = codes.iter().find(|code| Some(code.name()) == record.code);
            let code = code.unwrap_or_else(|| panic!("{} lacks {:?}", operation.id, record.code));
            assert_eq!(code.status().as_u16(), reply.status);
        }
    } else {
        assert_eq!(record.code, None);
    }
    let has = |name| reply.headers.contains_key(name);
    assert_eq!(has("www-authenticate"), reply.status == 401);
    assert_eq!(has("retry-after"), matches!(reply.status, 429 | 503));
    assert!(has("allow") || reply.status != 405);

    // A2: no secret in the log, and none of the caller's in the answer.
    let mut secrets = vec![SEED.to_owned(), REFRESH_SECRET.to_owned(), SERVER_API_KEY.to_owned()];
    for value in request.headers().get_all("authorization") {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        secrets.extend(text.split([' ', ',']).filter(|part| part.len() > 7).map(str::to_owned));
    }
    if let Ok(posted) = serde_json::from_slice::<Value>(request.body()) {
        for name in ["accessToken", "refreshToken"] {
            secrets.extend(posted[name].as_str().filter(|t| t.len() > 3).map(str::to_owned));
        }
    }
    let logged = format!("{record:?}");
    for secret in &secrets {
        assert!(!logged.contains(secret), "logged: {logged}");
        assert!(!reply.body.contains(secret), "answered: {}", reply.body);
    }
    if reply.status < 400
        && request.uri().path() != "/openapi.json"
        && reply.body.contains("sessionToken")
    {
        assert!(!logged.contains(&reply.token()) && !logged.contains(&reply.refresh()));
    }
    reply
}

pub fn call_at(app: &TestApp, request: &Request<Vec<u8>>, now: i64) -> Reply {
    app.transport.simulator.now.set(at(now));
    app.clock.0.set(at(now));
    let before = app.transport.simulator.requests.borrow().len();
    let response = block_on(service::handle(app, request, entropy()));
    let sent = app.transport.simulator.requests.borrow().len() - before;
    Reply { sent, ..checked(request, response) }
}

pub fn call(app: &TestApp, request: &Request<Vec<u8>>) -> Reply {
    call_at(app, request, NOW)
}

/// The request is rejected with this status and code, nothing is written, and the next sign-in
/// works.
#[track_caller]
pub fn refused(app: &TestApp, request: &Request<Vec<u8>>, status: u16, code: &str) -> Reply {
    let before = app.store.memory.counts();
    let reply = call(app, request);
    let shown = String::from_utf8_lossy(request.body()).chars().take(200).collect::<String>();
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{request:?} {shown}");
    assert_eq!(app.store.memory.counts(), before, "nothing is written");
    // Carol signs in, so that no session of the tested user is one too many.
    assert_eq!(call(app, &sign_in("sim-no-username")).status, 200, "the next request works");
    reply
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Vec<u8>> {
    let mut request = Request::builder().method(method).uri(format!("https://id.example{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

pub fn with_token(method: &str, path: &str, token: &str) -> Request<Vec<u8>> {
    request(method, path, &[("authorization", &format!("Bearer {token}"))], "")
}

pub fn post(body: &str) -> Request<Vec<u8>> {
    request("POST", "/session", &[("content-type", "application/json")], body)
}

pub fn sign_in(token: &str) -> Request<Vec<u8>> {
    post(&json!({ "accessToken": token }).to_string())
}

pub fn refresh(token: &str) -> Request<Vec<u8>> {
    let body = json!({ "refreshToken": token }).to_string();
    request("POST", "/session/refresh", &[("content-type", "application/json")], &body)
}

/// A sign-in with a key.
pub fn bound_sign_in(token: &str, key: &BrowserKey) -> Request<Vec<u8>> {
    post(&json!({ "accessToken": token, "dpopJkt": key.thumbprint() }).to_string())
}

/// The request with one more header.
pub fn with_header(
    mut request: Request<Vec<u8>>,
    name: &'static str,
    value: &str,
) -> Request<Vec<u8>> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

/// A refresh with a proof.
pub fn proven_refresh(token: &str, proof: &str) -> Request<Vec<u8>> {
    with_header(refresh(token), "dpop", proof)
}

pub fn backend(method: &str, path: &str) -> Request<Vec<u8>> {
    with_token(method, path, CREDENTIAL)
}

pub fn introspect(token: &str) -> Request<Vec<u8>> {
    let bearer = format!("Bearer {CREDENTIAL}");
    let form = "application/x-www-form-urlencoded";
    let headers = [("authorization", bearer.as_str()), ("content-type", form)];
    request("POST", "/introspect", &headers, &format!("token={token}&token_type_hint=access_token"))
}

pub fn put(token: &str, body: &str, if_match: Option<&str>) -> Request<Vec<u8>> {
    let bearer = format!("Bearer {token}");
    let mut headers =
        vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    headers.extend(if_match.map(|tags| ("if-match", tags)));
    request("PUT", "/me/data", &headers, body)
}

/// Alice signs in while Pi sends this answer.
pub fn answered(app: &TestApp, status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
    let response = Response::builder().status(status).header("content-type", content_type);
    app.transport.prepared.replace(Some(response.body(body.into()).unwrap()));
    let before = app.store.memory.counts();
    let reply = call(app, &sign_in("sim-alice"));
    if reply.status != 200 {
        assert_eq!(app.store.memory.counts(), before, "nothing is written");
        assert_eq!(call(app, &sign_in("sim-bob")).status, 200, "the next request works");
    }
    reply
}

/// The claims of a session token, at any time.
pub fn claims(app: &TestApp, reply: &Reply) -> jwt::Claims {
    let (keys, policy) = (app.settings.keys.all(), &app.settings.policy);
    let at = |later| UnixTime::from_seconds(NOW + later).unwrap();
    let held = (0..100)
        .find_map(|later| jwt::verify(reply.token().as_bytes(), keys, policy, at(later)).ok());
    held.expect("a session token").claims
}
