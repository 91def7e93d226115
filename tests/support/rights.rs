//! Users whom permissions bind.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Home, find, not_run, transcript};

/// A command where the system says that `home` is the home directory of this user; `None` (said loudly) where nobody can
/// mount.
pub fn with_account(home: &Home, command: &Command) -> Option<Command> {
    let accounts = format!("root:x:0:0::{}:/bin/sh\n", home.path().display());
    let accounts = home.write("accounts", accounts);
    in_own_mounts(home, r#"mount --bind "$0" /etc/passwd"#, &accounts, command)
}

/// A command that sees a file of this `text` at `place` below /etc, whose other files are as they are; `None` (said
/// loudly) where nobody can mount.
pub fn with_system_file(
    home: &Home,
    place: &str,
    text: String,
    command: &Command,
) -> Option<Command> {
    let etc = home.path().join("etc");
    home.write(&format!("etc/{place}"), text);
    let script = r#"cp -a -n /etc/. "$0" && mount --bind "$0" /etc"#;
    in_own_mounts(home, script, &etc, command)
}

/// A command after a script that mounts, with `place` as its `$0`; `None` (said loudly) where nobody can mount.
pub fn in_own_mounts(
    home: &Home,
    script: &str,
    place: &Path,
    command: &Command,
) -> Option<Command> {
    let (unshare, _) = may_mount()?;
    let script =
        format!(r#"old=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin; {script}; PATH=$old; exec "$@""#);
    let mut outer = Command::new(unshare);
    outer.args(["-m", "/bin/sh", "-ec", &script]).arg(place);
    outer.arg(command.get_program()).current_dir(home.path());
    Some(again(command, outer))
}

/// util-linux's unshare and mount; `None` (said loudly) where nobody can mount.
pub fn may_mount() -> Option<(PathBuf, PathBuf)> {
    let (Some(unshare), Some(mount)) = (find("unshare"), find("mount")) else {
        not_run("unshare and mount are not here");
        return None;
    };
    if transcript(Command::new(&unshare).args(["-m", "true"])).status != Some(0) {
        not_run("only root can mount");
        return None;
    }
    Some((unshare, mount))
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
