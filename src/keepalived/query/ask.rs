//! The client of the control socket.

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// How long the daemon may take to begin an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody listens.
    Nobody(PathBuf, std::io::Error),
    /// The daemon closed the connection, or is too slow.
    Closed(PathBuf),
    /// It refused the request.
    Refused(StatusCode, String),
    /// Its answer is not understood.
    Answer(String),
    /// It has no such instance.
    Instance(String),
    /// A file cannot be read.
    File(String),
    /// The system has no room for a client.
    System(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(path, error) => {
                let reason = crate::conf::diagnostic::reason(error);
                write!(f, "no daemon answers at {}: {reason}", path.display())
            }
            Self::Closed(path) => write!(f, "the daemon at {} gives no answer", path.display()),
            Self::Refused(code, text) => write!(f, "the daemon refused: {} {}", code.as_u16(), text.trim()),
            Self::Answer(why) => write!(f, "the daemon's answer is not understood: {why}"),
            Self::Instance(name) => write!(f, "there is no instance {name}"),
            Self::File(why) => write!(f, "{why}"),
            Self::System(error) => write!(f, "{}", crate::conf::diagnostic::reason(error)),
        }
    }
}

/// Asks for `target` and gives each piece of the answer to `take`, until that wants no more.
///
/// # Errors
/// Why there is no whole answer.
pub fn ask(socket: &Path, target: &str, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::System)?;
    runtime.block_on(async {
        let closed = || Failure::Closed(socket.to_owned());
        let stream = tokio::time::timeout(PATIENCE, UnixStream::connect(socket)).await.map_err(|_| closed())?;
        let stream = stream.map_err(|error| Failure::Nobody(socket.to_owned(), error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(|_| closed())?;
        let driver = tokio::spawn(connection);
        let request = Request::get(target).header("Host", "localhost").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Failure::Answer(error.to_string()))?;
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.map_err(|_| closed())?;
        let (head, mut body) = response.map_err(|_| closed())?.into_parts();
        if head.status != StatusCode::OK {
            let text = body.collect().await.map_err(|_| closed())?.to_bytes();
            return Err(Failure::Refused(head.status, String::from_utf8_lossy(&text).into_owned()));
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| closed())?;
            if frame.data_ref().is_some_and(|data| !take(data)) {
                break;
            }
        }
        driver.abort();
        Ok(())
    })
}
