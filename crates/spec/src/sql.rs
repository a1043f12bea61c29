//! Which tables a SQL text reads, without a SQL engine: enough to draw the graph. What the text means is the plan's business.

use std::collections::HashMap;

/// The tables behind FROM and JOIN and inside table functions (`tumble(payments, ...)`), each once, in the order of the text. Names in
/// texts and comments, columns and common table expressions are no tables. Unquoted names are lower-cased, as SQL does.
pub fn sql_inputs(sql: &str) -> Vec<String> {
    let tokens = tokenize(sql);
    let mut scanner = Scanner { tokens: &tokens, ctes: common_tables(&tokens), found: Vec::new() };
    scanner.scan();
    scanner.found
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// An unquoted name or word, lower-cased.
    Word(String),
    /// A quoted name.
    Name(String),
    /// A text or number.
    Literal,
    Punctuation(char),
}

fn tokenize(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '-' if rest.peek() == Some(&'-') => {
                rest.by_ref().find(|c| *c == '\n');
            }
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut depth = 1;
                let mut previous = ' ';
                while depth > 0 {
                    let Some(c) = rest.next() else { break };
                    match (previous, c) {
                        ('*', '/') => depth -= 1,
                        ('/', '*') => depth += 1,
                        _ => {
                            previous = c;
                            continue;
                        }
                    }
                    previous = ' ';
                }
            }
            '\'' => {
                quoted(&mut rest, '\'');
                tokens.push(Token::Literal);
            }
            '"' | '`' => tokens.push(Token::Name(quoted(&mut rest, c))),
            c if c.is_alphabetic() || c == '_' => {
                let mut word = c.to_lowercase().to_string();
                while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '$') {
                    word.extend(c.to_lowercase());
                }
                tokens.push(Token::Word(word));
            }
            c if c.is_ascii_digit() => {
                while rest.next_if(|c| c.is_alphanumeric() || *c == '.' || *c == '_').is_some() {}
                tokens.push(Token::Literal);
            }
            c if c.is_whitespace() => {}
            c => tokens.push(Token::Punctuation(c)),
        }
    }
    tokens
}

/// The inside of quotes; a doubled quote stands for one.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> String {
    let mut inside = String::new();
    while let Some(c) = rest.next() {
        if c == quote && rest.next_if_eq(&quote).is_none() {
            break;
        }
        inside.push(c);
    }
    inside
}

/// The names that `WITH name AS (...)` defines, and from which token on they stand for what was defined.
fn common_tables(tokens: &[Token]) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for (i, token) in tokens.iter().enumerate() {
        if !is_word(Some(token), "with") {
            continue;
        }
        let recursive = is_word(tokens.get(i + 1), "recursive");
        let mut at = if recursive { i + 2 } else { i + 1 };
        while let Some(name) = tokens.get(at).and_then(identifier) {
            let begin = at;
            at += 1;
            if is_punctuation(tokens.get(at), '(') {
                at = behind_parenthesis(tokens, at);
            }
            if !is_word(tokens.get(at), "as") {
                break;
            }
            at += 1;
            while is_word(tokens.get(at), "not") || is_word(tokens.get(at), "materialized") {
                at += 1;
            }
            if !is_punctuation(tokens.get(at), '(') {
                break;
            }
            at = behind_parenthesis(tokens, at);
            found.insert(name.to_owned(), if recursive { begin } else { at });
            if !is_punctuation(tokens.get(at), ',') {
                break;
            }
            at += 1;
        }
    }
    found
}

fn behind_parenthesis(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Punctuation('(') => depth += 1,
            Token::Punctuation(')') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token, Some(Token::Word(found)) if found == word)
}

fn is_punctuation(token: Option<&Token>, wanted: char) -> bool {
    matches!(token, Some(Token::Punctuation(found)) if *found == wanted)
}

fn identifier(token: &Token) -> Option<&str> {
    match token {
        Token::Word(name) | Token::Name(name) => Some(name),
        _ => None,
    }
}

struct Scanner<'t> {
    tokens: &'t [Token],
    ctes: HashMap<String, usize>,
    found: Vec<String>,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        // For each open parenthesis: does FROM inside it belong to a function, as in `extract(year FROM paid_at)`?
        let mut inside_function = vec![false];
        for i in 0..self.tokens.len() {
            match &self.tokens[i] {
                Token::Punctuation('(') => {
                    let called = i.checked_sub(1).and_then(|before| self.tokens.get(before));
                    let takes_from = ["extract", "substring", "trim", "overlay", "position", "ceil", "floor"];
                    inside_function.push(takes_from.iter().any(|function| is_word(called, function)));
                }
                Token::Punctuation(')') if inside_function.len() > 1 => {
                    inside_function.pop();
                }
                Token::Word(word) if word == "join" => {
                    self.table(i + 1);
                }
                Token::Word(word) if word == "from" => {
                    let distinct_from = i.checked_sub(1).is_some_and(|before| is_word(self.tokens.get(before), "distinct"));
                    if distinct_from || inside_function.last() == Some(&true) {
                        continue;
                    }
                    self.tables(i + 1);
                }
                _ => {}
            }
        }
    }

    /// Tables with commas between them.
    fn tables(&mut self, mut at: usize) {
        loop {
            at = self.table(at);
            if is_word(self.tokens.get(at), "as") {
                at += 1;
            }
            if self.tokens.get(at).and_then(identifier).is_some_and(|word| !ends_table(word)) {
                at += 1;
                if is_punctuation(self.tokens.get(at), '(') {
                    at = behind_parenthesis(self.tokens, at);
                }
            }
            if !is_punctuation(self.tokens.get(at), ',') {
                return;
            }
            at += 1;
        }
    }

    /// One table, table function or subquery; answers the place behind it. Subqueries are read when their own FROM comes.
    fn table(&mut self, at: usize) -> usize {
        let at = if is_word(self.tokens.get(at), "lateral") { at + 1 } else { at };
        match self.tokens.get(at) {
            Some(Token::Punctuation('(')) => {
                // `FROM (payments)` and `FROM (a JOIN b ...)`: a name, not a query, comes first.
                let first = self.tokens.get(at + 1).and_then(identifier);
                if first.is_some_and(|word| !matches!(word, "select" | "with" | "values")) {
                    self.table(at + 1);
                }
                behind_parenthesis(self.tokens, at)
            }
            Some(Token::Word(_) | Token::Name(_)) if is_punctuation(self.tokens.get(at + 1), '(') => self.function(at),
            Some(Token::Word(_) | Token::Name(_)) => self.named(at),
            _ => at,
        }
    }

    fn function(&mut self, at: usize) -> usize {
        let values = ["unnest", "generate_series", "range", "values"];
        if values.iter().any(|function| is_word(self.tokens.get(at), function)) {
            return behind_parenthesis(self.tokens, at + 1);
        }
        let mut argument = at + 2;
        while is_word(self.tokens.get(argument), "table") || is_word(self.tokens.get(argument), "data") {
            argument += 1;
            while is_punctuation(self.tokens.get(argument), '=') || is_punctuation(self.tokens.get(argument), '>') {
                argument += 1;
            }
        }
        if is_punctuation(self.tokens.get(argument), '(') && !is_word(self.tokens.get(argument + 1), "select") {
            argument += 1;
        }
        self.table(argument);
        behind_parenthesis(self.tokens, at + 1)
    }

    fn named(&mut self, at: usize) -> usize {
        let Some(mut name) = self.tokens.get(at).and_then(identifier).map(str::to_owned) else {
            return at;
        };
        let mut end = at + 1;
        while is_punctuation(self.tokens.get(end), '.')
            && let Some(part) = self.tokens.get(end + 1).and_then(identifier)
        {
            name = format!("{name}.{part}");
            end += 2;
        }
        let is_cte = self.ctes.get(&name).is_some_and(|from| at >= *from);
        if !is_cte && !self.found.contains(&name) {
            self.found.push(name);
        }
        end
    }
}

/// Words that follow a table and are no alias of it.
fn ends_table(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "where",
        "group",
        "order",
        "having",
        "limit",
        "offset",
        "fetch",
        "union",
        "except",
        "intersect",
        "join",
        "inner",
        "left",
        "right",
        "full",
        "cross",
        "natural",
        "on",
        "using",
        "window",
        "qualify",
        "match_recognize",
        "for",
        "tablesample",
        "lateral",
        "from",
    ];
    WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tables_of_a_query() {
        let cases: &[(&str, &[&str])] = &[
            ("SELECT * FROM payments", &["payments"]),
            ("select a from Payments p where b > 1", &["payments"]),
            ("SELECT * FROM \"payments\"", &["payments"]),
            ("SELECT * FROM a, b AS x, c y WHERE a.id = x.id", &["a", "b", "c"]),
            ("SELECT * FROM a LEFT JOIN b ON a.id = b.id JOIN c USING (id)", &["a", "b", "c"]),
            ("SELECT * FROM a UNION ALL SELECT * FROM b", &["a", "b"]),
            ("SELECT * FROM (SELECT x FROM inner_table) t", &["inner_table"]),
            ("SELECT * FROM (a JOIN b ON a.i = b.i)", &["a", "b"]),
            ("SELECT card, count(*) FROM tumble(safe, INTERVAL '1 minute') GROUP BY card, window_start", &["safe"]),
            ("SELECT * FROM TABLE(TUMBLE(TABLE safe, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", &["safe"]),
            ("SELECT * FROM TABLE(hop(DATA => TABLE safe, SIZE => INTERVAL '1' MINUTE))", &["safe"]),
            ("SELECT * FROM tumble((SELECT * FROM a), INTERVAL '1 minute')", &["a"]),
            ("SELECT 'FROM nowhere', \"from\" FROM a -- FROM comment\n/* FROM b /* nested */ FROM c */", &["a"]),
            ("SELECT 'it''s FROM b' FROM a", &["a"]),
            ("WITH x AS (SELECT * FROM a), y AS (SELECT * FROM x JOIN b ON true) SELECT * FROM y", &["a", "b"]),
            ("WITH a AS (SELECT * FROM a) SELECT * FROM a", &["a"]),
            ("WITH RECURSIVE r (n) AS (SELECT n FROM seed UNION ALL SELECT n FROM r) SELECT * FROM r", &["seed"]),
            ("SELECT extract(year FROM paid_at), trim(both ' ' from name), substring(a from 1 for 2) FROM t", &["t"]),
            ("SELECT extract(year FROM (SELECT max(d) FROM u)) FROM t", &["u", "t"]),
            ("SELECT a IS DISTINCT FROM b, c IS NOT DISTINCT FROM d FROM t", &["t"]),
            ("SELECT * FROM t WHERE id IN (SELECT id FROM u) AND EXISTS (SELECT 1 FROM v)", &["t", "u", "v"]),
            ("SELECT * FROM t CROSS JOIN unnest(t.tags) AS x(tag)", &["t"]),
            ("SELECT * FROM a, a", &["a"]),
            ("SELECT * FROM main.a", &["main.a"]),
            ("SELECT 1", &[]),
            ("FROM", &[]),
            ("SELECT * FROM (", &[]),
            ("'unclosed FROM a", &[]),
            ("", &[]),
        ];
        for (sql, expected) in cases {
            assert_eq!(sql_inputs(sql), *expected, "{sql}");
        }
    }
}
