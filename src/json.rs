//! Strict JSON (RFC 8259): one value, and no duplicate member names in one object at any depth.
//! Parsers disagree about which of two duplicates counts, and attackers use that.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeOwned, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::value::RawValue;

/// Why a text was rejected. It contains no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON: bad syntax, invalid UTF-8, a lone surrogate, a number beyond a double, or nesting
    /// past 128.
    #[error("not well-formed JSON")]
    Malformed,
    /// An object has two members with the same name, perhaps in two spellings.
    #[error("a member name occurs twice")]
    Duplicate,
    /// Well-formed, but without the members or types that the caller expects.
    #[error("a member is missing or has a wrong type")]
    Shape,
}

/// Reads a `T` from a JSON object, and rejects everything that [`parse`] rejects.
///
/// # Errors
/// Any of [`Error`].
pub fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    match parse(text)? {
        object @ Value::Object(_) => object.read(),
        _ => Err(Error::Shape),
    }
}

/// The text of a JSON object without the spaces around it. Rejects everything that [`parse`]
/// rejects.
///
/// # Errors
/// Any of [`Error`].
pub fn object_text(text: &[u8]) -> Result<&str, Error> {
    let Value::Object(_) = parse(text)? else { return Err(Error::Shape) };
    core::str::from_utf8(text.trim_ascii()).map_err(|_| Error::Malformed)
}

/// The text of a member as the object contains it, for a number that must be exact, which a double
/// is not. The object must be one that [`object`] has read.
#[must_use]
pub fn text_of<'a>(object: &'a [u8], member: &str) -> Option<&'a str> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(object).ok()?;
    members.remove(member).map(RawValue::get)
}

/// Parses the whole text as one JSON value without duplicate member names.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Duplicate`].
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value =
        Value::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    // Only `Duplicate` below makes a data error here. Every other error is bad syntax.
    value.map_err(|error| if error.is_data() { Error::Duplicate } else { Error::Malformed })
}

/// A string, a number, a boolean or `null` that must be present and have the expected type. Unlike
/// a plain `Option`, it does not accept `null` for an absent member. For
/// `#[serde(deserialize_with)]`.
///
/// # Errors
/// If the value has another type.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A value, with its strings unescaped. Every `T` is read from it, so one parser decides the
/// meaning of a text.
#[derive(Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer from 0.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Object),
}

/// The members of an object, in a list. A tree would take ten times as much memory.
#[derive(Debug, PartialEq)]
pub struct Object(Vec<(String, Value)>);

impl Value {
    /// Reads a `T` from it.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        T::deserialize(self).map_err(|Mismatch| Error::Shape)
    }
}

impl Object {
    /// Removes and returns a member.
    pub fn take(&mut self, member: &str) -> Option<Value> {
        let at = self.0.iter().position(|(name, _)| name == member)?;
        Some(self.0.swap_remove(at).1)
    }

    /// All members.
    #[must_use]
    pub fn into_members(self) -> Vec<(String, Value)> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Signed(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Unsigned(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::String(text.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry::<String, Value>()? {
            object.push(member);
        }
        // No input can make sorting slow, as it could a hash table.
        object.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if object.array_windows().any(|[(one, _), (other, _)]| one == other) {
            return Err(A::Error::custom("duplicate"));
        }
        object.shrink_to_fit();
        Ok(Value::Object(Object(object)))
    }
}

/// A value has another type than expected. serde would name it in a text that nobody reads.
#[derive(Debug)]
pub struct Mismatch;

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("another type")
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl IntoDeserializer<'_, Mismatch> for Value {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::String(text) => visitor.visit_string(text),
            Self::Array(elements) => {
                let mut elements = SeqDeserializer::new(elements.into_iter());
                let value = visitor.visit_seq(&mut elements)?;
                elements.end().map(|()| value)
            }
            Self::Object(Object(members)) => {
                let mut members = MapDeserializer::new(members.into_iter());
                let value = visitor.visit_map(&mut members)?;
                members.end().map(|()| value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    /// For variants without content, by their names.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self {
            Self::String(name) => visitor.visit_enum(StringDeserializer::new(name)),
            _ => Err(Mismatch),
        }
    }

    /// serde would also accept an array for a struct, in the order of its fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self {
            Self::Object(_) => self.deserialize_any(visitor),
            _ => Err(Mismatch),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Value, parse};

    fn check(text: &[u8]) -> Result<(), Error> {
        parse(text).map(drop)
    }

    #[test]
    fn t8_no_name_has_a_meaning_of_its_own() {
        // serde_json's own marker of a text that it parses later, without a check for duplicates.
        let text = br#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#;
        let value = parse(text).unwrap();
        assert!(matches!(&value, Value::Object(_)));
        assert_eq!(value.read::<Value>(), parse(text));
    }

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
