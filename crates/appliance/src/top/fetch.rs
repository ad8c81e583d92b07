//! Requests to an admin server.

use std::{error::Error, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, runtime, time::timeout};

const ANSWER_SIZE_MAX: usize = 16 << 20;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks one address.
pub(super) struct Fetcher {
    address: SocketAddr,
    runtime: runtime::Runtime,
}

impl Fetcher {
    /// # Errors
    /// The system's.
    pub fn new(address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        Ok(Self { address, runtime })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// # Errors
    /// Nobody answers, or not with this.
    pub fn text(&mut self, path: &str) -> Result<String, Box<dyn Error>> {
        let answer = self.runtime.block_on(async { timeout(ANSWER_TIMEOUT, get(self.address, path)).await });
        let fault = |error: &dyn std::fmt::Display| {
            format!("http://{}{path}: {error}; is `admin` of a running inspector there?", self.address)
        };
        let answer = answer.map_err(|_| fault(&"no answer in time"))?;
        Ok(answer.map_err(|error| fault(&error))?)
    }

    /// # Errors
    /// As above.
    pub fn json(&mut self, path: &str) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_str(&self.text(path)?)?)
    }
}

async fn get(address: SocketAddr, path: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    // It makes progress while the answer is waited for.
    tokio::spawn(connection);
    let answer = requests.send_request(request).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("it answers {}", answer.status()).into());
    }
    let body = Limited::new(answer.into_body(), ANSWER_SIZE_MAX).collect().await?;
    Ok(String::from_utf8(body.to_bytes().into())?)
}
