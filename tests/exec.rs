//! `exec`: what the command is given, compared with what env(1) gives it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::terminal::Terminal;
use crate::support::{Home, emulated, find, program, program_under_test, transcript};

/// A value that must show up nowhere but in the command's environment.
const CANARY: &str = "canary-7c1f";

/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home with one secret, and the programs that the scripts of these tests need.
fn home() -> Home {
    let mut home = Home::new();
    home.link(&["sh", "cat", "ls", "env", "sort", "sleep", "touch", "true"]);
    home.set("PROD_API_KEY", CANARY);
    home
}

/// `exec ARGUMENTS -- sh -c SCRIPT` on the env backend.
fn shell<'a>(arguments: &[&'a str], script: &'a str) -> Vec<&'a str> {
    let mut whole = vec!["exec", "--backend", "env"];
    whole.extend(arguments);
    whole.extend(["--", "sh", "-c", script]);
    whole
}

/// Runs `script` under env(1) and under exec, both prepared alike; what it printed must be the same.
#[track_caller]
fn same(home: &Home, script: &str, prepare: impl Fn(&mut Command)) -> String {
    let mut under_env = home.command(find("env").unwrap());
    under_env.args(["sh", "-c", script]);
    let mut under_exec = home.mxm_secrets(shell(&["--secret", "prod/api-key"], script));
    for command in [&mut under_env, &mut under_exec] {
        // SAFETY: close_range may be called between fork and exec. What other tests have open is none of ours.
        #[cfg(target_os = "linux")]
        unsafe {
            command.pre_exec(|| {
                libc::syscall(
                    libc::SYS_close_range,
                    3,
                    u32::MAX,
                    libc::CLOSE_RANGE_CLOEXEC,
                );
                Ok(())
            });
        }
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

#[test]
fn a_secret_is_a_variable_of_the_command() {
    let home = home();
    let print = "printf %s \"$PROD_API_KEY,$KEY\"";
    home.run(shell(&["--secret", "prod/api-key"], print))
        .is(0, format!("{CANARY},"), "");
    home.run(shell(&["--secret", "KEY=prod/api-key"], print))
        .is(0, format!("{CANARY},{CANARY}"), "");
    home.run(shell(&[], "exit 7")).is(7, "", "");
}

#[test]
fn one_newline_at_the_end_is_dropped() {
    for (stored, given) in [
        ("v\n", "v"),
        ("v\n\n", "v\n"),
        ("\n v \n", "\n v "),
        ("v", "v"),
    ] {
        let mut home = home();
        home.set("A", stored);
        home.run(shell(&["--secret", "KEY=a"], "printf %s. \"$KEY\""))
            .is(0, format!("{given}."), "");
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
        // SAFETY: dup2 may be called between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::dup2(fd, 9);
                Ok(())
            });
        }
    });
    assert!(fds.lines().any(|fd| fd == "9"), "{fds}");
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
                libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
                Ok(())
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

/// Waits until something is so.
#[track_caller]
fn waits_for(so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn closed_descriptors_are_closed_in_the_command() {
    let home = home();
    for closed in [vec![0], vec![2], vec![0, 2]] {
        let script = "exec >out; ls /proc/$$/fd; cat <&0; echo x >&2";
        let run = |mut command: Command| {
            let closed = closed.clone();
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
    home.fake("broken", "");
    fs::write(home.path().join("bin/broken"), "#!/no/such/interpreter\n").unwrap();
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
            seen.stderr
                .starts_with(&format!("mxm-secrets: {command}: ")),
            "{}",
            seen.stderr
        );
        assert!(!seen.stderr.contains(CANARY));
    }
    let seen = home.run(["exec", "--", "broken"]);
    seen.has(
        127,
        "",
        &["hint: it is there, but not the interpreter that its first line names"],
    );
}

#[test]
fn a_script_without_an_interpreter_is_not_given_to_a_shell() {
    let home = home();
    home.fake("script", "");
    fs::write(home.path().join("bin/script"), "touch trace\n").unwrap();
    home.run(["exec", "--", "script"]).is(
        126,
        "",
        "mxm-secrets: script: cannot be run: it is no program, and has no #! line\n\
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
    let mut command = home.mxm_secrets(["exec", "--", "tool"]);
    command.env("PATH", path);
    transcript(&mut command).is(0, "second\n", "");
}

#[test]
fn a_clean_environment_has_the_secrets_and_what_is_kept() {
    let mut home = home();
    home.set("OTHER", "1");
    let arguments = [
        "exec",
        "--backend=env",
        "--clean-env",
        "--secret",
        "KEY=prod/api-key",
    ];
    let seen = home.run(arguments.into_iter().chain(["--", "env"]));
    seen.is(0, format!("KEY={CANARY}\n"), "");
    let keep = ["--keep", "OTHER", "--keep=NOT_SET", "--", "env"];
    let seen = home.run(arguments.into_iter().chain(keep));
    seen.is(0, format!("OTHER=1\nKEY={CANARY}\n"), "");
    home.run(["exec", "--keep", "A", "--", "env"]).is(
        125,
        "",
        "mxm-secrets: --keep goes with --clean-env\n",
    );
}

#[test]
fn credentials_of_our_own_stay_here_and_settings_do_not() {
    let mut home = home();
    home.set("MXM_SECRETS_VAULT_TOKEN", "t0ken")
        .set("MXM_SECRETS_ANYTHING", "t0ken")
        .set("MXM_SECRETS_BACKENDS", "env")
        .set("MXM_SECRETS_TIMEOUT", "5")
        .set("MXM_SECRETS_NO_INPUT", "1");
    for keep in [
        vec![],
        vec!["--clean-env", "--keep", "MXM_SECRETS_ANYTHING"],
    ] {
        let mut arguments = vec!["exec"];
        arguments.extend(&keep);
        arguments.extend(["--", "env"]);
        let seen = home.run(arguments);
        let text = String::from_utf8(seen.stdout).unwrap();
        assert_eq!(
            (seen.status, text.contains("t0ken")),
            (Some(0), false),
            "{text}"
        );
        let settings = text.matches("MXM_SECRETS_").count();
        assert_eq!(settings, if keep.is_empty() { 3 } else { 0 }, "{text}");
    }
}

#[test]
fn an_optional_secret_that_is_missing_is_not_set() {
    let mut home = home();
    home.set("KEY", "stale");
    let print = "echo ${KEY-not set}";
    home.run(shell(&["--optional", "KEY=no/such"], print))
        .is(0, "not set\n", "");
    home.run(shell(&["--optional", "KEY=prod/api-key"], print))
        .is(0, format!("{CANARY}\n"), "");
    // A failure is no absence.
    home.fake("gopass", "exit 11");
    let arguments = [
        "exec",
        "--backend",
        "gopass",
        "--optional",
        "KEY=a",
        "--",
        "touch",
        "trace",
    ];
    home.run(arguments).has(125, "", &["gopass failed"]);
    assert!(!home.path().join("trace").exists());
}

#[test]
fn everything_that_is_wrong_is_told_and_nothing_is_started() {
    let home = home();
    home.fake(
        "gopass",
        "case $4 in\nz*) echo 'Error: failed to retrieve secret: entry is not in the password store' >&2; exit 11;;\n\
         f*) echo canary-7c1f; echo 'canary-7c1f' >&2; exit 9;;\nesac\necho value",
    );
    let arguments = [
        "exec",
        "--backend",
        "gopass",
        "--secret",
        "z/first",
        "--secret",
        "good",
        "--file",
        "F=f/second",
        "--secret",
        "z/third",
        "--quiet",
        "--",
        "touch",
        "trace",
    ];
    home.run(arguments).is(
        125,
        "",
        "mxm-secrets: z/first is missing: not in gopass\n\
         mxm-secrets: gopass failed: gopass show ended with status 9 for f/second\n\
         mxm-secrets: z/third is missing: not in gopass\n",
    );
    assert!(!home.path().join("trace").exists());
}

#[cfg(feature = "vault")]
#[test]
fn a_hint_that_mends_several_secrets_is_given_once() {
    let arguments = [
        "exec",
        "--backend",
        "vault",
        "--secret",
        "x/a",
        "--secret",
        "x/b",
    ];
    let failure = |name| format!("{name}: vault failed: no address of a Vault server is given");
    let (a, b) = (failure("x/a"), failure("x/b"));
    home().run(arguments.iter().chain(&["--", "true"])).is(
        125,
        "",
        &format!(
            "mxm-secrets: {a}\n\
             mxm-secrets: hint: set VAULT_ADDR, or address in the section vault of the configuration\n\
             mxm-secrets: {b}\n"
        ),
    );
}

#[test]
fn mistakes_have_status_125_and_start_nothing() {
    let home = home();
    let nothing = home.run(["exec", "--secret", "prod/api-key"]);
    nothing.is(125, "", "mxm-secrets: exec: give a command after --\n");
    for (arguments, words) in [
        (
            &["--secret", "a", "touch", "trace"][..],
            "exec: -- is missing before the command \"touch\"",
        ),
        (&["--secret", "a", "--"], "there is no command after --"),
        (
            &["--secret", "a", "--optional", "A=b", "--", "touch", "trace"],
            "the variable A is given twice",
        ),
        (
            &["--file", "a", "--", "touch", "trace"],
            "it takes VAR=NAME",
        ),
        (
            &["--secret", "=a", "--", "touch", "trace"],
            "\"\" is not the name of a variable",
        ),
        (
            &["--secret", "1A=a", "--", "touch", "trace"],
            "\"1A\" is not the name of a variable",
        ),
        (
            &["--secret", "A-B=a", "--", "touch", "trace"],
            "\"A-B\" is not the name of a variable",
        ),
        (&["--secret", "1/a", "--", "touch", "trace"], "give VAR=1/a"),
        (&["--secret", "A=", "--", "touch", "trace"], "bad name \"\""),
        (
            &["--secret", "A=../b", "--", "touch", "trace"],
            "bad name \"../b\"",
        ),
        (
            &["--secret", "--", "touch", "trace"],
            "-- is missing before the command",
        ),
        (
            &["--secrets", "a", "--", "touch", "trace"],
            "unknown option --secrets: did you mean --secret?",
        ),
        (
            &["--json", "--", "touch", "trace"],
            "exec has no option --json",
        ),
        (
            &["--default", "a", "--", "touch", "trace"],
            "exec has no option --default",
        ),
        (
            &["--backend", "nope", "--", "touch", "trace"],
            "no backend is called \"nope\"",
        ),
        (&["--timeout", "0", "--", "touch", "trace"], "--timeout"),
    ] {
        let whole = ["exec"].into_iter().chain(arguments.iter().copied());
        home.run(whole).has(125, "", &[words]);
        assert!(!home.path().join("trace").exists(), "{arguments:?}");
    }
}

#[test]
fn what_a_variable_cannot_hold_is_told() {
    let home = home();
    home.fake("gopass", "printf 'canary-7c1f\\0x'");
    let arguments = ["exec", "--backend", "gopass", "--secret", "KEY=a/b"];
    home.run(arguments.into_iter().chain(["--", "touch", "trace"])).is(
        125,
        "",
        "mxm-secrets: a/b has a NUL byte, which a variable cannot hold\nmxm-secrets: hint: --file KEY=a/b\n",
    );
    // `KEY=`, the value and the final NUL make 131072 bytes.
    home.link(&["head", "tr", "wc"]);
    for (count, newline, fits) in [
        (131_067, "", true),
        (131_067, "\\n", true),
        (131_068, "", false),
    ] {
        home.fake(
            "gopass",
            &format!("head -c {count} /dev/zero | tr '\\0' x; printf '{newline}'"),
        );
        let seen =
            home.run(
                arguments
                    .into_iter()
                    .chain(["--", "sh", "-c", "touch trace; echo ${#KEY}"]),
            );
        if fits {
            seen.is(0, format!("{count}\n"), "");
            fs::remove_file(home.path().join("trace")).unwrap();
        } else {
            seen.is(
                125,
                "",
                "mxm-secrets: a/b is too long for a variable (131068 bytes)\nmxm-secrets: hint: --file KEY=a/b\n",
            );
        }
    }
    assert!(!home.path().join("trace").exists());
}

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
fn a_file_in_memory_is_read_again_and_never_written() {
    let home = home();
    home.fake(
        "gopass",
        "case $4 in a) printf 'one\\0\\n';; b) head -c 200000 /dev/zero;; esac",
    );
    home.link(&["head", "wc", "od"]);
    let script = "cat $A; cat $A; wc -c <$B; read x <$A; cat <$A; (echo new >$A) 2>/dev/null || echo refused
        (echo more >>$A) 2>/dev/null || echo refused; cat $A; env | od -c | ls /proc/self/fd/ >/dev/null; echo $A $B";
    let arguments = [
        "exec",
        "--backend",
        "gopass",
        "--file",
        "A=a",
        "--file",
        "B=b",
        "--",
        "sh",
        "-c",
        script,
    ];
    let seen = home.run(arguments);
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    let (content, paths) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(
        content, "one\0\none\0\n200000\none\0\nrefused\nrefused\none\0",
        "{}",
        seen.stderr
    );
    let numbers: Vec<&str> = paths
        .split(' ')
        .map(|path| path.strip_prefix("/proc/self/fd/").unwrap())
        .collect();
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(seen.status, Some(0));
}

#[test]
fn lookups_run_side_by_side() {
    // Each fake waits for the three others: one after the other, none would ever end.
    let home = home();
    home.fake(
        "gopass",
        "touch at.$$; while set -- at.*; [ $# -lt 4 ]; do sleep 0.01; done; echo value",
    );
    let mut arguments = vec!["exec", "--backend", "gopass"];
    for name in ["a", "b", "c", "d"] {
        arguments.extend(["--secret", name]);
    }
    arguments.extend(["--timeout", "60", "--", "sh", "-c", "echo $A $B $C $D"]);
    home.run(arguments).is(0, "value value value value\n", "");
}

#[test]
fn an_interruption_starts_nothing() {
    let home = home();
    home.fake("gopass", "echo $$ >child; exec sleep 1000");
    let arguments = [
        "exec",
        "--backend",
        "gopass",
        "--secret",
        "a",
        "--",
        "touch",
        "trace",
    ];
    let mut command = home.mxm_secrets(arguments);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let pid = || fs::read_to_string(home.path().join("child")).unwrap_or_default();
    waits_for(|| pid().ends_with('\n'));
    // SAFETY: plain numbers.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    assert!(!Path::new(&format!("/proc/{}", pid().trim())).exists());
    assert!(!home.path().join("trace").exists());
}

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
fn a_value_is_in_no_argument_list_and_no_file() {
    let Some(strace) = program("strace") else {
        return;
    };
    if emulated("strace sees the runner's own calls as well") {
        return;
    }
    let home = home();
    for arguments in [
        vec![
            "exec",
            "--backend",
            "env",
            "--secret",
            "KEY=prod/api-key",
            "--",
            "true",
        ],
        vec![
            "exec",
            "--backend",
            "env",
            "--file",
            "KEY=prod/api-key",
            "--",
            "true",
        ],
        vec![
            "resolve",
            "--explain",
            "--all",
            "--backend",
            "env",
            "prod/api-key",
        ],
        vec!["get", "--backend", "env", "prod/api-key"],
    ] {
        let mut command = home.command(&strace);
        command.args([
            "-f",
            "-v",
            "-s",
            "4096",
            "-o",
            "trace",
            "-e",
            "trace=execve,%file,write,writev",
        ]);
        command.arg(program_under_test()).args(&arguments);
        let seen = transcript(&mut command);
        assert_eq!(seen.status, Some(0), "{}", seen.stderr);
        let trace = fs::read_to_string(home.path().join("trace")).unwrap();
        for line in trace.lines() {
            let started = line.contains("execve(");
            let argv = line.split("], [").next().unwrap();
            assert!(!started || !argv.contains(CANARY), "{line}");
            for call in [
                "O_CREAT", "O_WRONLY", "O_RDWR", "rename", "unlink", "mkdir", "link(",
            ] {
                // The loader of a dynamic program and readlink read only.
                assert!(!line.contains(call) || line.contains("readlink"), "{line}");
            }
        }
    }
}

#[test]
fn a_value_is_in_no_message() {
    let mut home = home();
    home.set("BAD", format!("{CANARY}\n{CANARY}"));
    home.fake(
        "gopass",
        &format!("echo {CANARY}; echo {CANARY} >&2; exit 3"),
    );
    let search = |arguments: &[&str]| {
        let seen = home.run(arguments);
        let stdout = String::from_utf8_lossy(&seen.stdout);
        assert!(!stdout.contains(CANARY), "{arguments:?}: {stdout}");
        assert!(
            !seen.stderr.contains(CANARY),
            "{arguments:?}: {}",
            seen.stderr
        );
    };
    for backend in ["env", "gopass", "gopass,env"] {
        for more in [&[][..], &["-v"], &["--on-error", "continue", "-v"]] {
            for command in [
                &[
                    "exec",
                    "--secret",
                    "prod/api-key",
                    "--optional",
                    "bad",
                    "--file",
                    "F=no/such",
                ][..],
                &["resolve", "prod/api-key", "bad", "no/such"],
                &[
                    "resolve",
                    "--explain",
                    "--all",
                    "prod/api-key",
                    "bad",
                    "no/such",
                ],
                &[
                    "resolve",
                    "--json",
                    "--all",
                    "prod/api-key",
                    "bad",
                    "prod/api-key#field",
                ],
                &["get", "prod/api-key#field"],
            ] {
                let mut whole = command.to_vec();
                whole.extend(["--backend", backend]);
                whole.extend(more);
                if command[0] == "exec" {
                    whole.extend(["--", "no-such-command"]);
                }
                search(&whole);
            }
        }
        search(&["list-backends", "--backend", backend]);
        search(&["list-backends", "--json", "--backend", backend]);
    }
}

#[test]
fn arguments_are_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let home = home();
    let odd = OsStr::from_bytes(b"\xff -x");
    let arguments = ["exec", "--", "sh", "-c", "printf %s, \"$@\"", "sh"];
    let whole = arguments
        .iter()
        .map(OsStr::new)
        .chain([odd, OsStr::new("--"), OsStr::new("")]);
    home.run(whole).is(0, b"\xff -x,--,,", "");
}
