//! Canonical JSON (RFC 8785), restricted to what survives it unchanged: no floats, no integers beyond 2^53 - 1.

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

/// The greatest integer that canonical JSON keeps exactly: its numbers are IEEE 754 doubles.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a value has no canonical form.
#[derive(Debug, Error)]
pub enum CanonicalError {
    #[error("evidence holds integers of at most 2^53 - 1 and strings, but `{path}` is {number}; write it as a string")]
    Number { path: String, number: String },
    #[error("cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The canonical bytes of a value.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value)?;
    check_numbers(&value, &mut String::new())?;
    Ok(serde_json_canonicalizer::to_vec(&value)?)
}

fn check_numbers(value: &Value, path: &mut String) -> Result<(), CanonicalError> {
    let length = path.len();
    match value {
        Value::Number(number) if !is_exact(number) => {
            return Err(CanonicalError::Number { path: std::mem::take(path), number: number.to_string() });
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("/{index}"));
                check_numbers(item, path)?;
                path.truncate(length);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                path.push('/');
                path.push_str(key);
                check_numbers(member, path)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_exact(number: &serde_json::Number) -> bool {
    match (number.as_u64(), number.as_i64()) {
        (Some(n), _) => n <= MAX_INTEGER,
        (None, Some(n)) => n.unsigned_abs() <= MAX_INTEGER,
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorts_keys_and_escapes_as_rfc_8785_says() {
        // The sorting example of RFC 8785, section 3.2.3.
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\
                        \"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(String::from_utf8(to_vec(&value).unwrap()).unwrap(), expected);
    }

    #[test]
    fn refuses_numbers_that_would_not_survive() {
        for number in [json!(0.5), json!(1u64 << 53), json!(u64::MAX), json!(i64::MIN)] {
            let error = to_vec(&json!({"a": [1, {"b": number}]})).unwrap_err();
            assert!(error.to_string().contains("`/a/1/b`"), "{error}");
        }
        let kept = json!([MAX_INTEGER, -(MAX_INTEGER as i64), 0]);
        assert_eq!(to_vec(&kept).unwrap(), b"[9007199254740991,-9007199254740991,0]");
    }
}
