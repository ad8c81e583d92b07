//! What a proxy's bytes can do wrong; each ends its connection.

/// Why a connection to a proxy is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("a payload that is not base64")]
    Base64,
    #[error("an event before the handshake, or a second handshake")]
    Handshake,
    #[error("a message that is not the JSON that its type asks for")]
    Json,
    #[error("a message that is not the MessagePack that its type asks for")]
    MessagePack,
    #[error("a message without the fields that its type asks for")]
    Fields,
    #[error("a message larger than the protocol allows (16 MiB; version 1: 10 MiB)")]
    TooLarge,
    #[error(
        "a type of message that this agent does not serve; let the proxy's `events` name request_headers, response_headers and websocket_frame"
    )]
    UnknownType,
    #[error("a protocol version that this agent does not speak; it speaks 1 and 2")]
    UnknownVersion,
}
