//! An event loop's sockets: which are ready, and who waits for them.
//!
//! The loop has an epoll of its own, inside the one its runtime sleeps on. A socket enters it when somebody first has to
//! wait for it, and leaves by being closed; who waits is woken without a lock. While there is work, the loop waits for more
//! in its own epoll, one call for each batch; the runtime's, with its timers and signals, has its turn once a millisecond.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The two things a socket can be ready for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Reading: bytes, an end, or an error.
    Read,
    /// Writing: room, or an error.
    Write,
}

impl Way {
    /// Its bit while it is ready.
    const fn ready(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
        }
    }

    /// Its bit once it is ready for good: an end or an error is not used up by looking at it.
    const fn ended(self) -> u8 {
        self.ready() << 2
    }
}

/// What the kernel is asked about a socket.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Asked {
    /// Nothing: nobody has waited for it yet.
    #[default]
    Nothing,
    /// Reading.
    Read,
    /// Reading and writing.
    Both,
}

/// What is known of one socket.
#[derive(Default)]
struct Slot {
    /// Tells it from an earlier socket in the same slot.
    generation: u32,
    ready: u8,
    asked: Asked,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;
/// How long the runtime's own timers and descriptors may wait while there is work.
const ASIDE: Duration = Duration::from_millis(1);

/// What the kernel is asked to report of a socket: its edges.
fn interest(key: usize, generation: u32, asked: Asked) -> EpollEvent {
    let mut flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    flags.set(EpollFlags::EPOLLOUT, asked == Asked::Both);
    EpollEvent::new(flags, u64::from(generation) << 32 | key as u64)
}

/// The sockets of a loop.
pub struct Reactor {
    epoll: Epoll,
    slots: RefCell<Slab<Slot>>,
    generations: std::cell::Cell<u32>,
}

impl Reactor {
    /// A reactor without sockets.
    ///
    /// # Errors
    /// What `epoll_create1(2)` said.
    pub fn new() -> io::Result<Rc<Self>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Rc::new(Self { epoll, slots: RefCell::default(), generations: std::cell::Cell::new(0) }))
    }

    /// Takes a descriptor in. What it is not known to be ready for is waited for; what it is taken to be ready for, a call
    /// may still find otherwise. It must be closed, or given to [`Source::leave`], when the result is dropped.
    pub fn enter(self: &Rc<Self>, readable: bool, writable: bool) -> Source {
        let generation = self.generations.get().wrapping_add(1);
        self.generations.set(generation);
        let ready = if readable { Way::Read.ready() } else { 0 } | if writable { Way::Write.ready() } else { 0 };
        let key = self.slots.borrow_mut().insert(Slot { generation, ready, ..Slot::default() });
        Source { reactor: self.clone(), key: key as u32 }
    }

    /// Takes a descriptor in whose edges of reading are reported from now on.
    ///
    /// # Errors
    /// What `epoll_ctl(2)` said.
    pub fn watch(self: &Rc<Self>, fd: &impl AsFd) -> io::Result<Source> {
        let source = self.enter(false, true);
        if let Some(slot) = self.slots.borrow_mut().get_mut(source.key as usize) {
            slot.asked = Asked::Read;
            self.epoll.add(fd, interest(source.key as usize, slot.generation, Asked::Read))?;
        }
        Ok(source)
    }

    /// Asks the kernel to report a socket's edges. One that cannot be watched is ended: nobody would be woken for it.
    fn ask(&self, fd: &impl AsFd, key: usize, slot: &mut Slot, asked: Asked) {
        let before = std::mem::replace(&mut slot.asked, asked);
        let mut event = interest(key, slot.generation, asked);
        let outcome = match before {
            Asked::Nothing => self.epoll.add(fd, event),
            Asked::Read | Asked::Both => self.epoll.modify(fd, &mut event),
        };
        if outcome.is_err() {
            let _ = nix::sys::socket::shutdown(fd.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Both);
            slot.ready |= Way::Read.ended() | Way::Write.ended();
        }
    }

    /// Wakes who waits for what the kernel reports, until the task is dropped; `rest` runs before each look. `polls` counts
    /// the times tasks of this loop were run, this one among them: when a round of the runtime ran no other, none is due.
    ///
    /// # Errors
    /// When the runtime cannot watch the epoll, or it fails.
    pub async fn run(&self, rest: impl Fn(), polls: impl Fn() -> u64) -> io::Result<()> {
        let outer = crate::sys::socket::watch(self.epoll.0.try_clone()?)?;
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut since = Instant::now();
        let mut waits = false;
        loop {
            rest();
            let timeout = if waits { EpollTimeout::from(1_u8) } else { EpollTimeout::ZERO };
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            for event in events.iter().take(count) {
                self.tell(event);
            }
            if count == 0 || since.elapsed() >= ASIDE {
                // What comes from here on is an edge of the outer epoll.
                poll_fn(|cx| match outer.poll_read_ready(cx) {
                    Poll::Ready(Ok(mut guard)) => {
                        guard.clear_ready();
                        Poll::Ready(Ok(()))
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                })
                .await?;
                since = Instant::now();
                waits = false;
                continue;
            }
            loop {
                let before = polls();
                behind_others().await;
                if polls() <= before + 1 {
                    break;
                }
            }
            waits = true;
        }
    }

    fn tell(&self, event: &EpollEvent) {
        let (key, generation) = (event.data() as u32 as usize, (event.data() >> 32) as u32);
        let flags = event.events();
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(key).filter(|slot| slot.generation == generation) else { return };
        let failed = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        if failed || flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP) {
            slot.ready |= Way::Read.ready();
            if failed || flags.contains(EpollFlags::EPOLLRDHUP) {
                slot.ready |= Way::Read.ended();
            }
            if let Some(reader) = &slot.reader {
                reader.wake_by_ref();
            }
        }
        if failed || flags.contains(EpollFlags::EPOLLOUT) {
            slot.ready |= Way::Write.ready();
            if failed {
                slot.ready |= Way::Write.ended();
            }
            if let Some(writer) = &slot.writer {
                writer.wake_by_ref();
            }
        }
    }
}

/// Lets every task run that is due.
async fn behind_others() {
    let mut queued = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut queued, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A socket's place in the reactor.
pub struct Source {
    reactor: Rc<Reactor>,
    key: u32,
}

impl Source {
    /// Whether it is ready, as far as is known without asking.
    pub fn is_ready(&self, way: Way) -> bool {
        let slots = self.reactor.slots.borrow();
        slots.get(self.key as usize).is_some_and(|slot| slot.ready & (way.ready() | way.ended()) != 0)
    }

    /// Ready when it is; else the task is woken when `fd`, which is the source's, becomes so.
    pub fn poll(&self, fd: &impl AsFd, way: Way, cx: &Context<'_>) -> Poll<()> {
        let mut slots = self.reactor.slots.borrow_mut();
        let Some(slot) = slots.get_mut(self.key as usize) else { return Poll::Ready(()) };
        if slot.ready & (way.ready() | way.ended()) == 0 {
            let asked = if way == Way::Write { Asked::Both } else { Asked::Read };
            if slot.asked == Asked::Nothing || way == Way::Write && slot.asked == Asked::Read {
                self.reactor.ask(fd, self.key as usize, slot, asked);
            }
        }
        if slot.ready & (way.ready() | way.ended()) != 0 {
            return Poll::Ready(());
        }
        let waits = match way {
            Way::Read => &mut slot.reader,
            Way::Write => &mut slot.writer,
        };
        match waits {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waits = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The last read found nothing, or used up what there was.
    pub fn drained(&self) {
        if let Some(slot) = self.reactor.slots.borrow_mut().get_mut(self.key as usize) {
            slot.ready &= !Way::Read.ready();
        }
    }

    /// The last write found no room.
    pub fn filled(&self) {
        if let Some(slot) = self.reactor.slots.borrow_mut().get_mut(self.key as usize) {
            slot.ready &= !Way::Write.ready();
        }
    }

    /// Takes a descriptor out whose socket others have open too, so that closing it is not enough.
    pub fn leave(&self, fd: &impl AsFd) {
        let _ = self.reactor.epoll.delete(fd);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let gone = self.reactor.slots.borrow_mut().try_remove(self.key as usize);
        // Outside the borrow: a waker's drop may drop the last handle of a task.
        drop(gone);
    }
}
