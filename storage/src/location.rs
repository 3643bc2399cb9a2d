//! Reading `storage.url`: where the objects lie, or a sentence that says what is wrong with it.

use std::path::PathBuf;

use crate::key;

/// The schemes that can be written.
const SCHEMES: [&str; 5] = ["file", "s3", "gs", "az", "memory"];

/// What other programs call the same things.
const ALIASES: [(&str, &str); 9] = [
    ("s3a", "s3"),
    ("s3n", "s3"),
    ("minio", "s3"),
    ("gcs", "gs"),
    ("azure", "az"),
    ("abfs", "az"),
    ("abfss", "az"),
    ("adl", "az"),
    ("mem", "memory"),
];

/// The services a bucket can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    Gcs,
    Azure,
}

/// A bucket (Azure: container) and the prefix of our keys in it: empty, or without a slash at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) service: Service,
    pub(crate) name: String,
    pub(crate) prefix: String,
}

/// Where the objects lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    Memory,
    Directory(PathBuf),
    Bucket(Bucket),
}

impl Location {
    /// Reads a URL or a path.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("storage.url is empty: give a directory or s3://bucket/prefix".to_owned());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.split_once(':') {
                Some((scheme, rest)) if SCHEMES.contains(&scheme) => {
                    let rest = rest.trim_start_matches('/');
                    let slashes = if scheme == "file" { ":///" } else { "://" };
                    Err(format!("{text:?} is not a URL: write {:?}", format!("{scheme}{slashes}{rest}")))
                }
                _ => Ok(Self::Directory(PathBuf::from(text))),
            };
        };
        match scheme {
            "memory" if rest.is_empty() || rest == "/" => Ok(Self::Memory),
            "memory" => Err(format!("{text:?} names something in memory: write \"memory://\"")),
            "file" => directory(text),
            "s3" => bucket(Service::S3, text, rest),
            "gs" => bucket(Service::Gcs, text, rest),
            "az" => bucket(Service::Azure, text, rest),
            _ => Err(format!(
                "{text:?} has the unknown scheme {scheme:?}: did you mean \"{}://\"? Known are file, s3, gs, az and memory",
                nearest(scheme)
            )),
        }
    }
}

fn directory(text: &str) -> Result<Location, String> {
    let url = url::Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} has a query or a fragment, which a directory has not"));
    }
    url.to_file_path().map(Location::Directory).map_err(|()| {
        let host = url.host_str().unwrap_or_default();
        format!("{text:?} names the host {host:?}: write three slashes, as in \"file:///{host}{}\"", url.path())
    })
}

fn bucket(service: Service, text: &str, rest: &str) -> Result<Location, String> {
    if rest.contains(['?', '#']) {
        return Err(format!("{text:?} has a query or a fragment: settings go into section storage.s3"));
    }
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        return Err(format!("{text:?} names no bucket: write for instance \"s3://bucket/prefix\""));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if let Some(found) = name.chars().find(|c| !allowed(*c)) {
        return Err(format!("{text:?} has the character {found:?} in the bucket's name"));
    }
    let prefix = prefix.trim_end_matches('/');
    match key::problem(prefix) {
        Some(problem) if !prefix.is_empty() => Err(format!("{text:?} has a prefix that cannot be: {problem}")),
        _ => Ok(Location::Bucket(Bucket { service, name: name.to_owned(), prefix: prefix.to_owned() })),
    }
}

fn nearest(scheme: &str) -> &'static str {
    let lower = scheme.to_ascii_lowercase();
    if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == lower) {
        return meant;
    }
    SCHEMES.into_iter().min_by_key(|known| distance(&lower, known)).unwrap_or("file")
}

/// Edits between two short words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        let check = |text: &str, expect: Location| assert_eq!(Location::parse(text), Ok(expect), "{text}");
        let dir = |path: &str| Location::Directory(PathBuf::from(path));
        let in_bucket = |service, name: &str, prefix: &str| {
            Location::Bucket(Bucket { service, name: name.to_owned(), prefix: prefix.to_owned() })
        };
        check("./spanlake-data", dir("./spanlake-data"));
        check("/var/lib/spanlake", dir("/var/lib/spanlake"));
        check("data", dir("data"));
        check("file:///var/lib/a%20b", dir("/var/lib/a b"));
        check("memory://", Location::Memory);
        check("s3://bucket", in_bucket(Service::S3, "bucket", ""));
        check("s3://bucket/", in_bucket(Service::S3, "bucket", ""));
        check("s3://my.bucket_1/a/b/", in_bucket(Service::S3, "my.bucket_1", "a/b"));
        check("gs://b/p", in_bucket(Service::Gcs, "b", "p"));
        check("az://container/p", in_bucket(Service::Azure, "container", "p"));
    }

    #[test]
    fn mistakes_are_explained() {
        let check = |text: &str, part: &str| {
            let problem = Location::parse(text).expect_err(text);
            assert!(problem.contains(part), "{text}: {problem}");
        };
        check("", "is empty");
        check("s4://b", "\"s3://\"");
        check("S3://b", "\"s3://\"");
        check("s3a://b/p", "\"s3://\"");
        check("gcs://b", "\"gs://\"");
        check("abfss://b", "\"az://\"");
        check("fiel:///x", "\"file://\"");
        check("memroy://", "\"memory://\"");
        check("s3:/bucket/p", "\"s3://bucket/p\"");
        check("s3:bucket", "\"s3://bucket\"");
        check("file:/x", "\"file:///x\"");
        check("file://data/x", "\"file:///data/x\"");
        check("s3://", "names no bucket");
        check("s3:///p", "names no bucket");
        check("s3://b/a//c", "empty segment");
        check("s3://b/../c", "'..'");
        check("s3://b?region=x", "storage.s3");
        check("s3://bu cket/p", "' '");
        check("memory://x", "\"memory://\"");
    }
}
