//! The one table of commands and flags. The parser, both helps, the man page, the completions and the README's
//! synopsis are drawn from it; what is not declared here cannot be given.

use super::{Parsed, Status, config, exec, get, list_backends, resolve};

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
    /// Whether it runs another command, which stands after `--`.
    pub runs_another: bool,
}

/// Every subcommand, in the order in which they are listed.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "get",
        usage: "[OPTION]... NAME",
        about: "print one secret",
        description: "Asks the backends of the chain in their order and writes the value of the first that has the \
            secret to standard output, with a newline if it does not end in one. A backend that could not tell ends \
            the lookup: a failure never turns into a default or into another store's value, unless --on-error continue is \
            given.",
        run: get::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "exec",
        usage: "[OPTION]... -- CMD [ARG]...",
        about: "run a command with secrets in its environment",
        description: "Looks up every secret that is asked for, side by side, and then becomes the command, so that \
            its process id, terminal, signals and status are its own. If any secret is failed, or missing and not \
            optional, all of those are reported and nothing is started. One newline at the end of a value is dropped, \
            as $(...) does. Of the variables MXM_SECRETS_*, only those of options and of keys of the configuration \
            reach the command.",
        run: exec::run,
        own_failure: Some(Status::Own),
        runs_another: true,
    },
    Command {
        name: "resolve",
        usage: "[OPTION]... NAME...",
        about: "tell which backend has a secret, not its value",
        description: "Makes the same lookup as get and throws the value away, so that found means that get would \
            print it. Prints the name, the backend and the locator, with tabs between them.",
        run: resolve::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "list-backends",
        usage: "[OPTION]...",
        about: "tell which backends are set up on this machine",
        description: "Shows every backend, those of the chain first and in their order: whether it is ready, what it \
            would use, and if it is not ready, why and what to do about it. Asks for no secret and no person.",
        run: list_backends::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "config",
        usage: "[OPTION]...",
        about: "tell what is configured, and where it says so",
        description: "Shows every key of the configuration with the value that is in effect and where it comes from: \
            a file and its line, a variable, an option, or built in. Nothing is looked up, and no value is a secret: \
            the configuration cannot hold one. The official variables of Vault (VAULT_ADDR and others) win over what \
            is shown here; list-backends shows what they lead to.",
        run: config::run,
        own_failure: None,
        runs_another: false,
    },
];

/// Tells the flags apart in the code. Each stands in [`FLAGS`] once; a test says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "FLAGS describes each")]
pub enum Id {
    Default,
    DefaultOk,
    Raw,
    Secret,
    Optional,
    File,
    CleanEnv,
    Keep,
    Explain,
    All,
    Json,
    Check,
    Config,
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
    /// The name of an environment variable.
    Variable(&'static str),
    /// A file.
    Path(&'static str),
    /// Names of backends with commas between them.
    Backends(&'static str),
}

impl Takes {
    /// The name of the value in the documentation.
    pub fn value(&self) -> Option<&'static str> {
        match self {
            Takes::Nothing => None,
            Takes::Text(name)
            | Takes::Variable(name)
            | Takes::Path(name)
            | Takes::Word(name, _)
            | Takes::Backends(name) => Some(name),
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
const LOOKUPS: &[&str] = &["get", "exec", "resolve"];

/// The commands that open the chain.
const CHAIN: &[&str] = &["get", "exec", "resolve", "list-backends", "config"];

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
        id: Id::Secret,
        long: "secret",
        short: None,
        takes: Takes::Text("[VAR=]NAME"),
        variable: None,
        commands: &["exec"],
        about: "put the secret into the variable VAR",
        more: "Without VAR=, the variable is the name in upper case with _ for every other character: prod/api-key becomes PROD_API_KEY. May be given more than once.",
    },
    Flag {
        id: Id::Optional,
        long: "optional",
        short: None,
        takes: Takes::Text("[VAR=]NAME"),
        variable: None,
        commands: &["exec"],
        about: "the same; when missing, VAR is not set",
        more: "VAR is then not set even if it was set before. A failure is still a failure.",
    },
    Flag {
        id: Id::File,
        long: "file",
        short: None,
        takes: Takes::Text("VAR=NAME"),
        variable: None,
        commands: &["exec"],
        about: "put the path of a file with the secret into VAR",
        more: "The file is in memory, sealed and read-only (Linux): the value is neither in the environment nor on a disk. Its bytes are exactly those stored.",
    },
    Flag {
        id: Id::CleanEnv,
        long: "clean-env",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["exec"],
        about: "start the command with an empty environment",
        more: "But for the secrets and what --keep names.",
    },
    Flag {
        id: Id::Keep,
        long: "keep",
        short: None,
        takes: Takes::Variable("VAR"),
        variable: None,
        commands: &["exec"],
        about: "with --clean-env: keep the variable VAR",
        more: "May be given more than once.",
    },
    Flag {
        id: Id::Explain,
        long: "explain",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["resolve"],
        about: "show the chain: who was asked and what they said",
        more: "",
    },
    Flag {
        id: Id::All,
        long: "all",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["resolve"],
        about: "ask the backends after the first hit, too",
        more: "With --explain or --json. Those that have the secret as well are shadowed.",
    },
    Flag {
        id: Id::Json,
        long: "json",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["resolve", "list-backends", "config"],
        about: "print JSON, one object per line",
        more: "",
    },
    Flag {
        id: Id::Check,
        long: "check",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["config"],
        about: "check the configuration, all of its layers",
        more: "In the MXM configuration store that is the default with every environment, machine, substrate and \
            role there is, whether it is in effect here or not. Status 2 and all mistakes, if there are any.",
    },
    Flag {
        id: Id::Config,
        long: "config",
        short: None,
        takes: Takes::Path("FILE"),
        variable: Some("MXM_SECRETS_CONFIG"),
        commands: CHAIN,
        about: "read this configuration file",
        more: "In place of the MXM configuration store and of ~/.config/mxm-secrets/config.yaml.",
    },
    Flag {
        id: Id::Backend,
        long: "backend",
        short: None,
        takes: Takes::Backends("A[,B...]"),
        variable: Some("MXM_SECRETS_BACKENDS"),
        commands: CHAIN,
        about: "ask these backends, in this order",
        more: "A backend asked for by this flag that is not available counts as failed; one that the variable names \
            is passed over.",
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
        commands: CHAIN,
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
        commands: CHAIN,
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
