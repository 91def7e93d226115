//! Signals that end this process: noted while there is something to be cleaned up, and given their way in the end.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The signals that end a program and can be caught.
const ENDING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The first of them that has come, or 0.
static SIGNALLED: AtomicI32 = AtomicI32::new(0);

/// A pipe that can be read once one has come, so that every thread that waits wakes up; -1 until someone watches.
static WAKE_READ: AtomicI32 = AtomicI32::new(-1);

static WAKE_WRITE: AtomicI32 = AtomicI32::new(-1);

/// Whether SIGCHLD was ignored when the process was started.
static CHILDREN_IGNORED: AtomicBool = AtomicBool::new(false);

/// Whether anyone watches.
static WATCHED: Mutex<bool> = Mutex::new(false);

/// What can be read once a watched signal has come; -1 until someone watches.
pub fn wake() -> RawFd {
    WAKE_READ.load(Ordering::Relaxed)
}

/// From now on a signal that would end this process is only noted ([`signalled`]), and wakes [`wait_readable`](super::wait_readable): there
/// is something to be cleaned up first. A signal that was ignored stays ignored.
pub fn watch_signals() {
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if !std::mem::replace(&mut *watched, true) {
        if wake() < 0
            && let Some([read, write]) = pipe()
        {
            WAKE_READ.store(read, Ordering::Relaxed);
            WAKE_WRITE.store(write, Ordering::Relaxed);
        }
        // SAFETY: the calls are given valid structures, and the handler does only what a handler may.
        unsafe {
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
    }
}

/// A pipe that is closed on exec and never waits, in one step where that can be had: another thread may start a child
/// in between.
fn pipe() -> Option<[RawFd; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: the array holds two descriptors.
    #[cfg(not(target_vendor = "apple"))]
    let status = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
    // SAFETY: the array holds two descriptors.
    #[cfg(target_vendor = "apple")]
    let status = unsafe { libc::pipe(ends.as_mut_ptr()) };
    #[cfg(target_vendor = "apple")]
    for end in ends {
        // SAFETY: plain numbers.
        unsafe {
            libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
        }
    }
    (status == 0).then_some(ends)
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
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if !std::mem::replace(&mut *watched, false) {
        return;
    }
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

/// The same, and lets a signal that has come end this process.
pub fn give_way_to_signals() {
    unwatch_signals();
    if let Some(signal) = signalled() {
        die_of(signal);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_child_inherits_the_pipe_and_no_handler_waits_for_it() {
        for end in pipe().unwrap() {
            // SAFETY: the descriptor is open, and nobody else has it.
            let (descriptor, file) = unsafe {
                let flags = (
                    libc::fcntl(end, libc::F_GETFD),
                    libc::fcntl(end, libc::F_GETFL),
                );
                libc::close(end);
                flags
            };
            assert_eq!(descriptor & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
            assert_eq!(file & libc::O_NONBLOCK, libc::O_NONBLOCK);
        }
    }
}
