//! The state of the simulated Pi: payments and their transactions, rewarded ads, notifications; and
//! the actions on them, by whom and when. It is only in memory: time is an argument, and ids come
//! from a counter.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{APP_ID, PERSONAS, person_of};
use crate::{pi::Amount, time::UnixTime};

/// Pi cancels a payment that is not approved within this time.
pub const APPROVAL_SECONDS: i64 = 60;

/// How many notifications one user can get in a day.
const NOTIFICATIONS_A_DAY: usize = 48;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Everything that has happened. The members are public, so that a test can make states that no
/// user could.
#[derive(Debug)]
pub struct Ledger {
    /// Every payment, in the order in which they were made.
    pub payments: Vec<Payment>,
    /// Every ad that somebody watched.
    pub ads: Vec<Ad>,
    /// Every notification that was delivered.
    pub notifications: Vec<Notification>,
    seed: u64,
    made: u64,
}

/// A payment between a user and an app.
#[derive(Clone, Debug)]
pub struct Payment {
    /// 28 characters of base62.
    pub id: String,
    /// The user, by the app's own id: the payer, or the receiver of a payment to a user.
    pub uid: String,
    /// The app on the other side. Other apps do not see the payment.
    pub app_id: String,
    /// How much.
    pub amount: Amount,
    /// The text in the wallet.
    pub memo: String,
    /// The metadata from the app's frontend: an object.
    pub metadata: Value,
    /// `user_to_app` or `app_to_user`.
    pub direction: &'static str,
    /// `Pi Testnet`.
    pub network: &'static str,
    /// When it was made.
    pub created_at: UnixTime,
    /// By the app.
    pub is_approved: bool,
    /// By the app.
    pub is_completed: bool,
    /// By the app, or by Pi.
    pub is_cancelled: bool,
    /// By the user.
    pub is_user_cancelled: bool,
    /// Once the user has signed.
    pub transaction: Option<Transaction>,
}

/// A transaction on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// 64 hexadecimal digits.
    pub txid: String,
    /// Whether Pi has verified it.
    pub is_verified: bool,
}

/// A rewarded ad that somebody watched.
#[derive(Clone, Debug)]
pub struct Ad {
    /// Its `adId`.
    pub id: String,
    /// The app that showed it.
    pub app_id: String,
    /// The answer of the ad network; `None` before it has answered.
    pub status: Option<AdStatus>,
    /// How many reads do not see the status yet.
    pub unsaid_for: u32,
    /// When it was watched.
    pub watched_at: UnixTime,
}

/// `mediator_ack_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdStatus {
    /// The reward counts.
    Granted,
    /// The reward counted, and was withdrawn.
    Revoked,
    /// The reward never counted.
    Failed,
}

/// A notification in the Pi app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Pi's id.
    pub id: String,
    /// The first line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The receiver.
    pub user_uid: String,
    /// The page of the app that it opens.
    pub subroute: String,
    /// When it was delivered.
    pub delivered_at: UnixTime,
}

/// Why a request was refused. Each reason has Pi's code, where Pi has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The access token belongs to no user.
    Unauthorized,
    /// There is no such payment, or it belongs to another app.
    PaymentNotFound,
    /// It was approved before.
    AlreadyApproved,
    /// It was completed before.
    AlreadyCompleted,
    /// It was cancelled.
    CancelledPayment,
    /// The user has paid: too late to cancel, or to pay.
    PaymentTxPresent,
    /// The app has not approved it, so the user cannot sign.
    NotApproved,
    /// The request names no transaction.
    MissingTxid,
    /// The payment has another transaction.
    TxidMismatch,
    /// The transaction is this payment's, but Pi has not verified it.
    NotVerified,
    /// There is no such transaction.
    VerificationFailed,
    /// The transaction belongs to another payment.
    AlreadyLinked,
    /// The user has paid for an order that the app has not completed.
    OngoingPaymentFound,
    /// The amount is zero or negative.
    InvalidAmount,
    /// The metadata is not an object.
    InvalidMetadata,
}

impl Payment {
    /// Whether its state can still change.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.is_completed && !self.is_off()
    }

    const fn is_off(&self) -> bool {
        self.is_cancelled || self.is_user_cancelled
    }

    /// Whether its user is the payer.
    fn is_to_app(&self) -> bool {
        self.direction == "user_to_app"
    }
}

impl Ledger {
    /// An empty ledger. Equal seeds make equal ids, so a caller that outlives the ledger starts
    /// each one from another seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { payments: Vec::new(), ads: Vec::new(), notifications: Vec::new(), seed, made: 0 }
    }

    // --- Requests of the app, with its key
    // --------------------------------------------------------

    /// The payment with this id, if it is that app's.
    ///
    /// # Errors
    /// [`Refusal::PaymentNotFound`].
    pub fn get(&mut self, app_id: &str, id: &str, now: UnixTime) -> Result<&mut Payment, Refusal> {
        let payment = self.find(id, now)?;
        if payment.app_id == app_id { Ok(payment) } else { Err(Refusal::PaymentNotFound) }
    }

    /// Lets the user sign.
    ///
    /// # Errors
    /// [`Refusal::CancelledPayment`], [`Refusal::AlreadyApproved`], [`Refusal::PaymentNotFound`].
    pub fn approve(&mut self, app_id: &str, id: &str, now: UnixTime) -> Result<(), Refusal> {
        let payment = self.get(app_id, id, now)?;
        if payment.is_off() {
            return Err(Refusal::CancelledPayment);
        }
        if payment.is_approved {
            return Err(Refusal::AlreadyApproved);
        }
        payment.is_approved = true;
        Ok(())
    }

    /// Marks the payment as paid with this transaction.
    ///
    /// # Errors
    /// The [`Refusal`] of the payment's state or of the transaction.
    pub fn complete(
        &mut self,
        app_id: &str,
        id: &str,
        txid: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let payment = self.get(app_id, id, now)?;
        let txid = txid.filter(|txid| !txid.is_empty()).ok_or(Refusal::MissingTxid)?;
        if payment.is_completed {
            return Err(Refusal::AlreadyCompleted);
        }
        if payment.is_off() {
            return Err(Refusal::CancelledPayment);
        }
        if let Some(transaction) = &payment.transaction
            && transaction.txid.eq_ignore_ascii_case(txid)
        {
            if !transaction.is_verified {
                return Err(Refusal::NotVerified);
            }
            payment.is_completed = true;
            return Ok(());
        }
        let is_paid = payment.transaction.is_some();
        let mut transactions =
            self.payments.iter().filter_map(|payment| payment.transaction.as_ref());
        Err(if transactions.any(|transaction| transaction.txid.eq_ignore_ascii_case(txid)) {
            Refusal::AlreadyLinked
        } else if is_paid {
            Refusal::TxidMismatch
        } else {
            Refusal::VerificationFailed
        })
    }

    /// Cancels the payment.
    ///
    /// # Errors
    /// [`Refusal::AlreadyCompleted`], [`Refusal::CancelledPayment`], [`Refusal::PaymentTxPresent`],
    /// [`Refusal::PaymentNotFound`].
    pub fn cancel(&mut self, app_id: &str, id: &str, now: UnixTime) -> Result<(), Refusal> {
        let payment = self.get(app_id, id, now)?;
        cancellable(payment)?;
        payment.is_cancelled = true;
        Ok(())
    }

    /// Reads the state of an ad that this app showed. This counts as a read.
    #[must_use]
    pub fn ad(&mut self, app_id: &str, id: &str) -> Option<(&Ad, Option<AdStatus>)> {
        let ad = self.ads.iter_mut().find(|ad| ad.id == id && ad.app_id == app_id)?;
        let status = if ad.unsaid_for == 0 { ad.status } else { None };
        ad.unsaid_for = ad.unsaid_for.saturating_sub(1);
        Some((ad, status))
    }

    /// The users among these who would get more than the daily limit, each once.
    #[must_use]
    pub fn over_quota<'a>(&self, uids: &[&'a str], now: UnixTime) -> Vec<&'a str> {
        let mut over: Vec<&str> = Vec::new();
        for uid in uids {
            let lately = self
                .notifications
                .iter()
                .filter(|sent| sent.user_uid == *uid && now.since(sent.delivered_at) < DAY_SECONDS);
            let more = uids.iter().filter(|other| *other == uid);
            if lately.count() + more.count() > NOTIFICATIONS_A_DAY && !over.contains(uid) {
                over.push(uid);
            }
        }
        over
    }

    /// Delivers a notification.
    pub fn notify(
        &mut self,
        title: &str,
        body: &str,
        user_uid: &str,
        subroute: &str,
        now: UnixTime,
    ) -> Notification {
        let notification = Notification {
            id: self.next_id(),
            title: title.to_owned(),
            body: body.to_owned(),
            user_uid: user_uid.to_owned(),
            subroute: subroute.to_owned(),
            delivered_at: now,
        };
        self.notifications.push(notification.clone());
        notification
    }

    // --- Actions of users
    // -------------------------------------------------------------------------

    /// A user, by their access token, begins to pay the app for which the token was issued. This
    /// cancels an unpaid payment that they had begun. Returns the payment's id.
    ///
    /// # Errors
    /// [`Refusal::OngoingPaymentFound`] if they have paid something that is not completed: the
    /// first of [`incomplete`](Self::incomplete). Otherwise [`Refusal::Unauthorized`],
    /// [`Refusal::InvalidAmount`], [`Refusal::InvalidMetadata`].
    pub fn create(
        &mut self,
        token: &str,
        amount: Amount,
        memo: &str,
        metadata: Value,
        now: UnixTime,
    ) -> Result<String, Refusal> {
        let (uid, app_id) = person_of(token).ok_or(Refusal::Unauthorized)?;
        if amount.stroops() == 0 {
            return Err(Refusal::InvalidAmount);
        }
        if !metadata.is_object() {
            return Err(Refusal::InvalidMetadata);
        }
        self.expire(now);
        let open =
            |payment: &&mut Payment| payment.uid == uid && payment.is_open() && payment.is_to_app();
        if self.payments.iter_mut().filter(open).any(|payment| payment.transaction.is_some()) {
            return Err(Refusal::OngoingPaymentFound);
        }
        for unpaid in self.payments.iter_mut().filter(open) {
            unpaid.is_cancelled = true;
        }
        Ok(self.begin(uid, app_id, "user_to_app", (amount, memo, metadata), now))
    }

    /// The app begins to pay a user, by their access token. As at Pi, the payment is approved when
    /// it is created, and shows no transaction while the money is on its way. Returns the payment's
    /// id.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`], [`Refusal::InvalidAmount`], [`Refusal::InvalidMetadata`].
    pub fn pay_out(
        &mut self,
        token: &str,
        amount: Amount,
        memo: &str,
        metadata: Value,
        now: UnixTime,
    ) -> Result<String, Refusal> {
        let (uid, app_id) = person_of(token).ok_or(Refusal::Unauthorized)?;
        if amount.stroops() == 0 {
            return Err(Refusal::InvalidAmount);
        }
        if metadata.as_object().is_none_or(serde_json::Map::is_empty) {
            return Err(Refusal::InvalidMetadata);
        }
        Ok(self.begin(uid, app_id, "app_to_user", (amount, memo, metadata), now))
    }

    fn begin(
        &mut self,
        uid: &str,
        app_id: String,
        direction: &'static str,
        (amount, memo, metadata): (Amount, &str, Value),
        now: UnixTime,
    ) -> String {
        let id = self.next_id();
        self.payments.push(Payment {
            id: id.clone(),
            uid: uid.to_owned(),
            app_id,
            amount,
            memo: memo.to_owned(),
            metadata,
            direction,
            network: "Pi Testnet",
            created_at: now,
            is_approved: direction == "app_to_user",
            is_completed: false,
            is_cancelled: false,
            is_user_cancelled: false,
            transaction: None,
        });
        id
    }

    /// The user signs, and the transaction reaches the chain. Returns its txid.
    ///
    /// # Errors
    /// [`Refusal::NotApproved`], [`Refusal::CancelledPayment`], [`Refusal::PaymentTxPresent`],
    /// [`Refusal::PaymentNotFound`].
    pub fn pay(&mut self, id: &str, now: UnixTime) -> Result<String, Refusal> {
        let txid = hex(&self.next_hash());
        let payment = self.find(id, now)?;
        if payment.is_off() {
            return Err(Refusal::CancelledPayment);
        }
        if payment.transaction.is_some() {
            return Err(Refusal::PaymentTxPresent);
        }
        // Only the payer signs.
        if !payment.is_approved || !payment.is_to_app() {
            return Err(Refusal::NotApproved);
        }
        payment.transaction = Some(Transaction { txid: txid.clone(), is_verified: true });
        Ok(txid)
    }

    /// The user cancels the payment.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub fn cancel_by_user(&mut self, id: &str, now: UnixTime) -> Result<(), Refusal> {
        let payment = self.find(id, now)?;
        cancellable(payment)?;
        payment.is_user_cancelled = true;
        Ok(())
    }

    /// The user's unfinished payments, paid or not: paid ones first.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`].
    pub fn incomplete(&mut self, token: &str, now: UnixTime) -> Result<Vec<&Payment>, Refusal> {
        let (uid, _) = person_of(token).ok_or(Refusal::Unauthorized)?;
        self.expire(now);
        let open = self
            .payments
            .iter()
            .filter(|payment| payment.uid == uid && payment.is_open() && payment.is_to_app());
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|payment| payment.transaction.is_none());
        Ok(open)
    }

    /// The user watches a rewarded ad. The ad network does not answer the first `unsaid_for` reads,
    /// and answers `status` from then on. Returns the `adId`.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`].
    pub fn watch(
        &mut self,
        token: &str,
        status: Option<AdStatus>,
        unsaid_for: u32,
        now: UnixTime,
    ) -> Result<String, Refusal> {
        let (_, app_id) = person_of(token).ok_or(Refusal::Unauthorized)?;
        let id = self.next_id();
        self.ads.push(Ad { id: id.clone(), app_id, status, unsaid_for, watched_at: now });
        Ok(id)
    }

    // --- Internals
    // --------------------------------------------------------------------------------

    /// The payment with this id, of any user.
    ///
    /// # Errors
    /// [`Refusal::PaymentNotFound`].
    pub fn find(&mut self, id: &str, now: UnixTime) -> Result<&mut Payment, Refusal> {
        self.expire(now);
        let mut payments = self.payments.iter_mut();
        payments.find(|payment| payment.id == id).ok_or(Refusal::PaymentNotFound)
    }

    /// Cancels payments that were not approved in time.
    pub fn expire(&mut self, now: UnixTime) {
        for payment in &mut self.payments {
            let is_late = now.since(payment.created_at) >= APPROVAL_SECONDS;
            if is_late && payment.is_open() && !payment.is_approved {
                payment.is_cancelled = true;
            }
        }
    }

    /// A hash that differs from every other one, and is the same in every run.
    fn next_hash(&mut self) -> [u8; 32] {
        self.made += 1;
        Sha256::digest([self.seed.to_be_bytes(), self.made.to_be_bytes()].concat()).into()
    }

    fn next_id(&mut self) -> String {
        const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let hash = self.next_hash();
        let letters = hash.iter().filter_map(|byte| BASE62.get(usize::from(*byte) % BASE62.len()));
        letters.take(28).copied().map(char::from).collect()
    }
}

const fn cancellable(payment: &Payment) -> Result<(), Refusal> {
    if payment.is_completed {
        Err(Refusal::AlreadyCompleted)
    } else if payment.is_off() {
        Err(Refusal::CancelledPayment)
    } else if payment.transaction.is_some() {
        Err(Refusal::PaymentTxPresent)
    } else {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A made-up address on the chain, always the same for the same name. Its checksum is not right.
pub(super) fn address(name: &str) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (first, second) = (Sha256::digest(name), Sha256::digest([name, "'"].concat()));
    let letters =
        first.iter().chain(second.iter()).filter_map(|byte| BASE32.get(usize::from(*byte) % 32));
    core::iter::once('G').chain(letters.take(55).copied().map(char::from)).collect()
}

/// Whether this is a user of the simulated app who has consented to notifications. A user who keeps
/// the username private has not.
pub(super) fn takes_notifications(uid: &str) -> bool {
    PERSONAS.iter().any(|persona| {
        persona.username().is_some()
            && person_of(persona.token)
                .is_some_and(|(known, app_id)| known == uid && app_id == APP_ID)
    })
}
