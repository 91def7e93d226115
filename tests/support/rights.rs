//! What a user may do: less than root, and what tests need.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{find, not_run, program};

/// A command as a user whom permissions bind: root without its capabilities is one, and still owns its files.
pub fn bound(command: &Command) -> Command {
    // SAFETY: geteuid only reads.
    if unsafe { libc::geteuid() } != 0 {
        return again(command, Command::new(command.get_program()));
    }
    let mut setpriv = Command::new(find("setpriv").expect("util-linux is everywhere"));
    setpriv
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(command.get_program());
    again(command, setpriv)
}

/// The arguments and the environment of `command`, for `other`.
pub fn again(command: &Command, mut other: Command) -> Command {
    other.args(command.get_args()).env_clear();
    other.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    other
}

/// strace, where it can read the arguments of a program that is not dumpable; else `None` (said loudly).
pub fn strace() -> Option<PathBuf> {
    const CAP_SYS_PTRACE: u64 = 1 << 19;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|rights| u64::from_str_radix(rights.trim(), 16).ok());
    if rights.is_some_and(|rights| rights & CAP_SYS_PTRACE == 0) {
        not_run("strace needs CAP_SYS_PTRACE to look into a program that is not dumpable");
        return None;
    }
    program("strace")
}
