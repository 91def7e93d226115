//! `exec`: the command is the process that it would be under env(1): its signals, limits, terminal, descriptors, and its
//! statuses where it cannot be run.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use super::{CANARY, home, shell, waits_for};
use crate::support::terminal::Terminal;
use crate::support::{Home, emulated, find, transcript};

/// Runs `script` under env(1) and under exec, both prepared alike; what it printed must be the same.
#[track_caller]
fn same(home: &Home, script: &str, prepare: impl Fn(&mut Command)) -> String {
    let mut under_env = home.command(find("env").unwrap());
    under_env.args(["sh", "-c", script]);
    let mut under_exec = home.mxm_secrets(shell(&["--secret", "prod/api-key"], script));
    for command in [&mut under_env, &mut under_exec] {
        without_others(command);
        prepare(command);
    }
    let (expected, seen) = (transcript(&mut under_env), transcript(&mut under_exec));
    assert_eq!(
        (
            seen.status,
            String::from_utf8_lossy(&seen.stdout),
            seen.stderr
        ),
        (
            expected.status,
            String::from_utf8_lossy(&expected.stdout),
            expected.stderr
        ),
        "{script}"
    );
    String::from_utf8(seen.stdout).unwrap()
}

/// What other tests have open is none of ours.
fn without_others(command: &mut Command) {
    // SAFETY: fcntl may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for fd in 3..1024 {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            Ok(())
        });
    }
}

#[test]
fn the_command_is_what_it_would_be_under_env() {
    let home = home();
    let nothing = |_: &mut Command| {};
    // Limits, directory, umask, priority, environment but for the secret.
    same(&home, "ulimit -a; pwd; umask; exit 3", nothing);
    same(&home, "exec env | sort", |command| {
        command.env("AN", "other").env("MXM_SECRETS_TIMEOUT", "5");
    });
    // Descriptors: none of ours is left open, and one that was open stays so.
    same(&home, "ls /proc/self/fd", nothing);
    let file = fs::File::open("/dev/null").unwrap();
    let fds = same(&home, "ls /proc/self/fd", |command| {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: dup2 and fcntl may be called between fork and exec. No other test has so many descriptors open.
        unsafe {
            command.pre_exec(move || {
                libc::dup2(fd, 900);
                libc::fcntl(900, libc::F_SETFD, 0);
                Ok(())
            });
        }
    });
    assert!(fds.lines().any(|fd| fd == "900"), "{fds}");
    let status = "exec cat /proc/self/status";
    let lines =
        format!("{status} | grep -E 'Sig(Blk|Ign|Cgt)|CoreDumping|NoNewPrivs|Seccomp|^Threads'");
    home.link(&["grep"]);
    same(&home, &lines, nothing);
}

#[test]
fn signals_are_the_parents() {
    if emulated("the runner keeps signals of its own") {
        return;
    }
    let home = home();
    home.link(&["grep"]);
    let seen = same(
        &home,
        "exec grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status",
        |command| {
            // SAFETY: the calls may be made between fork and exec.
            unsafe {
                command.pre_exec(|| {
                    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGPIPE, libc::SIGCHLD] {
                        libc::signal(signal, libc::SIG_IGN);
                    }
                    let mut set: libc::sigset_t = std::mem::zeroed();
                    libc::sigemptyset(&raw mut set);
                    libc::sigaddset(&raw mut set, libc::SIGUSR1);
                    libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
                    Ok(())
                });
            }
        },
    );
    assert!(seen.contains("SigBlk:\t0000000000000200"), "{seen}");
    assert!(
        seen.contains("1003\n"),
        "SIGHUP, SIGINT and SIGPIPE: {seen}"
    );
}

#[test]
fn signals_are_the_parents_after_a_backend_ran_a_program() {
    if emulated("the runner keeps signals of its own") {
        return;
    }
    // Where children are reaped by nobody (SIGCHLD ignored), their status must be known all the same.
    let home = home();
    home.link(&["grep"]);
    home.fake("gopass", "echo value");
    let show = ["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    let run = |mut command: Command| {
        // SAFETY: signal may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGINT, libc::SIGCHLD] {
                    libc::signal(signal, libc::SIG_IGN);
                }
                libc::signal(libc::SIGPIPE, libc::SIG_DFL);
                Ok(())
            });
        }
        transcript(&mut command)
    };
    let mut under_env = home.command(find("env").unwrap());
    under_env.args(show);
    let expected = run(under_env);
    for requests in [
        vec!["--secret", "a"],
        vec!["--secret", "a", "--secret", "b"],
    ] {
        let mut command = home.mxm_secrets(["exec", "--backend", "gopass"]);
        command.args(requests).arg("--").args(show);
        run(command).is(0, &expected.stdout, "");
    }
}

#[test]
fn the_core_limit_is_put_back() {
    let home = home();
    let seen = same(&home, "ulimit -Sc; ulimit -Hc", |command| {
        // SAFETY: setrlimit is given a valid structure between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit {
                    rlim_cur: 4096 * 512,
                    rlim_max: 8192 * 512,
                };
                match libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
    });
    assert_eq!(seen, "4096\n8192\n");
}

#[test]
fn the_command_is_dumpable_again() {
    // The files of a process that is not dumpable belong to root.
    let home = home();
    home.link(&["stat"]);
    same(&home, "exec stat -c %u:%g:%a /proc/self/environ", |_| {});
    if home.give_to_stranger() {
        let mut command = home.command(home.path().join("mxm-secrets"));
        command
            .uid(crate::support::STRANGER)
            .gid(crate::support::STRANGER);
        command.args(["exec", "--backend", "env", "--secret", "prod/api-key", "--"]);
        command.args(["stat", "-c", "%u", "/proc/self/environ"]);
        transcript(&mut command).is(0, format!("{}\n", crate::support::STRANGER), "");
    }
}

#[test]
fn it_is_the_same_process() {
    let home = home();
    home.link(&["cut"]);
    // Its pid, parent, process group, session and terminal.
    let script = "echo $$; cut -d' ' -f4-8 /proc/$$/stat";
    for group in [false, true] {
        let mut command = home.mxm_secrets(shell(&["--secret", "prod/api-key"], script));
        command.stdout(Stdio::piped());
        if group {
            command.process_group(0);
        }
        let child = command.spawn().unwrap();
        let pid = child.id();
        // SAFETY: getpgrp and getsid take no memory.
        let (ours, session) = unsafe { (libc::getpgrp(), libc::getsid(0)) };
        let group = if group { pid } else { ours.unsigned_abs() };
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = format!("{pid}\n{} {group} {session} ", std::process::id());
        assert!(text.starts_with(&expected), "{text:?}, not {expected:?}");
    }
}

#[test]
fn the_terminal_is_handed_over() {
    let home = home();
    home.link(&["stty"]);
    let script = "stty -echo; test -t 0 && test -t 1 && test -t 2 && echo on >/dev/tty; read line; echo \"got $line\"; exec sleep 1000";
    let command = home.mxm_secrets(shell(&["--secret", "prod/api-key"], script));
    let mut terminal = Terminal::start(command);
    terminal.shows("on\n");
    terminal.types("hello\n");
    terminal.shows("got hello\n");
    // Control-C goes to the command.
    terminal.types("\x03");
    let (status, screen) = terminal.ends();
    assert_eq!(status.signal(), Some(libc::SIGINT), "{screen}");
    assert!(!screen.contains(CANARY));
}

#[test]
fn signals_reach_the_command() {
    let home = home();
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGUSR1] {
        let started = home.path().join("started");
        let script = "touch started; exec sleep 1000";
        let mut child = home
            .mxm_secrets(shell(&["--secret", "prod/api-key"], script))
            .spawn()
            .unwrap();
        waits_for(|| started.exists());
        // SAFETY: plain numbers.
        unsafe { libc::kill(child.id().cast_signed(), signal) };
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        fs::remove_file(started).unwrap();
    }
}

#[test]
fn closed_descriptors_are_closed_in_the_command() {
    let home = home();
    for closed in [vec![0], vec![2], vec![0, 2]] {
        let script = "exec >out; ls /proc/$$/fd; cat <&0; echo x >&2";
        let run = |mut command: Command| {
            let closed = closed.clone();
            without_others(&mut command);
            // SAFETY: close may be called between fork and exec.
            unsafe {
                command.pre_exec(move || {
                    for fd in &closed {
                        libc::close(*fd);
                    }
                    Ok(())
                });
            }
            let status = command.status().unwrap().code();
            (status, fs::read_to_string(home.path().join("out")).unwrap())
        };
        let mut under_env = home.command(find("env").unwrap());
        under_env.args(["sh", "-c", script]);
        let under_exec = home.mxm_secrets(shell(&["--secret", "prod/api-key"], script));
        assert_eq!(run(under_exec), run(under_env), "{closed:?}");
    }
}

#[test]
fn what_cannot_be_run_has_the_statuses_of_env() {
    let home = home();
    home.write("plain", "text");
    home.fake("broken", "#!/no/such/interpreter\n");
    home.fake("directory", "");
    fs::remove_file(home.path().join("bin/directory")).unwrap();
    fs::create_dir(home.path().join("bin/directory")).unwrap();
    for (command, status) in [
        ("no-such-command", 127),
        ("./no-such-command", 127),
        ("", 127),
        ("broken", 127),
        ("bin/broken", 127),
        ("./plain", 126),
        ("directory", 126),
        ("./bin", 126),
        ("plain/below", 127),
    ] {
        let env = transcript(home.command(find("env").unwrap()).arg(command));
        // GNU env says 126 for "a file below a file"; what matters is that we say the same.
        let expected = env.status.unwrap();
        assert!([status, 126].contains(&expected), "{command}: {env:?}");
        let seen = home.run([
            "exec",
            "--backend",
            "env",
            "--secret",
            "prod/api-key",
            "--",
            command,
        ]);
        assert_eq!(seen.status, Some(expected), "{command:?}: {}", seen.stderr);
        assert!(
            seen.stderr.starts_with(&match command {
                "" => "mxm-secrets: the name of the command is empty\n".to_owned(),
                _ => format!("mxm-secrets: {command}: "),
            }),
            "{}",
            seen.stderr
        );
        assert!(!seen.stderr.contains(CANARY));
    }
    let seen = home.run(["exec", "--secret", "prod/api-key", "--", "broken"]);
    seen.has(
        127,
        "",
        &["hint: it is there, but not the interpreter that its first line names"],
    );
}

#[test]
fn a_script_without_an_interpreter_is_not_given_to_a_shell() {
    let home = home();
    home.program("script", "touch trace\n");
    home.run(["exec", "--secret", "prod/api-key", "--", "script"])
        .is(
            126,
            "",
            "mxm-secrets: script: cannot be run: it is not a program, and has no #! line\n\
         mxm-secrets: hint: begin it with a line such as #!/bin/sh, or give -- sh script\n",
        );
    assert!(!home.path().join("trace").exists());
}

#[test]
fn a_directory_of_path_that_may_not_be_read_is_passed_over() {
    let home = home();
    home.write("first/tool", "not executable");
    home.fake("tool", "echo second");
    let path = format!("{0}/first:{0}/bin", home.path().display());
    let mut command = home.mxm_secrets(["exec", "--secret", "prod/api-key", "--", "tool"]);
    command.env("PATH", path);
    transcript(&mut command).is(0, "second\n", "");
}
