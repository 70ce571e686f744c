//! A stand-in server: accepts connections, gives each a thread, can be stopped as if its machine had lost power.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A running stand-in; stopped when dropped.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Service {
    /// Serves a listener that may belong to any host's network.
    pub fn start(
        listener: TcpListener,
        serve: impl Fn(TcpStream, SocketAddr) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (listener, shared, serve) = (Arc::new(listener), Arc::new(Shared::default()), Arc::new(serve));
        let (accepting, sharing) = (Arc::clone(&listener), Arc::clone(&shared));
        let thread = thread::spawn(move || {
            while let Ok((stream, from)) = accepting.accept() {
                if sharing.stopped.load(Ordering::Acquire) {
                    return;
                }
                let _ = stream.set_nodelay(true);
                if let Ok(copy) = stream.try_clone() {
                    let mut open = sharing.open.lock().unwrap_or_else(PoisonError::into_inner);
                    open.retain(|stream| stream.peer_addr().is_ok());
                    open.push(copy);
                }
                let serve = Arc::clone(&serve);
                let sharing = Arc::clone(&sharing);
                thread::spawn(move || {
                    serve(stream, from);
                    // The copy kept above must not hold the connection open.
                    let mut open = sharing.open.lock().unwrap_or_else(PoisonError::into_inner);
                    open.retain(|copy| copy.peer_addr().is_ok_and(|peer| peer != from));
                });
            }
        });
        Ok(Self { address, listener, shared, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and ends every connection.
    pub fn stop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the thread that waits in accept.
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}
