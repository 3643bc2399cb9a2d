//! What the events and links of a block's spans have: which attribute keys lie in which row groups, and the names of
//! events. Events and links are lists inside rows, so that without this a reader would have to open them all.
//!
//! A block may lack it, and a part of it is left out when there is too much to say: what is not known may be anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use crate::Damage;
use crate::section::{Reader, Writer};

/// Distinct keys of events, and of links, that a block tells of. More are no vocabulary but data put into keys.
const MAX_KEYS: usize = 10_000;
/// Bytes of those keys together.
const MAX_KEY_BYTES: usize = 1 << 20;
/// Distinct names of events that a row group tells of: exceptions and messages are few, free text is not told.
const MAX_NAMES: usize = 64;
/// Bytes of those names together.
const MAX_NAME_BYTES: usize = 8 << 10;

/// For each attribute key the row groups that hold it, ascending; none: not known.
type Keys = Option<BTreeMap<String, Vec<u32>>>;

/// The section as a value.
#[derive(Debug, Default)]
pub(crate) struct ItemKeys {
    pub(crate) event_keys: Keys,
    pub(crate) link_keys: Keys,
    /// For each row group the names of its events; none: not known. Empty when the block has no such section.
    event_names: Vec<Option<BTreeSet<Arc<str>>>>,
}

impl ItemKeys {
    /// Reads the section that [`ItemKeysWriter::finish`] wrote for so many row groups.
    pub(crate) fn read(bytes: &[u8], row_group_count: usize) -> Result<Self, Damage> {
        let mut reader = Reader::new("item keys", bytes);
        let (event_keys, link_keys) = (read_keys(&mut reader)?, read_keys(&mut reader)?);
        let mut texts: HashSet<Arc<str>> = HashSet::new();
        let event_names = (0..reader.count(1)?)
            .map(|_| {
                let Some(count) = reader.optional_count(1)? else { return Ok(None) };
                let names = (0..count).map(|_| {
                    let text = reader.text()?;
                    let known = texts.get(text).cloned();
                    Ok(known.unwrap_or_else(|| {
                        let name = Arc::from(text);
                        texts.insert(Arc::clone(&name));
                        name
                    }))
                });
                names.collect::<Result<_, Damage>>().map(Some)
            })
            .collect::<Result<Vec<_>, Damage>>()?;
        if event_names.len() != row_group_count {
            return Err(Damage::new("item keys", "it disagrees with the directory"));
        }
        Ok(Self { event_keys, link_keys, event_names })
    }

    /// The names of a row group's events, ascending; none: not known.
    pub(crate) fn event_names(&self, row_group: usize) -> Option<impl Iterator<Item = &str>> {
        Some(self.event_names.get(row_group)?.as_ref()?.iter().map(|name| &**name))
    }

    pub(crate) fn may_have_event_name(&self, name: &str, row_group: usize) -> bool {
        self.event_names.get(row_group).and_then(Option::as_ref).is_none_or(|names| names.contains(name))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let keys = |keys: &Keys| {
            let of_key = |(key, groups): (&String, &Vec<u32>)| key.len() + 4 * groups.len() + 64;
            keys.iter().flatten().map(of_key).sum::<usize>()
        };
        let names = self.event_names.iter().flatten().flatten().map(|name| name.len() + 32);
        keys(&self.event_keys) + keys(&self.link_keys) + names.sum::<usize>() + 32 * self.event_names.len()
    }
}

/// Whether the row group may hold the key.
pub(crate) fn may_have(keys: &Keys, key: &str, row_group: usize) -> bool {
    let row_group = u32::try_from(row_group).unwrap_or(u32::MAX);
    keys.as_ref().is_none_or(|keys| keys.get(key).is_some_and(|groups| groups.binary_search(&row_group).is_ok()))
}

fn read_keys(reader: &mut Reader<'_>) -> Result<Keys, Damage> {
    let Some(count) = reader.optional_count(2)? else { return Ok(None) };
    (0..count).map(|_| Ok((reader.text()?.to_owned(), reader.ascending()?))).collect::<Result<_, _>>().map(Some)
}

/// Collects keys and names, row group by row group.
#[derive(Default)]
pub(crate) struct ItemKeysWriter {
    event_keys: KeySet,
    link_keys: KeySet,
    /// Names in the row group being written; none: too many.
    names: Option<BTreeSet<Box<str>>>,
    name_bytes: usize,
    row_group: u32,
    finished: Writer,
}

impl ItemKeysWriter {
    pub(crate) fn new() -> Self {
        Self { names: Some(BTreeSet::new()), ..Self::default() }
    }

    /// Adds the key of an event attribute in the row group being written.
    pub(crate) fn push_event_key(&mut self, key: &str) {
        self.event_keys.push(key, self.row_group);
    }

    /// Adds the key of a link attribute in the row group being written.
    pub(crate) fn push_link_key(&mut self, key: &str) {
        self.link_keys.push(key, self.row_group);
    }

    /// Adds the name of an event in the row group being written.
    pub(crate) fn push_event_name(&mut self, name: &str) {
        let Some(names) = &mut self.names else { return };
        if names.contains(name) {
            return;
        }
        self.name_bytes += name.len();
        if names.len() == MAX_NAMES || self.name_bytes > MAX_NAME_BYTES {
            self.names = None;
        } else {
            names.insert(Box::from(name));
        }
    }

    /// Ends the row group being written.
    pub(crate) fn end_row_group(&mut self) {
        match self.names.replace(BTreeSet::new()) {
            None => self.finished.varint(0),
            Some(names) => {
                self.finished.varint(names.len() as u64 + 1);
                names.iter().for_each(|name| self.finished.bytes(name.as_bytes()));
            }
        }
        self.name_bytes = 0;
        self.row_group += 1;
    }

    /// The section.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Writer::default();
        self.event_keys.write(&mut out);
        self.link_keys.write(&mut out);
        out.varint(self.row_group.into());
        out.raw(&self.finished.0);
        out.0
    }
}

/// Keys with the row groups that hold them, as long as there are not too many.
#[derive(Default)]
struct KeySet {
    row_groups: HashMap<Box<str>, Vec<u32>>,
    key_bytes: usize,
    is_overfull: bool,
}

impl KeySet {
    fn push(&mut self, key: &str, row_group: u32) {
        if self.is_overfull {
            return;
        }
        if let Some(groups) = self.row_groups.get_mut(key) {
            if groups.last() != Some(&row_group) {
                groups.push(row_group);
            }
            return;
        }
        self.key_bytes += key.len();
        if self.row_groups.len() == MAX_KEYS || self.key_bytes > MAX_KEY_BYTES {
            self.is_overfull = true;
            self.row_groups = HashMap::new();
        } else {
            self.row_groups.insert(Box::from(key), vec![row_group]);
        }
    }

    fn write(self, out: &mut Writer) {
        if self.is_overfull {
            out.varint(0);
            return;
        }
        let mut keys: Vec<_> = self.row_groups.into_iter().collect();
        keys.sort_unstable();
        out.varint(keys.len() as u64 + 1);
        for (key, groups) in keys {
            out.bytes(key.as_bytes());
            out.ascending(groups.into_iter().map(u64::from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &ItemKeys, row_group: usize) -> Option<Vec<&str>> {
        keys.event_names(row_group).map(Iterator::collect)
    }

    #[test]
    fn what_is_written_is_read_and_what_is_too_much_is_not_known() {
        let many: Vec<String> = (0..=MAX_KEYS).map(|i| format!("key {i}")).collect();
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let mut writer = ItemKeysWriter::new();
        ["b", "a", "b"].into_iter().for_each(|key| writer.push_event_key(key));
        many[..MAX_KEYS].iter().for_each(|key| writer.push_link_key(key));
        ["second", "", "first", "first"].into_iter().for_each(|name| writer.push_event_name(name));
        writer.end_row_group();
        writer.push_event_key("b");
        many[..MAX_NAMES].iter().for_each(|name| writer.push_event_name(name));
        writer.end_row_group();
        many[..=MAX_NAMES].iter().for_each(|name| writer.push_event_name(name));
        writer.end_row_group();
        writer.push_event_name(&long);
        writer.end_row_group();
        writer.end_row_group();

        let bytes = writer.finish();
        let keys = ItemKeys::read(&bytes, 5).expect("written a line above");
        let event_keys: Vec<_> = keys.event_keys.iter().flatten().collect();
        assert_eq!(event_keys, [(&"a".to_owned(), &vec![0]), (&"b".to_owned(), &vec![0, 1])]);
        assert!(may_have(&keys.event_keys, "b", 1) && !may_have(&keys.event_keys, "a", 1));
        assert!(!may_have(&keys.event_keys, "c", 0) && !may_have(&keys.event_keys, "b", 2));
        assert_eq!(keys.link_keys.as_ref().map(BTreeMap::len), Some(MAX_KEYS));
        assert_eq!(names(&keys, 0), Some(vec!["", "first", "second"]));
        assert_eq!(names(&keys, 1).map(|names| names.len()), Some(MAX_NAMES));
        assert_eq!((names(&keys, 2), names(&keys, 3), names(&keys, 4)), (None, None, Some(vec![])));
        assert!(keys.may_have_event_name("first", 0) && !keys.may_have_event_name("third", 0));
        assert!(keys.may_have_event_name("anything", 2) && !keys.may_have_event_name("anything", 4));
        assert!(ItemKeys::read(&bytes, 4).is_err() && ItemKeys::read(&[], 0).is_err());

        let mut writer = ItemKeysWriter::new();
        many.iter().for_each(|key| writer.push_link_key(key));
        writer.push_link_key("late");
        let keys = ItemKeys::read(&writer.finish(), 0).expect("written a line above");
        assert_eq!((keys.event_keys.as_ref().map(BTreeMap::len), &keys.link_keys), (Some(0), &None));
        assert!(may_have(&keys.link_keys, "anything", 7));
        assert!(ItemKeys::default().may_have_event_name("anything", 7));
    }
}
