//! The command line, held against the table.

use std::ffi::{OsStr, OsString};

use crate::chain::OnError;
use crate::config::Options;
use crate::nearest::{advice, did_you_mean, nearest, there_are};
use crate::schema::{UsageError, seconds};
use crate::text;
use lexopt::Arg;

use super::help;
use super::message::Messages;
use super::table::{self, COMMANDS, Command, FLAGS, Flag, Id, Takes};

/// A command line that obeys the table.
pub struct Parsed {
    /// The subcommand.
    pub command: &'static Command,
    flags: Vec<(Id, OsString)>,
    /// What is no flag, in order.
    pub operands: Vec<OsString>,
    /// For a command that runs another one: what stands after `--`.
    pub command_line: Option<Vec<OsString>>,
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
    /// Reads the command line; `command` is the subcommand as soon as it is known.
    pub fn from(
        arguments: Vec<OsString>,
        command: &mut Option<&'static Command>,
    ) -> Result<Parsed, Stop> {
        // What stands behind a flag that takes nothing may be a value meant for another.
        let usage = |error: lexopt::Error| match error {
            lexopt::Error::UnexpectedValue { option, .. } => {
                UsageError::new(format!("{option} takes no value"))
            }
            error => UsageError::new(error.to_string()),
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        let (mut flags, mut operands) = (Vec::<(&Flag, OsString)>::new(), Vec::new());
        let mut command_line = None;
        let mut help = None;
        loop {
            // lexopt swallows the `--`, and whoever runs another command must know where it stands.
            if let Some(mut rest) = parser.try_raw_args()
                && rest.peek().is_some_and(|word| word == "--")
                && command.is_some_and(|command| command.runs_another)
            {
                rest.next();
                command_line = Some(rest.collect());
                break;
            }
            let Some(argument) = parser.next().map_err(usage)? else {
                break;
            };
            let flag = match argument {
                Arg::Value(operand) if command.is_none() => {
                    *command = Some(find_command(&operand)?);
                    continue;
                }
                Arg::Value(operand) => {
                    operands.push(operand);
                    continue;
                }
                Arg::Short(letter) => {
                    let flag = FLAGS.iter().find(|flag| flag.short == Some(letter));
                    flag.ok_or_else(|| unknown_option(&format!("-{letter}"), *command))?
                }
                Arg::Long(name) => {
                    let flag = FLAGS.iter().find(|flag| flag.long == name);
                    flag.ok_or_else(|| unknown_option(&format!("--{name}"), *command))?
                }
            };
            if matches!(flag.id, Id::Help | Id::Version) && help.is_none() {
                help = Some((flag.id, matches!(argument, Arg::Long(_))));
            }
            let value = match flag.takes {
                Takes::Nothing => OsString::new(),
                _ => parser.value().map_err(usage)?,
            };
            if let Takes::Word(_, words) = flag.takes
                && !words.iter().any(|word| value == *word)
            {
                let text = format!(
                    "--{} {}: expected {}",
                    flag.long,
                    text::quoted(&value),
                    words.join(" or ")
                );
                return Err(UsageError::new(text).into());
            }
            flags.push((flag, value));
        }
        match help {
            Some((Id::Version, _)) => return Err(Stop::Help(help::version())),
            Some((_, whole)) => return Err(Stop::Help(help::help(*command, whole))),
            None => {}
        }
        let command = command.ok_or_else(|| {
            UsageError::new(format!(
                "no command given: {}; {}",
                there_are(&commands()),
                help::POINTER
            ))
        })?;
        if let Some((flag, _)) = flags.iter().find(|(flag, _)| !flag.applies_to(command)) {
            return Err(
                UsageError::new(format!("{} has no option --{}", command.name, flag.long)).into(),
            );
        }
        let flags = flags
            .into_iter()
            .map(|(flag, value)| (flag.id, value))
            .collect();
        Ok(Parsed {
            command,
            flags,
            operands,
            command_line,
        })
    }

    /// The flags among `ids` with their values, in the order given.
    pub fn each(&self, ids: &[Id]) -> impl Iterator<Item = (Id, &OsStr)> {
        self.flags
            .iter()
            .filter(|(id, _)| ids.contains(id))
            .map(|(id, value)| (*id, value.as_os_str()))
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
        let wrong = || UsageError::new(format!("the value of {} is not UTF-8", id.spelled()));
        self.value(id)
            .map(|value| value.to_str().ok_or_else(wrong))
            .transpose()
    }

    /// What the chain's flags say.
    pub fn options(&self) -> Result<Options, UsageError> {
        let mut options = Options::new();
        if let Some(file) = self.value(Id::Config) {
            options = options.config_file(file);
        }
        if let Some(list) = self.text(Id::Backend)? {
            options = options.backends(list.split(',').map(str::trim));
        }
        if let Some(on_error) = self.text(Id::OnError)?.and_then(OnError::parse) {
            options = options.on_error(on_error);
        }
        if let Some(text) = self.text(Id::Timeout)? {
            options = options.timeout(seconds(text, "--timeout")?);
        }
        if self.has(Id::NoInput) {
            options = options.no_input(true);
        }
        Ok(options)
    }

    /// How much to tell.
    pub fn messages(&self) -> Messages {
        Messages::new(self.has(Id::Verbose), self.has(Id::Quiet))
    }
}

/// The command that a word names.
pub fn find_command(operand: &OsStr) -> Result<&'static Command, UsageError> {
    let name = operand.to_string_lossy();
    table::command(&name).ok_or_else(|| {
        let advice = advice(&name, &commands());
        UsageError::new(format!(
            "unknown command {}: {advice}",
            text::quoted(&*name)
        ))
    })
}

fn commands() -> Vec<&'static str> {
    COMMANDS.iter().map(|command| command.name).collect()
}

fn unknown_option(given: &str, command: Option<&Command>) -> UsageError {
    let name = given.trim_start_matches('-');
    let near = nearest(name, FLAGS.iter().map(|flag: &Flag| flag.long))
        .filter(|_| given.starts_with("--"));
    UsageError::new(match near {
        Some(near) => {
            let advice = did_you_mean(&format!("--{near}"));
            format!("unknown option {given}: {advice}")
        }
        None if command.is_none_or(|command| !command.usage.contains("NAME")) => {
            format!("unknown option {given}")
        }
        None => format!("unknown option {given}; a name that begins with - needs -- before it"),
    })
}
