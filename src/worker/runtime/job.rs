//! Runs futures without a promise for every wait. A job runs until it needs something from
//! JavaScript; `entry.mjs` awaits that, then polls the job again with the result. A job waits for
//! one thing at a time.
//!
//! The buffers are shared with `entry.mjs`: it writes to the address that [`room`] returns, and
//! reads the output that `put` left.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use wasm_bindgen::prelude::wasm_bindgen;

use super::wire;
use crate::{
    service::{self, Spent},
    time::UnixTime,
};

/// How a call into JavaScript went wrong.
pub(in crate::worker) enum Failure {
    /// It took longer than its deadline in `host.mjs`.
    Deadline,
    /// JavaScript threw an error with this message.
    Thrown(String),
}

/// The result of a call into JavaScript.
pub(in crate::worker) type Answer = Result<Vec<u8>, Failure>;

/// A future that leaves its output with [`put`].
pub(in crate::worker) type Job = Pin<Box<dyn Future<Output = ()>>>;

/// A job that waits.
struct Waiting {
    account: Account,
    job: Job,
}

/// What a job waits for, as far as the account tells.
#[derive(Clone, Copy)]
pub(super) enum Waits {
    D1,
    /// Pi, whose calls are noted with their status; a body, a signature or a limiter.
    Other,
}

/// The times of a job, in milliseconds since 1970, and what it has spent.
#[derive(Clone, Copy)]
struct Account {
    began: i64,
    polled: i64,
    waits: Waits,
    /// The length of the last wait in milliseconds.
    waited: u32,
    spent: Spent,
}

/// The states of a job, as `entry.mjs` knows them.
const WAITS: u8 = 0;
const DONE: u8 = 1;
/// There is no such job, or its input could not be read.
const GONE: u8 = 2;

/// If the runtime abandons the promise of a job, it does not tell, and the job would stay in
/// memory. A scheduled run waits for Pi three minutes at most, and a route one minute for its body,
/// its database and Pi. Milliseconds.
const MAX_AGE: i64 = 300_000;

thread_local! {
    static JOBS: RefCell<BTreeMap<u32, Waiting>> = const { RefCell::new(BTreeMap::new()) };
    /// Milliseconds since 1970.
    static NOW: Cell<i64> = const { Cell::new(i64::MAX) };
    /// The account of the job that is being polled.
    static ACCOUNT: Cell<Option<Account>> = const { Cell::new(None) };
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The runtime's clock. It does not advance while a job computes, so one reading for each poll is
/// enough.
pub(in crate::worker) struct Clock;

impl service::Clock for Clock {
    fn now(&self) -> UnixTime {
        // If the clock is out of range, use the latest possible time, so that every token counts as
        // expired.
        UnixTime::from_seconds(NOW.get() / 1000).unwrap_or(UnixTime::MAX)
    }

    fn spent(&self) -> Spent {
        ACCOUNT.get().map_or_else(Spent::default, |Account { began, spent, .. }| Spent {
            total_ms: since(began),
            ..spent
        })
    }
}

/// Milliseconds from `earlier` until now; none if the clock was set back.
fn since(earlier: i64) -> u32 {
    u32::try_from(NOW.get().saturating_sub(earlier)).unwrap_or(0)
}

/// Sets the time of this poll, from JavaScript's milliseconds since 1970.
fn set_time(milliseconds: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN becomes 0")]
    NOW.set(milliseconds as i64);
}

impl Account {
    fn new() -> Self {
        let now = NOW.get();
        Self { began: now, polled: now, waits: Waits::Other, waited: 0, spent: Spent::default() }
    }

    /// Adds the wait that is over now.
    fn add_wait(&mut self) {
        let Self { polled, waits, waited, spent, .. } = self;
        *waited = since(*polled);
        *polled = NOW.get();
        if let Waits::D1 = waits {
            spent.d1_ms = spent.d1_ms.saturating_add(*waited);
        }
    }

    /// Adds a call that begins.
    fn add_call(&mut self, waits: Waits) {
        let Self { waits: last, spent, .. } = self;
        *last = waits;
        if let Waits::D1 = waits {
            spent.d1_calls = spent.d1_calls.saturating_add(1);
        }
    }
}

/// Changes the account of the job that is being polled.
fn account(change: impl FnOnce(&mut Account)) {
    ACCOUNT.with(|current| {
        current.set(current.get().map(|mut account| {
            change(&mut account);
            account
        }))
    });
}

/// Notes a request to Pi, whose wait was the last one, with the status of the answer if there was
/// one.
pub(in crate::worker) fn note_pi(status: Option<u16>) {
    account(|Account { spent, waited, .. }| {
        spent.pi.add(status, *waited);
        spent.pi_status = status.or(spent.pi_status);
    });
}

/// Notes the rows that D1 read and wrote.
pub(in crate::worker) fn note_rows(read: u32, written: u32) {
    account(|Account { spent, .. }| {
        spent.rows_read = spent.rows_read.saturating_add(read);
        spent.rows_written = spent.rows_written.saturating_add(written);
    });
}

/// A larger buffer is given away after its use, so that one large body does not keep memory forever
/// or take it twice.
const KEPT_BYTES: usize = 256 * 1024;

/// A call into JavaScript and its answer. The first poll begins the call and stops the job; the
/// job's next poll, which `entry.mjs` does with the answer, returns it.
pub(super) struct Call<B>(Waits, Option<B>);

impl<B: FnOnce() + Unpin> Call<B> {
    /// A call that `begin` begins.
    pub(super) const fn new(waits: Waits, begin: B) -> Self {
        Self(waits, Some(begin))
    }
}

impl<B: FnOnce() + Unpin> Future for Call<B> {
    type Output = Answer;
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        if let Some(begin) = self.1.take() {
            account(|account| account.add_call(self.0));
            begin();
            return Poll::Pending;
        }
        ANSWER.take().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Begins a job, and returns its state.
pub(in crate::worker) fn begin(id: u32, milliseconds: f64, job: Option<Job>) -> u8 {
    set_time(milliseconds);
    JOBS.with_borrow_mut(|jobs| {
        while let Some(oldest) = jobs.first_entry()
            && oldest.get().account.began.saturating_add(MAX_AGE) < NOW.get()
        {
            oldest.remove();
        }
    });
    job.map_or(GONE, |job| poll(id, Waiting { account: Account::new(), job }))
}

fn poll(id: u32, mut waiting: Waiting) -> u8 {
    ACCOUNT.set(Some(waiting.account));
    let is_done = waiting.job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    // An answer that this job did not take must not reach another job.
    ANSWER.set(None);
    let account = ACCOUNT.take();
    if is_done {
        return DONE;
    }
    waiting.account = account.unwrap_or(waiting.account);
    JOBS.with_borrow_mut(|jobs| jobs.insert(id, waiting));
    WAITS
}

/// Polls a job again, and returns its state. The first `length` bytes of the input are the answer
/// to its call, or the message of the error that JavaScript threw.
#[wasm_bindgen]
pub fn resume(id: u32, length: usize, is_good: bool, milliseconds: f64) -> u8 {
    set_time(milliseconds);
    let bytes = take(length);
    let Some(mut waiting) = JOBS.with_borrow_mut(|jobs| jobs.remove(&id)) else { return GONE };
    waiting.account.add_wait();
    let answer = match bytes.as_slice() {
        _ if is_good => Ok(bytes),
        wire::DEADLINE => Err(Failure::Deadline),
        message => Err(Failure::Thrown(String::from_utf8_lossy(message).into_owned())),
    };
    ANSWER.set(Some(answer));
    poll(id, waiting)
}

/// Takes the first bytes of the input.
pub(in crate::worker) fn take(length: usize) -> Vec<u8> {
    INPUT.with_borrow_mut(|input| {
        if input.len() > KEPT_BYTES {
            let mut bytes = mem::take(input);
            bytes.truncate(length);
            return bytes;
        }
        input.get(..length).unwrap_or_default().to_vec()
    })
}

/// Makes room for an input of so many bytes, and returns its address, which is valid until the next
/// call into this module.
#[wasm_bindgen]
pub fn room(length: usize) -> usize {
    INPUT.with_borrow_mut(|input| {
        if input.len() < length {
            input.resize(length, 0);
        }
        input.as_ptr().addr()
    })
}

/// Leaves an output for `entry.mjs`, which reads it before the next job puts its own.
pub(in crate::worker) fn put(bytes: Vec<u8>) {
    OUTPUT.set(bytes);
}

/// The address of the output.
#[wasm_bindgen]
#[must_use]
pub fn output() -> usize {
    OUTPUT.with_borrow(|output| output.as_ptr().addr())
}

/// The length of the output in bytes.
#[wasm_bindgen(js_name = outputLength)]
#[must_use]
pub fn output_length() -> usize {
    OUTPUT.with_borrow(Vec::len)
}
