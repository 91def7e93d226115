//! The integration tests: one binary, a file per subcommand and per backend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

#[cfg(feature = "age")]
mod age;
mod bounds;
mod completions;
mod config;
#[cfg(all(target_os = "linux", not(mxm_secrets_portable), feature = "config"))]
mod credential;
#[cfg(feature = "credentials")]
mod credentials;
#[cfg(all(
    target_os = "linux",
    not(mxm_secrets_portable),
    feature = "config",
    feature = "credentials",
    feature = "keyring"
))]
mod cron;
mod exec;
#[cfg(all(
    target_os = "linux",
    not(mxm_secrets_portable),
    feature = "age",
    feature = "config",
    feature = "credentials",
    feature = "keyring",
    feature = "vault"
))]
mod faults;
#[cfg(all(feature = "age", feature = "credentials"))]
mod generated;
mod get;
mod gopass;
mod help;
mod house;
#[cfg(all(target_os = "linux", not(mxm_secrets_portable), feature = "keyring"))]
mod keyring;
mod laws;
#[cfg(all(
    target_os = "linux",
    feature = "age",
    feature = "config",
    feature = "credentials",
    feature = "keyring",
    feature = "vault"
))]
mod leaks;
#[cfg(feature = "config")]
mod library;
mod list_backends;
#[cfg(all(
    target_os = "linux",
    not(mxm_secrets_portable),
    feature = "config",
    feature = "credentials",
    feature = "keyring"
))]
mod podman;
#[cfg(all(
    any(not(target_os = "linux"), mxm_secrets_portable),
    feature = "keyring"
))]
mod portable;
mod process;
mod readme;
#[cfg(all(feature = "credentials", feature = "keyring"))]
mod recipes;
mod release;
mod resolve;
#[cfg(feature = "config")]
mod sets;
mod signals;
#[cfg(all(
    target_os = "linux",
    not(mxm_secrets_portable),
    feature = "config",
    feature = "credentials",
    feature = "keyring"
))]
mod systemd;
mod text;
#[cfg(all(feature = "age", feature = "config", feature = "vault"))]
mod transient;
#[cfg(feature = "vault")]
mod vault;
#[cfg(feature = "vault")]
mod vault_damage;
#[cfg(feature = "vault")]
mod vault_faults;
#[cfg(feature = "vault")]
mod vault_limits;
#[cfg(feature = "vault")]
mod vault_logins;
#[cfg(feature = "vault")]
mod vault_proof;
#[cfg(feature = "vault")]
mod vault_proxy;
#[cfg(feature = "vault")]
mod vault_reports;
#[cfg(feature = "vault")]
mod vault_tls;
