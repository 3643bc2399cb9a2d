//! `spanlake export`: the whole traces that a query finds, as files that other programs and `import` read.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, StreamExt as _};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::Value;

use super::options::{TimeArgs, parameters};
use super::terminal::{self, PipeClosed, Progress};
use super::traces::{Fetched, by_id, span_count};
use super::{Outcome, readable};
use crate::client::{Ask, Client, Failure, TargetArgs};

/// Traces fetched at once.
const IN_FLIGHT: usize = 4;
/// Most traces of one Parquet file: their ids stand in one SQL text.
const MAX_PARQUET_TRACES: usize = 3_000;

/// Options of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// TraceQL of the traces.
    #[arg(value_name = "TRACEQL", default_value = "{}")]
    query: String,
    /// The file; its name says the form: .jsonl, .jsonl.gz or .parquet. Standard output when nothing is said.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The form, where the name of the file does not say it.
    #[arg(long, value_enum)]
    form: Option<Form>,
    /// Most traces.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=262_144))]
    limit: u32,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// OTLP JSON, a line for each resource of a trace.
    Jsonl,
    /// The same, packed with gzip.
    JsonlGz,
    /// Parquet, a row for each span.
    Parquet,
    /// The JSON of Jaeger's query API.
    Jaeger,
}

impl Form {
    fn of(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| !is_stdout(path)) else { return Ok(Self::Jsonl) };
        let name = path.to_string_lossy().to_lowercase();
        match () {
            () if name.ends_with(".parquet") => Ok(Self::Parquet),
            () if name.ends_with(".gz") => Ok(Self::JsonlGz),
            () if name.ends_with(".jsonl") || name.ends_with(".json") || name.ends_with(".ndjson") => Ok(Self::Jsonl),
            () => Err(Failure::usage(format!(
                "{} does not say its form: end it with .jsonl, .jsonl.gz or .parquet, or use --form",
                path.display()
            ))),
        }
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What became of the traces that were found.
#[derive(Debug, Default)]
struct Written {
    traces: usize,
    /// Where they were counted.
    spans: Option<usize>,
    /// Why a trace is not whole, of the first that is not.
    partial: Option<String>,
}

impl Written {
    /// Counts a trace, and gives its spans; none when it expired or was deleted since the search.
    fn take(&mut self, id: &str, fetched: Result<Fetched, Failure>) -> Result<Vec<ResourceSpans>, Failure> {
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(failure) if failure.code == super::NOTHING => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        };
        self.traces += 1;
        *self.spans.get_or_insert(0) += span_count(&fetched.resource_spans);
        if let Some(why) = fetched.partial {
            self.partial.get_or_insert_with(|| format!("trace {id} could not be had whole: {why}"));
        }
        Ok(fetched.resource_spans)
    }
}

pub(super) async fn run(args: &ExportArgs) -> anyhow::Result<Outcome> {
    let form = args.form.map_or_else(|| Form::of(args.output.as_deref()), Ok)?;
    let (start, end) = args.time.range()?;
    let client = args.target.connect()?;
    let progress = match &args.output {
        Some(path) if !is_stdout(path) => Progress::begin("searching"),
        _ => Progress::begin_beside_output("searching"),
    };
    let Matches { ids, times, stopped } = find(&client, args, start, end).await?;
    if ids.is_empty() {
        terminal::note("no trace matches in this time (--since looks further back)");
        return Ok(if stopped.is_some() { Outcome::Partial } else { Outcome::Nothing });
    }
    let mut target = Target::open(args.output.as_deref())?;
    let written = match form {
        Form::Parquet => write_parquet(&client, &ids, times, &mut target).await?,
        Form::Jsonl => write_traces(&client, &ids, &progress, |lines| target.write(lines)).await?,
        Form::JsonlGz => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            let written = write_traces(&client, &ids, &progress, |lines| {
                packed.write_all(lines).context("cannot pack")?;
                let ready = std::mem::take(packed.get_mut());
                target.write(&ready)
            })
            .await?;
            target.write(&packed.finish().context("cannot pack")?)?;
            written
        }
        Form::Jaeger => write_jaeger(&client, &ids, &progress, &mut target).await?,
    };
    progress.end();
    target.finish()?;
    let to = args.output.as_ref().filter(|path| !is_stdout(path));
    let to = to.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
    let spans =
        written.spans.map_or_else(String::new, |spans| format!(" with {} spans", readable::count(spans as u64)));
    terminal::hint(&format!("{} traces{spans} are in {to}", written.traces));
    if let Some(why) = written.partial.as_ref().or(stopped.as_ref()) {
        terminal::note(&format!("this is only a part: {why}"));
        return Ok(Outcome::Partial);
    }
    if ids.len() >= args.limit as usize {
        terminal::note(&format!("there may be more than {} traces (--limit)", args.limit));
        return Ok(Outcome::Partial);
    }
    Ok(Outcome::Done)
}

/// The traces that match.
struct Matches {
    /// In their own order, so that files of the same traces are the same.
    ids: Vec<String>,
    /// Begin and end in Unix nanoseconds of the time that was searched and of every trace, which may reach out of it.
    times: (u64, u64),
    /// Why the search ended before its end.
    stopped: Option<String>,
}

async fn find(client: &Client, args: &ExportArgs, start: u64, end: u64) -> anyhow::Result<Matches> {
    let ask = Ask::get("/api/v1/search")
        .with("q", args.query.as_str())
        .with("limit", args.limit.to_string())
        .with("spss", "1")
        .with_all(parameters(start, end));
    let mut lines = pin!(client.lines(&ask).await?);
    let mut found = Matches { ids: Vec::new(), times: (start, end), stopped: None };
    while let Some(line) = lines.next().await {
        let line = line?;
        match line["type"].as_str() {
            Some("traces") => line["traces"].as_array().into_iter().flatten().for_each(|trace| found.add(trace)),
            Some("done") => {
                found.ids.sort_unstable();
                found.stopped = line["stopped"].as_str().map(str::to_owned);
                return Ok(found);
            }
            Some("error") => {
                return Err(Failure::error(line["message"].as_str().unwrap_or("the search failed")).into());
            }
            _ => {}
        }
    }
    Err(Failure::error("the search broke off before its end: ask again").into())
}

impl Matches {
    fn add(&mut self, trace: &Value) {
        self.ids.extend(trace["traceID"].as_str().map(str::to_owned));
        let begin = &trace["startTimeUnixNano"];
        if let Some(begin) = begin.as_u64().or_else(|| begin.as_str()?.parse().ok()) {
            // Milliseconds are cut.
            let millis = trace["durationMs"].as_u64().unwrap_or(0).saturating_add(1);
            let end = begin.saturating_add(millis.saturating_mul(1_000_000));
            self.times = (self.times.0.min(begin), self.times.1.max(end));
        }
    }
}

async fn write_traces(
    client: &Client,
    ids: &[String],
    progress: &Progress,
    mut write: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Written> {
    let mut traces = stream::iter(ids).map(async |id| (id, by_id(client, id, &[]).await)).buffered(IN_FLIGHT);
    let (mut done, mut written) = (0, Written::default());
    while let Some((id, trace)) = traces.next().await {
        done += 1;
        progress.set(done, ids.len() as u64, "traces");
        let spans = written.take(id, trace)?;
        if !spans.is_empty() {
            write(&spanlake_interchange::write_otlp_json_lines(&spans))?;
        }
    }
    Ok(written)
}

async fn write_jaeger(
    client: &Client,
    ids: &[String],
    progress: &Progress,
    target: &mut Target,
) -> anyhow::Result<Written> {
    let mut all = Vec::new();
    let mut traces = stream::iter(ids).map(async |id| (id, by_id(client, id, &[]).await)).buffered(IN_FLIGHT);
    let (mut done, mut written) = (0, Written::default());
    while let Some((id, trace)) = traces.next().await {
        done += 1;
        progress.set(done, ids.len() as u64, "traces");
        all.extend(written.take(id, trace)?);
    }
    target.write(&spanlake_interchange::write_jaeger_json(&all))?;
    Ok(written)
}

async fn write_parquet(
    client: &Client,
    ids: &[String],
    (start, end): (u64, u64),
    target: &mut Target,
) -> anyhow::Result<Written> {
    if ids.len() > MAX_PARQUET_TRACES {
        return Err(Failure::error(format!(
            "{} traces match, and one Parquet file holds at most {MAX_PARQUET_TRACES}: narrow the query or the time, or use .jsonl",
            ids.len()
        ))
        .into());
    }
    // What a search tells of a trace's time is of the spans that it met.
    const MARGIN_NANOS: u64 = 3_600_000_000_000;
    let list: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    let sql =
        format!("SELECT * FROM spans WHERE trace_id IN ({}) ORDER BY trace_id, start_time, span_id", list.join(","));
    let ask = Ask::post("/api/v1/sql", "text/plain", sql)
        .accept("application/vnd.apache.parquet")
        .with("format", "parquet")
        .with_all(parameters(start.saturating_sub(MARGIN_NANOS), end.saturating_add(MARGIN_NANOS)));
    target.write(&client.bytes(&ask).await?)?;
    Ok(Written { traces: ids.len(), ..Written::default() })
}

/// Where the bytes go.
enum Target {
    Stdout,
    /// A file beside the one that is wanted, until all is written.
    Beside(tempfile::NamedTempFile, PathBuf),
    /// A pipe or a device, which nothing may take the place of.
    Straight(File, PathBuf),
}

impl Target {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|path| !is_stdout(path)) else { return Ok(Self::Stdout) };
        let there = std::fs::metadata(path).ok();
        if there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(Failure::usage(format!("{} is a directory: name a file in it", path.display())).into());
        }
        if there.as_ref().is_some_and(|facts| !facts.is_file()) {
            let file = File::options().write(true).open(path).map_err(|error| cannot_write(path, &error))?;
            return Ok(Self::Straight(file, path.to_owned()));
        }
        // A link stays; what it leads to is written.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // A temporary file is its owner's alone; what is exported is as the file before it, or as other new files are.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder
            .tempfile_in(directory)
            .map_err(|error| Failure::error(format!("cannot write in {}: {error}", directory.display())))?;
        if let Some(facts) = there {
            file.as_file().set_permissions(facts.permissions()).map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(Self::Beside(file, path))
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let (written, path) = match self {
            Self::Stdout => return terminal::print_data(bytes, true),
            Self::Beside(file, path) => (file.write_all(bytes), path),
            Self::Straight(file, path) => (file.write_all(bytes), path),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(PipeClosed.into()),
            written => written.map_err(|error| cannot_write(path, &error).into()),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        let Self::Beside(file, path) = self else { return Ok(()) };
        file.persist(&path).map_err(|error| cannot_write(&path, &error.error))?;
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_forms() {
        let check =
            |name: &str, expect: Option<Form>| assert_eq!(Form::of(Some(Path::new(name))).ok(), expect, "{name}");
        check("a.jsonl", Some(Form::Jsonl));
        check("a.json.GZ", Some(Form::JsonlGz));
        check("a/b.parquet", Some(Form::Parquet));
        check("a.txt", None);
        check("-", Some(Form::Jsonl));
        assert_eq!(Form::of(None), Ok(Form::Jsonl));
    }

    #[test]
    fn incomplete_traces_are_told_and_vanished_ones_left_out() {
        let span = opentelemetry_proto::tonic::trace::v1::Span::default();
        let scope = opentelemetry_proto::tonic::trace::v1::ScopeSpans { spans: vec![span], ..Default::default() };
        let message = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        let part = Fetched { resource_spans: vec![message], partial: Some("a block is damaged".to_owned()) };
        let mut written = Written::default();
        assert_eq!(written.take("a", Err(Failure::nothing("gone"))), Ok(Vec::new()));
        assert_eq!(written.take("b", Ok(part.clone())), Ok(part.resource_spans));
        assert!(written.take("c", Err(Failure::error("no answer"))).is_err());
        assert_eq!((written.traces, written.spans), (1, Some(1)));
        assert_eq!(written.partial.as_deref(), Some("trace b could not be had whole: a block is damaged"));
    }

    #[test]
    fn long_traces_reach_out_of_the_time_that_is_searched() {
        let mut found = Matches { ids: Vec::new(), times: (5_000_000_000, 6_000_000_000), stopped: None };
        found.add(&serde_json::json!({ "traceID": "a", "startTimeUnixNano": "4000000000", "durationMs": 3_000 }));
        assert_eq!((found.ids, found.times), (vec!["a".to_owned()], (4_000_000_000, 7_001_000_000)));
    }

    #[cfg(unix)]
    #[test]
    fn only_plain_files_are_replaced() {
        use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
        let write = |path: &Path| {
            let mut target = Target::open(Some(path))?;
            target.write(b"x")?;
            target.finish().map_err(anyhow::Error::from)
        };
        let directory = tempfile::tempdir().expect("a directory");
        let device = directory.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &device).expect("a link");
        write(&device).expect("devices take anything");
        assert!(std::fs::metadata(&device).expect("it is there").file_type().is_char_device());

        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "before").expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("ours");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        write(&link).expect("it is written");
        assert!(link.is_symlink() && std::fs::read(&file).expect("it is there") == b"x");
        assert_eq!(std::fs::metadata(&file).expect("it is there").mode() & 0o777, 0o600);
        assert!(write(directory.path()).is_err_and(|error| error.to_string().contains("directory")));
    }
}
