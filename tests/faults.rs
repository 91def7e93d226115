//! The matrix of faults: every backend with everything that can be in its way, and what it must say of it.
//!
//! What is peculiar to one backend stands with that backend: files that are cut or no files in age/damage.rs and
//! credentials.rs, answers of a server in vault_faults.rs, plugins of age in age/plugin.rs.

mod programs;
mod system;

use std::process::Command;
use std::time::Duration;

use crate::support::{Transcript, transcript};

/// Runs a command that nothing may make hang.
fn run(command: &mut Command) -> Transcript {
    const FOREVER: Duration = Duration::from_secs(120);
    let began = std::time::Instant::now();
    let seen = transcript(command);
    assert!(began.elapsed() < FOREVER, "{command:?} hung");
    seen
}
