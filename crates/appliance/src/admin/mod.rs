//! The admin server: health, metrics, the API and the live page over HTTP/1.1, on a control thread away from the shards.
//!
//! A connection serves one request and is closed, and there is a bound on how many there are and how long each may
//! take, so a slow client can hold up others for seconds at most.

mod api;
mod page;
mod recent;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::api::Asked;
pub(crate) use self::{
    api::Api,
    recent::{Recent, Tee},
};

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether traffic should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Starting,
    Ready,
    /// Open connections are being brought to their end; new ones are not accepted.
    Draining,
}

/// The readiness of the process, shared by who sets it and who asks.
#[derive(Debug, Default)]
pub struct ReadinessCell(AtomicU8);

/// What the server shows.
#[derive(Clone)]
pub struct AdminState {
    /// Renders the metrics, in the Prometheus text format 0.0.4.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub readiness: Arc<ReadinessCell>,
    /// `None`: there are only metrics and health.
    pub api: Option<Arc<Api>>,
}

/// The running server. To drop it is to stop it, without waiting for its end.
#[derive(Debug)]
pub struct AdminServer {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// Starts serving on `listener`, on a thread of its own.
///
/// # Errors
/// The system's, when it gives no thread or no event queue.
pub fn start(listener: TcpListener, state: AdminState) -> io::Result<AdminServer> {
    start_with(listener, state, Limits::default())
}

impl AdminServer {
    /// Ends the server, and whatever it is just answering.
    pub fn stop(self) {
        drop(self.stop);
        // A panic of the thread has been told by the panic hook; there is nothing else to do about it here.
        let _ = self.thread.join();
    }
}

impl ReadinessCell {
    pub fn set(&self, readiness: Readiness) {
        self.0.store(readiness as u8, Ordering::Release);
    }

    pub fn value(&self) -> Readiness {
        match self.0.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminState").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Limits {
    /// Further ones wait in the listener's queue.
    connections_max: usize,
    head_size_max: usize,
    head_timeout: Duration,
    /// From accept to the last byte of the answer.
    connection_timeout: Duration,
    /// After an accept that failed, for want of file descriptors for instance.
    accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 64,
            head_size_max: 16 << 10,
            head_timeout: Duration::from_secs(5),
            connection_timeout: Duration::from_secs(10),
            accept_pause: Duration::from_millis(100),
        }
    }
}

fn start_with(listener: TcpListener, state: AdminState, limits: Limits) -> io::Result<AdminServer> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move || {
        runtime.block_on(async {
            tokio::spawn(accept(listener, state, limits));
            let _ = stopped.await;
        });
    };
    let thread = thread::Builder::new().name("admin".into()).spawn(serve)?;
    Ok(AdminServer { stop, thread })
}

async fn accept(listener: tokio::net::TcpListener, state: AdminState, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve_one(stream, state.clone(), limits, place))),
            Err(_) => tokio::time::sleep(limits.accept_pause).await,
        }
    }
}

async fn serve_one(
    stream: tokio::net::TcpStream,
    state: AdminState,
    limits: Limits,
    _place: OwnedSemaphorePermit,
) {
    let is_loopback = stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let answer = service_fn(|request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(respond(&request, &state, is_loopback).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_size_max)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // A client that is too slow, or not speaking HTTP, has nobody here to be told.
    let _ = tokio::time::timeout(limits.connection_timeout, connection).await;
}

async fn respond<B>(request: &Request<B>, state: &AdminState, is_loopback: bool) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if let (Some(path), Some(api)) = (path.strip_prefix("/api/"), &state.api) {
        if is_loopback && !is_named_locally(request) && !api.is_authorized(authorization(request)) {
            let error = r#"{"error": "ask for 127.0.0.1 or localhost here, or send the token: another name may be a web page's"}"#;
            return text(StatusCode::FORBIDDEN, "application/json", format!("{error}\n"));
        }
        return respond_with(Arc::clone(api), request, path.to_owned()).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => text(StatusCode::OK, METRICS_TEXT, (state.metrics)()),
        "/healthz" => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match state.readiness.value() {
            Readiness::Ready => text(StatusCode::OK, TEXT, "ready\n"),
            Readiness::Starting => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n"),
            Readiness::Draining => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n"),
        },
        "/" if state.api.is_some() => page::page(),
        _ => text(
            StatusCode::NOT_FOUND,
            TEXT,
            "not here; there are /, /metrics, /healthz, /readyz and /api/\n",
        ),
    }
}

/// Whether the request names this machine, by an address or as localhost. A web page elsewhere can have its own name lead here, and
/// would read what a browser on this machine may see.
fn is_named_locally<B>(request: &Request<B>) -> bool {
    let Some(host) = request.headers().get(HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    is_address || name.eq_ignore_ascii_case("localhost")
}

fn authorization<B>(request: &Request<B>) -> Option<&[u8]> {
    request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes)
}

/// Shards answer between their turns, so the thread that serves must not wait for them.
async fn respond_with<B>(api: Arc<Api>, request: &Request<B>, path: String) -> Response<Full<Bytes>> {
    let (method, query) = (request.method().clone(), request.uri().query().unwrap_or_default().to_owned());
    let authorization = authorization(request).map(<[u8]>::to_vec);
    let answer = tokio::task::spawn_blocking(move || {
        api.answer(&Asked {
            method: &method,
            path: &path,
            query: &query,
            authorization: authorization.as_deref(),
        })
    });
    let Ok((status, value)) = answer.await else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "a bug: please report it\n");
    };
    let mut response = text(status, "application/json", format!("{value}\n"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpStream},
    };

    use super::*;

    fn serve(
        metrics: impl Fn() -> String + Send + Sync + 'static,
        limits: Limits,
    ) -> (AdminServer, AdminState, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = AdminState { metrics: Arc::new(metrics), readiness: Arc::default(), api: None };
        (start_with(listener, state.clone(), limits).unwrap(), state, address)
    }

    /// Head and body of the answer.
    fn ask(address: SocketAddr, line: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_ascii_lowercase(), body.to_owned())
    }

    fn status(address: SocketAddr, line: &str) -> String {
        ask(address, line).0.split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn answers() {
        let (server, _, address) = serve(|| "wsi_shards 2\n".to_owned(), Limits::default());
        let (head, body) = ask(address, "GET /metrics?x=1");
        assert!(
            head.starts_with("http/1.1 200 ") && head.contains("content-type: text/plain; version=0.0.4")
        );
        assert_eq!(body, "wsi_shards 2\n");
        assert_eq!(ask(address, "HEAD /metrics").1, "");
        let (head, body) = ask(address, "GET /healthz");
        assert!(head.starts_with("http/1.1 200 "));
        assert_eq!(body, "ok\n");
        let (head, body) = ask(address, "GET /api");
        assert!(head.starts_with("http/1.1 404 "));
        assert!(["/metrics", "/healthz", "/readyz"].iter().all(|path| body.contains(path)));
        let (head, _) = ask(address, "POST /metrics");
        assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"));
        server.stop();
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }

    #[test]
    fn readiness_follows_its_cell() {
        let (_server, state, address) = serve(String::new, Limits::default());
        assert_eq!(
            (status(address, "GET /readyz"), ask(address, "GET /readyz").1),
            ("503".into(), "starting\n".into())
        );
        state.readiness.set(Readiness::Ready);
        assert_eq!(status(address, "GET /readyz"), "200");
        state.readiness.set(Readiness::Draining);
        assert_eq!(
            (status(address, "GET /readyz"), ask(address, "GET /readyz").1),
            ("503".into(), "draining\n".into())
        );
        assert_eq!(status(address, "GET /healthz"), "200", "the process lives");
    }

    #[test]
    fn clients_that_say_nothing_make_room() {
        let limits =
            Limits { connections_max: 2, head_timeout: Duration::from_millis(50), ..Limits::default() };
        let (_server, _, address) = serve(String::new, limits);
        let mut silent: Vec<_> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
        silent[0].write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
        assert_eq!(status(address, "GET /healthz"), "200");
    }

    #[test]
    fn clients_that_do_not_read_make_room() {
        let limits =
            Limits { connections_max: 1, connection_timeout: Duration::from_millis(50), ..Limits::default() };
        let (_server, _, address) = serve(|| "x".repeat(64 << 20), limits);
        let mut deaf = TcpStream::connect(address).unwrap();
        deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
        assert_eq!(status(address, "GET /healthz"), "200");
    }

    #[test]
    fn heads_are_bounded_and_panics_are_contained() {
        let (_server, _, address) = serve(|| panic!("on purpose"), Limits::default());
        let mut stream = TcpStream::connect(address).unwrap();
        // The server may hang up while this is being written.
        let _ = write!(stream, "GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert_eq!(status(address, "GET /healthz"), "200");
    }
}
