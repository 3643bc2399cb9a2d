//! One turn of one tenant: looks, decides with [`select`], does the one thing that is due. Short on purpose, so that tenants
//! take turns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spanlake_block::{MergeOptions, WriteOptions};
use spanlake_catalog::{BlockRef, Catalog, Committed, Edit, Error, MAX_QUARANTINED, Quarantined, Retired, Snapshot};
use spanlake_model::Tenant;
use spanlake_model::world::{self, Rule};
use tokio::time::Instant;

use crate::Config;
use crate::candidate::{candidates, unix_nanos};
use crate::garbage;
use crate::memory::Memory;
use crate::merging::{Failure, merge};
use crate::metrics::{LevelLabels, Metrics, Outcome, Why};
use crate::plan::{Plan, select};
use crate::status::TenantStatus;
use crate::tombstones;

/// How often a commit is tried while others win: traces that are deleted, no more.
const MAX_COMMITS: usize = 16;

/// Deleted objects that are forgotten in a commit of their own when no merge takes them along.
const FORGOTTEN_AT_ONCE: usize = 256;

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing is due.
    Idle,
    /// Something was done; more may be due.
    Worked,
    /// Another compactor works on the tenant.
    Elsewhere,
}

/// What a turn needs of the role.
pub(crate) struct Role<'a> {
    pub(crate) config: &'a Config,
    pub(crate) catalog: &'a Catalog,
    pub(crate) metrics: &'a Metrics,
    pub(crate) holder: &'a str,
}

/// What is due for a tenant.
pub(crate) struct Due {
    pub(crate) plan: Plan,
    check: bool,
    forget_deleted: bool,
    pub(crate) delete: bool,
    forget: bool,
    pub(crate) sweep: bool,
    pub(crate) manifests: bool,
}

impl Due {
    fn is_nothing(&self) -> bool {
        let cleaning = self.delete || self.forget || self.sweep || self.manifests;
        let chores = self.check || self.forget_deleted || cleaning;
        self.plan == Plan::Nothing && !chores
    }
}

impl Role<'_> {
    /// Whether something is due, and what is known of the tenant. A snapshot.
    pub(crate) async fn look(&self, tenant: &Tenant, memory: &mut Memory) -> Result<(bool, TenantStatus), Error> {
        let now = world::now();
        let snapshot = self.catalog.snapshot(tenant).await?;
        memory.prune(&snapshot);
        let due = self.due(tenant, &snapshot, memory, unix_nanos(now));
        let mut status = TenantStatus::of(&snapshot, unix_nanos(now));
        (status.due, status.is_held) = (due.plan.name(), memory.hold.is_held());
        if self.config.dry_run {
            self.tell(tenant, &snapshot, memory, &due, now).await?;
            return Ok((false, status));
        }
        if due.is_nothing() {
            memory.hold.release(self.catalog).await;
        }
        Ok((!due.is_nothing(), status))
    }

    fn due(&self, tenant: &Tenant, snapshot: &Snapshot, memory: &Memory, now: u64) -> Due {
        let config = self.config;
        let blocks = candidates(snapshot, &memory.holding, &memory.left_out);
        let retention_nanos = config.retention_nanos(tenant);
        let plan = match memory.max_inputs {
            Some(max_inputs) => select(&blocks, &Config { max_inputs, ..config.clone() }, retention_nanos, now),
            None => select(&blocks, config, retention_nanos, now),
        };
        let (grace, l0_grace) = (config.grace().as_nanos(), config.l0_grace().as_nanos());
        let may_go = |retired: &Retired| {
            // Clocks that are ahead or behind must not keep objects for ever: the store's own decides, and is asked for.
            let age = now.checked_sub(retired.unix_nanos).map_or(u128::MAX, u128::from);
            age >= grace || (age >= l0_grace && garbage::is_l0(&retired.key) && !memory.gone.contains(&retired.key))
        };
        let looked = memory.deleted_at.is_some_and(|at| at.elapsed() < config.interval.get());
        Due {
            check: tombstones::is_due(snapshot, memory),
            forget_deleted: tombstones::may_be_forgotten(snapshot, memory, config.deleted_traces_min_age.get(), now),
            delete: !looked && snapshot.retired().any(may_go),
            forget: memory.forget.len() >= FORGOTTEN_AT_ONCE || (plan == Plan::Nothing && !memory.forget.is_empty()),
            sweep: memory.sweep_at <= Instant::now(),
            manifests: memory.manifests_at <= Instant::now(),
            plan,
        }
    }

    /// Does the next thing that is due.
    pub(crate) async fn turn(&self, tenant: &Tenant, memory: &mut Memory) -> Result<Turn, Error> {
        let outcome = self.work(tenant, memory).await;
        if matches!(outcome, Ok(Turn::Idle)) {
            memory.hold.release(self.catalog).await;
        }
        if let Err(Error::Fenced { .. }) = &outcome {
            tracing::info!(%tenant, "another compactor has claimed the tenant");
            self.metrics.count_commit(Outcome::Fenced);
            memory.hold.lose();
            return Ok(Turn::Elsewhere);
        }
        outcome
    }

    async fn work(&self, tenant: &Tenant, memory: &mut Memory) -> Result<Turn, Error> {
        if self.config.dry_run {
            return Ok(Turn::Idle);
        }
        // A machine that sleeps may stop the one clock and not the other.
        let (begun, begun_at) = (Instant::now(), world::now());
        let snapshot = self.catalog.snapshot(tenant).await?;
        memory.prune(&snapshot);
        if self.due(tenant, &snapshot, memory, unix_nanos(world::now())).is_nothing() {
            return Ok(Turn::Idle);
        }
        if !memory.hold.take(self.catalog, self.holder, self.config.lease.get()).await? {
            return Ok(Turn::Elsewhere);
        }
        let epoch = memory.hold.epoch(self.catalog, &snapshot).await?;
        let mut worked = false;
        if tombstones::is_due(&snapshot, memory) {
            let checked = tombstones::check(self.catalog, &snapshot, memory).await?;
            // What could not be looked at is no reason to take turns without a pause.
            worked |= checked.settled_count > 0;
            for (block, problem) in checked.damaged {
                self.quarantine(&snapshot, memory, epoch, &block, problem).await?;
            }
        }
        // From here on the store's clock counts: a wrong one here must not drop or delete anything too early.
        let store_now = memory.hold.store_now();
        let due = self.due(tenant, &snapshot, memory, unix_nanos(store_now));
        if due.forget_deleted {
            let since = begun.elapsed().max(world::now().duration_since(begun_at).unwrap_or_default());
            let since = if world::is_broken(Rule::AgeAsOfTheListing) { Duration::ZERO } else { since };
            let taken_at = store_now.checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH);
            worked |= self.forget_deleted(&snapshot, memory, epoch, taken_at).await?;
        }
        worked |= self.chores(tenant, memory, &due, epoch).await?;
        worked |= match due.plan {
            Plan::Nothing => false,
            Plan::Merge { level, inputs } => self.merge(&snapshot, memory, epoch, level, &inputs).await?,
            Plan::Move { level, blocks } => self.relevel(&snapshot, memory, epoch, level, &blocks).await?,
            Plan::Drop { blocks } => self.expire(&snapshot, memory, epoch, &blocks).await?,
        };
        Ok(if worked { Turn::Worked } else { Turn::Idle })
    }

    /// Forgets deletions of traces that are gone from storage; whether there were any. `taken_at` is when the snapshot was taken, by
    /// the store's clock.
    async fn forget_deleted(
        &self,
        snapshot: &Snapshot,
        memory: &mut Memory,
        epoch: u64,
        taken_at: SystemTime,
    ) -> Result<bool, Error> {
        let (tenant, min_age) = (&snapshot.tenant, self.config.deleted_traces_min_age.get());
        let forget_deleted = tombstones::forgettable(self.catalog, snapshot, memory, min_age, taken_at).await?;
        if forget_deleted.is_empty() {
            return Ok(false);
        }
        let count = forget_deleted.len();
        let won = self.commit(tenant, memory, Edit { epoch, forget_deleted, ..Edit::default() }).await?;
        tracing::info!(target: "audit", %tenant, count, won, "deleted traces are gone from storage");
        Ok(won)
    }

    async fn chores(&self, tenant: &Tenant, memory: &mut Memory, due: &Due, epoch: u64) -> Result<bool, Error> {
        let mut worked = false;
        let store_now = memory.hold.store_now();
        if due.delete {
            let past = garbage::past_grace(self.catalog, tenant, self.config, memory, store_now).await?;
            // Where more is left than one turn deletes, the next one goes on at once.
            memory.deleted_at = (!past.is_cut).then(Instant::now);
            let early = garbage::delete(self.catalog, self.metrics, Why::Retired, past.early).await;
            let old = garbage::delete(self.catalog, self.metrics, Why::Retired, past.old).await;
            worked |= !early.is_empty() || !old.is_empty();
            memory.gone.extend(early);
            memory.forget.extend(old);
        }
        if due.forget {
            worked |= self.commit(tenant, memory, Edit { epoch, ..Edit::default() }).await?;
        }
        if due.sweep {
            memory.sweep_at = Instant::now() + self.config.sweep_interval.get();
            // Time to try again what could not be done.
            memory.left_out.clear();
            memory.unreadable.clear();
            memory.missing.clear();
            worked |= garbage::sweep(self.catalog, tenant, self.config, self.metrics, store_now).await? > 0;
        }
        if due.manifests {
            // Thousands of commits a day leave more than one sweep takes: then another one follows soon.
            memory.manifests_at = Instant::now() + self.config.sweep_interval.get();
            let swept = garbage::sweep_manifests(self.catalog, tenant, self.config, self.metrics, store_now).await?;
            worked |= swept.deleted_count > 0;
            if swept.is_full {
                memory.manifests_at = Instant::now() + self.config.interval.get();
            }
        }
        Ok(worked)
    }

    /// Commits an edit and takes what is to be forgotten along; whether it is in force. Unknown is not.
    async fn commit(&self, tenant: &Tenant, memory: &mut Memory, edit: Edit) -> Result<bool, Error> {
        Ok(self.try_commit(tenant, memory, edit).await? == Outcome::Won)
    }

    async fn try_commit(&self, tenant: &Tenant, memory: &mut Memory, mut edit: Edit) -> Result<Outcome, Error> {
        edit.forget = memory.forget.clone();
        for _ in 0..MAX_COMMITS {
            match self.catalog.commit(tenant, edit.clone()).await? {
                Committed::Won { .. } => {
                    self.metrics.count_commit(Outcome::Won);
                    memory.forget.clear();
                    return Ok(Outcome::Won);
                }
                Committed::Lost { .. } => self.metrics.count_commit(Outcome::Lost),
                Committed::Unknown { key } => {
                    self.metrics.count_commit(Outcome::Unknown);
                    tracing::warn!(%tenant, key, "it is unknown whether a commit is in force: everything is kept");
                    return Ok(Outcome::Unknown);
                }
            }
        }
        Ok(Outcome::Lost)
    }

    async fn merge(
        &self,
        snapshot: &Snapshot,
        memory: &mut Memory,
        epoch: u64,
        level: u8,
        inputs: &[Arc<str>],
    ) -> Result<bool, Error> {
        let (begun, tenant) = (Instant::now(), &snapshot.tenant);
        let inputs = blocks_of(snapshot, inputs);
        let deleted_by = snapshot.deleted().iter().map(|(_, tombstone)| tombstone.sequence).max().unwrap_or(0);
        let options = MergeOptions {
            write: WriteOptions { level, ..WriteOptions::default() },
            window_nanos: self.config.window.as_nanos(),
            max_block_bytes: self.config.max_block_bytes.bytes(),
            deleted: match world::is_broken(Rule::DropDeletedRows) {
                false => snapshot.deleted().ids(),
                true => Arc::default(),
            },
            ..MergeOptions::default()
        };
        let mut outputs = Vec::new();
        let merged = merge(self.catalog, &mut memory.hold, &inputs, options, &mut outputs).await;
        let report = match merged {
            Ok(report) => report,
            Err(failure) => {
                self.metrics.failed_merges.inc();
                self.discard(&outputs).await;
                return self.failed(snapshot, memory, epoch, &inputs, failure).await;
            }
        };
        (memory.suspect, memory.max_inputs) = (None, None);
        if begun.elapsed() > self.config.orphan_min_age.get() / 2 {
            // The outputs could be taken for orphans before they are live.
            self.discard(&outputs).await;
            tracing::warn!(%tenant, seconds = begun.elapsed().as_secs(), "a merge took too long to be committed");
            return Ok(false);
        }
        let (add, remove) = (outputs.clone(), inputs.clone());
        let outcome = match self.try_commit(tenant, memory, Edit { add, remove, epoch, ..Edit::default() }).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.metrics.count_commit(Outcome::Failed);
                self.discard(&outputs).await;
                // An input that is not live any more was taken away by someone who had a newer snapshot.
                return if matches!(error, Error::NotLive { .. }) { Ok(true) } else { Err(error) };
            }
        };
        match outcome {
            Outcome::Won => {}
            Outcome::Unknown => return Ok(false),
            _ => {
                self.discard(&outputs).await;
                return Ok(false);
            }
        }
        for output in &outputs {
            memory.clean.insert(Arc::clone(&output.key), deleted_by);
        }
        let bytes = |blocks: &[BlockRef]| blocks.iter().map(|block| block.meta.object_bytes).sum::<u64>();
        let (input_bytes, output_bytes) = (bytes(&inputs), bytes(&outputs));
        let m = self.metrics;
        m.merges.get_or_create(&LevelLabels { level }).inc();
        m.merge_seconds.observe(begun.elapsed().as_secs_f64());
        m.rows_in.inc_by(report.rows_read);
        m.rows_out.inc_by(report.rows_written);
        m.duplicates.inc_by(report.duplicate_count);
        m.deleted_rows.inc_by(report.deleted_count);
        m.bytes_in.inc_by(input_bytes);
        m.bytes_out.inc_by(output_bytes);
        tracing::info!(
            %tenant,
            level,
            input_count = inputs.len(),
            input_bytes,
            output_count = outputs.len(),
            output_bytes,
            rows = report.rows_written,
            duplicates = report.duplicate_count,
            deleted = report.deleted_count,
            seconds = begun.elapsed().as_secs_f64(),
            "merged"
        );
        Ok(true)
    }

    /// What to do when a merge came to nothing; whether that was anything.
    async fn failed(
        &self,
        snapshot: &Snapshot,
        memory: &mut Memory,
        epoch: u64,
        inputs: &[BlockRef],
        failure: Failure,
    ) -> Result<bool, Error> {
        let tenant = &snapshot.tenant;
        match failure {
            Failure::Damaged { key, problem } if memory.suspect.as_ref() == Some(&key) => {
                memory.suspect = None;
                let Some(block) = inputs.iter().find(|block| block.key == key) else { return Ok(false) };
                self.quarantine(snapshot, memory, epoch, block, problem).await?;
                Ok(true)
            }
            Failure::Damaged { key, problem } => {
                // It may have come in damaged: it is read once more before it is believed.
                tracing::warn!(%tenant, %key, problem, "a block seems to be damaged");
                memory.suspect = Some(key);
                Ok(true)
            }
            Failure::Gone { key } if memory.missing.remove(&key) => {
                let Some(block) = inputs.iter().find(|block| block.key == key) else { return Ok(false) };
                self.quarantine(snapshot, memory, epoch, block, tombstones::NOT_THERE.to_owned()).await?;
                Ok(true)
            }
            Failure::Gone { key } => {
                // Another compactor may have merged it since; where it is live the next time, too, its object is lost.
                tracing::info!(%tenant, %key, "a block is gone: planning anew");
                memory.missing.insert(key);
                Ok(false)
            }
            Failure::NoThread(error) => {
                tracing::warn!(%tenant, %error, "no thread for a merge: it is tried again in the next round");
                Ok(false)
            }
            Failure::LeaseLost => {
                memory.hold.lose();
                Ok(false)
            }
            Failure::Catalog(error) => Err(error),
            failure @ (Failure::Write(_) | Failure::Broken(_) | Failure::Ended(_)) => {
                // A block on which the merge breaks must not stop all others: it is searched for by halves.
                let input_count = inputs.len();
                tracing::error!(%tenant, error = %failure, input_count, "a merge failed");
                if input_count > 2 {
                    memory.max_inputs = Some(input_count.div_ceil(2));
                    return Ok(true);
                }
                memory.max_inputs = None;
                match inputs {
                    // Alone it is what broke the merge. That an output cannot be written is no damage of an input.
                    [block] if !matches!(failure, Failure::Write(_)) => {
                        let problem = format!("rewriting it failed: {failure}");
                        self.quarantine(snapshot, memory, epoch, block, problem).await?;
                    }
                    // Which of them it was is not known, and all may be sound.
                    _ => memory.left_out.extend(inputs.iter().map(|block| Arc::clone(&block.key))),
                }
                Ok(true)
            }
        }
    }

    async fn quarantine(
        &self,
        snapshot: &Snapshot,
        memory: &mut Memory,
        epoch: u64,
        block: &BlockRef,
        problem: String,
    ) -> Result<(), Error> {
        let tenant = &snapshot.tenant;
        tracing::error!(%tenant, key = %block.key, problem, "a block is damaged: it is left as it is");
        if snapshot.quarantined().len() >= MAX_QUARANTINED {
            // The manifest takes no more of them.
            memory.left_out.insert(Arc::clone(&block.key));
            return Ok(());
        }
        let found =
            Quarantined { key: Arc::clone(&block.key), problem, unix_nanos: unix_nanos(memory.hold.store_now()) };
        let edit = Edit { epoch, quarantine: vec![found], ..Edit::default() };
        for _ in 0..MAX_COMMITS {
            if !matches!(self.catalog.commit(tenant, edit.clone()).await?, Committed::Lost { .. }) {
                break;
            }
        }
        Ok(())
    }

    async fn relevel(
        &self,
        snapshot: &Snapshot,
        memory: &mut Memory,
        epoch: u64,
        level: u8,
        blocks: &[Arc<str>],
    ) -> Result<bool, Error> {
        let relevel: Vec<(BlockRef, u8)> = blocks_of(snapshot, blocks).into_iter().map(|b| (b, level)).collect();
        let count = relevel.len();
        let won = self.commit(&snapshot.tenant, memory, Edit { relevel, epoch, ..Edit::default() }).await?;
        if won {
            self.metrics.moved_blocks.inc_by(count as u64);
            tracing::info!(tenant = %snapshot.tenant, level, count, "moved to another level");
        }
        Ok(won)
    }

    async fn expire(
        &self,
        snapshot: &Snapshot,
        memory: &mut Memory,
        epoch: u64,
        blocks: &[Arc<str>],
    ) -> Result<bool, Error> {
        let remove = blocks_of(snapshot, blocks);
        let (count, spans) = (remove.len(), remove.iter().map(|block| block.meta.span_count).sum::<u64>());
        let won = self.commit(&snapshot.tenant, memory, Edit { remove, epoch, ..Edit::default() }).await?;
        if won {
            self.metrics.dropped_blocks.inc_by(count as u64);
            tracing::info!(tenant = %snapshot.tenant, count, spans, "dropped: past their retention");
        }
        Ok(won)
    }

    /// Deletes outputs that no manifest names, and never will.
    async fn discard(&self, outputs: &[BlockRef]) {
        let keys = outputs.iter().map(|output| Arc::clone(&output.key)).collect();
        garbage::delete(self.catalog, self.metrics, Why::Staged, keys).await;
    }
}

/// The live blocks with these keys, in their order.
fn blocks_of(snapshot: &Snapshot, keys: &[Arc<str>]) -> Vec<BlockRef> {
    let wanted: HashMap<&str, usize> = keys.iter().enumerate().map(|(at, key)| (&**key, at)).collect();
    let mut found: Vec<(usize, &BlockRef)> =
        snapshot.blocks.iter().filter_map(|block| Some((*wanted.get(&*block.key)?, block))).collect();
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, block)| block.clone()).collect()
}
