//! Runs of base64 and base64url (RFC 4648 sections 4 and 5), with padding or without.

/// Shorter runs are words, mostly, and count only if they hold text.
const RUN_SIZE_MIN: usize = 16;
/// What is shorter still holds nothing to speak of.
const TEXT_RUN_SIZE_MIN: usize = 6;

/// Decodes the runs of a text, wherever it is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    /// Digits of the run at the end of the text so far; beyond [`RUN_SIZE_MIN`] only whether there are that many.
    size: usize,
    /// The first digits of a run that may turn out too short.
    held: [u8; RUN_SIZE_MIN],
    /// Up to 18 bits that are not yet a byte, and how many digits they came from.
    bits: u32,
    digits: u8,
    has_output: bool,
    /// A line's end is nothing: long runs are wrapped, as in mail (RFC 2045 section 6.8).
    joins_lines: bool,
    /// Not joined: a long run ended with the line, and nothing has come since.
    is_wrapping: bool,
    is_wrapped: bool,
}

impl Runs {
    pub fn joining_lines() -> Self {
        Self { joins_lines: true, ..Self::default() }
    }

    /// Whether a long run may go on in another line.
    pub fn is_wrapped(&self) -> bool {
        self.is_wrapped
    }

    /// Appends what the runs in `text` hold to `out`, each run on a line of its own. It is never longer than `text` and what came
    /// before together.
    pub fn decode(&mut self, text: &[u8], is_final: bool, out: &mut Vec<u8>) {
        for &byte in text {
            match value(byte) {
                Some(value) => self.digit(value, out),
                None if matches!(byte, b'\r' | b'\n') => self.line_end(out),
                None => {
                    self.end(out);
                    self.is_wrapping = false;
                }
            }
        }
        if is_final {
            self.end(out);
        }
    }

    fn line_end(&mut self, out: &mut Vec<u8>) {
        if !self.joins_lines {
            self.is_wrapping |= self.size >= RUN_SIZE_MIN;
            self.end(out);
        }
    }

    fn digit(&mut self, value: u8, out: &mut Vec<u8>) {
        self.is_wrapped |= self.is_wrapping;
        if self.size >= RUN_SIZE_MIN {
            return self.decode_digit(value, out);
        }
        self.held[self.size] = value;
        self.size += 1;
        if self.size == RUN_SIZE_MIN {
            self.begin(out);
        }
    }

    /// Decodes what is held, on a line of its own.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.has_output {
            out.push(b'\n');
        }
        self.has_output = true;
        for value in self.held.into_iter().take(self.size) {
            self.decode_digit(value, out);
        }
    }

    fn decode_digit(&mut self, value: u8, out: &mut Vec<u8>) {
        self.bits = self.bits << 6 | u32::from(value);
        self.digits += 1;
        if self.digits == 4 {
            out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
            (self.bits, self.digits) = (0, 0);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let (before, had_output) = (out.len(), self.has_output);
        let is_short = self.size < RUN_SIZE_MIN;
        if is_short && self.size >= TEXT_RUN_SIZE_MIN {
            self.begin(out);
        }
        // Two digits hold a byte, three hold two; one alone holds nothing.
        let bytes = (self.bits << (6 * (4 - u32::from(self.digits)))).to_be_bytes();
        out.extend_from_slice(&bytes[1..1 + usize::from(self.digits.saturating_sub(1))]);
        (self.size, self.bits, self.digits) = (0, 0, 0);
        if is_short && !is_text(&out[before..]) {
            out.truncate(before);
            self.has_output = had_output;
        }
    }
}

/// Whether what was decoded is text: a run that is only a long word decodes to noise.
pub(crate) fn is_text(decoded: &[u8]) -> bool {
    decoded.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
