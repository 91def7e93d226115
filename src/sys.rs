//! The operating system: what std has no call for, each behind a small safe function.
//!
//! The only file that names libc, and, but for the wiping of memory, the only one with unsafe code.

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use crate::secret::Secret;

/// Standard output.
pub const STDOUT: RawFd = 1;
/// Standard error.
pub const STDERR: RawFd = 2;

/// The name of this host; empty when it cannot be had.
pub fn host_name() -> OsString {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is as long as is said, and its last byte stays zero.
    let status = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    OsString::from_vec(if status == 0 {
        name.to_bytes().to_vec()
    } else {
        Vec::new()
    })
}

/// Turns a `main`'s arguments into strings, the program's own name left out.
///
/// # Safety
/// `argv` must hold `argc` pointers to strings that end in NUL, as the C runtime hands them over.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    (1..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: index is below argc, so the caller's promise covers both the pointer and the string.
            let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
            OsString::from_vec(argument.to_bytes().to_vec())
        })
        .collect()
}

/// Fills closed standard descriptors with ones on which every use fails, so that no file opened later can be mistaken
/// for standard output. They close again at exec.
pub fn fill_standard_streams() {
    let mut fds = [0, 1, 2].map(|fd| libc::pollfd {
        fd,
        events: 0,
        revents: 0,
    });
    // SAFETY: fds is an array of three.
    unsafe { libc::poll(fds.as_mut_ptr(), 3, 0) };
    for entry in fds {
        if entry.revents & libc::POLLNVAL != 0 {
            // Opened the wrong way round: reading standard input and writing standard output give EBADF.
            let access = if entry.fd == 0 {
                libc::O_WRONLY
            } else {
                libc::O_RDONLY
            };
            // SAFETY: the path is a C string; the lowest free descriptor is the one that is closed.
            unsafe { libc::open(c"/dev/null".as_ptr(), access | libc::O_CLOEXEC) };
        }
    }
}

/// Forbids core files and debuggers from now on: this process is about to hold a secret. [`restore_core_limit`] takes
/// the limit back for a program that is started in our place; exec itself makes that program dumpable again.
pub fn protect_memory() {
    // SAFETY: plain numbers.
    #[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    change_core_limit(|limit| {
        let _ = CORE_LIMIT.set(limit.rlim_cur);
        limit.rlim_cur = 0;
    });
}

/// Puts back the core file limit that [`protect_memory`] found.
pub fn restore_core_limit() {
    if let Some(&found) = CORE_LIMIT.get() {
        change_core_limit(|limit| limit.rlim_cur = found);
    }
}

/// The soft limit on core files that the process was started with.
static CORE_LIMIT: OnceLock<libc::rlim_t> = OnceLock::new();

fn change_core_limit(change: impl FnOnce(&mut libc::rlimit)) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls are given a valid structure, and lowering or restoring a soft limit is always allowed.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) == 0 {
            let before = limit.rlim_cur;
            change(&mut limit);
            if limit.rlim_cur != before {
                libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
            }
        }
    }
}

/// The environment variable `name`; an empty one counts as not given.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: RawFd) -> bool {
    // SAFETY: isatty takes any number.
    unsafe { libc::isatty(fd) == 1 }
}

/// The path of the terminal that `fd` is, if it is one.
pub fn terminal_path(fd: RawFd) -> Option<OsString> {
    let mut path = [0_u8; 256];
    // SAFETY: the buffer is as long as is said.
    let status = unsafe { libc::ttyname_r(fd, path.as_mut_ptr().cast(), path.len()) };
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    (status == 0).then(|| OsString::from_vec(path.to_bytes().to_vec()))
}

/// Writes all of `parts`, one after the other, with one call where the kernel takes all of it at once. Nothing is
/// buffered, so no copy of a secret stays behind.
///
/// # Errors
/// What `writev` says; interrupted calls are tried again, unless a watched signal ends us. A pipe that does not wait (some
/// parents leave theirs so) is waited for.
pub fn write_all(fd: RawFd, parts: &[&[u8]]) -> io::Result<()> {
    let mut left: Vec<&[u8]> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    while !left.is_empty() {
        let slices: Vec<libc::iovec> = left
            .iter()
            .take(16)
            .map(|part| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            })
            .collect();
        // SAFETY: the slices point at live memory, which writev only reads; there are at most 16 of them.
        let written = unsafe { libc::writev(fd, slices.as_ptr(), slices.len() as c_int) };
        match usize::try_from(written) {
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    _ if signalled().is_some() => return Err(io::ErrorKind::Interrupted.into()),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        // SAFETY: whose descriptor it is does not change while it is written to.
                        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
                        wait(fd, Until::Writable, true, None)?;
                    }
                    _ => return Err(error),
                }
            }
            Ok(mut written) => {
                while let Some(part) = left.first_mut() {
                    let step = written.min(part.len());
                    *part = &part[step..];
                    written -= step;
                    if !part.is_empty() {
                        break;
                    }
                    left.remove(0);
                }
            }
        }
    }
    Ok(())
}

/// Waits until one of `fds` can be read or has been hung up, `timeout` is over, or a watched signal has come; says
/// which can be read. `None` among `fds` is passed over.
///
/// # Errors
/// What `poll` says, but for an interruption, which counts as nothing to read.
pub fn wait_readable<const N: usize>(
    fds: [Option<BorrowedFd>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut entries: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd {
            fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    entries.push(libc::pollfd {
        fd: WAKE_READ.load(Ordering::Relaxed),
        events: libc::POLLIN,
        revents: 0,
    });
    poll(&mut entries, timeout)?;
    Ok(std::array::from_fn(|index| entries[index].revents != 0))
}

/// What a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// There is something to read, or it has been hung up.
    Readable,
    /// Something can be written, or it has been made, or cannot be.
    Writable,
}

/// Waits until `fd` is ready or `timeout` is over; says whether it is ready. With `wakeful`, a watched signal ends the
/// wait, and every further one at once.
///
/// # Errors
/// What `poll` says, but for an interruption, which counts as not ready.
pub fn wait(
    fd: BorrowedFd,
    until: Until,
    wakeful: bool,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let entry = |fd, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let events = match until {
        Until::Readable => libc::POLLIN,
        Until::Writable => libc::POLLOUT,
    };
    let wake = if wakeful {
        WAKE_READ.load(Ordering::Relaxed)
    } else {
        -1
    };
    let mut entries = [entry(fd.as_raw_fd(), events), entry(wake, libc::POLLIN)];
    poll(&mut entries, timeout)?;
    Ok(entries[0].revents != 0)
}

/// `poll`, for at most `timeout`; an interruption counts as nothing ready.
fn poll(entries: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up, so that a wait never ends just before its deadline.
    let timeout = timeout.map_or(-1, |timeout| {
        c_int::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
    });
    // SAFETY: the pointer and the length are those of the slice.
    let count = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) };
    if count < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        for entry in entries {
            entry.revents = 0;
        }
    }
    Ok(())
}

/// Begins to connect to `address`: [`wait`] until it is writable, then ask it for its error. Nothing that is done with
/// it waits.
///
/// # Errors
/// What the system says.
pub fn start_connecting(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    // In one step where that can be had: another thread may start a child in between.
    #[cfg(not(target_vendor = "apple"))]
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    #[cfg(target_vendor = "apple")]
    let kind = libc::SOCK_STREAM;
    // SAFETY: plain numbers; a descriptor that is not negative is ours to own.
    let socket: OwnedFd = unsafe {
        let fd = libc::socket(family, kind, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        #[cfg(target_vendor = "apple")]
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        std::os::fd::FromRawFd::from_raw_fd(fd)
    };
    // A peer that has gone is an error, never SIGPIPE; elsewhere std sees to that at every write.
    #[cfg(target_vendor = "apple")]
    // SAFETY: the pointer and the size are those of the number.
    unsafe {
        let on: c_int = 1;
        let size = size_of_val(&on) as libc::socklen_t;
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NOSIGPIPE,
            (&raw const on).cast(),
            size,
        );
    }
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    // SAFETY: all zeros is a valid address of either kind, and the pointer and the size are those of the structure.
    let status = unsafe {
        match address {
            SocketAddr::V4(address) => {
                let mut raw: libc::sockaddr_in = std::mem::zeroed();
                raw.sin_family = family as libc::sa_family_t;
                raw.sin_port = address.port().to_be();
                raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
                let size = size_of_val(&raw) as libc::socklen_t;
                libc::connect(stream.as_raw_fd(), (&raw const raw).cast(), size)
            }
            SocketAddr::V6(address) => {
                let mut raw: libc::sockaddr_in6 = std::mem::zeroed();
                raw.sin6_family = family as libc::sa_family_t;
                raw.sin6_port = address.port().to_be();
                raw.sin6_addr.s6_addr = address.ip().octets();
                raw.sin6_scope_id = address.scope_id();
                let size = size_of_val(&raw) as libc::socklen_t;
                libc::connect(stream.as_raw_fd(), (&raw const raw).cast(), size)
            }
        }
    };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if status == 0 => Ok(stream),
        Some(libc::EINPROGRESS | libc::EINTR) => Ok(stream),
        _ => Err(error),
    }
}

/// Opens a file to read from without waiting for anyone: opening a FIFO waits for a writer otherwise.
///
/// # Errors
/// What `open` says.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// Sends some of `bytes` through a socket; a peer that has gone is an error, never SIGPIPE.
///
/// # Errors
/// What `send` says.
pub fn send(socket: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_vendor = "apple")]
    let flags = 0;
    #[cfg(not(target_vendor = "apple"))]
    let flags = libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length are those of the slice.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A terminal that does not show what is typed, for as long as this value lives. The ending signals are watched
/// ([`watch_signals`]) and left to the caller; any other signal that ends or stops the program finds the terminal
/// as it was before.
pub struct EchoOff<'a> {
    modes: Box<Modes>,
    actions: Vec<(c_int, libc::sigaction)>,
    terminal: PhantomData<BorrowedFd<'a>>,
}

struct Modes {
    terminal: RawFd,
    before: libc::termios,
    during: libc::termios,
}

/// The modes of the one [`EchoOff`] there is, for the signal handler.
static MODES: AtomicPtr<Modes> = AtomicPtr::new(std::ptr::null_mut());

/// What is not in [`ENDING`] and yet ends or stops a program, and comes from outside.
const SUSPENDING: [c_int; 7] = [
    libc::SIGTSTP,
    libc::SIGALRM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGXCPU,
];

impl EchoOff<'_> {
    /// Switches the echo off. What was typed before is thrown away.
    ///
    /// # Errors
    /// What the terminal says; `ResourceBusy` while there is another such value.
    pub fn new(terminal: BorrowedFd<'_>) -> io::Result<EchoOff<'_>> {
        watch_signals();
        // SAFETY: all zeros is a valid termios, and tcgetattr writes to a live one.
        let before = unsafe {
            let mut modes: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(terminal.as_raw_fd(), &raw mut modes) != 0 {
                return Err(io::Error::last_os_error());
            }
            modes
        };
        let mut during = before;
        during.c_lflag &= !(libc::ECHO | libc::ECHONL);
        during.c_lflag |= libc::ICANON | libc::ISIG;
        let mut modes = Box::new(Modes {
            terminal: terminal.as_raw_fd(),
            before,
            during,
        });
        let none = std::ptr::null_mut();
        let this = &raw mut *modes;
        if MODES
            .compare_exchange(none, this, Ordering::SeqCst, Ordering::SeqCst)
            .is_err()
        {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        // From here on dropping it puts everything back.
        let mut echo_off = EchoOff {
            modes,
            actions: Vec::new(),
            terminal: PhantomData,
        };
        for signal in SUSPENDING {
            // SAFETY: the calls are given valid structures, and the handler does only what a handler may.
            unsafe {
                let mut before: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, std::ptr::null(), &raw mut before) == 0
                    && before.sa_sigaction == libc::SIG_DFL
                {
                    let mut action = before;
                    action.sa_sigaction = step_aside as extern "C" fn(c_int) as libc::sighandler_t;
                    action.sa_flags = 0;
                    libc::sigaction(signal, &raw const action, std::ptr::null_mut());
                    echo_off.actions.push((signal, before));
                }
            }
        }
        set_modes(
            terminal.as_raw_fd(),
            &echo_off.modes.during,
            libc::TCSAFLUSH,
        )?;
        Ok(echo_off)
    }
}

impl Drop for EchoOff<'_> {
    fn drop(&mut self) {
        let _ = set_modes(self.modes.terminal, &self.modes.before, libc::TCSANOW);
        for (signal, action) in &self.actions {
            // SAFETY: the structure is what sigaction gave out.
            unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) };
        }
        MODES.store(std::ptr::null_mut(), Ordering::SeqCst);
    }
}

fn set_modes(terminal: RawFd, modes: &libc::termios, when: c_int) -> io::Result<()> {
    // SAFETY: the structure is a valid one.
    match unsafe { libc::tcsetattr(terminal, when, modes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The signal handler while the echo is off: puts the terminal back, and lets the signal do its work.
extern "C" fn step_aside(signal: c_int) {
    // SAFETY: the pointer is null or that of a live value, since the handler is taken off before that dies; all of
    // these calls are allowed in a handler.
    unsafe {
        let modes = MODES.load(Ordering::SeqCst).as_ref();
        if let Some(modes) = modes {
            libc::tcsetattr(modes.terminal, libc::TCSANOW, &raw const modes.before);
        }
        if signal == libc::SIGTSTP {
            libc::raise(libc::SIGSTOP);
            if let Some(modes) = modes {
                libc::tcsetattr(modes.terminal, libc::TCSANOW, &raw const modes.during);
            }
        } else {
            // Blocked until this handler returns.
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

/// Kills the process group that `leader` leads. The caller has not reaped the leader yet, so the number is still its.
pub fn kill_group(leader: u32) {
    if let Ok(leader) = libc::pid_t::try_from(leader) {
        // SAFETY: plain numbers.
        unsafe { libc::kill(-leader, libc::SIGKILL) };
    }
}

/// A descriptor that can be read once the child has ended, on systems that have such a thing (Linux 5.3, pidfd_open(2)).
pub fn end_of(child: u32) -> Option<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: plain numbers; a descriptor that is not negative is ours to own. It is closed on exec.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, child, 0);
            let fd = RawFd::try_from(fd).ok().filter(|&fd| fd >= 0)?;
            Some(std::os::fd::FromRawFd::from_raw_fd(fd))
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = child;
        None
    }
}

/// The signals that end a program and can be caught.
const ENDING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
/// The first of them that has come, or 0.
static SIGNALLED: AtomicI32 = AtomicI32::new(0);
/// A pipe that can be read once one has come, so that every thread that waits wakes up; -1 while nobody watches.
static WAKE_READ: AtomicI32 = AtomicI32::new(-1);
static WAKE_WRITE: AtomicI32 = AtomicI32::new(-1);
/// Whether SIGCHLD was ignored when the process was started.
static CHILDREN_IGNORED: AtomicBool = AtomicBool::new(false);

/// From now on a signal that would end this process is only noted ([`signalled`]), and wakes [`wait_readable`]: there
/// is something to be cleaned up first. A signal that was ignored stays ignored.
pub fn watch_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut ends = [-1; 2];
        // SAFETY: the calls are given valid structures, and the handler does only what a handler may.
        unsafe {
            if libc::pipe(ends.as_mut_ptr()) == 0 {
                for end in ends {
                    libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
                    libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
                }
                WAKE_READ.store(ends[0], Ordering::Relaxed);
                WAKE_WRITE.store(ends[1], Ordering::Relaxed);
            }
            for signal in ENDING {
                let mut action: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
                    && action.sa_sigaction == libc::SIG_DFL
                {
                    action.sa_sigaction = note as extern "C" fn(c_int) as libc::sighandler_t;
                    action.sa_flags = 0;
                    libc::sigaction(signal, &raw const action, std::ptr::null_mut());
                }
            }
            // Where SIGCHLD is ignored nobody learns how a child has ended.
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
            {
                libc::signal(libc::SIGCHLD, libc::SIG_DFL);
                CHILDREN_IGNORED.store(true, Ordering::Relaxed);
            }
        }
    });
}

/// The signal handler: stores two words and writes a byte.
extern "C" fn note(signal: c_int) {
    let _ = SIGNALLED.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
    // SAFETY: write is allowed in a handler. What it does to errno does no harm: the interrupted call fails with
    // EINTR, which is set after the handler.
    unsafe {
        libc::write(
            WAKE_WRITE.load(Ordering::Relaxed),
            [1_u8].as_ptr().cast(),
            1,
        )
    };
}

/// From now on a signal ends this process again, as it did before [`watch_signals`]; one that has come is still told
/// by [`signalled`].
pub fn unwatch_signals() {
    if CHILDREN_IGNORED.load(Ordering::Relaxed) {
        // SAFETY: plain numbers.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    }
    for signal in ENDING {
        // SAFETY: the calls are given valid structures.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut action);
            if action.sa_sigaction == note as extern "C" fn(c_int) as libc::sighandler_t {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

/// The watched signal that has come.
pub fn signalled() -> Option<c_int> {
    match SIGNALLED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// Ends this process by `signal`, as if it had never been caught, so that our parent sees what happened.
pub fn die_of(signal: c_int) {
    // SAFETY: plain numbers and a valid, zeroed signal set.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::raise(signal);
    }
}

/// Ends this process as a closed pipe does: quietly, by SIGPIPE.
pub fn die_of_closed_pipe() {
    die_of(libc::SIGPIPE);
}

/// The status with which this program ends where there is no memory.
static STATUS_WITHOUT_MEMORY: AtomicI32 = AtomicI32::new(4);

/// Says with which status this program ends where there is no memory: 4 until then.
pub fn set_status_without_memory(status: u8) {
    STATUS_WITHOUT_MEMORY.store(status.into(), Ordering::Relaxed);
}

/// The children that are running; negative for a whole process group, zero for none.
static CHILDREN: [AtomicI32; 32] = [const { AtomicI32::new(0) }; 32];

/// Remembers a child, or with `group` the process group that it leads, which is to end where this process ends for want
/// of memory. The place is given back with [`forget_child`].
pub fn remember_child(pid: u32, group: bool) {
    let pid = pid.cast_signed();
    let child = if group { -pid } else { pid };
    for place in &CHILDREN {
        if place
            .compare_exchange(0, child, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
    }
}

/// Forgets a child that is reaped: its number may become another's.
pub fn forget_child(pid: u32) {
    let pid = pid.cast_signed();
    for place in &CHILDREN {
        if place.load(Ordering::Relaxed).abs() == pid {
            place.store(0, Ordering::Relaxed);
        }
    }
}

/// Ends this process and its children at once: without memory nothing else can be done.
pub(crate) fn end_without_memory() -> ! {
    const MESSAGE: &[u8] = b"mxm-secrets: there is not enough memory\n";
    for child in &CHILDREN {
        let child = child.load(Ordering::Relaxed);
        if child != 0 {
            // SAFETY: plain numbers; the child has not been reaped.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
    }
    // SAFETY: the pointer and the length are those of the message; nothing is freed or flushed on the way out.
    unsafe {
        libc::write(STDERR, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::_exit(STATUS_WITHOUT_MEMORY.load(Ordering::Relaxed))
    }
}

/// What [`execve`] says of a file that is neither a program nor begins with `#!`.
pub const NOT_A_PROGRAM: i32 = libc::ENOEXEC;

/// Replaces this process by the program at `path`. `arguments` and `environment` are strings that end in NUL.
/// Returns only when that fails, with the reason.
pub fn execve(path: &Path, arguments: &[CString], environment: &[Secret]) -> io::Error {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return io::Error::from_raw_os_error(libc::ENOENT);
    };
    debug_assert!(
        environment
            .iter()
            .all(|entry| entry.expose().ends_with(b"\0"))
    );
    let end = [std::ptr::null()];
    let argv: Vec<*const c_char> = arguments
        .iter()
        .map(|argument| argument.as_ptr())
        .chain(end)
        .collect();
    let envp: Vec<*const c_char> = environment
        .iter()
        .map(|entry| entry.expose().as_ptr().cast())
        .chain(end)
        .collect();
    // SAFETY: both lists end in null, and what they point at ends in NUL and outlives the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// A file in memory that holds `content` and that nobody can change, for a program that is started in our place:
/// opening its path there gives a fresh offset.
///
/// # Errors
/// What the kernel says; `Unsupported` on other systems than Linux.
#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
pub fn sealed_file(content: &[u8]) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; a descriptor that is not negative is ours to own. Kernels before 6.3 do not
    // know MFD_NOEXEC_SEAL and say so.
    let file: OwnedFd = unsafe {
        let mut fd = libc::memfd_create(c"secret".as_ptr(), flags | libc::MFD_NOEXEC_SEAL);
        if fd < 0 {
            fd = libc::memfd_create(c"secret".as_ptr(), flags);
        }
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        std::os::fd::FromRawFd::from_raw_fd(fd)
    };
    write_all(file.as_raw_fd(), &[content])?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: plain numbers.
    let sealed = unsafe {
        libc::lseek(file.as_raw_fd(), 0, libc::SEEK_SET);
        libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals)
    };
    if sealed == 0 {
        Ok(file)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// See the one for Linux.
///
/// # Errors
/// `Unsupported`, always.
#[cfg(any(not(target_os = "linux"), mxm_secrets_portable))]
pub fn sealed_file(_: &[u8]) -> io::Result<OwnedFd> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "unavailable on this system: it has no files in memory",
    ))
}

/// Lets a program that is started in our place inherit `fd`.
pub fn keep_at_exec(fd: BorrowedFd) {
    // SAFETY: plain numbers.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn write_all_writes_every_part_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let large = vec![b'x'; 300_000];
        let thread = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        write_all(writer.as_raw_fd(), &[b"a", b"", &large, b"\n"]).unwrap();
        drop(writer);
        let all = thread.join().unwrap();
        assert_eq!(all.len(), 300_002);
        assert_eq!((all[0], all[300_001]), (b'a', b'\n'));
    }

    #[test]
    fn waiting_ends_in_time() {
        let (reader, writer) = io::pipe().unwrap();
        assert_eq!(
            wait_readable([Some(reader.as_fd()), None], Some(Duration::from_millis(1))).unwrap(),
            [false, false]
        );
        drop(writer);
        assert_eq!(
            wait_readable([Some(reader.as_fd()), None], None).unwrap(),
            [true, false]
        );
    }
}
