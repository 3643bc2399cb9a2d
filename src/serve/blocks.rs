//! `/api/v1/status/blocks`: which blocks there are and why they are not merged, and what one of them is made of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use spanlake_block::Layout;
use spanlake_catalog::{BlockRef, BlockState, Catalog};
use spanlake_compactor::written_unix_nanos;
use spanlake_model::Tenant;
use spanlake_querier::status::{BlockDetails, BlockFacts, BlockPage, DEFAULT_BLOCKS, MAX_BLOCKS, NamedBytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;

/// The header that names the tenant.
const TENANT_HEADER: &str = "x-scope-orgid";
/// Requests that are answered at once.
const MAX_LOOKS: usize = 2;
/// Most tenants of one request.
const MAX_TENANTS: usize = 64;
/// Most bytes of indexes that are read of one block: they are whole in memory while they are looked at.
const MAX_INDEX_BYTES: u64 = 256 << 20;

/// Where blocks are, and how they are merged.
#[derive(Clone)]
pub struct BlockSource {
    catalog: Catalog,
    config: Config,
    /// Each look lists all blocks and may hold the indexes of one: few look at once, the others wait.
    looks: Arc<Semaphore>,
}

/// A status and a sentence.
type Refusal = (StatusCode, String);

fn now_unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl BlockSource {
    /// The blocks of a catalog in a process with these settings.
    pub fn new(catalog: Catalog, config: Config) -> Self {
        Self { catalog, config, looks: Arc::new(Semaphore::new(MAX_LOOKS)) }
    }

    async fn look(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.looks).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// As of queries: with a header that counts the tenants that it names, without it those that a query is about.
    fn tenants(&self, headers: &HeaderMap) -> Result<Vec<Tenant>, Refusal> {
        let tenancy = &self.config.tenancy;
        let name = headers.get(TENANT_HEADER).filter(|name| tenancy.header_counts() && !name.is_empty());
        let Some(name) = name else {
            let tenants = tenancy.queries();
            let text = "no tenant is named: the header X-Scope-OrgID is needed";
            return if tenants.is_empty() { Err((StatusCode::UNAUTHORIZED, text.to_owned())) } else { Ok(tenants) };
        };
        let bad = |text: String| (StatusCode::BAD_REQUEST, text);
        let names = name.to_str().map_err(|_| bad("tenant ID has characters that are not ASCII".to_owned()))?;
        let tenants = Tenant::parse_many(names).map_err(|error| bad(error.to_string()))?;
        if tenants.len() > MAX_TENANTS {
            return Err(bad(format!("{} tenants are named: at most {MAX_TENANTS} are looked at", tenants.len())));
        }
        Ok(tenants)
    }

    async fn inventory(&self, headers: &HeaderMap) -> Result<Vec<(BlockRef, BlockState)>, Refusal> {
        let mut found = Vec::new();
        for tenant in self.tenants(headers)? {
            let of_tenant = self.catalog.inventory(&tenant).await;
            found.extend(of_tenant.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?);
        }
        found.sort_by(|a, b| (&a.0.key, a.1).cmp(&(&b.0.key, b.1)));
        Ok(found)
    }

    async fn page(&self, params: &HashMap<String, String>, headers: &HeaderMap) -> Result<BlockPage, Refusal> {
        let limit = match params.get("limit").filter(|text| !text.is_empty()) {
            None => DEFAULT_BLOCKS,
            Some(text) => text.parse().ok().filter(|limit| (1..=MAX_BLOCKS).contains(limit)).ok_or_else(|| {
                (StatusCode::BAD_REQUEST, format!("invalid limit: {text:?} is not a number from 1 to {MAX_BLOCKS}"))
            })?,
        };
        let _look = self.look().await;
        let found = self.inventory(headers).await?;
        let after = params.get("after").map(String::as_str).unwrap_or_default();
        let mut rest = found.iter().filter(|(block, _)| &*block.key > after);
        let blocks: Vec<BlockFacts> = rest.by_ref().take(limit).map(|(block, state)| facts(block, *state)).collect();
        let next = rest.next().and_then(|_| blocks.last()).map(|last| last.key.clone());
        Ok(BlockPage { blocks, next })
    }

    async fn details(&self, key: &str, headers: &HeaderMap) -> Result<BlockDetails, Refusal> {
        let look = self.look().await;
        let found = self.inventory(headers).await?;
        let is_it = |block: &BlockRef| &*block.key == key || block.key.rsplit('/').next() == Some(key);
        let (block, state) = found
            .iter()
            .find(|(block, _)| is_it(block))
            .ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no block {key}")))?;
        let meta = &block.meta;
        let index_bytes = meta.object_bytes.saturating_sub(meta.search_offset);
        if index_bytes > MAX_INDEX_BYTES {
            let text = format!("the indexes of {key} have {index_bytes} bytes: `spanlake blocks show` reads them");
            return Err((StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        let read = self.catalog.store().get_range(&block.key, meta.search_offset..meta.object_bytes).await;
        let mut search = read.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
        let tail = search.split_off((meta.tail_offset.saturating_sub(meta.search_offset) as usize).min(search.len()));
        let of_block = meta.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // It goes along: what is begun runs to its end, whoever still waits for it.
            let _look = look;
            Layout::read(&of_block, tail, search).map_err(|damage| damage.to_string())
        });
        let layout = reading.await.unwrap_or_else(|error| Err(error.to_string())).map_err(|problem| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{} cannot be shown: {problem}", block.key))
        })?;
        let named = |name: &str, bytes: u64| NamedBytes { name: name.to_owned(), bytes };
        let sections = layout.section_bytes.iter().map(|(name, bytes)| named(name, *bytes));
        let BlockFacts {
            key,
            level,
            spans,
            traces,
            bytes,
            from_unix_nanos,
            to_unix_nanos,
            written_unix_nanos,
            state: named_state,
        } = facts(block, *state);
        Ok(BlockDetails {
            key,
            level,
            spans,
            traces,
            bytes,
            from_unix_nanos,
            to_unix_nanos,
            written_unix_nanos,
            state: named_state,
            format_version: meta.format_version,
            row_groups: layout.row_groups.len() as u64,
            columns: layout.column_bytes.iter().map(|(name, bytes)| named(name, *bytes)).collect(),
            indexes: sections.chain([named("Parquet footer", layout.footer_bytes)]).collect(),
            why: self.why(block, *state),
        })
    }

    fn why(&self, block: &BlockRef, state: BlockState) -> String {
        let config = &self.config.compactor;
        let age_nanos = now_unix_nanos().saturating_sub(written_unix_nanos(block));
        match state {
            BlockState::Quarantined => {
                "It was found damaged, and damaged blocks are not merged: `spanlake blocks repair` replaces it."
                    .to_owned()
            }
            BlockState::Retired => "It was merged, expired or replaced, and waits for its deletion.".to_owned(),
            BlockState::Orphan => {
                "No manifest names it: a compactor is about to commit it, or died before it did.".to_owned()
            }
            BlockState::Kept => "It was damaged, was replaced, and is kept for people to look at.".to_owned(),
            BlockState::Live if block.meta.level > 0 => {
                let end = block.meta.max_end_unix_nanos.saturating_add(config.window.as_nanos());
                if end.saturating_add(config.window_grace.as_nanos()) > now_unix_nanos() {
                    format!(
                        "Its window of {} may be open: its blocks are merged into one {} after its end.",
                        config.window, config.window_grace
                    )
                } else {
                    "It is as large as blocks of its window become, or nothing lies beside it to be merged with."
                        .to_owned()
                }
            }
            BlockState::Live if age_nanos < config.l0_min_age.as_nanos() => {
                format!("It is younger than {}, the age at which level-0 blocks may be merged.", config.l0_min_age)
            }
            BlockState::Live => format!(
                "It waits for others: level-0 blocks are merged when {} wait, or two when one is older than {}.",
                config.l0_fan_in, config.l0_max_wait
            ),
        }
    }
}

fn facts(block: &BlockRef, state: BlockState) -> BlockFacts {
    let meta = &block.meta;
    BlockFacts {
        key: block.key.to_string(),
        level: meta.level,
        spans: meta.span_count,
        traces: meta.trace_count,
        bytes: meta.object_bytes,
        from_unix_nanos: meta.min_start_unix_nanos.to_string(),
        to_unix_nanos: meta.max_end_unix_nanos.to_string(),
        written_unix_nanos: written_unix_nanos(block).to_string(),
        state: state.name(),
    }
}

/// `GET /api/v1/status/blocks`. A snapshot and a LIST of each of two prefixes.
pub async fn list(
    State(source): State<BlockSource>,
    Query(params): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    answer(source.page(&params, &headers).await)
}

/// `GET /api/v1/status/blocks/{key}`: the same, and one ranged GET of the block's indexes.
pub async fn show(State(source): State<BlockSource>, Path(key): Path<String>, headers: HeaderMap) -> Response {
    answer(source.details(&key, &headers).await)
}

fn answer<T: Serialize>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(answer) => {
            let body = serde_json::to_vec(&answer).unwrap_or_default();
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use spanlake_storage::Store;

    use super::*;

    #[tokio::test]
    async fn an_empty_store_has_no_blocks() {
        let catalog = Catalog::new(Store::memory(), spanlake_catalog::Config::default());
        let source = BlockSource::new(catalog, Config::default());
        let page = source.page(&HashMap::new(), &HeaderMap::new()).await.expect("a page");
        assert!(page.blocks.is_empty() && page.next.is_none());
        let wrong = HashMap::from([("limit".to_owned(), "0".to_owned())]);
        assert_eq!(source.page(&wrong, &HeaderMap::new()).await.expect_err("refused").0, StatusCode::BAD_REQUEST);
        let none = source.details("none", &HeaderMap::new()).await;
        assert_eq!(none.expect_err("refused").0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn tenants_are_those_of_queries() {
        let tenants = |enabled: bool, demo: bool, name: &'static str| {
            let mut config = Config::default();
            (config.tenancy.enabled, config.tenancy.demo) = (enabled, demo);
            let catalog = Catalog::new(Store::memory(), spanlake_catalog::Config::default());
            let headers =
                HeaderMap::from_iter([(TENANT_HEADER.parse().expect("a name"), HeaderValue::from_static(name))]);
            let tenants = BlockSource::new(catalog, config).tenants(&headers);
            tenants.map(|tenants| tenants.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let single = Tenant::single().to_string();
        assert_eq!(tenants(false, false, "a"), Ok(vec![single.clone()]));
        assert_eq!(tenants(false, true, ""), Ok(vec![crate::demo::tenant().to_string(), single]));
        assert_eq!(tenants(false, true, "a"), Ok(vec!["a".to_owned()]));
        assert_eq!(tenants(true, false, "b|a").map(|tenants| tenants.len()), Ok(2));
        assert_eq!(tenants(true, false, "").expect_err("refused").0, StatusCode::UNAUTHORIZED);
    }
}
