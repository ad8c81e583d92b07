//! Correlation ids: what the proxy calls a connection, or what a client made it call one.

const SIZE_MAX: usize = 63;

/// A correlation id of at most 63 visible characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CorrelationId {
    size: u8,
    bytes: [u8; SIZE_MAX],
}

impl CorrelationId {
    /// `None`: too long to be followed, or with characters that no id has.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=SIZE_MAX).contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut bytes = [0; SIZE_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self { size: text.len() as u8, bytes })
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.size)]).unwrap_or_default()
    }

    /// As a proxy makes them: 11 characters of base 58, or a UUID. Others were chosen by a client.
    pub fn is_of_a_proxy(&self) -> bool {
        let text = self.as_str().as_bytes();
        match text.len() {
            11 => text.iter().all(|byte| byte.is_ascii_alphanumeric() && !b"0OIl".contains(byte)),
            36 => text.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            }),
            _ => false,
        }
    }
}

impl std::fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let is_of_a_proxy = |text: &str| CorrelationId::new(text).map(|id| id.is_of_a_proxy());
        assert_eq!(is_of_a_proxy("ccF9ysBDDXr"), Some(true));
        assert_eq!(is_of_a_proxy("ecbe6dbe-0025-4af4-af66-3e27166843af"), Some(true));
        for other in ["c1", "ccF9ysBDDX0", "ccF9ysBDDXrr", "ecbe6dbe00025-4af4-af66-3e27166843af", "x-y"] {
            assert_eq!(is_of_a_proxy(other), Some(false), "{other}");
        }
        for bad in ["", "a b", "ä", &"a".repeat(64), "a\n"] {
            assert_eq!(is_of_a_proxy(bad), None, "{bad:?}");
        }
    }
}
