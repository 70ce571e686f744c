//! Captures the lab's packets: adverts and announcements, on a host that runs no daemon.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

use crate::net::Host;

/// A frame that matters to VRRP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An advert: who sent it, its priority, and its bytes from the IP header on.
    Advert(Ipv4Addr, u8, Vec<u8>),
    /// A gratuitous ARP: the sender's Ethernet address, and what it announces.
    Announcement([u8; 6], Ipv4Addr),
}

/// Frames with the time each was heard.
type Heard = Arc<Mutex<Vec<(Instant, Frame)>>>;

/// A host's ear on the wire.
#[derive(Debug)]
pub struct Sniffer {
    heard: Heard,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sniffer {
    /// Listens on every link of the host from now on.
    pub fn open(host: &Host) -> io::Result<Self> {
        let (heard, stop) = (Heard::default(), Arc::new(AtomicBool::new(false)));
        let (kept, stopped) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = host.spawn(move || {
            // Without packet sockets nothing is captured, and the tests fail.
            let _ = listen(&kept, &stopped);
        })?;
        Ok(Self { heard, stop, thread: Some(thread) })
    }

    /// What was heard so far.
    pub fn heard(&self) -> Vec<(Instant, Frame)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first advert of `source` that `wanted` accepts, heard after `since`.
    pub fn advert(&self, source: Ipv4Addr, since: Instant, wanted: impl Fn(u8) -> bool) -> Option<(Instant, u8)> {
        self.heard().into_iter().find_map(|(at, frame)| match frame {
            Frame::Advert(from, priority, _) if from == source && at >= since && wanted(priority) => {
                Some((at, priority))
            }
            _ => None,
        })
    }

    /// The last advert of `source` before `until`.
    pub fn last_advert(&self, source: Ipv4Addr, until: Instant) -> Option<Instant> {
        let of = |(at, frame): &(Instant, Frame)| matches!(frame, Frame::Advert(from, ..) if *from == source && *at <= until);
        self.heard().iter().rev().find(|one| of(one)).map(|(at, _)| *at)
    }

    /// How often `address` was announced after `since`.
    pub fn announcements(&self, address: Ipv4Addr, since: Instant) -> usize {
        let of = |(at, frame): &(Instant, Frame)| {
            *at >= since && matches!(frame, Frame::Announcement(_, announced) if *announced == address)
        };
        self.heard().iter().filter(|one| of(one)).count()
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(heard: &Heard, stop: &AtomicBool) -> io::Result<()> {
    let sniffer = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&sniffer, sockopt::ReceiveTimeout, &TimeVal::new(0, 20_000))?;
    let mut bytes = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let Ok(length) = recv(sniffer.as_raw_fd(), &mut bytes, MsgFlags::empty()) else {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        };
        if let Some(frame) = bytes.get(..length).and_then(read) {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), frame));
        }
    }
    Ok(())
}

fn read(frame: &[u8]) -> Option<Frame> {
    let ip = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
    match (frame.get(12..14)?, frame.get(14..)?) {
        ([8, 0], packet) if packet.get(9) == Some(&112) => {
            let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            Some(Frame::Advert(ip(packet.get(12..16)?)?, *packet.get(22)?, packet.get(..total)?.to_vec()))
        }
        ([8, 6], packet) if packet.get(14..18) == packet.get(24..28) => {
            Some(Frame::Announcement(packet.get(8..14)?.try_into().ok()?, ip(packet.get(14..18)?)?))
        }
        _ => None,
    }
}
