//! The strict JSON parser.

use super::*;

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn t8_json_is_read_as_serde_json_reads_it_unless_a_name_occurs_twice(tree in jsons(), choice: u64) {
        let text = tree.to_text(choice);
        let expected = oracle(text.as_bytes());
        match json::parse(text.as_bytes()) {
            Ok(value) => {
                prop_assert!(!tree.has_duplicates(), "{}", text);
                prop_assert_eq!(value.read::<Value>().ok(), expected);
            }
            Err(Error::Duplicate) => prop_assert!(tree.has_duplicates(), "{}", text),
            // A number beyond a double.
            Err(_) => prop_assert_eq!(expected, None),
        }
    }

    #[test]
    fn t12_a_damaged_json_text_is_accepted_only_where_serde_json_accepts_it(
        tree in jsons(), choice: u64, at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = tree.to_text(choice).into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        for text in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let (ours, theirs) = (json::parse(text), oracle(text));
            match ours {
                Ok(value) => prop_assert_eq!(value.read::<Value>().ok(), theirs),
                Err(Error::Malformed) => prop_assert_eq!(theirs, None),
                Err(_) => {}
            }
            let is_object = json::parse(text).is_ok() && theirs_is_object(text);
            prop_assert_eq!(json::object_text(text).is_ok(), is_object);
            prop_assert_eq!(json::object::<BTreeMap<String, Value>>(text).is_ok(), is_object);
        }
    }

    #[test]
    fn json_of_any_depth_is_read_or_refused_as_by_serde_json(depth in 0_usize..400, kind in 0..3) {
        let (open, close) = [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")][usize::try_from(kind).unwrap()];
        let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        prop_assert_eq!(json::parse(text.as_bytes()).is_ok(), oracle(text.as_bytes()).is_some());
    }

    #[test]
    fn the_text_of_a_member_is_the_text_that_was_written(
        before in vec(("[a-z]{1,3}", numbers()), 0..4), number in numbers(), escaped: bool,
    ) {
        let name = if escaped { "\\u0061mount" } else { "amount" };
        let mut members: Vec<String> =
            before.iter().enumerate().map(|(i, (name, value))| format!("\"{name}{i}\":{value}")).collect();
        members.push(format!("\"{name}\" : {number} "));
        members.rotate_right(before.len() / 2);
        let text = format!("{{{}}}", members.join(","));
        prop_assert_eq!(json::text_of(text.as_bytes(), "amount"), Some(number.as_str()));
        prop_assert_eq!(json::text_of(text.as_bytes(), "other"), None);
    }

    #[test]
    fn the_text_of_an_object_excludes_the_spaces_around_it(tree in jsons(), choice: u64) {
        let text = tree.to_text(choice);
        if let Ok(object) = json::object_text(text.as_bytes()) {
            prop_assert_eq!(object, text.trim());
            prop_assert_eq!(json::parse(object.as_bytes()), json::parse(text.as_bytes()));
        }
    }
}
