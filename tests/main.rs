//! The integration tests: one binary, a file per subcommand and per backend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

mod exec;
mod get;
mod gopass;
mod process;
