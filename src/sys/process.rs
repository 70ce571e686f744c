//! Processes: forking, leaving the terminal, names, and what a child of ours is born with.

use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Gid, Pid, Uid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that called; the new process's id.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Whether this is the only thread of the process. Others can only be started by itself, so that stays true while it runs.
fn is_only_thread() -> bool {
    match stat() {
        Some(fields) => fields.get(THREADS).is_some_and(|count| count == "1"),
        // Without /proc: of a process with several threads the kernel refuses this, for one with a single thread it does
        // nothing.
        None => nix::sched::unshare(nix::sched::CloneFlags::CLONE_THREAD).is_ok(),
    }
}

/// The fields of proc(5)'s stat behind the name, which may hold anything.
fn stat() -> Option<Vec<String>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The place of num_threads in [`stat`].
const THREADS: usize = 17;
/// The place of arg_start in [`stat`]; arg_end, env_start and env_end follow.
const ARGUMENTS: usize = 45;

/// Makes a second process of this one, which must have a single thread.
///
/// # Errors
/// What fork(2) said, or that there are more threads.
#[expect(unsafe_code, reason = "fork has no safe form")]
pub fn fork() -> io::Result<Side> {
    if !is_only_thread() {
        return Err(io::Error::other("the process has several threads"));
    }
    // SAFETY: there is one thread, so no lock is held by a thread the child lacks.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Gives memory that is no longer used back to the system: what was read once need not stay for good.
#[expect(unsafe_code, reason = "malloc_trim has no safe form")]
pub fn trim_memory() {
    // SAFETY: the call takes a number and touches only what the allocator has free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What [`daemonise`] leaves behind.
#[derive(Debug)]
pub enum Daemon {
    /// The process the shell or the service manager waits for; it ends with this code.
    Starter(u8),
    /// The daemon itself; it tells the starter when it is ready.
    Daemon(Ready),
}

/// Lets the starter go. Dropped unused, it makes the starter fail.
#[derive(Debug)]
pub struct Ready(Option<OwnedFd>);

impl Ready {
    /// A daemon that has no starter.
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// The daemon is up (code 0) or will not come up.
    pub fn tell(self, code: u8) {
        if let Some(pipe) = self.0 {
            // A starter that was killed meanwhile is nobody's concern.
            let _ = File::from(pipe).write_all(&[code]);
        }
    }
}

/// Leaves terminal and session. The starter waits until the daemon says it is ready (`Type=forking` needs the pid file
/// to be there when the starter ends).
///
/// # Errors
/// What pipe(2), fork(2) or setsid(2) said.
pub fn daemonise() -> io::Result<Daemon> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    if let Side::Parent(_) = fork()? {
        drop(writer);
        let mut code = [1];
        // No byte means that the daemon ended before it was ready.
        let told = File::from(reader).read_exact(&mut code).is_ok();
        return Ok(Daemon::Starter(if told { code[0] } else { 1 }));
    }
    drop(reader);
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    Ok(Daemon::Daemon(Ready(Some(writer))))
}

/// Points standard input, output and error to /dev/null.
///
/// # Errors
/// What open(2) or dup2(2) said.
pub fn silence() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(null.as_fd())?;
    nix::unistd::dup2_stdout(null.as_fd())?;
    nix::unistd::dup2_stderr(null.as_fd())?;
    Ok(())
}

/// Names the process for ps(1) and pidof(8).
pub fn rename(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        // A kernel that refuses leaves the old name, which works as well.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Gets `signal` when the parent dies.
///
/// # Errors
/// What prctl(2) said.
pub fn die_with_parent(signal: Signal) -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(signal)?)
}

/// Makes `command` lead a process group of its own and get `signal` when this process dies.
#[expect(unsafe_code, reason = "pre_exec has no safe form")]
pub fn on_its_own(command: &mut Command, signal: Signal) {
    command.process_group(0);
    // SAFETY: prctl is async-signal-safe and touches nothing of this process.
    unsafe {
        command.pre_exec(move || die_with_parent(signal));
    }
}

/// Sets the scheduler's niceness.
///
/// # Errors
/// What setpriority(2) said.
#[expect(unsafe_code, reason = "nix has no setpriority")]
pub fn nice(value: i32) -> io::Result<()> {
    // SAFETY: the call takes three integers.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes a real-time priority (`SCHED_RR`), not handed on to children.
///
/// # Errors
/// What `sched_setscheduler(2)` said.
#[expect(unsafe_code, reason = "nix has no sched_setscheduler")]
pub fn realtime(priority: i32) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a live local, and the kernel copies what it points to.
    let outcome =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const parameter) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Goes back to ordinary scheduling.
///
/// # Errors
/// What `sched_setscheduler(2)` said.
#[expect(unsafe_code, reason = "nix has no sched_setscheduler")]
pub fn ordinary() -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live local, and the kernel copies what it points to.
    let outcome = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameter) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes a variable out of the environment, so that programs started from now on do not get it. A process with several
/// threads has none to take.
#[expect(unsafe_code, reason = "the environment is shared by all threads")]
pub fn take_variable(name: &str) -> Option<std::ffi::OsString> {
    if !is_only_thread() {
        return None;
    }
    let value = std::env::var_os(name)?;
    // SAFETY: there is one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(name) };
    Some(value)
}

/// Makes `command` start as a user and a group, with these supplementary groups.
#[expect(unsafe_code, reason = "pre_exec has no safe form")]
pub fn with_groups(command: &mut Command, (uid, gid): (u32, u32), groups: &[u32]) {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    // SAFETY: the three calls are async-signal-safe, and the list was made before the fork.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setgroups(&groups)?;
            nix::unistd::setgid(Gid::from_raw(gid))?;
            Ok(nix::unistd::setuid(Uid::from_raw(uid))?)
        });
    }
}

/// Makes `command` start with no signal blocked.
#[expect(unsafe_code, reason = "pre_exec has no safe form")]
pub fn unblocked(command: &mut Command) {
    // SAFETY: sigprocmask is async-signal-safe and works on a local set.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::signal::SigSet::all().thread_unblock()?));
    }
}

/// Keeps the process's capabilities permitted when it becomes another user (`PR_SET_KEEPCAPS`).
///
/// # Errors
/// What prctl(2) said.
#[expect(unsafe_code, reason = "prctl has no safe form")]
pub fn keep_capabilities() -> io::Result<()> {
    // SAFETY: the call takes integers.
    let outcome = unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The capability that transparent sockets need (capabilities(7)).
const CAP_NET_RAW: u32 = 13;
/// The version of the structures below that has 32 bits.
const CAPABILITY_VERSION_1: u32 = 0x1998_0330;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
struct CapabilitySets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all capabilities but CAP_NET_RAW, which takes effect. Threads that are started from now on have the same.
///
/// # Errors
/// What capset(2) said.
#[expect(unsafe_code, reason = "capset has no wrapper")]
pub fn only_net_raw() -> io::Result<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION_1, pid: 0 };
    let sets = CapabilitySets { effective: 1 << CAP_NET_RAW, permitted: 1 << CAP_NET_RAW, inheritable: 0 };
    // SAFETY: the kernel reads both structures, which live over the call and have the layout of the version.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), std::ptr::from_ref(&sets)) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a signal by its number, real-time ones included.
///
/// # Errors
/// What kill(2) said.
#[expect(unsafe_code, reason = "nix's kill knows no real-time signals")]
pub fn signal(pid: Pid, number: i32) -> io::Result<()> {
    // SAFETY: the call takes two integers.
    if unsafe { libc::kill(pid.as_raw(), number) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The memory that ps(1) shows as this process's command line.
#[derive(Debug, Default)]
pub struct Title {
    start: usize,
    length: usize,
}

/// Whether the memory has its [`Title`].
static TAKEN: AtomicBool = AtomicBool::new(false);

impl Title {
    /// Finds the memory of arguments and environment and moves the environment elsewhere. The title stays what it is where
    /// it cannot be found, where the process has several threads, and from the second call on.
    #[expect(unsafe_code, reason = "the environment is moved, as setproctitle does")]
    pub fn take() -> Self {
        if !is_only_thread() || TAKEN.swap(true, Ordering::Relaxed) {
            return Self::default();
        }
        let Some((arguments, environment)) = places() else { return Self::default() };
        // The library cannot set a name that begins with `=`; nobody asks for one.
        let named = std::env::vars_os().filter(|(name, _)| !name.as_encoded_bytes().contains(&b'='));
        for (name, value) in named.collect::<Vec<_>>() {
            // SAFETY: there is one thread, so nobody reads the environment meanwhile.
            unsafe {
                // The same value would be kept where it is.
                std::env::remove_var(&name);
                std::env::set_var(&name, &value);
            }
        }
        let end = if environment.start == arguments.end { environment.end } else { arguments.end };
        Self { start: arguments.start, length: end - arguments.start }
    }

    /// Sets what ps(1) shows, as far as there is room.
    #[expect(unsafe_code, reason = "the kernel shows the memory the process was started with")]
    pub fn set(&mut self, text: &str) {
        let Some(room) = self.length.checked_sub(1) else { return };
        let shown = text.as_bytes().get(..text.len().min(room)).unwrap_or_default();
        let start = std::ptr::with_exposed_provenance_mut::<u8>(self.start);
        // SAFETY: the kernel says that arguments and environment lie here, in writable memory of this process. Only this
        // value uses it: the standard library copied the arguments, `take` moved the environment, and there is one `Title`.
        unsafe {
            std::ptr::write_bytes(start, 0, self.length);
            std::ptr::copy_nonoverlapping(shown.as_ptr(), start, shown.len());
        }
    }
}

/// Where arguments and environment lie: `arg_start` to `env_end` of proc(5)'s stat.
fn places() -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let fields = stat()?;
    let mut fields = fields.iter().skip(ARGUMENTS).map(|field| field.parse::<usize>());
    let mut next = || fields.next()?.ok().filter(|place| *place > 0);
    let (arguments, environment) = (next()?..next()?, next()?..next()?);
    (arguments.start < arguments.end && environment.start <= environment.end).then_some((arguments, environment))
}

#[cfg(test)]
mod tests;
