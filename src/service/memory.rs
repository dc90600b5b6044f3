//! What a process remembers between requests. It belongs to one set of settings and bindings, and
//! is dropped with them: nothing in it can be another deployment's.

use std::{cell::RefCell, collections::BTreeMap, mem, rc::Rc};

use super::{feed::Feed, fresh, tally::Tally};
use crate::{identifier::Identifier, time::UnixTime};

/// Half of the sessions that are remembered. A thief's requests with the token of a revoked session
/// come within the ten minutes of the token. 1,024 sessions take 100 KB, and more than so many
/// stolen tokens at one process are a flood that the limits are not meant for.
const MAX_ENDED: usize = 512;

/// The memory of one deployment in one process.
#[derive(Debug, Default)]
pub struct Memory {
    /// The revocations.
    pub(super) feed: RefCell<Feed>,
    /// The numbers for the operator.
    pub(super) tally: RefCell<Tally>,
    ended: RefCell<EndedSessions>,
    products: RefCell<Option<(Rc<ProductList>, UnixTime)>>,
}

/// Sessions by their id, each with the time at which it began. The newer ones become the older ones
/// when there are so many, and the older ones are forgotten.
#[derive(Debug, Default)]
struct EndedSessions {
    newer: BTreeMap<Identifier, UnixTime>,
    older: BTreeMap<Identifier, UnixTime>,
}

/// The products for sale, as they are sent.
#[derive(Debug)]
pub(super) struct ProductList {
    pub(super) text: String,
    pub(super) etag: String,
}

impl Memory {
    /// Remembers a session of which the store said that it is not live. No session comes back.
    pub(super) fn end(&self, sid: &Identifier, began_at: UnixTime) {
        let EndedSessions { newer, older } = &mut *self.ended.borrow_mut();
        if newer.len() >= MAX_ENDED {
            *older = mem::take(newer);
        }
        newer.insert(sid.clone(), began_at);
    }

    /// Whether the store said that this session is not live. Another session may begin with the
    /// same id, at another time.
    pub(super) fn has_ended(&self, sid: &Identifier, began_at: UnixTime) -> bool {
        let EndedSessions { newer, older } = &*self.ended.borrow();
        [newer, older].iter().any(|ended| ended.get(sid) == Some(&began_at))
    }

    /// The products, and for how many seconds they hold. None, if that time is over.
    pub(super) fn products(&self, now: UnixTime) -> Option<(Rc<ProductList>, u32)> {
        let products = self.products.borrow();
        let (list, read_at) = products.as_ref()?;
        let left = fresh::seconds_left(*read_at, now);
        (left > 0).then(|| (Rc::clone(list), left))
    }

    /// Remembers the products that were read at this time.
    pub(super) fn keep_products(&self, list: &Rc<ProductList>, read_at: UnixTime) {
        self.products.replace(Some((Rc::clone(list), read_at)));
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENDED, Memory, ProductList};
    use crate::{identifier::Identifier, time::UnixTime};

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds).unwrap()
    }

    #[test]
    fn an_ended_session_is_remembered_with_its_beginning_and_the_oldest_is_forgotten() {
        let memory = Memory::default();
        let sid = |number: usize| Identifier::parse(format!("s-{number}")).unwrap();
        memory.end(&sid(0), at(1));
        assert!(memory.has_ended(&sid(0), at(1)));
        assert!(!memory.has_ended(&sid(0), at(2)), "another session with the same id");
        assert!(!memory.has_ended(&sid(1), at(1)));
        for number in 1..2 * MAX_ENDED {
            memory.end(&sid(number), at(1));
        }
        assert!((0..2 * MAX_ENDED).all(|number| memory.has_ended(&sid(number), at(1))));
        memory.end(&sid(2 * MAX_ENDED), at(1));
        assert!(!memory.has_ended(&sid(0), at(1)));
        assert!((MAX_ENDED..=2 * MAX_ENDED).all(|number| memory.has_ended(&sid(number), at(1))));
    }

    #[test]
    fn products_are_remembered_for_five_seconds() {
        let memory = Memory::default();
        let list = ProductList { text: "{}".into(), etag: "\"a\"".into() };
        memory.keep_products(&list.into(), at(100));
        for (now, is_known) in [(100, true), (104, true), (105, false)] {
            assert_eq!(memory.products(at(now)).is_some(), is_known, "{now}");
        }
    }
}
