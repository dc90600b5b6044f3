//! The contract of a `Store`, as a function that tests any store.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use pioneer_session::{
    identifier::Identifier,
    payment::{self, Claim, ORDER_LIFETIME, Order, Paid, Product, State, Store as _},
    pi::{Amount, TxId},
    session::{
        Data, Device, Ended, Erased, Expected, GRACE_SECONDS, Lifetimes, MAX_PROOFS, MemoryStore,
        NAMED_OF_USER, Opened, PROOFS_SECONDS, RACE_SECONDS, RefreshToken, Refreshed, Revoked,
        Session, SignIn, SignedIn, Store, TAIL_CHARACTERS, Use, User, Written,
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
    let seconds = u32::try_from(to - from).unwrap();
    let lifetimes = Lifetimes { token: seconds, idle: seconds, max: seconds };
    Session::begin(
        id(sid),
        id(uid),
        Some("app".into()),
        None,
        Device::default(),
        at(from),
        &lifetimes,
    )
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
    signed_in(store.open(&sign_in(uid, username, &["payments"]), &session, 10, None).await.unwrap())
}

#[track_caller]
fn signed_in(opened: Opened) -> SignedIn {
    let Opened::Done(signed_in) = opened else { panic!("{opened:?}") };
    signed_in
}

async fn keeps_the_contract(store: &impl Store) {
    signing_in_creates_then_updates(store).await;
    sessions_end(store).await;
    sessions_are_listed_and_ended_by_their_user(store).await;
    data_is_replaced_only_as_expected(store).await;
    erasing_leaves_nothing_of_this_user_alone(store).await;
    a_refresh_token_is_spent_once(store).await;
    revocations_are_numbered_in_their_order(store).await;
    r3_one_user_fills_no_list(store).await;
    r14_no_session_begins_in_a_time_that_was_ended(store).await;
    what_has_ended_is_swept(store).await;
    what_has_ended_is_named_until_its_tokens_expire(store).await;
    a_spent_refresh_token_is_repeated_within_its_bound(store).await;
    a_bound_session_is_refreshed_by_its_key_and_by_no_other(store).await;
    a_repeated_sign_in_finds_the_session_that_it_had_begun(store).await;
}

/// The ids of the revoked sessions, which are shorter than a tail and do not begin with `A`.
fn named(revoked: &Revoked) -> Vec<String> {
    let tails: Vec<char> = revoked.sessions.iter().flat_map(|group| group.tails.chars()).collect();
    let sids = tails.chunks(TAIL_CHARACTERS).map(|tail| tail.iter().collect::<String>());
    let mut sids: Vec<String> = sids.map(|sid| sid.trim_start_matches('A').to_owned()).collect();
    let count: u32 = revoked.sessions.iter().map(|group| group.count).sum();
    assert_eq!(sids.len(), usize::try_from(count).unwrap());
    sids.sort_unstable();
    sids
}

/// The time before which the tokens of a user are revoked.
fn moment(revoked: &Revoked, uid: &str) -> Option<UnixTime> {
    revoked.users.iter().find(|(_, other, _)| *other == id(uid)).map(|(.., moment)| *moment)
}

fn begun(sid: &str, uid: &str, now: i64) -> (SignIn, Session) {
    let lifetimes = Lifetimes { token: 100, idle: 1000, max: 1000 };
    let session =
        Session::begin(id(sid), id(uid), None, None, Device::default(), at(now), &lifetimes);
    (sign_in(uid, None, &[]), session)
}

/// On users `f*`.
async fn revocations_are_numbered_in_their_order(store: &impl Store) {
    for (number, now) in (6000..6010).enumerate() {
        let uid = format!("f-{number}");
        let (sign_in, session) = begun(&format!("f-s-{number}"), &uid, now);
        signed_in(store.open(&sign_in, &session, 10, None).await.unwrap());
        // Half of them are revoked by erasing their users.
        if number % 2 == 0 {
            assert_eq!(store.erase(&session.sid, 100, at(now)).await, Ok(Erased::Done));
        } else {
            assert!(store.revoke(&session.sid, at(now)).await.unwrap());
        }
    }
    let revoked =
        async |after, sids| store.revoked(after, at(5900), at(2300), (sids, 100)).await.unwrap();
    let all = revoked(0, 100).await;
    assert_eq!(named(&all).len(), 10);
    assert!(all.sessions.is_sorted_by_key(|group| group.number));
    let some = revoked(0, 4).await;
    assert_eq!(named(&some), ["f-s-6", "f-s-7", "f-s-8", "f-s-9"], "the last ones");
    // Only what was revoked after a number.
    let sixth = all.sessions[5].number;
    assert_eq!(named(&revoked(sixth, 100).await), named(&some));
    let last = all.sessions[9].number;
    assert_eq!(revoked(last, 100).await.sessions, []);
}

/// On the user `g`.
async fn r3_one_user_fills_no_list(store: &impl Store) {
    let count = i64::from(NAMED_OF_USER) * 2;
    for number in 0..count {
        // One a second: sessions that were revoked in the second of the user's own time are named.
        let (sign_in, session) = begun(&format!("g-{number}"), "g", 6400 + number);
        signed_in(store.open(&sign_in, &session, 1, None).await.unwrap());
    }
    let revoked = store.revoked(0, at(6300), at(2700), (1000, 1000)).await.unwrap();
    let named = named(&revoked).iter().filter(|sid| sid.starts_with("g-")).count();
    assert!(named <= usize::try_from(NAMED_OF_USER).unwrap() + 1, "{named} are named");
    assert!(moment(&revoked, "g").is_some(), "the user is named instead");
    let newest = format!("g-{}", count - 1);
    assert!(store.user(&id(&newest), at(6600)).await.unwrap().is_some(), "the newest goes on");
}

/// On the user `h`.
async fn r14_no_session_begins_in_a_time_that_was_ended(store: &impl Store) {
    let (sign_in, session) = begun("h-1", "h", 7000);
    signed_in(store.open(&sign_in, &session, 10, None).await.unwrap());
    store.revoke_user(&id("h"), at(7010)).await.unwrap();
    let (sign_in, session) = begun("h-2", "h", 7009);
    let opened = store.open(&sign_in, &session, 10, None).await.unwrap();
    assert_eq!(opened, Opened::Superseded { not_before: at(7010) });
    assert_eq!(store.user(&id("h-2"), at(7011)).await, Ok(None));
    let (sign_in, session) = begun("h-2", "h", 7010);
    signed_in(store.open(&sign_in, &session, 10, None).await.unwrap());
    assert!(store.user(&id("h-2"), at(7011)).await.unwrap().is_some());
}

/// On users `w*`.
async fn what_has_ended_is_swept(store: &impl Store) {
    for (sid, uid) in [("w-1", "w"), ("w-2", "w-other")] {
        let (sign_in, session) = begun(sid, uid, 8000);
        signed_in(store.open(&sign_in, &session, 10, None).await.unwrap());
    }
    store.erase(&id("w-2"), 100, at(8001)).await.unwrap();
    store.revoke(&id("w-1"), at(8001)).await.unwrap();
    let count = async || {
        let revoked = store.revoked(0, at(8000), at(4400), (1000, 1000)).await.unwrap();
        named(&revoked).iter().filter(|sid| sid.starts_with("w-")).count()
    };
    // Their tokens expire at 8100, and are named for twice the largest tolerance after that.
    Store::sweep(store, at(8219), 1000).await.unwrap();
    assert_eq!(count().await, 2);
    assert_eq!(Store::sweep(store, at(8220), 1000).await, Ok(2));
    assert_eq!(count().await, 0);
    assert_eq!(store.forget(1000).await, Ok(false));
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

    // The last sign-in decides the scopes; a name whose scope is no longer granted is removed.
    let second =
        store.open(&sign_in("a", None, &[]), &session("a-2", "a", 1050, 1150), 10, None).await;
    let second = signed_in(second.unwrap());
    assert!(!second.is_new);
    assert_eq!((second.user.username, second.user.scopes.len()), (None, 0));
    assert_eq!((second.user.first_seen_at, second.user.last_seen_at), (at(1000), at(1050)));

    // Both sessions show the one user; ids that differ in case are other users.
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

    // A session expires: it is live until the second before `expires_at`.
    assert!(store.user(&id("s-1"), at(1099)).await.unwrap().is_some());
    assert_eq!(store.user(&id("s-1"), at(1100)).await, Ok(None));
    assert_eq!(store.record(&id("s-1"), at(1100)).await, Ok(None));
    assert_eq!(store.revoke(&id("s-1"), at(1100)).await, Ok(false));
    assert_eq!(store.erase(&id("s-1"), 100, at(1100)).await, Ok(Erased::SessionEnded));

    // A session is revoked: once, immediately, and no other one.
    assert_eq!(store.revoke(&id("s-1"), at(1010)).await, Ok(true));
    assert_eq!(store.revoke(&id("s-1"), at(1010)).await, Ok(false));
    assert_eq!(store.user(&id("s-1"), at(1010)).await, Ok(None));
    assert_eq!(store.record(&id("s-1"), at(1010)).await, Ok(None));
    assert_eq!(store.erase(&id("s-1"), 100, at(1010)).await, Ok(Erased::SessionEnded));
    assert!(store.user(&id("s-2"), at(1010)).await.unwrap().is_some());
    assert!(store.user(&id("s-3"), at(1010)).await.unwrap().is_some());

    // An unknown id is not a session.
    assert_eq!(store.user(&id("s-unknown"), at(1010)).await, Ok(None));
    assert_eq!(store.revoke(&id("s-unknown"), at(1010)).await, Ok(false));
    assert_eq!(store.erase(&id("s-unknown"), 100, at(1010)).await, Ok(Erased::SessionEnded));

    // A sign-in neither restores a revoked session nor revokes a live one.
    open(store, "s-4", "s", None, 1020).await;
    assert_eq!(store.user(&id("s-1"), at(1020)).await, Ok(None));
    assert!(store.user(&id("s-2"), at(1020)).await.unwrap().is_some());
    // It deletes expired sessions: an earlier clock does not find them any more.
    open(store, "s-5", "s", None, 2000).await;
    assert_eq!(store.user(&id("s-2"), at(1020)).await, Ok(None));
    assert!(store.user(&id("s-3"), at(1020)).await.unwrap().is_some(), "its user's only");
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

    // One session too many: the oldest is revoked, whatever the time of the new one.
    let newest = session("l-5", "l", 3000, 3100);
    store.open(&sign_in("l", None, &[]), &newest, 2, None).await.unwrap();
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
    for expected in
        [Expected::Nothing, Expected::Something, version(&one), Expected::Version(vec![])]
    {
        assert_eq!(write("d-1", &two, expected, 1010).await, Written::Done, "it is there");
    }
    assert_eq!(read("d-1").await, Some(two.clone()));
    assert_eq!(write("d-1", &one, Expected::Something, 1010).await, Written::Done);

    // Without a session there is no write; and signing in again keeps the data.
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

    assert_eq!(store.erase(&id("e-2"), 100, at(1010)).await, Ok(Erased::Done));
    assert_eq!(store.erase(&id("e-2"), 100, at(1010)).await, Ok(Erased::SessionEnded));
    for sid in ["e-1", "e-2"] {
        assert_eq!(store.record(&id(sid), at(1010)).await, Ok(None));
        let written = store.write(&id(sid), &data, &Expected::Nothing, at(1010)).await;
        assert_eq!(written, Ok(Written::SessionEnded));
    }
    let other = store.record(&id("e-3"), at(1010)).await.unwrap().unwrap();
    assert_eq!((other.0.uid, other.1), (id("e-other"), Some(data)));

    // An erased user who comes back is new.
    let again = open(store, "e-4", "e", Some("eve"), 1020).await;
    assert!(again.is_new);
    assert_eq!(again.user.first_seen_at, at(1020));
    assert_eq!(store.record(&id("e-4"), at(1020)).await.unwrap().unwrap().1, None);
}

/// On users `r*`.
async fn a_refresh_token_is_spent_once(store: &impl Store) {
    let lifetimes = Lifetimes { token: 10, idle: 100, max: 250 };
    let begin = |sid: &str, uid: &str| {
        Session::begin(
            id(sid),
            id(uid),
            Some("app".into()),
            None,
            Device::default(),
            at(5000),
            &lifetimes,
        )
    };
    for (sid, uid) in [("r-1", "r"), ("r-2", "r"), ("r-3", "r-other")] {
        store
            .open(&sign_in(uid, Some("rita"), &["username"]), &begin(sid, uid), 10, None)
            .await
            .unwrap();
    }
    let spend = async |sid: &str, refreshes: u32, now: i64| {
        let token = RefreshToken { sid: id(sid), refreshes };
        store.refresh(&token, Use::Plain(None), &lifetimes, at(now)).await.unwrap()
    };
    assert_eq!(spend("r-none", 0, 5001).await, Refreshed::Rejected);
    assert_eq!(spend("r-1", 1, 5001).await, Refreshed::Rejected, "one of the future");

    let Refreshed::Done(first) = spend("r-1", 0, 5090).await else { panic!() };
    let (session, user) = &*first;
    assert_eq!((session.refreshes, session.created_at), (1, at(5000)));
    assert_eq!((session.last_seen_at, session.token_expires_at), (at(5090), at(5100)));
    assert_eq!((session.expires_at, session.app_id.as_deref()), (at(5190), Some("app")));
    assert_eq!((user.username.as_deref(), user.last_seen_at), (Some("rita"), at(5000)));
    // The same result until the successor is used, and nothing changes.
    for now in [5090, 5095, 5099] {
        assert_eq!(spend("r-1", 0, now).await, Refreshed::Done(first.clone()));
    }
    assert!(store.user(&id("r-1"), at(5189)).await.unwrap().is_some());
    assert_eq!(store.user(&id("r-2"), at(5100)).await, Ok(None), "idle");

    // Never past the end that was set at the beginning.
    let Refreshed::Done(done) = spend("r-1", 1, 5180).await else { panic!() };
    assert_eq!(done.0.expires_at, at(5250));
    let Refreshed::Done(done) = spend("r-1", 2, 5245).await else { panic!() };
    assert_eq!((done.0.token_expires_at, done.0.expires_at), (at(5250), at(5250)));
    assert_eq!(spend("r-1", 3, 5250).await, Refreshed::Rejected);

    // The token again after the grace, or the one before the last: the session is revoked.
    let Refreshed::Done(..) = spend("r-3", 0, 5010).await else { panic!() };
    let Refreshed::Done(..) = spend("r-3", 1, 5011).await else { panic!() };
    let Refreshed::Done(..) = spend("r-3", 1, 5011 + 90).await else { panic!() };
    assert_eq!(spend("r-3", 0, 5102).await, Refreshed::Reused);
    assert_eq!(spend("r-3", 0, 5102).await, Refreshed::Rejected);
    assert_eq!(spend("r-3", 2, 5102).await, Refreshed::Rejected);
    assert_eq!(store.user(&id("r-3"), at(5102)).await, Ok(None));
    let Refreshed::Done(..) = spend("r-2", 0, 5010).await else { panic!() };
    let Refreshed::Done(..) = spend("r-2", 1, 5011).await else { panic!() };
    assert_eq!(spend("r-2", 0, 5012).await, Refreshed::Reused);
}

/// On users `g*`.
async fn a_spent_refresh_token_is_repeated_within_its_bound(store: &impl Store) {
    let lifetimes = Lifetimes { token: 100, idle: 1000, max: 2000 };
    let [mine, other] = ["mine", "other"].map(id);
    for (sid, first, again, after, expected) in [
        ("g-1", None, None, GRACE_SECONDS, true),
        ("g-2", None, None, GRACE_SECONDS + 1, false),
        ("g-3", None, Some(&mine), RACE_SECONDS, true),
        ("g-4", None, Some(&mine), RACE_SECONDS + 1, false),
        ("g-5", Some(&mine), None, RACE_SECONDS, true),
        ("g-6", Some(&mine), None, RACE_SECONDS + 1, false),
        ("g-8", Some(&mine), Some(&other), RACE_SECONDS, true),
        ("g-9", Some(&mine), Some(&other), RACE_SECONDS + 1, false),
        // At any later time: only the client that spent it knows the value.
        ("g-7", Some(&mine), Some(&mine), 999, true),
    ] {
        let session =
            Session::begin(id(sid), id(sid), None, None, Device::default(), at(17000), &lifetimes);
        signed_in(store.open(&sign_in(sid, None, &[]), &session, 10, None).await.unwrap());
        let token = RefreshToken { sid: id(sid), refreshes: 0 };
        let spend = async |value, now: UnixTime| {
            store.refresh(&token, Use::Plain(value), &lifetimes, now).await.unwrap()
        };
        let done = spend(first, at(17000)).await;
        assert!(matches!(done, Refreshed::Done(_)), "{sid}");
        let found = spend(again, at(17000).plus(after)).await;
        match (done, found) {
            // Its session token has expired, so the same successor comes with new times.
            (Refreshed::Done(mut done), Refreshed::Done(found)) if expected && after >= 100 => {
                let later = at(17000).plus(after);
                assert_eq!((found.0.refreshes, found.0.token_expires_at), (1, later.plus(100)));
                done.0.clone_from(&found.0);
                assert_eq!(done, found, "{sid}");
            }
            (done, found) => {
                assert_eq!(found, if expected { done } else { Refreshed::Reused }, "{sid}");
            }
        }
    }
}

/// On users `k*`.
async fn a_bound_session_is_refreshed_by_its_key_and_by_no_other(store: &impl Store) {
    let lifetimes = Lifetimes { token: 100, idle: 1000, max: 2000 };
    let lasting = Lifetimes { idle: 100_000, max: 100_000, ..lifetimes };
    let key = id("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    let another = id("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    for sid in ["k-1", "k-2", "k-3", "k-4"] {
        let thumbprint = (sid != "k-2").then_some(&key);
        let lifetimes = if sid == "k-4" { lasting } else { lifetimes };
        let session = Session::begin(
            id(sid),
            id("k"),
            None,
            thumbprint.cloned(),
            Device::default(),
            at(18000),
            &lifetimes,
        );
        signed_in(store.open(&sign_in("k", None, &[]), &session, 10, None).await.unwrap());
    }
    let prove = async |sid: &str, refreshes, thumbprint: &Identifier, jti: &str, now| {
        let token = RefreshToken { sid: id(sid), refreshes };
        let with = Use::Proven { thumbprint, jti: &id(jti) };
        let lifetimes = if sid == "k-4" { &lasting } else { &lifetimes };
        store.refresh(&token, with, lifetimes, at(now)).await.unwrap()
    };
    let plain = async |sid: &str, refreshes, now| {
        let token = RefreshToken { sid: id(sid), refreshes };
        store.refresh(&token, Use::Plain(None), &lifetimes, at(now)).await.unwrap()
    };
    // No key, another key, and a key for a session without one: nothing changes.
    assert_eq!(plain("k-1", 0, 18000).await, Refreshed::OtherKey);
    assert_eq!(prove("k-1", 0, &another, "a", 18000).await, Refreshed::OtherKey);
    assert_eq!(prove("k-2", 0, &key, "a", 18000).await, Refreshed::OtherKey);
    assert_eq!(prove("k-none", 0, &key, "a", 18000).await, Refreshed::Rejected);
    assert_eq!(prove("k-1", 1, &key, "a", 18000).await, Refreshed::Rejected, "one of the future");

    let Refreshed::Done(first) = prove("k-1", 0, &key, "a", 18010).await else { panic!() };
    assert_eq!((first.0.refreshes, first.0.thumbprint.as_ref()), (1, Some(&key)));
    assert_eq!(first.0.token_expires_at, at(18110));
    // The same proof again is rejected. Another proof gets the current tokens, with every earlier
    // token.
    assert_eq!(prove("k-1", 0, &key, "a", 18010).await, Refreshed::Replayed);
    assert_eq!(prove("k-1", 1, &key, "a", 18010).await, Refreshed::Replayed);
    assert_eq!(prove("k-1", 0, &key, "aa", 18020).await, Refreshed::Done(first.clone()));
    let Refreshed::Done(second) = prove("k-1", 1, &key, "c", 18050).await else { panic!() };
    assert_eq!(second.0.refreshes, 2);
    assert_eq!(prove("k-1", 0, &key, "d", 18149).await, Refreshed::Done(second.clone()));
    assert_eq!(prove("k-1", 0, &key, "d", 18149).await, Refreshed::Replayed);
    // The current token has expired: an old one refreshes the session, too.
    let Refreshed::Done(third) = prove("k-1", 0, &key, "e", 18150).await else { panic!() };
    assert_eq!((third.0.refreshes, third.0.token_expires_at), (3, at(18250)));
    assert_eq!(plain("k-1", 3, 18150).await, Refreshed::OtherKey);
    // The absolute end stays.
    assert_eq!(prove("k-1", 3, &key, "f", 19150).await, Refreshed::Rejected, "idle");
    // More proofs than are remembered are rejected until some are forgotten.
    let mut count = 0;
    let long = "x".repeat(60);
    while let Refreshed::Done(_) = prove("k-3", 0, &key, &format!("{long}{count:04}"), 18200).await
    {
        count += 1;
    }
    assert!((30..=MAX_PROOFS).contains(&count), "{count}");
    assert_eq!(prove("k-3", 0, &key, "next", 18200).await, Refreshed::Crowded);
    let later = 18201 + i64::from(PROOFS_SECONDS);
    // One proof a minute is never too many.
    let mut now = 18300;
    for turn in 0..200 {
        now += 60;
        let proven = prove("k-4", turn, &key, &format!("{long}{turn:04}"), now).await;
        assert!(matches!(proven, Refreshed::Done(_)), "{turn}");
        assert_eq!(
            prove("k-4", turn, &key, &format!("{long}{turn:04}"), now + 59).await,
            Refreshed::Replayed
        );
    }
    assert!(matches!(prove("k-3", 0, &key, "next", later).await, Refreshed::Done(_)));
}

/// On users `i*`.
async fn a_repeated_sign_in_finds_the_session_that_it_had_begun(store: &impl Store) {
    let lifetimes = Lifetimes { token: 100, idle: 1000, max: 2000 };
    let at_time = |now| {
        Session::begin(id("i-1"), id("i"), None, None, Device::default(), at(now), &lifetimes)
    };
    let open =
        async |now| store.open(&sign_in("i", None, &[]), &at_time(now), 10, None).await.unwrap();
    assert!(signed_in(open(19500).await).is_new);
    let Opened::Repeated(found) = open(19510).await else { panic!() };
    assert_eq!((&found.0, found.1.is_new), (&at_time(19500), true));
    // Its token has expired; it was refreshed; it was revoked.
    assert_eq!(open(19600).await, Opened::Taken);
    let token = RefreshToken { sid: id("i-1"), refreshes: 0 };
    store.refresh(&token, Use::Plain(None), &lifetimes, at(19520)).await.unwrap();
    assert_eq!(open(19530).await, Opened::Taken);
    store.revoke(&id("i-1"), at(19540)).await.unwrap();
    assert_eq!(open(19550).await, Opened::Taken);
}

/// On users `v*`, and on everyone.
async fn what_has_ended_is_named_until_its_tokens_expire(store: &impl Store) {
    let lifetimes = Lifetimes { token: 100, idle: 1000, max: 1000 };
    let open = async |sid: &str, uid: &str, now: i64, replaced: Option<&str>| {
        let session = Session::begin(
            id(sid),
            id(uid),
            Some("app".into()),
            None,
            Device::default(),
            at(now),
            &lifetimes,
        );
        let replaced = replaced.map(id);
        signed_in(
            store.open(&sign_in(uid, None, &[]), &session, 10, replaced.as_ref()).await.unwrap(),
        );
    };
    let revoked =
        async |now: i64| store.revoked(0, at(now - 60), at(now - 3660), (100, 100)).await.unwrap();
    let live = async |sid: &str, now: i64| store.user(&id(sid), at(now)).await.unwrap().is_some();
    for (sid, uid, now) in [("v-1", "v", 9000), ("v-2", "v", 9001), ("v-3", "v", 9002)] {
        open(sid, uid, now, None).await;
    }
    open("v-4", "v-other", 9002, None).await;
    assert_eq!(named(&revoked(9002).await), [""; 0]);

    // A session that another one replaces in the same browser.
    open("v-5", "v-other", 9003, Some("v-4")).await;
    assert_eq!(named(&revoked(9003).await), ["v-4"]);
    store.revoke(&id("v-2"), at(9003)).await.unwrap();
    assert_eq!(named(&revoked(9161).await), ["v-4"]);
    assert_eq!(named(&revoked(9162).await), [""; 0], "100 s of life and 60 of tolerance later");

    // All sessions of a user: the user is named, with the sessions of the same second and before.
    assert_eq!(store.revoke_user(&id("v-nobody"), at(9002)).await, Ok(false));
    assert_eq!(store.revoke_user(&id("v"), at(9002)).await, Ok(true));
    open("v-6", "v", 9002, None).await;
    let found = revoked(9003).await;
    assert_eq!(
        (named(&found), moment(&found, "v")),
        (vec!["v-2".into(), "v-3".into(), "v-4".into()], Some(at(9002))),
        "v-1 is covered by its user's time"
    );
    assert!(!live("v-1", 9003).await && !live("v-3", 9003).await && live("v-6", 9003).await);
    assert_eq!(revoked(9002 + 3659).await.users.len(), 1);
    assert_eq!(revoked(9002 + 3660).await.users.len(), 0);

    // An erased user is not named, but the sessions are.
    store.erase(&id("v-6"), 100, at(9003)).await.unwrap();
    let found = revoked(9003).await;
    assert_eq!((named(&found).len(), moment(&found, "v").is_some()), (5, false));
    assert!(named(&found).iter().all(|sid| sid != "v-5"));
    assert_eq!(store.record_of_user(&id("v")).await, Ok(None));
    assert!(store.record_of_user(&id("v-other")).await.unwrap().is_some());

    // All sessions of everyone: the epoch, and the sessions of its second and before it.
    open("v-7", "v-other", 9010, None).await;
    store.revoke_everyone(at(9010)).await.unwrap();
    open("v-8", "v-other", 9010, None).await;
    let found = revoked(9010).await;
    assert_eq!(found.epoch, Some(at(9010)));
    assert!(
        named(&found).contains(&"v-7".to_owned()) && !named(&found).contains(&"v-8".to_owned())
    );
    assert!(!named(&found).contains(&"v-5".to_owned()), "before the epoch");
    assert!(!live("v-5", 9010).await && !live("v-7", 9010).await && live("v-8", 9010).await);
    let spent = RefreshToken { sid: id("v-5"), refreshes: 0 };
    assert_eq!(
        store.refresh(&spent, Use::Plain(None), &lifetimes, at(9011)).await,
        Ok(Refreshed::Rejected)
    );
    store.revoke(&id("v-8"), at(9011)).await.unwrap();
    assert!(named(&revoked(9011).await).contains(&"v-8".to_owned()));

    // A session that was signed before the epoch and arrives after it is not opened.
    let (early, session) = begun("v-early", "v-other", 9009);
    let opened = store.open(&early, &session, 10, None).await.unwrap();
    assert_eq!(opened, Opened::Superseded { not_before: at(9010) });

    // A session that was requested earlier and arrives later does not restore revoked ones.
    store.revoke_everyone(at(9050)).await.unwrap();
    open("v-9", "v-other", 9055, None).await;
    store.revoke_everyone(at(9020)).await.unwrap();
    let found = revoked(9056).await;
    assert_eq!(found.epoch, Some(at(9050)));
    assert!(named(&found).contains(&"v-9".to_owned()) && !live("v-9", 9056).await);

    // Tokens are shorter from now on. The earlier, longer one is named until it expires.
    open("v-10", "v-other", 9100, None).await;
    let token = RefreshToken { sid: id("v-10"), refreshes: 0 };
    let shorter = Lifetimes { token: 5, ..lifetimes };
    let Refreshed::Done(..) =
        store.refresh(&token, Use::Plain(None), &shorter, at(9101)).await.unwrap()
    else {
        panic!()
    };
    store.revoke(&id("v-10"), at(9102)).await.unwrap();
    assert!(named(&revoked(9259).await).contains(&"v-10".to_owned()));
    assert!(!named(&revoked(9260).await).contains(&"v-10".to_owned()));
}

#[test]
fn the_memory_store_keeps_the_contract() {
    let store = MemoryStore::default();
    block_on(keeps_the_contract(&store));
    // a, A · s, s-other · l, l-other · d, d-other · e, e-other · r, r-other · f-1 to f-9 · g · h ·
    // w · v-other · g-1 to g-9 · k · i
    assert_eq!(store.counts().0, 32);
}

/// The state of each payment changes in one direction, once.
async fn payments_keep_the_contract<S: payment::Store>(store: &S)
where
    S::Error: std::fmt::Debug,
{
    let order = |name: &str, uid: &str| Order {
        id: id(name),
        uid: Some(id(uid)),
        product_id: id("coffee"),
        amount: Amount::from_stroops(7),
        memo: "A cup".into(),
        created_at: at(1000),
    };
    let txid = |digit: &str| TxId::parse(&digit.repeat(64)).unwrap();
    let state = async |name: &str| store.payment(&id(name)).await.unwrap().map(|found| found.state);
    let record = async |name: &str, order: &Order| {
        let found = store.record_payment(&id(name), &claim_of(order), at(1010)).await.unwrap();
        let payment = found.unwrap().payment.unwrap();
        (payment.id.to_string(), payment.state)
    };
    let (first, second) = (order("o-1", "u"), order("o-2", "u"));
    for order in [&first, &second, &order("o-3", "u-other")] {
        assert!(store.keep_order(order).await.unwrap(), "it is new");
    }
    for again in [&first, &Order { amount: Amount::from_stroops(8), ..order("o-1", "u-other") }] {
        assert!(!store.keep_order(again).await.unwrap(), "there is one, and it stays as it is");
    }
    let found = store.order(&id("o-1")).await.unwrap().unwrap();
    assert_eq!((&found.order, found.payment, found.is_sold), (&first, None, false));
    assert_eq!(store.order(&id("o-none")).await.unwrap(), None);
    assert_eq!(state("p-1").await, None);

    // A claim that is not true stores nothing, and returns the order if there is one.
    let (true_claim, other) = (claim_of(&first), id("other"));
    for claim in [
        Claim { order_id: &other, ..true_claim },
        Claim { uid: &other, ..true_claim },
        Claim { amount: Amount::from_stroops(8), ..true_claim },
        Claim { must_be_open: true, ..true_claim },
    ] {
        let found = store.record_payment(&id("p-1"), &claim, at(1010)).await.unwrap();
        assert_eq!(found, store.order(claim.order_id).await.unwrap());
        assert_eq!(state("p-1").await, None);
    }
    assert_eq!(record("p-1", &first).await, ("p-1".into(), State::Recorded));
    assert_eq!(record("p-1", &first).await, ("p-1".into(), State::Recorded));
    assert_eq!(record("p-2", &first).await, ("p-1".into(), State::Recorded));
    assert_eq!(state("p-2").await, None);
    assert_eq!(store.approve_payment(&id("p-none"), at(1020)).await.unwrap(), None);
    let approved = store.approve_payment(&id("p-1"), at(1020)).await.unwrap();
    assert_eq!(approved.as_ref().map(|found| found.state), Some(State::Approved));
    assert_eq!(store.payment(&id("p-1")).await.unwrap(), approved);
    assert_eq!(record("p-1", &first).await, ("p-1".into(), State::Approved));
    assert_eq!(state("p-1").await, Some(State::Approved), "not back");

    let pay =
        async |name: &str, digit: &str| store.pay(&id(name), &txid(digit), at(1030)).await.unwrap();
    assert_eq!(pay("p-none", "a").await, Paid::NotOpen);
    let paid = pay("p-1", "a").await;
    let stored = store.payment(&id("p-1")).await.unwrap().unwrap();
    assert_eq!((&paid, stored.state), (&Paid::Done(stored.clone()), State::Paid));
    assert_eq!(pay("p-1", "a").await, paid);
    assert_eq!(pay("p-1", "b").await, Paid::TxidTaken);
    assert_eq!(record("p-2", &first).await, ("p-1".into(), State::Paid));
    let kept = store.cancel_payment(&id("p-1"), &id("u"), first.amount, at(1031)).await.unwrap();
    assert_eq!(kept, stored, "for good");
    let kept = store.approve_payment(&id("p-1"), at(1031)).await.unwrap();
    assert_eq!(kept, Some(stored), "for good");
    assert_eq!(record("p-3", &second).await, ("p-3".into(), State::Recorded));
    assert_eq!(pay("p-3", "a").await, Paid::TxidTaken);
    let purchases = store.purchases(&id("u")).await.unwrap();
    let [(bought, payment)] = &purchases[..] else { panic!("{purchases:?}") };
    assert_eq!((bought, &payment.id, &payment.txid), (&first, &id("p-1"), &Some(txid("a"))));
    assert_eq!(store.purchases(&id("u-other")).await.unwrap(), []);

    // After the cancellation, another payment can pay the order.
    let off = store.cancel_payment(&id("p-3"), &id("u"), second.amount, at(1040)).await.unwrap();
    assert_eq!((off.order_id, off.state), (Some(id("o-2")), State::Cancelled));
    assert_eq!(pay("p-3", "c").await, Paid::NotOpen);
    assert_eq!(record("p-4", &second).await, ("p-4".into(), State::Recorded));
    store.cancel_payment(&id("p-5"), &id("u-other"), first.amount, at(1040)).await.unwrap();
    assert_eq!(state("p-5").await, Some(State::Cancelled), "never seen before");
    let listed = store.payments(&id("u")).await.unwrap();
    let listed: Vec<&str> = listed.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(listed, ["p-3", "p-1", "p-4"], "the newest first");

    let claim = async |uid: &str| store.claim_ad(&id("ad"), &id(uid), at(1050)).await.unwrap();
    assert_eq!(store.ad_owner(&id("ad")).await.unwrap(), None);
    assert_eq!(claim("u").await, Some(id("u")));
    assert_eq!(claim("u-other").await, Some(id("u")));
    assert_eq!(store.ad_owner(&id("ad")).await.unwrap(), Some(Some(id("u"))));
}

#[test]
fn the_memory_store_keeps_the_contract_of_payments() {
    let store = payment::MemoryStore::default();
    block_on(payments_keep_the_contract(&store));
    store.forget(&id("u"));
    block_on(async {
        let record = store.payment(&id("p-1")).await.unwrap().unwrap();
        assert_eq!((record.uid, record.amount.stroops()), (None, 7), "without the user");
        assert_eq!(store.ad_owner(&id("ad")).await.unwrap(), Some(None));
        // An erased user who comes back can get it again, and no other user after that.
        for uid in ["u", "u-other"] {
            store.adopt(&id("p-1"), &id(uid)).await.unwrap();
            let record = store.payment(&id("p-1")).await.unwrap().unwrap();
            let found = store.order(&id("o-1")).await.unwrap().unwrap();
            assert_eq!((record.uid, found.order.uid), (Some(id("u")), Some(id("u"))));
        }
    });
}

/// A store with an order and a payment for each of these names, recorded at this time by its user.
fn with_payments(payments: &[(&str, &str, i64)]) -> payment::MemoryStore {
    let store = payment::MemoryStore::default();
    for (name, uid, now) in payments {
        block_on(async {
            let order = order_of(name, uid, *now);
            store.keep_order(&order).await.unwrap();
            store.record_payment(&id(name), &claim_of(&order), at(*now)).await.unwrap();
        });
    }
    store
}

fn order_of(name: &str, uid: &str, now: i64) -> Order {
    Order {
        id: id(&format!("order-{name}")),
        uid: Some(id(uid)),
        product_id: id("coffee"),
        amount: Amount::from_stroops(7),
        memo: "A cup".into(),
        created_at: at(now),
    }
}

/// The claim of a payment for exactly this order, at any age.
fn claim_of(order: &Order) -> Claim<'_> {
    let Order { id, uid, amount, .. } = order;
    Claim { order_id: id, uid: uid.as_ref().unwrap(), amount: *amount, must_be_open: false }
}

#[test]
fn a_payment_of_an_order_that_must_be_open_is_stored_within_the_hour_while_its_product_is_sold() {
    let store = payment::MemoryStore::default();
    let order = order_of("p", "u", 1000);
    let open = Claim { must_be_open: true, ..claim_of(&order) };
    let record = |claim: &Claim<'_>, later: u32| {
        let now = at(1000).plus(later);
        let found = block_on(store.record_payment(&id("p"), claim, now)).unwrap().unwrap();
        assert_eq!(claim.holds(&found, now), found.payment.is_some());
        (found.is_sold, found.payment.is_some())
    };
    assert!(block_on(store.keep_order(&order)).unwrap());
    assert_eq!(record(&open, 0), (false, false), "its product is not for sale");
    let (name, amount) = ("A cup".into(), Amount::from_stroops(8));
    store.products.borrow_mut().push(Product { id: id("coffee"), name, amount });
    assert_eq!(record(&open, ORDER_LIFETIME + 1), (true, false));
    assert_eq!(record(&open, ORDER_LIFETIME), (true, true));
    // A claim that is no longer true leaves a stored payment as it was: it is not due anew.
    let now = 1000 + i64::from(ORDER_LIFETIME);
    let later = at(now).plus(1000);
    let kept = block_on(store.record_payment(&id("p"), &open, later)).unwrap().unwrap();
    assert_eq!(kept.payment.map(|kept| kept.id), Some(id("p")));
    assert_eq!(run(&store, 7, now + 120), ["p"]);
}

/// The payments of one scheduled run.
fn run(store: &payment::MemoryStore, limit: u32, now: i64) -> Vec<String> {
    let due = block_on(store.unfinished(limit, at(now))).unwrap();
    due.iter().map(|due| due.record.id.to_string()).collect()
}

#[test]
fn r9_users_take_turns_with_one_payment_a_run() {
    let store = with_payments(&[
        ("a1", "a", 1000),
        ("a2", "a", 1001),
        ("a3", "a", 1002),
        ("b1", "b", 1050),
    ]);
    assert_eq!(run(&store, 9, 1119), [""; 0], "nobody's present step");
    assert_eq!(run(&store, 9, 1120), ["a1"], "the one that has waited longest");
    assert_eq!(run(&store, 9, 1200), ["b1"]);
    assert_eq!(run(&store, 9, 1419), [""; 0], "a user has one turn in five minutes");
    assert_eq!(run(&store, 9, 1420), ["a2"]);
    assert_eq!(run(&store, 9, 1720), ["b1", "a3"], "who has waited longest comes first");
    // Seven users with many payments do not delay another user who comes later.
    let mut crowd: Vec<(String, String)> = Vec::new();
    for user in 0..7 {
        crowd.extend((0..50).map(|number| (format!("{user}-{number}"), format!("user-{user}"))));
    }
    let mut payments: Vec<(&str, &str, i64)> =
        crowd.iter().map(|(name, uid)| (name.as_str(), uid.as_str(), 1000)).collect();
    payments.push(("paid", "victim", 1500));
    let store = with_payments(&payments);
    let runs: Vec<Vec<String>> = (0..3).map(|number| run(&store, 7, 1500 + number * 300)).collect();
    assert!(runs.iter().all(|found| found.len() == 7), "{runs:?}");
    assert!(runs[1].contains(&"paid".to_owned()), "{runs:?}");
}

#[test]
fn r9_a_payment_is_read_less_and_less_often_and_then_given_up() {
    let store = with_payments(&[("p", "u", 0)]);
    let (mut looks, mut now) = (Vec::new(), 0);
    while looks.len() < 30 {
        let due = block_on(store.unfinished(7, at(now))).unwrap();
        if let [due] = &due[..] {
            looks.push(now);
            assert_eq!(due.is_last, looks.len() == 30, "look {}", looks.len());
        }
        now += 60;
    }
    assert_eq!(looks[..5], [120, 420, 1020, 2220, 4620]);
    assert_eq!(looks[28] - looks[27], 86_400);
    assert!(looks[29] > 21 * 86_400);
    block_on(store.give_up(&id("p"))).unwrap();
    assert_eq!(run(&store, 7, now + 365 * 86_400), [""; 0]);
    // Its user comes back.
    let order = order_of("p", "u", 0);
    block_on(store.record_payment(&id("p"), &claim_of(&order), at(now))).unwrap();
    assert_eq!(run(&store, 7, now + 120), ["p"]);
    assert_eq!(run(&store, 7, now + 420), ["p"], "anew, from the first pause");
}

#[test]
fn r9_a_payment_that_a_run_leaves_is_due_in_the_next_run() {
    let store = with_payments(&[("p", "u", 0), ("q", "v", 0)]);
    assert_eq!(run(&store, 7, 1000), ["p", "q"]);
    block_on(store.give_back(&[id("q")], at(1150))).unwrap();
    assert_eq!(run(&store, 7, 1200), ["q"]);
    // The payment has lost no read by that: the pause is the first one.
    assert_eq!(run(&store, 7, 1499), ["p"]);
    assert_eq!(run(&store, 7, 1500), ["q"]);
    // A payment that was paid meanwhile is not due again.
    let txid = TxId::parse(&"a".repeat(64)).unwrap();
    block_on(store.pay(&id("p"), &txid, at(1500))).unwrap();
    block_on(store.give_back(&[id("p")], at(1500))).unwrap();
    assert_eq!(run(&store, 7, 1_000_000), ["q"]);
}

#[test]
fn r9_each_payment_of_an_erased_user_has_its_own_turn() {
    let store = with_payments(&[("p", "u", 0), ("q", "u", 1), ("r", "v", 2)]);
    assert_eq!(run(&store, 7, 1000), ["p", "r"]);
    store.forget(&id("u"));
    assert_eq!(run(&store, 7, 1001), ["q"]);
    assert_eq!(run(&store, 7, 1300), ["p", "r"]);
    // The payment of a user who has come back takes turns with their others again.
    block_on(store.adopt(&id("q"), &id("u"))).unwrap();
    block_on(store.adopt(&id("p"), &id("u"))).unwrap();
    assert_eq!(run(&store, 7, 2000), ["q", "r"]);
}

#[test]
fn r10_the_transaction_of_a_cancelled_payment_is_kept_and_pays_once() {
    let store = with_payments(&[("p", "u", 0), ("q", "u", 1)]);
    let txid = TxId::parse(&"a".repeat(64)).unwrap();
    let record = |name: &str| block_on(store.payment(&id(name))).unwrap().unwrap();
    block_on(store.keep_transaction(&id("p"), &txid, at(0))).unwrap();
    assert_eq!((record("p").state, record("p").txid), (State::Recorded, Some(txid.clone())));
    block_on(store.cancel_payment(&id("p"), &id("u"), Amount::from_stroops(7), at(10))).unwrap();
    assert_eq!(record("p").state, State::Recorded, "not written off");
    block_on(store.keep_transaction(&id("q"), &txid, at(0))).unwrap();
    assert_eq!(record("q").txid, None, "it is another payment's");
    assert_eq!(block_on(store.pay(&id("q"), &txid, at(10))).unwrap(), Paid::TxidTaken);
    let paid = block_on(store.pay(&id("p"), &txid, at(10))).unwrap();
    assert_eq!(paid, Paid::Done(record("p")));
    block_on(store.keep_transaction(&id("p"), &TxId::parse(&"b".repeat(64)).unwrap(), at(0)))
        .unwrap();
    assert_eq!(record("p").txid, Some(txid), "what is paid stays as it is");
}

#[test]
fn r6_old_rows_are_deleted_and_paid_orders_stay() {
    const DAY: i64 = 86_400;
    let store =
        with_payments(&[("paid", "u", 0), ("off", "u", 0), ("open", "u", 0), ("odd", "u", 0)]);
    block_on(async {
        let price = Amount::from_stroops(7);
        let txid = |digit: &str| TxId::parse(&digit.repeat(64)).unwrap();
        // An order with one payment that was cancelled and one that paid.
        store.cancel_payment(&id("paid"), &id("u"), price, at(0)).await.unwrap();
        let order = order_of("paid", "u", 0);
        store.record_payment(&id("again"), &claim_of(&order), at(1)).await.unwrap();
        store.pay(&id("again"), &txid("a"), at(1)).await.unwrap();
        store.cancel_payment(&id("off"), &id("u"), price, at(0)).await.unwrap();
        store.cancel_payment(&id("stray"), &id("u"), price, at(0)).await.unwrap();
        store.keep_transaction(&id("odd"), &txid("b"), at(0)).await.unwrap();
        for number in 0..3 {
            store.keep_order(&order_of(&format!("unpaid-{number}"), "u", number)).await.unwrap();
        }
        store.claim_ad(&id("ad"), &id("u"), at(0)).await.unwrap();
        assert_eq!(store.counts(), (7, 6));
        let sweep = async |now: i64, limit: u32| store.sweep(at(now), limit).await.unwrap();
        assert_eq!(sweep(DAY - 1, 9).await, 0);
        assert_eq!(sweep(DAY, 9).await, 1, "after a day");
        assert_eq!(sweep(2 * DAY, 1).await, 1, "no more than the limit");
        assert_eq!(sweep(2 * DAY, 9).await, 1);
        assert_eq!(store.counts(), (4, 6));
        assert_eq!(sweep(90 * DAY - 1, 9).await, 0);
        // Three payments, and the order to which nothing else refers.
        assert_eq!(sweep(90 * DAY, 9).await, 4);
        assert_eq!(store.counts(), (3, 3));
        assert_eq!(sweep(729 * DAY, 9).await, 0);
        assert_eq!(store.ad_owner(&id("ad")).await.unwrap(), Some(Some(id("u"))));
        assert_eq!(sweep(730 * DAY, 9).await, 1);
        assert_eq!(store.ad_owner(&id("ad")).await.unwrap(), None);
        assert_eq!(sweep(100_000 * DAY, 9).await, 0);
        let left =
            async |name: &str| store.payment(&id(name)).await.unwrap().map(|left| left.state);
        assert_eq!(left("again").await, Some(State::Paid));
        assert_eq!(
            (left("open").await, left("odd").await),
            (Some(State::Recorded), Some(State::Recorded))
        );
        assert_eq!(store.purchases(&id("u")).await.unwrap().len(), 1);
    });
}

#[test]
fn r6_a_user_has_twenty_open_orders_at_most() {
    let store = with_payments(&[("p", "u", 0)]);
    block_on(async {
        for number in 0..25 {
            // All in one second: the newest order is never the one that is deleted.
            let order = order_of(&format!("{number}"), "u", 5);
            store.keep_order(&order).await.unwrap();
            assert!(store.order(&order.id).await.unwrap().is_some());
        }
        store.keep_order(&order_of("other", "v", 5)).await.unwrap();
        assert_eq!(store.counts(), (1 + 20 + 1, 1));
        assert!(store.order(&id("order-p")).await.unwrap().is_some(), "it has a payment");
    });
}

#[test]
fn equal_contents_have_equal_versions() {
    let data = |text: &str| Data::new(text.into());
    assert_eq!(data("{}").version, data("{}").version);
    assert_ne!(data("{}").version, data("{ }").version);
    assert_eq!(data("{}").version.len(), 22);
}
