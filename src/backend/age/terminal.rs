//! Asks a person something, on the terminal, whatever the standard streams are.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::backend::Context;
use crate::deadline::{Deadline, Ended};
use crate::secret::{Progress, Secret, SecretBuffer};
use crate::sys;
use crate::watch::{self, EchoOff, Watch};

/// The longest answer, in bytes: what a terminal takes as one line.
const LIMIT: usize = 4096;

/// macOS cannot poll /dev/tty: there it is looked at again and again.
const CAN_POLL: bool = !cfg!(any(target_vendor = "apple", mxm_secrets_portable));

/// How long to wait before the next look, where there is nothing better.
const MOMENT: Duration = Duration::from_millis(30);

/// One question at a time.
static ASKING: Mutex<()> = Mutex::new(());

/// What happens to the letters that are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// They are shown.
    On,
    /// They are not shown.
    Off,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// No person is there.
    Unattended,
    /// There is no terminal.
    NoTerminal,
    /// The person gave none.
    Declined,
    /// The deadline passed.
    TimedOut,
    /// A signal ends the program.
    Interrupted,
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoAnswer::Unattended => "cannot ask for it when unattended",
            NoAnswer::NoTerminal => "there is no terminal to ask on",
            NoAnswer::Declined => "no answer was given",
            NoAnswer::TimedOut => "no answer was given in time",
            NoAnswer::Interrupted => "interrupted",
        })
    }
}

/// Asks `question` and waits for a line, which is given without its end.
pub fn ask(question: &str, echo: Echo, context: &Context) -> Result<Secret, NoAnswer> {
    if context.unattended {
        return Err(NoAnswer::Unattended);
    }
    let _turn = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    let terminal = open().ok_or(NoAnswer::NoTerminal)?;
    let _watch = Watch::signals();
    let hidden = match echo {
        Echo::On => None,
        Echo::Off => Some(EchoOff::new(terminal.as_fd()).map_err(|_| NoAnswer::NoTerminal)?),
    };
    show(&terminal, &format!("{question}: "));
    let answer = line(&terminal, context);
    if hidden.is_some() || answer.is_err() {
        // The end of the line, which was not shown.
        show(&terminal, "\n");
    }
    answer
}

/// Shows `message`, if there is a terminal and a person before it.
pub fn tell(message: &str, context: &Context) {
    if !context.unattended
        && let Some(terminal) = open()
    {
        show(&terminal, &format!("{message}\n"));
    }
}

fn open() -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if !CAN_POLL {
        options.custom_flags(sys::NONBLOCK);
    }
    options.open("/dev/tty").ok()
}

/// Control characters are escaped, since some of the text comes from outside.
fn show(terminal: &File, text: &str) {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() && c != '\n' => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    // Whoever cannot see the question will not answer it either.
    let _ = watch::write_all(terminal.as_fd(), &[shown.as_bytes()]);
}

fn line(mut terminal: &File, context: &Context) -> Result<Secret, NoAnswer> {
    use std::io::ErrorKind::{Interrupted, WouldBlock};

    let mut typed = SecretBuffer::new(LIMIT);
    loop {
        let look_again = if CAN_POLL {
            context.deadline
        } else {
            context.deadline.or(Deadline::after(MOMENT))
        };
        let polled = CAN_POLL.then(|| terminal.as_fd());
        let ready = watch::wait_readable([polled], look_again.remaining());
        context.deadline.go_on().map_err(|ended| match ended {
            Ended::Interrupted => NoAnswer::Interrupted,
            Ended::TimedOut => NoAnswer::TimedOut,
        })?;
        let [ready] = ready.map_err(|_| NoAnswer::NoTerminal)?;
        if CAN_POLL && !ready {
            continue;
        }
        match typed.read_from(&mut terminal) {
            Ok(Progress::More) => {}
            Ok(Progress::End | Progress::TooLarge) => return Err(NoAnswer::Declined),
            Err(error) if matches!(error.kind(), Interrupted | WouldBlock) => {}
            Err(_) => return Err(NoAnswer::NoTerminal),
        }
        if let [answer @ .., b'\n'] = typed.expose() {
            return match answer {
                [] => Err(NoAnswer::Declined),
                _ => Ok(Secret::copy_of(answer)),
            };
        }
    }
}
