//! The one table of commands and flags. The parser, both helps, the man page, the completions and the README's
//! synopsis are drawn from it; what is not declared here cannot be given.

use super::{Parsed, Status, config, credential, exec, get, help, list_backends, resolve};

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
        usage: "[OPTION]... NAME...",
        about: "print one secret",
        description: "Asks the backends of the chain in order and writes the value of the first one that has the \
            secret to standard output, followed by a newline if the value does not end in one. A backend that fails \
            ends the lookup: a failure never becomes a default or another store's value, unless --on-error continue \
            is given.",
        run: get::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "exec",
        usage: "[OPTION]... -- CMD [ARG]...",
        about: "run a command with secrets in its environment",
        description: "Looks up all the secrets at the same time, then becomes the command (execve), so that \
            the command keeps the process id, terminal, signals and exit status. If a secret failed, or is missing \
            and not optional, every such secret is reported and nothing is started. One newline at the end of a value \
            is dropped, as $(...) does. Of the MXM_SECRETS_* variables, only those that stand for options and \
            configuration keys reach the command.",
        run: exec::run,
        own_failure: Some(Status::Own),
        runs_another: true,
    },
    Command {
        name: "resolve",
        usage: "[OPTION]... [NAME]...",
        about: "show which backend has a secret, not its value",
        description: "Makes the same lookup as get and discards the value, so found means that get would print it. \
            Prints the name, the backend and the locator, separated by tabs.",
        run: resolve::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "list-backends",
        usage: "[OPTION]...",
        about: "show which backends are set up on this machine",
        description: "Shows every backend, those of the chain first and in order: whether it is ready, what it uses, \
            and if it is not ready, why not and how to fix it. It reads no secret and never prompts.",
        run: list_backends::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "config",
        usage: "[OPTION]...",
        about: "show the configuration and where each value comes from",
        description: "Shows every configuration key, the value in effect, and where that value comes from: \
            a file and line, a variable, an option, or the built-in default. Nothing is looked up, and no value is a \
            secret: the configuration cannot hold one. Vault's own variables (VAULT_ADDR and others) take precedence \
            over what is shown here; list-backends shows the result.",
        run: config::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "credential",
        usage: "[OPTION]...",
        about: "answer systemd when it asks for a unit's credential",
        description: "Is started by systemd for LoadCredential=ID:/run/mxm-secrets/credential, through the unit \
            mxm-secrets-credential.socket. systemd itself says which unit asks for which ID. If credentials_for in the \
            configuration allows it, looks the secret up and writes its exact bytes to the socket, which must be \
            standard input. ID is a name in refs, SET.VAR of a set, or the name of a secret with _ for each /. If there \
            is no secret, writes nothing, and says why on standard error, which is the journal. systemd cannot be told \
            so: the unit starts with an empty credential, which the credentials backend calls missing.",
        run: credential::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "help",
        usage: "[COMMAND]",
        about: "show help, like --help",
        description: "Shows the help of COMMAND, or of the program.",
        run: help::run,
        own_failure: None,
        runs_another: false,
    },
    Command {
        name: "version",
        usage: "",
        about: "show the version, like --version",
        description: "Shows the version and the backends built in.",
        run: help::run_version,
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
    Value,
    Template,
    Stdin,
    Set,
    From,
    CleanEnv,
    Keep,
    JsonErrors,
    Explain,
    All,
    Json,
    Login,
    Recipes,
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

impl Id {
    fn flag(self) -> &'static Flag {
        // Each is declared once, in this order; a test says so.
        &FLAGS[self as usize]
    }

    /// The flag, as it is written.
    pub fn spelled(self) -> String {
        format!("--{}", self.flag().long)
    }

    /// The name of its value in the documentation.
    pub fn takes(self) -> &'static str {
        self.flag().takes.value().unwrap_or_default()
    }
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
const LOOKUPS: &[&str] = &["get", "exec", "resolve", "credential"];

/// The commands that open the chain.
const CHAIN: &[&str] = &[
    "get",
    "exec",
    "resolve",
    "list-backends",
    "config",
    "credential",
];

/// Every flag, in the order in which they are listed.
pub const FLAGS: &[Flag] = &[
    Flag {
        id: Id::Default,
        long: "default",
        short: None,
        takes: Takes::Text("V"),
        variable: None,
        commands: &["get"],
        about: "if the secret is missing, print V, exit with 3",
        more: "V is used only if the secret is missing, never if a backend failed, unless --on-error continue \
            is given.",
    },
    Flag {
        id: Id::DefaultOk,
        long: "default-ok",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["get"],
        about: "with --default: exit with 0 instead of 3",
        more: "For shell scripts that use set -e.",
    },
    Flag {
        id: Id::Raw,
        long: "raw",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["get"],
        about: "print the exact bytes, without adding a newline",
        more: "Without it, get adds a newline if the value does not end in one.",
    },
    Flag {
        id: Id::Secret,
        long: "secret",
        short: None,
        takes: Takes::Text("[VAR=]NAME"),
        variable: None,
        commands: &["exec"],
        about: "set the variable VAR to the secret",
        more: "Without VAR=, the variable is the name in upper case, with _ for every character other than A-Z and 0-9: \
            prod/api-key becomes PROD_API_KEY. May be given more than once.",
    },
    Flag {
        id: Id::Optional,
        long: "optional",
        short: None,
        takes: Takes::Text("[VAR=]NAME"),
        variable: None,
        commands: &["exec"],
        about: "like --secret, but if it is missing, unset VAR",
        more: "VAR is removed even if it was set before. A failure is still a failure.",
    },
    Flag {
        id: Id::File,
        long: "file",
        short: None,
        takes: Takes::Text("VAR=NAME"),
        variable: None,
        commands: &["exec"],
        about: "set VAR to the path of a file with the secret",
        more: "The file is in memory, sealed and read-only (Linux): the value is neither in the environment nor on a disk. \
            Its bytes are exactly those stored. The path, /proc/PID/fd/N, also works in the command's children, even if \
            they close their descriptors. It does not work for another user (sudo -u), nor once the command has ended.",
    },
    Flag {
        id: Id::Value,
        long: "value",
        short: None,
        takes: Takes::Text("VAR=TEXT"),
        variable: None,
        commands: &["exec"],
        about: "set VAR to TEXT, with secrets for {{NAME}}",
        more: "{{NAME}} is the value without a newline at its end; {{NAME|url}} percent-encodes it for any part of a \
            URL, {{NAME|json}} makes it the inside of a JSON string, {{NAME|sh}} one word for a shell, {{NAME|base64}} \
            base64. {{{{ stands for {{. What a value contains is never read again.",
    },
    Flag {
        id: Id::Template,
        long: "template",
        short: None,
        takes: Takes::Text("VAR=FILE"),
        variable: None,
        commands: &["exec"],
        about: "set VAR to the path of FILE with secrets filled in",
        more: "FILE has {{NAME}} and the like, as with --value; the result is a file in memory, as with --file.",
    },
    Flag {
        id: Id::Stdin,
        long: "stdin",
        short: None,
        takes: Takes::Text("NAME"),
        variable: None,
        commands: &["exec"],
        about: "give the command the secret as its standard input",
        more: "Its bytes are exactly those stored, in a file in memory, as with --file. May be given once.",
    },
    Flag {
        id: Id::Set,
        long: "set",
        short: None,
        takes: Takes::Text("SET"),
        variable: None,
        commands: &["exec", "resolve"],
        about: "all that SET of the configuration asks for",
        more: "May be given more than once, and beside the other options; a variable that is given twice is an error. \
            resolve looks up the same without starting anything, and reports every problem at once: mistakes, too.",
    },
    Flag {
        id: Id::From,
        long: "from",
        short: None,
        takes: Takes::Path("FILE"),
        variable: None,
        commands: &["exec", "resolve"],
        about: "all that the set in FILE asks for",
        more: "FILE has the key secrets, with what a set of the configuration has. Others must not be able to write it.",
    },
    Flag {
        id: Id::CleanEnv,
        long: "clean-env",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["exec"],
        about: "give the command no other environment variables",
        more: "It gets nothing but the secrets and the variables named by --keep.",
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
        id: Id::JsonErrors,
        long: "json-errors",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["exec", "resolve"],
        about: "report problems as JSON, one object per line",
        more: "On standard error: schema (1), problem (missing, failed, denied, usage, command or warning; null for what \
            -v reports), name (or null), message, hint (or null), transient (whether another try may do, or null). All \
            that mxm-secrets writes there is JSON then. With resolve, also what --json and --explain report.",
    },
    Flag {
        id: Id::Explain,
        long: "explain",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["resolve"],
        about: "show each backend of the chain and its answer",
        more: "A table for each NAME; with --set or --from, one table of all secrets.",
    },
    Flag {
        id: Id::All,
        long: "all",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["resolve"],
        about: "also ask the backends after the first hit",
        more: "With --explain or --json. A later backend that also has the secret is shown as shadowed.",
    },
    Flag {
        id: Id::Json,
        long: "json",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["get", "resolve", "list-backends", "config"],
        about: "print JSON, one object per line",
        more: "With get, an object for each NAME, in order: what resolve --json prints, and value_base64, the exact \
            bytes in base64, or null if there are none. With resolve, each problem that is of no lookup has an object \
            of its own behind the others, with the keys of --json-errors: a mistake (of a set, its file, a template or \
            the configuration), a name that a policy denies, a value that exec could not hand over.",
    },
    Flag {
        id: Id::Login,
        long: "login",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["list-backends"],
        about: "try the login of a backend, too",
        more: "Without it, ready does not say whether the credentials of a login are right. The token is revoked at once.",
    },
    Flag {
        id: Id::Recipes,
        long: "recipes",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["list-backends"],
        about: "list the recipes for backends of your own",
        more: "For each, it shows what it was tried with and its parameters. With --json, it shows all of it. \
            Nothing else is read.",
    },
    Flag {
        id: Id::Check,
        long: "check",
        short: None,
        takes: Takes::Nothing,
        variable: None,
        commands: &["config"],
        about: "check the configuration, including every layer",
        more: "In an MXM configuration store, checks the defaults with every environment, machine, substrate and \
            role, whether in effect here or not. If there are mistakes, prints all of them and exits with 2.",
    },
    Flag {
        id: Id::Config,
        long: "config",
        short: None,
        takes: Takes::Path("FILE"),
        variable: Some("MXM_SECRETS_CONFIG"),
        commands: CHAIN,
        about: "read this configuration file",
        more: "Used instead of the MXM configuration store and ~/.config/mxm-secrets/config.yaml.",
    },
    Flag {
        id: Id::Backend,
        long: "backend",
        short: None,
        takes: Takes::Backends("A[,B...]"),
        variable: Some("MXM_SECRETS_BACKENDS"),
        commands: CHAIN,
        about: "ask these backends, in this order",
        more: "A backend named by this option that is unavailable counts as failed; one named by the variable is \
            skipped. A name in refs is asked in its store: the option must then name the backend of the store, and the \
            variable does not count.",
    },
    Flag {
        id: Id::OnError,
        long: "on-error",
        short: None,
        takes: Takes::Word("WHAT", crate::chain::OnError::WORDS),
        variable: Some("MXM_SECRETS_ON_ERROR"),
        commands: LOOKUPS,
        about: "after a failure: stop (the default) or continue",
        more: "With continue, a backend that failed is skipped, like one that does not have the secret. If no other \
            backend has it either, the default is used; without a default the lookup has failed.",
    },
    Flag {
        id: Id::Timeout,
        long: "timeout",
        short: None,
        takes: Takes::Text("SECONDS"),
        variable: Some("MXM_SECRETS_TIMEOUT"),
        commands: CHAIN,
        about: "seconds for each backend and name (default 10)",
        more: "A number from 0.001 to 86400, or with a unit: 10s, 500ms, 1m. At its end the backend's program is asked to end, then killed with all \
            it has started, and the answer is failed. All lookups of a command together end within this time, \
            multiplied by the number of backends in the chain, however many names there are; what was not asked for \
            by then has failed. When a person is there, a backend that may prompt has no deadline, nor has a \
            command whose chain has one, unless a time is given by this flag or its variable.",
    },
    Flag {
        id: Id::NoInput,
        long: "no-input",
        short: None,
        takes: Takes::Nothing,
        variable: Some("MXM_SECRETS_NO_INPUT"),
        commands: LOOKUPS,
        about: "never prompt or wait for a person",
        more: "This is the default when standard error is not a terminal. MXM_SECRETS_NO_INPUT=1 has the same effect; \
            MXM_SECRETS_NO_INPUT=0 says that a person is present anyway.",
    },
    Flag {
        id: Id::Verbose,
        long: "verbose",
        short: Some('v'),
        takes: Takes::Nothing,
        variable: None,
        commands: LOOKUPS,
        about: "report each backend's answer as it happens",
        more: "Writes one line per backend asked to standard error: hit, miss, unavailable or failed, why, and how \
            long it took.",
    },
    Flag {
        id: Id::Quiet,
        long: "quiet",
        short: Some('q'),
        takes: Takes::Nothing,
        variable: None,
        commands: CHAIN,
        about: "suppress hints and warnings, but not errors",
        more: "",
    },
    Flag {
        id: Id::Help,
        long: "help",
        short: Some('h'),
        takes: Takes::Nothing,
        variable: None,
        commands: &[],
        about: "show help (-h: summary, --help: everything)",
        more: "",
    },
    Flag {
        id: Id::Version,
        long: "version",
        short: Some('V'),
        takes: Takes::Nothing,
        variable: None,
        commands: &[],
        about: "show the version and the built-in backends",
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
        for (index, flag) in FLAGS.iter().enumerate() {
            assert_eq!(flag.id as usize, index, "{}", flag.long);
        }
        assert_eq!(
            Id::Version as usize + 1,
            FLAGS.len(),
            "an Id without its flag"
        );
    }
}
