//! Answers of Pi.

use super::*;

/// Pi, with one answer to everything.
struct Answering(u16, Vec<u8>);

impl Transport for Answering {
    async fn send(&self, _: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, pi::Unreachable> {
        let response =
            Response::builder().status(self.0).header("content-type", "application/json");
        Ok(response.body(self.1.clone()).unwrap())
    }
}

fn api_key() -> ServerApiKey {
    ServerApiKey::new(Secret::new(SERVER_API_KEY.into())).unwrap()
}

fn id(text: &str) -> Identifier {
    Identifier::parse(text.into()).unwrap()
}

/// Reads payment-1 from a Pi that gives this answer to every request.
fn payment_of(status: u16, body: &[u8]) -> Result<pi::Payment, pi::Error> {
    let (transport, key) = (Answering(status, body.to_vec()), api_key());
    let payments = Payments { transport: &transport, base: "https://pi.example", key: &key };
    block_on(payments.get(&id("payment-1")))
}

fn me_of(body: &[u8]) -> Result<pi::User, pi::Error> {
    let token = AccessToken::parse(Secret::new("some-token".into())).unwrap();
    let now = UnixTime::from_seconds(NOW).unwrap();
    block_on(pi::me(&Answering(200, body.to_vec()), "https://pi.example", &token, || now))
}

fn ad_of(status: u16, body: &[u8]) -> Result<bool, pi::Error> {
    let transport = Answering(status, body.to_vec());
    block_on(pi::is_ad_granted(&transport, "https://pi.example", &api_key(), &id("ad-1")))
}

fn notified_by(status: u16, body: &[u8]) -> Result<Vec<Identifier>, pi::Error> {
    let notification = Notification {
        title: "title".into(),
        body: "body".into(),
        user_uid: id("uid-1"),
        subroute: "/".into(),
    };
    let transport = Answering(status, body.to_vec());
    block_on(pi::notify(&transport, "https://pi.example", &api_key(), &[notification]))
}

/// A PaymentDTO, and the payment in it.
fn payment_dtos() -> impl Strategy<Value = (Vec<(&'static str, String)>, pi::Payment)> {
    let flags = (any::<[Option<bool>; 4]>(), any::<Option<bool>>());
    let transaction = prop::option::of(("[0-9a-f]{64}", any::<Option<bool>>()));
    let order = prop::option::of(identifiers());
    (identifiers(), 0_u64..1 << 53, order, flags, transaction, texts()).prop_map(
        |(
            uid,
            stroops,
            order_id,
            ([approved, completed, cancelled, by_user], outgoing),
            transaction,
            more,
        )| {
            let amount = Amount::from_stroops(stroops);
            let direction = outgoing.map(|out| if out { "user_to_app" } else { "app_to_user" });
            let metadata = order_id.as_ref().map(|id| json!({ "orderId": id, "more": more }));
            let status = json!({
                "developer_approved": approved, "developer_completed": completed,
                "cancelled": cancelled, "user_cancelled": by_user, "transaction_verified": true,
            });
            let dto = transaction
                .as_ref()
                .map(|(txid, verified)| json!({ "txid": txid, "verified": verified }));
            let members = vec![
                ("identifier", json!("payment-1").to_string()),
                ("user_uid", json!(uid).to_string()),
                ("amount", amount.to_string()),
                ("memo", json!(more).to_string()),
                ("metadata", json!(metadata).to_string()),
                ("direction", json!(direction).to_string()),
                ("network", json!("Pi Testnet").to_string()),
                ("status", status.to_string()),
                ("transaction", json!(dto).to_string()),
                ("__proto__", "{}".to_owned()),
            ];
            let is = |flag: Option<bool>| flag == Some(true);
            let payment = pi::Payment {
                id: id("payment-1"),
                uid,
                amount,
                order_id,
                is_user_to_app: outgoing,
                network: Some("Pi Testnet".into()),
                is_approved: is(approved),
                is_completed: is(completed),
                is_cancelled: is(cancelled) || is(by_user),
                transaction: transaction.map(|(txid, verified)| pi::Transaction {
                    txid: TxId::parse(&txid).unwrap(),
                    is_verified: is(verified),
                }),
            };
            (members, payment)
        },
    )
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_payment_is_read_from_its_members_in_any_order((members, expected) in payment_dtos(), by: usize, twice: prop::sample::Index) {
        let text = rotated(&members, by);
        prop_assert_eq!(payment_of(200, text.as_bytes()), Ok(expected));
        let mut doubled = members.clone();
        doubled.push(members[twice.index(members.len())].clone());
        prop_assert!(payment_of(200, rotated(&doubled, by).as_bytes()).is_err());
    }

    #[test]
    fn a_damaged_answer_about_a_payment_is_refused_or_is_of_this_payment(
        (members, _) in payment_dtos(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = rotated(&members, 0).into_bytes();
        prop_assert!(payment_of(200, &bytes[..cut.index(bytes.len())]).is_err(), "it breaks off");
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if let Ok(payment) = payment_of(200, &bytes) {
            prop_assert_eq!(payment.id, id("payment-1"));
            prop_assert!(oracle(String::from_utf8_lossy(&bytes).as_bytes()).is_some());
        }
    }

    #[test]
    fn a_name_in_any_code_units_lets_its_owner_in(
        units in vec(prop_oneof![any::<u16>(), 0xD800_u16..0xE000, 0x20_u16..0x7F], 0..24),
    ) {
        let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let user = me_of(format!(r#"{{"uid":"u","username":"{escaped}"}}"#).as_bytes()).unwrap();
        let is_shown = |name: &String| name.len() <= 128 && !name.chars().any(|c| c.is_control() || c == '\u{fffd}');
        let expected = String::from_utf16(&units).ok().filter(is_shown);
        prop_assert_eq!((user.is_curtailed, &user.username), (expected.is_none(), &expected));
    }

    #[test]
    fn any_json_is_an_answer_of_pi_or_refused(tree in jsons(), choice: u64, status in select(vec![200_u16, 201, 400, 401, 403, 404, 409, 422, 429, 500, 503])) {
        let body = tree.to_text(choice);
        let body = body.as_bytes();
        // No value of this grammar has all required members.
        prop_assert!(payment_of(status, body).is_err());
        prop_assert!(me_of(body).is_err());
        prop_assert!(ad_of(status, body).is_err());
        prop_assert!(notified_by(status, body).is_err());
    }

    #[test]
    fn a_user_is_read_from_its_members_in_any_order(
        uid in identifiers(), username in prop::option::of("[a-z0-9_é]{0,40}"), scopes in vec("[!#-\\[\\]-~]{1,32}", 0..32),
        later in 1_i64..1_000_000_000, fraction: bool, number: bool, by: usize, at: prop::sample::Index, byte: u8,
    ) {
        let until = format!("{}{}", NOW + later, if fraction { ".5" } else { "" });
        let credentials = format!("{{\"scopes\":{},\"valid_until\":{{\"timestamp\":{until},\"iso8601\":\"?\"}}}}", json!(scopes));
        let app_id = if number { "17" } else { "\"17\"" };
        let members = [
            ("uid", json!(uid).to_string()),
            ("username", json!(username).to_string()),
            ("credentials", credentials),
            ("app_id", app_id.to_owned()),
            ("roles", "[]".to_owned()),
        ];
        let text = rotated(&members, by);
        let expected = pi::User { uid, username, scopes, is_curtailed: false, app_id: Some("17".into()) };
        prop_assert_eq!(me_of(text.as_bytes()), Ok(expected));
        let mut bytes = text.into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        prop_assert!(me_of(&bytes).is_err() || oracle(String::from_utf8_lossy(&bytes).as_bytes()).is_some());
    }

    #[test]
    fn a_refusal_is_pis_code_or_nothing(text in prop_oneof![texts(), "[a-z0-9_]{1,70}", Just(SERVER_API_KEY.to_owned())], status in select(vec![400_u16, 401, 403, 409, 422])) {
        let body = json!({ "error": text, "error_message": text }).to_string();
        let is_code = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit());
        match payment_of(status, body.as_bytes()) {
            Err(pi::Error::Declined(Some(code))) => {
                prop_assert!(is_code);
                prop_assert_eq!(code.as_str(), &text);
            }
            Err(pi::Error::Declined(None) | pi::Error::KeyRefused) => prop_assert!(!is_code, "{}", text),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn an_ad_is_granted_by_one_status_only(said in prop_oneof![prop::option::of(texts()), Just(Some("granted".to_owned()))], other in identifiers()) {
        let body = |id: &str| json!({ "identifier": id, "mediator_ack_status": said, "mediator_granted_at": null }).to_string();
        prop_assert_eq!(ad_of(200, body("ad-1").as_bytes()), Ok(said.as_deref() == Some("granted")));
        if other.as_str() != "ad-1" {
            prop_assert!(ad_of(200, body(other.as_str()).as_bytes()).is_err());
        }
    }

    #[test]
    fn notifications_reached_the_users_that_are_named(uids in vec(identifiers(), 0..8), more in jsons(), choice: u64, damaged in vec(texts(), 1..3)) {
        let delivered = |uids: Vec<Value>| {
            let each: Vec<Value> = uids.iter().map(|uid| json!({ "user_uid": uid, "title": "t" })).collect();
            format!("{{\"more\":{},\"delivered_notifications\":{}}}", more.to_text(choice), json!(each))
        };
        let answer = delivered(uids.iter().map(|uid| json!(uid)).collect());
        if more.has_duplicates() || oracle(answer.as_bytes()).is_none() {
            prop_assert!(notified_by(200, answer.as_bytes()).is_err());
        } else {
            prop_assert_eq!(notified_by(200, answer.as_bytes()), Ok(uids));
        }
        let is_sound = damaged.iter().all(|text| Identifier::parse(text.clone()).is_some());
        let plain = json!({ "delivered_notifications": damaged.iter().map(|uid| json!({ "user_uid": uid })).collect::<Vec<_>>() });
        prop_assert_eq!(notified_by(200, plain.to_string().as_bytes()).is_ok(), is_sound);
    }
}
