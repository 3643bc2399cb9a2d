//! What JSON may take in memory once it is read, from its punctuation alone, before anything is read: three bytes can become a
//! span of some hundred. It knows no format.

/// Objects this deep or less may be spans.
const SPAN_DEPTH: usize = 4;
/// What a span takes, about.
const SPAN_BYTES: usize = 320;
/// What any other object takes, about: an attribute, an event, a link.
const OBJECT_BYTES: usize = 96;
/// What any other element of a list, or member of an object, takes, about.
const ELEMENT_BYTES: usize = 32;

/// About how many bytes of memory the document takes when it is read.
pub(crate) fn weigh(json: &[u8]) -> usize {
    let (mut weight, mut depth, mut in_text, mut is_escaped) = (0usize, 0usize, false, false);
    for byte in json {
        if in_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' => {
                depth += 1;
                weight = weight.saturating_add(if depth <= SPAN_DEPTH { SPAN_BYTES } else { OBJECT_BYTES });
            }
            b'}' => depth = depth.saturating_sub(1),
            b',' => weight = weight.saturating_add(ELEMENT_BYTES),
            _ => {}
        }
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_weigh_much() {
        let spans = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#, "{},".repeat(1_000));
        assert_eq!(weigh(spans.as_bytes()), 1_004 * SPAN_BYTES + 1_000 * ELEMENT_BYTES);
        assert_eq!(weigh(br#"{"a":"{,{,\"{,","b":[1,2]}"#), SPAN_BYTES + 2 * ELEMENT_BYTES);
        assert_eq!(weigh(br"}}}}{"), SPAN_BYTES);
    }
}
