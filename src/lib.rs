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
//! The library only wipes [`Secret`] values. The program also keeps itself from being dumped and wipes all memory that
//! it frees; a program that uses the library does that itself. [`Options::get`] leaves signals as it found them.
//!
//! # The map
//!
//! A module imports only what stands below it; a test reads the `use` lines (tests/house.rs).
//!
//! | module | owns |
//! | --- | --- |
//! | (binary) `main` | the allocator and the entry point |
//! | `cli` | the command line: one table of commands and flags, one file per subcommand |
//! | `config` | what the caller, the environment and the files say: the settings, and the chain they make |
//! | `chain` | asks one backend after the other |
//! | `report` | who was asked and what they said; it has no place for a value |
//! | `refs` | names that are not places: stores, policies |
//! | `backend` | the trait, the four answers, the table of backends; one file per backend |
//! | `process` | children with deadlines, the search for programs |
//! | `schema` | what a backend declares, and what it is given |
//! | `parallel` | several lookups at once |
//! | `detached` | work that can be abandoned |
//! | `deadline` | the time by which something must be done |
//! | `name` | the rules of a secret's name |
//! | `field`, `json` | a field picked out of a text or JSON secret |
//! | `compose`, `request` | values inside other text; what a command is to have |
//! | `credential` | what systemd asks for, and which unit may have it |
//! | `file` | a file that holds a value |
//! | `reason` | why something did not happen: the one shape of every failure |
//! | `once` | what is made once, and tried again after a failure |
//! | `secret` | the only type that holds a value |
//! | `nearest` | what was meant by a word that is not known |
//! | `text` | the way out for text: escaped, bounded, quoted |
//! | `arena` | the program's allocator |
//! | `trust` | who can change a file |
//! | `sys` | the calls to the operating system that std does not have, a file per subject |

// Nothing is left elsewhere, so that the program says why in one sentence (main.rs).
#![cfg(unix)]
#![cfg_attr(
    any(test, fuzzing),
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]
// With fewer backends, parts that they share are unused; all of them together show what nothing uses.
#![cfg_attr(
    not(all(
        feature = "age",
        feature = "config",
        feature = "credentials",
        feature = "keyring",
        feature = "vault"
    )),
    allow(dead_code, unused_imports)
)]

mod arena;
mod backend;
mod chain;
mod cli;
mod compose;
mod config;
#[cfg_attr(
    not(feature = "config"),
    allow(dead_code, reason = "only a configuration has an allow list")
)]
mod credential;
mod deadline;
#[cfg(any(feature = "age", feature = "vault"))]
mod detached;
mod field;
mod file;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod name;
mod nearest;
#[cfg(feature = "age")]
mod once;
mod parallel;
mod process;
mod reason;
#[cfg_attr(
    not(feature = "config"),
    allow(dead_code, reason = "only a configuration has refs")
)]
mod refs;
mod report;
mod request;
mod schema;
mod secret;
mod sys;
#[allow(dead_code, reason = "the backends take them up")]
mod text;
#[cfg_attr(
    not(feature = "age"),
    allow(dead_code, reason = "for whoever reads a file")
)]
mod trust;
mod watch;

use std::fmt;

pub use chain::OnError;
pub use config::Options;
pub use reason::Reason;
pub use report::{Report, Step, Verdict};
pub use schema::UsageError;
pub use secret::Secret;

use chain::Outcome;
use name::Name;
use watch::Watch;

/// What the program `mxm-secrets` needs of its library; no one else does.
#[doc(hidden)]
pub mod program {
    pub use crate::arena::Arena;
    pub use crate::cli::main as run;
}

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
    /// A backend could not tell, or none was available. `transient` of a [`Reason`] says whether another try may do.
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

impl Options {
    /// Reads the secret `name`. A signal that would end the process ends the lookup first, so that nothing is left
    /// behind, and then the process. The actions of signals, that of SIGCHLD too, are then as they were before.
    ///
    /// # Errors
    /// [`Error`] tells a mistake, a missing secret and a failure apart.
    pub fn get(self, name: &str) -> Result<Secret, Error> {
        let name = Name::parse(name)?;
        let watch = Watch::begin();
        let chain = self.open()?;
        let lookup = chain
            .find(&name, &())?
            .or_default(self.default, chain.on_error);
        drop(chain);
        drop(watch);
        match lookup.outcome {
            Outcome::Found(secret) | Outcome::Defaulted(secret) => Ok(secret),
            Outcome::Missing => Err(Error::Missing(lookup.report)),
            Outcome::Failed => Err(Error::Failed(lookup.report)),
        }
    }
}
