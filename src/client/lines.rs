//! Bodies cut into lines, lines into events, and dates of headers: the small grammars of HTTP that no answer's content is in.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};

use super::Pieces;
use super::failure::Failure;

/// Longest line of a stream.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Reads `Wed, 26 Nov 2025 00:00:00 GMT`, the one form of dates that HTTP/1.1 writes.
pub fn http_date(text: &str) -> Option<std::time::SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)? as u64 + 1;
    let (year, day): (u64, u64) = (year.parse().ok()?, day.parse().ok()?);
    let mut time = time.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", for years after 0.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

/// Takes one line of an event stream; gives the event that it ends.
pub fn event_line(line: &str, name: &mut String, data: &mut String) -> Option<(String, String)> {
    if line.is_empty() {
        let event = (std::mem::take(name), std::mem::take(data));
        return (!event.1.is_empty()).then_some(event);
    }
    let (field, value) = line.split_once(':').unwrap_or((line, ""));
    let value = value.strip_prefix(' ').unwrap_or(value);
    match field {
        "event" => value.clone_into(name),
        "data" => {
            if !data.is_empty() {
                data.push('\n');
            }
            data.push_str(value);
        }
        // Comments keep a connection awake; other fields are not used.
        _ => {}
    }
    None
}

/// Cuts a body into lines.
pub struct Lines {
    body: Pieces,
    buffer: BytesMut,
    is_over: bool,
}

impl Lines {
    /// The lines of a body, each with its end.
    pub fn of(body: Pieces) -> impl Stream<Item = Result<Bytes, Failure>> + Send {
        let lines = Self { body, buffer: BytesMut::new(), is_over: false };
        futures::stream::unfold(lines, async |mut lines| lines.next().await.map(|line| (line, lines)))
    }

    async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                return Some(Ok(self.buffer.split_to(searched + at + 1).freeze()));
            }
            searched = self.buffer.len();
            if self.is_over {
                return (!self.buffer.is_empty()).then(|| Ok(self.buffer.split().freeze()));
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                self.is_over = true;
                self.buffer.clear();
                let most = MAX_LINE_BYTES >> 20;
                return Some(Err(Failure::error(format!("a line of the answer is longer than {most} MiB"))));
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.buffer.extend_from_slice(&piece),
                Some(Err(failure)) => {
                    self.is_over = true;
                    self.buffer.clear();
                    return Some(Err(failure));
                }
                None => self.is_over = true,
            }
        }
    }
}
