//! Opening a connection.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use wsi_ws::{
    Role,
    deflate::{Agreement, OFFER},
    handshake::{HandshakeError, HeadLimits, HeadScanner, Key, Response},
};

use crate::{Error, random::Random, target::Target};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// An open connection, still blocking, with a read timeout of ten seconds.
#[derive(Debug)]
pub(crate) struct Client {
    pub stream: TcpStream,
    /// What came behind the server's head.
    pub rest: Vec<u8>,
    /// How messages may be compressed, if that was offered and accepted.
    pub compression: Option<Agreement>,
}

/// Connects and upgrades, offering permessage-deflate if `deflate`. `connection` is the number that errors tell.
pub(crate) fn open(
    target: &Target,
    connection: usize,
    deflate: bool,
    random: &mut Random,
) -> Result<Client, Error> {
    let failed = |what: &str| {
        Error::io(
            format!("connection {connection}: {what} {}", target.address),
            "check that the server listens there, accepts that many connections, and is not out of descriptors",
        )
    };
    let mut stream =
        TcpStream::connect_timeout(&target.address, HANDSHAKE_TIMEOUT).map_err(failed("connecting to"))?;
    stream.set_nodelay(true).map_err(failed("setting up"))?;
    stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(failed("setting up"))?;
    stream.set_write_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(failed("setting up"))?;

    let key = Key::new(random.nonce());
    stream.write_all(&request(target, &key, deflate)).map_err(failed("upgrading at"))?;
    let mut head = Vec::new();
    let mut scanner = HeadScanner::new(Role::Server, HeadLimits::default());
    let handshake = |fault: HandshakeError| Error::Handshake { connection, fault };
    let end = loop {
        if let Some(end) = scanner.head_end(&head).map_err(handshake)? {
            break end;
        }
        let mut chunk = [0; 2048];
        let size = stream.read(&mut chunk).map_err(failed("waiting for the upgrade from"))?;
        if size == 0 {
            return Err(handshake(HandshakeError::Incomplete));
        }
        head.extend_from_slice(&chunk[..size]);
    };
    let response = Response::parse(&head[..end], HeadLimits::default()).map_err(handshake)?;
    if !response.is_upgrade() {
        return Err(Error::Refused { connection, status: response.status() });
    }
    let accepted = response.verify_extended(&key, |_| false, deflate).map_err(handshake)?;
    let compression = accepted.compression();
    let rest = head.split_off(end);
    Ok(Client { stream, rest, compression })
}

fn request(target: &Target, key: &Key, deflate: bool) -> Vec<u8> {
    let Target { authority, path, .. } = target;
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    )
    .into_bytes();
    head.extend_from_slice(key.as_bytes());
    if deflate {
        head.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        head.extend_from_slice(OFFER.as_bytes());
    }
    head.extend_from_slice(b"\r\n\r\n");
    head
}
