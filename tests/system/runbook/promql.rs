//! As much of PromQL as alerts need: operators, functions, aggregations, selectors with ranges. What it cannot read is an
//! error, so that an alert is written in what it can.

use std::iter::Peekable;
use std::str::Chars;

/// The names of the metrics that an expression looks at.
pub fn metrics(expression: &str) -> Result<Vec<String>, String> {
    let mut parser = Parser { rest: expression.chars().peekable(), metrics: Vec::new() };
    parser.expression(0)?;
    match parser.next_char() {
        None => Ok(parser.metrics),
        Some(other) => Err(format!("{other:?} is not expected")),
    }
}

/// Binary operators by how tightly they bind.
const OPERATORS: [&[&str]; 5] =
    [&["or"], &["and", "unless"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
const AGGREGATIONS: [&str; 8] = ["sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile"];
const FUNCTIONS: [&str; 10] = [
    "rate",
    "irate",
    "increase",
    "histogram_quantile",
    "absent",
    "changes",
    "time",
    "max_over_time",
    "avg_over_time",
    "deriv",
];

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    metrics: Vec<String>,
}

impl Parser<'_> {
    fn next_char(&mut self) -> Option<char> {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
        self.rest.peek().copied()
    }

    fn take(&mut self, text: &str) -> bool {
        self.next_char();
        let mut ahead = self.rest.clone();
        if !text.chars().all(|c| ahead.next() == Some(c)) {
            return false;
        }
        // A word is not the beginning of a longer one.
        let is_word = text.ends_with(|c: char| c.is_alphabetic());
        if is_word && ahead.peek().is_some_and(|c| c.is_alphanumeric() || *c == '_') {
            return false;
        }
        self.rest = ahead;
        true
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        if self.take(text) { Ok(()) } else { Err(format!("{text:?} is missing before {:?}", self.next_char())) }
    }

    fn word(&mut self) -> Result<String, String> {
        self.next_char();
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == ':') {
            word.push(c);
        }
        if word.starts_with(|c: char| c.is_alphabetic()) { Ok(word) } else { Err(format!("{word:?} is no name")) }
    }

    fn expression(&mut self, level: usize) -> Result<(), String> {
        let Some(operators) = OPERATORS.get(level) else { return self.operand() };
        self.expression(level + 1)?;
        while operators.iter().any(|operator| self.take(operator)) {
            self.take("bool");
            self.expression(level + 1)?;
        }
        Ok(())
    }

    fn operand(&mut self) -> Result<(), String> {
        match self.next_char() {
            Some('(') => {
                self.expect("(")?;
                self.expression(0)?;
                self.expect(")")
            }
            Some(c) if c.is_ascii_digit() => self.number(),
            _ => self.named(),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '.') {
            text.push(c);
        }
        text.parse::<f64>().map(|_| ()).map_err(|_| format!("{text:?} is no number"))
    }

    fn named(&mut self) -> Result<(), String> {
        let name = self.word()?;
        if AGGREGATIONS.contains(&name.as_str()) {
            self.grouping()?;
            self.arguments()?;
            return self.grouping();
        }
        if FUNCTIONS.contains(&name.as_str()) {
            return self.arguments();
        }
        self.metrics.push(name);
        self.selector()
    }

    fn grouping(&mut self) -> Result<(), String> {
        if !self.take("by") && !self.take("without") {
            return Ok(());
        }
        self.expect("(")?;
        while !self.take(")") {
            self.word()?;
            self.take(",");
        }
        Ok(())
    }

    fn arguments(&mut self) -> Result<(), String> {
        self.expect("(")?;
        while !self.take(")") {
            self.expression(0)?;
            self.take(",");
        }
        Ok(())
    }

    fn selector(&mut self) -> Result<(), String> {
        if self.take("{") {
            while !self.take("}") {
                self.word()?;
                if !["=~", "!~", "!=", "="].iter().any(|operator| self.take(operator)) {
                    return Err("a label has no operator".to_owned());
                }
                self.expect("\"")?;
                while self.rest.next_if(|c| *c != '"').is_some() {}
                self.expect("\"")?;
                self.take(",");
            }
        }
        if self.take("[") {
            let mut digits = 0;
            while self.rest.next_if(char::is_ascii_digit).is_some() {
                digits += 1;
            }
            if digits == 0 || !["ms", "s", "m", "h", "d", "w"].iter().any(|unit| self.take(unit)) {
                return Err("a range is no duration".to_owned());
            }
            self.expect("]")?;
        }
        Ok(())
    }
}

#[test]
fn expressions_are_read_and_mistakes_are_found() {
    let check = |expression: &str, expect: Option<&[&str]>| {
        let found = metrics(expression).ok();
        let expect = expect.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expect, "{expression}");
    };
    check("a > 1", Some(&["a"]));
    check("sum by (le, b) (rate(a_total{x=~\"5..\",y!=\"\"}[5m])) / (b + 1.5e9) > 0.05", Some(&["a_total", "b"]));
    check(
        "histogram_quantile(0.99, sum(rate(a_bucket[1h])) by (le)) == 0 or absent(order)",
        Some(&["a_bucket", "order"]),
    );
    for wrong in ["", "a >", "sum(a", "rate(a[5])", "a{b}", "a{b=\"c}", "a b", "1 + * 2", "rate(a[5m]", "a)"] {
        check(wrong, None);
    }
}
