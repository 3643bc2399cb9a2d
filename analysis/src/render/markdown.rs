//! The picture as Markdown, to be put into an issue or a chat: a link, the waterfall as a block of text, the findings as a list.

use std::fmt::Write as _;

use super::text::harmless;
use super::{Style, render};
use crate::diagnose::Diagnosis;
use crate::finding::{readable_nanos, readable_share};
use crate::trace::Trace;

/// Draws a trace as Markdown. `link` is where the trace can be looked at, if anywhere. Colours of the style are ignored.
pub fn markdown(trace: &Trace, diagnosis: &Diagnosis, style: &Style, link: Option<&str>) -> String {
    let id = trace.skeleton.trace_id();
    let picture = render(trace, diagnosis, &Style { colour: false, findings: 0, ..*style });
    let mut out = match link.filter(|link| is_plain(link)) {
        Some(link) => format!("Trace [`{id}`]({link})\n\n"),
        None => format!("Trace `{id}`\n\n"),
    };
    let fence = "`".repeat(longest_run(&picture).max(2) + 1);
    let _ = write!(out, "{fence}text\n{picture}{fence}\n");
    let shown = diagnosis.findings.iter().take(style.findings);
    for (at, finding) in shown.enumerate() {
        let confidence = format!("{:?}", finding.confidence).to_lowercase();
        let stake = match finding.at_stake_nanos {
            0 => String::new(),
            nanos => format!(", {} ({})", readable_nanos(nanos), readable_share(finding.share_of_root)),
        };
        let (line, title, text) = (if at == 0 { "\n" } else { "" }, finding.rule.title(), escaped(&finding.text));
        let _ = writeln!(out, "{line}{}. **{title}** ({confidence}{stake}): {text}", at + 1);
    }
    out
}

/// Whether a link can stand in Markdown as it is and leads to a page.
fn is_plain(link: &str) -> bool {
    let is_web = link.starts_with("https://") || link.starts_with("http://");
    is_web && link.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '(' | ')' | '<' | '>' | '\\' | '"'))
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Text that Markdown shows as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in harmless(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::NoAttributes;
    use crate::diagnose::diagnose;
    use crate::history::{Completeness, NoHistory};
    use crate::notation;
    use crate::settings::Settings;

    #[test]
    fn names_cannot_leave_their_place() {
        let trace = notation::trace("s | ```` <b>*root* | server | 0..900 |\n  s | a | client | 890..895 | parent=7");
        let diagnosis = diagnose(&trace, &NoAttributes, &NoHistory, &Completeness::default(), &Settings::default());
        let text = markdown(&trace, &diagnosis, &Style::default(), Some("https://host/trace/1"));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("](https://host/trace/1)"), "{text}");
        assert_eq!((lines[2], lines.iter().filter(|line| **line == "`````").count()), ("`````text", 1), "{text}");
        assert!(lines.last().is_some_and(|line| line.contains(". **") && !line.contains("<b>")), "{text}");
        let unsafe_link = markdown(&trace, &diagnosis, &Style::default(), Some("javascript:alert(1)"));
        assert!(!unsafe_link.contains("javascript"), "{unsafe_link}");
    }
}
