//! Logical types as documents write them: `decimal(12,2)`, `list<string>`, `struct<street: string, zip: string>`.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{
    nearest::did_you_mean,
    parse::quoted,
    types::{Column, DataType},
};

/// Why a text is not a type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct TypeError {
    pub message: String,
    pub help: Option<String>,
}

const MAX_DEPTH: usize = 16;
const SIMPLE: &[(&str, DataType)] = &[
    ("boolean", DataType::Boolean),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("string", DataType::String),
    ("bytes", DataType::Bytes),
    ("date", DataType::Date),
    ("timestamp", DataType::Timestamp),
];
/// What other systems call our types.
const FOREIGN: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("int", "int32` or `int64"),
    ("integer", "int32` or `int64"),
    ("bigint", "int64"),
    ("long", "int64"),
    ("smallint", "int32"),
    ("float", "float32` or `float64"),
    ("double", "float64"),
    ("real", "float32"),
    ("number", "float64` or `decimal(p,s)"),
    ("numeric", "decimal(p,s)"),
    ("text", "string"),
    ("varchar", "string"),
    ("char", "string"),
    ("str", "string"),
    ("binary", "bytes"),
    ("blob", "bytes"),
    ("datetime", "timestamp"),
    ("time", "timestamp"),
    ("array", "list<...>"),
    ("object", "struct<name: type, ...>"),
    ("map", "struct<name: type, ...>"),
    ("record", "struct<name: type, ...>"),
];

impl FromStr for DataType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = Reader { whole: text, rest: text };
        let found = reader.data_type(0)?;
        reader.skip_space();
        if reader.rest.is_empty() { Ok(found) } else { Err(reader.unexpected("the end")) }
    }
}

struct Reader<'t> {
    whole: &'t str,
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), TypeError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(&format!("`{token}`"))) }
    }

    fn unexpected(&self, expected: &str) -> TypeError {
        let found = match self.rest.chars().next() {
            Some(c) => quoted(&c.to_string()),
            None => "the end".to_owned(),
        };
        TypeError {
            message: format!("{} is not a type: expected {expected}, found {found}", quoted(self.whole)),
            help: Some(
                "write types as `string`, `decimal(12,2)`, `list<string>` or `struct<street: string, zip: string>`".to_owned(),
            ),
        }
    }

    fn word(&mut self) -> &'t str {
        self.skip_space();
        let end = self.rest.find(|c: char| c.is_whitespace() || "(),:<>".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn data_type(&mut self, depth: usize) -> Result<DataType, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError { message: format!("the type is nested deeper than {MAX_DEPTH} levels"), help: None });
        }
        let word = self.word();
        match word {
            "decimal" => self.decimal(),
            "list" => {
                self.expect('<')?;
                let element = self.data_type(depth + 1)?;
                self.expect('>')?;
                Ok(DataType::List(Box::new(element)))
            }
            "struct" => self.fields(depth),
            "" => Err(self.unexpected("a type")),
            _ => SIMPLE.iter().find(|(name, _)| *name == word).map(|(_, found)| found.clone()).ok_or_else(|| unknown(word)),
        }
    }

    fn decimal(&mut self) -> Result<DataType, TypeError> {
        self.expect('(')?;
        let precision = self.word();
        self.expect(',')?;
        let scale = self.word();
        self.expect(')')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u8>().ok()).flatten();
        match (digits(precision), digits(scale)) {
            (Some(precision @ 1..=38), Some(scale)) if scale <= precision => {
                Ok(DataType::Decimal { precision, scale: scale as i8 })
            }
            _ => Err(TypeError {
                message: format!(
                    "{} is not a type: decimal has a precision of 1 to 38 and a scale of 0 to the precision",
                    quoted(self.whole)
                ),
                help: Some("write `decimal(12,2)` for ten digits before the point and two after it".to_owned()),
            }),
        }
    }

    fn fields(&mut self, depth: usize) -> Result<DataType, TypeError> {
        self.expect('<')?;
        let mut fields: Vec<Column> = Vec::new();
        loop {
            let name = self.word();
            if name.is_empty() {
                return Err(self.unexpected("the name of a field"));
            }
            if fields.iter().any(|field| field.name == name) {
                return Err(TypeError { message: format!("the field {} is given twice", quoted(name)), help: None });
            }
            self.expect(':')?;
            fields.push(Column::new(name, self.data_type(depth + 1)?));
            if !self.take(',') {
                break;
            }
        }
        self.expect('>')?;
        Ok(DataType::Struct(fields))
    }
}

fn unknown(word: &str) -> TypeError {
    let foreign = FOREIGN.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    let help = match foreign {
        Some((_, ours)) => Some(format!("write `{ours}`")),
        None => did_you_mean(word, SIMPLE.iter().map(|(name, _)| *name).chain(["decimal", "list", "struct"])),
    };
    let known = "known types: boolean, int32, int64, float32, float64, decimal(p,s), string, bytes, date, timestamp, list<...>, struct<...>";
    TypeError { message: format!("{} is not a type", quoted(word)), help: help.or_else(|| Some(known.to_owned())) }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, field) in fields.iter().enumerate() {
                    let separator = if i > 0 { ", " } else { "" };
                    write!(f, "{separator}{}: {}", field.name, field.data_type)?;
                }
                f.write_str(">")
            }
            simple => f.write_str(SIMPLE.iter().find(|(_, known)| known == simple).map_or("", |(name, _)| name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_back_as_they_are_written() {
        let cases = [
            "boolean",
            "int32",
            "timestamp",
            "decimal(12,2)",
            "decimal(38,38)",
            "list<string>",
            "list<list<int64>>",
            "struct<street: string, zip: string>",
            "struct<geo: struct<lat: float64, lon: float64>, tags: list<struct<k: string, v: decimal(4,1)>>>",
        ];
        for text in cases {
            let parsed: DataType = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!(" list < decimal( 3 , 1 ) > ".parse::<DataType>().unwrap().to_string(), "list<decimal(3,1)>");
    }

    #[test]
    fn what_is_not_a_type_says_what_to_write() {
        let cases = [
            ("strin", "`strin` is not a type / did you mean `string`?"),
            ("varchar", "`varchar` is not a type / write `string`"),
            ("decimal", "`decimal` is not a type: expected `(`, found the end"),
            ("decimal(39,2)", "precision of 1 to 38"),
            ("decimal(4,5)", "precision of 1 to 38"),
            ("decimal(+4,2)", "precision of 1 to 38"),
            ("list<string", "expected `>`, found the end"),
            ("list<>", "expected a type, found `>`"),
            ("struct<>", "expected the name of a field, found `>`"),
            ("struct<a string>", "expected `:`, found `s`"),
            ("struct<a: string, a: int32>", "the field `a` is given twice"),
            ("string string", "expected the end, found `s`"),
            ("", "expected a type, found the end"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<DataType>().unwrap_err();
            let shown = format!("{} / {}", error.message, error.help.clone().unwrap_or_default());
            assert!(shown.contains(expected), "{text}: {shown}");
        }
        assert!("list<".repeat(100).parse::<DataType>().is_err());
    }
}
