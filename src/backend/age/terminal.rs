//! Asks a person something, on the terminal, whatever the standard streams are.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use crate::backend::Context;
use crate::deadline::Ended;
use crate::secret::{Progress, Secret, SecretBuffer};
use crate::watch::{self, EchoOff, Watch};

/// The longest answer, in bytes: what a terminal takes as one line.
const LIMIT: usize = 4096;

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
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()
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
    let mut typed = SecretBuffer::new(LIMIT);
    loop {
        let ready = watch::wait_readable([Some(terminal.as_fd())], context.deadline.remaining());
        context.deadline.go_on().map_err(|ended| match ended {
            Ended::Interrupted => NoAnswer::Interrupted,
            Ended::TimedOut => NoAnswer::TimedOut,
        })?;
        if !matches!(ready, Ok([true])) {
            ready.map_err(|_| NoAnswer::NoTerminal)?;
            continue;
        }
        match typed.read_from(&mut terminal) {
            Ok(Progress::More) => {}
            Ok(Progress::End | Progress::TooLarge) => return Err(NoAnswer::Declined),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
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
