//! `spanlake blocks verify`: every block read once, row group by row group, some blocks side by side.

use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use spanlake_block::{Check, Problem, Verified, Verifier};
use spanlake_catalog::BlockRef;
use spanlake_storage::{Kind, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Output, StoreArgs, World, print_json, print_text};

/// Options of `blocks verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Blocks to verify, by key or by the last part of it; all live ones by default.
    blocks: Vec<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Blocks verified at once. Each holds a row group in memory, some ten megabytes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
}

pub(super) async fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let world = args.store.open().await?;
    let blocks = world.live_blocks(&args.blocks).await?;
    let results = verify_all(&world, &blocks, args.concurrency).await?;
    match world.output {
        Output::Json => print_json(&results.iter().map(|(block, verified)| json(block, verified)).collect()),
        Output::Table => print_text(&text(&results)),
    }
    let is_sound = results.iter().all(|(_, verified)| verified.is_sound());
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Verifies blocks, `concurrency` at once, and gives the verdicts in the same order. Blocks that were merged or expired
/// meanwhile are left out.
pub(super) async fn verify_all(
    world: &World,
    blocks: &[BlockRef],
    concurrency: u16,
) -> anyhow::Result<Vec<(BlockRef, Verified)>> {
    let permits = Arc::new(Semaphore::new(usize::from(concurrency)));
    let mut tasks = JoinSet::new();
    for (number, block) in blocks.iter().cloned().enumerate() {
        let (store, permits) = (world.catalog.store().clone(), Arc::clone(&permits));
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await.context("the verification is over")?;
            verify_again(&store, &block).await.map(|verified| (number, verified))
        });
    }
    let mut progress = Progress::new(blocks.len(), world.is_quiet);
    let mut results: Vec<Option<Verified>> = vec![None; blocks.len()];
    while let Some(done) = tasks.join_next().await {
        let (number, verified) = done.context("a verification broke off")??;
        progress.step(verified.as_ref());
        results[number] = match verified {
            Some(verified) => Some(verified),
            None if world.is_still_live(&blocks[number]).await? => Some(absent(&blocks[number])),
            None => None,
        };
    }
    progress.end();
    Ok(blocks.iter().cloned().zip(results).filter_map(|(block, verified)| Some((block, verified?))).collect())
}

/// A live block that the store does not have.
fn absent(block: &BlockRef) -> Verified {
    let problem = Problem {
        check: Check::TailChecksum,
        place: "object".to_owned(),
        expected: "an object, since the block is live".to_owned(),
        found: "none".to_owned(),
    };
    let lost_row_count = block.meta.span_count;
    Verified { problems: vec![problem], problem_count: 1, lost_row_count, ..Verified::default() }
}

/// Verifies a block; once more if something is wrong, since damage may have come in on the way. None if the object is gone.
async fn verify_again(store: &Store, block: &BlockRef) -> anyhow::Result<Option<Verified>> {
    match verify(store, block).await? {
        Some(verified) if !verified.is_sound() => verify(store, block).await,
        outcome => Ok(outcome),
    }
}

async fn verify(store: &Store, block: &BlockRef) -> anyhow::Result<Option<Verified>> {
    let meta = &block.meta;
    let Some(tail) = read(store, &block.key, meta.tail_offset..meta.object_bytes).await? else { return Ok(None) };
    let mut verifier = match Verifier::open(meta, tail) {
        Ok(verifier) => verifier,
        Err(verified) => return Ok(Some(verified)),
    };
    let Some(search) = read(store, &block.key, verifier.search_range()).await? else { return Ok(None) };
    verifier.search(search);
    for number in 0..verifier.row_group_count() {
        let Some(bytes) = read(store, &block.key, verifier.row_group_range(number)).await? else { return Ok(None) };
        // Decoding takes some hundred milliseconds: not on a thread that serves others.
        verifier = tokio::task::spawn_blocking(move || {
            verifier.row_group(bytes);
            verifier
        })
        .await
        .context("a verification broke off")?;
    }
    Ok(Some(verifier.finish()))
}

/// The bytes of a range; fewer, namely none, when the object ends before it. None if there is no object.
pub(super) async fn read(store: &Store, key: &str, range: Range<u64>) -> anyhow::Result<Option<Bytes>> {
    match store.get_range(key, range).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) if error.kind() == Kind::Damaged => Ok(Some(Bytes::new())),
        Err(error) => Err(error).context("a block cannot be read"),
    }
}

/// How far it is, on a terminal only.
struct Progress {
    is_shown: bool,
    block_count: usize,
    done_count: usize,
    damaged_count: usize,
}

impl Progress {
    fn new(block_count: usize, is_quiet: bool) -> Self {
        Self { is_shown: !is_quiet && std::io::stderr().is_terminal(), block_count, done_count: 0, damaged_count: 0 }
    }

    fn step(&mut self, verified: Option<&Verified>) {
        self.done_count += 1;
        self.damaged_count += usize::from(verified.is_some_and(|verified| !verified.is_sound()));
        if self.is_shown {
            let Self { block_count, done_count, damaged_count, .. } = self;
            let _ = write!(std::io::stderr(), "\r{done_count} of {block_count} blocks, {damaged_count} damaged");
        }
    }

    fn end(&self) {
        if self.is_shown && self.block_count > 0 {
            let _ = writeln!(std::io::stderr());
        }
    }
}

/// A verdict as JSON.
pub(super) fn json(block: &BlockRef, verified: &Verified) -> serde_json::Value {
    let problems = verified.problems.iter().map(|problem| {
        json!({
            "check": problem.check.name(),
            "place": problem.place,
            "expected": problem.expected,
            "found": problem.found,
        })
    });
    json!({
        "tenant": block.tenant.as_str(),
        "key": &*block.key,
        "sound": verified.is_sound(),
        "row_count": verified.row_count,
        "lost_row_count": verified.lost_row_count,
        "lost_row_groups": verified.lost_row_groups,
        "problem_count": verified.problem_count,
        "problems": problems.collect::<serde_json::Value>(),
    })
}

fn text(results: &[(BlockRef, Verified)]) -> String {
    let mut text = String::new();
    let mut damaged_count = 0;
    for (block, verified) in results.iter().filter(|(_, verified)| !verified.is_sound()) {
        damaged_count += 1;
        text.push_str(&format!("{}: {} problems\n", block.key, verified.problem_count));
        verified.problems.iter().for_each(|problem| text.push_str(&format!("  {problem}\n")));
        let untold = verified.problem_count - verified.problems.len() as u64;
        if untold > 0 {
            text.push_str(&format!("  and {untold} more\n"));
        }
    }
    let row_count: u64 = results.iter().map(|(_, verified)| verified.row_count).sum();
    let lost_count: u64 = results.iter().map(|(_, verified)| verified.lost_row_count).sum();
    text.push_str(&format!(
        "{} blocks verified, {row_count} spans read, {damaged_count} blocks damaged",
        results.len()
    ));
    if damaged_count > 0 {
        text.push_str(&format!(", {lost_count} spans unreadable (`spanlake blocks repair` keeps the rest)"));
    }
    text.push('\n');
    text
}
