//! What the caller says, and the chain that comes of it.

use std::path::PathBuf;
use std::time::Duration;

use super::Settings;
use crate::backend::Status;
use crate::chain::{Chain, Link, Observer, OnError};
use crate::deadline::Deadline;
use crate::parallel::parallel;
use crate::schema::{Context, UsageError};
use crate::secret::Secret;

/// How to look secrets up: what is not said here comes from the environment and the configuration.
#[derive(Debug, Default)]
pub struct Options {
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) backends: Option<Vec<String>>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) no_input: Option<bool>,
    pub(crate) default: Option<Secret>,
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
    pub(crate) fn open(&self) -> Result<Chain, UsageError> {
        Settings::load(self)?.open()
    }

    /// What every backend says of itself: those of the chain in their order, then the others. Nothing is looked up. A
    /// login is tried only with `login`.
    ///
    /// # Errors
    /// A mistake in the options, the environment or the configuration.
    pub(crate) fn statuses(
        &self,
        login: bool,
        observer: &dyn Observer,
    ) -> Result<Vec<BackendStatus>, UsageError> {
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
        Ok(parallel(&opened, |(name, backend)| {
            let context = Context {
                deadline: Deadline::after(settings.timeout),
                unattended: settings.unattended,
                login,
                withheld: &[],
                warn: &|warning| observer.warn(warning),
            };
            let in_chain = settings.backends.iter().any(|link| link == name);
            BackendStatus {
                backend: (*name).to_owned(),
                in_chain,
                status: backend.as_ref().map(|backend| match in_chain {
                    true => backend.status(&context),
                    false => backend.glance(&context),
                }),
            }
        }))
    }
}

impl Settings {
    /// Opens the chain, and the backends of the stores that refs lead to.
    ///
    /// # Errors
    /// A variable of a backend that has no good value.
    pub fn open(self) -> Result<Chain, UsageError> {
        let mut links = Vec::with_capacity(self.backends.len());
        for name in &self.backends {
            links.extend(self.link(name)?);
        }
        let mut stores: Vec<Link> = Vec::new();
        for (_, store) in self.configured.refs.of("stores") {
            let backend = store.text("backend").unwrap_or_default();
            let mut open = links.iter().chain(&stores);
            if !open.any(|link| link.name == backend) {
                stores.extend(self.link(backend)?);
            }
        }
        Ok(Chain {
            links,
            on_error: self.on_error,
            timeout: self.timeout,
            timeout_for_prompts: self.timeout_for_prompts,
            unattended: self.unattended,
            refs: self.configured.refs,
            stores,
        })
    }

    fn link(&self, name: &str) -> Result<Option<Link>, UsageError> {
        let Some(open) = self.entry(name).and_then(|entry| entry.open) else {
            return Ok(None);
        };
        let section = self.section(name)?;
        Ok(Some(Link {
            name: name.to_owned(),
            backend: open(&section),
            required: self.by_name || section.flag("required") == Some(true),
        }))
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
