//! Signals: every one that ends a program ends what it has started, too. Fakes, since no real program can be made to hang.

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{hanging, kill, pid};
use crate::support::{Home, emulated, is_gone, not_run, transcript};

/// What ends a program unless it says otherwise, but for SIGKILL, the faults, and what glibc's posix_spawn lets it ignore.
pub fn ending() -> Vec<i32> {
    let others = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGCONT,
        libc::SIGCHLD,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
        libc::SIGABRT,
    ];
    #[cfg(target_os = "linux")]
    let numbers = (1..32).chain(libc::SIGRTMIN()..=libc::SIGRTMAX());
    #[cfg(not(target_os = "linux"))]
    let numbers = [1, 2, 3, 13, 14, 15, 24, 25, 26, 27, 30, 31].into_iter();
    numbers.filter(|number| !others.contains(number)).collect()
}

#[test]
fn every_signal_that_ends_us_ends_what_we_have_started() {
    if emulated("the emulator keeps some signals for itself") {
        return;
    }
    let signals = ending();
    assert!(!cfg!(target_os = "linux") || signals.len() > 40);
    for signal in signals {
        let home = hanging();
        let child = home
            .mxm_secrets(["get", "a", "--default", "V", "--timeout", "120"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (inner, grandchild) = (pid(&home, "child"), pid(&home, "grandchild"));
        kill(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert!(is_gone(inner), "signal {signal}");
        assert!(is_gone(grandchild), "signal {signal}");
        assert_eq!(
            (output.status.signal(), output.stdout.as_slice()),
            (Some(signal), &b""[..]),
            "signal {signal}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// As when the program that asks is killed.
#[test]
fn standard_output_that_nobody_reads_any_more_ends_what_we_have_started() {
    for command in [
        "get a --json",
        "get a --raw",
        "resolve a --explain",
        "exec --secret a -- true",
    ] {
        let home = hanging();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut child = home
            .mxm_secrets(command.replacen(' ', " --timeout 120 ", 1).split(' '))
            .stdout(writer)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (inner, grandchild) = (pid(&home, "child"), pid(&home, "grandchild"));
        drop(reader);
        if command.starts_with("exec") {
            std::thread::sleep(Duration::from_millis(300));
            assert!(
                child.try_wait().unwrap().is_none(),
                "what is to be run may write nothing"
            );
            kill(&child, libc::SIGPIPE);
        }
        assert_eq!(
            child.wait().unwrap().signal(),
            Some(libc::SIGPIPE),
            "{command}"
        );
        assert!(is_gone(inner) && is_gone(grandchild), "{command}");
    }
}

/// As below Python and systemd, which have it ignored: it ends all the same, and says as little.
#[test]
fn an_ignored_sigpipe_says_nothing() {
    for command in ["get a --raw", "resolve a --explain"] {
        let home = hanging();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut ignoring = home.mxm_secrets(command.split(' '));
        // SAFETY: signal() may be called there.
        unsafe {
            ignoring.pre_exec(|| {
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                Ok(())
            });
        }
        ignoring.stdout(writer).stderr(Stdio::piped());
        let child = ignoring.spawn().unwrap();
        drop(ignoring);
        pid(&home, "grandchild");
        drop(reader);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.signal(), Some(libc::SIGPIPE));
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{command}");
    }
}

/// As with `2>&1 | head -1`.
#[test]
fn standard_error_that_nobody_reads_ends_nothing() {
    let mut home = Home::new();
    home.set("B", "from the environment");
    home.fake("gopass", "[ $4 = a ] && printf value && exit\necho 'Error: entry is not in the password store' >&2\nexit 11");
    for (name, value) in [("a", "value\n"), ("b", "from the environment\n")] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = home.mxm_secrets(["get", "-v", name]);
        let output = command.stderr(writer).stdout(Stdio::piped()).spawn();
        let output = output.unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {}", output.status);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.mxm_secrets(["get", "nowhere"]);
    let status = command.stderr(writer).stdout(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(1));
}

/// `program` with `arguments`, started by util-linux's unshare with `flags`; `None` where that may not be.
fn apart(home: &Home, flags: &[&str], program: &Path, arguments: &[&str]) -> Option<Command> {
    let may = Command::new("unshare").args(flags).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        not_run("this needs root, and util-linux's unshare");
        return None;
    }
    let mut command = home.command("/usr/bin/unshare");
    command.args(flags).arg(program).args(arguments);
    Some(command)
}

/// The kernel ignores a signal that process 1 has no handler for, ours included once it has been put back.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "it is a call of Linux")]
fn as_process_1_a_signal_is_answered_with_a_line() {
    if emulated("the emulator would be process 1") {
        return;
    }
    let home = hanging();
    let us = home.mxm_secrets([""; 0]).get_program().to_owned();
    for (arguments, signal) in [
        (["get", "a", "--timeout", "120"].as_slice(), libc::SIGTERM),
        (
            &["exec", "--timeout", "120", "--secret", "a", "--", "true"],
            libc::SIGUSR1,
        ),
    ] {
        let Some(mut command) = apart(&home, &["--pid", "--fork"], us.as_ref(), arguments) else {
            return;
        };
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        pid(&home, "child");
        let unshare = child.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let process_1 = fs::read_to_string(children)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // SAFETY: it is our own grandchild, and runs.
        unsafe { libc::kill(process_1, signal) };
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("mxm-secrets: ended by signal {signal}\n"));
        assert_eq!(output.status.code(), Some(128 + signal));
        fs::remove_file(home.path().join("child")).unwrap();
    }
}

/// A chroot without /dev/null: what is opened next would become standard output.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "it is a call of Linux")]
fn without_dev_null_no_standard_stream_is_one_of_our_own() {
    let mut home = Home::new();
    home.set("B", "value");
    home.link(&["mount", "timeout"]);
    home.fake("gopass", "printf value");
    let us = home.mxm_secrets([""; 0]).get_program().to_owned();
    let us = us.to_str().unwrap();
    let run = |what: &str| {
        let script = format!("mount -t tmpfs none /dev && {what}");
        let arguments = ["-c", &script, us];
        let command = apart(&home, &["--mount"], Path::new("/bin/sh"), &arguments);
        command.map(|mut command| transcript(&mut command))
    };
    let cannot = "cannot write to standard output: Bad file descriptor";
    let Some(closed) = run("exec \"$0\" get --backend env b <&- >&-") else {
        return;
    };
    closed.has(4, "", &[cannot]);
    for silent in ["<&- >&- 2>&-", ">&- 2>&-", "2>&- >&-"] {
        run(&format!(
            "exec timeout 20 \"$0\" get --backend gopass,env b {silent}"
        ))
        .unwrap()
        .is(4, "", "");
    }
    let us = "exec \"$0\" exec --backend env --secret b";
    run(&format!("{us} -- /bin/sh -c '[ ! -e /proc/$$/fd/0 ]' <&-"))
        .unwrap()
        .is(0, "", "");
}

/// An agent that goes as soon as it was asked: every write may find nobody any more.
#[test]
#[cfg(feature = "vault")]
fn a_socket_that_is_closed_never_ends_us_by_sigpipe() {
    let mut home = Home::new();
    let socket = home.path().join("agent.sock");
    let agent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || agent.incoming().for_each(drop));
    home.set("VAULT_AGENT_ADDR", format!("unix://{}", socket.display()));
    for _ in 0..60 {
        let seen = home.run(["get", "--backend", "vault", "a"]);
        assert_eq!(seen.status, Some(4), "{}", seen.stderr);
    }
}
