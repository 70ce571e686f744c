//! Liveness: a local socket that answers a byte with a byte, once every event loop of the worker has had a turn.
//!
//! rkeepalived's `check rnginx` asks here. The name is abstract, `rnginx/PID/liveness` with the process id of the pid
//! file. The master opens it and each worker accepts, so that a worker that is started anew answers the next question.
//! An event loop that hangs answers nothing. A worker that was told to end closes its side, and so does the master: what
//! asks next is refused at once.

use super::serve::LoopCommand;
use nix::sys::socket::{getsockopt, sockopt};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// Connections that are answered at a time; later ones wait.
const MOST: usize = 16;

/// Opens the socket of this process. Without one, the server serves all the same.
pub fn listen() -> Option<StdListener> {
    let name = format!("rnginx/{}/liveness", std::process::id());
    let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?;
    listener.set_nonblocking(true).ok()?;
    Some(listener)
}

/// Answers until it is dropped, which closes every connection. Only root and the worker's own user are answered.
pub async fn serve(listener: StdListener, loops: Vec<UnboundedSender<LoopCommand>>) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    let own = nix::unistd::geteuid().as_raw();
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MOST {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, mostly; not over at once.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        if getsockopt(&stream, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            connections.spawn(answer(stream, loops.clone()));
        }
    }
}

/// Answers one connection's questions, one at a time, until it ends.
async fn answer(mut stream: UnixStream, loops: Vec<UnboundedSender<LoopCommand>>) {
    let mut question = [0; 16];
    while let Ok(1..) = stream.read(&mut question).await {
        if !have_turns(&loops).await || stream.write_all(b"\n").await.is_err() {
            return;
        }
    }
}

/// Waits until each event loop has taken a command; false where one has ended.
async fn have_turns(loops: &[UnboundedSender<LoopCommand>]) -> bool {
    let (turn, mut turns) = unbounded_channel();
    if loops.iter().any(|commands| commands.send(LoopCommand::Report(turn.clone())).is_err()) {
        return false;
    }
    drop(turn);
    for _ in loops {
        if turns.recv().await.is_none() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_of(turns: usize) -> Option<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (loops, mut commands): (Vec<_>, Vec<_>) = (0..3).map(|_| unbounded_channel()).unzip();
            let work = async {
                for commands in commands.iter_mut().take(turns) {
                    if let Some(LoopCommand::Report(turn)) = commands.recv().await {
                        turn.send(()).unwrap();
                    }
                }
                // The other loops are there and do nothing.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                all = have_turns(&loops) => Some(all),
                () = work => None,
                () = async { for _ in 0..100 { tokio::task::yield_now().await } } => None,
            }
        })
    }

    #[test]
    fn one_event_loop_that_hangs_leaves_a_question_without_an_answer() {
        assert_eq!(answer_of(3), Some(true));
        assert_eq!(answer_of(2), None);
    }
}
