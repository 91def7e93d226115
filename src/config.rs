//! What is configured: flags, then variables, then the configuration, then built-in defaults.
//!
//! `files` finds and reads the files, `yaml` says what is in them, `layers` puts them together, `interpolation` says
//! where a value leads, and `check` gives every value the type of its key. Without the Cargo feature `config` there is no file at all.

#[cfg(feature = "config")]
mod check;
#[cfg(feature = "config")]
mod files;
#[cfg(all(fuzzing, feature = "config"))]
mod fuzzing;
#[cfg(feature = "config")]
mod interpolation;
#[cfg(feature = "config")]
mod layers;
#[cfg(feature = "config")]
mod yaml;

#[cfg(all(fuzzing, feature = "config"))]
pub(crate) use fuzzing::configuration;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::Options;
use crate::backend::{self, BACKENDS, Entry};
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
    /// A list of whole numbers from 1 to 255, exit statuses.
    Statuses,
    /// A program and its arguments. With a slash in it, the program is a path as in [`Kind::Path`].
    Command,
    /// A number of seconds.
    Seconds,
}

/// The value of a key, of the type that its [`Kind`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Texts`] and [`Kind::Command`].
    Texts(Vec<String>),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Paths`].
    Paths(Vec<PathBuf>),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Statuses`].
    Statuses(Vec<u8>),
    /// Of [`Kind::Seconds`].
    Seconds(Duration),
}

impl Value {
    /// What the variable `source` says, for a key of `kind`.
    fn of_variable(value: OsString, kind: Kind, source: &str) -> Result<Value, UsageError> {
        // Paths are bytes; all else is text.
        let text = match kind {
            Kind::Path => {
                let path = PathBuf::from(value);
                return Ok(Value::Path(std::path::absolute(&path).unwrap_or(path)));
            }
            Kind::Paths => return Ok(Value::Paths(std::env::split_paths(&value).collect())),
            _ => utf8(value, source)?,
        };
        let wrong = |takes: &str| {
            Err(UsageError(format!(
                "{source} is {text:?}: it takes {takes}"
            )))
        };
        Ok(match kind {
            Kind::Choice(words) if !words.contains(&text.as_str()) => {
                return wrong(&words.join(" or "));
            }
            Kind::Path | Kind::Paths | Kind::Text | Kind::Choice(_) => Value::Text(text),
            Kind::Texts | Kind::Command => {
                Value::Texts(text.split(',').map(str::to_owned).collect())
            }
            Kind::Bool => match text.to_ascii_lowercase().as_str() {
                "1" | "t" | "true" | "yes" | "on" => Value::Bool(true),
                "0" | "f" | "false" | "no" | "off" => Value::Bool(false),
                _ => return wrong("true or false"),
            },
            Kind::Seconds => Value::Seconds(seconds(&text, source)?),
            Kind::Statuses => {
                let numbers: Option<Vec<u8>> = text
                    .split(',')
                    .map(|number| number.trim().parse().ok().filter(|&number| number > 0))
                    .collect();
                match numbers {
                    Some(numbers) => Value::Statuses(numbers),
                    None => return wrong("numbers from 1 to 255"),
                }
            }
        })
    }

    /// The same with `***` for the password in every `scheme://user:password@host`.
    fn without_passwords(self) -> Value {
        let clean = |text: String| {
            let Some((scheme, rest)) = text.split_once("://") else {
                return text;
            };
            let host = rest.find('/').unwrap_or(rest.len());
            match rest.get(..host).and_then(|authority| authority.rfind('@')) {
                Some(at) => match rest[..at].split_once(':') {
                    Some((user, _)) => format!("{scheme}://{user}:***{}", &rest[at..]),
                    None => text,
                },
                None => text,
            }
        };
        match self {
            Value::Text(text) => Value::Text(clean(text)),
            Value::Texts(texts) => Value::Texts(texts.into_iter().map(clean).collect()),
            other => other,
        }
    }

    /// The default of a key, as its documentation shows it.
    fn of_default(key: &Key) -> Value {
        let list = || key.default.split(", ").filter(|item| !item.is_empty());
        match key.kind {
            Kind::Bool => Value::Bool(matches!(key.default, "true" | "yes")),
            Kind::Texts | Kind::Paths => Value::Texts(list().map(str::to_owned).collect()),
            Kind::Statuses => {
                Value::Statuses(list().filter_map(|item| item.parse().ok()).collect())
            }
            _ => Value::Text(key.default.to_owned()),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A configuration file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
    },
    /// An environment variable.
    Variable(&'static str),
    /// The caller: an option of the command line or of [`Options`].
    Flag(&'static str),
    /// Nothing says otherwise.
    BuiltIn,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Source::Variable(name) => write!(f, "${name}"),
            Source::Flag(name) => f.write_str(name),
            Source::BuiltIn => f.write_str("built in"),
        }
    }
}

/// One key and what is in effect for it, for `mxm-secrets config`. Never a secret: a password in an address is left out.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key, with the section before it: `timeout`, `gopass.prefix`.
    pub key: String,
    /// The value; a default as the documentation shows it.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// The key that every backend's section has.
const REQUIRED: Key = Key {
    name: "required",
    kind: Kind::Bool,
    default: "no",
    variable: None,
    about: "whether it counts as failed when it is unavailable",
};

/// What is configured for one backend. Every value has the type of its key, so that the accessors cannot fail; they
/// give `None` for a key that is not given.
#[derive(Debug, Default)]
pub struct Section {
    /// The backend's name.
    pub name: String,
    values: Vec<Given>,
}

/// One key that is given.
#[derive(Clone, Debug)]
struct Given {
    key: &'static str,
    value: Value,
    source: Source,
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
        self.given(key).map(|given| &given.value)
    }

    fn given(&self, key: &str) -> Option<&Given> {
        self.values.iter().find(|given| given.key == key)
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
    /// The chain, in order, without repetition; each is a backend that is built in, or one of the user's own.
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
    /// Where the chain, `on_error` and `timeout` come from.
    sources: [Source; 3],
    /// The sections of the configuration, those of the user's own backends included.
    sections: Vec<Section>,
}

/// What the configuration says, every value of the right type.
#[derive(Debug, Default)]
struct Configured {
    backends: Option<(Vec<String>, Source)>,
    on_error: Option<(OnError, Source)>,
    timeout: Option<(Duration, Source)>,
    sections: Vec<Section>,
}

/// The chain when nothing says otherwise.
pub const DEFAULT_CHAIN: &[&str] = &["gopass", "env"];
/// The deadline of one question when nothing says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest deadline: a day.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);

/// A mistake in what the user said or configured: exit status 2, and nothing was asked. Several mistakes stand on lines
/// of their own.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl Settings {
    /// Puts together what the options, the environment, the configuration and the defaults say.
    ///
    /// # Errors
    /// Whatever is wrong in them.
    pub fn load(options: &Options) -> Result<Settings, UsageError> {
        let configured = configured(options)?;
        let own = own_names(&configured.sections);
        let check = |names: &[String], source: &str| {
            chain(names, &own).map_err(|text| UsageError(format!("{source}: {text}")))
        };
        let (backends, chain_source) = match (&options.backends, variable("MXM_SECRETS_BACKENDS")?)
        {
            (Some(names), _) => (check(names, "--backend")?, Source::Flag("--backend")),
            (None, Some(list)) => {
                let names: Vec<String> =
                    list.split(',').map(|name| name.trim().to_owned()).collect();
                let names = check(&names, "MXM_SECRETS_BACKENDS")?;
                (names, Source::Variable("MXM_SECRETS_BACKENDS"))
            }
            (None, None) => configured.backends.unwrap_or_else(|| {
                let names = DEFAULT_CHAIN.iter().map(|&name| name.to_owned());
                (names.collect(), Source::BuiltIn)
            }),
        };
        let given = match (options.timeout, variable("MXM_SECRETS_TIMEOUT")?) {
            (Some(timeout), _) => Some((timeout, Source::Flag("--timeout"))),
            (None, Some(text)) => Some((
                seconds(&text, "MXM_SECRETS_TIMEOUT")?,
                Source::Variable("MXM_SECRETS_TIMEOUT"),
            )),
            (None, None) => None,
        };
        let timeout_for_prompts = given.is_some();
        let (timeout, timeout_source) = given
            .or(configured.timeout)
            .unwrap_or((DEFAULT_TIMEOUT, Source::BuiltIn));
        let (on_error, on_error_source) = options
            .on_error
            .map(|on_error| (on_error, Source::Flag("--on-error")))
            .or(configured.on_error)
            .unwrap_or((OnError::Stop, Source::BuiltIn));
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
            on_error,
            timeout,
            timeout_for_prompts,
            unattended,
            sources: [chain_source, on_error_source, timeout_source],
            sections: configured.sections,
        })
    }

    /// The names of all backends: those of the table, then the user's own.
    pub fn names(&self) -> Vec<&str> {
        let table = BACKENDS.iter().map(|entry| entry.name);
        table.chain(own_names(&self.sections)).collect()
    }

    /// The entry of the backend `name`, which may be one of the user's own.
    pub fn entry(&self, name: &str) -> Option<&'static Entry> {
        backend::entry(name).or_else(|| {
            let own = own_names(&self.sections).contains(&name);
            own.then_some(backend::OWN).flatten()
        })
    }

    /// What is configured for the backend `name`. Its variables win over its section.
    ///
    /// # Errors
    /// A variable of its that has no good value.
    pub fn section(&self, name: &str) -> Result<Section, UsageError> {
        let mut values = Vec::new();
        let keys = self.entry(name).map_or(&[] as &[Key], |entry| entry.keys);
        for key in keys {
            if let Some(source) = key.variable
                && let Some(value) = sys::variable(source)
            {
                values.push(Given {
                    key: key.name,
                    value: Value::of_variable(value, key.kind, source)?,
                    source: Source::Variable(source),
                });
            }
        }
        let section = self.sections.iter().find(|section| section.name == name);
        for given in section.into_iter().flat_map(|section| &section.values) {
            if !values.iter().any(|winner| winner.key == given.key) {
                values.push(given.clone());
            }
        }
        Ok(Section {
            name: name.to_owned(),
            values,
        })
    }

    /// Every key with what is in effect for it.
    ///
    /// # Errors
    /// A variable that has no good value.
    pub fn all(&self) -> Result<Vec<Setting>, UsageError> {
        let [chain, on_error, timeout] = self.sources.clone();
        let on_error_word = match self.on_error {
            OnError::Stop => "stop",
            OnError::Continue => "continue",
        };
        let top = [
            ("backends", Value::Texts(self.backends.clone()), chain),
            ("on_error", Value::Text(on_error_word.to_owned()), on_error),
            ("timeout", Value::Seconds(self.timeout), timeout),
        ];
        let mut all: Vec<Setting> = top
            .into_iter()
            .map(|(key, value, source)| Setting {
                key: key.to_owned(),
                value,
                source,
            })
            .collect();
        for name in self.names() {
            let Some(entry) = self.entry(name).filter(|entry| entry.open.is_some()) else {
                continue;
            };
            let section = self.section(name)?;
            for key in entry.keys.iter().chain([&REQUIRED]) {
                let (value, source) = match section.given(key.name) {
                    Some(given) => (
                        given.value.clone().without_passwords(),
                        given.source.clone(),
                    ),
                    None => (Value::of_default(key), Source::BuiltIn),
                };
                all.push(Setting {
                    key: format!("{name}.{}", key.name),
                    value,
                    source,
                });
            }
        }
        Ok(all)
    }
}

/// What has been found wrong with no file in a whole configuration, for `config --check`.
#[derive(Debug)]
pub struct Checked {
    /// The files.
    pub files: Vec<PathBuf>,
    /// How many layers they have.
    pub layers: usize,
}

/// Checks the whole configuration: in a store, each layer with the default, whether it is in effect here or not.
///
/// # Errors
/// Everything that is wrong in it.
#[cfg(feature = "config")]
pub fn check(options: &Options) -> Result<Checked, UsageError> {
    let checked = check::all(files::read(options)?)?;
    // What is in effect here leaves nothing to other machines.
    if files::read(options)?.is_selected()? {
        configured(options)?;
    }
    Ok(checked)
}

#[cfg(feature = "config")]
fn configured(options: &Options) -> Result<Configured, UsageError> {
    let mut raw = files::read(options)?;
    match raw.merged()? {
        Some(root) => check::section(&raw, &root, None).map_err(|wrong| raw.report(&wrong)),
        None => Ok(Configured::default()),
    }
}

/// Checks the whole configuration, of which there is none.
///
/// # Errors
/// A configuration file that was asked for.
#[cfg(not(feature = "config"))]
pub fn check(options: &Options) -> Result<Checked, UsageError> {
    configured(options).map(|_| Checked {
        files: Vec::new(),
        layers: 0,
    })
}

#[cfg(not(feature = "config"))]
fn configured(options: &Options) -> Result<Configured, UsageError> {
    let source = match (&options.config_file, variable("MXM_SECRETS_CONFIG")?) {
        (Some(_), _) => "--config",
        (None, Some(_)) => "MXM_SECRETS_CONFIG",
        (None, None) => return Ok(Configured::default()),
    };
    Err(UsageError(format!(
        "{source}: reading a configuration is not built into this program"
    )))
}

/// The names of the user's own backends.
fn own_names(sections: &[Section]) -> Vec<&str> {
    let names = sections.iter().map(|section| section.name.as_str());
    names
        .filter(|name| backend::entry(name).is_none())
        .collect()
}

/// The home directory.
#[cfg(feature = "config")]
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

/// A variable of our own; an empty one counts as not given.
fn variable(name: &str) -> Result<Option<String>, UsageError> {
    sys::variable(name)
        .map(|value| utf8(value, name))
        .transpose()
}

/// The text that the variable `name` has.
fn utf8(value: OsString, name: &str) -> Result<String, UsageError> {
    value
        .into_string()
        .map_err(|_| UsageError(format!("{name} is not UTF-8")))
}

/// Checks the names of a chain; `own` are the user's own backends.
fn chain(names: &[String], own: &[&str]) -> Result<Vec<String>, String> {
    let mut chain = Vec::with_capacity(names.len());
    for name in names {
        match backend::entry(name) {
            Some(entry) if entry.open.is_none() => {
                return Err(format!("the backend {name} is not built into this program"));
            }
            Some(_) | None if chain.contains(name) => {
                return Err(format!("{name} is named twice"));
            }
            Some(_) => chain.push(name.clone()),
            None if own.contains(&name.as_str()) => chain.push(name.clone()),
            None => {
                let known: Vec<&str> = BACKENDS
                    .iter()
                    .map(|entry| entry.name)
                    .chain(own.iter().copied())
                    .collect();
                let advice = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("there are {}", known.join(", ")),
                };
                return Err(format!("no backend is called {name:?}: {advice}"));
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
