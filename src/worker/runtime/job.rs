//! Running futures without promises: a job is polled, JavaScript awaits what it waits for, and polls it again with what
//! that gave. A job waits for one thing at a time.
//!
//! The buffers are the other half of `entry.mjs`: it writes to where [`room`] says, and reads what [`put`] left.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use wasm_bindgen::prelude::wasm_bindgen;

use crate::{service, time::UnixTime};

/// What a wait ended with: what JavaScript got, or what it says went wrong.
pub(super) type Settled = Result<Vec<u8>, String>;

/// What runs until it has put its output.
pub(super) type Job = Pin<Box<dyn Future<Output = ()>>>;

/// A job that waits, and when it began.
struct Waiting {
    since: UnixTime,
    job: Job,
}

/// How a job stands, for `entry.mjs`.
const WAITS: u8 = 0;
const DONE: u8 = 1;
/// It is not there, or was not there.
const GONE: u8 = 2;

/// When the runtime gives up what a job waits for, nothing says so, and the job would stay. All that a scheduled run asks
/// of Pi takes three minutes at most, and a route a minute with its body, its database and Pi. Seconds.
const MAX_AGE: u32 = 300;

thread_local! {
    static JOBS: RefCell<BTreeMap<u32, Waiting>> = const { RefCell::new(BTreeMap::new()) };
    static NOW: Cell<UnixTime> = const { Cell::new(UnixTime::MAX) };
    static SETTLED: RefCell<Option<Settled>> = const { RefCell::new(None) };
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The runtime's clock. It stands still while a job computes, so that one reading for each poll is as good as any.
pub(super) struct Clock;

impl service::Clock for Clock {
    fn now(&self) -> UnixTime {
        NOW.get()
    }
}

/// Takes the time of this poll, in JavaScript's milliseconds since 1970.
fn tell(milliseconds: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN gives 0")]
    let seconds = (milliseconds / 1000.0) as i64;
    // If the clock is out of range, use the latest possible time, so that every token counts as expired.
    NOW.set(UnixTime::from_seconds(seconds).unwrap_or(UnixTime::MAX));
}

/// A buffer that has become larger is given away: one large body must not take memory for good, or twice.
const KEPT_BYTES: usize = 256 * 1024;

/// Waits for what a call of `bridge` has just begun.
pub(super) struct Wait;

impl Future for Wait {
    type Output = Settled;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Settled> {
        SETTLED.take().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Begins a job; gives how it stands.
pub(super) fn begin(id: u32, milliseconds: f64, job: Option<Job>) -> u8 {
    tell(milliseconds);
    let now = NOW.get();
    JOBS.with_borrow_mut(|jobs| {
        while let Some(oldest) = jobs.first_entry()
            && oldest.get().since.plus(MAX_AGE) < now
        {
            oldest.remove();
        }
    });
    job.map_or(GONE, |job| poll(id, Waiting { since: now, job }))
}

fn poll(id: u32, mut waiting: Waiting) -> u8 {
    let is_done = waiting.job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    // Whatever a job leaves must not become another's.
    SETTLED.set(None);
    if is_done {
        return DONE;
    }
    JOBS.with_borrow_mut(|jobs| jobs.insert(id, waiting));
    WAITS
}

/// Goes on with a job, for which the first bytes of the input are what it waited for. Gives how it stands.
#[wasm_bindgen]
pub fn resume(id: u32, length: usize, is_good: bool, milliseconds: f64) -> u8 {
    tell(milliseconds);
    let bytes = take(length);
    let Some(waiting) = JOBS.with_borrow_mut(|jobs| jobs.remove(&id)) else { return GONE };
    let settled =
        if is_good { Ok(bytes) } else { Err(String::from_utf8_lossy(&bytes).into_owned()) };
    SETTLED.set(Some(settled));
    poll(id, waiting)
}

/// The first bytes of the input.
pub(super) fn take(length: usize) -> Vec<u8> {
    INPUT.with_borrow_mut(|input| {
        if input.len() > KEPT_BYTES {
            let mut bytes = mem::take(input);
            bytes.truncate(length);
            return bytes;
        }
        input.get(..length).unwrap_or_default().to_vec()
    })
}

/// The address of an input of so many bytes, until the next call into this module.
#[wasm_bindgen]
pub fn room(length: usize) -> usize {
    INPUT.with_borrow_mut(|input| {
        if input.len() < length {
            input.resize(length, 0);
        }
        input.as_ptr().addr()
    })
}

/// Leaves an output, until the next one.
pub(super) fn put(bytes: Vec<u8>) {
    OUTPUT.set(bytes);
}

/// The address of the output.
#[wasm_bindgen]
#[must_use]
pub fn output() -> usize {
    OUTPUT.with_borrow(|output| output.as_ptr().addr())
}

/// How many bytes the output has.
#[wasm_bindgen(js_name = outputLength)]
#[must_use]
pub fn output_length() -> usize {
    OUTPUT.with_borrow(Vec::len)
}
