//! Reads values as Rust prints them for debugging: what checkpoints of layout 1 say of connectors.

use serde_json::{Map, Number, Value};

/// `Variant(Struct { field: value, ... })` as the variant's name and the fields. Names of unit variants become snake case, `None` null.
pub fn variant(text: &str) -> Option<(&str, Map<String, Value>)> {
    let (variant, inner) = text.strip_suffix(')')?.split_once('(')?;
    let mut reader = Reader { rest: inner };
    let value = reader.value()?;
    let fields = match value {
        Value::Object(fields) => fields,
        // A struct without fields.
        Value::String(_) => Map::new(),
        _ => return None,
    };
    reader.rest.is_empty().then_some((variant, fields))
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn value(&mut self) -> Option<Value> {
        match self.rest.chars().next()? {
            '"' => self.quoted('"').map(Value::String),
            '\'' => self.quoted('\'').map(Value::String),
            '[' => self.list(),
            c if c == '-' || c.is_ascii_digit() => self.number(),
            _ => self.named(),
        }
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn number(&mut self) -> Option<Value> {
        let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        let whole = word.parse::<u64>().ok().map(Number::from);
        whole.or_else(|| Number::from_f64(word.parse().ok()?)).map(Value::Number)
    }

    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        self.take("[").then_some(())?;
        while !self.take("]") {
            items.push(self.value()?);
            if !self.take(", ") && !self.rest.starts_with(']') {
                return None;
            }
        }
        Some(Value::Array(items))
    }

    /// `None`, `Some(value)`, `true`, `Variant` or `Struct { field: value }`.
    fn named(&mut self) -> Option<Value> {
        let name = self.word(|c| c.is_alphanumeric() || c == '_');
        if name == "Some" && self.take("(") {
            let value = match self.value()? {
                // A variant of that name: what is absent is not wrapped.
                Value::Null => Value::String("none".to_owned()),
                value => value,
            };
            return self.take(")").then_some(value);
        }
        if self.take(" { ") {
            let mut fields = Map::new();
            loop {
                let field = self.word(|c| c.is_alphanumeric() || c == '_').to_owned();
                self.take(": ").then_some(())?;
                fields.insert(field, self.value()?);
                if self.take(" }") {
                    return Some(Value::Object(fields));
                }
                self.take(", ").then_some(())?;
            }
        }
        match name {
            "" => None,
            "None" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            variant => Some(Value::String(snake_case(variant))),
        }
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Some(text);
                }
                '\\' => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '0' => '\0',
                    'u' => {
                        let digits: String = chars.by_ref().map(|(_, c)| c).skip(1).take_while(|c| *c != '}').collect();
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    other => other,
                }),
                c => text.push(c),
            }
        }
        None
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (i, c) in name.char_indices() {
        if c.is_uppercase() && i > 0 {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug)]
    #[allow(dead_code, reason = "read by the derive of Debug")]
    enum Outer {
        Inner(Inner),
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "read by the derive of Debug")]
    enum Kind {
        TwoWords,
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "read by the derive of Debug")]
    struct Inner {
        path: String,
        at: Option<char>,
        none: Option<u64>,
        share: f64,
        kind: Kind,
        names: Vec<String>,
    }

    /// The standard library's own `Debug` is what such texts were made with.
    #[test]
    fn what_rust_prints_is_read_back() {
        for path in ["a.ndjson", "with \"quotes\", { braces } and ) as json", "line\nbreak\\ \u{7f} \u{200b}é'", ""] {
            let names = vec![path.to_owned(), "b".to_owned()];
            let inner = Inner { path: path.to_owned(), at: Some('\''), none: None, share: 1e-7, kind: Kind::TwoWords, names };
            let text = format!("{:?}", Outer::Inner(inner));
            let (name, fields) = variant(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(name, "Inner");
            let expected = json!({
                "path": path, "at": "'", "none": null, "share": 1e-7, "kind": "two_words", "names": [path, "b"],
            });
            assert_eq!(Value::Object(fields), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_such_text_is_not_read() {
        for text in ["", "File", "File(", "File(FileSource { path: \"a })", "File(FileSource { path: })", "F(S { a: 1 } x)"] {
            assert_eq!(variant(text), None, "{text}");
        }
    }
}
