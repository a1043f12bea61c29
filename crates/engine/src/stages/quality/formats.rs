//! Text formats that rules can ask for. Each check is a pure function over one value.

use weir_spec::quality::TextFormat;

/// Whether `text` has the format.
pub fn is_valid(format: TextFormat, text: &str) -> bool {
    match format {
        TextFormat::Email => is_email(text),
        TextFormat::Iban => is_iban(text),
        TextFormat::Card => is_card(text),
        TextFormat::Uuid => uuid::Uuid::try_parse(text).is_ok() && text.len() == 36,
        TextFormat::Ip => text.parse::<std::net::IpAddr>().is_ok(),
        TextFormat::Url => url::Url::parse(text).is_ok_and(|url| url.has_host()),
        TextFormat::Phone => is_phone(text),
        TextFormat::Country => COUNTRIES.binary_search(&text).is_ok(),
        TextFormat::Currency => CURRENCIES.binary_search(&text).is_ok(),
        TextFormat::Date => text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok(),
        TextFormat::Json => serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
    }
}

/// An addr-spec as mail providers accept it: RFC 5321 lengths, dot-atom local part (RFC 5322 section 3.2.3) or UTF-8
/// (RFC 6531), a domain of at least two labels.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    if local.is_empty() || local.len() > 64 || domain.len() > 253 {
        return false;
    }
    let atext = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b"!#$%&'*+/=?^_`{|}~-".contains(&b);
    let mut dot = true;
    for b in local.bytes() {
        match b {
            b'.' if dot => return false,
            b'.' => dot = true,
            b if atext(b) => dot = false,
            _ => return false,
        }
    }
    !dot && is_domain(domain)
}

/// At least two labels of letters, digits and inner hyphens; the last one not all digits.
fn is_domain(domain: &str) -> bool {
    let mut labels = 0;
    let mut last = "";
    for label in domain.split('.') {
        let bytes = label.as_bytes();
        let ends_well = bytes.first() != Some(&b'-') && bytes.last() != Some(&b'-');
        if bytes.is_empty()
            || bytes.len() > 63
            || !ends_well
            || !bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b >= 0x80)
        {
            return false;
        }
        labels += 1;
        last = label;
    }
    labels >= 2 && !last.bytes().all(|b| b.is_ascii_digit())
}

/// ISO 13616: country, check digits, up to 30 alphanumerics of the country's length, remainder 1 modulo 97. Spaces in groups
/// of four are accepted, as banks print them.
fn is_iban(text: &str) -> bool {
    let mut compact = [0u8; 34];
    let mut len = 0;
    for (i, b) in text.bytes().enumerate() {
        if b == b' ' && i % 5 == 4 {
            continue;
        }
        if !b.is_ascii_uppercase() && !b.is_ascii_digit() || len == compact.len() {
            return false;
        }
        compact[len] = b;
        len += 1;
    }
    let iban = &compact[..len];
    if len < 15 || !iban[..2].iter().all(u8::is_ascii_uppercase) || !iban[2..4].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let known = IBAN_LENGTHS.binary_search_by(|(country, _)| country.as_bytes().cmp(&iban[..2]));
    if !known.is_ok_and(|i| IBAN_LENGTHS[i].1 == len) {
        return false;
    }
    let remainder = iban[4..].iter().chain(&iban[..4]).fold(0u32, |rest, &b| match b {
        b'0'..=b'9' => (rest * 10 + u32::from(b - b'0')) % 97,
        _ => (rest * 100 + u32::from(b - b'A') + 10) % 97,
    });
    remainder == 1
}

/// ISO/IEC 7812: 12 to 19 digits, single spaces or hyphens between groups, and a Luhn check digit.
fn is_card(text: &str) -> bool {
    let (mut sum, mut digits, mut gap) = (0u32, 0u32, true);
    for b in text.bytes().rev() {
        match b {
            b'0'..=b'9' => {
                let digit = u32::from(b - b'0');
                sum += if digits % 2 == 1 { if digit > 4 { digit * 2 - 9 } else { digit * 2 } } else { digit };
                digits += 1;
                gap = false;
            }
            b' ' | b'-' if !gap => gap = true,
            _ => return false,
        }
    }
    !gap && (12..=19).contains(&digits) && sum % 10 == 0 && sum > 0
}

/// ITU-T E.164: a plus, a country code that does not begin with 0, at most 15 digits, at least 7.
fn is_phone(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}

/// ISO 3166-1 alpha-2, sorted.
const COUNTRIES: &[&str] = &[
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA", "BB", "BD", "BE", "BF",
    "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG",
    "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC",
    "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL",
    "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN",
    "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA",
    "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN",
    "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP",
    "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO",
    "RS", "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST", "SV",
    "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW", "TZ", "UA", "UG",
    "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
];

/// ISO 4217 (active codes), sorted.
const CURRENCIES: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BHD", "BIF", "BMD", "BND", "BOB", "BOV",
    "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CLF", "CLP", "CNY", "COP", "COU", "CRC", "CUP",
    "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GNF",
    "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR",
    "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT",
    "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN",
    "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE",
    "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX",
    "USD", "USN", "UYI", "UYU", "UYW", "UZS", "VED", "VES", "VND", "VUV", "WST", "XAF", "XAG", "XAU", "XBA", "XBB", "XBC", "XBD",
    "XCD", "XCG", "XDR", "XOF", "XPD", "XPF", "XPT", "XSU", "XTS", "XUA", "XXX", "YER", "ZAR", "ZMW", "ZWG",
];

/// IBAN lengths by country (SWIFT IBAN registry), sorted.
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_what_their_standards_say_and_nothing_else() {
        use TextFormat::*;
        let cases: &[(TextFormat, &[&str], &[&str])] = &[
            (
                Email,
                &["a@b.co", "first.last+tag@sub.example.org", "o'hara@example.ie", "josé@exämple.de"],
                &[
                    "",
                    "a",
                    "@b.co",
                    "a@",
                    "a@b",
                    "a..b@c.de",
                    ".a@c.de",
                    "a.@c.de",
                    "a b@c.de",
                    "a@-b.de",
                    "a@b-.de",
                    "a@1.2",
                    "a@b..c",
                ],
            ),
            (
                Iban,
                &[
                    "GB82WEST12345698765432",
                    "GB82 WEST 1234 5698 7654 32",
                    "DE89370400440532013000",
                    "NO9386011117947",
                    "MT84MALT011000012345MTLCAST001S",
                ],
                &[
                    "",
                    "GB82WEST12345698765433",
                    "GB82WEST1234569876543",
                    "gb82west12345698765432",
                    "XX82WEST12345698765432",
                    "DE8937040044053201300",
                ],
            ),
            (
                Card,
                &["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6011111111111117"],
                &[
                    "",
                    "4111111111111112",
                    "411111111111",
                    "4111  1111 1111 1111",
                    "4111111111111111 ",
                    "0000000000000000",
                    "4111x11111111111",
                ],
            ),
            (
                Uuid,
                &["67e55044-10b1-426f-9247-bb680e5fe0c8"],
                &["67e5504410b1426f9247bb680e5fe0c8", "67e55044-10b1-426f-9247-bb680e5fe0cg", ""],
            ),
            (Ip, &["127.0.0.1", "::1", "2001:db8::8a2e:370:7334"], &["256.1.1.1", "1.2.3", "::g", ""]),
            (Url, &["https://example.org/a?b=c", "ftp://h/"], &["example.org", "mailto:a@b.co", "http://", ""]),
            (Phone, &["+14155552671", "+442071838750"], &["14155552671", "+0123456789", "+1", "+1415555267112345", "+1 415 555"]),
            (Country, &["NL", "US", "ZW"], &["nl", "XX", "UK", "NLD", ""]),
            (Currency, &["EUR", "USD", "JPY"], &["eur", "ABC", "EU", ""]),
            (Date, &["2024-02-29", "1999-12-31"], &["2023-02-29", "2024-2-9", "29.02.2024", "2024-02-29T00:00", ""]),
            (Json, &["{}", "[1,2]", "\"a\"", "null"], &["{", "{a:1}", "", "[1,]"]),
        ];
        for (format, valid, invalid) in cases {
            for text in *valid {
                assert!(is_valid(*format, text), "{format:?} should accept {text:?}");
            }
            for text in *invalid {
                assert!(!is_valid(*format, text), "{format:?} should refuse {text:?}");
            }
        }
    }

    #[test]
    fn tables_are_sorted_for_binary_search() {
        assert!(COUNTRIES.is_sorted() && CURRENCIES.is_sorted() && IBAN_LENGTHS.is_sorted());
    }
}
