//! As an ordinary user: what others, and other programs of the same user, see of a running program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::support::left_by;
use crate::support::place::canary;
use crate::support::vault::eventually;
use crate::support::{Home, STRANGER, emulated, not_run, program, transcript};

/// A user who is neither root nor [`STRANGER`].
const OTHER: u32 = STRANGER - 1;

/// The files in /proc/PID that tell what is in a process.
const PRIVATE: [&str; 6] = ["environ", "mem", "maps", "smaps", "auxv", "io"];

/// Runs a command as another user, with none of root's rights.
fn by(user: u32, home: &Home, command: &[&str]) -> Command {
    let mut setpriv = home.command(program("setpriv").unwrap());
    setpriv
        .args([
            format!("--reuid={user}"),
            format!("--regid={user}"),
            "--clear-groups".to_owned(),
            "--inh-caps=-all".to_owned(),
        ])
        .args(command);
    setpriv
}

/// Which of the private files of a process a user can read, and whether its descriptors can be listed.
fn readable(user: u32, home: &Home, pid: u32) -> Vec<String> {
    // Of the memory, the first page that is there.
    let script = r#"for file in $FILES; do
            page=0
            test $file = mem && page=$(($(printf %d 0x$(head -n 1 /proc/$PID/maps | cut -d - -f 1)) / 4096))
            test $(dd if=/proc/$PID/$file bs=4096 count=1 skip=$page 2>/dev/null | wc -c) -gt 0 && echo $file
        done
        ls /proc/$PID/fd/ >/dev/null 2>&1 && echo fd"#;
    let mut command = by(user, home, &["/bin/sh", "-c", script]);
    command
        .env("PID", pid.to_string())
        .env("FILES", PRIVATE.join(" "));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Whether a user can attach a debugger to a process.
fn traceable(user: u32, home: &Home, pid: u32) -> bool {
    let attach = ["timeout", "2", "strace", "-o", "/dev/null", "-p"];
    let pid = pid.to_string();
    let mut command = by(user, home, &[&attach[..], &[&pid]].concat());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("attached") || told.contains("Operation not permitted"),
        "{told}"
    );
    told.contains(" attached")
}

/// A home of the stranger's that others may go into, as a home often is; `None` (said loudly) where that cannot be.
fn home() -> Option<Home> {
    if emulated("the emulator is what would be looked into") {
        return None;
    }
    for name in ["setpriv", "strace"] {
        program(name)?;
    }
    let home = Home::new();
    home.link(&[
        "sleep", "dd", "head", "cut", "wc", "ls", "timeout", "strace", "cat",
    ]);
    home.fake("gopass", "cat value; echo $$ >ready; exec sleep 1000");
    Some(home)
}

/// Gives the home away, at last.
fn give(home: &Home) -> bool {
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let given = home.give_to_stranger();
    if !given {
        not_run("only root can be somebody else");
    }
    given
}

/// Not by another user, and not by another program of the same user: its memory, its environment, its files.
#[test]
fn nobody_can_look_into_a_running_program() {
    let Some(mut home) = home() else { return };
    let secret = canary();
    home.write("value", &secret);
    home.set("ALSO", &secret);
    if !give(&home) {
        return;
    }
    let start = |command: &[&str]| -> Child {
        let mut command = by(STRANGER, &home, command);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    // What is looked for would be seen.
    let mut control = start(&["sleep", "1000"]);
    eventually("it sleeps", || {
        fs::read(format!("/proc/{}/comm", control.id())).is_ok_and(|name| name == b"sleep\n")
    });
    let mut everything: Vec<&str> = PRIVATE.into_iter().chain(["fd"]).collect();
    // Some systems let nobody look into the memory of a program that they have not started.
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let strict = scope.is_ok_and(|scope| scope.trim() != "0");
    everything.retain(|file| !(strict && *file == "mem"));
    assert_eq!(readable(STRANGER, &home, control.id()), everything);
    assert_eq!(readable(OTHER, &home, control.id()), Vec::<String>::new());
    assert_eq!(traceable(STRANGER, &home, control.id()), !strict);
    control.kill().unwrap();
    control.wait().unwrap();

    let program = home.path().join("mxm-secrets");
    let program = program.to_str().unwrap();
    for arguments in [
        &["get", "a", "--timeout", "100"][..],
        &["exec", "--timeout", "100", "--secret", "a", "--", "true"],
        &["resolve", "--timeout", "100", "a"],
    ] {
        let mut child = start(&[&[program], arguments].concat());
        eventually("gopass hangs", || home.path().join("ready").exists());
        for user in [STRANGER, OTHER] {
            assert_eq!(readable(user, &home, child.id()), Vec::<String>::new());
            assert!(!traceable(user, &home, child.id()));
        }
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        assert_eq!(core.unwrap().split_whitespace().nth(4), Some("0"));
        let line = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        assert!(!String::from_utf8_lossy(&line).contains(&secret));
        // SAFETY: the child has not been reaped.
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert_eq!(left_by(&home), Vec::<String>::new());
        fs::remove_file(home.path().join("ready")).unwrap();
    }
}

/// It needs none of root's rights.
#[test]
fn an_ordinary_user_reads_what_is_theirs() {
    let Some(mut home) = home() else { return };
    let secret = canary();
    home.write("mnt/b", &secret);
    home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {own: {command: [cat, \"{name}\"]}}\n",
    );
    home.write("c", &secret);
    home.set("A", &secret);
    home.set("CREDENTIALS_DIRECTORY", home.path().join("mnt"));
    if !give(&home) {
        return;
    }
    let program = home.path().join("mxm-secrets");
    for (backend, name) in [("env", "a"), ("credentials", "b"), ("own", "c")] {
        let arguments = ["get", "--raw", "--backend", backend, name];
        let command = [&[program.to_str().unwrap()][..], &arguments].concat();
        transcript(&mut by(STRANGER, &home, &command)).is(0, &secret, "");
    }
    // What is not theirs is a failure, not a miss.
    fs::write(home.path().join("mnt/d"), &secret).unwrap();
    fs::set_permissions(home.path().join("mnt/d"), fs::Permissions::from_mode(0o600)).unwrap();
    let arguments = ["get", "--backend", "credentials", "--default", "V", "d"];
    let command = [&[program.to_str().unwrap()][..], &arguments].concat();
    let seen = transcript(&mut by(STRANGER, &home, &command));
    assert_eq!(
        (seen.status, seen.stdout.is_empty()),
        (Some(4), true),
        "{seen:?}"
    );
    assert_eq!(left_by(&home), Vec::<String>::new());
}
