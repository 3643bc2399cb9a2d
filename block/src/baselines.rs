//! How long operations took: for each operation and each five minutes, how many spans of a block lasted about how long. What is
//! usual for an operation is told from these instead of from every row.
//!
//! Blocks above level 0 have it; a block may lack it. Self times are not told: the rest of a trace may lie in other blocks.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt as _};
use hashbrown::HashTable;
use spanlake_model::TimeRange;

use crate::Damage;
use crate::section::{Reader, Writer};

/// Length of a slot of time.
pub const SLOT_NANOS: u64 = 300_000_000_000;
/// Bits of a duration, below its highest, that are kept. Finer steps would take most of the section's bytes.
const STEP_BITS: u32 = 4;
/// Durations below this are kept as they are.
const EXACT: u64 = 1 << (STEP_BITS + 1);
/// Steps of the durations of 64 bits.
const STEP_COUNT: u64 = ((64 - STEP_BITS as u64) << STEP_BITS) + (1 << STEP_BITS);

/// Operations that a block tells of, the first ones in the order of rows. More are no vocabulary but data put into names.
const MAX_OPERATIONS: usize = 4_096;
/// Bytes of their services and names together.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Counts that a block tells of, the first ones in the order of rows: a day of a hundred operations has about half as many.
const MAX_COUNTS: usize = 1 << 20;

/// How long the spans of one operation took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationDurations {
    /// `service.name`, where it is a text.
    pub service: Option<Arc<str>>,
    /// The spans' name.
    pub name: Arc<str>,
    /// Their kind, as OTLP numbers it.
    pub kind: i32,
    /// By slot of time, ascending; none is empty.
    pub slots: Vec<SlotDurations>,
}

/// How long the spans took that start in a slot of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotDurations {
    /// Start of the spans in Unix nanoseconds divided by [`SLOT_NANOS`].
    pub slot: u64,
    /// Durations in nanoseconds, ascending, each with how many spans took about as long, within 1/32. Below zero counts as zero.
    pub counts: Vec<(u64, u64)>,
}

/// What a block tells of durations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baselines {
    /// By service, name and kind, ascending.
    pub operations: Vec<OperationDurations>,
    /// Spans of the block that are not counted, because there are too many operations.
    pub left_out: u64,
}

/// The step of a duration: each power of two has 16 of equal width.
fn step(nanos: u64) -> u16 {
    if nanos < EXACT {
        return nanos as u16;
    }
    let shift = nanos.ilog2() - STEP_BITS;
    ((u64::from(shift) << STEP_BITS) + (nanos >> shift)) as u16
}

/// The middle of a step below [`STEP_COUNT`].
fn middle(step: u64) -> u64 {
    if step < EXACT {
        return step;
    }
    let shift = (step >> STEP_BITS) - 1;
    let low = (step - (shift << STEP_BITS)) << shift;
    low + (1 << shift) / 2
}

#[derive(Debug)]
struct Operation {
    service: Option<Box<str>>,
    name: Box<str>,
    kind: i32,
}

/// Counts the rows of a block, in their order.
#[derive(Debug)]
pub(crate) struct BaselineWriter {
    operations: Vec<Operation>,
    /// Numbers of operations, by their hash.
    numbers: HashTable<u32>,
    hasher: RandomState,
    text_bytes: usize,
    /// By number of operation, slot and step.
    counts: HashMap<(u32, u32, u16), u64>,
    left_out: u64,
}

impl BaselineWriter {
    pub(crate) fn new() -> Self {
        Self {
            operations: Vec::new(),
            numbers: HashTable::new(),
            hasher: RandomState::default(),
            text_bytes: 0,
            counts: HashMap::new(),
            left_out: 0,
        }
    }

    /// Counts a row.
    pub(crate) fn push(
        &mut self,
        service: Option<&str>,
        name: &str,
        kind: i32,
        start_unix_nanos: u64,
        duration_nanos: i64,
    ) {
        let Some(operation) = self.operation(service, name, kind) else {
            self.left_out += 1;
            return;
        };
        // 2^64 nanoseconds are fewer than 2^32 slots.
        let slot = (start_unix_nanos / SLOT_NANOS) as u32;
        let key = (operation, slot, step(duration_nanos.max(0) as u64));
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
        } else if self.counts.len() < MAX_COUNTS {
            self.counts.insert(key, 1);
        } else {
            self.left_out += 1;
        }
    }

    /// The number of an operation, unless there are too many.
    fn operation(&mut self, service: Option<&str>, name: &str, kind: i32) -> Option<u32> {
        let hash = self.hasher.hash_one((service, name, kind));
        let is_it = |number: &u32| {
            let known = &self.operations[*number as usize];
            known.kind == kind && *known.name == *name && known.service.as_deref() == service
        };
        if let Some(number) = self.numbers.find(hash, is_it) {
            return Some(*number);
        }
        let text_bytes = self.text_bytes + name.len() + service.map_or(0, str::len);
        if self.operations.len() == MAX_OPERATIONS || text_bytes > MAX_TEXT_BYTES {
            return None;
        }
        self.text_bytes = text_bytes;
        let number = self.operations.len() as u32;
        self.operations.push(Operation { service: service.map(Box::from), name: Box::from(name), kind });
        let (operations, hasher) = (&self.operations, &self.hasher);
        self.numbers.insert_unique(hash, number, |number| {
            let known = &operations[*number as usize];
            hasher.hash_one((known.service.as_deref(), &*known.name, known.kind))
        });
        Some(number)
    }

    /// Memory held, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        32 * self.counts.capacity() + 64 * self.operations.len() + self.text_bytes
    }

    /// The section.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut order: Vec<u32> = (0..self.operations.len() as u32).collect();
        let text = |number: &u32| {
            let operation = &self.operations[*number as usize];
            (&operation.service, &operation.name, operation.kind)
        };
        order.sort_unstable_by(|a, b| text(a).cmp(&text(b)));
        let mut ranks = vec![0_u32; order.len()];
        order.iter().zip(0..).for_each(|(number, rank)| ranks[*number as usize] = rank);
        let ranked = self.counts.into_iter();
        let ranked = ranked.map(|((number, slot, step), count)| (ranks[number as usize], slot, step, count));
        let mut counts: Vec<(u32, u32, u16, u64)> = ranked.collect();
        counts.sort_unstable();

        let mut out = Writer::default();
        out.varint(self.left_out);
        // All counts of an operation may have been too many.
        out.varint(counts.chunk_by(|a, b| a.0 == b.0).count() as u64);
        for of_operation in counts.chunk_by(|a, b| a.0 == b.0) {
            let operation = &self.operations[order[of_operation[0].0 as usize] as usize];
            match &operation.service {
                None => out.varint(0),
                Some(service) => {
                    out.varint(1);
                    out.bytes(service.as_bytes());
                }
            }
            out.bytes(operation.name.as_bytes());
            out.u32(operation.kind as u32);
            out.varint(of_operation.chunk_by(|a, b| a.1 == b.1).count() as u64);
            let mut next_slot = 0;
            for of_slot in of_operation.chunk_by(|a, b| a.1 == b.1) {
                let slot = of_slot[0].1;
                out.varint(u64::from(slot - next_slot));
                next_slot = slot + 1;
                out.varint(of_slot.len() as u64);
                let mut next_step = 0;
                for (_, _, step, count) in of_slot {
                    out.varint(u64::from(step - next_step));
                    out.varint(*count);
                    next_step = step + 1;
                }
            }
        }
        out.0
    }
}

impl Baselines {
    /// Reads the section that [`BaselineWriter::finish`] wrote: what it tells of wanted operations in slots that share a nanosecond
    /// with the range.
    pub(crate) fn read(
        bytes: &[u8],
        range: TimeRange,
        mut is_wanted: impl FnMut(Option<&str>, &str, i32) -> bool,
    ) -> Result<Self, Damage> {
        let mut reader = Reader::new("baselines", bytes);
        let left_out = reader.varint()?;
        let operation_count = reader.count(9)?;
        if operation_count > MAX_OPERATIONS {
            return Err(damage("it tells of too many operations"));
        }
        let slots = range.start_unix_nanos / SLOT_NANOS..=range.end_unix_nanos / SLOT_NANOS;
        let mut operations = Vec::new();
        let mut count_of_counts = 0;
        for _ in 0..operation_count {
            let service = match reader.varint()? {
                0 => None,
                1 => Some(reader.text()?),
                _ => return Err(damage("a service is neither there nor absent")),
            };
            let (name, kind) = (reader.text()?, reader.u32()? as i32);
            let is_wanted = is_wanted(service, name, kind);
            let mut told = Vec::new();
            let mut next_slot = 0;
            for _ in 0..reader.count(4)? {
                let slot = ascending(&mut reader, next_slot, u64::MAX / SLOT_NANOS + 1)?;
                next_slot = slot + 1;
                let len = reader.count(2)?;
                count_of_counts += len;
                if len == 0 || count_of_counts > MAX_COUNTS {
                    return Err(damage("a slot has no counts, or there are too many"));
                }
                let counts = read_counts(&mut reader, len)?;
                if is_wanted && slots.contains(&slot) {
                    told.push(SlotDurations { slot, counts });
                }
            }
            if !told.is_empty() {
                operations.push(OperationDurations {
                    service: service.map(Arc::from),
                    name: Arc::from(name),
                    kind,
                    slots: told,
                });
            }
        }
        Ok(Self { operations, left_out })
    }
}

fn read_counts(reader: &mut Reader<'_>, len: usize) -> Result<Vec<(u64, u64)>, Damage> {
    let mut next_step = 0;
    let counts = (0..len).map(|_| {
        let step = ascending(reader, next_step, STEP_COUNT)?;
        next_step = step + 1;
        match reader.varint()? {
            0 => Err(damage("a count is zero")),
            count => Ok((middle(step), count)),
        }
    });
    counts.collect()
}

/// The next of ascending numbers below `end`.
fn ascending(reader: &mut Reader<'_>, next: u64, end: u64) -> Result<u64, Damage> {
    let number = next.checked_add(reader.varint()?).filter(|number| *number < end);
    number.ok_or_else(|| damage("a number is out of range"))
}

fn damage(problem: &str) -> Damage {
    Damage::new("baselines", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Baselines, Damage> {
        Baselines::read(bytes, TimeRange::ALL, |_, _, _| true)
    }

    #[test]
    fn steps_follow_each_other_and_are_narrow() {
        let mut last = None;
        for number in 0..STEP_COUNT {
            let middle = middle(number);
            assert_eq!(u64::from(step(middle)), number);
            assert!(last.is_none_or(|last| last < middle));
            last = Some(middle);
        }
        for nanos in [0, 1, 31, 32, 33, 63, 64, 1_000_000, 1_234_567_891, i64::MAX as u64, u64::MAX] {
            let kept = middle(u64::from(step(nanos)));
            assert!(nanos.abs_diff(kept) <= nanos / 32, "{nanos} became {kept}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = BaselineWriter::new();
        writer.push(Some("shop"), "GET /", 2, 5 * SLOT_NANOS, 16);
        writer.push(Some("shop"), "GET /", 2, 4 * SLOT_NANOS + 7, 32);
        writer.push(None, "GET /", 2, u64::MAX, -5);
        writer.push(Some("shop"), "GET /", -3, 5 * SLOT_NANOS, 67);
        writer.push(Some("shop"), "GET /", 2, 5 * SLOT_NANOS + 1, 17);
        writer.push(Some("shop"), "GET /", 2, 6 * SLOT_NANOS - 1, 16);
        let bytes = writer.finish();
        let told = |read: &Baselines| -> Vec<String> {
            let slots = |one: &OperationDurations| -> Vec<String> {
                one.slots.iter().map(|slot| format!("{}: {:?}", slot.slot, slot.counts)).collect()
            };
            let tell = |one: &OperationDurations| {
                format!(
                    "{} {} {}: {}",
                    one.service.as_deref().unwrap_or("-"),
                    one.name,
                    one.kind,
                    slots(one).join("; ")
                )
            };
            read.operations.iter().map(tell).collect()
        };
        let all = read(&bytes).expect("just written");
        assert_eq!(
            told(&all),
            [
                format!("- GET / 2: {}: [(0, 1)]", u64::MAX / SLOT_NANOS),
                "shop GET / -3: 5: [(66, 1)]".to_owned(),
                "shop GET / 2: 4: [(33, 1)]; 5: [(16, 2), (17, 1)]".to_owned(),
            ]
        );
        assert_eq!(all.left_out, 0);
        let range = TimeRange { start_unix_nanos: 6 * SLOT_NANOS - 1, end_unix_nanos: 8 * SLOT_NANOS };
        let some =
            Baselines::read(&bytes, range, |service, name, kind| (service, name, kind) == (Some("shop"), "GET /", 2));
        assert_eq!(told(&some.expect("just written")), ["shop GET / 2: 5: [(16, 2), (17, 1)]"]);
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len}");
        }
        assert_eq!(read(&BaselineWriter::new().finish()).expect("nothing"), Baselines::default());
    }

    #[test]
    fn any_flip_of_a_bit_is_read_or_refused() {
        let mut writer = BaselineWriter::new();
        for number in 0..40 {
            writer.push(Some("shop"), &format!("GET /{}", number % 4), 2, number * SLOT_NANOS / 3, 1 << number);
        }
        let bytes = writer.finish();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = read(&flipped);
        }
    }

    #[test]
    fn damaged_numbers_are_refused() {
        // One operation without a service and a name, of kind 0, with one slot of one count.
        let sound = [0, 1, 0, 0, 0, 0, 0, 0, 1, 7, 1, 9, 1];
        assert!(read(&sound).is_ok_and(|told| told.operations.len() == 1));
        for (at, byte) in [(1, 2), (2, 2), (8, 2), (10, 0), (10, 2), (12, 0)] {
            let mut damaged = sound;
            damaged[at] = byte;
            assert!(read(&damaged).is_err(), "{at}");
        }
        let far_step = [0, 1, 0, 0, 0, 0, 0, 0, 1, 7, 1, 0xff, 0x7f, 1];
        let far_slot = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 9, 1];
        assert!(read(&far_step).is_err() && read(&far_slot).is_err());
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        let mut writer = BaselineWriter::new();
        for number in 0..MAX_OPERATIONS + 10 {
            writer.push(Some("shop"), &format!("GET /{number}"), 2, 0, 5);
        }
        writer.push(Some("shop"), "GET /0", 2, 0, 5);
        let told = read(&writer.finish()).expect("just written");
        assert_eq!((told.operations.len(), told.left_out), (MAX_OPERATIONS, 10));

        let mut writer = BaselineWriter::new();
        let long = "x".repeat(MAX_TEXT_BYTES / 2);
        for (name, kind) in [(&*long, 1), (&*long, 2), ("y", 1), ("", 1)] {
            writer.push(None, name, kind, 0, 5);
        }
        let told = read(&writer.finish()).expect("just written");
        assert_eq!((told.operations.len(), told.left_out), (3, 1));

        let mut writer = BaselineWriter::new();
        for slot in 0..MAX_COUNTS as u64 + 3 {
            writer.push(None, "x", 1, slot * SLOT_NANOS, 5);
        }
        writer.push(None, "later", 1, 0, 5);
        let told = read(&writer.finish()).expect("just written");
        assert_eq!((told.operations.len(), told.left_out), (1, 4));
    }
}
