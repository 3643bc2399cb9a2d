//! A YAML file as a tree in which every name and value has its line. It knows YAML, not whose configuration it is.

use std::fmt;

use saphyr_parser::{Event, Parser};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// A value with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Line, from 1; of a named value that of the name.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a number, a truth value, as written.
    Scalar(String),
    /// A reference to a value elsewhere in the file, which is not followed.
    Alias,
    /// A list.
    List(Vec<Node>),
    /// Names and values in the order of the file.
    Map(Vec<(String, Node)>),
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    line: usize,
    what: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Value {
    /// Whether nothing is said: `key:` without a value.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Alias => false,
            Self::Scalar(text) => text.is_empty() || text == "~" || text == "null",
            Self::List(items) => items.is_empty(),
            Self::Map(members) => members.is_empty(),
        }
    }
}

/// A list or map that is being read.
struct Open {
    line: usize,
    value: Value,
    /// Of a map the name whose value comes next, and its line.
    name: Option<(String, usize)>,
}

/// Reads the first document of a file; nothing for an empty one.
///
/// # Errors
/// [`Unreadable`] with the line.
pub fn read(text: &str) -> Result<Option<Node>, Unreadable> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| Unreadable { line: error.marker().line(), what: error.to_string() })?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, ..) => Node { line, value: Value::Scalar(text.into_owned()) },
            Event::Alias(_) => Node { line, value: Value::Alias },
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= MAX_DEPTH {
                    return Err(Unreadable { line, what: format!("it is nested more than {MAX_DEPTH} levels deep") });
                }
                let is_list = matches!(event, Event::SequenceStart(..));
                let value = if is_list { Value::List(Vec::new()) } else { Value::Map(Vec::new()) };
                open.push(Open { line, value, name: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open { line, value, .. }) => Node { line, value },
                None => continue,
            },
            Event::DocumentEnd => return Ok(None),
            _ => continue,
        };
        match open.last_mut() {
            None => return Ok(Some(done)),
            Some(Open { value: Value::List(items), .. }) => items.push(done),
            Some(Open { value: Value::Map(members), name, .. }) => match (name.take(), done.value) {
                (Some((name, line)), value) => members.push((name, Node { line, value })),
                (None, Value::Scalar(text)) => *name = Some((text, done.line)),
                (None, _) => return Err(Unreadable { line: done.line, what: "a name is a list or a map".to_owned() }),
            },
            Some(Open { value: Value::Scalar(_) | Value::Alias, .. }) => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_lines() {
        let text = "# a comment\na: 1\nb:\n  - x\n  - y: [z]\nc:\nd: |\n  two\n  lines\n";
        let Value::Map(members) = read(text).expect("YAML").expect("a document").value else { panic!("a map") };
        let names: Vec<(&str, usize)> = members.iter().map(|(name, node)| (name.as_str(), node.line)).collect();
        assert_eq!(names, [("a", 2), ("b", 3), ("c", 6), ("d", 7)]);
        assert_eq!(members[3].1.value, Value::Scalar("two\nlines\n".to_owned()));
        assert!(members[2].1.value.is_nothing());
        assert_eq!(read(""), Ok(None));
        let broken = read("a: 1\nb: [1, 2\nc: }").expect_err("it is broken");
        assert!(broken.to_string().starts_with("line "), "{broken}");
        assert!(read(&"[".repeat(100)).is_err());
    }
}
