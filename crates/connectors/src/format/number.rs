//! Numbers from text, exactly: JSON's number grammar, read once, then made an integer, a decimal or a float.

/// A number as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    pub text: &'a [u8],
    negative: bool,
    /// The leading significant digits, 19 at most.
    mantissa: u64,
    /// `mantissa` holds all significant digits.
    exact: bool,
    /// The power of ten that `mantissa` is to be multiplied with (when `exact`).
    exponent: i32,
    /// Written without fraction and exponent.
    pub integral: bool,
}

/// Why a number does not become a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A fraction or an exponent where an integer is expected.
    NotIntegral,
    OutOfRange,
}

const POWERS: [i128; 39] = {
    let mut powers = [1_i128; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

const FLOAT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21,
    1e22,
];

/// The floats that are no numbers, by the names that they are written under in text: `NaN`, `Infinity`, `-Infinity`.
pub(crate) fn float_by_name(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" => Some(f64::NAN),
        b"Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The name of a float that is no number.
pub(crate) fn name_of_float(value: f64) -> &'static [u8] {
    match value {
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    }
}

impl<'a> Number<'a> {
    /// Reads the number at the start of `bytes`: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`. On failure says at which
    /// byte a digit was expected.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, usize> {
        let mut at = 0;
        let negative = bytes.first() == Some(&b'-');
        at += usize::from(negative);
        let mut mantissa: u64 = 0;
        let mut digits = 0_u32;
        let first = at;
        while let Some(digit) = digit_at(bytes, at) {
            if digits < 19 {
                mantissa = mantissa * 10 + u64::from(digit);
            }
            digits += u32::from(mantissa != 0);
            at += 1;
        }
        if at == first {
            return Err(at);
        }
        if bytes[first] == b'0' && at > first + 1 {
            return Err(first + 1);
        }
        let mut exponent = 0_i32;
        let mut integral = true;
        if bytes.get(at) == Some(&b'.') {
            integral = false;
            at += 1;
            let first = at;
            while let Some(digit) = digit_at(bytes, at) {
                if digits < 19 {
                    mantissa = mantissa * 10 + u64::from(digit);
                    exponent -= 1;
                }
                digits += u32::from(mantissa != 0);
                at += 1;
            }
            if at == first {
                return Err(at);
            }
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            integral = false;
            at += 1;
            let down = bytes.get(at) == Some(&b'-');
            at += usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
            let first = at;
            let mut power = 0_i32;
            while let Some(digit) = digit_at(bytes, at) {
                power = power.saturating_mul(10).saturating_add(i32::from(digit));
                at += 1;
            }
            if at == first {
                return Err(at);
            }
            exponent = exponent.saturating_add(if down { -power } else { power });
        }
        Ok(Self { text: &bytes[..at], negative, mantissa, exact: digits <= 19, exponent, integral })
    }

    pub fn to_i64(self) -> Result<i64, Unfit> {
        if !self.integral {
            return Err(Unfit::NotIntegral);
        }
        if !self.exact {
            return Err(Unfit::OutOfRange);
        }
        if self.negative { 0_i64.checked_sub_unsigned(self.mantissa) } else { i64::try_from(self.mantissa).ok() }
            .ok_or(Unfit::OutOfRange)
    }

    pub fn to_i32(self) -> Result<i32, Unfit> {
        i32::try_from(self.to_i64()?).map_err(|_| Unfit::OutOfRange)
    }

    /// The nearest double. The fast path is Clinger's: both factors are exact, so one rounding happens.
    pub fn to_f64(self) -> Result<f64, Unfit> {
        let power = self.exponent.unsigned_abs() as usize;
        if self.exact && self.mantissa <= 1 << 53 && power < FLOAT_POWERS.len() {
            let m = self.mantissa as f64;
            let value = if self.exponent < 0 { m / FLOAT_POWERS[power] } else { m * FLOAT_POWERS[power] };
            return Ok(if self.negative { -value } else { value });
        }
        match lexical_core::parse::<f64>(self.text) {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(Unfit::OutOfRange),
        }
    }

    pub fn to_f32(self) -> Result<f32, Unfit> {
        match lexical_core::parse::<f32>(self.text) {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(Unfit::OutOfRange),
        }
    }

    /// The value in units of `10^-scale`, if it has no more than `precision` digits and nothing has to be rounded away.
    #[inline]
    pub fn to_decimal(self, precision: u8, scale: i8) -> Result<i128, Unfit> {
        let (mantissa, exponent) = if self.exact { (i128::from(self.mantissa), self.exponent) } else { self.wide()? };
        let shift = exponent.saturating_add(i32::from(scale));
        let power = shift.unsigned_abs() as usize;
        let value = if mantissa == 0 {
            0
        } else if power >= POWERS.len() {
            return Err(Unfit::OutOfRange);
        } else if shift >= 0 {
            mantissa.checked_mul(POWERS[power]).ok_or(Unfit::OutOfRange)?
        } else if mantissa % POWERS[power] == 0 {
            mantissa / POWERS[power]
        } else {
            return Err(Unfit::OutOfRange);
        };
        if value >= POWERS[usize::from(precision.min(38))] {
            return Err(Unfit::OutOfRange);
        }
        Ok(if self.negative { -value } else { value })
    }

    /// Mantissa and exponent of a number of more than 19 digits.
    fn wide(self) -> Result<(i128, i32), Unfit> {
        let text = self.text.strip_prefix(b"-").unwrap_or(self.text);
        let (digits, power) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(e) => {
                let power = std::str::from_utf8(&text[e + 1..]).ok().and_then(|p| p.parse::<i32>().ok());
                (&text[..e], power.ok_or(Unfit::OutOfRange)?)
            }
            None => (text, 0),
        };
        let point = digits.iter().position(|&b| b == b'.').unwrap_or(digits.len());
        let fraction = digits.get(point + 1..).unwrap_or_default();
        let fraction = &fraction[..fraction.iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1)];
        let mut mantissa = 0_i128;
        for digit in digits[..point].iter().chain(fraction) {
            mantissa = mantissa.checked_mul(10).and_then(|m| m.checked_add(i128::from(digit - b'0'))).ok_or(Unfit::OutOfRange)?;
        }
        Ok((mantissa, power.saturating_sub(fraction.len() as i32)))
    }
}

#[inline]
fn digit_at(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = bytes.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(digit)
}

/// Appends an unscaled decimal as text: `1234` with scale 2 becomes `12.34`.
pub(crate) fn write_decimal(out: &mut Vec<u8>, value: i128, scale: i8) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    let mut buffer = itoa::Buffer::new();
    let Some(scale) = usize::try_from(scale).ok().filter(|&scale| scale > 0) else {
        out.extend_from_slice(buffer.format(magnitude).as_bytes());
        if magnitude != 0 {
            out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
        }
        return;
    };
    let digits = match u64::try_from(magnitude) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(magnitude),
    }
    .as_bytes();
    if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number<'_> {
        let n = Number::parse(text.as_bytes()).unwrap();
        assert_eq!(n.text, text.as_bytes());
        n
    }

    #[test]
    fn integers_keep_their_range() {
        assert_eq!(number("9223372036854775807").to_i64(), Ok(i64::MAX));
        assert_eq!(number("-9223372036854775808").to_i64(), Ok(i64::MIN));
        assert_eq!(number("9223372036854775808").to_i64(), Err(Unfit::OutOfRange));
        assert_eq!(number("18446744073709551616000").to_i64(), Err(Unfit::OutOfRange));
        assert_eq!(number("2147483648").to_i32(), Err(Unfit::OutOfRange));
        assert_eq!(number("-2147483648").to_i32(), Ok(i32::MIN));
        assert_eq!(number("1.0").to_i64(), Err(Unfit::NotIntegral));
        assert_eq!(number("1e3").to_i64(), Err(Unfit::NotIntegral));
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, precision, scale, expected) in [
            ("12.34", 12, 2, Ok(1234)),
            ("-0.5", 12, 2, Ok(-50)),
            ("12.340", 12, 2, Ok(1234)),
            ("12.345", 12, 2, Err(Unfit::OutOfRange)),
            ("9999999999.99", 12, 2, Ok(999_999_999_999)),
            ("10000000000", 12, 2, Err(Unfit::OutOfRange)),
            ("1.5e3", 12, 2, Ok(150_000)),
            ("15e-1", 12, 2, Ok(150)),
            ("15e-3", 12, 2, Err(Unfit::OutOfRange)),
            ("0e99999999999", 12, 2, Ok(0)),
            ("1e99999999999", 12, 2, Err(Unfit::OutOfRange)),
            ("12345678901234567890123456789.123456789", 38, 9, Ok(12345678901234567890123456789123456789)),
            ("99999999999999999999999999999999999999", 38, 0, Ok(99999999999999999999999999999999999999)),
            ("999999999999999999999999999999999999999", 38, 0, Err(Unfit::OutOfRange)),
            ("1.0000000000000000000000000000000000000000", 12, 2, Ok(100)),
        ] {
            assert_eq!(number(text).to_decimal(precision, scale), expected, "{text}");
        }
    }

    #[test]
    fn grammar_is_json_s() {
        for bad in ["", "-", ".5", "1.", "01", "-01", "1e", "1e+", "+1", "a"] {
            assert!(Number::parse(bad.as_bytes()).map(|n| n.text.len()) != Ok(bad.len()) || bad.is_empty(), "{bad}");
        }
    }

    #[test]
    fn decimal_text() {
        for (value, scale, text) in
            [(1234, 2, "12.34"), (-5, 2, "-0.05"), (0, 2, "0.00"), (7, 0, "7"), (7, -2, "700"), (-1234, 4, "-0.1234")]
        {
            let mut out = Vec::new();
            write_decimal(&mut out, value, scale);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn floats_agree_with_the_standard_library(value: f64, digits in 0_usize..20) {
            prop_assume!(value.is_finite());
            for text in [format!("{value:e}"), format!("{value}"), format!("{:.*}", digits, value % 1e9)] {
                prop_assert_eq!(number(&text).to_f64().unwrap().to_bits(), text.parse::<f64>().unwrap().to_bits());
                let single = text.parse::<f32>().unwrap();
                prop_assert_eq!(number(&text).to_f32(), if single.is_finite() { Ok(single) } else { Err(Unfit::OutOfRange) });
            }
        }

        #[test]
        fn decimals_round_trip(value in -(10_i128.pow(30))..10_i128.pow(30), scale in 0_i8..20) {
            let mut out = Vec::new();
            write_decimal(&mut out, value, scale);
            prop_assert_eq!(Number::parse(&out).unwrap().to_decimal(38, scale), Ok(value));
        }
    }
}
