//! A terminal that does not show what is typed.

use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Watch, action, address, keeping_errno, set_action};

/// A terminal that does not show what is typed, for as long as this value lives. A signal that would end the program is
/// watched meanwhile; one that stops it finds the terminal as it was before.
pub struct EchoOff {
    /// What SIGTSTP did before, if it was the default.
    on_suspend: Option<libc::sigaction>,
    _watch: Watch,
}

struct Modes {
    terminal: OwnedFd,
    before: Termios,
    during: Termios,
}

impl Modes {
    fn set(&self, modes: &Termios) {
        // Miri has no terminals: it looks at who reads the modes, and when.
        if cfg!(miri) {
            assert_eq!(modes.local_modes, LocalModes::empty());
        } else {
            // One that has gone needs nothing any more.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, modes);
        }
    }
}

/// Those of the one [`EchoOff`] that there is. The handler tries the lock and never waits for it: whoever has it is about
/// to put the terminal back, or has not yet changed it.
static MODES: Mutex<Option<Modes>> = Mutex::new(None);

impl EchoOff {
    /// Switches the echo off. What was typed before is thrown away.
    ///
    /// # Errors
    /// What the terminal says; `ResourceBusy` while there is another such value.
    pub fn new(terminal: BorrowedFd) -> io::Result<EchoOff> {
        let watch = Watch::signals();
        let before = tcgetattr(terminal)?;
        let mut during = before.clone();
        during.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        during.local_modes |= LocalModes::ICANON | LocalModes::ISIG;
        hide(Modes {
            terminal: terminal.try_clone_to_owned()?,
            before,
            during: during.clone(),
        })?;
        let on_suspend = action(libc::SIGTSTP).filter(|now| now.sa_sigaction == libc::SIG_DFL);
        if let Some(before) = on_suspend {
            let during = libc::sigaction {
                sa_sigaction: address(suspend),
                ..before
            };
            set_action(libc::SIGTSTP, &during);
        }
        // From here on dropping it puts everything back.
        let echo_off = EchoOff {
            on_suspend,
            _watch: watch,
        };
        tcsetattr(terminal, OptionalActions::Flush, &during)?;
        Ok(echo_off)
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        if let Some(before) = &self.on_suspend
            && action(libc::SIGTSTP).is_some_and(|now| now.sa_sigaction == address(suspend))
        {
            set_action(libc::SIGTSTP, before);
        }
        if let Some(modes) = show() {
            modes.set(&modes.before);
        }
    }
}

fn hide(modes: Modes) -> io::Result<()> {
    let mut hidden = MODES.lock().unwrap_or_else(PoisonError::into_inner);
    if hidden.is_some() {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    *hidden = Some(modes);
    Ok(())
}

fn show() -> Option<Modes> {
    MODES.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The handler of SIGTSTP while the echo is off.
extern "C" fn suspend(_: c_int) {
    keeping_errno(|| {
        let hidden = MODES.try_lock();
        let modes = hidden.as_ref().ok().and_then(|hidden| hidden.as_ref());
        if let Some(modes) = modes {
            modes.set(&modes.before);
        }
        stop();
        if let Some(modes) = modes {
            modes.set(&modes.during);
        }
    });
}

/// Stops this process until it is told to go on.
fn stop() {
    if !cfg!(miri) {
        // SAFETY: a plain number.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For Miri: another thread is in the handler while the echo is switched on again.
    #[test]
    #[cfg_attr(not(miri), ignore = "it would stop the tests: make miri runs it")]
    fn a_handler_never_reads_modes_that_are_gone() {
        let (terminal, _) = io::pipe().unwrap();
        // SAFETY: plain numbers, of which all zeros is a valid one.
        let modes: Termios = unsafe { std::mem::zeroed() };
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20).for_each(|_| suspend(libc::SIGTSTP)));
            for _ in 0..20 {
                hide(Modes {
                    terminal: terminal.try_clone().unwrap().into(),
                    before: modes.clone(),
                    during: modes.clone(),
                })
                .unwrap();
                std::thread::yield_now();
                let modes = show().unwrap();
                modes.set(&modes.before);
            }
        });
    }
}
