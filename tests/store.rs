//! The contract of a `Store`, as a function that any store can be put through.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use pioneer_session::{
    identifier::Identifier,
    session::{
        Data, Device, Ended, Expected, MemoryStore, Session, SignIn, SignedIn, Store, User, Written,
    },
    time::UnixTime,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn id(text: &str) -> Identifier {
    Identifier::parse(text.into()).unwrap()
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds).unwrap()
}

fn session(sid: &str, uid: &str, from: i64, to: i64) -> Session {
    Session {
        sid: id(sid),
        uid: id(uid),
        created_at: at(from),
        expires_at: at(to),
        device: Device::default(),
    }
}

fn sign_in(uid: &str, username: Option<&str>, scopes: &[&str]) -> SignIn {
    SignIn {
        uid: id(uid),
        username: username.map(Into::into),
        scopes: scopes.iter().map(|&scope| scope.into()).collect(),
    }
}

async fn open(
    store: &impl Store,
    sid: &str,
    uid: &str,
    username: Option<&str>,
    from: i64,
) -> SignedIn {
    let session = session(sid, uid, from, from + 100);
    store.open(&sign_in(uid, username, &["payments"]), &session, 10).await.unwrap()
}

async fn keeps_the_contract(store: &impl Store) {
    signing_in_creates_then_updates(store).await;
    sessions_end(store).await;
    sessions_are_listed_and_ended_by_their_user(store).await;
    data_is_replaced_only_as_expected(store).await;
    erasing_leaves_nothing_of_this_user_alone(store).await;
}

/// On users `a*`.
async fn signing_in_creates_then_updates(store: &impl Store) {
    let first = open(store, "a-1", "a", Some("alice"), 1000).await;
    assert!(first.is_new);
    let expected = User {
        uid: id("a"),
        username: Some("alice".into()),
        scopes: vec!["payments".into()],
        first_seen_at: at(1000),
        last_seen_at: at(1000),
    };
    assert_eq!(first.user, expected);
    assert_eq!(store.user(&id("a-1"), at(1000)).await, Ok(Some(expected)));

    // The last sign-in says what is granted; a name that is no longer granted is gone.
    let second = store.open(&sign_in("a", None, &[]), &session("a-2", "a", 1050, 1150), 10).await;
    let second = second.unwrap();
    assert!(!second.is_new);
    assert_eq!((second.user.username, second.user.scopes.len()), (None, 0));
    assert_eq!((second.user.first_seen_at, second.user.last_seen_at), (at(1000), at(1050)));

    // Both sessions see the one user; ids that differ in case are others.
    assert!(store.user(&id("a-1"), at(1050)).await.unwrap().is_some());
    assert!(store.user(&id("a-2"), at(1050)).await.unwrap().is_some());
    assert_eq!(store.user(&id("A-1"), at(1050)).await, Ok(None));
    assert!(open(store, "a-3", "A", Some("alice"), 1050).await.is_new, "names are no keys");
}

/// On users `s*`.
async fn sessions_end(store: &impl Store) {
    open(store, "s-1", "s", None, 1000).await;
    open(store, "s-2", "s", None, 1000).await;
    open(store, "s-3", "s-other", None, 1000).await;

    // By themselves: live until the second before `expires_at`.
    assert!(store.user(&id("s-1"), at(1099)).await.unwrap().is_some());
    assert_eq!(store.user(&id("s-1"), at(1100)).await, Ok(None));
    assert_eq!(store.record(&id("s-1"), at(1100)).await, Ok(None));
    assert_eq!(store.revoke(&id("s-1"), at(1100)).await, Ok(false));
    assert_eq!(store.erase(&id("s-1"), at(1100)).await, Ok(false));

    // By being revoked: once, at once, and no other.
    assert_eq!(store.revoke(&id("s-1"), at(1010)).await, Ok(true));
    assert_eq!(store.revoke(&id("s-1"), at(1010)).await, Ok(false));
    assert_eq!(store.user(&id("s-1"), at(1010)).await, Ok(None));
    assert_eq!(store.record(&id("s-1"), at(1010)).await, Ok(None));
    assert_eq!(store.erase(&id("s-1"), at(1010)).await, Ok(false));
    assert!(store.user(&id("s-2"), at(1010)).await.unwrap().is_some());
    assert!(store.user(&id("s-3"), at(1010)).await.unwrap().is_some());

    // An unknown one is no session.
    assert_eq!(store.user(&id("s-unknown"), at(1010)).await, Ok(None));
    assert_eq!(store.revoke(&id("s-unknown"), at(1010)).await, Ok(false));
    assert_eq!(store.erase(&id("s-unknown"), at(1010)).await, Ok(false));

    // A sign-in does not bring back a revoked session, nor end a live one.
    open(store, "s-4", "s", None, 1020).await;
    assert_eq!(store.user(&id("s-1"), at(1020)).await, Ok(None));
    assert!(store.user(&id("s-2"), at(1020)).await.unwrap().is_some());
    // It drops what has expired, for good: an earlier clock finds it no more.
    open(store, "s-5", "s", None, 2000).await;
    assert_eq!(store.user(&id("s-2"), at(1020)).await, Ok(None));
    assert_eq!(store.user(&id("s-3"), at(1020)).await, Ok(None), "another user's");
}

/// On users `l*`.
async fn sessions_are_listed_and_ended_by_their_user(store: &impl Store) {
    for (sid, from) in [("l-1", 3000), ("l-2", 3001), ("l-3", 3002)] {
        open(store, sid, "l", None, from).await;
    }
    open(store, "l-4", "l-other", None, 3000).await;
    let list = async |sid: &str| -> Vec<String> {
        let sessions = store.sessions(&id(sid), at(3010)).await.unwrap();
        sessions.iter().map(|session| session.sid.to_string()).collect()
    };
    assert_eq!(list("l-1").await, ["l-3", "l-2", "l-1"]);
    assert_eq!(list("l-4").await, ["l-4"]);

    let end =
        async |sid: &str, other: &str| store.revoke_other(&id(sid), &id(other), at(3010)).await;
    assert_eq!(end("l-1", "l-4").await, Ok(Ended::Unknown));
    assert_eq!(end("l-1", "l-unknown").await, Ok(Ended::Unknown));
    assert_eq!(end("l-1", "l-2").await, Ok(Ended::Done));
    assert_eq!(end("l-1", "l-2").await, Ok(Ended::Unknown));
    assert_eq!(end("l-2", "l-1").await, Ok(Ended::SessionEnded));
    assert_eq!(list("l-2").await, [""; 0]);
    assert_eq!(list("l-1").await, ["l-3", "l-1"]);

    // One more than may stay: the oldest goes, whatever the clock says of the new one.
    let newest = session("l-5", "l", 3000, 3100);
    store.open(&sign_in("l", None, &[]), &newest, 2).await.unwrap();
    assert_eq!(list("l-5").await, ["l-3", "l-5"]);

    assert_eq!(store.revoke_all(&id("l-1"), at(3010)).await, Ok(false));
    assert_eq!(list("l-5").await.len(), 2);
    assert_eq!(store.revoke_all(&id("l-5"), at(3010)).await, Ok(true));
    assert_eq!(store.revoke_all(&id("l-5"), at(3010)).await, Ok(false));
    assert_eq!(list("l-3").await, [""; 0]);
    assert_eq!(list("l-4").await, ["l-4"]);
}

/// On users `d*`.
async fn data_is_replaced_only_as_expected(store: &impl Store) {
    open(store, "d-1", "d", None, 1000).await;
    open(store, "d-2", "d", None, 1000).await;
    open(store, "d-3", "d-other", None, 1000).await;
    let (one, two) = (Data::new(r#"{"n":1.10}"#.into()), Data::new(r#"{"n":2,"ü":"'"}"#.into()));
    let version = |data: &Data| Expected::Version(vec!["other".into(), data.version.clone()]);
    let write = async |sid: &str, data: &Data, expected: Expected, now| {
        store.write(&id(sid), data, &expected, at(now)).await.unwrap()
    };
    let read = async |sid: &str| store.record(&id(sid), at(1010)).await.unwrap().unwrap().1;

    assert_eq!(read("d-1").await, None);
    assert_eq!(write("d-1", &one, Expected::Something, 1010).await, Written::Conflict);
    assert_eq!(write("d-1", &one, version(&one), 1010).await, Written::Conflict);
    assert_eq!(read("d-1").await, None);
    assert_eq!(write("d-1", &one, Expected::Nothing, 1010).await, Written::Done);
    assert_eq!(read("d-2").await, Some(one.clone()), "one value for all sessions, byte for byte");
    assert_eq!(read("d-3").await, None, "of one user");

    assert_eq!(write("d-2", &two, Expected::Nothing, 1010).await, Written::Conflict);
    assert_eq!(write("d-2", &two, version(&two), 1010).await, Written::Conflict);
    assert_eq!(write("d-2", &two, Expected::Version(vec![]), 1010).await, Written::Conflict);
    assert_eq!(read("d-1").await, Some(one.clone()));
    assert_eq!(write("d-2", &two, version(&one), 1010).await, Written::Done);
    assert_eq!(write("d-1", &one, version(&one), 1010).await, Written::Conflict, "lost update");
    assert_eq!(read("d-1").await, Some(two.clone()));
    assert_eq!(write("d-1", &one, Expected::Something, 1010).await, Written::Done);

    // No session, no write; and signing in again keeps the data.
    assert_eq!(write("d-1", &two, Expected::Something, 1100).await, Written::SessionEnded);
    assert_eq!(write("d-none", &two, Expected::Nothing, 1010).await, Written::SessionEnded);
    store.revoke(&id("d-1"), at(1010)).await.unwrap();
    assert_eq!(write("d-1", &two, Expected::Something, 1010).await, Written::SessionEnded);
    open(store, "d-4", "d", None, 1010).await;
    assert_eq!(read("d-4").await, Some(one));
}

/// On users `e*`.
async fn erasing_leaves_nothing_of_this_user_alone(store: &impl Store) {
    open(store, "e-1", "e", Some("eve"), 1000).await;
    open(store, "e-2", "e", Some("eve"), 1000).await;
    open(store, "e-3", "e-other", Some("eve"), 1000).await;
    let data = Data::new("{}".into());
    store.write(&id("e-1"), &data, &Expected::Nothing, at(1010)).await.unwrap();
    store.write(&id("e-3"), &data, &Expected::Nothing, at(1010)).await.unwrap();

    assert_eq!(store.erase(&id("e-2"), at(1010)).await, Ok(true));
    assert_eq!(store.erase(&id("e-2"), at(1010)).await, Ok(false));
    for sid in ["e-1", "e-2"] {
        assert_eq!(store.record(&id(sid), at(1010)).await, Ok(None));
        let written = store.write(&id(sid), &data, &Expected::Nothing, at(1010)).await;
        assert_eq!(written, Ok(Written::SessionEnded));
    }
    let other = store.record(&id("e-3"), at(1010)).await.unwrap().unwrap();
    assert_eq!((other.0.uid, other.1), (id("e-other"), Some(data)));

    // Whoever comes back is new.
    let again = open(store, "e-4", "e", Some("eve"), 1020).await;
    assert!(again.is_new);
    assert_eq!(again.user.first_seen_at, at(1020));
    assert_eq!(store.record(&id("e-4"), at(1020)).await.unwrap().unwrap().1, None);
}

#[test]
fn the_memory_store_keeps_the_contract() {
    let store = MemoryStore::default();
    block_on(keeps_the_contract(&store));
    // a, A · s, s-other · l, l-other · d, d-other · e, e-other
    assert_eq!(store.counts().0, 10);
}

#[test]
fn a_version_names_its_content() {
    let data = |text: &str| Data::new(text.into());
    assert_eq!(data("{}").version, data("{}").version);
    assert_ne!(data("{}").version, data("{ }").version);
    assert_eq!(data("{}").version.len(), 22);
}
