//! Every stage runs on every kind of corpus, and the report holds together.

use super::*;
use crate::corpus::{Kind, Spec, Writer};

fn arguments(corpus: PathBuf, store: Option<PathBuf>) -> StagesArgs {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        stages: StagesArgs,
    }
    let line = <Line as clap::Parser>::parse_from(["x", "--flush=3000", "--lookups=20", "--repeat=1"]);
    StagesArgs { corpus: Some(corpus), store, ..line.stages }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_runs_on_every_corpus() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for kind in [Kind::Shop, Kind::Entropy, Kind::Large] {
        let path = dir.path().join(format!("{kind:?}"));
        let mut writer = Writer::create(&path, true).expect("it can be created");
        let spec = Spec { large_trace_span_count: 4_000, ..Spec::new(kind, 9_000, 5) };
        let mut corpus = Corpus::new(&spec);
        corpus.by_ref().for_each(|request| writer.write(&request.body).expect("it can be written"));
        writer.finish().expect("it can be flushed");

        let args = arguments(path, (kind == Kind::Shop).then(|| dir.path().join("store")));
        let report = stages(args).await;
        let report = report.expect("every stage works");
        assert_eq!(report.span_count, corpus.figures().sent_span_count, "{kind:?}");
        let whole = report.writes.last().expect("the last is the whole corpus");
        assert_eq!(whole.stored_span_count, corpus.figures().span_count, "{kind:?}");
        let parts = whole.columns.values().sum::<u64>() + whole.indexes.values().sum::<u64>();
        assert!(parts <= whole.object_bytes && parts * 10 > whole.object_bytes * 9, "{kind:?}: {parts}");
        assert!(report.scans[0].traces > 0, "{kind:?}: the needle is found");
        assert_eq!(report.scans[1].traces, 0, "{kind:?}");
        let publish = &report.requests[0];
        assert_eq!((publish.put, publish.get, publish.get_range), (1.0, 0.0, 0.0), "{kind:?}");
        assert!(report.render().contains("needle"));
    }
}

#[tokio::test]
async fn a_store_that_holds_something_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("precious"), b"data").expect("it can be written");
    let refused = requests::count(Some(dir.path()), Vec::new(), &Samples::default()).await;
    assert!(matches!(refused, Err(Error::Usage(_))));
}
