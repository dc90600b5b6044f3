//! Rewarded ads.

use super::*;

#[test]
fn an_ad_is_granted_once_and_to_the_first() {
    let (app, alice) = shop();
    let bob = call(&app, &sign_in("sim-bob")).token();
    let watch = |status, unsaid| {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.watch("sim-alice", status, unsaid, at(0)).unwrap()
    };
    let claim = |token: &str, ad: &str| with_token("POST", &format!("/ads/{ad}/claim"), token);
    let ad = watch(Some(AdStatus::Granted), 2);
    let granted = call(&app, &claim(&alice, &ad));
    assert_eq!((granted.status, granted.json()), (200, json!({ "granted": true })));
    assert_eq!(granted.sent, 3, "`null` is asked again");
    let again = call(&app, &claim(&alice, &ad));
    assert_eq!((again.json(), again.sent), (json!({ "granted": true }), 0));
    assert_eq!(stands(&app, &claim(&bob, &ad), 409, "ad_already_claimed").sent, 0);
    for status in [Some(AdStatus::Revoked), Some(AdStatus::Failed), None] {
        stands(&app, &claim(&alice, &watch(status, 0)), 409, "ad_not_granted");
    }
    stands(&app, &claim(&alice, "unknown"), 409, "ad_not_granted");
    stands(&app, &request("POST", "/ads/x/claim", &[], ""), 401, "session_missing");
    // After the erasure, the claim stays, and belongs to no user.
    call(&app, &with_token("DELETE", "/me", &alice));
    let alice = call(&app, &sign_in("sim-alice")).token();
    stands(&app, &claim(&alice, &ad), 409, "ad_already_claimed");
}
