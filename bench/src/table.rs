//! Plain tables with aligned columns.

/// Lines of cells; the first column is left-aligned, the others right-aligned.
pub fn render<R: AsRef<[String]>>(rows: &[R]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (at, cell) in row.as_ref().iter().enumerate() {
            widths.resize(widths.len().max(at + 1), 0);
            widths[at] = widths[at].max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.as_ref().iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            line.push_str(&if at == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_align() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(super::render(&[row("spans", "9"), row("é", "100")]), "spans    9\né      100\n");
    }
}
