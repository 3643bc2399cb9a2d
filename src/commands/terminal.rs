//! Stdout and stderr as people have them: how wide, whether in colours, whether anybody looks, and pipes that close.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Columns where stdout is no terminal and COLUMNS says nothing.
const DEFAULT_WIDTH: usize = 100;
/// How often progress is drawn anew.
const TICK: Duration = Duration::from_millis(120);

/// When to write colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Whether stdout gets colours.
    pub fn is_on(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let says_no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
                io::stdout().is_terminal() && !says_no && !is_dumb
            }
        }
    }
}

/// Columns of the terminal on stdout; else those that COLUMNS says, else [`DEFAULT_WIDTH`].
pub fn width() -> usize {
    let of_terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let said = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|columns| *columns > 0);
    of_terminal.map(|(width, _)| usize::from(width.0)).or_else(said).unwrap_or(DEFAULT_WIDTH)
}

/// Whether a table fits itself to a width: on a terminal, or where COLUMNS says one. Files and pipes get it whole.
pub fn table_width() -> Option<usize> {
    let is_said = std::env::var_os("COLUMNS").is_some();
    (io::stdout().is_terminal() || is_said).then(width)
}

/// Whether more than ASCII may be drawn: not where the locale is one without UTF-8.
pub fn has_unicode() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    // Containers often set none, and their terminals know UTF-8 all the same.
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Whether a person reads stderr.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// The reader of stdout has gone.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has gone")]
pub struct PipeClosed;

/// Writes to stdout.
///
/// # Errors
/// [`PipeClosed`] if the reader has gone; else what the system says.
pub fn print(bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(PipeClosed.into()),
        Err(error) => Err(anyhow::anyhow!("the output cannot be written: {error}")),
    }
}

/// Writes lines for programs to stdout. Files and pipes get them exactly; on a terminal [`is_harmful`] characters are blanks, and
/// in JSON their escapes.
///
/// # Errors
/// As [`print`].
pub fn print_data(bytes: impl AsRef<[u8]>, is_json: bool) -> anyhow::Result<()> {
    let bytes = bytes.as_ref();
    match std::str::from_utf8(bytes) {
        Ok(text) if io::stdout().is_terminal() => print(defused(text, is_json)),
        _ => print(bytes),
    }
}

/// Whether a character can move the cursor, change colours or the direction of writing.
pub fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// A text of several lines without what is harmful.
fn defused(text: &str, is_json: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            // JSON has such characters only inside its texts.
            c if is_harmful(c) && is_json => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if is_harmful(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A line on stderr. What a server or a file said may be in it.
pub fn note(line: &str) {
    // Whoever closed stderr does not want to hear.
    let _ = writeln!(io::stderr(), "{}", defused(line, false));
}

/// A line on stderr for a person; nothing when none looks.
pub fn hint(line: &str) {
    if is_watched() {
        note(line);
    }
}

/// Styles of the parts of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Whether anything is painted.
    pub is_on: bool,
}

impl Paint {
    /// What heads a table.
    pub fn head(self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    /// What failed.
    pub fn bad(self, text: &str) -> String {
        self.paint(text, AnsiColor::Red.on_default())
    }

    /// What deserves a look.
    pub fn warn(self, text: &str) -> String {
        self.paint(text, AnsiColor::Yellow.on_default())
    }

    /// What is well.
    pub fn good(self, text: &str) -> String {
        self.paint(text, AnsiColor::Green.on_default())
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.paint(text, Style::new().dimmed())
    }

    fn paint(self, text: &str, style: Style) -> String {
        if self.is_on && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// How far something is, on stderr, when a person looks.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins; `what` says what is being done.
    pub fn begin(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if is_watched() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Begins something that writes to stdout meanwhile: on one terminal the two would mix, so nothing is drawn there.
    pub fn begin_beside_output(what: &str) -> Self {
        if io::stdout().is_terminal() {
            return Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
        }
        Self::begin(what)
    }

    /// So many of so many are done.
    pub fn set(&self, done: u64, of: u64, what: &str) {
        if self.0.length() != Some(of) {
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}") {
                self.0.set_style(style);
            }
            self.0.set_length(of);
        }
        self.0.set_position(done);
        self.0.set_message(what.to_owned());
    }

    /// Says something else.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    /// Takes it off the terminal.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_nothing_harmful() {
        assert_eq!(defused("a\u{1b}[2J\nb\u{9b}c\u{202e}d\r", false), "a [2J\nb c d ");
        let text = "\u{9b}2J\u{7f}\u{202e}\u{1b}";
        let json = defused(&serde_json::json!({ text: [text] }).to_string(), true);
        assert!(json.is_ascii(), "{json}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).expect("still JSON"),
            serde_json::json!({ text: [text] })
        );
    }
}
