//! The matrix of faults: every backend with everything that can be in its way, and what it must say of it.
//!
//! What is peculiar to one backend stands with that backend: files that are cut or no files in age/damage.rs and
//! credentials.rs, answers of a server in vault_faults.rs, plugins of age in age/plugin.rs.

mod programs;
#[cfg(all(
    target_os = "linux",
    feature = "age",
    feature = "credentials",
    feature = "keyring",
    feature = "vault"
))]
mod system;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Transcript, transcript};

/// Runs a command that nothing may make hang.
fn run(command: &mut Command) -> Transcript {
    const FOREVER: Duration = Duration::from_secs(120);
    let began = Instant::now();
    let seen = transcript(command);
    assert!(began.elapsed() < FOREVER, "{command:?} hung");
    seen
}

/// Whether the process ends within a time that even a busy machine needs not.
fn is_gone(pid: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        match stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next())
        {
            Some('Z') | None => return true,
            Some(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    false
}
