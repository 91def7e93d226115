//! What a backend declares and is given: the keys of its section, their values, the circumstances of a question, and the
//! words for what went wrong.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::{sys, text};

pub use crate::reason::Reason;

/// One key of a backend's section.
#[allow(dead_code, reason = "the man page is drawn from it, in a test")]
#[derive(Debug)]
pub struct Key {
    /// Its name; a nested one has dots between the names.
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

impl Key {
    /// A key whose documentation is elsewhere.
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Key {
        Key {
            name,
            kind,
            default: "",
            variable: None,
            about: "",
        }
    }
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// The address of a server: `https://…`, `http://…` or `unix:///…`; the function says whether it is one.
    Address(fn(&str) -> bool),
    /// A list of texts; one text alone is a list of one.
    Texts,
    /// A file or directory: may begin with `~/`, and a relative one is relative to the configuration file.
    Path,
    /// A list of such.
    Paths,
    /// A text that YAML does not read as anything else.
    Strict,
    /// A list of such, nothing in place of a list.
    StrictList,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Yes or no.
    Bool,
    /// A list of [`Rule`]s: exit statuses from 1 to 255, `empty`, texts, or both.
    Rules,
    /// A program: a name on PATH, or, with a slash in it, a path as in [`Kind::Path`].
    Program,
    /// A program as in [`Kind::Program`], and its arguments.
    Command,
    /// A number of seconds.
    Seconds,
}

/// The value of a key, of the type that its [`Kind`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Text`], [`Kind::Strict`], [`Kind::Address`], [`Kind::Choice`] and [`Kind::Program`].
    Text(String),
    /// Of [`Kind::Texts`] and [`Kind::StrictList`].
    Texts(Vec<String>),
    /// Of [`Kind::Command`].
    Command(Command),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Paths`].
    Paths(Vec<PathBuf>),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Rules`].
    Rules(Vec<Rule>),
    /// Of [`Kind::Seconds`].
    Seconds(Duration),
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As they are started.
    pub words: Vec<String>,
    /// As they are shown: the program, plain options and placeholders, and `***` for the rest.
    pub shown: Vec<String>,
}

/// By what the end of a program is recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its exit status; any but 0 if there is none. 0, written `empty`: it has written nothing, too.
    pub status: Option<u8>,
    /// A text that its standard error has; empty: it says nothing there.
    pub says: Option<String>,
    /// All that its standard error has, but for a newline at the end.
    pub says_only: Option<String>,
}

impl Rule {
    /// Whether this one applies wherever `other` does.
    pub fn covers(&self, other: &Rule) -> bool {
        let said = other.says_only.as_ref().or(other.says.as_ref());
        let says = match (&self.says, said) {
            (None, _) => true,
            (Some(text), Some(other)) if text.is_empty() => other.is_empty(),
            (Some(text), Some(other)) => other.contains(text.as_str()),
            (Some(_), None) => false,
        };
        let says_only = self.says_only.is_none() || self.says_only == other.says_only;
        says && says_only
            && (self.status == other.status || self.status.is_none() && other.status != Some(0))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map(|status| match status {
            0 => "empty".to_owned(),
            status => status.to_string(),
        });
        let texts = [("says", &self.says), ("says_only", &self.says_only)];
        let texts = texts
            .into_iter()
            .filter_map(|(key, text)| Some(format!("{key}: {:?}", text.as_ref()?)));
        let texts: Vec<String> = texts.collect();
        match status {
            Some(status) if texts.is_empty() => f.write_str(&status),
            Some(status) => write!(f, "{{status: {status}, {}}}", texts.join(", ")),
            None => write!(f, "{{{}}}", texts.join(", ")),
        }
    }
}

impl Value {
    /// What the variable `source` says, for a key of `kind`. A list has commas between its items; no table gives a
    /// variable to a key of another kind.
    pub(crate) fn of_variable(
        value: OsString,
        kind: Kind,
        source: &str,
    ) -> Result<Value, UsageError> {
        // Paths are bytes; all else is text.
        if matches!(kind, Kind::Path) {
            let path = PathBuf::from(value);
            return Ok(Value::Path(std::path::absolute(&path).unwrap_or(path)));
        }
        let text = utf8(value, source)?;
        let wrong = |takes: &str| {
            Err(UsageError::new(format!(
                "{source} is {}: expected {takes}",
                text::quoted(&text)
            )))
        };
        match kind {
            Kind::Text | Kind::Address(_) => Ok(Value::Text(text)),
            Kind::Choice(words) if words.contains(&text.as_str()) => Ok(Value::Text(text)),
            Kind::Choice(words) => wrong(&words.join(" or ")),
            // The words of YAML, which the same key takes in a file, and those that the official clients of Vault take
            // in their variables (Go's ParseBool), since ours are beside them; in any case, as is usual there.
            Kind::Bool => match text.to_ascii_lowercase().as_str() {
                "1" | "t" | "true" | "yes" | "on" => Ok(Value::Bool(true)),
                "0" | "f" | "false" | "no" | "off" => Ok(Value::Bool(false)),
                _ => wrong("true or false"),
            },
            Kind::Texts => {
                let items = text.split(',').map(|item| item.trim().to_owned());
                Ok(Value::Texts(items.collect()))
            }
            Kind::Seconds => seconds(&text, source).map(Value::Seconds),
            Kind::Path
            | Kind::Paths
            | Kind::Strict
            | Kind::StrictList
            | Kind::Program
            | Kind::Command
            | Kind::Rules => wrong("nothing: its key is read from the configuration only"),
        }
    }

    /// The same with `***` for the password in every `scheme://user:password@host`.
    pub(crate) fn without_passwords(self) -> Value {
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
    pub(crate) fn of_default(key: &Key) -> Value {
        let list = || key.default.split(", ").filter(|item| !item.is_empty());
        match key.kind {
            Kind::Bool => Value::Bool(matches!(key.default, "true" | "yes")),
            Kind::Texts | Kind::Paths => Value::Texts(list().map(str::to_owned).collect()),
            Kind::Rules => Value::Rules(Vec::new()),
            Kind::Seconds => Value::Seconds(seconds(key.default, "").unwrap_or_default()),
            _ => Value::Text(key.default.to_owned()),
        }
    }
}

/// The key that every backend's section has.
pub const REQUIRED: Key = Key {
    name: "required",
    kind: Kind::Bool,
    default: "no",
    variable: None,
    about: "whether it counts as failed when it is unavailable",
};

/// The longest deadline: a day.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);

/// Reads a time such as `10` (seconds), `0.5`, `10s`, `500ms` or `1m`; `source` is where the user gave it.
///
/// # Errors
/// Anything but decimal digits with at most one point and a unit, zero, and more than [`LONGEST_TIMEOUT`].
pub fn seconds(text: &str, source: &str) -> Result<Duration, UsageError> {
    let (number, unit) = [("ms", 0.001), ("s", 1.0), ("m", 60.0)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .unwrap_or((text, 1.0));
    let plain = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = number.parse::<f64>().map(|number| number * unit);
    match seconds {
        Ok(seconds) if plain && seconds >= 0.001 && seconds <= LONGEST_TIMEOUT.as_secs_f64() => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(UsageError::new(format!(
            "{source} {}: expected a number of seconds from 0.001 to 86400, such as 10 or 0.5, or 10s, 500ms, 1m",
            text::quoted(text)
        ))),
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

/// What is configured for one backend. Every value has the type of its key, so that the accessors cannot fail; they
/// give `None` for a key that is not given.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The backend's name; `refs.NAME` and the like for an entry of refs, stores and policies; empty for the keys that
    /// are no backend's.
    pub name: String,
    pub(crate) values: Vec<Given>,
}

/// One key that is given.
#[derive(Clone, Debug)]
pub struct Given {
    pub(crate) key: &'static str,
    pub(crate) value: Value,
    /// What is shown in its place: as it is written, if an environment variable is in it.
    pub(crate) written: Option<Value>,
    pub(crate) source: Source,
}

impl Given {
    /// The value as it may be shown.
    pub(crate) fn shown(&self) -> Value {
        let shown = self.written.as_ref().unwrap_or(&self.value);
        shown.clone().without_passwords()
    }
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
    /// A section that says nothing.
    pub(crate) fn named(name: impl Into<String>) -> Section {
        Section {
            name: name.into(),
            values: Vec::new(),
        }
    }

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
    accessor!(/// A time.
        seconds, Seconds, Duration, |value: &Duration| *value);
    accessor!(/// A command.
        command, Command, &Command, std::convert::identity);
    accessor!(/// What the end of a program means.
        rules, Rules, &[Rule], Vec::as_slice);

    /// What is in effect of `keys`: their variables win over what is configured.
    ///
    /// # Errors
    /// The variables that have no good value.
    pub(crate) fn in_effect(&self, keys: &[Key]) -> Result<Section, UsageError> {
        let mut section = Section::named(&self.name);
        let mut mistakes = Vec::new();
        for key in keys {
            if let Some(source) = key.variable
                && let Some(value) = sys::variable(source)
            {
                let value = Value::of_variable(value, key.kind, source);
                if let Some(value) = UsageError::gather(value, &mut mistakes) {
                    section.put(key.name, value, Source::Variable(source));
                }
            }
        }
        if !mistakes.is_empty() {
            return Err(UsageError(mistakes));
        }
        for given in &self.values {
            if section.given(given.key).is_none() {
                section.values.push(given.clone());
            }
        }
        Ok(section)
    }

    /// The same with the defaults of `keys`, in their order.
    pub(crate) fn complete<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Section {
        let default = |key: &Key| Given {
            key: key.name,
            value: Value::of_default(key),
            written: None,
            source: Source::BuiltIn,
        };
        let values = keys.into_iter().map(|key| match self.given(key.name) {
            Some(given) => given.clone(),
            None => default(key),
        });
        Section {
            name: self.name.clone(),
            values: values.collect(),
        }
    }

    /// Gives `key` a value.
    pub(crate) fn put(&mut self, key: &'static str, value: Value, source: Source) {
        self.values.retain(|given| given.key != key);
        self.values.push(Given {
            key,
            value,
            written: None,
            source,
        });
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.given(key).map(|given| &given.value)
    }

    pub(crate) fn given(&self, key: &str) -> Option<&Given> {
        self.values.iter().find(|given| given.key == key)
    }
}

/// Mistakes in what the user said or configured: exit status 2, and nothing was asked. One line each.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(Vec<String>);

impl UsageError {
    /// One mistake.
    pub(crate) fn new(text: impl AsRef<str>) -> UsageError {
        UsageError::all([text])
    }

    /// Several.
    pub(crate) fn all(texts: impl IntoIterator<Item = impl AsRef<str>>) -> UsageError {
        UsageError(
            texts
                .into_iter()
                .map(|it| text::line(it.as_ref()))
                .collect(),
        )
    }

    /// What a result has; what is wrong instead goes to `mistakes`.
    pub(crate) fn gather<T>(
        result: Result<T, UsageError>,
        mistakes: &mut Vec<String>,
    ) -> Option<T> {
        result.map_err(|wrong| mistakes.extend(wrong.0)).ok()
    }

    /// One line for each.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for UsageError {}

/// The text that the variable `name` has.
pub(crate) fn utf8(value: OsString, name: &str) -> Result<String, UsageError> {
    value
        .into_string()
        .map_err(|_| UsageError::new(format!("{name} is not UTF-8")))
}

/// The circumstances of one question to one backend.
pub struct Context<'a> {
    /// When the answer must be there.
    pub deadline: Deadline,
    /// Whether no person is there: nothing may prompt or wait for one.
    pub unattended: bool,
    /// Whether a status may take a login.
    pub login: bool,
    /// The environment variables that the names asked for stand for: no program gets them.
    pub withheld: &'a [String],
    /// Takes warnings: one line each, in the style of [`Reason::text`].
    pub warn: &'a (dyn Fn(&Reason) + Sync),
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("deadline", &self.deadline)
            .field("unattended", &self.unattended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BACKENDS;

    #[test]
    fn every_key_with_a_variable_takes_what_a_variable_can_say() {
        let keys = BACKENDS.iter().flat_map(|entry| entry.keys);
        for key in keys.filter(|key| key.variable.is_some()) {
            let one = matches!(
                key.kind,
                Kind::Text | Kind::Address(_) | Kind::Choice(_) | Kind::Path | Kind::Bool
            );
            assert!(one, "{key:?}");
        }
    }

    #[test]
    fn a_variable_says_yes_and_no_as_yaml_and_vault_do() {
        let said = |text: &str| Value::of_variable(text.into(), Kind::Bool, "X");
        for text in ["1", "t", "True", "YES", "on"] {
            assert_eq!(said(text), Ok(Value::Bool(true)));
        }
        for text in ["0", "F", "false", "no", "Off"] {
            assert_eq!(said(text), Ok(Value::Bool(false)));
        }
        let wrong = said("maybe").unwrap_err();
        assert_eq!(wrong.to_string(), r#"X is "maybe": expected true or false"#);
    }

    #[test]
    fn a_password_in_an_address_is_left_out() {
        for (text, clean) in [
            ("http://u:p@h/x", "http://u:***@h/x"),
            ("http://u@h", "http://u@h"),
            ("http://h/a:b@c", "http://h/a:b@c"),
            ("u:p@h", "u:p@h"),
        ] {
            let value = Value::Text(text.to_owned()).without_passwords();
            assert_eq!(value, Value::Text(clean.to_owned()));
        }
    }
}
