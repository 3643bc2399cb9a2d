//! Any text as a TraceQL query: no panic, errors that point into the text, and what is read prints as a text that reads
//! back the same. The first byte chooses a cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlake_traceql::{Field, complete, parse, parse_lenient};

fuzz_target!(|data: &[u8]| {
    let Some((&cursor, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);

    match parse(&text) {
        Ok(query) => {
            let printed = query.to_string();
            match parse(&printed) {
                Ok(again) => assert_eq!(again, query, "{text} as {printed}"),
                Err(error) => panic!("{text} as {printed}: {error}"),
            }
        }
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty(), "{error}");
            assert!(text.get(error.offset..error.offset + error.length).is_some(), "{text}: {error}");
        }
    }

    if let Ok(field) = Field::parse(&text) {
        assert_eq!(Field::parse(&field.to_string()), Ok(field));
    }

    if let Ok(Some(kept)) = parse_lenient(&text) {
        let query = format!("{{ {kept} }}");
        assert!(parse(&query).is_ok(), "{text} keeps {query}");
    }

    let cursor = text.len() * usize::from(cursor) / 255;
    let completion = complete(&text, cursor);
    assert!(text.get(completion.range).is_some(), "{text} at {cursor}");
});
