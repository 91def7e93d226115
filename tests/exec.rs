//! `exec`: what the command is given, and what is told where it is not started.

mod command;
mod texts;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Home, emulated, program, program_under_test, python, transcript};

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

/// Waits until something is so.
#[track_caller]
pub fn waits_for(so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_secret_is_a_variable_of_the_command() {
    let home = home();
    let print = "printf %s \"$PROD_API_KEY,$KEY\"";
    home.run(shell(&["--secret", "prod/api-key"], print))
        .is(0, format!("{CANARY},"), "");
    home.run(shell(&["--secret", "KEY=prod/api-key"], print))
        .is(0, format!("{CANARY},{CANARY}"), "");
    home.run(shell(&["--secret", "prod/api-key"], "exit 7"))
        .is(7, "", "");
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
    home.run(["exec", "--secret", "a", "--keep", "A", "--", "env"])
        .is(125, "", "mxm-secrets: --keep goes with --clean-env\n");
    for keep in ["", "A=B", "1A", "A-B"] {
        home.run(["exec", "--clean-env", "--keep", keep, "--", "env"]).is(
            125,
            "",
            &format!(
                "mxm-secrets: exec: --keep: {keep:?} is not the name of a variable (A-Z, a-z, 0-9 and _, no digit first)\n"
            ),
        );
    }
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
        let mut arguments = vec!["exec", "--secret", "prod/api-key"];
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
    home.run(arguments).has(125, "", &["a: failed: gopass: "]);
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
        "mxm-secrets: z/first: missing: not in gopass\n\
         mxm-secrets: f/second: failed: gopass: gopass show ended with status 9 for f/second\n\
         mxm-secrets: z/third: missing: not in gopass\n",
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
    let failure = |name| format!("{name}: failed: vault: no address of a Vault server is given");
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
            "the variable A is given twice: --secret a and --optional A",
        ),
        (
            &["--", "touch", "trace"],
            "exec: no secret given: use --secret [VAR=]NAME",
        ),
        (
            &["--stdin", "a", "--stdin", "b", "--", "touch", "trace"],
            "the standard input is given twice: --stdin and --stdin",
        ),
        (
            &[
                "--stdin",
                "a",
                "--config",
                "/dev/stdin",
                "--",
                "touch",
                "trace",
            ],
            "exec: --config reads the standard input, which --stdin replaces",
        ),
        (
            &["--stdin", "a", "--template", "T=-", "--", "touch", "trace"],
            "exec: --template reads the standard input",
        ),
        (
            &["--value", "{{a}}", "--", "touch", "trace"],
            "--value: it takes VAR=TEXT, the variable first",
        ),
        (
            &["--value", "A=x\n {{a|uri}}", "--", "touch", "trace"],
            "--value A: line 2, column 2: unknown encoder \"uri\": did you mean url?",
        ),
        (
            &["--template", "A=/dev/null", "--", "touch", "trace"],
            "/dev/null is not a regular file",
        ),
        (
            &["--template", "A=no/such", "--", "touch", "trace"],
            "no/such cannot be read: No such file",
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
            &["--secret", "a", "--backend", "nope", "--", "touch", "trace"],
            "unknown backend \"nope\"",
        ),
        (
            &["--secret", "a", "--timeout", "0", "--", "touch", "trace"],
            "--timeout",
        ),
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
    home.run(arguments.into_iter().chain(["--", "touch", "trace"]))
        .is(
            125,
            "",
            "mxm-secrets: a/b: failed: contains a NUL byte, which a variable cannot hold\n\
         mxm-secrets: hint: give it as a file: --file KEY=a/b\n",
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
                "mxm-secrets: a/b: failed: is too long for a variable (131068 bytes)\n\
                 mxm-secrets: hint: give it as a file: --file KEY=a/b\n",
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
    home.link(&["head", "wc", "od", "stat"]);
    // As programs want it that are given a key.
    let script = "stat -Lc %a $A; cat $A; cat $A; wc -c <$B; read x <$A; cat <$A; (echo new >$A) 2>/dev/null || echo refused
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
        content, "400\none\0\none\0\n200000\none\0\nrefused\nrefused\none\0",
        "{}",
        seen.stderr
    );
    let numbers: Vec<&str> = paths
        .split(' ')
        .map(|path| {
            let (process, number) = path
                .strip_prefix("/proc/")
                .unwrap()
                .split_once("/fd/")
                .unwrap();
            assert!(
                process.parse::<u32>().is_ok() && number.parse::<u32>().unwrap() > 100,
                "{path}"
            );
            number
        })
        .collect();
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(seen.status, Some(0));
}

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
fn a_file_in_memory_outlives_closed_descriptors_and_numbers_taken() {
    let home = home();
    let Some(python) = python() else {
        return;
    };
    home.install("python3", &python);
    home.link(&["head"]);
    let reads = [
        // Python closes all descriptors of its children.
        "python3 -c 'import subprocess, os; print(subprocess.run([\"cat\", os.environ[\"F\"]], stdout=-1, check=True).stdout.decode())'",
        "python3 -c 'import os; print(open(os.environ[\"F\"]).read())'",
        // Numbers that scripts take for their own.
        "exec 3>/dev/null 4</dev/null 9>/dev/null; cat $F; echo",
        "sh -c 'sh -c \"cat \\$F\"'; echo",
        "(cat $F) | cat; echo",
        "exec python3 -c 'import os; os.closerange(3, 100); print(open(os.environ[\"F\"]).read())'",
        "exec sh -c 'cat $F; echo'",
    ];
    for read in reads {
        home.run(shell(&["--file", "F=prod/api-key"], read))
            .is(0, format!("{CANARY}\n"), "");
    }
    // A limit below the number: a lower one then.
    home.fake("cat_f", "exec 3>&2 4>&2 9>&2; exec cat $F");
    for limit in [24, 64, 101, 102] {
        let limited = format!(
            "ulimit -n {limit}; exec \"$0\" exec --backend env --file F=prod/api-key -- cat_f"
        );
        let mut command = home.command("/bin/sh");
        command.args(["-c", &limited]).arg(program_under_test());
        transcript(&mut command).is(0, CANARY, "");
    }
}

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
fn a_daemon_reads_its_file_until_the_command_has_ended() {
    let home = home();
    let Some(python) = python() else {
        return;
    };
    home.install("python3", &python);
    let daemon = "import os, sys, time
path, started = os.environ['F'], os.getpid()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 4096)
        before = open(path).read()
        open('read', 'w').close()
        while os.path.exists(f'/proc/{started}/fd'): time.sleep(0.01)
        try: after = open(path).read()
        except FileNotFoundError: after = 'gone'
        with open('draft', 'w') as draft: draft.write(before + ' ' + after)
        os.rename('draft', 'out')
    os._exit(0)
os.wait()
while not os.path.exists('read'): time.sleep(0.01)
";
    let file = home.write("daemon.py", daemon);
    let arguments = [
        "exec",
        "--backend",
        "env",
        "--file",
        "F=prod/api-key",
        "--",
        "python3",
    ];
    let whole = arguments.iter().map(OsStr::new).chain([file.as_os_str()]);
    home.run(whole).is(0, "", "");
    waits_for(|| home.path().join("out").exists());
    let seen = fs::read_to_string(home.path().join("out")).unwrap();
    assert_eq!(seen, format!("{CANARY} gone"));
}

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
fn a_file_in_memory_is_not_for_another_user() {
    let home = home();
    let (Some(sudo), true) = (program("sudo"), home.give_to_stranger()) else {
        return;
    };
    let sudo = sudo.display();
    let drop = format!("{sudo} -n -u nobody cat $F 2>/dev/null || echo refused; cat $F");
    home.run(shell(&["--file", "F=prod/api-key"], &drop))
        .is(0, format!("refused\n{CANARY}"), "");
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
        vec!["get", "--json", "--backend", "env", "prod/api-key"],
        vec![
            "exec",
            "--backend",
            "env",
            "--value",
            "KEY={{prod/api-key}}",
            "--template",
            "T=template",
            "--stdin",
            "prod/api-key",
            "--",
            "true",
        ],
    ] {
        home.write("template", "{{prod/api-key}}");
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
    let secret = "--secret=prod/api-key";
    let arguments = ["exec", secret, "--", "sh", "-c", "printf %s, \"$@\"", "sh"];
    let whole = arguments
        .iter()
        .map(OsStr::new)
        .chain([odd, OsStr::new("--"), OsStr::new("")]);
    home.run(whole).is(0, b"\xff -x,--,,", "");
}

/// What loaders, shells and interpreters obey, and what mxm-secrets itself does, is set by hand alone.
#[test]
fn no_name_becomes_a_variable_that_programs_obey() {
    let mut home = Home::new();
    home.set("MXM_SECRETS_BACKENDS", "env");
    for (name, variable) in [
        ("ld/preload", "LD_PRELOAD"),
        ("path", "PATH"),
        ("Bash-Env", "BASH_ENV"),
        ("git/ssh/command", "GIT_SSH_COMMAND"),
        ("python#path", "PYTHON_PATH"),
        ("mxm/secrets/config", "MXM_SECRETS_CONFIG"),
    ] {
        for flag in ["--secret", "--optional"] {
            let words = format!(
                "mxm-secrets: exec: {name} would set {variable}, which programs obey: give VAR={name}\n"
            );
            home.run(["exec", flag, name, "--", "true"])
                .is(125, "", &words);
        }
    }
    home.set("A", "a");
    home.link(&["env"]);
    let seen = home.run(["exec", "--secret", "NODE_OPTIONS=a", "--", "env"]);
    seen.has(0, &seen.stdout, &[]);
    assert!(String::from_utf8_lossy(&seen.stdout).contains("NODE_OPTIONS=a\n"));
}
