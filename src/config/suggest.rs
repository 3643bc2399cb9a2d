//! The nearest valid name to a mistyped one. It knows texts only.

/// The candidate that takes the fewest edits to reach, if that is few enough to be a slip: at most a third of the
/// letters, and always at least one edit. The first of equals wins.
pub fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (text.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (edit_distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The nearest of the dotted `known` keys: a slip in the last part within the same section, the same last part in
/// another section, then a slip anywhere.
pub fn nearest_key<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let (section, last) = split(key);
    let in_section = known.iter().map(|k| split(k)).filter(|(s, _)| *s == section).map(|(_, last)| last);
    if let Some(found) = nearest(last, in_section) {
        return known.iter().find(|k| split(k) == (section, found)).map(String::as_str);
    }
    let elsewhere = known.iter().find(|k| split(k).1 == last);
    elsewhere.map(String::as_str).or_else(|| nearest(key, known.iter().map(String::as_str)))
}

/// A dotted key as section and last part; the section of a key at the top is empty.
pub fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// Optimal string alignment distance: insertions, deletions, substitutions, and swaps of neighbours count one each.
/// Source: L. Boytsov, "Indexing methods for approximate dictionary searching", 2011, section 2.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substituted = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let check = |a, b, expect| assert_eq!(edit_distance(a, b), expect, "{a} {b}");
        check("", "", 0);
        check("", "abc", 3);
        check("url", "url", 0);
        check("ulr", "url", 1);
        check("urll", "url", 1);
        check("buket", "bucket", 1);
        check("abc", "xyz", 3);
    }

    #[test]
    fn keys() {
        let known: Vec<String> = ["roles", "storage.url", "storage.s3.region", "otlp.grpc_listen", "otlp.http_listen"]
            .map(String::from)
            .to_vec();
        let check = |key, expect| assert_eq!(nearest_key(key, &known), expect, "{key}");
        check("storage.ulr", Some("storage.url"));
        check("server.grpc_listen", Some("otlp.grpc_listen"));
        check("storge.url", Some("storage.url"));
        check("storage.region", Some("storage.s3.region"));
        check("role", Some("roles"));
        check("otlp.htp_listen", Some("otlp.http_listen"));
        check("colour", None);
    }
}
