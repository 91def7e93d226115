//! Reads ONE secret by name from the first backend of a chain that has it.
//!
//! ```no_run
//! let key = mxm_secrets::get_secret("prod/api-key")?;
//! sign_with(key.expose());
//! # fn sign_with(_: &[u8]) {}
//! # Ok::<(), mxm_secrets::Error>(())
//! ```
//!
//! With a chain, a deadline and a default of one's own:
//!
//! ```
//! use mxm_secrets::Options;
//!
//! let secret = Options::new()
//!     .backends(["env"])
//!     .timeout(std::time::Duration::from_secs(2))
//!     .no_input(true)
//!     .default_value("a default")
//!     .get("a/name-that-is-not-set")?;
//! assert_eq!(secret.expose(), b"a default");
//! # Ok::<(), mxm_secrets::Error>(())
//! ```
//!
//! The program `mxm-secrets` cannot be dumped, and all memory that it frees is wiped. A program that uses this library
//! sees to that itself ([`sys::protect_memory`], [`arena`]): what wipes itself is a [`Secret`] alone.
//! [`Options::get`] leaves signals as it has found them; after the lookups of a [`Chain`] of one's own,
//! [`sys::give_way_to_signals`] does.
//!
//! # The map
//!
//! In the order in which the data flows:
//!
//! | module | owns |
//! | --- | --- |
//! | (binary) `main`, `cli` | the command line: one table of commands and flags, one file per subcommand |
//! | [`config`] | what is configured, and where |
//! | [`name`] | the rules of a secret's name |
//! | [`resolve`] | the chain, and its report without values |
//! | `side_by_side` | several lookups at once |
//! | `aside` | work that no deadline ends by itself |
//! | [`backend`] | the trait, the four answers, the table of backends; one file per backend |
//! | `field`, `json` | a field picked out of a text or JSON secret |
//! | [`process`] | children with deadlines, the search for programs |
//! | [`secret`] | the only type that holds a value |
//! | `file` | a file that holds a value |
//! | [`arena`] | the program's allocator |
//! | [`sys`] | the calls to the operating system that std does not have, a file per subject |
//! | [`nearest`] | what was meant by a word that is none of ours |

#![cfg_attr(
    any(test, fuzzing),
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod arena;
#[cfg(any(feature = "age", feature = "vault"))]
mod aside;
pub mod backend;
pub mod config;
pub mod field;
#[cfg(any(feature = "age", feature = "vault"))]
mod file;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
pub mod name;
pub mod nearest;
pub mod process;
pub mod resolve;
pub mod secret;
mod side_by_side;
pub mod sys;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use backend::{Context, Status};
use config::{OnError, Settings, UsageError};
use name::Name;
use process::Deadline;
use resolve::{Chain, Link, Observer, Outcome, Report};
use secret::Secret;

/// Reads the secret `name` through the configured chain.
///
/// # Errors
/// [`Error`] tells a mistake, a missing secret and a failure apart.
pub fn get_secret(name: &str) -> Result<Secret, Error> {
    Options::new().get(name)
}

/// Why there is no secret.
#[derive(Debug)]
pub enum Error {
    /// A bad name or configuration: nothing was asked.
    Usage(UsageError),
    /// Every backend asked said that it has no such secret.
    Missing(Report),
    /// A backend could not tell, or none was available.
    Failed(Report),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(error) => error.fmt(f),
            Error::Missing(report) | Error::Failed(report) => report.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<UsageError> for Error {
    fn from(error: UsageError) -> Error {
        Error::Usage(error)
    }
}

/// How to look secrets up: what is not said here comes from the environment and the configuration.
#[derive(Debug, Default)]
pub struct Options {
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) backends: Option<Vec<String>>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) no_input: Option<bool>,
    default: Option<Secret>,
}

impl Options {
    /// Nothing said.
    pub fn new() -> Options {
        <Options as Default>::default()
    }

    /// The configuration file, in place of those that are looked for.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Options {
        self.config_file = Some(path.into());
        self
    }

    /// The chain. A backend asked for here by name fails when it is not available.
    #[must_use]
    pub fn backends<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Options {
        self.backends = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// What follows a backend that could not tell.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Options {
        self.on_error = Some(on_error);
        self
    }

    /// How long one backend may take to answer one question.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Options {
        self.timeout = Some(timeout);
        self
    }

    /// Whether no person is there, so that nothing may prompt.
    #[must_use]
    pub fn no_input(mut self, no_input: bool) -> Options {
        self.no_input = Some(no_input);
        self
    }

    /// The value for a secret that is missing; it never stands in for a failure, unless failures are passed over
    /// ([`OnError::Continue`]).
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Vec<u8>>) -> Options {
        self.default = Some(Secret::take(value.into()));
        self
    }

    /// Opens the chain, for several lookups or for their reports.
    ///
    /// # Errors
    /// A mistake in the options, the environment or the configuration.
    pub fn open(&self) -> Result<Chain, UsageError> {
        let settings = Settings::load(self)?;
        let mut links = Vec::with_capacity(settings.backends.len());
        for name in &settings.backends {
            if let Some(open) = settings.entry(name).and_then(|entry| entry.open) {
                let section = settings.section(name)?;
                links.push(Link {
                    name: name.clone(),
                    backend: open(&section),
                    required: settings.by_name || section.flag("required") == Some(true),
                });
            }
        }
        Ok(Chain {
            links,
            on_error: settings.on_error,
            timeout: settings.timeout,
            timeout_for_prompts: settings.timeout_for_prompts,
            unattended: settings.unattended,
        })
    }

    /// What every backend says of itself: those of the chain in their order, then the others. Nothing is looked up.
    ///
    /// # Errors
    /// A mistake in the options, the environment or the configuration.
    pub fn statuses(&self, observer: &dyn Observer) -> Result<Vec<BackendStatus>, UsageError> {
        let settings = Settings::load(self)?;
        let chain = settings.backends.iter().map(String::as_str);
        let others = settings.names().into_iter();
        let others = others.filter(|name| !settings.backends.iter().any(|link| link == name));
        let mut opened = Vec::new();
        for name in chain.chain(others) {
            let open = settings.entry(name).and_then(|entry| entry.open);
            let section = settings.section(name)?;
            opened.push((name, open.map(|open| open(&section))));
        }
        Ok(side_by_side::side_by_side(&opened, |(name, backend)| {
            let context = Context {
                deadline: Deadline::after(settings.timeout),
                unattended: settings.unattended,
                warn: &|warning| observer.warn(warning),
            };
            BackendStatus {
                backend: (*name).to_owned(),
                in_chain: settings.backends.iter().any(|link| link == name),
                status: backend.as_ref().map(|backend| backend.status(&context)),
            }
        }))
    }

    /// Reads the secret `name`. SIGHUP, SIGINT, SIGQUIT and SIGTERM, where they would end the process, end the lookup
    /// first, so that nothing is left behind, and then the process.
    ///
    /// # Errors
    /// [`Error`] tells a mistake, a missing secret and a failure apart.
    pub fn get(self, name: &str) -> Result<Secret, Error> {
        let name = Name::parse(name).map_err(|error| UsageError(error.to_string()))?;
        let chain = self.open()?;
        let lookup = chain
            .find(&name, &())
            .or_default(self.default, chain.on_error);
        drop(chain);
        sys::give_way_to_signals();
        match lookup.outcome {
            Outcome::Found(secret) | Outcome::Defaulted(secret) => Ok(secret),
            Outcome::Missing => Err(Error::Missing(lookup.report)),
            Outcome::Failed => Err(Error::Failed(lookup.report)),
        }
    }
}

/// What one backend says of itself.
#[derive(Debug)]
pub struct BackendStatus {
    /// Its name.
    pub backend: String,
    /// Whether it is in the chain.
    pub in_chain: bool,
    /// Whether it is ready, and what it would use; `None`: not built into this program.
    pub status: Option<Status>,
}
