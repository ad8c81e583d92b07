//! Any head, request or response: parsing never panics, and what is written on of an accepted one is accepted again.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use wsi_ws::{
    Role,
    handshake::{
        HeadLimits, HeadScanner, Hop, Key, Request, Response, write_client_response, write_rejection,
        write_upstream_request,
    },
};

// The first byte chooses between request and response, and how the rest is split for the scanner.
fuzz_target!(|input: &[u8]| {
    let Some((&choice, head)) = input.split_first() else { return };
    let sender = if choice & 1 == 0 { Role::Client } else { Role::Server };
    let whole = HeadScanner::new(sender, HeadLimits::default()).head_end(head);
    assert_eq!(whole, in_pieces(head, sender, usize::from(choice >> 1) + 1));
    let Ok(Some(end)) = whole else { return };
    match sender {
        Role::Client => request(&head[..end]),
        Role::Server => response(&head[..end]),
    }
});

fn in_pieces(
    head: &[u8],
    sender: Role,
    size: usize,
) -> Result<Option<usize>, wsi_ws::handshake::HandshakeError> {
    let mut scanner = HeadScanner::new(sender, HeadLimits::default());
    for end in (size..head.len()).step_by(size).chain([head.len()]) {
        if let Some(found) = scanner.head_end(&head[..end])? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn request(head: &[u8]) {
    let Ok(request) = Request::parse(head, HeadLimits::default()) else { return };
    let hop = Hop { client: IpAddr::V4(Ipv4Addr::LOCALHOST), is_tls: false };
    let mut written = Vec::new();
    write_upstream_request(
        &request,
        &Key::new([7; 16]),
        |_| true,
        request.offers_compression(),
        hop,
        &mut written,
    );
    // Ours is longer by what it adds.
    let limits = HeadLimits { size_max: 64 << 10, headers_max: 200 };
    let again = Request::parse(&written, limits).expect("what we write is an upgrade");
    assert_eq!((again.target(), again.host()), (request.target(), request.host()));
    assert_eq!(again.offers_compression(), request.offers_compression());
    assert_eq!(
        again.compression().is_some(),
        request.offers_compression(),
        "our offer is one that we would accept"
    );
}

fn response(head: &[u8]) {
    let Ok(response) = Response::parse(head, HeadLimits::default()) else { return };
    let mut written = Vec::new();
    match response.verify_extended(&Key::new([7; 16]), |_| true, true) {
        Ok(accepted) => {
            write_client_response(&accepted, "dGhlIHNhbXBsZSBub25jZQ==", accepted.compression(), &mut written)
        }
        Err(_) => write_rejection(&response, &mut written),
    }
    let mut scanner = HeadScanner::new(Role::Server, HeadLimits { size_max: 64 << 10, headers_max: 200 });
    assert!(matches!(scanner.head_end(&written), Ok(Some(_))), "what we write has an end");
}
