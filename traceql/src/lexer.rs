//! Text to words, with the place of each. It knows how words look, not in which order they may come.

use std::ops::Range;

use crate::ast::{Field, Intrinsic, Scope};
use crate::error::ParseError;
use crate::names::ends_name;
use crate::number::{NotANumber, Number, number};
use crate::quoted::{self, Quoted};
use crate::sign::{SIGNS, Sign};
use crate::suggest::nearest;

/// One word and where it stands, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) range: Range<usize>,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    /// Brackets, commas and operators.
    Sign(Sign),
    /// A name without a dot or colon: an intrinsic, a function, a keyword or a mistake. The text has it.
    Word,
    /// An attribute, or an intrinsic with its scope.
    Field(Field),
    String(String),
    Number(Number),
    /// Not a word of the language. It is last.
    Bad(Box<ParseError>),
    /// The end of the text.
    End,
}

/// Every word of the text; the last is [`TokenKind::End`] or [`TokenKind::Bad`]. Takes time in proportion to the text.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, position: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next();
        let is_last = matches!(token.kind, TokenKind::End | TokenKind::Bad(_));
        tokens.push(token);
        if is_last {
            return tokens;
        }
    }
}

/// Most bad words that are passed over: each costs a look at the whole text before it.
const MAX_BAD_TOKENS: usize = 32;

/// As [`tokens`], but goes on after what is bad, where what is bad has an end. There is no [`TokenKind::End`].
pub(crate) fn tolerant_tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, position: 0 };
    let mut tokens = Vec::new();
    let mut bad_count = 0;
    while bad_count < MAX_BAD_TOKENS {
        let token = lexer.next();
        if token.kind == TokenKind::End {
            break;
        }
        let is_bad = matches!(token.kind, TokenKind::Bad(_));
        bad_count += usize::from(is_bad);
        // A comment without an end is passed over by nothing.
        let is_stuck = is_bad && token.range.is_empty();
        tokens.push(token);
        if is_stuck {
            break;
        }
    }
    tokens
}

struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn next(&mut self) -> Token {
        let kind = match self.skip_space() {
            Ok(()) => None,
            Err(error) => Some(TokenKind::Bad(Box::new(error))),
        };
        let start = self.position;
        let kind = kind.unwrap_or_else(|| self.word().unwrap_or_else(|error| TokenKind::Bad(Box::new(error))));
        Token { kind, range: start..self.position }
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) -> Result<(), ParseError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.position += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.position += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    let range = self.position..self.position + 2;
                    return Err(
                        ParseError::new(self.text, range, "this comment is not closed").hint("close it by `*/`")
                    );
                };
                self.position += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Result<TokenKind, ParseError> {
        let rest = self.rest();
        let mut characters = rest.chars();
        let Some(first) = characters.next() else { return Ok(TokenKind::End) };
        let second = characters.next();
        match first {
            '"' | '`' => self.string(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '.' => {
                self.position += 1;
                self.attribute(false, Scope::Any)
            }
            '0'..='9' => self.number(),
            _ if first == '_' || first.is_alphabetic() => self.name(),
            _ => self.sign(first),
        }
    }

    fn sign(&mut self, first: char) -> Result<TokenKind, ParseError> {
        let start = self.position;
        let found = SIGNS.iter().find(|(text, _)| self.rest().starts_with(text));
        self.position += found.map_or(first.len_utf8(), |(text, _)| text.len());
        match found {
            Some((text, Sign::Wrong(hint))) => {
                let message = format!("there is no \"{text}\" in TraceQL");
                Err(ParseError::new(self.text, start..self.position, message).hint(*hint))
            }
            Some((_, sign)) => Ok(TokenKind::Sign(*sign)),
            None => {
                let message = format!("{first:?} means nothing here");
                Err(ParseError::new(self.text, start..self.position, message))
            }
        }
    }

    fn string(&mut self) -> Result<TokenKind, ParseError> {
        match quoted::string(self.rest()) {
            Ok(Quoted { value, length }) => {
                self.position += length;
                Ok(TokenKind::String(value))
            }
            Err(error) => {
                let start = self.position;
                self.position = self.text.len();
                let range = start + error.range.start..start + error.range.end;
                Err(ParseError::new(self.text, range, error.message).maybe_hint(error.hint.map(str::to_owned)))
            }
        }
    }

    fn number(&mut self) -> Result<TokenKind, ParseError> {
        let text = number_text(self.rest());
        let start = self.position;
        self.position += text.len();
        let range = start..self.position;
        match number(text) {
            Ok(number) => Ok(TokenKind::Number(number)),
            Err(NotANumber::TooLarge) => {
                Err(ParseError::new(self.text, range, "this number does not fit into 64 bits")
                    .hint("the bounds are `minInt` and `maxInt`"))
            }
            Err(NotANumber::Malformed) => {
                let message = format!("\"{text}\" is neither a number nor a duration");
                let fraction = text.contains('.') && text.ends_with(['d', 'w', 'y']);
                Err(ParseError::new(self.text, range, message).hint(if fraction {
                    "days, weeks and years take whole numbers: `36h`, not `1.5d`"
                } else {
                    "units of durations are ns, us, ms, s, m, h, d, w and y: `100ms`, `1h30m`"
                }))
            }
        }
    }

    /// A word, or a word that is a scope and what follows its dot or colon.
    fn name(&mut self) -> Result<TokenKind, ParseError> {
        let word = identifier(self.rest());
        self.position += word.len();
        match self.rest().chars().next() {
            Some('.') if word == "parent" => {
                self.position += 1;
                for scope in [Scope::Span, Scope::Resource] {
                    let prefix = scope.word().unwrap_or_default();
                    if self.rest().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')) {
                        self.position += prefix.len() + 1;
                        return self.attribute(true, scope);
                    }
                }
                self.attribute(true, Scope::Any)
            }
            Some('.') => match Scope::from_word(word) {
                Some(scope) => {
                    self.position += 1;
                    self.attribute(false, scope)
                }
                None => Ok(TokenKind::Word),
            },
            Some(':') => {
                let start = self.position - word.len();
                self.position += 1;
                self.position += identifier(self.rest()).len();
                let name = &self.text[start..self.position];
                match Intrinsic::from_name(name) {
                    Some(intrinsic) => Ok(TokenKind::Field(Field::Intrinsic(intrinsic))),
                    None => {
                        let message = format!("there is no intrinsic \"{name}\"");
                        let hint = nearest(name, Intrinsic::all_names().filter(|name| name.contains(':')));
                        Err(ParseError::new(self.text, start..self.position, message)
                            .maybe_hint(hint.map(|name| format!("did you mean `{name}`?"))))
                    }
                }
            }
            _ => Ok(TokenKind::Word),
        }
    }

    /// The key of an attribute: it ends at white space or a sign outside quotes.
    fn attribute(&mut self, of_parent: bool, scope: Scope) -> Result<TokenKind, ParseError> {
        let start = self.position;
        let mut key = String::new();
        while let Some(character) = self.rest().chars().next().filter(|&character| !ends_name(character)) {
            if character == '"' {
                match quoted::key(self.rest()) {
                    Ok(Quoted { value, length }) => {
                        key.push_str(&value);
                        self.position += length;
                    }
                    Err(error) => {
                        let range = self.position + error.range.start..self.position + error.range.end;
                        self.position = self.text.len();
                        let hint = error.hint.map(str::to_owned);
                        return Err(ParseError::new(self.text, range, error.message).maybe_hint(hint));
                    }
                }
            } else {
                key.push(character);
                self.position += character.len_utf8();
            }
        }
        if !key.is_empty() {
            return Ok(TokenKind::Field(Field::Attribute { of_parent, scope, key }));
        }
        let end = self.rest().chars().next().map_or(start, |character| start + character.len_utf8());
        Err(ParseError::unexpected(self.text, start..end.max(self.position), &["the name of an attribute"])
            .hint("names follow the dot at once: `.http.status_code`, `span.\"with space\"`"))
    }
}

/// Letters, digits and underscores at the start.
pub(crate) fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len());
    &text[..end]
}

/// Everything at the start that was meant as one number: digits, points, units and the sign of an exponent.
fn number_text(text: &str) -> &str {
    let mut end = 0;
    for (position, character) in text.char_indices() {
        let before = &text[..position];
        let is_exponent_sign = matches!(character, '+' | '-')
            && before.ends_with(['e', 'E'])
            && before[..before.len() - 1].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && text[position + 1..].starts_with(|c: char| c.is_ascii_digit());
        if !(character.is_alphanumeric() || matches!(character, '.' | '_') || is_exponent_sign) {
            break;
        }
        end = position + character.len_utf8();
    }
    &text[..end]
}
