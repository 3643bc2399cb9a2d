//! Carries out one merge: fetches what it asks for, lets it compute on a thread of its own, stores what it gives. It decides
//! nothing, and commits nothing.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Damage, Merge, MergeError, MergeInput, MergeOptions, MergeReport, SharedOrigins, Wanted};
use spanlake_catalog::{BlockRef, Catalog, Error};
use spanlake_storage::Kind;

use crate::hold::Hold;
use crate::worker::{Ended, Worker};

/// Inputs that are fetched at once.
const FETCHED_AT_ONCE: usize = 4;

/// Why a merge came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An input is not what was written.
    #[error("{key:?} is damaged: {problem}")]
    Damaged { key: Arc<str>, problem: String },
    /// An input is not there any more: another compactor merged it.
    #[error("the object {key:?} is gone")]
    Gone { key: Arc<str> },
    /// Another compactor has the tenant.
    #[error("another compactor has taken over the tenant")]
    LeaseLost,
    /// The store failed.
    #[error(transparent)]
    Catalog(#[from] Error),
    /// An output could not be written.
    #[error(transparent)]
    Write(#[from] spanlake_block::WriteError),
    /// The merge was not given what it asked for.
    #[error(transparent)]
    Broken(MergeError),
    /// There is no thread to be had: nothing is wrong with the inputs.
    #[error("a thread for a merge cannot be started: {0}")]
    NoThread(std::io::Error),
    /// The work panicked.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Merges blocks, and puts the outputs that are stored into `outputs`, also when it fails later. A ranged GET for each input,
/// about one for each row group, and a PUT for each output.
pub(crate) async fn merge(
    catalog: &Catalog,
    hold: &mut Hold,
    inputs: &[BlockRef],
    options: MergeOptions,
    outputs: &mut Vec<BlockRef>,
) -> Result<MergeReport, Failure> {
    let worker = Worker::start().map_err(Failure::NoThread)?;
    let opened = open(catalog, &worker, inputs).await?;
    let begun = worker.run(move || Merge::new(opened, options)).await?;
    let mut merge = begun.map_err(|error| failure(error, inputs))?;
    while let Some(wanted) = merge.wanted() {
        if !hold.renew(catalog).await? {
            return Err(Failure::LeaseLost);
        }
        let fetched = fetch(catalog, inputs, wanted).await?;
        let (back, step) = worker
            .run(move || {
                let step = merge.step(fetched);
                (merge, step)
            })
            .await?;
        merge = back;
        for written in step.map_err(|error| failure(error, inputs))? {
            outputs.push(catalog.stage_block(hold.tenant(), written).await?);
        }
    }
    let end = worker.run(move || merge.finish()).await?.map_err(|error| failure(error, inputs))?;
    for written in end.blocks {
        outputs.push(catalog.stage_block(hold.tenant(), written).await?);
    }
    Ok(end.report)
}

async fn open(catalog: &Catalog, worker: &Worker, inputs: &[BlockRef]) -> Result<Vec<MergeInput>, Failure> {
    let read = |block: &BlockRef| {
        let block = block.clone();
        async move {
            let range = block.meta.search_offset..block.meta.object_bytes;
            let bytes = read(catalog, &block, std::slice::from_ref(&range)).await?;
            Ok::<_, Failure>((block, bytes.into_iter().next().unwrap_or_default()))
        }
        .boxed()
    };
    let reads: Vec<BoxFuture<'_, _>> = inputs.iter().map(read).collect();
    let mut reads = stream::iter(reads).buffered(FETCHED_AT_ONCE);
    let mut opened = Vec::with_capacity(inputs.len());
    let mut origins = SharedOrigins::default();
    while let Some((block, bytes)) = reads.try_next().await? {
        let (meta, key) = (block.meta, block.key);
        let (input, back) = worker
            .run(move || {
                let input = MergeInput::open(&meta, bytes, &mut origins);
                (input, origins)
            })
            .await?;
        origins = back;
        opened.push(input.map_err(|damage| damaged(&key, &damage))?);
    }
    Ok(opened)
}

/// Fetches row groups; those of one input in one go.
async fn fetch(catalog: &Catalog, inputs: &[BlockRef], wanted: Vec<Wanted>) -> Result<Vec<(Wanted, Bytes)>, Failure> {
    let mut by_input: Vec<(&BlockRef, Vec<Wanted>)> = Vec::new();
    let mut last = None;
    for wanted in wanted {
        let Some(block) = inputs.get(wanted.input) else { continue };
        match by_input.last_mut() {
            Some((_, group)) if last == Some(wanted.input) => group.push(wanted.clone()),
            _ => by_input.push((block, vec![wanted.clone()])),
        }
        last = Some(wanted.input);
    }
    let reads: Vec<BoxFuture<'_, _>> = by_input
        .into_iter()
        .map(|(block, wanted)| {
            async move {
                let ranges: Vec<Range<u64>> = wanted.iter().map(|wanted| wanted.range.clone()).collect();
                let bytes = read(catalog, block, &ranges).await?;
                Ok::<_, Failure>(wanted.into_iter().zip(bytes).collect::<Vec<_>>())
            }
            .boxed()
        })
        .collect();
    let fetched: Vec<Vec<(Wanted, Bytes)>> = stream::iter(reads).buffered(FETCHED_AT_ONCE).try_collect().await?;
    Ok(fetched.into_iter().flatten().collect())
}

async fn read(catalog: &Catalog, block: &BlockRef, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Failure> {
    catalog.store().get_ranges(&block.key, ranges).await.map_err(|error| match error.kind() {
        Kind::NotFound => Failure::Gone { key: Arc::clone(&block.key) },
        Kind::Damaged => Failure::Damaged { key: Arc::clone(&block.key), problem: error.to_string() },
        _ => Failure::Catalog(error.into()),
    })
}

fn failure(error: MergeError, inputs: &[BlockRef]) -> Failure {
    match error {
        MergeError::Damaged { input, damage } => match inputs.get(input) {
            Some(block) => damaged(&block.key, &damage),
            None => Failure::Ended(Ended),
        },
        MergeError::Write(error) => Failure::Write(error),
        error @ MergeError::Missing { .. } => Failure::Broken(error),
    }
}

fn damaged(key: &Arc<str>, damage: &Damage) -> Failure {
    Failure::Damaged { key: Arc::clone(key), problem: damage.to_string() }
}
