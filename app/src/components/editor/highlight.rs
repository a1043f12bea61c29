//! Colours YAML for reading: keys, strings, numbers, words and comments, line by line. Not a parser; it never fails.

use std::fmt::Write;

/// The text with its markup escaped and its tokens in `<span class="y-...">`; one `<span class="editor__line">` a line.
/// `class_of` adds a class to a line (counted from 1), such as `is-error`.
pub fn to_html(text: &str, class_of: impl Fn(u32) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    let mut block: Option<usize> = None;
    for (number, line) in (1_u32..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match class_of(number) {
            Some(class) => {
                let _ = write!(out, "<span class=\"editor__line {class}\">");
            }
            None => out.push_str("<span class=\"editor__line\">"),
        }
        let indent = line.len() - line.trim_start().len();
        let inside = block.is_some_and(|parent| line.trim().is_empty() || indent > parent);
        if inside {
            token(&mut out, "y-string", line);
        } else {
            block = opens_block(line).then_some(indent);
            colour_line(&mut out, line);
        }
        out.push_str("</span>");
    }
    out
}

/// `key: |`, `- >-`: the lines below, deeper than this one, are text.
fn opens_block(line: &str) -> bool {
    let body = line.split(" #").next().unwrap_or(line).trim_end();
    let last = body.rsplit([' ', '\t']).next().unwrap_or("");
    let mut chars = last.chars();
    matches!(chars.next(), Some('|' | '>')) && chars.all(|c| matches!(c, '+' | '-' | '0'..='9')) && body.len() > last.len()
}

fn colour_line(out: &mut String, line: &str) {
    let indent = line.len() - line.trim_start().len();
    out.push_str(&line[..indent]);
    let mut rest = &line[indent..];
    while let Some(after) = rest.strip_prefix("- ").or_else(|| (rest == "-").then_some("")) {
        token(out, "y-mark", "-");
        rest = if rest == "-" {
            ""
        } else {
            out.push(' ');
            after
        };
    }
    if let Some(colon) = key_end(rest) {
        token(out, "y-key", &rest[..colon]);
        token(out, "y-mark", ":");
        rest = &rest[colon + 1..];
    }
    colour_value(out, rest);
}

/// Where the `:` of a leading `key:` stands.
fn key_end(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if matches!(first, '#' | '{' | '[' | '"' | '\'' | '|' | '>' | '&' | '*') {
        return None;
    }
    text.char_indices().find_map(|(i, c)| {
        let ends = matches!(text[i + c.len_utf8()..].chars().next(), None | Some(' ' | '\t'));
        (c == ':' && ends).then_some(i)
    })
}

/// A value, flow collections included.
fn colour_value(out: &mut String, text: &str) {
    let mut rest = text;
    let mut blank_before = true;
    while let Some(c) = rest.chars().next() {
        let (kind, length) = match c {
            '#' if blank_before => ("y-comment", rest.len()),
            '"' => ("y-string", quoted(rest, '"', true)),
            '\'' => ("y-string", quoted(rest, '\'', false)),
            '{' | '}' | '[' | ']' | ',' => ("y-mark", 1),
            c if c.is_whitespace() => ("", c.len_utf8()),
            _ => {
                let end = rest.find([',', '{', '}', '[', ']']).unwrap_or(rest.len());
                let end = rest[..end].find(" #").unwrap_or(end);
                match key_end(&rest[..end]) {
                    Some(colon) => {
                        token(out, "y-key", &rest[..colon]);
                        rest = &rest[colon..];
                        ("y-mark", 1)
                    }
                    None => (scalar_kind(rest[..end].trim_end()), rest[..end].trim_end().len().max(1)),
                }
            }
        };
        let (now, later) = rest.split_at(length.min(rest.len()));
        if kind.is_empty() {
            escape(out, now)
        } else {
            token(out, kind, now)
        }
        blank_before = now.ends_with(char::is_whitespace);
        rest = later;
    }
}

/// The length of a quoted scalar, its closing quote included; unclosed, the whole rest.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut skip = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if skip => skip = false,
            '\\' if escapes => skip = true,
            c if c == quote => return i + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn scalar_kind(text: &str) -> &'static str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match text {
        "true" | "false" | "null" | "~" => "y-word",
        _ if digits.starts_with(|c: char| c.is_ascii_digit()) && digits.len() < 24 && !digits.contains(' ') => "y-number",
        _ => "",
    }
}

fn token(out: &mut String, class: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let _ = write!(out, "<span class=\"{class}\">");
    escape(out, text);
    out.push_str("</span>");
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The HTML with its tags removed and entities decoded: must be the text itself.
    fn text_of(html: &str) -> String {
        let mut out = String::new();
        let mut tag = false;
        for c in html.replace("<span class=\"editor__line\">", "\u{1}").chars() {
            match c {
                '<' => tag = true,
                '>' if tag => tag = false,
                '\u{1}' => out.push('\n'),
                c if !tag => out.push(c),
                _ => {}
            }
        }
        out.trim_start_matches('\n').replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    #[test]
    fn colouring_changes_no_character() {
        for text in [
            "name: card-fraud # the name",
            "- not_null: [card, customer_id]",
            "a: { between: { column: amount, min: 0, max: 1e5 } }",
            "\"<script>\": 'a & b'",
            "sql: >-\n  SELECT 'x: y' # not a comment\n  FROM t\nnext: ~",
            "url: http://example.org:80/a#b",
            "unclosed: \"abc",
            "- - nested",
            "é: ü # ö",
            "",
            ":",
            "-",
        ] {
            assert_eq!(text_of(&to_html(text, |_| None)), text, "{text}");
        }
    }

    #[test]
    fn tokens_are_told_apart() {
        let html = |text| to_html(text, |_| None);
        assert!(html("min: -12.5").contains("<span class=\"y-number\">-12.5</span>"));
        assert!(html("a: true").contains("<span class=\"y-word\">true</span>"));
        assert!(html("a: b # c").contains("<span class=\"y-comment\"># c</span>"));
        assert!(html("a: {card: x}").contains("<span class=\"y-key\">card</span>"));
        assert!(html("a: |\n  b: c").contains("<span class=\"y-string\">  b: c</span>"));
        assert!(html("<b>").contains("&lt;b&gt;"));
        assert!(to_html("a", |_| Some("is-error")).contains("editor__line is-error"));
    }
}
