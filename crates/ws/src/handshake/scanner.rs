//! Where a head ends.

use super::error::HandshakeError;
use super::limits::HeadLimits;
use crate::frame::Role;

/// Looks for the end of one head in a buffer that grows. It goes over each byte once, however the head was split.
///
/// Lines end with CRLF and nothing else: a bare CR or LF and a NUL are refused when they are seen, because parsers
/// differ in what they make of them.
#[derive(Clone, Debug)]
pub struct HeadScanner {
    sender: Role,
    limits: HeadLimits,
    /// Bytes that need no second look.
    scanned: usize,
    line_start: usize,
    lines: usize,
}

impl HeadScanner {
    /// A scanner for one head from `sender`: a request if that is the client.
    pub const fn new(sender: Role, limits: HeadLimits) -> Self {
        Self { sender, limits, scanned: 0, line_start: 0, lines: 0 }
    }

    /// The length of the head with the empty line that ends it; `Ok(None)`: more bytes are needed.
    ///
    /// `bytes` is everything received so far, from the first byte of the head; what follows the head is not looked at.
    ///
    /// # Errors
    /// A line end that is not CRLF, a NUL, an empty line in front, or a head over the limits. An error stays.
    pub fn head_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        self.scan(bytes).map_err(|fault| match self.sender {
            Role::Client => fault,
            Role::Server => fault.of_upstream(),
        })
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        let window = &bytes[..bytes.len().min(self.limits.size_max)];
        while let Some(rest) = window.get(self.scanned..) {
            let Some(found) = memchr::memchr3(b'\r', b'\n', 0, rest) else {
                self.scanned = window.len();
                break;
            };
            self.scanned += found;
            match rest[found..] {
                [b'\r', b'\n', ..] => {}
                [b'\r'] => break,
                [0, ..] => return Err(HandshakeError::ControlByte),
                _ => return Err(HandshakeError::LineEnd),
            }
            if self.scanned == 0 {
                return Err(HandshakeError::StartLine);
            }
            if self.scanned == self.line_start {
                return Ok(Some(self.scanned + 2));
            }
            if self.lines > self.limits.headers_max {
                return Err(HandshakeError::TooManyHeaders);
            }
            self.lines += 1;
            self.scanned += 2;
            self.line_start = self.scanned;
        }
        if bytes.len() >= self.limits.size_max { Err(HandshakeError::HeadTooLarge) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { size_max: 64, headers_max: 3 };

    fn whole(bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        HeadScanner::new(Role::Client, LIMITS).head_end(bytes)
    }

    /// The answer when one byte more arrives each time, up to the first that is final.
    fn dribbled(bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        let mut scanner = HeadScanner::new(Role::Client, LIMITS);
        for end in 0..bytes.len() {
            let answer = scanner.head_end(&bytes[..end]);
            if answer != Ok(None) {
                assert_eq!(scanner.head_end(bytes), answer, "an answer stays");
                return answer;
            }
        }
        scanner.head_end(bytes)
    }

    #[test]
    fn ends() {
        for (bytes, expected) in [
            (&b""[..], Ok(None)),
            (b"a\r\n\r", Ok(None)),
            (b"a\r\n\r\n", Ok(Some(5))),
            (b"a\r\nb:c\r\n\r\nrest\n\0", Ok(Some(10))),
            (b"a\r\n1\r\n2\r\n3\r\n\r\n", Ok(Some(14))),
            (b"a\r\n1\r\n2\r\n3\r\n4\r\n", Err(HandshakeError::TooManyHeaders)),
            (b"\r\na\r\n\r\n", Err(HandshakeError::StartLine)),
            (b"a\nb", Err(HandshakeError::LineEnd)),
            (b"\n", Err(HandshakeError::LineEnd)),
            (b"a\r\n\n", Err(HandshakeError::LineEnd)),
            (b"a\r\r\n", Err(HandshakeError::LineEnd)),
            (b"a\rb", Err(HandshakeError::LineEnd)),
            (b"\x16\x03\x01\x00", Err(HandshakeError::ControlByte)),
        ] {
            assert_eq!(whole(bytes), expected, "{bytes:?}");
            assert_eq!(dribbled(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn size() {
        let fits = [&[b'a'; 60][..], b"\r\n\r\n"].concat();
        assert_eq!(whole(&fits), Ok(Some(64)));
        assert_eq!(dribbled(&fits), Ok(Some(64)));
        let over = [&[b'a'; 61][..], b"\r\n\r\n"].concat();
        assert_eq!(whole(&over), Err(HandshakeError::HeadTooLarge));
        assert_eq!(dribbled(&over), Err(HandshakeError::HeadTooLarge));
        assert_eq!(whole(&[b'a'; 64]), Err(HandshakeError::HeadTooLarge), "no byte more can end it");
    }

    #[test]
    fn no_byte_is_looked_at_twice() {
        let mut scanner = HeadScanner::new(Role::Client, LIMITS);
        assert_eq!(scanner.head_end(b"a\r\nbcd"), Ok(None));
        // Had it looked again, the line ends that are now wrong would be refused.
        assert_eq!(scanner.head_end(b"\n\n\n\n\n\n\r\n\r\n"), Ok(Some(10)));
    }

    #[test]
    fn faults_of_the_upstream_are_its_own() {
        let mut scanner = HeadScanner::new(Role::Server, LIMITS);
        assert_eq!(scanner.head_end(b"HTTP/1.1 101\n"), Err(HandshakeError::UpstreamHead));
        let mut scanner = HeadScanner::new(Role::Server, LIMITS);
        assert_eq!(scanner.head_end(&[b'a'; 64]), Err(HandshakeError::UpstreamHeadTooLarge));
    }

    proptest::proptest! {
        #[test]
        fn any_split_gives_the_same_end(bytes in "[a\r\n]{0,40}|([ab:]{0,6}\r\n){0,6}\r\n.{0,9}|[\\x00a\r\n]{55,80}") {
            proptest::prop_assert_eq!(whole(bytes.as_bytes()), dribbled(bytes.as_bytes()));
        }
    }
}
