/// Nesting that a message may have unless the policy says otherwise.
pub const DEPTH_MAX_DEFAULT: u32 = 64;

/// The most that a policy may allow. The parser recurses once per level, and the validator once per level
/// and nested keyword, so this is what keeps them inside a thread stack of 2 MiB: at the ceiling they take
/// less than 200 KiB, under a recursive schema with six keywords around each level. A build that
/// is not optimised takes about 20 KiB per level and needs 8 MiB.
pub const DEPTH_MAX_CEILING: u32 = 128;

const _: () = assert!(DEPTH_MAX_DEFAULT <= DEPTH_MAX_CEILING);

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
