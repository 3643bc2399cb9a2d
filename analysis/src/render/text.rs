//! Texts in columns: how wide they are, cut, padded, broken; and made harmless for a terminal.

/// Columns that a character takes in a terminal.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0xe0100..=0xe01ef => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// A text that cannot move the cursor, change colours or the direction of writing, or break the line.
pub(super) fn harmless(text: &str) -> String {
    let is_harmful =
        |c: char| c.is_control() || matches!(u32::from(c), 0x202a..=0x202e | 0x2066..=0x2069 | 0x2028 | 0x2029);
    text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// At most so many columns of a text, the mark at the end saying that something is missing.
pub(super) fn cut(text: &str, room: usize, mark: &str) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(columns(mark));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += width(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    if used > 0 && room > 0 { out + mark } else { String::new() }
}

/// The text with blanks to so many columns.
pub(super) fn pad(text: &str, room: usize) -> String {
    let blanks = room.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(blanks))
}

/// Lines of at most so many columns, broken between words; a longer word has a line of its own and is cut into pieces.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && columns(&line) + 1 + columns(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if columns(&line) + width(c) > room {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}
