//! Terminals: whether there is one, and one that does not show what is typed.

use std::ffi::{CStr, OsString, c_int};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::watch_signals;

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
