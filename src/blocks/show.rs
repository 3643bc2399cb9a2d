//! `spanlake blocks show`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use spanlake_block::Layout;
use spanlake_catalog::{BlockRef, BlockState};

use super::{Output, StoreArgs, list, print_json, print_text, utc};

/// Options of `blocks show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The block's key, or the last part of it.
    block: String,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let world = args.store.open().await?;
    let blocks = world.blocks(std::slice::from_ref(&args.block)).await?;
    // A name that is there twice, live and quarantined: the live one comes first.
    let (block, state) = blocks.first().context("there is no such block")?;
    let meta = &block.meta;
    let store = world.catalog.store();
    let mut search = store.get_range(&block.key, meta.search_offset..meta.object_bytes).await?;
    let tail = search.split_off((meta.tail_offset - meta.search_offset) as usize);
    let layout = Layout::read(meta, tail, search)
        .with_context(|| format!("{} cannot be shown: `spanlake blocks verify` says more", block.key))?;
    match world.output {
        Output::Json => print_json(&json(block, *state, &layout)),
        Output::Table => print_text(&text(block, *state, &layout)),
    }
    Ok(ExitCode::SUCCESS)
}

fn json(block: &BlockRef, state: BlockState, layout: &Layout) -> serde_json::Value {
    let row_groups = layout.row_groups.iter().map(|group| {
        json!({
            "offset": group.range.start,
            "bytes": group.range.end - group.range.start,
            "row_count": group.row_count,
            "first_trace_id": group.first_trace_id.to_string(),
            "last_trace_id": group.last_trace_id.to_string(),
            "start_unix_nanos": group.min_start_unix_nanos.to_string(),
            "end_unix_nanos": group.max_end_unix_nanos.to_string(),
        })
    });
    let columns = layout.column_bytes.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes }));
    let sections = layout.section_bytes.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes }));
    let mut all = list::json(block, state);
    all["columns"] = columns.collect();
    all["sections"] = sections.collect();
    all["footer_bytes"] = json!(layout.footer_bytes);
    all["row_groups"] = row_groups.collect();
    all
}

fn text(block: &BlockRef, state: BlockState, layout: &Layout) -> String {
    let meta = &block.meta;
    let fact = |name: &str, value: String| [name.to_owned(), value];
    let of = |bytes: u64| format!("{:.2}", bytes as f64 / meta.span_count.max(1) as f64);
    let facts = [
        fact("key", block.key.to_string()),
        fact("state", state.name().to_owned()),
        fact("level", meta.level.to_string()),
        fact("format version", meta.format_version.to_string()),
        fact("from", utc(meta.min_start_unix_nanos)),
        fact("to", utc(meta.max_end_unix_nanos)),
        fact("spans", meta.span_count.to_string()),
        fact("traces", meta.trace_count.to_string()),
        fact("bytes", meta.object_bytes.to_string()),
        fact("bytes a span", of(meta.object_bytes)),
    ];
    let mut bytes = vec![["column or section", "bytes", "a span"].map(str::to_owned)];
    let sections = layout.section_bytes.iter().map(|(name, bytes)| (format!("[{name}]"), *bytes));
    let footer = ("[Parquet footer]".to_owned(), layout.footer_bytes);
    let mut parts: Vec<(String, u64)> = layout.column_bytes.iter().cloned().chain(sections).chain([footer]).collect();
    parts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    bytes.extend(parts.into_iter().map(|(name, bytes)| [name, bytes.to_string(), of(bytes)]));
    let mut groups = vec![["row group", "offset", "bytes", "rows", "from", "to", "first trace"].map(str::to_owned)];
    groups.extend(layout.row_groups.iter().enumerate().map(|(number, group)| {
        [
            number.to_string(),
            group.range.start.to_string(),
            (group.range.end - group.range.start).to_string(),
            group.row_count.to_string(),
            utc(group.min_start_unix_nanos),
            utc(group.max_end_unix_nanos),
            group.first_trace_id.to_string(),
        ]
    }));
    let [facts, bytes, groups] =
        [spanlake_bench::render(&facts), spanlake_bench::render(&bytes), spanlake_bench::render(&groups)];
    format!("{facts}\n{bytes}\n{groups}")
}
