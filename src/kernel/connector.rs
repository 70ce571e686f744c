//! The kernel's process connector: which processes fork, exec, change their name and exit (cn_proc).

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_CONNECTOR};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Index and value of the process connector, and its multicast group.
const CN_PROC: u32 = 1;
/// The operation that starts the events.
const LISTEN: u32 = 1;
/// struct nlmsghdr.
const HEADER: usize = 16;
/// struct cn_msg.
const CONNECTOR: usize = 20;
/// Where the data of an event begins in struct proc_event.
const DATA: usize = 16;
/// Events that are read before other work gets its turn.
const EVENTS_A_TURN: usize = 4096;

/// What happened to a process. Threads are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// `child` was forked from `parent`.
    Fork {
        /// The process that forked.
        parent: i32,
        /// The new process.
        child: i32,
    },
    /// The process runs another program.
    Exec(i32),
    /// The process changed its name.
    Name(i32, String),
    /// The process ended.
    Exit(i32),
    /// Events were lost: the processes must be read again.
    Lost,
}

/// A socket that receives the events of processes.
pub struct ProcessMonitor {
    socket: Arc<Socket>,
    buffer: Vec<u8>,
}

impl ProcessMonitor {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system said; `ENOTSUP` where the kernel does not confirm, as outside its first pid namespace.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_CONNECTOR)?;
        socket.bind(&SocketAddr::new(0, CN_PROC))?;
        socket.set_non_blocking(true)?;
        // A burst of forks must fit; a kernel that refuses leaves its default.
        let _ = socket.set_rx_buf_sz(1_i32 << 20);
        let mut monitor = Self { socket: Arc::new(socket), buffer: vec![0; 4096] };
        monitor.socket.send(&listen(), 0)?;
        // The kernel answers while it takes the request.
        let (mut confirmed, mut refusal) = (false, 0);
        while let Ok(length) = monitor.socket.recv(&mut monitor.buffer.as_mut_slice(), 0) {
            if let Some(status) = confirmation(monitor.buffer.get(..length).unwrap_or_default()) {
                (confirmed, refusal) = (true, status);
                break;
            }
        }
        match (confirmed, refusal) {
            (true, 0) => Ok(monitor),
            (true, errno) => Err(io::Error::from_raw_os_error(errno as i32)),
            (false, _) => Err(io::Error::from(Errno::ENOTSUP)),
        }
    }

    /// The same socket for another reader, without the events that have come so far.
    pub fn renewed(&self) -> Self {
        let mut monitor = Self { socket: Arc::clone(&self.socket), buffer: vec![0; 4096] };
        let mut events = Vec::new();
        monitor.read(&mut events);
        while !std::mem::take(&mut events).is_empty() {
            monitor.read(&mut events);
        }
        monitor
    }

    /// Reads the events that are there.
    pub fn read(&mut self, events: &mut Vec<ProcessEvent>) {
        for _ in 0..EVENTS_A_TURN {
            match self.socket.recv(&mut self.buffer.as_mut_slice(), 0) {
                Ok(length) => events.extend(event(self.buffer.get(..length).unwrap_or_default())),
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => events.push(ProcessEvent::Lost),
                Err(_) => return,
            }
        }
    }
}

impl AsFd for ProcessMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The request for events.
fn listen() -> Vec<u8> {
    const DONE: u16 = 3;
    let length = (HEADER + CONNECTOR + 4) as u32;
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(DONE.to_ne_bytes());
    // Flags, sequence and port are zero.
    bytes.extend([0; 10]);
    bytes.extend(CN_PROC.to_ne_bytes());
    bytes.extend(CN_PROC.to_ne_bytes());
    // Sequence and acknowledgement.
    bytes.extend([0; 8]);
    bytes.extend(4_u16.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(LISTEN.to_ne_bytes());
    bytes
}

/// The event inside a message, from its kind on.
fn body(message: &[u8]) -> Option<&[u8]> {
    let connector = message.get(HEADER..)?;
    let ours = word(connector, 0)? == CN_PROC && word(connector, 4)? == CN_PROC;
    connector.get(CONNECTOR..).filter(|_| ours)
}

/// The status in the kernel's answer to the request.
fn confirmation(message: &[u8]) -> Option<u32> {
    let body = body(message)?;
    if word(body, 0)? == 0 { word(body, DATA) } else { None }
}

fn event(message: &[u8]) -> Option<ProcessEvent> {
    const FORK: u32 = 1;
    const EXEC: u32 = 2;
    const NAME: u32 = 0x200;
    const EXIT: u32 = 0x8000_0000;
    let body = body(message)?;
    let id = |at: usize| word(body, DATA + at).map(u32::cast_signed);
    let (thread, process) = (id(0)?, id(4)?);
    match word(body, 0)? {
        FORK => {
            let (thread, child) = (id(8)?, id(12)?);
            (thread == child).then_some(ProcessEvent::Fork { parent: process, child })
        }
        _ if thread != process => None,
        EXEC => Some(ProcessEvent::Exec(process)),
        NAME => {
            let name = body.get(DATA + 8..)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            Some(ProcessEvent::Name(process, String::from_utf8_lossy(name).into_owned()))
        }
        EXIT => Some(ProcessEvent::Exit(process)),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with an event of this kind and these numbers.
    fn message(kind: u32, numbers: &[u32]) -> Vec<u8> {
        let mut bytes = listen();
        bytes.truncate(HEADER + CONNECTOR);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 12]);
        bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        bytes
    }

    #[test]
    fn events_of_processes_are_read_and_those_of_threads_are_not() {
        assert_eq!(event(&message(1, &[7, 7, 9, 9])), Some(ProcessEvent::Fork { parent: 7, child: 9 }));
        assert_eq!(event(&message(1, &[7, 7, 9, 7])), None);
        assert_eq!(event(&message(2, &[9, 9])), Some(ProcessEvent::Exec(9)));
        assert_eq!(event(&message(0x8000_0000, &[9, 9, 0, 17])), Some(ProcessEvent::Exit(9)));
        assert_eq!(event(&message(0x8000_0000, &[10, 9, 0, 17])), None);
        let mut named = message(0x200, &[9, 9]);
        named.extend(b"nginx\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(event(&named), Some(ProcessEvent::Name(9, "nginx".to_owned())));
        assert_eq!(event(&named[..40]), None);
    }

    #[test]
    fn the_answer_to_the_request_tells_a_refusal() {
        assert_eq!(confirmation(&message(0, &[1, 0])), Some(1));
        assert_eq!(confirmation(&message(0, &[0, 0])), Some(0));
        assert_eq!(confirmation(&message(2, &[9, 9])), None);
    }
}
