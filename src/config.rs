//! What is configured: flags, then variables, then built-in defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Options;
use crate::backend::{self, BACKENDS};
use crate::nearest::nearest;
use crate::sys;

/// One key of a backend's section.
#[derive(Debug)]
pub struct Key {
    /// Its name; a dot stands between the names of a nested one.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The value when it is not given, as the documentation shows it.
    pub default: &'static str,
    /// An environment variable that gives the same and wins over the configuration.
    pub variable: Option<&'static str>,
    /// One line for people.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A list of texts; one text alone is a list of one.
    Texts,
    /// A file or directory: may begin with `~/`, and a relative one is relative to the configuration file.
    Path,
    /// A list of such.
    Paths,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Yes or no.
    Bool,
    /// A list of whole numbers from 0 to 255, exit statuses.
    Statuses,
}

/// The value of a key, of the type that its [`Kind`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Texts`].
    Texts(Vec<String>),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Paths`].
    Paths(Vec<PathBuf>),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Statuses`].
    Statuses(Vec<u8>),
}

/// What is configured for one backend. Every value has the type of its key, so that the accessors cannot fail; they
/// give `None` for a key that is not given.
#[derive(Debug, Default)]
pub struct Section {
    /// The backend's name.
    pub name: String,
    values: Vec<(&'static str, Value)>,
}

macro_rules! accessor {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty, $via:expr) => {
        $(#[$doc])*
        pub fn $name(&self, key: &str) -> Option<$type> {
            match self.value(key)? {
                Value::$variant(value) => Some($via(value)),
                _ => None,
            }
        }
    };
}

impl Section {
    accessor!(/// A text.
        text, Text, &str, String::as_str);
    accessor!(/// A list of texts.
        texts, Texts, &[String], Vec::as_slice);
    accessor!(/// A path, absolute.
        path, Path, &Path, PathBuf::as_path);
    accessor!(/// A list of paths, absolute.
        paths, Paths, &[PathBuf], Vec::as_slice);
    accessor!(/// Yes or no.
        flag, Bool, bool, |value: &bool| *value);
    accessor!(/// A list of exit statuses.
        statuses, Statuses, &[u8], Vec::as_slice);

    fn value(&self, key: &str) -> Option<&Value> {
        self.values
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }
}

/// What the chain does after a backend that could not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It ends: the lookup has failed.
    Stop,
    /// It asks the next one; only a hit or a default can follow then, never "missing".
    Continue,
}

impl OnError {
    /// The words for it, in the order of [`OnError::parse`].
    pub const WORDS: &'static [&'static str] = &["stop", "continue"];

    /// `stop` or `continue`.
    pub fn parse(word: &str) -> Option<OnError> {
        match word {
            "stop" => Some(OnError::Stop),
            "continue" => Some(OnError::Continue),
            _ => None,
        }
    }
}

/// Everything that [`Options::open`] needs to know.
#[derive(Debug)]
pub struct Settings {
    /// The chain, in order, without repetition; every one is in [`BACKENDS`] and built in.
    pub backends: Vec<String>,
    /// Whether the user has asked for those backends by name (`--backend`).
    pub by_name: bool,
    /// What follows a failure.
    pub on_error: OnError,
    /// The deadline of one question.
    pub timeout: Duration,
    /// Whether the timeout was given for this call, so that it holds for a person at a prompt, too.
    pub timeout_for_prompts: bool,
    /// Whether no person is there.
    pub unattended: bool,
}

/// The chain when nothing says otherwise.
pub const DEFAULT_CHAIN: &[&str] = &["gopass", "env"];
/// The deadline of one question when nothing says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest deadline: a day.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);

/// A mistake in what the user said or configured: exit status 2, and nothing was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl Settings {
    /// Puts together what the options, the environment and the defaults say.
    ///
    /// # Errors
    /// Whatever is wrong in them.
    pub fn load(options: &Options) -> Result<Settings, UsageError> {
        let backends = match &options.backends {
            Some(names) => chain(names, "--backend")?,
            None => match variable("MXM_SECRETS_BACKENDS")? {
                Some(list) => chain(
                    &list
                        .split(',')
                        .map(|name| name.trim().to_owned())
                        .collect::<Vec<_>>(),
                    "MXM_SECRETS_BACKENDS",
                )?,
                None => DEFAULT_CHAIN.iter().map(|&name| name.to_owned()).collect(),
            },
        };
        let given = match options.timeout {
            Some(timeout) => Some(timeout),
            None => variable("MXM_SECRETS_TIMEOUT")?
                .map(|text| seconds(&text, "MXM_SECRETS_TIMEOUT"))
                .transpose()?,
        };
        let unattended = match options.no_input {
            Some(no_input) => no_input,
            None => match variable("MXM_SECRETS_NO_INPUT")?.as_deref() {
                None => !sys::is_terminal(sys::STDERR),
                Some("1") => true,
                Some("0") => false,
                Some(other) => {
                    return Err(UsageError(format!(
                        "MXM_SECRETS_NO_INPUT is {other:?}: it takes 1 (no person is there) or 0"
                    )));
                }
            },
        };
        Ok(Settings {
            backends,
            by_name: options.backends.is_some(),
            on_error: options.on_error.unwrap_or(OnError::Stop),
            timeout: given.unwrap_or(DEFAULT_TIMEOUT),
            timeout_for_prompts: given.is_some(),
            unattended,
        })
    }

    /// The section of the backend `name`.
    pub fn section(&self, name: &str) -> Section {
        let keys = backend::entry(name).map_or(&[][..], |entry| entry.keys);
        Section {
            name: name.to_owned(),
            values: keys.iter().filter_map(from_environment).collect(),
        }
    }
}

/// What the variable of `key` says.
fn from_environment(key: &Key) -> Option<(&'static str, Value)> {
    let text = variable(key.variable?).ok()??;
    let value = match key.kind {
        Kind::Text | Kind::Choice(_) => Value::Text(text),
        Kind::Path => Value::Path(PathBuf::from(text)),
        Kind::Bool => Value::Bool(matches!(text.as_str(), "1" | "true" | "yes")),
        _ => return None,
    };
    Some((key.name, value))
}

/// A variable of our own; an empty one counts as not given.
fn variable(name: &str) -> Result<Option<String>, UsageError> {
    match std::env::var_os(name) {
        None => Ok(None),
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => match value.into_string() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(UsageError(format!("{name} is not UTF-8"))),
        },
    }
}

/// Checks the names of a chain; `source` is where the user gave them.
fn chain(names: &[String], source: &str) -> Result<Vec<String>, UsageError> {
    let mut chain = Vec::with_capacity(names.len());
    for name in names {
        match backend::entry(name) {
            Some(entry) if entry.open.is_none() => {
                return Err(UsageError(format!(
                    "{source}: the backend {name} is not built into this program"
                )));
            }
            Some(_) if chain.contains(name) => {
                return Err(UsageError(format!("{source}: {name} is named twice")));
            }
            Some(_) => chain.push(name.clone()),
            None => {
                let known: Vec<&str> = BACKENDS.iter().map(|entry| entry.name).collect();
                let advice = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("there are {}", known.join(", ")),
                };
                return Err(UsageError(format!(
                    "{source}: no backend is called {name:?}: {advice}"
                )));
            }
        }
    }
    Ok(chain)
}

/// Reads a number of seconds such as `10` or `0.5`; `source` is where the user gave it.
///
/// # Errors
/// Anything but decimal digits with at most one point, zero, and more than [`LONGEST_TIMEOUT`].
pub fn seconds(text: &str, source: &str) -> Result<Duration, UsageError> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse::<f64>() {
        Ok(seconds) if plain && seconds >= 0.001 && seconds <= LONGEST_TIMEOUT.as_secs_f64() => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(UsageError(format!(
            "{source} {text:?}: it takes a number of seconds from 0.001 to 86400, such as 10 or 0.5"
        ))),
    }
}
