//! Puts a corpus into a store as blocks, the way the roles leave them. It knows blocks and the catalog, not queries.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use spanlake_bench::Error;
use spanlake_block::{WriteOptions, Written, write_block};
use spanlake_catalog::{BlockRef, Catalog, Committed, Edit};
use spanlake_model::{Tenant, TraceId};
use spanlake_otlp::{Batch, Limits};
use spanlake_storage::{Config, Store};

use super::Layout;

/// Spans of a level-0 block.
const L0_SPANS: usize = 20_000;
/// Spans of a compacted block.
const COMPACTED_SPANS: usize = 1_000_000;
/// Spans after the end of a compacted block among which the rest of its traces is looked for.
const REACH_SPANS: usize = 50_000;

/// A directory that holds the stores of one run; a temporary one goes with it.
pub(super) struct Root {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Root {
    /// Opens an empty or absent directory, or a temporary one.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is something in it, [`Error::File`].
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            let temporary = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
            return Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) });
        };
        if path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::Usage(format!("{} is not empty: name a new directory", path.display())));
        }
        Ok(Self { path: path.to_owned(), _temporary: None })
    }

    /// A store of its own below the root.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is not UTF-8, [`Error::Stage`].
    pub(super) fn store(&self, name: &str) -> Result<Store, Error> {
        let path = self.path.join(name);
        let url = path.to_str().ok_or_else(|| Error::Usage("the directory's name is not UTF-8".to_owned()))?;
        Store::open(&Config { url: url.to_owned(), ..Config::default() }).map_err(Error::stage("store"))
    }
}

/// What was stored.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct Stored {
    pub block_count: u64,
    pub object_bytes: u64,
    pub seconds: f64,
}

/// Stores all requests in the layout, in blocks of about so many spans.
///
/// # Errors
/// [`Error::Stage`] if the store or the format refuses them.
pub(super) async fn fill(
    store: &Store,
    layout: Layout,
    block_spans: Option<u32>,
    requests: impl Iterator<Item = Result<Bytes, Error>> + Send + 'static,
) -> Result<Stored, Error> {
    let start = Instant::now();
    let catalog = Catalog::new(store.clone(), spanlake_catalog::Config::default());
    let (sender, mut blocks) = tokio::sync::mpsc::channel(1);
    let default = if layout == Layout::L0 { L0_SPANS } else { COMPACTED_SPANS };
    let block_spans = block_spans.map_or(default, |spans| spans as usize);
    let write = tokio::task::spawn_blocking(move || {
        let cutter = Cutter { layout, block_spans, sender, open: vec![], before: vec![], is_open: HashMap::new() };
        cutter.run(requests)
    });
    let tenant = Tenant::single();
    let mut stored = Stored::default();
    let mut staged = Vec::new();
    while let Some(written) = blocks.recv().await {
        let written: Written = written;
        stored.block_count += 1;
        stored.object_bytes += written.meta.object_bytes;
        match layout {
            Layout::L0 => {
                catalog.publish_l0(&tenant, written).await.map_err(Error::stage("publish"))?;
            }
            Layout::Compacted => {
                staged.push(catalog.stage_block(&tenant, written).await.map_err(Error::stage("stage"))?);
            }
        }
    }
    write.await??;
    if !staged.is_empty() {
        commit(&catalog, &tenant, staged).await?;
    }
    stored.seconds = start.elapsed().as_secs_f64();
    Ok(stored)
}

/// Makes staged blocks live.
async fn commit(catalog: &Catalog, tenant: &Tenant, add: Vec<BlockRef>) -> Result<(), Error> {
    let epoch = catalog.claim(tenant).await.map_err(Error::stage("claim"))?;
    let edit = Edit { add, epoch, ..Edit::default() };
    match catalog.commit(tenant, edit).await.map_err(Error::stage("commit"))? {
        Committed::Won { .. } => Ok(()),
        other => Err(Error::stage("commit")(format!("nobody else commits here, and yet: {other:?}"))),
    }
}

/// Cuts the stream of requests into blocks.
struct Cutter {
    layout: Layout,
    block_spans: usize,
    sender: tokio::sync::mpsc::Sender<Written>,
    /// The block under way.
    open: Vec<Batch>,
    /// The compacted block before it, which still takes late spans of its traces.
    before: Vec<Batch>,
    /// Of the traces of the two: whether it is of the block under way.
    is_open: HashMap<TraceId, bool>,
}

impl Cutter {
    fn run(mut self, requests: impl Iterator<Item = Result<Bytes, Error>>) -> Result<(), Error> {
        let limits = Limits::default();
        let reach_spans = REACH_SPANS.min(self.block_spans / 2);
        let mut open_spans = 0;
        for request in requests {
            let batch = spanlake_otlp::index(request?, &limits).map_err(Error::stage("index"))?;
            open_spans += self.add(batch);
            if !self.before.is_empty() && open_spans >= reach_spans {
                let done = std::mem::take(&mut self.before);
                self.write(&done)?;
                self.is_open.retain(|_, is_open| *is_open);
            }
            if open_spans >= self.block_spans {
                open_spans = 0;
                let full = std::mem::take(&mut self.open);
                if self.layout == Layout::L0 {
                    self.write(&full)?;
                } else {
                    self.before = full;
                    self.is_open.values_mut().for_each(|is_open| *is_open = false);
                }
            }
        }
        let (before, open) = (std::mem::take(&mut self.before), std::mem::take(&mut self.open));
        self.write(&before)?;
        self.write(&open)
    }

    /// Puts the spans into the blocks of their traces, and returns how many went into the one under way.
    fn add(&mut self, batch: Batch) -> usize {
        if self.layout == Layout::L0 {
            let span_count = batch.spans.len();
            self.open.push(batch);
            return span_count;
        }
        let (mut now, mut late) = (Vec::with_capacity(batch.spans.len()), Vec::new());
        for entry in &batch.spans {
            if *self.is_open.entry(entry.trace_id).or_insert(true) {
                now.push(entry.clone());
            } else {
                late.push(entry.clone());
            }
        }
        if !late.is_empty() {
            self.before.push(Batch { spans: late, ..batch.clone() });
        }
        let span_count = now.len();
        if span_count > 0 {
            self.open.push(Batch { spans: now, ..batch });
        }
        span_count
    }

    fn write(&mut self, batches: &[Batch]) -> Result<(), Error> {
        if batches.is_empty() {
            return Ok(());
        }
        let level = u8::from(self.layout == Layout::Compacted);
        let options = WriteOptions { level, ..WriteOptions::default() };
        let written = write_block(batches, &options).map_err(Error::stage("write"))?;
        // A receiver that is gone has failed, and says so itself.
        let _ = self.sender.blocking_send(written);
        Ok(())
    }
}
