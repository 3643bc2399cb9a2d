//! `spanlake trace`: one trace as a picture, with what made it slow or fail; from an id, a file or standard input.
//!
//! Of an id the server draws, since it knows what is usual; files are read and drawn here, and nothing is stored.

mod detail;
mod document;
mod finding;
mod input;
mod matching;

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
    let (spans, client, partial) = match Input::of(&args.trace)? {
        Input::Id(id) => {
            let client = args.read.target.connect()?;
            if args.is_picture() {
                match draw_by_server(args, &client, id).await {
                    // One of another version draws nothing, but has the spans.
                    Err(error) if error.downcast_ref::<Failure>().is_some_and(|failure| failure.is_unknown_path) => {}
                    outcome => return outcome,
                }
            }
            let progress = Progress::begin("fetching the trace");
            let fetched = traces::by_id(&client, &id.to_string(), &args.time.hint()?).await?;
            progress.end();
            (fetched.resource_spans, Some((client, id)), fetched.partial)
        }
        input => (input.read()?, None, None),
    };
    let outcome = local(args, &spans, partial.is_some())?;
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
        self.read.form.output == Output::Table && !self.diagnose && self.span.is_none() && self.filter.is_none()
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

/// The picture that the server draws.
async fn draw_by_server(args: &TraceArgs, client: &Client, id: TraceId) -> anyhow::Result<Outcome> {
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
        .with_all(args.time.hint()?);
    let progress = Progress::begin("fetching the trace");
    let picture = client.text(&ask).await.map_err(|failure| match failure.code {
        super::NOTHING => traces::not_found(id),
        _ => failure,
    })?;
    progress.end();
    terminal::print(picture)?;
    args.read.form.link(client, &format!("/trace/{id}"));
    Ok(Outcome::Done)
}

/// What can be said of spans that are here.
fn local(args: &TraceArgs, spans: &[ResourceSpans], is_cut: bool) -> anyhow::Result<Outcome> {
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
    let outcome = print(args, one, &diagnosis, spans)?;
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
) -> anyhow::Result<Outcome> {
    let form = &args.read.form;
    match form.output {
        Output::Otlp => {
            let only = only(spans, |_, trace| trace == one.trace.skeleton.trace_id());
            terminal::print_data(spanlake_interchange::write_otlp_json_lines(&only), true)?;
        }
        Output::Json => super::report::print_json(&document::json(one, diagnosis))?,
        _ if args.diagnose => return finding::report(one, diagnosis, form),
        Output::Table => terminal::print(render(&one.trace, diagnosis, &args.style()))?,
        _ => return listed(one, diagnosis, |_| true, form, "there are no spans"),
    }
    Ok(Outcome::Done)
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

/// A span by its id, and the messages with only it and what is below it.
fn below(one: &OtlpTrace<'_>, spans: &[ResourceSpans], text: &str) -> anyhow::Result<(SpanId, Vec<ResourceSpans>)> {
    let id = SpanId::parse_hex(text.trim()).map_err(|error| {
        Failure::usage(format!("{text:?} is not a span id: {error} (an id has 16 hexadecimal digits)"))
    })?;
    let skeleton = &one.trace.skeleton;
    let span = (0..skeleton.span_count()).find(|span| skeleton.span_id(*span) == id);
    let span = span.ok_or_else(|| Failure::nothing(format!("there is no span {id} in the trace")))?;
    let inside: std::collections::HashSet<SpanId> =
        one.trace.tree.subtree(span).iter().map(|span| skeleton.span_id(*span)).collect();
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
