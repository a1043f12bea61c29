//! Plain scalars by the YAML 1.2 core schema (chapter 10.3): `no` is a text, `0x1F` a number, `2026-01-31` a text.

use super::node::Value;

/// What a plain (unquoted) scalar means.
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    if let Some(value) = radix(text) {
        return value;
    }
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Value::Float(sign * f64::INFINITY);
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // A number with more digits than 128 bits hold is a number all the same; the grammar's ranges refuse it.
        return match text.trim_start_matches('+').parse::<i128>() {
            Ok(value) => Value::Int(value),
            Err(_) => Value::Float(text.parse().unwrap_or(f64::INFINITY)),
        };
    }
    if is_float(digits)
        && let Ok(value) = text.parse::<f64>()
    {
        return Value::Float(value);
    }
    Value::String(text.to_owned())
}

fn radix(text: &str) -> Option<Value> {
    let (digits, base) = match text.get(..2)? {
        "0x" => (&text[2..], 16),
        "0o" => (&text[2..], 8),
        _ => return None,
    };
    if !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    i128::from_str_radix(digits, base).ok().map(Value::Int)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|e| {
        let digits = e.strip_prefix(['-', '+']).unwrap_or(e);
        !digits.is_empty() && all_digits(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_fits && all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        let text = |t: &str| Value::String(t.to_owned());
        let cases = [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("nUll", text("nUll")),
            ("true", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("yes", text("yes")),
            ("no", text("no")),
            ("on", text("on")),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("+7", Value::Int(7)),
            ("007", Value::Int(7)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("0x", text("0x")),
            ("18446744073709551615", Value::Int(18_446_744_073_709_551_615)),
            ("1.5", Value::Float(1.5)),
            ("1.", Value::Float(1.0)),
            (".5", Value::Float(0.5)),
            ("-1e3", Value::Float(-1000.0)),
            ("1e", text("1e")),
            (".", text(".")),
            ("-", text("-")),
            (".inf", Value::Float(f64::INFINITY)),
            ("-.INF", Value::Float(f64::NEG_INFINITY)),
            ("1_000", text("1_000")),
            ("2026-01-31", text("2026-01-31")),
            ("12:30", text("12:30")),
            ("1.2.3", text("1.2.3")),
            ("éa", text("éa")),
        ];
        for (input, expected) in cases {
            assert_eq!(plain(input), expected, "{input:?}");
        }
        assert!(matches!(plain(".nan"), Value::Float(v) if v.is_nan()));
    }
}
