//! Guesses at what was meant. It does no more than compare words.

/// The candidate that differs least from `word`, if it differs by little.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    // Long words are texts, not typing mistakes, and would cost time.
    if length > 40 {
        return None;
    }
    let most = (length / 3).max(1);
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be added, left out, replaced or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, &a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == right[j - 1] && left[i - 1] == b {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

/// Operators of other languages, and what to write for them.
pub(crate) fn foreign_operator(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "write `&&` for and",
        "or" => "write `||` for or",
        "not" => "write `!` for not, `!=` for inequality",
        "like" | "ilike" | "matches" | "regexp" | "rlike" | "contains" => {
            "write `=~` with a regular expression: `.x =~ \".*text.*\"`"
        }
        "in" => "there are no lists; write `=~ \"a|b\"` or `.x = 1 || .x = 2`",
        "is" | "exists" => "write `!= nil` for an attribute that is there, `= nil` for one that is not",
        "null" | "none" | "undefined" => "write `nil`",
        "eq" | "equals" => "write `=` for equality",
        "between" => "write two conditions: `.x >= 1 && .x <= 2`",
        "where" => "put conditions in braces: `{ .x = 1 }`",
        "select" => "`select` follows a pipe: `{ .x = 1 } | select(.y)`",
        _ => return None,
    })
}

/// How to write an attribute that was named without its dot.
pub(crate) fn dotted_name(name: &str) -> String {
    const RESOURCE: [&str; 11] = [
        "service.",
        "k8s.",
        "host.",
        "process.",
        "telemetry.",
        "cloud.",
        "deployment.",
        "container.",
        "os.",
        "faas.",
        "device.",
    ];
    let scope = if RESOURCE.iter().any(|prefix| name.starts_with(prefix)) { "resource" } else { "span" };
    format!("did you mean `.{name}` or `{scope}.{name}`?")
}
