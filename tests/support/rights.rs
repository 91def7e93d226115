//! Users whom permissions bind.

use std::process::Command;

use super::{Home, find, not_run, transcript};

/// A command where the system says that `home` is the home directory of this user; `None` (said loudly) where nobody can
/// mount.
pub fn with_account(home: &Home, command: &Command) -> Option<Command> {
    let (Some(unshare), Some(mount)) = (find("unshare"), find("mount")) else {
        not_run("unshare and mount are not here");
        return None;
    };
    if transcript(Command::new(&unshare).args(["-m", "true"])).status != Some(0) {
        not_run("only root can mount");
        return None;
    }
    let accounts = format!("root:x:0:0::{}:/bin/sh\n", home.path().display());
    let script = r#""$0" --bind "$1" /etc/passwd && shift && exec "$@""#;
    let mut outer = Command::new(unshare);
    outer.args(["-m", "/bin/sh", "-c", script]).arg(mount);
    outer.arg(home.write("accounts", accounts));
    outer.arg(command.get_program()).current_dir(home.path());
    Some(again(command, outer))
}

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
