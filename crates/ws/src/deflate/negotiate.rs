//! Offers of permessage-deflate and answers to them (RFC 7692 sections 5 and 7.1).

use crate::handshake::Extension;

/// The extension's name (RFC 7692 section 7).
const NAME: &str = "permessage-deflate";

/// What we offer to a server: it may narrow our window.
pub const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// What two endpoints agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// How the client compresses.
    pub by_client: Flow,
    /// How the server compresses.
    pub by_server: Flow,
}

/// How one endpoint compresses what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// No message refers back to an earlier one (RFC 7692 section 7.1.1).
    pub no_context_takeover: bool,
    /// Base-2 logarithm of the window's size in bytes, 8 to 15 (RFC 7692 section 7.1.2); `None`: not limited, so 15.
    pub window_bits: Option<u8>,
}

impl Agreement {
    /// Accepts an offer as a server does: everything that is asked for is granted. The client's window is not limited, because our
    /// inflater has room for the largest. `None`: another extension, or a parameter that is unknown, malformed or stands twice;
    /// the offer is to be declined (RFC 7692 section 7.1).
    pub(crate) fn accept(offer: &Extension<'_>) -> Option<Self> {
        let parameters = Parameters::parse(offer)?;
        // Without a limit in an offer, `server_max_window_bits` means nothing.
        let server_bits = parameters.server_bits.map(|bits| bits.ok_or(())).transpose().ok()?;
        let by_server =
            Flow { no_context_takeover: parameters.server_no_context_takeover, window_bits: server_bits };
        let by_client =
            Flow { no_context_takeover: parameters.client_no_context_takeover, window_bits: None };
        Some(Self { by_client, by_server })
    }

    /// Reads a server's answer to [`OFFER`]. `None`: it does not follow from the offer, and the connection is to be failed.
    pub(crate) fn verify(answer: &Extension<'_>) -> Option<Self> {
        let parameters = Parameters::parse(answer)?;
        // An answer names a number, where it names a limit.
        let bits = |limit: Option<Option<u8>>| limit.map(|bits| bits.ok_or(())).transpose().ok();
        Some(Self {
            by_client: Flow {
                no_context_takeover: parameters.client_no_context_takeover,
                window_bits: bits(parameters.client_bits)?,
            },
            by_server: Flow {
                no_context_takeover: parameters.server_no_context_takeover,
                window_bits: bits(parameters.server_bits)?,
            },
        })
    }

    /// The element of `Sec-WebSocket-Extensions` that tells the client (RFC 7692 section 7.1).
    pub(crate) fn answer(&self) -> String {
        let mut answer = NAME.to_owned();
        for (flow, takeover, window) in [
            (self.by_server, "; server_no_context_takeover", "; server_max_window_bits="),
            (self.by_client, "; client_no_context_takeover", "; client_max_window_bits="),
        ] {
            if flow.no_context_takeover {
                answer.push_str(takeover);
            }
            if let Some(bits) = flow.window_bits {
                answer.push_str(window);
                answer.push_str(&bits.to_string());
            }
        }
        answer
    }
}

/// The four parameters; a limit may stand without a number.
#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<Option<u8>>,
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    fn parse(extension: &Extension<'_>) -> Option<Self> {
        if extension.name() != NAME {
            return None;
        }
        let mut parsed = Self::default();
        for (name, value) in extension.parameters() {
            let is_new = match (name, value) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut parsed.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut parsed.client_no_context_takeover, true)
                }
                ("server_max_window_bits", value) => parsed.server_bits.replace(bits(value)?).is_none(),
                ("client_max_window_bits", value) => parsed.client_bits.replace(bits(value)?).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(parsed)
    }
}

/// Outer `None`: neither absent nor a number from 8 to 15 in its only form.
fn bits(value: Option<&[u8]>) -> Option<Option<u8>> {
    let Some(value) = value else { return Some(None) };
    // A quoted value means what it holds; its syntax has been checked.
    let digits: Vec<u8> = value.iter().copied().filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
    match digits[..] {
        [digit @ b'8'..=b'9'] => Some(Some(digit - b'0')),
        [b'1', digit @ b'0'..=b'5'] => Some(Some(10 + digit - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &str) -> Extension<'_> {
        Extension::list(std::iter::once(value.as_bytes())).unwrap().remove(0)
    }

    fn flow(no_context_takeover: bool, window_bits: Option<u8>) -> Flow {
        Flow { no_context_takeover, window_bits }
    }

    #[test]
    fn offers() {
        for (offer, answer) in [
            ("permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits=9", "permessage-deflate"),
            (
                "permessage-deflate; server_max_window_bits=15",
                "permessage-deflate; server_max_window_bits=15",
            ),
            (
                "permessage-deflate; server_max_window_bits=\"1\\0\"; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
            ),
            (
                "permessage-deflate;client_no_context_takeover",
                "permessage-deflate; client_no_context_takeover",
            ),
        ] {
            assert_eq!(Agreement::accept(&one(offer)).unwrap().answer(), answer, "{offer}");
        }
    }

    #[test]
    fn declined() {
        for parameters in [
            "x",
            "server_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "server_max_window_bits=9; server_max_window_bits=9",
            "client_max_window_bits=0",
            "client_max_window_bits=150",
            "client_max_window_bits; client_max_window_bits=9",
            "Server_no_context_takeover",
        ] {
            let offer = format!("permessage-deflate; {parameters}");
            assert_eq!(Agreement::accept(&one(&offer)), None, "{offer}");
            assert_eq!(Agreement::verify(&one(&offer)), None, "{offer}");
        }
        assert_eq!(Agreement::accept(&one("x-webkit-deflate-frame")), None);
    }

    #[test]
    fn answers() {
        let verify = |parameters: &str| Agreement::verify(&one(&format!("permessage-deflate{parameters}")));
        assert_eq!(verify(""), Some(Agreement::default()));
        assert_eq!(
            verify("; client_max_window_bits=9; server_no_context_takeover"),
            Some(Agreement { by_client: flow(false, Some(9)), by_server: flow(true, None) })
        );
        assert_eq!(
            verify("; server_max_window_bits=8; client_no_context_takeover"),
            Some(Agreement { by_client: flow(true, None), by_server: flow(false, Some(8)) })
        );
        assert_eq!(verify("; client_max_window_bits"), None, "an answer names the number");
    }
}
