//! What is asked of a SQL text before it is parsed: how long it is, and which names it quotes.
//!
//! Parsers and planners recurse, so what they are given is bounded first. Every level of nesting takes at least one word
//! or sign that is neither a literal nor a comma; a long list of literals takes none.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::error::SqlError;

/// Longest SQL text, in bytes.
pub const MAX_SQL_BYTES: usize = 128 << 10;
/// Most words and signs of a SQL text; literals, commas, spaces and comments are not counted.
pub const MAX_SQL_WORDS: usize = 2_000;

/// What a text says before it is understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Quoted names, as they may be names of columns.
    pub(super) quoted: BTreeSet<String>,
    /// Whether it may ask for all columns there are, or what they are.
    pub(super) asks_for_all: bool,
}

/// Looks at a text.
///
/// # Errors
/// [`SqlError::Invalid`] when it is too long, or when a literal does not end.
pub(super) fn look(sql: &str) -> Result<Looked, SqlError> {
    if sql.len() > MAX_SQL_BYTES {
        let text = format!("the SQL has {} bytes: at most {MAX_SQL_BYTES} are allowed", sql.len());
        return Err(SqlError::Invalid(text));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    let tokens = tokens.map_err(|error| SqlError::Invalid(format!("the SQL does not parse: {error}")))?;
    let mut looked = Looked::default();
    let mut words = 0;
    // Whether a star here would stand for columns.
    let mut before_columns = false;
    for token in &tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        let after = std::mem::replace(&mut before_columns, lists_columns(token));
        match token {
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::HexStringLiteral(_)
            | Token::Comma
            | Token::EOF => continue,
            Token::Word(word) if word.quote_style.is_some() => {
                looked.quoted.insert(word.value.clone());
            }
            Token::Word(word) => {
                let asks = ["show", "describe", "desc", "information_schema"];
                looked.asks_for_all |= asks.iter().any(|asks| word.value.eq_ignore_ascii_case(asks));
            }
            Token::Mul => looked.asks_for_all |= after,
            _ => {}
        }
        words += 1;
    }
    if words > MAX_SQL_WORDS {
        let text = format!(
            "the SQL has {words} words and signs (without literals and commas): at most {MAX_SQL_WORDS} are allowed. \
             Instead of many comparisons with OR write IN (...)."
        );
        return Err(SqlError::Invalid(text));
    }
    Ok(looked)
}

/// Whether a star that follows stands for columns. After other words and signs it multiplies, and in `count(*)` it stands for
/// rows.
fn lists_columns(token: &Token) -> bool {
    match token {
        Token::Period | Token::Comma => true,
        Token::Word(word) if word.quote_style.is_none() => {
            ["select", "distinct", "all"].iter().any(|opens| word.value.eq_ignore_ascii_case(opens))
        }
        // The end of `DISTINCT ON (...)`, where it may multiply too.
        Token::RParen => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_names_and_stars_are_seen() {
        let check = |sql: &str, quoted: &[&str], asks_for_all: bool| {
            let looked = look(sql).expect("it is short");
            assert_eq!(looked.quoted.iter().map(String::as_str).collect::<Vec<_>>(), quoted, "{sql}");
            assert_eq!(looked.asks_for_all, asks_for_all, "{sql}");
        };
        check("SELECT * FROM spans", &[], true);
        check("SELECT count(*), count( * ) FROM spans", &[], false);
        check(r#"SELECT s."span.a", "resource.b""c" FROM spans s -- "no""#, &["resource.b\"c", "span.a"], false);
        check("SELECT '\"span.a\"'", &[], false);
        check("SELECT 2 * 3, duration_nanos * 2 FROM spans", &[], false);
        check("SELECT s.*, 1 FROM spans s", &[], true);
        check("SELECT 1, * FROM spans", &[], true);
        check("SELECT DISTINCT /* all */ * FROM spans", &[], true);
        check("SELECT DISTINCT ON (name) * FROM spans", &[], true);
        check("describe spans", &[], true);
    }

    #[test]
    fn long_texts_are_refused_and_long_lists_are_not() {
        let refusal = |sql: &str| look(sql).expect_err("it is too long").to_string();
        assert!(refusal(&"x".repeat(MAX_SQL_BYTES + 1)).contains("131072"));
        let terms: Vec<String> = (0..10_000).map(|i| format!("a={i}")).collect();
        assert!(refusal(&format!("SELECT 1 WHERE {}", terms.join(" OR "))).contains("IN (...)"));
        assert!(refusal(&"(".repeat(100_000)).contains("2000"));
        assert!(refusal("SELECT 'a").contains("Line: 1"));
        let list: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
        look(&format!("SELECT 1 WHERE a IN ({})", list.join(","))).expect("literals are not counted");
    }
}
