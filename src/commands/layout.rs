//! Columns of a table side by side on a terminal: how wide each is, and what gives way when there is no room. It knows widths,
//! not what is told.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::report::{Column, Content};
use super::sparkline;
use super::terminal;

/// Blanks between two columns.
const GAP: usize = 2;
/// Texts are not cut below this: rather a column is left out.
const MIN_TEXT: usize = 8;
/// A picture with fewer bars shows nothing.
const MIN_PICTURE: usize = 8;

/// A column with its texts as they are shown.
#[derive(Debug, Clone)]
pub struct Fitted {
    content: Content,
    width: usize,
    head: String,
    cells: Vec<String>,
}

impl Fitted {
    /// A column of its full width. `cells` have no control characters.
    pub fn new(column: &Column, cells: Vec<String>) -> Self {
        let mut fitted = Self { content: column.content, width: 0, head: column.name.clone(), cells };
        fitted.width = fitted.natural();
        fitted
    }

    fn natural(&self) -> usize {
        self.cells.iter().chain([&self.head]).map(|text| text.width()).max().unwrap_or(0)
    }

    fn is_text(&self) -> bool {
        self.content == Content::Text
    }

    /// The least that it may become.
    fn least(&self) -> usize {
        if self.is_text() { self.width.min(MIN_TEXT) } else { self.width }
    }

    /// The moments without what they have in common: the date, else the year; and without milliseconds.
    fn shorten_moments(&mut self) {
        let date = |cell: &String| cell.get(..10).map(str::to_owned);
        let first = self.cells.first().and_then(date);
        let from = if self.cells.iter().all(|cell| date(cell) == first) { 11 } else { 5 };
        for cell in &mut self.cells {
            if let Some(short) = cell.get(from..19) {
                *cell = short.to_owned();
            }
        }
        self.width = self.natural();
    }

    fn shorten_pictures(&mut self, bars: usize) {
        for cell in &mut self.cells {
            *cell = sparkline::narrowed(cell, bars);
        }
        self.head = cut(&self.head, bars);
        self.width = self.natural();
    }
}

/// Makes columns narrower, or leaves some out, until all fit. Ids and numbers stay whole even where they do not.
pub fn fit(columns: &mut Vec<Fitted>, width: usize) {
    let excess = |columns: &[Fitted], of: fn(&Fitted) -> usize| {
        let all: usize = columns.iter().map(of).sum::<usize>() + GAP * columns.len().saturating_sub(1);
        all.saturating_sub(width)
    };
    let full: fn(&Fitted) -> usize = |column| column.width;
    let least: fn(&Fitted) -> usize = Fitted::least;
    if excess(columns, full) > 0 {
        columns.iter_mut().filter(|column| column.content == Content::Moment).for_each(Fitted::shorten_moments);
    }
    while let (over @ 1.., Some(at)) = (
        excess(columns, full),
        columns.iter().position(|column| column.content == Content::Picture && column.width > MIN_PICTURE),
    ) {
        let bars = columns[at].width.saturating_sub(over).max(MIN_PICTURE);
        columns[at].shorten_pictures(bars);
    }
    while excess(columns, least) > 0 {
        let picture = columns.iter().rposition(|column| column.content == Content::Picture);
        let text = || columns.iter().rposition(Fitted::is_text);
        let first = columns.iter().position(Fitted::is_text);
        match picture.or_else(text).filter(|at| Some(*at) != first) {
            Some(at) => drop(columns.remove(at)),
            None => break,
        }
    }
    // What stands last says the least; of the others the widest is cut.
    let first = columns.iter().position(Fitted::is_text);
    let last = columns.iter().rposition(Fitted::is_text).filter(|last| Some(*last) != first);
    if let (over @ 1.., Some(last)) = (excess(columns, full), last) {
        let column = &mut columns[last];
        column.width = column.width.saturating_sub(over).max(column.least());
    }
    while excess(columns, full) > 0 {
        let widest = columns.iter_mut().filter(|column| column.is_text() && column.width > MIN_TEXT);
        match widest.max_by_key(|column| column.width) {
            Some(column) => column.width -= 1,
            None => break,
        }
    }
}

/// A row, or the heads of the columns, on one line.
pub fn line(columns: &[Fitted], row: Option<usize>) -> String {
    let mut out = String::new();
    for (at, column) in columns.iter().enumerate() {
        let text = row.map_or(Some(&column.head), |row| column.cells.get(row)).map_or("", String::as_str);
        let text = cut(text, column.width);
        let blanks = " ".repeat(column.width.saturating_sub(text.width()));
        if at > 0 {
            out.push_str(&" ".repeat(GAP));
        }
        let (before, after) =
            if column.content == Content::Number { (blanks, String::new()) } else { (String::new(), blanks) };
        out.push_str(&format!("{before}{text}{after}"));
    }
    out.truncate(out.trim_end().len());
    out
}

/// At most so many columns of a text, with a mark at its end when something is missing.
fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mark = if terminal::has_unicode() { "…" } else { "..." };
    let room = room.saturating_sub(mark.width());
    let mut used = 0;
    let kept = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used <= room
    });
    kept.collect::<String>().trim_end().to_owned() + mark
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    fn columns() -> Vec<Fitted> {
        let column = |column: Column, cells: [&str; 2]| Fitted::new(&column, cells.map(str::to_owned).into());
        vec![
            column(Column::id("TRACE"), [ID, ID]),
            column(Column::moment("TIME"), ["2025-11-26 10:00:00.250", "2025-11-26 10:00:01.000"]),
            column(Column::text("ROOT"), ["frontend POST /checkout", "店鋪服務 付款"]),
            column(Column::number("DURATION"), ["856 ms", "1.2 s"]),
            column(Column::picture("OVER TIME"), ["▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█", "▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁"]),
            column(Column::text("SERVICES"), ["frontend checkout pay", "pay"]),
        ]
    }

    #[test]
    fn lines_fit_and_ids_stay_whole() {
        for width in [200, 140, 120, 100, 90, 80, 72, 70] {
            let mut columns = columns();
            fit(&mut columns, width);
            let lines: Vec<String> = [None, Some(0), Some(1)].map(|row| line(&columns, row)).into();
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
            assert!(
                lines[1].starts_with(ID) && lines[1].contains("10:00:00") && lines[1].contains("856 ms"),
                "{lines:#?}"
            );
        }
        for width in [0, 1, 20] {
            let mut columns = columns();
            fit(&mut columns, width);
            assert!(line(&columns, Some(0)).starts_with(ID), "{columns:?}");
        }
    }

    #[test]
    fn the_last_text_gives_way_first() {
        let column = |name: &str, cell: &str| Fitted::new(&Column::text(name), vec![cell.to_owned()]);
        let mut columns =
            vec![column("KEY", "span.http.request.method"), column("WITH", "name=POST /v1/charges and more")];
        fit(&mut columns, 40);
        let text = line(&columns, Some(0));
        assert!(text.starts_with("span.http.request.method  name=") && text.width() <= 40, "{text}");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut columns = columns();
        columns.truncate(4);
        let ends = |columns: &[Fitted]| [None, Some(0), Some(1)].map(|row| line(columns, row).width());
        let [head, first, second] = ends(&columns);
        assert!(head == first && first == second, "{columns:?}");
        fit(&mut columns, 64);
        let [head, first, second] = ends(&columns);
        assert!(head == first && first == second && head <= 64, "{columns:?}");
    }

    #[test]
    fn dates_that_differ_are_kept() {
        let cells = ["2025-11-26 23:59:59.250", "2025-11-27 00:00:01.000"].map(str::to_owned);
        let mut column = Fitted::new(&Column::moment("TIME"), cells.into());
        column.shorten_moments();
        assert_eq!(column.cells, ["11-26 23:59:59", "11-27 00:00:01"]);
    }
}
