//! How much a task may read and write before the others have their turn.
//!
//! A task that always finds its sockets ready would otherwise run for as long as its peers keep up. Each run of a task
//! has so many calls and bytes in each direction; [`poll_proceed`] is pending once they are used up, and wakes the task
//! after the runtime has run the other tasks and looked at its sockets and timers. Input and output are counted apart: what
//! a task has read it may write in the same run. Outside of a task nothing is counted.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll};

/// Bytes a task moves each way in a run.
const BYTES: usize = 128 << 10;
/// Calls a task makes each way in a run.
const CALLS: u32 = 32;

/// A direction, seen from the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It reads.
    Input,
    /// It writes.
    Output,
}

thread_local! {
    static LEFT: [Cell<(u32, usize)>; 2] = const { [const { Cell::new((u32::MAX, usize::MAX)) }; 2] };
}

fn all(left: (u32, usize)) {
    LEFT.with(|ways| ways.iter().for_each(|way| way.set(left)));
}

/// Runs `poll` with a fresh budget.
pub fn with_fresh<T>(poll: impl FnOnce() -> T) -> T {
    all((CALLS, BYTES));
    let outcome = poll();
    all((u32::MAX, usize::MAX));
    outcome
}

/// Whether the running task may make another call.
pub fn is_left(direction: Direction) -> bool {
    let (calls, bytes) = LEFT.with(|[input, output]| match direction {
        Direction::Input => input.get(),
        Direction::Output => output.get(),
    });
    calls > 0 && bytes > 0
}

/// Counts a call that moved so many bytes.
pub fn spend(direction: Direction, count: usize) {
    LEFT.with(|[input, output]| {
        let left = match direction {
            Direction::Input => input,
            Direction::Output => output,
        };
        let (calls, bytes) = left.get();
        left.set((calls.saturating_sub(1), bytes.saturating_sub(count)));
    });
}

/// Ready while something is left; otherwise the task is woken after the others.
pub fn poll_proceed(direction: Direction, cx: &mut Context<'_>) -> Poll<()> {
    if is_left(direction) {
        return Poll::Ready(());
    }
    // The runtime wakes what yields behind its next look at sockets and timers.
    let waits = pin!(tokio::task::yield_now());
    waits.poll(cx)
}

#[cfg(test)]
mod tests {
    use super::{CALLS, Direction, is_left, poll_proceed, spend, with_fresh};
    use std::task::{Context, Waker};

    #[test]
    fn a_task_waits_after_its_calls_or_bytes_are_used_up() {
        let mut cx = Context::from_waker(Waker::noop());
        with_fresh(|| {
            for _ in 0..CALLS {
                assert!(poll_proceed(Direction::Input, &mut cx).is_ready());
                spend(Direction::Input, 1);
            }
            assert!(!is_left(Direction::Input) && poll_proceed(Direction::Input, &mut cx).is_pending());
        });
        with_fresh(|| {
            spend(Direction::Input, super::BYTES);
            assert!(poll_proceed(Direction::Input, &mut cx).is_pending());
            assert!(is_left(Direction::Output), "what was read may be written");
            spend(Direction::Output, super::BYTES);
            assert!(poll_proceed(Direction::Output, &mut cx).is_pending());
        });
        assert!(poll_proceed(Direction::Input, &mut cx).is_ready());
    }
}
