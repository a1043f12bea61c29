//! Planning recurses as deeply as a query nests: bounds for what people write, room for what parsers do.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Token, Tokenizer},
};

use super::error::Issue;

/// Longer queries are refused. A chain of operators nests once for every two tokens.
const MAX_TOKENS: usize = 8_192;
/// Enough for the deepest tree that so many tokens make, in an unoptimised build; pages are touched only when used.
const STACK_BYTES: usize = 128 << 20;

/// Runs the recursive part of planning, on a text of bounded length, on a stack that is deep enough for it.
pub(super) fn with_room<T: Send>(text: &str, plan: impl FnOnce() -> Result<T, Vec<Issue>> + Send) -> Result<T, Vec<Issue>> {
    if is_too_long(text) {
        let message = format!("the text has more than {MAX_TOKENS} words and signs");
        return Err(vec![Issue::new("sql-too-large", message).help("split it into several steps or rules")]);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("weir-sql".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, plan);
        match thread.map(|thread| thread.join()) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(vec![Issue::new("sql", format!("the query could not be planned: {error}")).help("try again")]),
        }
    })
}

fn is_too_long(text: &str) -> bool {
    // Text that is no SQL at all is the parser's to refuse.
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default();
    tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count() > MAX_TOKENS
}
