//! The command line: arguments to a subcommand, and what came of it to an exit status.
//!
//! `table` has every command and flag, `parsed` holds the arguments against it, `help` and `docs` show it; `message` and
//! `report` are what users see. Each command has a file of its name.

mod config;
mod credential;
#[cfg(test)]
mod docs;
mod exec;
#[cfg(fuzzing)]
pub mod fuzzing;
mod get;
mod help;
mod list_backends;
mod message;
mod parsed;
mod report;
mod requests;
mod resolve;
mod table;

use std::ffi::{OsString, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use crate::chain::Outcome;
use crate::name::Name;
use crate::schema::UsageError;
use crate::sys;
use crate::watch::{self, Watch};
use anyhow::Context as _;

use parsed::{Parsed, Stop};

/// The exit statuses: an interface that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Found, or done.
    Found = 0,
    /// Every backend asked said no.
    Missing = 1,
    /// A usage or configuration error; nothing was asked.
    Usage = 2,
    /// The default was printed.
    Defaulted = 3,
    /// A backend could not tell.
    Failed = 4,
    /// `exec`: a failure of ours, of any kind; the command was not started.
    Own = 125,
    /// `exec`: the command was found and cannot be run.
    CommandNotRun = 126,
    /// `exec`: the command was not found.
    CommandNotFound = 127,
}

impl Status {
    /// The status of two lookups together: the worst of a mistake, failed, missing, defaulted, found.
    pub fn worse(self, other: Status) -> Status {
        use Status::{Defaulted, Failed, Missing, Usage};
        let order = [Usage, Failed, Missing, Defaulted];
        order
            .into_iter()
            .find(|status| [self, other].contains(status))
            .unwrap_or(Status::Found)
    }
}

impl From<&Outcome> for Status {
    fn from(outcome: &Outcome) -> Status {
        match outcome {
            Outcome::Found(_) => Status::Found,
            Outcome::Defaulted(_) => Status::Defaulted,
            Outcome::Missing => Status::Missing,
            Outcome::Failed => Status::Failed,
        }
    }
}

/// The program, from its arguments without its own name to its exit status.
pub fn main(arguments: Vec<OsString>) -> c_int {
    let mut options = arguments.iter().take_while(|word| *word != "--");
    // With a value, it is a mistake, which is told in this way already.
    if options.any(|word| word == "--json-errors" || word.as_bytes().starts_with(b"--json-errors="))
    {
        message::speak_json();
    }
    if let Err(error) = sys::fill_standard_streams() {
        // Whatever is opened next would be taken for a standard stream.
        let text = format!("cannot fill the closed standard streams: {error}");
        message::problem("failed", None, &text.into());
        return c_int::from(Status::Failed as u8);
    }
    sys::protect_memory();
    sys::be_asked_to_end();
    c_int::from(run(arguments))
}

/// Runs the program; `arguments` come without its own name.
fn run(arguments: Vec<OsString>) -> u8 {
    let mut command = None;
    let result = match Parsed::from(arguments, &mut command) {
        Ok(parsed) => {
            // Another command may do without its output.
            if !parsed.command.runs_another {
                watch::heed(watch::Heeded::Reader);
                sys::let_orphans_come();
            }
            if let Some(status) = parsed.command.own_failure {
                sys::set_status_without_memory(status as u8);
            }
            (parsed.command.run)(&parsed)
        }
        Err(Stop::Help(text)) => write_out(&[text.as_bytes()]).map(|()| Status::Found),
        Err(Stop::Usage(error)) => Err(error.into()),
    };
    let ended_by = |error: &anyhow::Error| error.downcast_ref().map(|EndedBy(signal)| *signal);
    let ended_by = result.as_ref().err().and_then(ended_by);
    let status = result.unwrap_or_else(|error| {
        let status = explain(&error);
        command
            .and_then(|command| command.own_failure)
            .unwrap_or(status)
    });
    // As a shell has it.
    ended_by.map_or(status as u8, |signal| 128 + signal as u8)
}

/// Tells the user what went wrong, if a person can do anything about it; the status of that kind of error.
fn explain(error: &anyhow::Error) -> Status {
    if let Some(mistakes) = error.downcast_ref::<UsageError>() {
        for mistake in mistakes.lines() {
            let (what, name) = kind(mistake);
            message::problem(what, name.as_ref(), &mistake.into());
        }
        Status::Usage
    } else {
        message::problem("failed", None, &format!("{error:#}").into());
        Status::Failed
    }
}

/// What kind of problem a mistake is, and of which secret: what a policy denies begins with the name.
fn kind(mistake: &str) -> (&'static str, Option<Name>) {
    let denied = mistake.split_once(": denied: ");
    match denied.and_then(|(name, _)| Name::parse(name).ok()) {
        Some(name) => ("denied", Some(name)),
        None => ("usage", None),
    }
}

/// Does `work`, all that a command does with its chain. What a signal has interrupted has cleaned up then, and ends by it.
///
/// # Errors
/// Those of the work; that a signal has come and does not end this process, which is process 1.
fn watched<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let watch = Watch::begin();
    let result = work();
    match watch.end() {
        None => result,
        Some(signal) => Err(EndedBy(signal).into()),
    }
}

/// The signal that ends this program, where the kernel leaves that to us.
#[derive(Debug)]
struct EndedBy(c_int);

impl std::fmt::Display for EndedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ended by signal {}", self.0)
    }
}

impl std::error::Error for EndedBy {}

/// Writes `parts` to standard output, which is the last that a command does: what it has opened is closed.
///
/// # Errors
/// A failed write. A closed pipe ends the program, and so does a signal: nothing is watched any more.
fn write_out(parts: &[&[u8]]) -> anyhow::Result<()> {
    let result = watch::write_all(sys::stdout(), parts);
    if result
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    {
        watch::die_of_closed_pipe();
    }
    result.context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worst first.
    const ORDER: [Status; 5] = [
        Status::Usage,
        Status::Failed,
        Status::Missing,
        Status::Defaulted,
        Status::Found,
    ];

    #[test]
    fn the_worst_of_two_statuses_counts_whichever_comes_first() {
        assert_eq!(ORDER.map(|status| status as u8), [2, 4, 1, 3, 0]);
        for (place, worse) in ORDER.into_iter().enumerate() {
            for better in &ORDER[place..] {
                assert_eq!(worse.worse(*better), worse);
                assert_eq!(better.worse(worse), worse);
            }
        }
    }

    #[test]
    fn every_outcome_has_its_status() {
        let secret = || crate::secret::Secret::copy_of(b"x");
        for (outcome, status) in [
            (Outcome::Found(secret()), Status::Found),
            (Outcome::Defaulted(secret()), Status::Defaulted),
            (Outcome::Missing, Status::Missing),
            (Outcome::Failed, Status::Failed),
        ] {
            assert_eq!(Status::from(&outcome), status);
        }
    }
}
