//! Users whom permissions bind.

use std::process::Command;

use super::find;

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
