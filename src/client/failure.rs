//! What went wrong, as one line that says what to do, and the exit code it ends with.

use http::StatusCode;

/// Exit code of a failure.
pub const ERROR: u8 = 1;
/// Exit code of a command line, query or id that is wrong.
pub const USAGE: u8 = 2;
/// Exit code when nothing was found.
pub const NOTHING: u8 = 3;

/// Longest sentence of a server that is repeated: a proxy's may be a page.
const MAX_SAID_CHARS: usize = 500;

/// A failure of a verb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// Whether the server is a Spanlake that does not know the path: one of another version.
    pub is_unknown_path: bool,
    text: String,
}

impl Failure {
    /// Something failed.
    pub fn error(text: impl Into<String>) -> Self {
        Self { code: ERROR, is_unknown_path: false, text: text.into() }
    }

    /// What was asked is wrong.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::error(text) }
    }

    /// There is no such thing.
    pub fn nothing(text: impl Into<String>) -> Self {
        Self { code: NOTHING, ..Self::error(text) }
    }

    fn unknown_path(path: &str, said: &str) -> Self {
        let text = format!("this Spanlake does not answer {path}{said}; is it as new as this command?");
        Self { is_unknown_path: true, ..Self::error(text) }
    }

    /// What a Spanlake refused. Its own sentence says what to change; it is put on one line.
    pub fn of_status(status: StatusCode, text: &str, path: &str) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = if text.is_empty() { status.to_string() } else { text.chars().take(MAX_SAID_CHARS).collect() };
        match status.as_u16() {
            400 => Self::usage(said),
            401 => {
                Self::usage(format!("{said} (--tenant says whose traces, --token-file and --header carry credentials)"))
            }
            403 => Self::error(format!("access is denied: {said} (--token-file and --header carry credentials)")),
            404 if said.contains("is not a path of this API") || said.contains("nothing is served under this path") => {
                Self::unknown_path(path, &format!(": {said}"))
            }
            404 => Self::nothing(said),
            405 => Self::unknown_path(path, ""),
            422 => Self::error(format!("{said} (a shorter time, --since, needs less)")),
            429 => Self::error(format!("{said}: try again in a moment")),
            _ => Self::error(format!("{said} ({status})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_lines() {
        let check = |status: u16, text: &str, code: u8, expect: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            let failure = Failure::of_status(status, text, "/api/v1/x");
            assert_eq!(failure.code, code, "{failure}");
            assert!(failure.to_string().contains(expect) && !failure.to_string().contains('\n'), "{failure}");
        };
        check(400, "invalid TraceQL query:\n  line 1", 2, "invalid TraceQL query: line 1");
        check(401, "no org id", 2, "--tenant");
        check(404, "", 3, "404");
        check(404, "404 page not found: /api/v1/x is not a path of this API", 1, "as new as this command");
        check(503, "the store is out of reach", 1, "503");
    }
}
