//! The one table of commands and flags. The parser, both helps, the man page, the completions and the README's
//! synopsis are drawn from it; what is not declared here cannot be given.

use super::{Parsed, Status, get};

/// A subcommand.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What follows the name, in a synopsis.
    pub usage: &'static str,
    /// One line, for a list of commands.
    pub about: &'static str,
    /// All of it, in paragraphs.
    pub description: &'static str,
    /// Does it.
    pub run: fn(&Parsed) -> anyhow::Result<Status>,
    /// The status of our own failures, where it is not that of their kind.
    pub own_failure: Option<Status>,
}

/// Every subcommand, in the order in which they are listed.
pub const COMMANDS: &[Command] = &[Command {
    name: "get",
    usage: "[OPTION]... NAME",
    about: "print one secret",
    description: "Asks the backends of the chain in their order and writes the value of the first that has the secret to \
        standard output, with a newline if it does not end in one. A backend that could not tell ends the lookup: a \
        failure never turns into a default or into another store's value.",
    run: get::run,
    own_failure: None,
}];

/// Tells the flags apart in the code. Each stands in [`FLAGS`] once; a test says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "FLAGS describes each")]
pub enum Id {
    Default,
    DefaultOk,
    Raw,
    Backend,
    OnError,
    Timeout,
    NoInput,
    Verbose,
    Quiet,
    Help,
    Version,
}

/// What a flag takes.
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Any text, under this name in the documentation.
    Text(&'static str),
    /// One of these words.
    Word(&'static str, &'static [&'static str]),
    /// Names of backends with commas between them.
    Backends(&'static str),
}

impl Takes {
    /// The name of the value in the documentation.
    pub fn value(&self) -> Option<&'static str> {
        match self {
            Takes::Nothing => None,
            Takes::Text(name) | Takes::Word(name, _) | Takes::Backends(name) => Some(name),
        }
    }
}

/// A flag.
pub struct Flag {
    /// Its name in the code.
    pub id: Id,
    /// Its long name, without the dashes.
    pub long: &'static str,
    /// Its short name.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// The environment variable that says the same.
    pub variable: Option<&'static str>,
    /// The commands that know it; empty: all of them, and the program itself.
    pub commands: &'static [&'static str],
    /// One line.
    pub about: &'static str,
    /// What else there is to say, in sentences.
    pub more: &'static str,
}

/// The commands that look secrets up.
const LOOKUPS: &[&str] = &["get"];

/// Every flag, in the order in which they are listed.
pub const FLAGS: &[Flag] = &[
    Flag {
        id: Id::Default,
        long: "default",
        short: None,
        takes: Takes::Text("V"),
        variable: None,
        commands: &["get"],
        about: "print V when the secret is missing, status 3",
        more: "V stands in for a missing secret alone, never for one that a backend could not tell of, unless \
            --on-error continue is given.",
    },
    Flag {
        id: Id::DefaultOk,
        long: "default-ok",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["get"],
        about: "with --default: status 0 in place of 3",
        more: "For shells that run with set -e.",
    },
    Flag {
        id: Id::Raw,
        long: "raw",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["get"],
        about: "print the bytes exactly, adding no newline",
        more: "Without it, get ends the value with a newline if it has none.",
    },
    Flag {
        id: Id::Backend,
        long: "backend",
        short: None,
        takes: Takes::Backends("A[,B...]"),
        variable: Some("MXM_SECRETS_BACKENDS"),
        commands: LOOKUPS,
        about: "ask these backends, in this order",
        more: "A backend asked for by this flag that is not available counts as failed.",
    },
    Flag {
        id: Id::OnError,
        long: "on-error",
        short: None,
        takes: Takes::Word("WHAT", mxm_secrets::config::OnError::WORDS),
        variable: None,
        commands: LOOKUPS,
        about: "after a failure: stop (the default) or continue",
        more: "With continue, a backend that could not tell is passed over like one that has no such secret. If none \
            of the others has it either, the default stands in; without a default the lookup has failed.",
    },
    Flag {
        id: Id::Timeout,
        long: "timeout",
        short: None,
        takes: Takes::Text("SECONDS"),
        variable: Some("MXM_SECRETS_TIMEOUT"),
        commands: LOOKUPS,
        about: "how long each backend may take (default 10)",
        more: "A number from 0.001 to 86400. At its end the backend's program is killed with all it has started, and \
            the answer is failed. When a person is there, a backend that may prompt has no deadline unless one is \
            given by this flag or its variable.",
    },
    Flag {
        id: Id::NoInput,
        long: "no-input",
        short: None,
        takes: Takes::Nothing,
        variable: Some("MXM_SECRETS_NO_INPUT"),
        commands: LOOKUPS,
        about: "never prompt or wait for a person",
        more: "This is so by itself when standard error is not a terminal. MXM_SECRETS_NO_INPUT=1 says the same; \
            MXM_SECRETS_NO_INPUT=0 says that a person is there all the same.",
    },
    Flag {
        id: Id::Verbose,
        long: "verbose",
        short: Some('v'),
        takes: Takes::Nothing,
        variable: None,
        commands: LOOKUPS,
        about: "tell what each backend answers, as it happens",
        more: "One line per backend asked on standard error: hit, miss, unavailable or failed, why, and the time it \
            took.",
    },
    Flag {
        id: Id::Quiet,
        long: "quiet",
        short: Some('q'),
        takes: Takes::Nothing,
        variable: None,
        commands: LOOKUPS,
        about: "no hints and no warnings; errors stay",
        more: "",
    },
    Flag {
        id: Id::Help,
        long: "help",
        short: Some('h'),
        takes: Takes::Nothing,
        variable: None,
        commands: &[],
        about: "show help; -h is short, --help is whole",
        more: "",
    },
    Flag {
        id: Id::Version,
        long: "version",
        short: Some('V'),
        takes: Takes::Nothing,
        variable: None,
        commands: &[],
        about: "show the version and the backends built in",
        more: "",
    },
];

/// The command called `name`.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

impl Flag {
    /// Whether `command` knows this flag.
    pub fn applies_to(&self, command: &Command) -> bool {
        self.commands.is_empty() || self.commands.contains(&command.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_declared_once() {
        for (index, flag) in FLAGS.iter().enumerate() {
            for other in &FLAGS[index + 1..] {
                assert!(
                    flag.id != other.id && flag.long != other.long,
                    "{}",
                    flag.long
                );
                assert!(
                    flag.short.is_none() || flag.short != other.short,
                    "{}",
                    flag.long
                );
            }
            assert!(
                flag.commands.iter().all(|name| command(name).is_some()),
                "{}",
                flag.long
            );
        }
        assert_eq!(
            Id::Version as usize + 1,
            FLAGS.len(),
            "an Id without its flag"
        );
    }
}
