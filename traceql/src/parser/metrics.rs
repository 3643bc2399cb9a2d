//! What is counted over time, and what happens to the series afterwards.

use super::{Node, Parser, field_op};
use crate::ast::{Field, Metrics, MetricsFunction, SecondStage};
use crate::check::{self, Type};
use crate::error::ParseError;
use crate::limits::{MAX_LABELS, MAX_LABELS_WITH_OWN};
use crate::sign::Sign;
use crate::suggest;
use crate::value::Value;

/// Words that start the metrics part.
pub(crate) const WORDS: [&str; 9] = [
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "avg_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
];
/// Words that start a later stage of it.
pub(crate) const SECOND_WORDS: [&str; 2] = ["topk", "bottomk"];
/// What `compare` keeps if it is not told.
const DEFAULT_TOP: usize = 10;

impl Parser<'_> {
    /// A function that starts here, its labels and the stages behind it.
    pub(super) fn metrics(&mut self) -> Result<Metrics, ParseError> {
        let word = self.word().unwrap_or_default();
        let name = self.range();
        self.count_node(&name)?;
        self.advance();
        let open = self.expect(Sign::OpenParen, &["`(`"])?;
        let function = match word {
            "rate" | "count_over_time" => {
                self.expect(Sign::CloseParen, &["`)`"])
                    .map_err(|error| error.hint(format!("`{word}()` counts spans and takes nothing")))?;
                if word == "rate" { MetricsFunction::Rate } else { MetricsFunction::CountOverTime }
            }
            "compare" => self.compare()?,
            _ => {
                if self.sign() == Some(Sign::CloseParen) {
                    let hint = format!("say of what: `{word}(duration)`, `{word}(span.x)`");
                    return Err(self.unexpected(&["a field"]).hint(hint));
                }
                let field = self.measured()?;
                let function = match word {
                    "min_over_time" => MetricsFunction::MinOverTime(field),
                    "max_over_time" => MetricsFunction::MaxOverTime(field),
                    "sum_over_time" => MetricsFunction::SumOverTime(field),
                    "avg_over_time" => MetricsFunction::AvgOverTime(field),
                    "histogram_over_time" => MetricsFunction::HistogramOverTime(field),
                    _ => MetricsFunction::QuantileOverTime { field, quantiles: self.quantiles()? },
                };
                self.expect(Sign::CloseParen, &["`)`"])?;
                function
            }
        };
        let by = self.labels(&function)?;
        let start = self.range();
        let second = self.second_stages()?;
        if matches!(function, MetricsFunction::Compare { .. }) && !second.is_empty() {
            return Err(self.error(&(start.start..start.end.max(open.end)), "nothing may follow `compare(...)`"));
        }
        Ok(Metrics { function, by, second })
    }

    /// The field whose values are measured.
    fn measured(&mut self) -> Result<Field, ParseError> {
        let field = self.field()?;
        if field.kind.may_be(Type::Number) {
            return Ok(field.tree);
        }
        let message =
            format!("only numbers and durations can be measured, and `{}` is {}", field.tree, field.kind.words());
        Err(self.error(&field.range, message))
    }

    /// `, 0.5, 0.9`
    fn quantiles(&mut self) -> Result<Vec<f64>, ParseError> {
        let mut quantiles = Vec::new();
        self.expect(Sign::Comma, &["`,` and a quantile"])
            .map_err(|error| error.hint("say which quantiles: `quantile_over_time(duration, 0.5, 0.99)`"))?;
        loop {
            let quantile = self.signed_literal(&["a quantile between 0 and 1"])?;
            self.count_node(&quantile.range)?;
            let value = match quantile.tree {
                Value::Float(value) => value,
                Value::Int(value) => value as f64,
                _ => f64::NAN,
            };
            if !(0.0..=1.0).contains(&value) {
                let error = self.error(&quantile.range, "a quantile is a number between 0 and 1");
                return Err(error.maybe_hint(
                    (1.0..=100.0).contains(&value).then(|| format!("write `{}` for {value} %", value / 100.0)),
                ));
            }
            quantiles.push(value);
            if !self.take(Sign::Comma) {
                return Ok(quantiles);
            }
        }
    }

    /// `{selection}, top, start, end)`
    fn compare(&mut self) -> Result<MetricsFunction, ParseError> {
        let selection = self.filter().map_err(|error| {
            if error.hint.is_none() {
                error.hint("`compare` takes one filter: `compare({ status = error })`")
            } else {
                error
            }
        })?;
        let mut numbers: Vec<Node<Value>> = Vec::new();
        while self.take(Sign::Comma) {
            numbers.push(self.signed_literal(&["a whole number"])?);
        }
        let close = self.expect(Sign::CloseParen, &["`,`", "`)`"])?;
        let whole = |node: &Node<Value>| match node.tree {
            Value::Int(value) if value >= 0 => Ok(value),
            _ => Err(self.error(&node.range, "this must be a whole number that is not negative")),
        };
        let top = match numbers.first() {
            Some(node) => self.positive(node)?,
            None => DEFAULT_TOP,
        };
        let range = match &numbers[numbers.len().min(1)..] {
            [] => None,
            [start, end] => {
                let (from, to) = (whole(start)?, whole(end)?);
                if to <= from {
                    return Err(self.error(&end.range, "the end must be later than the start"));
                }
                Some((from, to))
            }
            [.., last] => {
                return Err(self
                    .error(&(last.range.start..close.end), "`compare` takes a start and an end, or neither")
                    .hint("`compare({ ... }, 10, start, end)`, both in nanoseconds since 1970"));
            }
        };
        Ok(MetricsFunction::Compare { selection: selection.0, top, range })
    }

    /// A count from 1.
    fn positive(&self, node: &Node<Value>) -> Result<usize, ParseError> {
        let count = match node.tree {
            Value::Int(value) => usize::try_from(value).ok().filter(|&count| count > 0),
            _ => None,
        };
        count.ok_or_else(|| self.error(&node.range, "this must be a whole number from 1 on"))
    }

    /// `by(a, b)`
    fn labels(&mut self, function: &MetricsFunction) -> Result<Vec<Field>, ParseError> {
        if self.word() != Some("by") {
            return Ok(Vec::new());
        }
        let name = self.range();
        if matches!(function, MetricsFunction::Compare { .. }) {
            return Err(self.error(&name, "nothing may follow `compare(...)`"));
        }
        self.advance();
        let fields = self.fields()?;
        let most = match function {
            MetricsFunction::QuantileOverTime { .. } | MetricsFunction::HistogramOverTime(_) => MAX_LABELS_WITH_OWN,
            _ => MAX_LABELS,
        };
        if fields.len() > most {
            let message = format!("`{}` takes at most {most} fields in `by`, not {}", function.name(), fields.len());
            return Err(self.error(&name, message));
        }
        Ok(fields)
    }

    fn second_stages(&mut self) -> Result<Vec<SecondStage>, ParseError> {
        let mut stages = Vec::new();
        loop {
            if let Some(op) = self.sign().and_then(field_op).filter(|&op| check::is_comparison(op)) {
                self.advance();
                stages.push(SecondStage::Filter { op, value: self.threshold()? });
            } else if self.take(Sign::Pipe) {
                stages.push(self.ranking()?);
            } else {
                return Ok(stages);
            }
            self.count_node(&self.range())?;
        }
    }

    /// The number that samples are compared with.
    fn threshold(&mut self) -> Result<f64, ParseError> {
        let value = self.signed_literal(&["a number or a duration"])?;
        match value.tree {
            Value::Int(value) => Ok(value as f64),
            Value::Float(value) => Ok(value),
            Value::Duration(nanos) => Ok(nanos as f64 / 1e9),
            _ => Err(self.error(&value.range, "samples are compared with numbers and durations")),
        }
    }

    /// `topk(10)`
    fn ranking(&mut self) -> Result<SecondStage, ParseError> {
        let word = self.word().filter(|word| SECOND_WORDS.contains(word)).ok_or_else(|| self.not_a_ranking())?;
        self.advance();
        self.expect(Sign::OpenParen, &["`(`"])?;
        let node = self.signed_literal(&["how many series to keep"])?;
        let count = self.positive(&node)?;
        self.expect(Sign::CloseParen, &["`)`"])?;
        Ok(if word == "topk" { SecondStage::TopK(count) } else { SecondStage::BottomK(count) })
    }

    fn not_a_ranking(&self) -> ParseError {
        let error = self.unexpected(&["`topk(n)`", "`bottomk(n)`"]);
        match (self.sign(), self.word()) {
            (Some(sign), _) if field_op(sign).is_some_and(check::is_comparison) => {
                error.hint("comparisons of samples have no pipe before them: `| rate() > 10`")
            }
            (_, Some(word)) => {
                let hint = suggest::nearest(word, SECOND_WORDS).map(|name| format!("did you mean `{name}`?"));
                error.maybe_hint(hint)
            }
            _ => error,
        }
    }
}
