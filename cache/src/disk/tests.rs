//! What is written is read back, or is not there: past the bound, after a restart, and with bytes turned over.

use super::*;

const PAGE: usize = 1_000;

fn page(name: Name) -> Vec<u8> {
    (0..PAGE - name as usize % 7).map(|at| (at as u64 * (name as u64 + 3)) as u8).collect()
}

fn is_right(slots: &Slots, name: Name) -> bool {
    match slots.read(name) {
        Found::Page(bytes) => {
            assert_eq!(bytes, page(name), "another page came for {name}");
            true
        }
        Found::Absent | Found::Damaged => false,
    }
}

#[test]
fn pages_come_back_and_the_file_keeps_its_bound() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let max_bytes = 20 * (PAGE + HEAD_BYTES) as u64 + 5;
    let slots = Slots::open(directory.path(), max_bytes, PAGE).expect("open");
    for name in 0..100 {
        slots.write(name, &page(name)).expect("write");
        assert!(is_right(&slots, name));
    }
    let kept: Vec<Name> = (0..100).filter(|name| is_right(&slots, *name)).collect();
    assert_eq!(kept.len(), 20);
    assert!(std::fs::metadata(directory.path().join(FILE_NAME)).expect("file").len() <= max_bytes);
    assert_eq!(slots.held_bytes(), 20 * (PAGE + HEAD_BYTES) as u64);

    let refused = Slots::open(directory.path(), max_bytes, PAGE).expect_err("it is in use");
    assert!(refused.to_string().contains("another process"), "{refused}");
    drop(slots);
    let again = Slots::open(directory.path(), max_bytes, PAGE).expect("open again");
    assert!(kept.iter().all(|name| is_right(&again, *name)));
    drop(again);
    let smaller = Slots::open(directory.path(), max_bytes / 2, PAGE).expect("open smaller");
    assert_eq!((0..100).filter(|name| is_right(&smaller, *name)).count(), 10);
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let max_bytes = 4 * (PAGE + HEAD_BYTES) as u64;
    let name = 5;
    for at in (0..HEAD_BYTES + page(name).len()).step_by(3) {
        let slots = Slots::open(directory.path(), max_bytes, PAGE).expect("open");
        slots.remove(name);
        slots.write(name, &page(name)).expect("write");
        let offset = slots.offset(slots.held().by_name[&name]);
        let mut byte = [0];
        slots.file.read_exact_at(&mut byte, offset + at as u64).expect("read");
        slots.file.write_all_at(&[byte[0] ^ 0x10], offset + at as u64).expect("write");
        assert!(!is_right(&slots, name), "byte {at} was turned over");
        assert!(matches!(slots.read(name), Found::Absent), "it is let go of");
        slots.write(name, &page(name)).expect("write");
        assert!(is_right(&slots, name));
        drop(slots);
        std::fs::remove_file(directory.path().join(FILE_NAME)).expect("remove");
    }
}

#[test]
fn a_file_cut_short_or_of_something_else_is_no_failure() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(FILE_NAME);
    let slots = Slots::open(directory.path(), 10_000, PAGE).expect("open");
    (0..5).for_each(|name| slots.write(name, &page(name)).expect("write"));
    drop(slots);
    let len = std::fs::metadata(&path).expect("file").len();
    for cut in [len - 1, len - 500, 2_000, 10, 0] {
        OpenOptions::new().write(true).open(&path).expect("open").set_len(cut).expect("cut");
        let slots = Slots::open(directory.path(), 10_000, PAGE).expect("open");
        let kept = (0..5).filter(|name| is_right(&slots, *name)).count();
        assert!(kept as u64 * (PAGE as u64) <= cut, "{kept} pages of {cut} bytes");
    }
    std::fs::write(&path, vec![7; 9_000]).expect("write");
    let slots = Slots::open(directory.path(), 10_000, PAGE).expect("open");
    assert!(!(0..5).any(|name| is_right(&slots, name)));
    slots.write(1, &page(1)).expect("write");
    assert!(is_right(&slots, 1));
}
