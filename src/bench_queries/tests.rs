//! The whole command over small corpora, in both layouts: every answer is right.

use clap::Parser as _;
use spanlake_bench::Args;

use super::report::Verdict;
use super::*;

fn args(text: &str) -> QueriesArgs {
    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: QueriesArgs,
    }
    Only::try_parse_from(std::iter::once("queries").chain(text.split_whitespace())).expect("good arguments").args
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory as _;
    Args::<Command>::command().debug_assert();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_right() {
    for layout in ["compacted --block-spans 1000", "l0 --block-spans 600"] {
        let args = args(&format!("--spans 4000 --layout {layout} --check --runs 1 --latency-ms 2"));
        let report = measure(&args).await.expect("everything can be asked");
        let text = report.render();
        assert!(report.stored.block_count > 1, "{text}");
        assert!(report.warm.iter().all(|row| row.verdict == Verdict::Ok), "{text}");
        // Such a small corpus may have no slow checkout and no rare product.
        let may_be_empty = |name: &str| name.contains("duration") || name.contains("regex");
        assert!(report.warm.iter().all(|row| row.found_count > 0 || may_be_empty(row.name)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cold_queries_stay_within_their_waves() {
    let args = args("--spans 1500 --runs 1 --latency-ms 5");
    let report = measure(&args).await.expect("everything can be asked");
    assert!(report.cold.iter().all(|row| row.aim_waves.is_none_or(|aim| row.cold.waves <= aim)), "{}", report.render());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_kept_and_compared() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("golden.json");
    let args_with = |option: &str| args(&format!("--spans 1500 --runs 1 {option} {}", path.display()));
    run(Command::Queries(Box::new(args_with("--write-golden")))).await.expect("written");
    run(Command::Queries(Box::new(args_with("--golden")))).await.expect("nothing is wrong");
    let other =
        std::fs::read_to_string(&path).expect("it was written").replace("\"checksum\": \"", "\"checksum\": \"0");
    std::fs::write(&path, other).expect("written");
    let error = run(Command::Queries(Box::new(args_with("--golden")))).await.expect_err("everything is wrong");
    assert!(error.to_string().contains("answers are wrong"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_ask_while_spans_arrive() {
    let args = args("--spans 1500 --runs 1 --concurrent 4 --seconds 1 --with-ingest");
    let report = measure(&args).await.expect("everything can be asked");
    let json = serde_json::to_value(&report).expect("plain data");
    let mixed = &json["mixed"];
    assert_eq!(mixed["error_count"], 0, "{mixed}");
    assert!(mixed["query_count"].as_u64() > Some(0) && mixed["ingest_together"].as_f64() > Some(0.0), "{mixed}");
}
