//! Signals that would end this process, and waiting for anything.
//!
//! While a [`Watch`] lives, such a signal is noted and ends every wait: there is something to be cleaned up first. When
//! the last one goes, all actions are put back as they were found, and the signal that has come is sent again; where the
//! program itself goes ([`Watch::end`]), it ends by that signal.
//!
//! | file | owns |
//! | --- | --- |
//! | `terminal` | a terminal that does not show what is typed |
//! | `waiting` | waiting with a time limit, writing |

mod terminal;
mod waiting;

pub use terminal::EchoOff;
pub use waiting::{Until, pause, send, uninterrupted, wait, wait_readable, write_all};

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FileType;

use crate::sys;

/// The signals whose default ends a process, but for SIGKILL, the faults (SIGSEGV and its like: the program cannot go
/// on), and those that real-time systems number ([`real_time`]).
const ENDING: &[c_int] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGALRM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGSYS,
    #[cfg(target_os = "linux")]
    libc::SIGIO,
    #[cfg(target_os = "linux")]
    libc::SIGPWR,
    #[cfg(all(
        target_os = "linux",
        not(any(target_arch = "mips", target_arch = "sparc64"))
    ))]
    libc::SIGSTKFLT,
];

/// The real-time signals. The C library keeps the first two or three for itself: SIGRTMIN is the first that it does not.
fn real_time() -> std::ops::RangeInclusive<c_int> {
    #[cfg(target_os = "linux")]
    return 32..=libc::SIGRTMAX();
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::reversed_empty_ranges, reason = "there are none")]
    return 1..=0;
}

/// As long as it lives, signals may be watched.
#[derive(Debug)]
pub struct Watch {
    /// The process that has begun it. Its forked child has a copy, which counts for nothing there.
    process: u32,
}

struct State {
    process: u32,
    watches: usize,
    /// What the watched signals did before.
    before: Vec<(c_int, libc::sigaction)>,
    /// The same of SIGCHLD, and what it does meanwhile.
    children: Option<[libc::sigaction; 2]>,
}

static STATE: Mutex<State> = Mutex::new(State {
    process: 0,
    watches: 0,
    before: Vec::new(),
    children: None,
});

/// The process in which signals are noted; 0 while none are.
static NOTING: AtomicU32 = AtomicU32::new(0);

/// The first signal that has come, or 0.
static SIGNALLED: AtomicI32 = AtomicI32::new(0);

/// Who is heeded, as a [`Heeded`].
static HEEDED: AtomicU8 = AtomicU8::new(Heeded::Nobody as u8);

/// Who may be waited for in vain.
#[derive(Clone, Copy)]
pub enum Heeded {
    Nobody,
    /// Who reads the pipe at standard output.
    Reader,
    /// Who is at the other end of the socket at standard input.
    Asker,
}

/// Can be read once a signal has come, so that every thread that waits wakes up.
struct Wake {
    process: u32,
    read: OwnedFd,
    write: OwnedFd,
}

/// Made once in a process, and never freed: a handler may use it at any time.
static WAKE: AtomicPtr<Wake> = AtomicPtr::new(std::ptr::null_mut());

impl Watch {
    /// Watches nothing by itself, which costs nothing. What [`Watch::signals`] watches meanwhile stays watched until this
    /// is dropped.
    pub fn begin() -> Watch {
        state().count()
    }

    /// From now on a signal that would end this process is only noted ([`signalled`]). Signals that are ignored or
    /// handled are left alone. Children can be waited for, even where SIGCHLD is ignored.
    pub fn signals() -> Watch {
        let mut state = state();
        let watch = state.count();
        state.install();
        watch
    }

    /// Ends it in a program that is about to end itself, or to become another one: the handlers stay, since each now
    /// does what its signal does by default, and to put them all back would be a good part of a quick run. The signal
    /// that has come and has not ended this process, as with process 1, for which the kernel ignores what has no handler.
    pub fn end(self) -> Option<c_int> {
        let signal = self.release(State::forget);
        std::mem::forget(self);
        if let Some(signal) = signal {
            die_of(signal);
        }
        signal
    }

    /// The signal that has come, if this was the last; `close` is done then.
    fn release(&self, close: fn(&mut State)) -> Option<c_int> {
        let mut state = state();
        if self.process != std::process::id() {
            return None;
        }
        state.watches -= 1;
        if state.watches > 0 {
            return None;
        }
        close(&mut state);
        match SIGNALLED.swap(0, Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(signal) = self.release(State::restore) {
            send_again(signal);
        }
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn count(&mut self) -> Watch {
        let process = std::process::id();
        if self.process != process {
            // The first, or a forked child's first: the watches of its parent are none of its own.
            self.process = process;
            self.watches = 0;
            NOTING.store(0, Ordering::SeqCst);
            SIGNALLED.store(0, Ordering::SeqCst);
        }
        self.watches += 1;
        Watch { process }
    }

    fn install(&mut self) {
        if NOTING.swap(self.process, Ordering::SeqCst) == self.process {
            return;
        }
        if wake().is_none()
            && let Ok((read, write)) = pipe()
        {
            let process = self.process;
            let wake = Box::new(Wake {
                process,
                read,
                write,
            });
            WAKE.store(Box::leak(wake), Ordering::SeqCst);
        }
        let signals = ENDING.iter().copied().chain(real_time());
        self.before.reserve(signals.size_hint().0);
        for signal in signals {
            if let Some(before) = action(signal)
                && before.sa_sigaction == libc::SIG_DFL
            {
                let during = libc::sigaction {
                    sa_sigaction: address(note),
                    sa_flags: libc::SA_ONSTACK,
                    ..before
                };
                set_action(signal, &during);
                self.before.push((signal, before));
            }
        }
        if let Some(before) = action(libc::SIGCHLD)
            && (before.sa_sigaction == libc::SIG_IGN || before.sa_flags & libc::SA_NOCLDWAIT != 0)
        {
            let mut during = before;
            during.sa_flags &= !libc::SA_NOCLDWAIT;
            if before.sa_sigaction == libc::SIG_IGN {
                during.sa_sigaction = libc::SIG_DFL;
            }
            set_action(libc::SIGCHLD, &during);
            self.children = Some([before, during]);
        }
    }

    /// Puts back what is still as [`State::install`] has left it: the program may have changed it meanwhile.
    fn restore(&mut self) {
        for (signal, before) in self.before.drain(..) {
            if action(signal).is_some_and(|now| now.sa_sigaction == address(note)) {
                set_action(signal, &before);
            }
        }
        self.forget();
    }

    /// Notes no more signals, and puts SIGCHLD back.
    fn forget(&mut self) {
        if let Some([before, during]) = self.children.take()
            && action(libc::SIGCHLD).is_some_and(|now| {
                now.sa_sigaction == during.sa_sigaction && now.sa_flags & libc::SA_NOCLDWAIT == 0
            })
        {
            set_action(libc::SIGCHLD, &before);
            // Those that have ended meanwhile; the kernel would have reaped them.
            while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
        }
        let wake = wake();
        NOTING.store(0, Ordering::SeqCst);
        if let Some(wake) = wake {
            let mut bytes = [0; 64];
            while rustix::io::read(&wake.read, &mut bytes).is_ok_and(|count| count > 0) {}
        }
    }
}

/// The wake-up pipe of the process in which signals are noted.
fn wake() -> Option<&'static Wake> {
    // SAFETY: it is null, or points at what is never freed.
    let wake = unsafe { WAKE.load(Ordering::SeqCst).as_ref() };
    wake.filter(|wake| wake.process == NOTING.load(Ordering::SeqCst))
}

/// From now on every wait ends, as if SIGPIPE had come, when they have gone: what is looked up can reach nobody then.
pub fn heed(whom: Heeded) {
    HEEDED.store(whom as u8, Ordering::SeqCst);
}

/// Whether who is heeded has gone.
pub fn is_alone() -> bool {
    signalled() == Some(libc::SIGPIPE)
}

/// What hangs up when who is heeded goes. Asked at every wait: what waits for nothing need not know.
fn heeded() -> Option<BorrowedFd<'static>> {
    let heeded = HEEDED.load(Ordering::SeqCst);
    let (stream, kind) = if heeded == Heeded::Reader as u8 {
        (sys::stdout(), FileType::Fifo)
    } else if heeded == Heeded::Asker as u8 {
        (sys::stdin(), FileType::Socket)
    } else {
        return None;
    };
    let file = rustix::fs::fstat(stream).ok()?;
    (FileType::from_raw_mode(file.st_mode) == kind).then_some(stream)
}

/// Notes that it is gone.
fn reader_gone() {
    let pipe = libc::SIGPIPE;
    let _ = SIGNALLED.compare_exchange(0, pipe, Ordering::SeqCst, Ordering::SeqCst);
}

/// What can be read once a signal has come.
fn woken() -> Option<BorrowedFd<'static>> {
    wake().map(|wake| wake.read.as_fd())
}

/// A pipe that is closed on exec and never waits.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    {
        use rustix::pipe::PipeFlags;
        Ok(rustix::pipe::pipe_with(
            PipeFlags::CLOEXEC | PipeFlags::NONBLOCK,
        )?)
    }
    #[cfg(target_vendor = "apple")]
    {
        let ends = rustix::pipe::pipe()?;
        for end in [&ends.0, &ends.1] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)?;
        }
        Ok(ends)
    }
}

/// A handler as sigaction has it.
fn address(handler: extern "C" fn(c_int)) -> libc::sighandler_t {
    handler as libc::sighandler_t
}

/// The handler.
extern "C" fn note(signal: c_int) {
    keeping_errno(|| {
        // In a forked child, or when the last watch has just gone, the signal does what it would have done.
        if NOTING.load(Ordering::SeqCst) != std::process::id() {
            return die_of(signal);
        }
        let _ = SIGNALLED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        if let Some(wake) = wake() {
            // Where the pipe is full, it wakes already.
            let _ = rustix::io::write(&wake.write, &[1]);
        }
        if NOTING.load(Ordering::SeqCst) == 0 {
            die_of(signal);
        }
    });
}

/// Runs what a handler does: what it has interrupted may be about to read `errno`.
fn keeping_errno(handle: impl FnOnce()) {
    #[cfg(target_os = "linux")]
    use libc::__errno_location as place;
    #[cfg(not(target_os = "linux"))]
    use libc::__error as place;

    // SAFETY: the place is this thread's, and lives as long as it.
    unsafe {
        let before = *place();
        handle();
        *place() = before;
    }
}

/// The signal that has come and is watched.
pub fn signalled() -> Option<c_int> {
    match SIGNALLED.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(signal),
    }
}

/// What `signal` does.
fn action(signal: c_int) -> Option<libc::sigaction> {
    change_action(signal, None)
}

fn set_action(signal: c_int, action: &libc::sigaction) {
    change_action(signal, Some(action));
}

/// What `signal` has done so far. Miri knows no signals: there each does what it does by default, and is never sent.
fn change_action(signal: c_int, to: Option<&libc::sigaction>) -> Option<libc::sigaction> {
    let to = to.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: all zeros is a valid structure, and sigaction writes to a live one. `to` is null, or one that sigaction gave
    // out, or that with a handler which does only what one may. The kernel's structure is shorter than eight words.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        let done = cfg!(miri) || libc::sigaction(signal, to, &raw mut before) == 0;
        // The C library refuses what it keeps for itself; the kernel ends the process by it all the same. What a handler
        // needs there beside its address, a signal with the same one has got from the C library.
        #[cfg(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        if !done && real_time().contains(&signal) {
            let call = |signal: c_int, to: *const usize, now: *mut usize| {
                libc::syscall(libc::SYS_rt_sigaction, signal, to, now, 8_usize) == 0
            };
            let read = |signal| {
                let mut now = [0; 8];
                call(signal, std::ptr::null(), now.as_mut_ptr()).then_some(now)
            };
            before.sa_sigaction = read(signal)?[0];
            let Some(to) = to.as_ref() else {
                return Some(before);
            };
            let next = match to.sa_sigaction {
                libc::SIG_DFL => [0; 8],
                handler => {
                    let mut known = ENDING.iter().filter_map(|&signal| read(signal));
                    known.find(|known| known[0] == handler)?
                }
            };
            return call(signal, next.as_ptr(), std::ptr::null_mut()).then_some(before);
        }
        done.then_some(before)
    }
}

/// Sends `signal` to this process once more, to whoever handles it now.
fn send_again(signal: c_int) {
    // SAFETY: plain numbers.
    unsafe { libc::kill(std::process::id().cast_signed(), signal) };
}

/// Ends this process by `signal`, as if it had never been caught, so that our parent sees what happened. It returns
/// where the kernel does not let it: to process 1.
pub fn die_of(signal: c_int) {
    // SAFETY: plain numbers, a valid structure and a valid signal set; a handler may do all of it.
    unsafe {
        set_action(signal, &std::mem::zeroed());
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        if libc::raise(signal) != 0 {
            send_again(signal);
        }
    }
}

/// Ends this process as a closed pipe does: quietly, by SIGPIPE.
pub fn die_of_closed_pipe() {
    die_of(libc::SIGPIPE);
}

/// Does `write`, in which a closed pipe is an error and never SIGPIPE.
pub fn without_sigpipe<T>(write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let kind = |result: &io::Result<T>| result.as_ref().err().map(io::Error::kind);
    // SAFETY: the sets are valid ones. The signal that the write has raised waits for this thread, so that `sigwait`
    // takes it at once; an ignored one does not.
    unsafe {
        let mut pipe: libc::sigset_t = std::mem::zeroed();
        let (mut before, mut pending) = (pipe, pipe);
        libc::sigemptyset(&raw mut pipe);
        libc::sigaddset(&raw mut pipe, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, &raw mut before);
        let result = write();
        if kind(&result) == Some(io::ErrorKind::BrokenPipe)
            && libc::sigpending(&raw mut pending) == 0
            && libc::sigismember(&raw const pending, libc::SIGPIPE) == 1
        {
            libc::sigwait(&raw const pipe, &mut 0);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "it does not know these flags")]
    fn no_child_inherits_the_pipe_and_no_handler_waits_for_it() {
        let (read, write) = pipe().unwrap();
        for end in [read, write] {
            let descriptor = rustix::io::fcntl_getfd(&end).unwrap();
            assert!(descriptor.contains(rustix::io::FdFlags::CLOEXEC));
            let file = rustix::fs::fcntl_getfl(&end).unwrap();
            assert!(file.contains(rustix::fs::OFlags::NONBLOCK));
        }
    }

    /// For Miri, which has no poll: three threads watch, and one of them gets a signal.
    #[test]
    #[cfg_attr(
        not(miri),
        ignore = "it would end what other tests do meanwhile: make miri runs it"
    )]
    fn a_signal_is_noted_by_all_until_the_last_watch_goes() {
        for signal in [libc::SIGTERM, libc::SIGUSR1] {
            let first = Watch::begin();
            std::thread::scope(|scope| {
                for number in 0..3 {
                    scope.spawn(move || {
                        let watch = Watch::signals();
                        if number == 1 {
                            rustix::io::read(&wake().unwrap().read, &mut [0]).unwrap_err();
                            let before = io::Error::last_os_error();
                            note(signal);
                            let after = io::Error::last_os_error();
                            assert_eq!(before.raw_os_error(), after.raw_os_error());
                        }
                        while signalled().is_none() {
                            std::thread::yield_now();
                        }
                        assert!(woken().is_some());
                        assert_eq!(
                            (signalled(), watch.release(State::restore)),
                            (Some(signal), None)
                        );
                        std::mem::forget(watch);
                    });
                }
            });
            let pipe = wake();
            assert_eq!(first.release(State::restore), Some(signal));
            std::mem::forget(first);
            assert!(signalled().is_none() && woken().is_none());
            let nothing = rustix::io::read(&pipe.unwrap().read, &mut [0]).unwrap_err();
            assert_eq!(nothing, rustix::io::Errno::AGAIN);
        }
    }
}
