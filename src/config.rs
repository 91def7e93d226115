//! What is configured: flags, then variables, then the configuration, then built-in defaults.
//!
//! It has three shapes: a tree of [`yaml`] nodes for what files say, [`Configured`] for that with the type of every key
//! (or all that is wrong with it), and [`Settings`] for what is in effect.
//!
//! | file | owns |
//! | --- | --- |
//! | `files` | where the files are, and how they are read |
//! | `yaml` | the tree that is in one |
//! | `layers` | the trees of a store, put together |
//! | `interpolation` | where a value leads |
//! | `recipes` | the sections for programs that people have |
//! | `check` | every value with the type of its key, or what is wrong |
//! | `options` | what the caller says, and the chain that comes of it |
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
mod recipes;
#[cfg(feature = "config")]
mod yaml;

#[cfg(all(fuzzing, feature = "config"))]
pub(crate) use fuzzing::configuration;
pub use options::{BackendStatus, Options};
pub use recipes::{Recipe, recipes};
use recipes::{parameters, recipe};

#[cfg(feature = "config")]
use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::{self, BACKENDS, Entry};
use crate::chain::OnError;
use crate::credential::{self, Asked};
#[cfg(feature = "config")]
use crate::deadline::Deadline;
use crate::nearest::advice;
use crate::refs::Refs;
use crate::request::{Request, Set};
use crate::schema::{Key, Kind, REQUIRED, Section, Source, UsageError, Value, utf8};
use crate::{sys, text};

/// The keys of our section that are no backend's, and the variables that win over them.
const KEYS: &[Key] = &[
    Key {
        default: "gopass, env",
        variable: Some("MXM_SECRETS_BACKENDS"),
        ..Key::new("backends", Kind::Texts)
    },
    Key {
        default: OnError::Stop.word(),
        variable: Some("MXM_SECRETS_ON_ERROR"),
        ..Key::new("on_error", Kind::Choice(OnError::WORDS))
    },
    Key {
        default: "10",
        variable: Some("MXM_SECRETS_TIMEOUT"),
        ..Key::new("timeout", Kind::Seconds)
    },
    Key {
        default: "no",
        ..Key::new("refs_only", Kind::Bool)
    },
];

/// The key of what units may have.
const CREDENTIALS_FOR: &str = "credentials_for";

/// What the configuration says, every value of the right type.
#[derive(Debug, Default)]
struct Configured {
    /// Of [`KEYS`].
    top: Section,
    /// Of the backends, those of the user's own included.
    sections: Vec<Section>,
    refs: Refs,
    sets: Vec<Set>,
    /// Which units may have what: each list under its whole name, `credentials_for.UNIT`.
    credentials_for: Vec<Section>,
}

/// What is in effect: everything that [`Options::open`] needs to know.
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
    /// What is configured. Of its top, also what the caller and the environment say, and the defaults.
    configured: Configured,
}

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
        let (mut configured, wrong) = configured(options)?;
        let mut top = configured.top.in_effect(KEYS)?;
        let word = |on_error: OnError| Value::Text(on_error.word().to_owned());
        for (key, flag, value) in [
            (
                "backends",
                "--backend",
                options.backends.clone().map(Value::Texts),
            ),
            ("on_error", "--on-error", options.on_error.map(word)),
            ("timeout", "--timeout", options.timeout.map(Value::Seconds)),
        ] {
            if let Some(value) = value {
                top.put(key, value, Source::Flag(flag));
            }
        }
        let of_this_call = |key: &str| match top.given(key)?.source {
            Source::Flag(name) | Source::Variable(name) => Some(name),
            Source::File { .. } | Source::BuiltIn => None,
        };
        if let (Some(name), Some(names)) = (of_this_call("backends"), top.texts("backends")) {
            check_chain(names, &own_names(&configured.sections))
                .map_err(|text| UsageError::new(format!("{name}: {text}")))?;
        }
        let timeout_for_prompts = of_this_call("timeout").is_some();
        configured.top = top.complete(KEYS);
        let top = &configured.top;
        let backends = top.texts("backends").unwrap_or_default().to_vec();
        let by_name = options.backends.is_some();
        configured.refs.among = by_name.then(|| backends.clone());
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
        let settings = Settings {
            backends,
            by_name,
            on_error: top
                .text("on_error")
                .and_then(OnError::parse)
                .unwrap_or(OnError::Stop),
            timeout: top.seconds("timeout").unwrap_or_default(),
            timeout_for_prompts,
            unattended,
            configured,
        };
        Ok((settings, wrong))
    }

    /// What is in the set `name`.
    ///
    /// # Errors
    /// There is no such set.
    pub fn set(&self, name: &str) -> Result<Vec<Request>, UsageError> {
        let sets = &self.configured.sets;
        match sets.iter().find(|set| set.name == name) {
            Some(set) => Ok(set.requests.clone()),
            None => {
                let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
                let advice = advice(name, &names);
                Err(UsageError::new(format!(
                    "--set {name}: unknown set: {advice}"
                )))
            }
        }
    }

    /// Names that are not places.
    pub fn refs(&self) -> &Refs {
        &self.configured.refs
    }

    /// Which secret a unit may have as the credential that it asks for.
    ///
    /// # Errors
    /// None, or it is not said which.
    pub fn credential(&self, asked: &Asked) -> Result<&str, UsageError> {
        let lists = self.configured.credentials_for.iter().filter_map(|list| {
            let units = list.name.strip_prefix(CREDENTIALS_FOR)?.strip_prefix('.')?;
            Some((units, list.texts("")?))
        });
        credential::entry(lists, asked).map_err(UsageError::new)
    }

    /// The names of all backends: those of the table, then the user's own.
    pub fn names(&self) -> Vec<&str> {
        let table = BACKENDS.iter().map(|entry| entry.name);
        table.chain(own_names(&self.configured.sections)).collect()
    }

    /// The entry of the backend `name`, which may be one of the user's own.
    pub fn entry(&self, name: &str) -> Option<&'static Entry> {
        backend::entry(name).or_else(|| {
            let own = own_names(&self.configured.sections).contains(&name);
            own.then_some(backend::OWN).flatten()
        })
    }

    /// What is in effect for the backend `name`.
    ///
    /// # Errors
    /// A variable of its that has no good value.
    pub fn section(&self, name: &str) -> Result<Section, UsageError> {
        let mut sections = self.configured.sections.iter();
        let keys = self.entry(name).map_or(&[] as &[Key], |entry| entry.keys);
        match sections.find(|section| section.name == name) {
            Some(section) => section.in_effect(keys),
            None => Section::named(name).in_effect(keys),
        }
    }

    /// Everything that is in effect, with the defaults, for `mxm-secrets config`.
    ///
    /// # Errors
    /// A variable that has no good value.
    pub fn all(&self) -> Result<Vec<Section>, UsageError> {
        let Configured {
            top,
            sets,
            refs,
            credentials_for,
            ..
        } = &self.configured;
        let mut all = vec![top.clone()];
        for set in sets {
            let variables = set.requests.iter().filter_map(Request::variable);
            let variables = variables.map(str::to_owned).collect();
            let mut section = Section::named(format!("sets.{}", set.name));
            section.put("", Value::Texts(variables), set.source.clone());
            all.push(section);
        }
        all.extend(credentials_for.iter().cloned());
        for name in self.names() {
            if let Some(entry) = self.entry(name).filter(|entry| entry.open.is_some()) {
                let section = self.section(name)?;
                let recipe = section.text("recipe").and_then(recipe);
                let [needs, takes] = parameters(recipe);
                let keys = entry.keys.iter().chain(needs).chain(takes);
                all.push(section.complete(keys.chain([&REQUIRED])));
            }
        }
        all.extend(refs.entries.iter().cloned());
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
    let deadline = files::deadline(options);
    let raw = files::find(options, deadline)?;
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
    let (mut mistakes, mut more) = (Vec::new(), Vec::new());
    let not_here = UsageError::gather(raw.unselected(), &mut more);
    // What is in effect here leaves nothing to other machines.
    let here = match &not_here {
        Some(None) => in_effect(options, true, deadline),
        Some(Some(_)) | None => Ok(None),
    };
    let here = UsageError::gather(here, &mut more).flatten();
    let has_refs = |here: &InEffect| here.configured.refs.of("refs").next().is_some();
    if here.as_ref().is_some_and(has_refs) {
        let role = crate::refs::role().map_err(UsageError::new);
        UsageError::gather(role, &mut more);
    }
    let here = here.map(|it| (it.raw.blocks, it.wrong));
    let checked = UsageError::gather(check::all(raw, here.unwrap_or_default()), &mut mistakes);
    mistakes.extend(more);
    match checked {
        Some(checked) if mistakes.is_empty() => Ok(Checked {
            not_here: not_here.flatten(),
            ..checked
        }),
        _ => {
            let mut seen = HashSet::new();
            mistakes.retain(|line| seen.insert(line.clone()));
            Err(UsageError::all(mistakes))
        }
    }
}

/// What the configuration says, and what is wrong in its sets.
///
/// # Errors
/// All that is wrong in it, if some of it is wrong elsewhere.
#[cfg(feature = "config")]
fn configured(options: &Options) -> Result<(Configured, Option<UsageError>), UsageError> {
    let deadline = files::deadline(options);
    let Some(here) = in_effect(options, false, deadline)? else {
        return Ok(Default::default());
    };
    let (raw, mut wrong) = (here.raw, here.wrong);
    if wrong.is_empty() {
        return Ok((here.configured, None));
    }
    if let Ok(again) = files::read(options, deadline) {
        check::name_causes(&raw, again, &mut wrong);
    }
    let error = raw.report(&wrong);
    match here.beyond_sets {
        true => Err(error),
        false => Ok((here.configured, Some(error))),
    }
}

/// What the files say that are in effect here, and what is wrong in it.
#[cfg(feature = "config")]
struct InEffect {
    raw: files::Raw,
    configured: Configured,
    wrong: Vec<yaml::Wrong>,
    beyond_sets: bool,
}

/// `None`: there is nothing. If `thorough`, it has all that only a check looks at.
///
/// # Errors
/// Files that cannot be read or put together.
#[cfg(feature = "config")]
fn in_effect(
    options: &Options,
    thorough: bool,
    deadline: Deadline,
) -> Result<Option<InEffect>, UsageError> {
    let mut raw = files::read(options, deadline)?;
    let Some(root) = raw.merged()? else {
        return Ok(None);
    };
    let (configured, wrong, beyond_sets) = check::section(&raw, &root, None, thorough);
    Ok(Some(InEffect {
        raw,
        configured,
        wrong,
        beyond_sets,
    }))
}

/// What the file of a set asks for, and what is wrong in it.
///
/// # Errors
/// A file that cannot be read, or that others can write to.
#[cfg(feature = "config")]
pub fn set_file(
    path: &Path,
    options: &Options,
) -> Result<(Vec<Request>, Option<UsageError>), UsageError> {
    let mut raw = files::read_set(path, files::deadline(options))?;
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
pub fn set_file(_: &Path, _: &Options) -> Result<(Vec<Request>, Option<UsageError>), UsageError> {
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
fn check_chain(names: &[String], own: &[&str]) -> Result<(), String> {
    for (index, name) in names.iter().enumerate() {
        let entry = backend::entry(name);
        if entry.is_some_and(|entry| entry.open.is_none()) {
            return Err(format!("the backend {name} is not built into this program"));
        }
        if names[..index].contains(name) {
            return Err(format!("{name} is named twice"));
        }
        if entry.is_none() && !own.contains(&name.as_str()) {
            let known = BACKENDS.iter().map(|entry| entry.name);
            let known: Vec<&str> = known.chain(own.iter().copied()).collect();
            let (name, advice) = (text::quoted(name), advice(name, &known));
            return Err(format!("unknown backend {name}: {advice}"));
        }
    }
    Ok(())
}
