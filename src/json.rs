//! Strict JSON (RFC 8259): one value, no member name twice in one object at any depth, whatever
//! reads it next. Parsers differ on which of two twins wins, and attacks live in that difference.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};

/// Why a text was refused. It carries no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON: syntax, invalid UTF-8, a lone surrogate, a number beyond a double, nesting past 128.
    #[error("not well-formed JSON")]
    Malformed,
    /// An object names a member twice, or spells one name in two ways.
    #[error("a member name occurs twice")]
    Duplicate,
    /// Well-formed, but not the members or types that were asked for.
    #[error("a member is missing or has a wrong type")]
    Shape,
}

/// Reads a `T` from a JSON object, and refuses what [`check`] refuses.
///
/// # Errors
/// Any of [`Error`].
pub fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Error> {
    check(text)?;
    // serde would also take an array for a struct, in the order of its fields.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::Shape);
    }
    serde_json::from_slice(text).map_err(|_| Error::Shape)
}

/// Checks that the whole text is one JSON value without duplicate member names.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Duplicate`].
pub fn check(text: &[u8]) -> Result<(), Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let found = AnyValue::deserialize(&mut deserializer).and_then(|_| deserializer.end());
    // Only `Duplicate` below makes a data error here; all else is syntax.
    found.map_err(|error| if error.is_data() { Error::Duplicate } else { Error::Malformed })
}

/// A string, a number, a boolean or `null`: present, and of the type that was asked for. Unlike an
/// `Option` alone, it does not take `null` for absence. For `#[serde(deserialize_with)]`.
///
/// # Errors
/// When the value has another type.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Visits a whole value, strings unescaped, and keeps nothing but the names of open objects.
struct AnyValue;

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<AnyValue>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        // A tree rather than a hash table: no input can make it slow.
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key_seed(Name)? {
            if !names.insert(name) {
                return Err(A::Error::custom("duplicate"));
            }
            members.next_value::<AnyValue>()?;
        }
        Ok(self)
    }
}

/// A member name with its escapes resolved, borrowed where there were none.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, check};

    #[test]
    fn t8_twins_are_found_at_any_depth_and_in_any_spelling() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"sub":1,"su\u0062":2}"#, r#"[{"a":{"b":1,"b":2}}]"#] {
            assert_eq!(check(text.as_bytes()), Err(Error::Duplicate), "{text}");
        }
        assert_eq!(check(br#"{"a":{"a":1},"b":[{"a":1},{"a":1}],"A":1}"#), Ok(()));
    }

    #[test]
    fn t12_t13_t14_what_is_not_json_is_refused() {
        let deep = "[".repeat(1_000_000);
        for text in [
            "",
            " ",
            "{",
            "{}x",
            "{} {}",
            "\u{feff}{}",
            "NaN",
            "{\"a\":01}",
            "{\"a\":1e400}",
            "{'a':1}",
            "{\"a\":1,}",
            "// x\n{}",
            "\"\u{0}\"",
            r#""\ud800""#,
            r#"{"\udfff":1}"#,
            &deep,
        ] {
            assert_eq!(check(text.as_bytes()), Err(Error::Malformed), "{:.20}", text);
        }
        for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"{\"\xff\":1}"] {
            assert_eq!(check(bytes), Err(Error::Malformed));
        }
    }
}
