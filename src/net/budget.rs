//! How much a task may read and write before the others have their turn.
//!
//! A task that always finds its sockets ready would otherwise run for as long as its peers keep up. Each run of a task
//! has so many calls and bytes; [`poll_proceed`] is pending once they are used up, and wakes the task after the runtime
//! has run the other tasks and looked at its sockets and timers. Outside of a task nothing is counted.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll};

/// Bytes a task moves in a run.
const BYTES: usize = 128 << 10;
/// Calls a task makes in a run.
const CALLS: u32 = 32;

thread_local! {
    static LEFT: Cell<(u32, usize)> = const { Cell::new((u32::MAX, usize::MAX)) };
}

/// Runs `poll` with a fresh budget.
pub fn with_fresh<T>(poll: impl FnOnce() -> T) -> T {
    LEFT.set((CALLS, BYTES));
    let outcome = poll();
    LEFT.set((u32::MAX, usize::MAX));
    outcome
}

/// Whether the running task may make another call.
pub fn is_left() -> bool {
    let (calls, bytes) = LEFT.get();
    calls > 0 && bytes > 0
}

/// Counts a call that moved so many bytes.
pub fn spend(count: usize) {
    let (calls, bytes) = LEFT.get();
    LEFT.set((calls.saturating_sub(1), bytes.saturating_sub(count)));
}

/// Ready while something is left; otherwise the task is woken after the others.
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if is_left() {
        return Poll::Ready(());
    }
    // The runtime wakes what yields behind its next look at sockets and timers.
    let waits = pin!(tokio::task::yield_now());
    waits.poll(cx)
}

#[cfg(test)]
mod tests {
    use super::{CALLS, is_left, poll_proceed, spend, with_fresh};
    use std::task::{Context, Waker};

    #[test]
    fn a_task_waits_after_its_calls_or_bytes_are_used_up() {
        let mut cx = Context::from_waker(Waker::noop());
        with_fresh(|| {
            for _ in 0..CALLS {
                assert!(poll_proceed(&mut cx).is_ready());
                spend(1);
            }
            assert!(!is_left() && poll_proceed(&mut cx).is_pending());
        });
        with_fresh(|| {
            spend(super::BYTES);
            assert!(poll_proceed(&mut cx).is_pending());
        });
        assert!(poll_proceed(&mut cx).is_ready());
    }
}
