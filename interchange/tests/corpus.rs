//! Files of every format that are not Jaeger's or Zipkin's own business: OTLP in its frames, gzip, broken files and what is
//! said about them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;
use spanlake_interchange::{Format, Parsed, parse, write_otlp_json_lines};

const OTLP: &[u8] = include_bytes!("../corpus/otlp.json");
const LINES: &[u8] = include_bytes!("../corpus/collector-lines.jsonl");
const TEMPO: &[u8] = include_bytes!("../corpus/tempo-batches.json");

fn read(bytes: &[u8]) -> Parsed {
    parse(bytes).unwrap_or_else(|error| panic!("{error}"))
}

fn problems(parsed: &Parsed) -> Vec<String> {
    parsed.rejected.iter().map(ToString::to_string).collect()
}

fn spans(parsed: &Parsed) -> Vec<&Span> {
    parsed.spans.iter().flat_map(|message| &message.scope_spans).flat_map(|scope| &scope.spans).collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[test]
fn otlp_json_and_protobuf_are_the_same_spans() {
    let json = read(OTLP);
    assert_eq!((json.format, json.span_count()), (Format::OtlpJson, 1));
    assert_eq!(problems(&json), ["span 1: its span id is zero"]);
    assert_eq!(spans(&json)[0].start_time_unix_nano, 1_764_115_200_000_000_123);

    let message = TracesData { resource_spans: json.spans.clone() }.encode_to_vec();
    let protobuf = read(&message);
    assert_eq!((protobuf.format, &protobuf.spans), (Format::OtlpProtobuf, &json.spans));
    let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
    let framed = read(&[&length[..], &message, &length, &message].concat());
    assert_eq!((framed.format, framed.span_count()), (Format::OtlpProtobuf, 2));
    for cut in [1, 3, 4, 9] {
        let cut = read(&[&length[..], &message, &[&length[..], &message].concat()[..cut]].concat());
        assert_eq!((cut.span_count(), cut.rejected_count), (1, 1), "what is whole is kept");
    }

    for packed in [gzipped(OTLP), gzipped(&message)] {
        assert_eq!(read(&packed).spans, json.spans);
    }
    let written = read(&write_otlp_json_lines(&json.spans));
    assert_eq!(written.spans, json.spans);
    let with_mark = [b"\xef\xbb\xbf\n  ", OTLP].concat();
    assert_eq!(read(&with_mark).spans, json.spans);
}

#[test]
fn lines_of_the_collector() {
    let parsed = read(LINES);
    assert_eq!((parsed.format, parsed.span_count()), (Format::OtlpJsonLines, 2));
    let problems = problems(&parsed);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(problems[0], "line 2: it holds OTLP logs, no spans");
    assert!(problems[1].starts_with("line 4: it is not JSON at column "), "{problems:?}");
    let lines: Vec<&[u8]> = LINES.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(read(lines[0]).format, Format::OtlpJson, "one line is one document");
    let wrong = [lines[0], br#"{"resourceSpans":{}}"#].concat();
    let parsed = read(&wrong);
    assert!(parsed.rejected[0].to_string().starts_with("line 2: column 19: "), "{:?}", parsed.rejected);
    // Documents over several lines, behind each other.
    let parsed = read(&[OTLP, OTLP].concat());
    assert_eq!((parsed.format, parsed.span_count(), parsed.rejected_count), (Format::OtlpJsonLines, 2, 2));
    assert_eq!(parsed.rejected[1].line, Some(1 + OTLP.iter().filter(|byte| **byte == b'\n').count()));
    assert_eq!(parsed.rejected[1].index, Some(3));
}

#[test]
fn frames_of_tempo_and_jaeger() {
    let parsed = read(TEMPO);
    assert_eq!((parsed.format, parsed.span_count(), parsed.rejected_count), (Format::TempoJson, 2, 0));
    let (first, second) = (spans(&parsed)[0], spans(&parsed)[1]);
    assert_eq!(first.trace_id[..3], [0x2f, 0x57, 0xb4]);
    assert_eq!((first.trace_id.len(), first.kind), (16, 3));
    assert_eq!(second.parent_span_id, first.span_id);
    assert_eq!(first.links[0].span_id, 2u64.to_be_bytes());
    let scope = parsed.spans[0].scope_spans[0].scope.as_ref().expect("a scope");
    assert_eq!(scope.version, "0.1");

    let otlp = read(OTLP).spans;
    let document = String::from_utf8(OTLP.to_vec()).expect("text");
    for framed in [
        format!(r#"{{"trace":{document},"status":"complete"}}"#),
        format!(r#"{{"result":{document}}}"#),
        format!("[{document}]"),
    ] {
        let parsed = read(framed.as_bytes());
        assert_eq!((parsed.format, &parsed.spans), (Format::TempoJson, &otlp));
    }
}

#[test]
fn what_is_wrong_is_said_in_one_sentence() {
    let check = |bytes: &[u8], expected: &str| {
        let error = parse(bytes).expect_err("it is no trace file").to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains('\n'));
    };
    let tried = "; tried OTLP JSON, OTLP JSON lines, OTLP protobuf, Tempo JSON, Jaeger JSON and Zipkin v2 JSON";
    check(b" \n", "the file is empty");
    check(b"hello", &format!("the file is no trace file that can be read: it begins with 'h'{tried}"));
    check(b"\x89PNG", "the file is no trace file that can be read: it begins with the byte 0x89");
    check(b"[]", "the file is no trace file that can be read: its JSON is empty; tried");
    check(br#"{"a":1}"#, "the file is no trace file that can be read: its JSON has none of their keys; tried");
    check(b"{\"resourceSpans\":[\n  {]}", "the file is not valid JSON at line 2 column 4: ");
    check(
        br#"{"resourceSpans":[7]}"#,
        "the file is not valid OTLP JSON at line 1 column 19: invalid type: integer `7`",
    );
    check(br#"{"resourceMetrics":[]}"#, "the file is no trace file that can be read: it holds OTLP metrics, no spans");
    check(b"\x0a\x05ab", "the file is not valid OTLP protobuf at byte ");
    check(&gzipped(OTLP)[..200], "the gzip stream breaks after ");
    check(&"[".repeat(100_000).into_bytes(), "the file is not valid JSON at line 1 column 100000: ");
    let deep = format!("{}null{}", r#"{"trace":"#.repeat(5_000), "}".repeat(5_000));
    check(deep.as_bytes(), "the file is not valid Tempo JSON at line 1 column ");
}
