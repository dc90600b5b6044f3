//! Reads any answer of Pi: the first byte chooses the status, the rest is the body. No answer may
//! cause a panic, and an accepted payment must be the requested one, with the exact amount.
#![no_main]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use pioneer_session::{
    identifier::Identifier,
    json,
    pi::{self, AccessToken, Amount, Notification, Payments, ServerApiKey, Transport, Unreachable},
    secret::Secret,
    time::UnixTime,
};
use serde_json::Value;

const STATUSES: [u16; 16] =
    [200, 200, 200, 200, 200, 201, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503];
const KEY: &str = "k0123456789abcdefghijk0123456789abcdefghij";

struct Answering<'a>(u16, &'a [u8]);

impl Transport for Answering<'_> {
    async fn send(&self, _: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        let response =
            Response::builder().status(self.0).header("content-type", "application/json");
        Ok(response.body(self.1.to_vec()).expect("a response"))
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn id(text: &str) -> Identifier {
    Identifier::parse(text.into()).expect("an identifier")
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let status = STATUSES[usize::from(*choice) % STATUSES.len()];
    let pi = Answering(status, body);
    let key = ServerApiKey::new(Secret::new(KEY.into())).expect("a key");
    let base = "https://pi.example";
    let said: Option<Value> = serde_json::from_slice(body).ok();

    let payments = Payments { transport: &pi, base, key: &key };
    match block_on(payments.get(&id("payment-1"))) {
        Ok(payment) => {
            assert_eq!(status, 200);
            let said = said.as_ref().expect("JSON");
            assert_eq!(said["identifier"], "payment-1");
            assert_eq!(said["user_uid"], payment.uid.as_str());
            assert_eq!(json::text_of(body, "amount").and_then(Amount::parse), Some(payment.amount));
            assert_eq!(Amount::parse(&payment.amount.to_string()), Some(payment.amount));
            assert_eq!(payment.is_approved, said["status"]["developer_approved"] == true);
            assert_eq!(payment.is_completed, said["status"]["developer_completed"] == true);
            assert_eq!(
                payment.is_user_to_app,
                said["direction"].as_str().map(|way| way == "user_to_app")
            );
            if let Some(order) = payment.order_id {
                assert_eq!(said["metadata"]["orderId"], order.as_str());
            }
        }
        Err(error) => assert!(!error.to_string().contains(KEY)),
    }
    let token = AccessToken::parse(Secret::new("some-token".into())).expect("a token");
    let now = UnixTime::from_seconds(1_760_000_000).expect("a time");
    if let Ok(user) = block_on(pi::me(&pi, base, &token, || now)) {
        assert_eq!(said.as_ref().expect("JSON")["uid"], user.uid.as_str());
    }
    if block_on(pi::is_ad_granted(&pi, base, &key, &id("ad-1"))) == Ok(true) {
        assert_eq!(said.as_ref().expect("JSON")["mediator_ack_status"], "granted");
    }
    let (title, text, subroute) = ("title".to_owned(), "body".to_owned(), "/".to_owned());
    let notification = Notification { title, body: text, user_uid: id("uid-1"), subroute };
    if let Ok(reached) = block_on(pi::notify(&pi, base, &key, &[notification])) {
        let said = said.as_ref().expect("JSON")["delivered_notifications"].as_array();
        assert_eq!(said.map(Vec::len), Some(reached.len()));
    }
});
