//! Sets of what can be undone.

use std::fmt;

/// A set of disguises that are undone before matching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kinds(u8);

impl Kinds {
    pub const NONE: Self = Self(0);
    /// `\u003c`, `\n`: escapes of JSON strings (RFC 8259 section 7).
    pub const JSON: Self = Self(1);
    /// `%3c` (RFC 3986 section 2.1), and `%u003c` of old scripts.
    pub const PERCENT: Self = Self(1 << 1);
    /// `&lt;`, `&#60;`, `&#x3c;`: character references of HTML.
    pub const HTML: Self = Self(1 << 2);
    /// Compatibility forms (NFKC), characters without width, look-alikes of ASCII letters and digits.
    pub const UNICODE: Self = Self(1 << 3);
    /// Runs of base64 or base64url (RFC 4648).
    pub const BASE64: Self = Self(1 << 4);
    /// Those where one escape stands for one character.
    pub const ESCAPES: Self = Self(1 | 1 << 1 | 1 << 2);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::JSON, "json"),
        (Self::PERCENT, "percent"),
        (Self::HTML, "html"),
        (Self::UNICODE, "unicode"),
        (Self::BASE64, "base64"),
    ];

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn size(self) -> u32 {
        self.0.count_ones()
    }
}

impl FromIterator<Self> for Kinds {
    fn from_iter<I: IntoIterator<Item = Self>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::union)
    }
}

/// `json+percent`.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(kind, _)| self.contains(*kind));
        for (at, (_, name)) in names.enumerate() {
            f.write_str(if at == 0 { "" } else { "+" })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}
