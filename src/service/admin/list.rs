//! The pages of lists: the query members that every list reads, and cursors. A page continues after
//! the last row of the one before by that row's own values, so a deep page reads no more rows than
//! the first one.

use http::{Response, Uri};

use super::object::{Array, Object};
use crate::service::{
    admin::records::{Page, Position},
    answer,
    error::Error,
    settings::Settings,
};

const DEFAULT_LIMIT: u32 = 25;
/// A page reads up to four rows of the database for each of its own.
const MAX_LIMIT: u32 = 100;

/// The longest text to search for, in characters: as long as the longest id.
const MAX_TEXT: usize = 128;

/// The query of a request.
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// The value of a member, if there is one: 400 for two of them.
    #[inline(never)]
    pub(super) fn one(&self, member: &str) -> Result<Option<String>, Error> {
        let pairs = form_urlencoded::parse(self.0.as_bytes());
        let mut values = pairs.filter(|(name, _)| name == member).map(|(_, value)| value);
        let value = values.next().map(Into::into);
        if values.next().is_some() {
            return Err(Error::InvalidRequest(
                "A member of the query is given twice. Send each one once.",
            ));
        }
        Ok(value)
    }
}

/// Whether anything can have this text: one that is too long or has control characters is no name
/// and no id.
pub(super) fn is_searchable(text: &str) -> bool {
    text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control)
}

/// A request for a page of a list.
pub(super) struct List<'a> {
    settings: &'a Settings,
    /// The list and its filters. A cursor is only valid for the same.
    scope: String,
    pub(super) limit: u32,
    after: Option<Position>,
}

impl<'a> List<'a> {
    /// Reads `limit` and `after`: 400. `scope` names the list and its filters.
    #[inline(never)]
    pub(super) fn read(
        settings: &'a Settings,
        query: &Query<'_>,
        scope: &[&str],
    ) -> Result<Self, Error> {
        let limit = match query.one("limit")?.as_deref() {
            None => Some(DEFAULT_LIMIT),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
            }
            Some(_) => None,
        };
        let limit = limit.ok_or(Error::InvalidRequest(
            "limit is not valid. Send a whole number from 1 to 100, or leave it out.",
        ))?;
        // With lengths, so that no two scopes have the same text.
        let mut named = String::new();
        for part in scope {
            named.push_str(&format!("{}:{part}", part.len()));
        }
        let mut list = Self { settings, scope: named, limit, after: None };
        if let Some(cursor) = query.one("after")? {
            let position = list.position(&cursor);
            list.after = Some(position.ok_or(Error::InvalidRequest(
                "after is not a cursor of this list. Send next of the previous page with the same filters, or leave it out.",
            ))?);
        }
        Ok(list)
    }

    /// The position after which the page begins, and its length with the row that says whether
    /// there are more.
    pub(super) fn page(&self) -> Page<'_> {
        Page { after: self.after.as_ref(), rows: self.limit.saturating_add(1) }
    }

    /// Whether it is the first page.
    pub(super) const fn is_first(&self) -> bool {
        self.after.is_none()
    }

    /// 200 with a page of these rows.
    pub(super) fn answer<T>(
        &self,
        name: &str,
        rows: &[T],
        json: impl Fn(&T) -> String,
        position: impl Fn(&T) -> Position,
    ) -> Response<Vec<u8>> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        // The page is full, and there are more rows.
        let next = match rows.get(..limit) {
            Some([.., last]) if rows.len() > limit => Some(position(last)),
            _ => None,
        };
        let shown = rows.get(..limit).unwrap_or(rows);
        self.finish(name, &Array::of(shown, json), next)
    }

    #[inline(never)]
    fn finish(&self, name: &str, rows: &str, next: Option<Position>) -> Response<Vec<u8>> {
        let mut object = Object::new();
        object.raw(name, rows);
        object.maybe("next", next.map(|position| self.cursor(&position)).as_deref());
        answer::json_text(object.end().into_bytes())
    }

    fn cursor(&self, Position { number, id, name }: &Position) -> String {
        // The name comes last: only it can have a line feed.
        let text = format!("{number}\n{id}\n{name}");
        self.settings.cursor_key.sign(&self.whole_scope(), &text)
    }

    /// The position of a cursor that this deployment made for this list with these filters.
    fn position(&self, cursor: &str) -> Option<Position> {
        let text = self.settings.cursor_key.open(&self.whole_scope(), cursor)?;
        let mut parts = text.splitn(3, '\n');
        let (number, id, name) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        Some(Position { number, id: id.to_owned(), name: name.to_owned() })
    }

    fn whole_scope(&self) -> String {
        let issuer = &self.settings.policy.issuer;
        format!("{}:{issuer}{}:{}", issuer.len(), self.scope.len(), self.scope)
    }
}
