//! The search index of a block: summaries, filters over attribute values, and where each key occurs.

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt as _};
use spanlake_model::TimeRange;

use super::Block;
use crate::baselines::Baselines;
use crate::damage::check_crc;
use crate::filter::Filter;
use crate::item_keys::{self, ItemKeys};
use crate::schema::{AttributeColumn, ValueType};
use crate::section::{Kind, Reader, Sections};
use crate::summary::Summaries;
use crate::{Damage, SEARCH_MAGIC, ServiceCount, TraceSummary};

/// An opened search index. Holds no row data.
#[derive(Debug)]
pub struct SearchIndex {
    pub(crate) summaries: Summaries,
    pub(crate) value_filters: Vec<Filter>,
    keys: Vec<(AttributeColumn, u64)>,
    /// For each key of the residual column, the row groups where it occurs, ascending.
    residual_keys: HashMap<String, Vec<u32>>,
    /// For each row group its resource numbers, ascending.
    pub(crate) resource_sets: Vec<Vec<u32>>,
    item_keys: ItemKeys,
    /// The section as it is stored: it takes less memory than what it tells.
    baselines: Option<Box<[u8]>>,
}

/// The section of span attribute keys.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Each key and scalar type with how many spans have it.
    pub(crate) keys: Vec<(AttributeColumn, u64)>,
    /// For each key of the residual column, the row groups where it occurs, ascending.
    pub(crate) residual_keys: HashMap<String, Vec<u32>>,
}

impl Keys {
    /// Reads the section.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new("keys", bytes);
        let keys = (0..reader.count(3)?)
            .map(|_| {
                let [number] = reader.array()?;
                let value_type =
                    ValueType::from_number(number).ok_or_else(|| Damage::new("keys", "a value type is unknown"))?;
                Ok((AttributeColumn { key: reader.text()?.to_owned(), value_type }, reader.varint()?))
            })
            .collect::<Result<Vec<_>, Damage>>()?;
        let residual_count = reader.count(2)?;
        let mut residual_keys = HashMap::with_capacity(residual_count);
        for _ in 0..residual_count {
            let key = reader.text()?.to_owned();
            residual_keys.insert(key, reader.ascending()?);
        }
        Ok(Self { keys, residual_keys })
    }
}

impl Block {
    /// Where the search index lies in the object.
    pub fn search_range(&self) -> std::ops::Range<u64> {
        self.meta.search_offset..self.meta.tail_offset
    }

    /// Opens the search index from the bytes of [`Block::search_range`].
    ///
    /// # Errors
    /// [`Damage`] if the bytes are not what was written.
    pub fn open_search(&self, bytes: Bytes) -> Result<SearchIndex, Damage> {
        check_crc("search index", &bytes, self.directory.search_crc32c)?;
        let sections = Sections::open("search index", SEARCH_MAGIC, &bytes)?;
        let groups = self.row_group_count();
        let index = SearchIndex::read(&sections, groups)?;
        let rows: u64 = index.summaries.traces.iter().map(|trace| u64::from(trace.span_count)).sum();
        let agrees = index.value_filters.len() == groups && index.resource_sets.len() == groups;
        if !agrees || rows != self.meta.span_count {
            return Err(Damage::new("search index", "it disagrees with the directory"));
        }
        Ok(index)
    }
}

impl SearchIndex {
    fn read(sections: &Sections<'_>, row_group_count: usize) -> Result<Self, Damage> {
        let filters = sections.get(Kind::ValueFilters)?;
        let mut reader = Reader::new("value filters", &filters);
        let value_filters =
            (0..reader.count(1)?).map(|_| Filter::read(reader.bytes()?)).collect::<Result<Vec<_>, _>>()?;

        let Keys { keys, residual_keys } = Keys::read(&sections.get(Kind::Keys)?)?;

        let sets = sections.get(Kind::ResourceSets)?;
        let mut reader = Reader::new("resource sets", &sets);
        let resource_sets = (0..reader.count(1)?).map(|_| reader.ascending()).collect::<Result<Vec<_>, _>>()?;
        let item_keys = match sections.find(Kind::ItemKeys)? {
            Some(bytes) => ItemKeys::read(&bytes, row_group_count)?,
            None => ItemKeys::default(),
        };
        let baselines = sections.find(Kind::Baselines)?.map(Vec::into_boxed_slice);
        let summaries = Summaries::read(&sections.get(Kind::Summaries)?)?;
        Ok(Self { summaries, value_filters, keys, residual_keys, resource_sets, item_keys, baselines })
    }

    /// A summary for each trace of the block, ordered by trace id.
    pub fn summaries(&self) -> &[TraceSummary] {
        &self.summaries.traces
    }

    /// How the spans of a trace spread over services, in order of first appearance.
    pub fn services(&self, summary: &TraceSummary) -> &[ServiceCount] {
        self.summaries.services(summary)
    }

    /// Every span attribute key and scalar type, with how many spans have it.
    pub fn keys(&self) -> &[(AttributeColumn, u64)] {
        &self.keys
    }

    /// Every key of a span attribute that lies outside a column of its own in some row group, in no order: keys without a
    /// column, arrays, key-value lists, bytes, empty values, and later values of a repeated key.
    pub fn residual_keys(&self) -> impl Iterator<Item = &str> {
        self.residual_keys.keys().map(String::as_str)
    }

    /// Every attribute key of events, ascending. None: not known, so that any row group may hold any key.
    pub fn event_keys(&self) -> Option<impl Iterator<Item = &str>> {
        Some(self.item_keys.event_keys.as_ref()?.keys().map(String::as_str))
    }

    /// Every attribute key of links, ascending. None: not known, so that any row group may hold any key.
    pub fn link_keys(&self) -> Option<impl Iterator<Item = &str>> {
        Some(self.item_keys.link_keys.as_ref()?.keys().map(String::as_str))
    }

    /// Every distinct name of the events in a row group, ascending. None: not known, or more than the block tells of.
    pub fn event_names(&self, row_group: usize) -> Option<impl Iterator<Item = &str>> {
        self.item_keys.event_names(row_group)
    }

    /// Whether an event in the row group may have an attribute of this key: `false` is certain.
    pub fn may_have_event_key(&self, key: &str, row_group: usize) -> bool {
        item_keys::may_have(&self.item_keys.event_keys, key, row_group)
    }

    /// Whether a link in the row group may have an attribute of this key: `false` is certain.
    pub fn may_have_link_key(&self, key: &str, row_group: usize) -> bool {
        item_keys::may_have(&self.item_keys.link_keys, key, row_group)
    }

    /// Whether an event in the row group may have this name: `false` is certain.
    pub fn may_have_event_name(&self, name: &str, row_group: usize) -> bool {
        self.item_keys.may_have_event_name(name, row_group)
    }

    /// Bytes that say how long operations took; [`SearchIndex::baselines`] takes up to eight times as many. None: the block does not
    /// tell.
    pub fn baseline_bytes(&self) -> Option<usize> {
        self.baselines.as_ref().map(|bytes| bytes.len())
    }

    /// How long the spans of wanted operations took that start in the range, or in slots of time that lie in it in part. None: the
    /// block does not tell. `is_wanted` is given service, name and kind. Takes time in proportion to what the block tells of all.
    ///
    /// # Errors
    /// [`Damage`] if the section is not what was written.
    pub fn baselines(
        &self,
        range: TimeRange,
        is_wanted: impl FnMut(Option<&str>, &str, i32) -> bool,
    ) -> Result<Option<Baselines>, Damage> {
        self.baselines.as_ref().map(|bytes| Baselines::read(bytes, range, is_wanted)).transpose()
    }

    /// Memory held, in bytes, estimated from above.
    pub fn memory_bytes(&self) -> usize {
        let filters: usize = self.value_filters.iter().map(Filter::memory_bytes).sum();
        let sets: usize = self.resource_sets.iter().map(|set| 4 * set.len() + 24).sum();
        let keys: usize = self.keys.iter().map(|(column, _)| column.key.len() + 48).sum();
        let residual: usize = self.residual_keys.iter().map(|(key, groups)| key.len() + 4 * groups.len() + 64).sum();
        let baselines = self.baselines.as_ref().map_or(0, |bytes| bytes.len());
        filters + sets + keys + residual + baselines + self.item_keys.memory_bytes() + self.summaries.memory_bytes()
    }

    /// Whether a value of the key lies in the residual column of the row group.
    pub(crate) fn is_residual(&self, key: &str, row_group: usize) -> bool {
        self.residual_keys.get(key).is_some_and(|groups| groups.binary_search(&(row_group as u32)).is_ok())
    }
}
