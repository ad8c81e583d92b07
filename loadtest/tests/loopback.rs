//! Load and echo server against each other, over real sockets.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};

use wsi_loadtest::{Echo, EchoOptions, Error, IdleOptions, PayloadKind, RunOptions, idle, run, run_and_hold};

use bad_server::BadServer;

fn options(echo: &Echo) -> RunOptions {
    RunOptions {
        url: echo.url(),
        connections: 4,
        warmup: Duration::ZERO,
        duration: Duration::from_millis(300),
        pids: vec![std::process::id()],
        ..RunOptions::default()
    }
}

#[test]
fn every_kind_and_size_is_echoed() {
    let echo = Echo::start(&EchoOptions { threads: 2, ..EchoOptions::default() }).unwrap();
    for (payload, size, in_flight) in [
        (PayloadKind::Json, 256, 1),
        (PayloadKind::Json, 256, 16),
        (PayloadKind::Text, 16, 3),
        (PayloadKind::Binary, 70_000, 4),
        (PayloadKind::Binary, 200_000, 2),
    ] {
        let report = run(&RunOptions { payload, size, in_flight, ..options(&echo) }).unwrap();
        assert!(report.round_trips > 0, "{payload:?} {size}");
        assert!(report.latency.p50_us > 0.0 && report.latency.p50_us <= report.latency.max_us);
        assert!(report.cpu_us_per_round_trip().unwrap() > 0.0);
        assert_eq!(report.to_json()["round_trips"], report.round_trips);
    }
}

#[test]
fn compressed_messages_are_echoed() {
    let echo = Echo::start(&EchoOptions { deflate: true, ..EchoOptions::default() }).unwrap();
    for (payload, size, in_flight) in
        [(PayloadKind::Notes, 256, 16), (PayloadKind::Notes, 4096, 1), (PayloadKind::Binary, 20_000, 1)]
    {
        let options = RunOptions { payload, size, in_flight, deflate: true, ..options(&echo) };
        let report = run(&options).unwrap();
        assert!(report.round_trips > 0 && report.is_compressed, "{payload:?} {size}");
        assert!(report.wire_size < size as f64 / 2.0, "{payload:?} {size}: {}", report.wire_size);
        let plain = run(&RunOptions { deflate: false, ..options }).unwrap();
        assert!(!plain.is_compressed && plain.wire_size > size as f64);
    }
    let declining = Echo::start(&EchoOptions::default()).unwrap();
    assert!(!run(&RunOptions { deflate: true, ..options(&declining) }).unwrap().is_compressed);
}

#[test]
fn open_connections_are_held() {
    let echo = Echo::start(&EchoOptions::default()).unwrap();
    let report = run_and_hold(&options(&echo), Duration::from_millis(10)).unwrap();
    assert!(report.run.round_trips > 0);
    assert_eq!([report.before, report.busy, report.idle].map(|each| each.len()), [1; 3]);
}

#[test]
fn the_largest_message_passes_and_a_larger_one_is_closed() {
    let echo = Echo::start(&EchoOptions::default()).unwrap();
    let load = RunOptions { connections: 1, payload: PayloadKind::Binary, ..options(&echo) };
    run(&RunOptions { size: 16 << 20, ..load.clone() }).unwrap();
    let error = run(&RunOptions { size: (16 << 20) + 1, ..load }).unwrap_err();
    assert!(matches!(&error, Error::Closed { close, .. } if close.contains("1009")), "{error}");
}

#[test]
fn idle_connections_are_counted() {
    let echo = Echo::start(&EchoOptions::default()).unwrap();
    let pids = vec![std::process::id()];
    let report = idle(&IdleOptions { url: echo.url(), connections: 20, hold: Duration::ZERO, pids }).unwrap();
    assert_eq!((report.connections, report.alive), (20, 20));
    assert!(report.processes[0].1.before.rss > 0);
}

#[test]
fn dead_idle_connections_are_told() {
    let server = BadServer::start(drop);
    let report =
        idle(&IdleOptions { url: server.url, connections: 3, hold: Duration::ZERO, pids: vec![] }).unwrap();
    assert_eq!((report.connections, report.alive), (3, 0));
}

#[test]
fn too_many_connections_are_refused_before_the_first() {
    let echo = Echo::start(&EchoOptions::default()).unwrap();
    let error = run(&RunOptions { connections: 1 << 40, ..options(&echo) }).unwrap_err();
    assert!(matches!(error, Error::Descriptors { available, .. } if available > 0), "{error}");
}

#[test]
fn other_echoes_are_noticed() {
    // A message of the right size that nobody sent.
    let server = BadServer::start(|mut stream| {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        stream.write_all(b"\x81\x10aaaaaaaaaaaaaaaa").unwrap();
        let _ = stream.read(&mut buffer);
    });
    let load = RunOptions {
        url: server.url,
        connections: 1,
        payload: PayloadKind::Text,
        size: 16,
        ..RunOptions::default()
    };
    let error = run(&load).unwrap_err();
    assert!(matches!(error, Error::Mismatch { connection: 0, sequence: 0 }), "{error}");
}

#[test]
fn a_close_is_told_with_its_code() {
    let server = BadServer::start(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(b"\x88\x06\x03\xf0rule").unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    let error = run(&RunOptions { url: server.url, connections: 1, ..RunOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("with code 1008 \"rule\""), "{error}");
}

#[test]
fn other_servers_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "SSH-2.0-server\r\n\r\n"] {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let load = RunOptions { url, connections: 1, ..RunOptions::default() };
    assert!(matches!(run(&load), Err(Error::Refused { status: 404, .. })));
    assert!(matches!(run(&load), Err(Error::Handshake { .. })));
    assert!(matches!(run(&load), Err(Error::Io { .. } | Error::Handshake { .. })), "nobody accepts any more");
}

#[cfg(test)]
mod bad_server {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    /// Upgrades, and then does as it likes.
    pub struct BadServer {
        pub url: String,
    }

    impl BadServer {
        pub fn start(then: impl Fn(TcpStream) + Send + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let mut head = [0; 4096];
                    let size = stream.read(&mut head).unwrap();
                    let head = std::str::from_utf8(&head[..size]).unwrap();
                    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
                    let accept = wsi_ws::handshake::accept_value(key.as_bytes());
                    let accept = std::str::from_utf8(&accept).unwrap();
                    let answer = format!(
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Accept: {accept}\r\n\r\n"
                    );
                    stream.write_all(answer.as_bytes()).unwrap();
                    then(stream);
                }
            });
            Self { url }
        }
    }
}
