//! Options that many verbs have: time, form, colours.

use clap::{Args, ValueEnum};

use super::readable::{now_unix_nanos, parse_duration, parse_moment};
use super::terminal::{self, ColorChoice, Paint};
use crate::client::{Client, Failure, TargetArgs, path_part};

/// The form of an answer on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For people, with every column.
    Wide,
    /// One JSON document, with a member `version`.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Commas between, a header on top.
    Csv,
    /// OTLP as JSON, one line for each trace; of verbs that find traces.
    Otlp,
}

/// What every verb that reads takes.
#[derive(Debug, Clone, Default, Args)]
pub struct ReadArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub form: FormArgs,
}

/// How answers look.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How it looks")]
pub struct FormArgs {
    /// The form of the answer.
    #[arg(short, long, value_enum, value_name = "FORM", default_value = "table")]
    pub output: Output,
    /// When to write colours; NO_COLOR is honoured.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Print the link to the page that shows the same, and open it in a browser where there is one.
    #[arg(long)]
    pub open: bool,
}

impl FormArgs {
    /// The painter of stdout.
    pub fn paint(&self) -> Paint {
        Paint { is_on: self.color.is_on() }
    }

    /// Refuses OTLP where no traces are printed.
    ///
    /// # Errors
    /// If OTLP is asked for.
    pub fn without_otlp(&self) -> Result<(), Failure> {
        match self.output {
            Output::Otlp => Err(Failure::usage("-o otlp is a form of traces: `trace`, `search` and `export` have it")),
            _ => Ok(()),
        }
    }

    /// Ends an answer: the link to the same on the page, opened if asked. `path` begins with `/`.
    pub fn link(&self, client: &Client, path: &str) {
        let Some(page) = client.page() else {
            if self.open {
                terminal::note("there is no page to open: a store is read without a server");
            }
            return;
        };
        let tenant = client.tenant().map_or_else(String::new, |tenant| {
            format!("{}tenant={}", if path.contains('?') { '&' } else { '?' }, path_part(tenant))
        });
        let link = format!("{page}{path}{tenant}");
        if self.open {
            terminal::note(&link);
            open_in_browser(&link);
        } else {
            terminal::hint(&link);
        }
    }
}

/// Hands a link to the desktop, if there is one. What comes of it is not waited for.
fn open_in_browser(link: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let null = std::process::Stdio::null;
    let _ = std::process::Command::new(opener).arg(link).stdin(null()).stdout(null()).stderr(null()).spawn();
}

/// The time a question is about.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which time")]
pub struct TimeArgs {
    /// The last 15m, 1h, 7d...; 1h when nothing is said.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Begin: Unix seconds, RFC 3339, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    pub from: Option<String>,
    /// End; now when nothing is said.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

/// How far back questions go when nobody says.
const DEFAULT_SINCE_NANOS: u64 = 3_600_000_000_000;

impl TimeArgs {
    /// Begin and end in Unix nanoseconds.
    ///
    /// # Errors
    /// If one cannot be read, or the begin is not before the end.
    pub fn range(&self) -> Result<(u64, u64), Failure> {
        self.range_at(now_unix_nanos())
    }

    fn range_at(&self, now: u64) -> Result<(u64, u64), Failure> {
        let end = self.to.as_deref().map_or(Ok(now), |text| parse_moment("--to", text, now))?;
        let start = match (&self.from, &self.since) {
            (Some(text), _) => parse_moment("--from", text, now)?,
            (None, Some(text)) => end.saturating_sub(parse_duration("--since", text)?),
            (None, None) => end.saturating_sub(DEFAULT_SINCE_NANOS),
        };
        if start >= end {
            return Err(Failure::usage("the time is empty: --from must be before --to"));
        }
        Ok((start, end))
    }

    /// Begin and end as parameters of a question.
    ///
    /// # Errors
    /// As [`Self::range`].
    pub fn parameters(&self) -> Result<[(&'static str, String); 2], Failure> {
        let (start, end) = self.range()?;
        Ok(parameters(start, end))
    }

    /// The time as the page's address has it; what is relative stays so.
    ///
    /// # Errors
    /// As [`Self::range`].
    pub fn page_parameters(&self) -> Result<String, Failure> {
        if self.from.is_none() && self.to.is_none() {
            return Ok(format!("from=now-{}", path_part(self.since.as_deref().unwrap_or("1h"))));
        }
        let (start, end) = self.range()?;
        Ok(format!("from={}&to={}", crate::blocks::utc(start), crate::blocks::utc(end)))
    }

    /// Begin and end if any of them is said: where a time only makes a question cheaper.
    ///
    /// # Errors
    /// As [`Self::range`].
    pub fn hint(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let is_said = self.since.is_some() || self.from.is_some() || self.to.is_some();
        if is_said { Ok(self.parameters()?.into()) } else { Ok(Vec::new()) }
    }
}

/// A range as parameters: nanoseconds, which more than ten digits say.
pub fn parameters(start: u64, end: u64) -> [(&'static str, String); 2] {
    [("start", format!("{start:011}")), ("end", format!("{end:011}"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        const NOW: u64 = 1_764_115_200_000_000_000;
        const HOUR: u64 = 3_600_000_000_000;
        let check = |since: Option<&str>, from: Option<&str>, to: Option<&str>, expect: Option<(u64, u64)>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let args = TimeArgs { since: text(since), from: text(from), to: text(to) };
            assert_eq!(args.range_at(NOW).ok(), expect, "{since:?} {from:?} {to:?}");
        };
        check(None, None, None, Some((NOW - HOUR, NOW)));
        check(Some("2h"), None, None, Some((NOW - 2 * HOUR, NOW)));
        check(Some("1h"), None, Some("1h"), Some((NOW - 2 * HOUR, NOW - HOUR)));
        check(None, Some("2h"), Some("1h"), Some((NOW - 2 * HOUR, NOW - HOUR)));
        check(None, Some("1h"), Some("2h"), None);
        check(Some("soon"), None, None, None);
        let link = |since: Option<&str>, from: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            TimeArgs { since: text(since), from: text(from), to: text(from.map(|_| "2025-11-27")) }
                .page_parameters()
                .ok()
        };
        assert_eq!(link(Some("3h"), None).as_deref(), Some("from=now-3h"));
        assert_eq!(
            link(None, Some("2025-11-26")).as_deref(),
            Some("from=2025-11-26T00:00:00Z&to=2025-11-27T00:00:00Z")
        );
        assert_eq!(parameters(5, 7)[0], ("start", "00000000005".to_owned()));
    }
}
