//! `spanlake blocks list`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use spanlake_catalog::{BlockRef, BlockState};

use super::{Output, StoreArgs, print_json, print_text, utc};

/// Options of `blocks list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let world = args.store.open().await?;
    let blocks = world.blocks(&[]).await?;
    match world.output {
        Output::Json => print_json(&blocks.iter().map(|(block, state)| json(block, *state)).collect()),
        Output::Table => print_text(&table(&blocks)),
    }
    Ok(ExitCode::SUCCESS)
}

/// A block's facts as JSON. Times are Unix nanoseconds, as texts: JSON's numbers do not hold them.
pub(super) fn json(block: &BlockRef, state: BlockState) -> serde_json::Value {
    let meta = &block.meta;
    json!({
        "tenant": block.tenant.as_str(),
        "key": &*block.key,
        "state": state.name(),
        "level": meta.level,
        "format_version": meta.format_version,
        "start_unix_nanos": meta.min_start_unix_nanos.to_string(),
        "end_unix_nanos": meta.max_end_unix_nanos.to_string(),
        "span_count": meta.span_count,
        "trace_count": meta.trace_count,
        "object_bytes": meta.object_bytes,
    })
}

fn table(blocks: &[(BlockRef, BlockState)]) -> String {
    let header = ["key", "state", "level", "from", "to", "spans", "traces", "bytes"].map(str::to_owned);
    let mut rows = vec![header];
    rows.extend(blocks.iter().map(|(block, state)| {
        let meta = &block.meta;
        [
            block.key.to_string(),
            state.name().to_owned(),
            meta.level.to_string(),
            utc(meta.min_start_unix_nanos),
            utc(meta.max_end_unix_nanos),
            meta.span_count.to_string(),
            meta.trace_count.to_string(),
            meta.object_bytes.to_string(),
        ]
    }));
    spanlake_bench::render(&rows)
}
