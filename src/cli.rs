//! The command line: arguments to a subcommand, and what came of it to an exit status.

mod get;
mod help;
mod message;
mod table;

use std::ffi::{OsStr, OsString};
use std::io;

use anyhow::Context as _;
use lexopt::Arg;
use mxm_secrets::Options;
use mxm_secrets::config::{self, OnError, UsageError};
use mxm_secrets::nearest::nearest;
use mxm_secrets::resolve::Outcome;
use mxm_secrets::sys;

use message::Messages;
use table::{COMMANDS, Command, FLAGS, Flag, Id, Takes};

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

/// Runs the program; `arguments` come without its own name.
pub fn run(arguments: Vec<OsString>) -> u8 {
    let status = match Parsed::from(arguments) {
        Ok(parsed) => match (parsed.command.run)(&parsed) {
            Ok(status) => status,
            Err(error) => parsed.command.own_failure.unwrap_or(explain(&error)),
        },
        Err(Stop::Help(text)) => {
            write_out(&[text.as_bytes()]).map_or_else(|error| explain(&error), |()| Status::Found)
        }
        Err(Stop::Usage(error)) => explain(&error.into()),
    };
    status as u8
}

/// Tells the user what went wrong; the status of that kind of error.
fn explain(error: &anyhow::Error) -> Status {
    message::say(&format!("{error:#}"));
    if error.is::<UsageError>() {
        Status::Usage
    } else {
        Status::Failed
    }
}

/// Writes `parts` to standard output.
///
/// # Errors
/// A failed write. A closed pipe ends the program.
fn write_out(parts: &[&[u8]]) -> anyhow::Result<()> {
    let result = sys::write_all(sys::STDOUT, parts);
    if result
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    {
        sys::die_of_closed_pipe();
    }
    result.context("cannot write to standard output")
}

/// A command line that obeys the table.
pub struct Parsed {
    /// The subcommand.
    pub command: &'static Command,
    flags: Vec<(Id, OsString)>,
    /// What is no flag, in order.
    pub operands: Vec<OsString>,
}

/// Why a command line is not carried out.
pub enum Stop {
    /// It asks for this text.
    Help(String),
    /// It is wrong.
    Usage(UsageError),
}

impl From<UsageError> for Stop {
    fn from(error: UsageError) -> Stop {
        Stop::Usage(error)
    }
}

impl Parsed {
    /// Reads the command line.
    fn from(arguments: Vec<OsString>) -> Result<Parsed, Stop> {
        let usage = |error: lexopt::Error| UsageError(error.to_string());
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut command: Option<&'static Command> = None;
        let (mut flags, mut operands) = (Vec::new(), Vec::new());
        let mut asked = None;
        while let Some(argument) = parser.next().map_err(usage)? {
            let flag = match argument {
                Arg::Value(operand) if command.is_none() => {
                    command = Some(find_command(&operand)?);
                    continue;
                }
                Arg::Value(operand) => {
                    operands.push(operand);
                    continue;
                }
                Arg::Short(letter) => FLAGS
                    .iter()
                    .find(|flag| flag.short == Some(letter))
                    .ok_or_else(|| unknown_option(&format!("-{letter}")))?,
                Arg::Long(name) => FLAGS
                    .iter()
                    .find(|flag| flag.long == name)
                    .ok_or_else(|| unknown_option(&format!("--{name}")))?,
            };
            match flag.id {
                Id::Help if asked.is_none() => asked = Some((flag, argument_is_long(&argument))),
                Id::Version if asked.is_none() => asked = Some((flag, true)),
                _ => {}
            }
            let value = match flag.takes {
                Takes::Nothing => OsString::new(),
                _ => parser.value().map_err(usage)?,
            };
            flags.push((flag, value));
        }
        match asked {
            Some((flag, _)) if flag.id == Id::Version => return Err(Stop::Help(help::version())),
            Some((_, whole)) => return Err(Stop::Help(help::help(command, whole))),
            None => {}
        }
        let command = command.ok_or_else(|| {
            UsageError(format!(
                "no command given: {}\n{}",
                commands(),
                help::POINTER
            ))
        })?;
        if let Some((flag, _)) = flags.iter().find(|(flag, _)| !flag.applies_to(command)) {
            return Err(
                UsageError(format!("{} has no option --{}", command.name, flag.long)).into(),
            );
        }
        Ok(Parsed {
            command,
            flags: flags
                .into_iter()
                .map(|(flag, value)| (flag.id, value))
                .collect(),
            operands,
        })
    }

    /// Whether the flag was given.
    pub fn has(&self, id: Id) -> bool {
        self.flags.iter().any(|(given, _)| *given == id)
    }

    /// The value of the flag; the last one when it was given more than once.
    pub fn value(&self, id: Id) -> Option<&OsStr> {
        self.flags
            .iter()
            .rev()
            .find(|(given, _)| *given == id)
            .map(|(_, value)| value.as_os_str())
    }

    /// The same, as text.
    fn text(&self, id: Id) -> Result<Option<&str>, UsageError> {
        let flag = || {
            FLAGS
                .iter()
                .find(|flag| flag.id == id)
                .map_or("", |flag| flag.long)
        };
        self.value(id)
            .map(|value| {
                value
                    .to_str()
                    .ok_or_else(|| UsageError(format!("the value of --{} is not UTF-8", flag())))
            })
            .transpose()
    }

    /// What the chain's flags say.
    fn options(&self) -> Result<Options, UsageError> {
        let mut options = Options::new();
        if let Some(list) = self.text(Id::Backend)? {
            options = options.backends(list.split(','));
        }
        if let Some(word) = self.text(Id::OnError)? {
            let on_error = OnError::parse(word).ok_or_else(|| {
                UsageError(format!(
                    "--on-error {word:?}: it takes {}",
                    OnError::WORDS.join(" or ")
                ))
            })?;
            options = options.on_error(on_error);
        }
        if let Some(text) = self.text(Id::Timeout)? {
            options = options.timeout(config::seconds(text, "--timeout")?);
        }
        if self.has(Id::NoInput) {
            options = options.no_input(true);
        }
        Ok(options)
    }

    /// How much to tell.
    fn messages(&self) -> Messages {
        Messages {
            verbose: self.has(Id::Verbose),
            quiet: self.has(Id::Quiet),
        }
    }
}

fn argument_is_long(argument: &Arg) -> bool {
    matches!(argument, Arg::Long(_))
}

fn find_command(operand: &OsStr) -> Result<&'static Command, UsageError> {
    let name = operand.to_string_lossy();
    table::command(&name).ok_or_else(|| {
        let advice = match nearest(&name, COMMANDS.iter().map(|command| command.name)) {
            Some(near) => format!("did you mean {near}?"),
            None => commands(),
        };
        UsageError(format!("no command is called {name:?}: {advice}"))
    })
}

fn commands() -> String {
    format!(
        "there is {}",
        COMMANDS
            .iter()
            .map(|command| command.name)
            .collect::<Vec<_>>()
            .join(", ")
    )
}

fn unknown_option(given: &str) -> UsageError {
    let name = given.trim_start_matches('-');
    let near = nearest(name, FLAGS.iter().map(|flag: &Flag| flag.long))
        .filter(|_| given.starts_with("--"));
    UsageError(match near {
        Some(near) => format!("unknown option {given}: did you mean --{near}?"),
        None => format!("unknown option {given}; a name that begins with - needs -- before it"),
    })
}
