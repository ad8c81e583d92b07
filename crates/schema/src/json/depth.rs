/// Nesting that a message may have unless the policy says otherwise.
pub const DEPTH_MAX_DEFAULT: u32 = 64;

/// The most that a policy may allow. The parser recurses once per level, and the validator once per level
/// and nested keyword, so this is what keeps them inside a thread stack of 2 MiB: at the ceiling they take
/// less than 200 KiB, under a recursive schema with six keywords around each level. A build in which
/// sonic-rs is not optimised takes about 50 KiB per level and needs 8 MiB.
pub const DEPTH_MAX_CEILING: u32 = 128;

const _: () = assert!(DEPTH_MAX_DEFAULT <= DEPTH_MAX_CEILING);

/// Whether objects and arrays in `text` nest deeper than `depth_max`.
///
/// It runs before the parser, on text that may not be JSON. For every prefix that the parser accepts the
/// count is exact; what follows a syntax error the parser never sees.
pub(super) fn exceeds(text: &str, depth_max: u32) -> bool {
    // Fewer brackets in all than levels allowed: no need to know which of them are inside strings.
    openings(text.as_bytes()) > depth_max as usize && nests_deeper(text.as_bytes(), depth_max)
}

/// How many `[` and `{` there are, strings included. Written for the vectoriser: bytes are summed in
/// chunks that cannot overflow a `u8` lane.
fn openings(bytes: &[u8]) -> usize {
    bytes.chunks(u8::MAX as usize).map(|chunk| usize::from(chunk.iter().map(|&b| opens(b)).sum::<u8>())).sum()
}

#[inline]
fn opens(byte: u8) -> u8 {
    // `[` is 0x5b and `{` is 0x7b: they differ in one bit only.
    u8::from((byte | 0x20) == b'{')
}

fn nests_deeper(bytes: &[u8], depth_max: u32) -> bool {
    let mut depth = 0_u32;
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut rest),
            _ => {}
        }
    }
    false
}

/// Moves past the closing quote of a string whose opening quote was just read.
pub(super) fn skip_string(rest: &mut std::slice::Iter<'_, u8>) {
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = rest.next(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_levels_and_not_brackets() {
        assert!(!exceeds("1", 0));
        assert!(exceeds("[]", 0));
        assert!(!exceeds(&format!("[{}]", vec!["{}"; 500].join(",")), 2));
        assert!(exceeds(&format!("[{}]", vec!["{}"; 500].join(",")), 1));
        assert!(exceeds(&"[{\"a\":".repeat(5), 9));
        assert!(!exceeds(&"[{\"a\":".repeat(5), 10));
    }

    #[test]
    fn brackets_inside_strings_do_not_count() {
        let text = format!(r#"["{}\"[[\\", [1]]"#, "[".repeat(1_000));
        assert!(!exceeds(&text, 2));
        assert!(exceeds(&text, 1));
        // The escaped backslash ends before the quote, so the brackets after it are real.
        assert!(exceeds(r#"["\\", [[[[]]]]]"#, 4));
        assert!(!exceeds(r#"["\"", "[[[[[["]"#, 4));
    }

    #[test]
    fn the_sum_survives_more_brackets_than_a_lane_holds() {
        for count in [0, 1, 254, 255, 256, 511, 100_000] {
            assert_eq!(openings("[".repeat(count).as_bytes()), count);
            assert_eq!(openings("{x[".repeat(count).as_bytes()), 2 * count);
        }
    }
}
