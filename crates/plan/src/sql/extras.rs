//! What the parser does not know: `FOR SYSTEM_TIME AS OF` behind a table and `WITHIN` of a pattern are taken out of the text before
//! it is parsed, and found again by their places.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word},
};

use super::error::Issue;

/// Everything taken out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Extras {
    pub versions: Vec<Version>,
    pub withins: Vec<Within>,
}

/// `table FOR SYSTEM_TIME AS OF time`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    /// Where the table's name begins.
    pub table: Location,
    pub time: VersionTime,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum VersionTime {
    /// `proctime()`.
    Processing,
    /// A column, with its table or without.
    Column(Vec<Word>, Span),
}

/// `PATTERN (...) WITHIN INTERVAL '1' HOUR`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Within {
    /// From the word PATTERN to the end of the clause.
    pub from: Location,
    pub to: Location,
    /// The interval as written.
    pub interval: String,
    pub span: Span,
}

impl Extras {
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.withins.is_empty()
    }
}

/// The tokens of a text without its extras. Text that cannot be cut into tokens is the parser's to refuse.
pub(super) fn take_out(text: &str) -> Result<(Vec<TokenWithSpan>, Extras), Vec<Issue>> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().unwrap_or_default();
    let tokens: Vec<_> = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let mut scan = Scan { tokens: &tokens, at: 0, kept: Vec::new(), extras: Extras::default() };
    scan.run()?;
    let Scan { kept, extras, .. } = scan;
    Ok((kept, extras))
}

struct Scan<'t> {
    tokens: &'t [TokenWithSpan],
    at: usize,
    kept: Vec<TokenWithSpan>,
    extras: Extras,
}

impl Scan<'_> {
    fn word(&self, at: usize) -> Option<&Word> {
        match &self.tokens.get(at)?.token {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.word(at).is_some_and(|found| found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    fn are(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, word)| self.is(at + i, word))
    }

    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at).map(|token| &token.token)
    }

    fn run(&mut self) -> Result<(), Vec<Issue>> {
        // Where the last PATTERN began; nothing between it and DEFINE can be followed by INTERVAL but WITHIN.
        let mut pattern = None;
        while self.at < self.tokens.len() {
            if self.are(self.at, &["for", "system_time", "as", "of"]) && !self.kept.is_empty() {
                self.version()?;
                continue;
            }
            if self.is(self.at, "pattern") && self.token(self.at + 1) == Some(&Token::LParen) {
                pattern = Some(self.tokens[self.at].span.start);
            } else if self.is(self.at, "define") {
                pattern = None;
            } else if let Some(from) = pattern.filter(|_| self.are(self.at, &["within", "interval"])) {
                self.within(from);
                continue;
            }
            self.kept.push(self.tokens[self.at].clone());
            self.at += 1;
        }
        Ok(())
    }

    fn version(&mut self) -> Result<(), Vec<Issue>> {
        let start = self.tokens[self.at].span;
        let table = self.kept.last().map_or(start.start, |token| token.span.start);
        let mut at = self.at + 4;
        let mut words = Vec::new();
        while let Some(word) = self.word(at) {
            words.push(word.clone());
            at += 1;
            if self.token(at) != Some(&Token::Period) {
                break;
            }
            at += 1;
        }
        let calls = self.token(at) == Some(&Token::LParen) && self.token(at + 1) == Some(&Token::RParen);
        let time = match words.as_slice() {
            [word] if calls && word.value.eq_ignore_ascii_case("proctime") => {
                at += 2;
                VersionTime::Processing
            }
            [_, ..] if self.token(at) != Some(&Token::LParen) => {
                let first = self.tokens[self.at + 4].span;
                VersionTime::Column(words, first)
            }
            _ => {
                let issue = Issue::new("sql-unsupported", "FOR SYSTEM_TIME AS OF needs a column or proctime()");
                return Err(vec![issue.help("write FOR SYSTEM_TIME AS OF o.time, the event time of the other side").at(start)]);
            }
        };
        self.extras.versions.push(Version { table, time, span: start });
        self.at = at;
        Ok(())
    }

    /// `WITHIN INTERVAL '1' HOUR` or `WITHIN INTERVAL '1 hour'`.
    fn within(&mut self, from: Location) {
        let span = self.tokens[self.at].span;
        let mut at = self.at + 2;
        let mut interval = "INTERVAL".to_owned();
        while let Some(token) = self.tokens.get(at) {
            let unit = matches!(&token.token, Token::Word(word) if !word.value.eq_ignore_ascii_case("define"));
            let literal = at == self.at + 2;
            if !unit && !literal {
                break;
            }
            interval = format!("{interval} {}", token.token);
            at += 1;
        }
        let to = self.tokens.get(at).map_or(span.end, |token| token.span.start);
        self.extras.withins.push(Within { from, to, interval, span });
        self.at = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str) -> (String, Extras) {
        let (tokens, extras) = take_out(text).unwrap();
        (tokens.iter().map(|token| token.token.to_string()).collect::<Vec<_>>().join(" "), extras)
    }

    #[test]
    fn a_version_is_taken_out_behind_its_table() {
        let (text, extras) = without("SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.t AS r2 ON o.c = r2.c");
        assert_eq!(text, "SELECT * FROM o JOIN r AS r2 ON o . c = r2 . c");
        assert_eq!(extras.versions.len(), 1);
        let (text, extras) = without("SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF proctime() ON o.c = r.c");
        assert_eq!(text, "SELECT * FROM o JOIN r ON o . c = r . c");
        assert_eq!(extras.versions[0].time, VersionTime::Processing);
    }

    #[test]
    fn within_is_taken_out_inside_the_pattern_and_behind_it() {
        for (text, interval) in [
            ("PATTERN (A B+) WITHIN INTERVAL '1' HOUR DEFINE A AS x", "INTERVAL '1' HOUR"),
            ("PATTERN (A B+ WITHIN INTERVAL '1 hour') DEFINE A AS x", "INTERVAL '1 hour'"),
        ] {
            let (rest, extras) = without(text);
            assert_eq!(rest, "PATTERN ( A B + ) DEFINE A AS x");
            assert_eq!(extras.withins[0].interval, interval);
        }
    }
}
