//! The integration tests: one binary, a file per subcommand and per backend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

#[cfg(feature = "age")]
mod age;
mod completions;
mod config;
mod credentials;
mod exec;
mod get;
mod gopass;
mod help;
#[cfg(target_os = "linux")]
mod keyring;
mod list_backends;
mod process;
mod readme;
mod resolve;
