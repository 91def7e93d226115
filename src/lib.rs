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
//! | [`config`] | what the caller, the environment and the files say: the settings, and the chain they make |
//! | [`chain`] | asks one backend after the other |
//! | [`report`] | who was asked, and what they said: no place for a value |
//! | [`backend`] | the trait, the four answers, the table of backends; one file per backend |
//! | [`schema`] | what a backend declares, and what it is given |
//! | `parallel` | several lookups at once |
//! | `detached` | work that can be abandoned |
//! | [`deadline`] | the time by which something must be done |
//! | [`name`] | the rules of a secret's name |
//! | `field`, `json` | a field picked out of a text or JSON secret |
//! | [`process`] | children with deadlines, the search for programs |
//! | [`secret`] | the only type that holds a value |
//! | [`compose`] | values inside other text |
//! | `file` | a file that holds a value |
//! | [`arena`] | the program's allocator |
//! | [`sys`] | the calls to the operating system that std does not have, a file per subject |
//! | [`nearest`] | what was meant by a word that is none of ours |

#![cfg_attr(
    any(test, fuzzing),
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod arena;
pub mod backend;
pub mod chain;
pub mod compose;
pub mod config;
pub mod deadline;
#[cfg(any(feature = "age", feature = "vault"))]
mod detached;
pub mod field;
#[cfg(any(feature = "age", feature = "vault"))]
mod file;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
pub mod name;
pub mod nearest;
mod parallel;
pub mod process;
pub mod report;
pub mod schema;
pub mod secret;
pub mod sys;

use std::fmt;

use chain::Outcome;
pub use config::{BackendStatus, Options};
use name::Name;
use report::Report;
use schema::UsageError;
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

impl Options {
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
