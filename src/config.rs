//! What is configured: flags, then variables, then the configuration, then built-in defaults.
//!
//! | file | owns |
//! | --- | --- |
//! | `key`, `section` | what may be configured, and what is configured for one backend |
//! | `files` | where the files are, and how they are read |
//! | `yaml` | what is in them |
//! | `layers` | the files of a store, put together |
//! | `interpolation` | where a value leads |
//! | `check` | every value with the type of its key, or what is wrong |
//!
//! Without the Cargo feature `config` there is no file at all.

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
mod mask;
mod options;
#[cfg(feature = "config")]
mod yaml;

#[cfg(all(fuzzing, feature = "config"))]
pub(crate) use fuzzing::configuration;
pub use options::{BackendStatus, Options};

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::{self, BACKENDS, Entry};
use crate::chain::OnError;
use crate::nearest::advice;
use crate::refs::Refs;
use crate::request::{Request, Set};
use crate::schema::{Given, Key, REQUIRED, Section, Source, UsageError, Value, seconds, utf8};
use crate::{sys, text};

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
    /// What services need.
    sets: Vec<Set>,
    /// Where the chain, `on_error` and `timeout` come from.
    sources: [Source; 3],
    /// The sections of the configuration, those of the user's own backends included.
    sections: Vec<Section>,
    /// Names that are not places.
    pub refs: Refs,
    /// What the configuration says of them, as it is shown.
    entries: Vec<Section>,
}

/// What the configuration says, every value of the right type.
#[derive(Debug, Default)]
struct Configured {
    backends: Option<(Vec<String>, Source)>,
    on_error: Option<(OnError, Source)>,
    timeout: Option<(Duration, Source)>,
    sets: Vec<Set>,
    sections: Vec<Section>,
    refs: Refs,
    entries: Vec<Section>,
}

/// The chain when nothing says otherwise.
pub const DEFAULT_CHAIN: &[&str] = &["gopass", "env"];
/// The deadline of one question when nothing says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// Puts together what the options, the environment, the configuration and the defaults say.
    ///
    /// # Errors
    /// Whatever is wrong in them.
    pub fn load(options: &Options) -> Result<Settings, UsageError> {
        match Settings::load_past_sets(options)? {
            (settings, None) => Ok(settings),
            (_, Some(wrong)) => Err(wrong),
        }
    }

    /// The same, and what is wrong in the sets, of which what is right is there.
    ///
    /// # Errors
    /// Whatever is wrong elsewhere.
    pub fn load_past_sets(options: &Options) -> Result<(Settings, Option<UsageError>), UsageError> {
        let (configured, wrong) = configured(options)?;
        let own = own_names(&configured.sections);
        let check = |names: &[String], source: &str| {
            chain(names, &own).map_err(|text| UsageError::new(format!("{source}: {text}")))
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
            .or(on_error_variable()?)
            .or(configured.on_error)
            .unwrap_or((OnError::Stop, Source::BuiltIn));
        let unattended = match options.no_input {
            Some(no_input) => no_input,
            None => match variable("MXM_SECRETS_NO_INPUT")?.as_deref() {
                None => !io::stderr().is_terminal(),
                Some("1") => true,
                Some("0") => false,
                Some(other) => {
                    return Err(UsageError::new(format!(
                        "MXM_SECRETS_NO_INPUT is {}: expected 1 (no person is there) or 0",
                        text::quoted(other)
                    )));
                }
            },
        };
        let among = options.backends.is_some().then(|| backends.clone());
        let settings = Settings {
            backends,
            by_name: options.backends.is_some(),
            on_error,
            timeout,
            timeout_for_prompts,
            unattended,
            sources: [chain_source, on_error_source, timeout_source],
            sets: configured.sets,
            sections: configured.sections,
            refs: Refs {
                among,
                ..configured.refs
            },
            entries: configured.entries,
        };
        Ok((settings, wrong))
    }

    /// What is in the set `name`.
    ///
    /// # Errors
    /// There is no such set.
    pub fn set(&self, name: &str) -> Result<Vec<Request>, UsageError> {
        let set = self.sets.iter().find(|set| set.name == name);
        let names: Vec<&str> = self.sets.iter().map(|set| set.name.as_str()).collect();
        let unknown = || {
            UsageError::new(format!(
                "--set {name}: unknown set: {}",
                advice(name, &names)
            ))
        };
        Ok(set.ok_or_else(unknown)?.requests.clone())
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
        let top = [
            ("backends", Value::Texts(self.backends.clone()), chain),
            (
                "on_error",
                Value::Text(self.on_error.word().to_owned()),
                on_error,
            ),
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
        all.extend(self.sets.iter().map(|set| {
            let variables = set.requests.iter().filter_map(Request::variable);
            Setting {
                key: format!("sets.{}", set.name),
                value: Value::Texts(variables.map(str::to_owned).collect()),
                source: set.source.clone(),
            }
        }));
        for name in self.names() {
            let Some(entry) = self.entry(name).filter(|entry| entry.open.is_some()) else {
                continue;
            };
            let section = self.section(name)?;
            let recipe = section.text("recipe").and_then(backend::recipe);
            let [needs, takes] = recipe.map_or([&[] as &[Key]; 2], |it| [it.needs, it.takes]);
            let keys = entry.keys.iter().chain(needs).chain(takes);
            for key in keys.chain([&REQUIRED]) {
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
        for entry in &self.entries {
            for given in &entry.values {
                all.push(Setting {
                    key: format!("{}.{}", entry.name, given.key),
                    value: given.value.clone(),
                    source: given.source.clone(),
                });
            }
        }
        Ok(all)
    }
}

/// What `config --check` has found, without a mistake.
#[derive(Debug, Default)]
pub struct Checked {
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// Which refs cannot be had where, a line each.
    pub lacking: Vec<String>,
    /// Why none of it is in effect here.
    pub not_here: Option<String>,
}

/// Checks the whole configuration: in a store, each layer with the default, whether it is in effect here or not.
///
/// # Errors
/// Everything that is wrong in it.
#[cfg(feature = "config")]
pub fn check(options: &Options) -> Result<Checked, UsageError> {
    let raw = files::read(options)?;
    if raw.files.is_empty() && !raw.is_none {
        let places = text::list(files::places().iter().map(|path| path.to_string_lossy()));
        let mut text = "there is no configuration file to check".to_owned();
        if !places.is_empty() {
            text += &format!("; looked for {places}");
        }
        if sys::home().is_none() {
            text += "; there is no home directory: HOME is not an absolute path, and /etc/passwd has none";
        }
        return Err(UsageError::new(text));
    }
    let not_here = raw.unselected();
    let checked = check::all(raw)?;
    let not_here = not_here?;
    // What is in effect here leaves nothing to other machines.
    if not_here.is_none() {
        let (Configured { sets, refs, .. }, _) = configured(options)?;
        let mut wrong = Vec::new();
        for mut request in sets.into_iter().flat_map(|set| set.requests) {
            wrong.extend(request.load().err().map(|error| error.to_string()));
            let unknown = request.names().filter(|name| !refs.has_room_for(name));
            wrong.extend(unknown.map(|name| {
                let place = &request.place;
                format!("{place}: {name} is not in refs, and refs_only allows no other name")
            }));
        }
        if !wrong.is_empty() {
            return Err(UsageError::all(wrong));
        }
    }
    Ok(Checked {
        not_here,
        ..checked
    })
}

/// What the configuration says, and what is wrong in its sets.
///
/// # Errors
/// All that is wrong in it, if some of it is wrong elsewhere.
#[cfg(feature = "config")]
fn configured(options: &Options) -> Result<(Configured, Option<UsageError>), UsageError> {
    let mut raw = files::read(options)?;
    let Some(root) = raw.merged()? else {
        return Ok(Default::default());
    };
    let (configured, wrong) = check::section(&raw, &root, None);
    let error = (!wrong.is_empty()).then(|| raw.report(&wrong));
    match error {
        Some(error) if !wrong.iter().all(check::is_of_a_set) => Err(error),
        of_sets => Ok((configured, of_sets)),
    }
}

/// What the file of a set asks for, and what is wrong in it.
///
/// # Errors
/// A file that cannot be read, or that others can write to.
#[cfg(feature = "config")]
pub fn set_file(path: &Path) -> Result<(Vec<Request>, Option<UsageError>), UsageError> {
    let mut raw = files::read_set(path)?;
    let Some(root) = raw.base.take() else {
        return Ok(Default::default());
    };
    let (requests, wrong) = check::set_file(&raw, &root);
    Ok((requests, (!wrong.is_empty()).then(|| raw.report(&wrong))))
}

/// See the other one.
///
/// # Errors
/// Always.
#[cfg(not(feature = "config"))]
pub fn set_file(_: &Path) -> Result<(Vec<Request>, Option<UsageError>), UsageError> {
    Err(UsageError::new(
        "--from: this build has no configuration support (Cargo feature config)",
    ))
}

/// Checks the whole configuration, of which there is none.
///
/// # Errors
/// A configuration file that was asked for.
#[cfg(not(feature = "config"))]
pub fn check(options: &Options) -> Result<Checked, UsageError> {
    configured(options).map(|_| Checked::default())
}

#[cfg(not(feature = "config"))]
fn configured(options: &Options) -> Result<(Configured, Option<UsageError>), UsageError> {
    let source = match (&options.config_file, variable("MXM_SECRETS_CONFIG")?) {
        (Some(_), _) => "--config",
        (None, Some(_)) => "MXM_SECRETS_CONFIG",
        (None, None) => return Ok(Default::default()),
    };
    Err(UsageError::new(format!(
        "{source}: this build has no configuration support (Cargo feature config)"
    )))
}

/// What the environment says of failures.
fn on_error_variable() -> Result<Option<(OnError, Source)>, UsageError> {
    const NAME: &str = "MXM_SECRETS_ON_ERROR";
    let Some(word) = variable(NAME)? else {
        return Ok(None);
    };
    match OnError::parse(&word) {
        Some(on_error) => Ok(Some((on_error, Source::Variable(NAME)))),
        None => Err(UsageError::new(format!(
            "{NAME} is {}: expected {}",
            text::quoted(&word),
            OnError::WORDS.join(" or ")
        ))),
    }
}

/// The names of the user's own backends.
fn own_names(sections: &[Section]) -> Vec<&str> {
    let names = sections.iter().map(|section| section.name.as_str());
    names
        .filter(|name| backend::entry(name).is_none())
        .collect()
}

/// A variable of our own; an empty one counts as not given.
fn variable(name: &str) -> Result<Option<String>, UsageError> {
    sys::variable(name)
        .map(|value| utf8(value, name))
        .transpose()
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
                let advice = advice(name, &known);
                return Err(format!("unknown backend {}: {advice}", text::quoted(name)));
            }
        }
    }
    Ok(chain)
}
