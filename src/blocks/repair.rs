//! `spanlake blocks repair`: damaged blocks are replaced, in one commit each, by what can be read of them.
//!
//! What is replaced is first copied aside as it is, so that nothing is lost that is not lost already. Owning the
//! tenant for the commit takes it from a running compactor, which notices and takes it back.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use spanlake_block::{Block, BlockMeta, SpanRow, Verified};
use spanlake_catalog::{BlockRef, Committed, Edit};
use spanlake_model::TraceId;

use super::salvage::Salvage;
use super::verify::{read, verify_all};
use super::{Output, StoreArgs, World, print_json, print_text, verify};

/// How often a commit is tried while others win.
const MAX_COMMITS: usize = 16;

/// Options of `blocks repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Blocks to verify and repair, by key or by the last part of it; all live ones by default.
    blocks: Vec<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Do it. Without this, only say what would be lost.
    #[arg(long)]
    apply: bool,
}

/// What became of one damaged block.
struct Repaired {
    block: BlockRef,
    verified: Verified,
    /// Spans in the new blocks.
    kept_count: u64,
    /// Empty without --apply.
    new_keys: Vec<String>,
    kept_key: Option<String>,
}

pub(super) async fn run(args: &RepairArgs) -> anyhow::Result<ExitCode> {
    let world = args.store.open().await?;
    let blocks = world.live_blocks(&args.blocks).await?;
    let damaged = verify_all(&world, &blocks, 1).await?.into_iter().filter(|(_, verified)| !verified.is_sound());
    let mut all = Vec::new();
    for (block, verified) in damaged {
        let kept_count = block.meta.span_count.saturating_sub(verified.lost_row_count);
        let mut repaired = Repaired { block, verified, kept_count, new_keys: Vec::new(), kept_key: None };
        if args.apply {
            let key = repaired.block.key.clone();
            repair(&world, &mut repaired).await.with_context(|| format!("{key} was not repaired"))?;
        }
        all.push(repaired);
    }
    match world.output {
        Output::Json => print_json(&all.iter().map(|repaired| json(repaired, args.apply)).collect()),
        Output::Table => print_text(&text(&all, blocks.len(), args.apply)),
    }
    Ok(if all.is_empty() || args.apply { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn repair(world: &World, repaired: &mut Repaired) -> anyhow::Result<()> {
    let (block, catalog) = (repaired.block.clone(), &world.catalog);
    match catalog.keep_damaged(&block).await {
        Ok(key) => repaired.kept_key = Some(key),
        // An object that is gone leaves nothing to keep.
        Err(error) if error.is_gone() => {}
        Err(error) => return Err(error.into()),
    }
    let add = salvage(world, &block, &repaired.verified).await?;
    repaired.kept_count = add.iter().map(|block| block.meta.span_count).sum();
    repaired.new_keys = add.iter().map(|block| block.key.to_string()).collect();
    commit(world, &block, add).await
}

/// Stages new blocks of every row group that can be read. None if the tail is damaged: it says what the rows are.
async fn salvage(world: &World, block: &BlockRef, verified: &Verified) -> anyhow::Result<Vec<BlockRef>> {
    let (catalog, meta) = (&world.catalog, &block.meta);
    let mut staged = Vec::new();
    let Some(opened) = open(world, block, meta).await? else { return Ok(staged) };
    // What was deleted must not come back in a block that is newer than its deletion.
    let snapshot = catalog.snapshot(&block.tenant).await?;
    let is_deleted = |row: &SpanRow| {
        <[u8; 16]>::try_from(row.span.trace_id.as_slice()).is_ok_and(|id| snapshot.deleted().contains(&TraceId(id)))
    };
    let mut salvage = Salvage::new(meta.level);
    for number in (0..opened.row_group_count()).filter(|number| !verified.lost_row_groups.contains(number)) {
        let bytes = read(catalog.store(), &block.key, opened.row_group_range(number)).await?.unwrap_or_default();
        // It was read a moment ago: what fails now is not counted as lost, so it must not be left out.
        let mut rows = opened.read_row_group(number, bytes)?;
        rows.retain(|row| !is_deleted(row));
        if let Some(written) = salvage.push(rows)? {
            staged.push(catalog.stage_block(&block.tenant, written).await?);
        }
    }
    if let Some(written) = salvage.finish()? {
        staged.push(catalog.stage_block(&block.tenant, written).await?);
    }
    Ok(staged)
}

async fn open(world: &World, block: &BlockRef, meta: &BlockMeta) -> anyhow::Result<Option<Block>> {
    let tail = read(world.catalog.store(), &block.key, meta.tail_offset..meta.object_bytes).await?;
    Ok(tail.and_then(|tail| Block::open(meta, tail).ok()))
}

/// Puts the new blocks in place of the old one.
async fn commit(world: &World, block: &BlockRef, add: Vec<BlockRef>) -> anyhow::Result<()> {
    let (catalog, tenant) = (&world.catalog, &block.tenant);
    for _ in 0..MAX_COMMITS {
        let epoch = catalog.claim(tenant).await.context("the tenant cannot be claimed")?;
        let edit = Edit { add: add.clone(), remove: vec![block.clone()], epoch, ..Edit::default() };
        match catalog.commit(tenant, edit).await {
            Ok(Committed::Won { .. }) => return Ok(()),
            Ok(Committed::Lost { .. }) | Err(spanlake_catalog::Error::Fenced { .. }) => {}
            Ok(Committed::Unknown { key }) => {
                anyhow::bail!("it is unknown whether {key} was stored: verify again once the store answers")
            }
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("other commits kept winning: stop the compactors, or try again")
}

fn json(repaired: &Repaired, applied: bool) -> serde_json::Value {
    let mut all = verify::json(&repaired.block, &repaired.verified);
    all["repaired"] = json!(applied);
    all["kept_span_count"] = json!(repaired.kept_count);
    all["new_keys"] = json!(repaired.new_keys);
    all["kept_key"] = json!(repaired.kept_key);
    all
}

fn text(all: &[Repaired], block_count: usize, applied: bool) -> String {
    let mut text = String::new();
    for repaired in all {
        let Repaired { block, verified, kept_count, new_keys, kept_key } = repaired;
        let lost = verified.lost_row_count;
        let (loses, keeps) = if applied { ("lost", "kept") } else { ("would lose", "would keep") };
        text.push_str(&format!("{}: {} problems, {loses} {lost} spans", block.key, verified.problem_count));
        if !verified.lost_row_groups.is_empty() {
            text.push_str(&format!(" (row groups {:?})", verified.lost_row_groups));
        }
        text.push_str(&format!(", {keeps} {kept_count}\n"));
        verified.problems.iter().for_each(|problem| text.push_str(&format!("  {problem}\n")));
        new_keys.iter().for_each(|key| text.push_str(&format!("  new: {key}\n")));
        kept_key.iter().for_each(|key| text.push_str(&format!("  the damaged object is kept as {key}\n")));
    }
    text.push_str(&format!("{block_count} blocks verified, {} damaged", all.len()));
    text.push_str(match (all.is_empty(), applied) {
        (true, _) => "\n",
        (false, true) => " and replaced\n",
        (false, false) => "; nothing was changed: add --apply to replace them\n",
    });
    text
}
