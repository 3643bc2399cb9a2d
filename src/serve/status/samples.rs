//! The numbers of a metrics registry, read back from the form in which they are scraped: the one form that every metric has.

use std::collections::BTreeMap;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

/// All samples of some registries.
pub(super) struct Samples(Vec<Sample>);

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Samples {
    pub(super) fn read(registries: &[Registry]) -> Self {
        let mut text = String::new();
        for registry in registries {
            // Writing into a text cannot fail; a metric that cannot be encoded leaves out what follows it.
            let _ = encode_registry(&mut text, registry);
        }
        Self(text.lines().filter_map(sample).collect())
    }

    fn of<'a>(&'a self, name: &'a str, labels: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &Sample, (key, value): &(&str, &str)| {
            sample.labels.iter().any(|(known, of)| known == key && of == value)
        };
        self.0.iter().filter(move |sample| sample.name == name && labels.iter().all(|label| has(sample, label)))
    }

    /// The sum of a metric over all samples with these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).map(|sample| sample.value).sum()
    }

    /// The value of a metric without labels, if it is there.
    pub(super) fn one(&self, name: &str) -> Option<f64> {
        self.of(name, &[]).next().map(|sample| sample.value)
    }

    /// Sums of a metric by the value of a label.
    pub(super) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut by = BTreeMap::new();
        for sample in self.of(name, &[]) {
            if let Some((_, value)) = sample.labels.iter().find(|(key, _)| key == label) {
                *by.entry(value.clone()).or_default() += sample.value;
            }
        }
        by
    }

    /// A quantile of a histogram's buckets, evenly spread inside one; of the last one, which has no end, its beginning. Nothing when
    /// nothing was observed.
    pub(super) fn quantile(&self, buckets: &str, labels: &[(&str, &str)], share: f64) -> Option<f64> {
        let bound = |sample: &Sample| {
            let (_, text) = sample.labels.iter().find(|(key, _)| key == "le")?;
            let bound = if text == "+Inf" { f64::INFINITY } else { text.parse().ok()? };
            Some((bound, sample.value))
        };
        let mut counts: Vec<(f64, f64)> = self.of(buckets, labels).filter_map(bound).collect();
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = counts.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = total * share;
        let (mut from, mut before) = (0.0, 0.0);
        for (bound, count) in counts {
            if count >= rank && count > before {
                let within = (rank - before) / (count - before);
                return Some(if bound.is_finite() { from + (bound - from) * within } else { from });
            }
            (from, before) = (bound, count);
        }
        None
    }
}

/// One line: a name, labels in braces, a value; nothing for a comment.
fn sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (head, rest) = line.split_at(line.find(['{', ' '])?);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = value.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: head.to_owned(), labels, value })
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (key, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((key.to_owned(), value));
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let check = |line: &str, name: &str, expect: &[(&str, &str)], value: f64| {
            let read = sample(line).expect("a sample");
            let labels: Vec<(&str, &str)> =
                read.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!((read.name.as_str(), labels.as_slice(), read.value), (name, expect, value), "{line}");
        };
        check("a_total 7", "a_total", &[], 7.0);
        check("a{b=\"c\",d=\"e \\\"f\\\"\"} 1.5", "a", &[("b", "c"), ("d", "e \"f\"")], 1.5);
        check("a_bucket{le=\"+Inf\"} 3 # {x=\"y\"} 1", "a_bucket", &[("le", "+Inf")], 3.0);
        assert!(["", "# HELP a b", "a", "a{b", "a{b=\"c\"", "a b"].iter().all(|line| sample(line).is_none()));
    }

    #[test]
    fn quantiles_are_spread_inside_a_bucket() {
        let of = |text: &str| Samples(text.lines().filter_map(sample).collect());
        let samples = of("h{le=\"1.0\"} 2\nh{le=\"2.0\"} 4\nh{le=\"+Inf\"} 5\n");
        assert_eq!(samples.quantile("h", &[], 0.4), Some(1.0));
        assert_eq!(samples.quantile("h", &[], 0.6), Some(1.5));
        assert_eq!(samples.quantile("h", &[], 1.0), Some(2.0));
        assert_eq!(of("h{le=\"+Inf\"} 0").quantile("h", &[], 0.5), None);
    }
}
