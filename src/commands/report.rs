//! An answer as rows, and each form it can have. It knows neither the questions nor where rows come from.

use serde_json::{Value, json};

use super::layout::{self, Fitted};
use super::options::{FormArgs, Output};
use super::terminal::{self, Paint};

/// The version of the JSON that verbs print.
pub const JSON_VERSION: u32 = 1;
/// Longest cell of a table on one line; what is longer is cut there and nowhere else.
const MAX_CELL_CHARS: usize = 120;

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// What heads it.
    pub name: String,
    /// What is in it.
    pub content: Content,
    is_wide: bool,
}

/// What is in a column, which decides what becomes of it on a narrow terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Texts, which are cut.
    Text,
    /// Numbers, which stand at the right and are never cut.
    Number,
    /// Ids, of no use when cut.
    Id,
    /// Moments, which lose their date, then their milliseconds.
    Moment,
    /// Series as bars, which are drawn with fewer.
    Picture,
}

impl Column {
    /// A column of texts.
    pub fn text(name: impl Into<String>) -> Self {
        Self { name: name.into(), content: Content::Text, is_wide: false }
    }

    /// A column of numbers.
    pub fn number(name: impl Into<String>) -> Self {
        Self { content: Content::Number, ..Self::text(name) }
    }

    /// A column of ids.
    pub fn id(name: impl Into<String>) -> Self {
        Self { content: Content::Id, ..Self::text(name) }
    }

    /// A column of moments.
    pub fn moment(name: impl Into<String>) -> Self {
        Self { content: Content::Moment, ..Self::text(name) }
    }

    /// A column of series as bars.
    pub fn picture(name: impl Into<String>) -> Self {
        Self { content: Content::Picture, ..Self::text(name) }
    }

    /// Only in wide tables and CSV.
    pub fn wide(self) -> Self {
        Self { is_wide: true, ..self }
    }
}

/// One value: as people read it, and as programs do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    shown: String,
    exact: Option<String>,
}

impl Cell {
    /// A value that people and programs read differently.
    pub fn with_exact(shown: impl Into<String>, exact: impl ToString) -> Self {
        Self { shown: shown.into(), exact: Some(exact.to_string()) }
    }

    fn exact(&self) -> &str {
        self.exact.as_deref().unwrap_or(&self.shown)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { shown: text.into(), exact: None }
    }
}

/// A row of a table.
#[derive(Debug, Clone)]
pub struct Row {
    /// One for each column.
    pub cells: Vec<Cell>,
    /// The same for JSON lines.
    pub json: Value,
    /// Whether it tells of a failure.
    pub is_bad: bool,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Report {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The whole answer for JSON: an object, to which a version is added.
    pub json: Value,
}

impl Report {
    /// Prints in the form that is asked. Nothing is printed of a table without rows.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn print(&self, form: &FormArgs) -> anyhow::Result<()> {
        match form.output {
            Output::Json => print_json(&self.json),
            Output::Jsonl => {
                let lines: String = self.rows.iter().map(|row| format!("{}\n", row.json)).collect();
                terminal::print_data(lines, true)
            }
            Output::Csv => terminal::print_data(self.csv(), false),
            Output::Table | Output::Wide | Output::Otlp if self.rows.is_empty() => Ok(()),
            Output::Table => terminal::print(self.table(false, terminal::table_width(), form.paint())),
            Output::Wide | Output::Otlp => terminal::print(self.table(true, None, form.paint())),
        }
    }

    /// The table, each row on one line. `width` is how many columns of a terminal it may take: what is too wide is cut, and ids
    /// and numbers never are.
    pub fn table(&self, is_wide: bool, width: Option<usize>, paint: Paint) -> String {
        let shown = self.columns.iter().enumerate().filter(|(_, column)| is_wide || !column.is_wide);
        let mut columns: Vec<Fitted> = shown
            .map(|(at, column)| {
                let cells =
                    self.rows.iter().map(|row| row.cells.get(at).map_or_else(String::new, |cell| plain(&cell.shown)));
                Fitted::new(column, cells.collect())
            })
            .collect();
        if let Some(width) = width {
            layout::fit(&mut columns, width);
        }
        let mut out = format!("{}\n", paint.head(&layout::line(&columns, None)));
        for (number, row) in self.rows.iter().enumerate() {
            let line = layout::line(&columns, Some(number));
            out.push_str(&if row.is_bad { paint.bad(&line) } else { line });
            out.push('\n');
        }
        out
    }

    fn csv(&self) -> String {
        let mut out = String::new();
        csv_line(&mut out, self.columns.iter().map(|column| column.name.to_lowercase()));
        self.rows.iter().for_each(|row| csv_line(&mut out, row.cells.iter().map(|cell| cell.exact().to_owned())));
        out
    }
}

/// Prints one JSON document, with the version of its form.
///
/// # Errors
/// If stdout cannot be written.
pub fn print_json(value: &Value) -> anyhow::Result<()> {
    let mut whole = json!({ "version": JSON_VERSION });
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| whole[name] = member.clone()),
        other => whole["value"] = other.clone(),
    }
    terminal::print_data(format!("{whole:#}\n"), true)
}

/// Adds a line of CSV, as RFC 4180 has it but for the end of the line.
pub fn csv_line(out: &mut String, values: impl Iterator<Item = String>) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(',');
        }
        if value.contains([',', '"', '\n', '\r']) {
            out.push_str(&format!("\"{}\"", value.replace('"', "\"\"")));
        } else {
            out.push_str(&value);
        }
    }
    out.push('\n');
}

/// A text from outside on one line of a terminal: harmful characters become blanks, what is very long is cut.
pub fn plain(text: &str) -> String {
    let blank = |c| if terminal::is_harmful(c) { ' ' } else { c };
    let mut out: String = text.chars().take(MAX_CELL_CHARS).map(blank).collect();
    if text.chars().nth(MAX_CELL_CHARS).is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |name: &str, nanos: u64, is_bad| Row {
            cells: vec![name.into(), Cell::with_exact(format!("{nanos}ns"), nanos), "more".into()],
            json: json!({ "name": name }),
            is_bad,
        };
        Report {
            columns: vec![Column::text("NAME"), Column::number("TIME"), Column::text("MORE").wide()],
            rows: vec![row("a,\"b\"", 5, false), row("line\nbreak \u{1b}[31m", 1234, true)],
            json: json!({ "names": [] }),
        }
    }

    #[test]
    fn tables_have_a_line_for_each_row() {
        let plain = Paint { is_on: false };
        let text = report().table(false, None, plain);
        assert_eq!(text, "NAME                TIME\na,\"b\"                5ns\nline break  [31m  1234ns\n");
        let wide = report().table(true, None, plain);
        assert!(wide.lines().next().is_some_and(|line| line.ends_with("MORE")), "{wide}");
        let narrow = report().table(false, Some(16), plain);
        assert_eq!(narrow.lines().count(), 3, "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 16), "{narrow}");
        let painted = report().table(false, None, Paint { is_on: true });
        assert!(painted.lines().nth(2).is_some_and(|line| line.starts_with("\u{1b}[31m")), "{painted:?}");
    }

    #[test]
    fn csv_is_quoted() {
        assert_eq!(report().csv(), "name,time,more\n\"a,\"\"b\"\"\",5,more\n\"line\nbreak \u{1b}[31m\",1234,more\n");
    }
}
