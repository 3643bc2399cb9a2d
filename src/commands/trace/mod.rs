//! `spanlake trace`: one trace as a picture, with what made it slow or fail; from an id, a file or standard input.
//!
//! Of an id the server draws and diagnoses, since it knows what is usual; files are read and drawn here, and nothing is stored.

mod detail;
mod document;
mod finding;
mod input;
mod matching;

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use spanlake_analysis::render::{MAX_WIDTH, MIN_WIDTH, Style, render};
use spanlake_analysis::{Completeness, Diagnosis, NoHistory, OtlpTrace, Settings, diagnose, from_otlp};
use spanlake_model::{SpanId, TraceId};

use super::options::{FormArgs, Output, ReadArgs, TimeArgs};
use super::terminal::{self, Progress};
use super::{Outcome, traces};
use crate::client::{Ask, Client, Failure};
use finding::Told;
use input::Input;
pub use input::{MAX_FILE_BYTES, hint_at_stdin, parse};
use matching::Matcher;

/// Options of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// A trace id, a file of OTLP JSON, JSON lines or protobuf, Jaeger JSON or Zipkin v2 JSON (also gzipped), or - for stdin.
    #[arg(value_name = "ID|FILE|-")]
    trace: PathBuf,
    /// Which trace of a file that has several.
    #[arg(long, value_name = "ID")]
    pick: Option<String>,
    /// Draw only what is on the critical path.
    #[arg(long)]
    critical_path: bool,
    /// Print every finding with its evidence instead of the picture.
    #[arg(long)]
    diagnose: bool,
    /// Draw siblings that are alike as one row; so it is unless --no-fold.
    #[arg(long, overrides_with = "no_fold")]
    fold: bool,
    /// Draw every span as a row of its own.
    #[arg(long)]
    no_fold: bool,
    /// Levels below the roots that are drawn.
    #[arg(long, value_name = "LEVELS")]
    depth: Option<u32>,
    /// Draw only this span and what is below it, and print all that is known of it.
    #[arg(long, value_name = "ID")]
    span: Option<String>,
    /// List the spans that match: a part of any text, key=value, or /a regular expression/.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["span", "diagnose"])]
    filter: Option<String>,
    /// Columns of the picture; those of the terminal when nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u16).range(40..=400))]
    width: Option<u16>,
    /// Draw with ASCII only.
    #[arg(long)]
    ascii: bool,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: &TraceArgs) -> anyhow::Result<Outcome> {
    let (spans, client, partial, answered) = match Input::of(&args.trace)? {
        Input::Id(id) => {
            let client = args.read.target.connect()?;
            // One of another version draws and finds nothing, but has the spans.
            let drawn = match args.is_picture() {
                true => match known(picture(args, &client, id).await) {
                    // That the trace has no such span is said below.
                    Err(failure) if args.span.is_some() && failure.code == super::USAGE => None,
                    drawn => drawn?,
                },
                false => None,
            };
            if let (Some(picture), None) = (&drawn, &args.span) {
                terminal::print(picture)?;
                args.read.form.link(&client, &format!("/trace/{id}"));
                return Ok(Outcome::Done);
            }
            let progress = Progress::begin("fetching the trace");
            let fetched = traces::by_id(&client, &id.to_string(), &args.time.hint()?).await?;
            let findings = match args.tells_findings() {
                true => told(findings(args, &client, id).await),
                false => None,
            };
            progress.end();
            (fetched.resource_spans, Some((client, id)), fetched.partial, Answered { picture: drawn, findings })
        }
        input => (input.read()?, None, None, Answered::default()),
    };
    let outcome = local(args, &spans, partial.is_some(), answered)?;
    if let Some((client, id)) = &client {
        args.read.form.link(client, &format!("/trace/{id}"));
    }
    match partial {
        Some(why) if outcome == Outcome::Done => {
            terminal::note(&format!("this is only a part: {why}"));
            Ok(Outcome::Partial)
        }
        _ => Ok(outcome),
    }
}

impl TraceArgs {
    fn is_picture(&self) -> bool {
        self.read.form.output == Output::Table && !self.diagnose && self.filter.is_none()
    }

    fn tells_findings(&self) -> bool {
        self.filter.is_none() && (self.diagnose || self.read.form.output == Output::Json)
    }

    fn style(&self) -> Style {
        Style {
            width: self.width.map_or_else(terminal::width, usize::from).clamp(MIN_WIDTH, MAX_WIDTH),
            colour: self.read.form.color.is_on(),
            unicode: !self.ascii && terminal::has_unicode(),
            fold: !self.no_fold,
            only_path: self.critical_path,
            depth: self.depth,
            ..Style::default()
        }
    }
}

/// What the server says of a trace beside its spans, as far as it was asked.
#[derive(Default)]
struct Answered {
    picture: Option<String>,
    findings: Option<Vec<Told>>,
}

/// An answer; nothing from a server that does not know the question.
fn known<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.is_unknown_path => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What the server finds; nothing where it cannot say. The spans are here: what can be said without knowing what is usual is said.
fn told(answer: Result<Vec<Told>, Failure>) -> Option<Vec<Told>> {
    answer
        .inspect_err(|failure| {
            if !failure.is_unknown_path {
                terminal::note(&format!("the server does not say what is usual, so less is found: {failure}"));
            }
        })
        .ok()
}

/// What the server finds in the trace.
async fn findings(args: &TraceArgs, client: &Client, id: TraceId) -> Result<Vec<Told>, Failure> {
    let ask = Ask::get(format!("/api/v1/traces/{id}/diagnosis")).with_all(args.time.hint()?);
    Ok(Told::of_answer(&client.json(&ask).await?))
}

/// The picture that the server draws.
async fn picture(args: &TraceArgs, client: &Client, id: TraceId) -> Result<String, Failure> {
    if let Some(text) = &args.span {
        span_id(text)?;
    }
    let style = args.style();
    let flag = |on: bool| on.to_string();
    let ask = Ask::get(format!("/api/v1/traces/{id}/text"))
        .accept("text/plain")
        .with("width", style.width.to_string())
        .with("color", flag(style.colour))
        .with("ascii", flag(!style.unicode))
        .with("fold", flag(style.fold))
        .with("path", flag(style.only_path))
        .with_some("depth", style.depth.map(|depth| depth.to_string()))
        .with_some("span", args.span.as_ref().map(|text| text.trim().to_owned()))
        .with_all(args.time.hint()?);
    let progress = Progress::begin("fetching the trace");
    let picture = client.text(&ask).await.map_err(|failure| match failure.code {
        super::NOTHING => traces::not_found(id),
        _ => failure,
    })?;
    progress.end();
    Ok(picture)
}

/// What can be said of spans that are here.
fn local(args: &TraceArgs, spans: &[ResourceSpans], is_cut: bool, answered: Answered) -> anyhow::Result<Outcome> {
    let all = from_otlp(spans);
    let form = &args.read.form;
    let one = match (&args.pick, all.as_slice()) {
        (_, []) => return Err(Failure::nothing("there are no spans with valid ids in it").into()),
        (Some(text), all) => {
            let id = traces::parse_id(text)?;
            let found = all.iter().find(|one| one.trace.skeleton.trace_id() == id);
            found.ok_or_else(|| Failure::nothing(format!("there is no trace {id} in it")))?
        }
        (None, [one]) => one,
        (None, _) if form.output == Output::Otlp => {
            terminal::print_data(spanlake_interchange::write_otlp_json_lines(spans), true)?;
            return Ok(Outcome::Done);
        }
        (None, all) => {
            input::list(all).print(form)?;
            terminal::note(&format!("there are {} traces in it: --pick ID shows one", all.len()));
            return Ok(Outcome::Done);
        }
    };
    let kept = match &args.span {
        Some(text) => Some(below(one, spans, text)?),
        None => None,
    };
    let subtree = kept.as_ref().map(|(_, spans)| from_otlp(spans));
    let whole = one;
    let one = subtree.as_ref().and_then(|traces| traces.first()).unwrap_or(whole);
    let completeness = Completeness { truncated: is_cut, ..Completeness::default() };
    let diagnosis = diagnose(&one.trace, &one.attributes, &NoHistory, &completeness, &Settings::default());
    if let Some(text) = &args.filter {
        let matcher = Matcher::new(text)?;
        return listed(one, &diagnosis, |span| matcher.matches(one, span), form, "no span matches");
    }
    let outcome = print(args, one, &diagnosis, spans, answered)?;
    if let (Some((span, _)), Output::Table, false) = (&kept, form.output, args.diagnose) {
        terminal::print(format!("\n{}", detail::text(whole, *span, form.paint())))?;
    }
    Ok(outcome)
}

fn print(
    args: &TraceArgs,
    one: &OtlpTrace<'_>,
    diagnosis: &Diagnosis,
    spans: &[ResourceSpans],
    answered: Answered,
) -> anyhow::Result<Outcome> {
    let form = &args.read.form;
    let findings = || match answered.findings {
        Some(findings) if args.span.is_some() => about(findings, one),
        Some(findings) => findings,
        None => Told::of_diagnosis(one, diagnosis),
    };
    match form.output {
        Output::Otlp => {
            let only = only(spans, |_, trace| trace == one.trace.skeleton.trace_id());
            terminal::print_data(spanlake_interchange::write_otlp_json_lines(&only), true)?;
        }
        Output::Json => super::report::print_json(&document::json(one, diagnosis, &findings()))?,
        _ if args.diagnose => return finding::report(&findings(), form),
        Output::Table => {
            let drawn = answered.picture.unwrap_or_else(|| render(&one.trace, diagnosis, &args.style()));
            terminal::print(drawn)?;
        }
        _ => return listed(one, diagnosis, |_| true, form, "there are no spans"),
    }
    Ok(Outcome::Done)
}

/// The findings that are about a span of the trace.
fn about(findings: Vec<Told>, one: &OtlpTrace<'_>) -> Vec<Told> {
    let skeleton = &one.trace.skeleton;
    let inside: HashSet<String> = (0..skeleton.span_count()).map(|span| skeleton.span_id(span).to_string()).collect();
    findings.into_iter().filter(|told| told.span_ids.iter().any(|id| inside.contains(id))).collect()
}

fn listed(
    one: &OtlpTrace<'_>,
    diagnosis: &Diagnosis,
    matches: impl Fn(u32) -> bool,
    form: &FormArgs,
    none: &str,
) -> anyhow::Result<Outcome> {
    let report = document::spans(one, diagnosis, matches);
    report.print(form)?;
    if report.rows.is_empty() {
        terminal::note(none);
    }
    Ok(Outcome::of_count(report.rows.len()))
}

fn span_id(text: &str) -> Result<SpanId, Failure> {
    SpanId::parse_hex(text.trim()).map_err(|error| {
        Failure::usage(format!("{text:?} is not a span id: {error} (an id has 16 hexadecimal digits)"))
    })
}

/// A span by its id, and the messages with only it and what is below it.
fn below(one: &OtlpTrace<'_>, spans: &[ResourceSpans], text: &str) -> anyhow::Result<(SpanId, Vec<ResourceSpans>)> {
    let id = span_id(text)?;
    let skeleton = &one.trace.skeleton;
    let span = (0..skeleton.span_count()).find(|span| skeleton.span_id(*span) == id);
    let span = span.ok_or_else(|| Failure::nothing(format!("there is no span {id} in the trace")))?;
    let inside: HashSet<SpanId> = one.trace.tree.subtree(span).iter().map(|span| skeleton.span_id(*span)).collect();
    let trace = skeleton.trace_id();
    let mut kept = only(spans, |span, of| of == trace && inside.contains(&span));
    // What is above is left out, not missing.
    let all = kept.iter_mut().flat_map(|resource| &mut resource.scope_spans).flat_map(|scope| &mut scope.spans);
    all.filter(|span| span.span_id == id.0).for_each(|span| span.parent_span_id.clear());
    Ok((id, kept))
}

/// The messages with only the spans that are wanted.
fn only(spans: &[ResourceSpans], wanted: impl Fn(SpanId, TraceId) -> bool) -> Vec<ResourceSpans> {
    let mut kept = spans.to_vec();
    for resource in &mut kept {
        for scope in &mut resource.scope_spans {
            scope.spans.retain(|span| {
                let ids = SpanId::from_wire(&span.span_id).zip(TraceId::from_wire(&span.trace_id));
                ids.is_some_and(|(span, trace)| wanted(span, trace))
            });
        }
        resource.scope_spans.retain(|scope| !scope.spans.is_empty());
    }
    kept.retain(|resource| !resource.scope_spans.is_empty());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_told_where_only_its_diagnosis_fails() {
        for failure in [Failure::error("too many queries: try again in a moment"), Failure::nothing("no such trace")] {
            assert_eq!(told(Err(failure)), None);
        }
        assert_eq!(told(Ok(Vec::new())), Some(Vec::new()));
    }
}
