//! Writes JSON member by member. The answers to operators have very many members, and a derived
//! serializer for each of their forms would take several times as much wasm.

use std::mem;

use crate::{pi::Amount, time::UnixTime};

/// A JSON object that is being written.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// A member whose value is JSON already.
    #[inline(never)]
    pub(super) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        quote(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    #[inline(never)]
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.raw(name, &quoted(value))
    }

    /// A text, or no member.
    #[inline(never)]
    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    #[inline(never)]
    pub(super) fn time(&mut self, name: &str, value: impl Into<Option<UnixTime>>) -> &mut Self {
        self.maybe(name, value.into().map(UnixTime::to_rfc3339).as_deref())
    }

    pub(super) fn amount(&mut self, name: &str, value: Amount) -> &mut Self {
        self.text(name, &value.to_string())
    }

    #[inline(never)]
    pub(super) fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.raw(name, &value.to_string())
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.raw(name, if value { "true" } else { "false" })
    }

    /// The whole object.
    #[inline(never)]
    pub(super) fn end(&mut self) -> String {
        let mut text = mem::take(&mut self.0);
        text.push('}');
        text
    }
}

/// A JSON array that is being written.
pub(super) struct Array(String);

impl Array {
    pub(super) fn new() -> Self {
        Self("[".to_owned())
    }

    /// The array of these values, each written by `json`.
    pub(super) fn of<T>(values: &[T], json: impl Fn(&T) -> String) -> String {
        let mut array = Self::new();
        for value in values {
            array.push(&json(value));
        }
        array.end()
    }

    /// Adds a value that is JSON already.
    #[inline(never)]
    pub(super) fn push(&mut self, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(json);
    }

    /// The whole array.
    #[inline(never)]
    pub(super) fn end(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

/// A text in JSON.
#[inline(never)]
pub(super) fn quoted(value: &str) -> String {
    let mut text = String::new();
    quote(&mut text, value);
    text
}

/// Adds a JSON string.
fn quote(text: &mut String, value: &str) {
    // A string can always be written.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::{Array, Object, quoted};
    use crate::time::UnixTime;

    #[test]
    fn writes_the_json_that_a_parser_reads_back() {
        let hostile = "</script>\u{202e}\"\\\u{0}\n";
        let mut inner = Object::new();
        let inner = inner.number("n", u64::MAX).flag("is", true).flag("not", false).end();
        let mut object = Object::new();
        object
            .text(hostile, hostile)
            .maybe("absent", None)
            .time("no", None)
            .time("at", UnixTime::MIN);
        let text = object.raw("list", &Array::of(&[0, 1], |_| inner.clone())).end();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read[hostile], hostile);
        assert_eq!(read["at"], "1970-01-01T00:00:00Z");
        assert_eq!(read["list"][1]["n"], u64::MAX);
        assert_eq!(read.as_object().unwrap().len(), 3);
        assert_eq!(Object::new().end(), "{}");
        assert_eq!(Array::new().end(), "[]");
        assert_eq!(Array::of(&["a", "\""], |text| quoted(text)), r#"["a","\""]"#);
    }
}
