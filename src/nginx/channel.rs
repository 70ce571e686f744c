//! The line between parent and worker: bundles down, verdicts up, over a pair of local sockets.

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socketpair};
use std::fs::File;
use std::io::{self, IoSlice, Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

/// Descriptors in one message.
const BATCH: usize = 200;

/// One end.
pub struct Channel(pub OwnedFd);

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first message of a bundle: the memory file, and how many descriptors follow.
    Bundle,
    /// Descriptors of a bundle.
    Descriptors,
    /// A verdict: empty when the bundle is at work, else why not.
    Verdict,
}

const fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Bundle => b'B',
        Kind::Descriptors => b'D',
        Kind::Verdict => b'V',
    }
}

/// A message that was received.
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: Vec<u8>,
    /// Its descriptors.
    pub descriptors: Vec<OwnedFd>,
}

/// Both ends of a new line.
///
/// # Errors
/// What socketpair(2) said.
pub fn pair() -> io::Result<(Channel, Channel)> {
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((Channel(a), Channel(b)))
}

impl Channel {
    fn send(&self, kind: Kind, text: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
        let head = [code(kind)];
        let parts = [IoSlice::new(&head), IoSlice::new(text)];
        let rights = [ControlMessage::ScmRights(descriptors)];
        let control: &[ControlMessage<'_>] = if descriptors.is_empty() { &[] } else { &rights };
        sendmsg::<UnixAddr>(self.0.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    /// Sends a bundle's bytes and its descriptors.
    ///
    /// # Errors
    /// What the system said.
    pub fn send_bundle(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let memory = memfd_create(c"bundle", MFdFlags::MFD_CLOEXEC)?;
        let mut file = File::from(memory);
        file.write_all(bytes)?;
        let count = (descriptors.len() as u64).to_le_bytes();
        self.send(Kind::Bundle, &count, &[file.as_raw_fd()])?;
        let raw: Vec<RawFd> = descriptors.iter().map(|fd| fd.as_raw_fd()).collect();
        for batch in raw.chunks(BATCH) {
            self.send(Kind::Descriptors, b"", batch)?;
        }
        Ok(())
    }

    /// Reports to the parent whether its bundle was taken.
    ///
    /// # Errors
    /// What the system said.
    pub fn send_verdict(&self, text: &str) -> io::Result<()> {
        let bytes = text.as_bytes();
        self.send(Kind::Verdict, bytes.get(..bytes.len().min(60_000)).unwrap_or_default(), &[])
    }

    /// The next message; `WouldBlock` when there is none on a line that does not wait, nothing at its end.
    ///
    /// # Errors
    /// What the system said.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut buffer = vec![0; 65_536];
        let (length, descriptors) = crate::sys::socket::receive(&self.0, &mut buffer)?;
        let kind = match buffer.first() {
            Some(b'B') => Kind::Bundle,
            Some(b'D') => Kind::Descriptors,
            Some(b'V') => Kind::Verdict,
            _ => return Ok(None),
        };
        if length == 0 {
            return Ok(None);
        }
        let text = buffer.get(1..length).unwrap_or_default().to_vec();
        Ok(Some(Message { kind, text, descriptors }))
    }
}

/// The bytes of a bundle's memory file.
///
/// # Errors
/// What the system said.
pub fn contents(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(file);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
