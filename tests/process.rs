//! Children: what they get, and what becomes of them. Fakes, since no real program can be made to hang or flood.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::terminal::Terminal;
use crate::support::{
    Home, STRANGER, emulated, full_pipe, is_gone, left_by, processes_in, program_under_test,
    started_in, state, transcript,
};

/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home whose gopass writes its process id, and that of a grandchild which keeps the pipes open, and then hangs.
pub fn hanging() -> Home {
    let home = Home::new();
    home.link(&["sleep"]);
    home.fake(
        "gopass",
        "sleep 1000 &\necho $! >grandchild\necho half a val\necho $$ >child\nwait\nsleep 1000",
    );
    home
}

/// The process id that a fake has written.
pub fn pid(home: &Home, file: &str) -> u32 {
    let path = home.path().join(file);
    let end = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().parse().unwrap();
        }
        assert!(Instant::now() < end, "no {file}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn at_the_deadline_the_whole_group_is_killed() {
    let home = hanging();
    home.run(["get", "a", "--timeout", "3", "--default", "V"]).is(
        4,
        "",
        "mxm-secrets: a: failed: gopass: gopass gave no answer in time and was killed, asked for a\n",
    );
    assert!(is_gone(pid(&home, "child")));
    assert!(is_gone(pid(&home, "grandchild")));
}

#[test]
fn a_child_that_closes_its_output_and_hangs_is_killed() {
    let home = Home::new();
    home.link(&["sleep"]);
    home.fake("gopass", "echo $$ >child\nexec >&- 2>&-\nsleep 1000");
    home.run(["get", "a", "--timeout", "3"])
        .has(4, "", &["gave no answer in time"]);
    assert!(is_gone(pid(&home, "child")));
}

#[test]
fn an_output_that_never_ends_is_bounded() {
    let home = Home::new();
    home.link(&["yes"]);
    home.fake("gopass", "echo $$ >child\nexec yes secret");
    home.run(["get", "a"]).is(
        4,
        "",
        "mxm-secrets: a: failed: gopass: gopass wrote more than 16 MiB and was killed, asked for a\n",
    );
    assert!(is_gone(pid(&home, "child")));
    // Of messages the rest is thrown away.
    home.link(&["head"]);
    fs::remove_file(home.path().join("bin/gopass")).unwrap();
    home.fake("gopass", "yes message | head -c 50000000 >&2\necho value");
    home.run(["get", "a"]).is(0, "value\n", "");
}

#[test]
fn sixteen_mebibytes_are_a_secret_and_one_more_is_not() {
    let home = Home::new();
    home.link(&["head"]);
    home.fake("gopass", "head -c $SIZE /dev/zero");
    let get = |size: usize| {
        transcript(
            home.mxm_secrets(["get", "--raw", "a"])
                .env("SIZE", size.to_string()),
        )
    };
    let whole = get(16 << 20);
    assert_eq!((whole.status, whole.stdout.len()), (Some(0), 16 << 20));
    get((16 << 20) + 1).has(4, "", &["wrote more than 16 MiB"]);
}

#[test]
fn a_child_that_dies_is_a_failure() {
    let home = Home::new();
    home.fake("gopass", "echo half a value\nkill -9 $$");
    home.run(["get", "a"])
        .has(4, "", &["gopass show ended with signal 9 for a"]);
    fs::remove_file(home.path().join("bin/gopass")).unwrap();
    home.fake(
        "gopass",
        "echo half a value; echo 'canary: the plaintext' >&2; exit 3",
    );
    let seen = home.run(["get", "a", "-v"]);
    seen.has(4, "", &["gopass show ended with status 3 for a"]);
    assert!(
        !seen.stderr.contains("canary") && !seen.stderr.contains("half"),
        "{}",
        seen.stderr
    );
}

#[test]
fn a_program_that_cannot_be_run_is_a_failure() {
    let home = Home::new();
    home.write("bin/gopass", "not executable");
    home.run(["get", "a", "-v"])
        .has(4, "", &["gopass cannot be run: Permission denied"]);
    fs::remove_file(home.path().join("bin/gopass")).unwrap();
    home.fake("gopass", "#!/no/such/sh\n");
    home.run(["get", "a", "-v"])
        .has(4, "", &["gopass cannot be run: No such file"]);
}

#[test]
fn a_child_has_no_input_and_cannot_prompt() {
    let mut home = Home::new();
    home.link(&["cat", "env", "ps"]);
    home.set("DISPLAY", ":0")
        .set("WAYLAND_DISPLAY", "w")
        .set("GPG_TTY", "/dev/tty")
        .set("GOPASS_DEBUG_LOG_SECRETS", "1");
    home.set("PASSWORD_STORE_GPG_OPTS", "--mine")
        .set("GOPASS_CONFIG_COUNT", "2");
    for (variable, text) in [
        ("KEY_0", "a.b"),
        ("VALUE_0", "c"),
        ("KEY_1", "d.e"),
        ("VALUE_1", "f"),
    ] {
        home.set(&format!("GOPASS_CONFIG_{variable}"), text);
    }
    home.fake("gopass", "cat\nenv\nps -o pgid= -p $$\necho $$");
    let seen = home.run(["get", "a"]);
    let text = String::from_utf8(seen.stdout).unwrap();
    for line in [
        "GPG_TTY=not a tty",
        "LC_ALL=C",
        "PASSWORD_STORE_GPG_OPTS=--status-fd 2 --batch --pinentry-mode error --mine",
        "GOPASS_CONFIG_COUNT=3",
        "GOPASS_CONFIG_KEY_2=show.autoclip",
        "GOPASS_CONFIG_VALUE_2=false",
    ] {
        assert!(text.lines().any(|seen| seen == line), "no {line} in {text}");
    }
    for variable in [
        "DISPLAY=",
        "WAYLAND_DISPLAY=",
        "GOPASS_DEBUG_LOG_SECRETS=",
        "GOPASS_GPG_OPTS=",
    ] {
        assert!(
            !text.lines().any(|line| line.starts_with(variable)),
            "{variable} in {text}"
        );
    }
    let last: Vec<&str> = text.lines().rev().take(2).map(str::trim).collect();
    assert_eq!(last[0], last[1], "it leads no process group of its own");
}

#[test]
fn in_interactive_use_the_terminal_stays_usable() {
    let home = Home::new();
    home.link(&["env", "ps", "sleep"]);
    // Longer than the deadline that holds when nobody is there.
    home.fake(
        "gopass",
        "echo \"group $(ps -o pgid= -p $PPID) $(ps -o pgid= -p $$)\"\nenv",
    );
    let (status, screen) = Terminal::start(home.mxm_secrets(["get", "a"])).ends();
    assert_eq!(status.code(), Some(0), "{screen}");
    let group = screen
        .lines()
        .find_map(|line| line.strip_prefix("group "))
        .unwrap();
    let groups: Vec<&str> = group.split_whitespace().collect();
    assert_eq!(groups[0], groups[1]);
    assert!(
        screen.contains("\nGPG_TTY=/dev/pts/") && !screen.contains("pinentry-mode"),
        "{screen}"
    );
    // With a deadline of one's own, it holds for a person, too.
    let home = hanging();
    let (status, screen) = Terminal::start(home.mxm_secrets(["get", "a", "--timeout", "3"])).ends();
    assert_eq!(status.code(), Some(4), "{screen}");
    assert!(is_gone(pid(&home, "child")));
    // It is in our own group here, so only /proc tells whose it is.
    if cfg!(all(target_os = "linux", not(mxm_secrets_portable))) {
        assert!(is_gone(pid(&home, "grandchild")));
    } else {
        end_all_in(&home);
    }
}

#[test]
fn a_person_may_take_longer_than_the_deadline() {
    let home = Home::new();
    home.link(&["sleep"]);
    home.fake("gopass", "sleep 10.5; echo typed");
    let (status, screen) = Terminal::start(home.mxm_secrets(["get", "a"])).ends();
    assert_eq!((status.code(), screen.as_str()), (Some(0), "typed\n"));
}

#[test]
fn a_variable_says_whether_a_person_is_there() {
    let home = Home::new();
    home.link(&["env"]);
    home.fake("gopass", "env");
    let asks = |no_input: &str, arguments: &[&str]| {
        let mut command = home.mxm_secrets(["get", "a"].iter().chain(arguments));
        let seen = transcript(command.env("MXM_SECRETS_NO_INPUT", no_input));
        assert_eq!(seen.status, Some(0), "{}", seen.stderr);
        !String::from_utf8(seen.stdout)
            .unwrap()
            .contains("--pinentry-mode error")
    };
    assert!(!asks("", &[]));
    assert!(!asks("1", &[]));
    assert!(asks("0", &[]));
    assert!(!asks("0", &["--no-input"]));
}

/// Not even where what we have to say of it would wait for somebody to read it.
#[test]
fn a_signal_ends_the_child_too_and_tells_our_parent() {
    let emulated =
        emulated("the emulator itself has a word to say there, which waits: all but that is run");
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        let home = hanging();
        // The deadline comes after our patience, so that it is the signal that has ended them.
        let arguments = ["get", "a", "--default", "V", "--timeout", "120"];
        let (unread, full) = full_pipe(0);
        let child = home
            .mxm_secrets(arguments)
            .stdout(Stdio::piped())
            .stderr(if emulated { Stdio::null() } else { full.into() })
            .spawn()
            .unwrap();
        let (inner, grandchild) = (pid(&home, "child"), pid(&home, "grandchild"));
        kill(&child, signal);
        assert!(is_gone(inner));
        assert!(is_gone(grandchild));
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.signal(), output.stdout.as_slice()),
            (Some(signal), &b""[..])
        );
        drop(unread);
    }
}

/// A parent that reads nothing more, and ends us.
#[test]
fn a_signal_while_we_write_ends_us_without_a_word() {
    let home = Home::new();
    home.link(&["head"]);
    home.fake("gopass", "head -c 1000000 /dev/zero");
    let mut child = home
        .mxm_secrets(["get", "a"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Something of it is there, so we write to a pipe that takes no more.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    kill(&child, libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.signal(), output.stderr.as_slice()),
        (Some(libc::SIGTERM), &b""[..])
    );
    drop(stdout);
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let home = hanging();
    let mut shell = home.command("/bin/sh");
    let program = home.mxm_secrets([""; 0]).get_program().to_owned();
    shell
        .args(["-c", "trap '' INT; exec \"$0\" get a --timeout 4"])
        .arg(program);
    let child = shell
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    pid(&home, "child");
    kill(&child, libc::SIGINT);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));
}

pub fn kill(child: &Child, signal: i32) {
    // SAFETY: the child is ours and has not been reaped.
    unsafe { libc::kill(child.id() as i32, signal) };
}

/// While it holds a secret the process is not dumpable: nobody but root may look into it, and it leaves no core file.
#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "it is a call of Linux"
)]
fn the_process_is_not_dumpable() {
    let home = hanging();
    let mut command = home.mxm_secrets(["get", "a"]);
    if home.give_to_stranger() {
        // The kernel gives the files of a process that is not dumpable to root; as root one would not see it.
        command = home.command(home.path().join("mxm-secrets"));
        command.args(["get", "a"]).uid(STRANGER).gid(STRANGER);
    }
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let inner = pid(&home, "child");
    let proc = |pid: u32| Path::new("/proc").join(pid.to_string());
    let us = proc(child.id());
    let limits = fs::read_to_string(us.join("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let owner = |process: &Path| fs::metadata(process.join("mem")).unwrap().uid();
    assert_eq!(owner(&us), 0);
    assert_ne!(
        owner(&proc(inner)),
        0,
        "a process that is dumpable looks the same here"
    );
    kill(&child, libc::SIGTERM);
    child.wait_with_output().unwrap();
}

/// However many names there are: what was not asked for by then says so.
#[test]
fn all_lookups_together_have_a_deadline() {
    let home = Home::new();
    home.link(&["sleep"]);
    home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {own: {command: [hang, \"{name}\"]}, backends: [own]}\n",
    );
    home.fake("hang", "exec sleep 1000");
    let names: Vec<String> = (0..20)
        .map(|number| format!("V{number}=a{number}"))
        .collect();
    let mut arguments = vec!["exec", "--timeout", "4"];
    arguments.extend(names.iter().flat_map(|name| ["--secret", name]));
    arguments.extend(["--", "true"]);
    let began = Instant::now();
    let seen = home.run(&arguments);
    // Eight at once, three times over, take twelve.
    assert!(began.elapsed() < Duration::from_secs(11), "{seen:?}");
    seen.has(
        125,
        "",
        &[
            "own: hang gave no answer in time and was killed (a0)",
            "own: a19 was not asked for: the 4 s for all lookups together are over",
            "hint: give more time with --timeout, or ask for fewer names at once",
        ],
    );
}

/// A child that has ended with its value is a hit, whoever in the background still holds its standard error.
#[test]
fn what_has_ended_with_its_value_is_not_waited_for() {
    let home = Home::new();
    home.link(&["sleep"]);
    home.fake(
        "gopass",
        "sleep 1000 >/dev/null &\necho $! >grandchild\necho value",
    );
    let began = Instant::now();
    home.run(["get", "a", "--timeout", "60"])
        .is(0, "value\n", "");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(is_gone(pid(&home, "grandchild")));
    // Whoever holds its standard output may still write: nobody knows whether the value is whole.
    fs::remove_file(home.path().join("bin/gopass")).unwrap();
    home.fake("gopass", "sleep 1000 &\necho $! >grandchild2\necho value");
    home.run(["get", "a", "--timeout", "2", "--default", "V"]).is(
        4,
        "",
        "mxm-secrets: a: failed: gopass: gopass ended, but a process it started kept its output open, asked for a\n",
    );
    assert!(is_gone(pid(&home, "grandchild2")));
}

/// What a fake does that has started processes which are hard to find: each has left the group, one has lost its parent,
/// too, and one does not heed what it is asked.
const SCATTERED: &str = "setsid sleep 1000 >/dev/null 2>&1 &\n\
    (setsid sleep 1000 >/dev/null 2>&1 &)\n\
    (trap '' TERM; setsid sh -c 'sleep 1000; sleep 1000' >/dev/null 2>&1) &\n\
    while test $(ps -eo args= | grep -c '^[s]leep') -lt 3; do sleep 0.01; done\n\
    sleep 0.2; echo $$ >child";

fn scattered(then: &str) -> Home {
    let home = Home::new();
    home.link(&["sleep", "setsid", "sh", "ps", "grep"]);
    home.fake("gopass", &format!("{SCATTERED}\n{then}"));
    home
}

#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "they are found in /proc"
)]
fn at_the_end_nothing_lives_wherever_it_has_gone() {
    let none = Vec::<String>::new();
    let arguments = ["get", "a", "--timeout", "2", "--default", "V"];
    let home = scattered("sleep 1000");
    home.run(arguments).has(4, "", &["gave no answer in time"]);
    assert_eq!(left_by(&home), none);
    let (status, screen) = Terminal::start(home.mxm_secrets(arguments)).ends();
    assert_eq!(status.code(), Some(4), "{screen}");
    assert_eq!(left_by(&home), none);
    // A child that ends by itself with no value, one that says too much, and signals.
    for (then, words) in [
        ("kill -9 $$", "ended with signal 9"),
        ("exec yes", "wrote more than 16 MiB"),
    ] {
        let home = scattered(then);
        home.link(&["yes"]);
        home.run(["get", "a", "--timeout", "60"])
            .has(4, "", &[words]);
        assert_eq!(left_by(&home), none, "{then}");
    }
    for terminal in [false, true] {
        let home = scattered("sleep 1000");
        let command = home.mxm_secrets(["get", "a", "--timeout", "120"]);
        let status = match terminal {
            false => {
                let mut command = command;
                let mut child = command.stderr(Stdio::null()).spawn().unwrap();
                pid(&home, "child");
                kill(&child, libc::SIGTERM);
                child.wait().unwrap()
            }
            true => {
                let terminal = Terminal::start(command);
                pid(&home, "child");
                terminal.signal(libc::SIGTERM);
                terminal.ends().0
            }
        };
        assert_eq!(status.signal(), Some(libc::SIGTERM));
        assert_eq!(left_by(&home), none);
    }
}

/// Ends what a test has left on purpose.
fn end_all_in(home: &Home) {
    for (pid, _) in processes_in(home) {
        // SAFETY: the process was started in this test's own home.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// What a program has given a session of its own stays when the program comes to its own end, and what is known to be a
/// daemon stays in any case.
#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "they are found in /proc"
)]
fn daemons_stay_and_nothing_else() {
    let home = Home::new();
    home.link(&["sleep", "setsid", "sh", "rm"]);
    home.fake(
        "gopass",
        // It has left the group before the program ends.
        "rm -f ready\nsetsid sh -c 'echo >ready; exec sleep 1000' >/dev/null 2>&1 &\nsleep 1001 >/dev/null 2>&1 &\n\
            while ! [ -e ready ]; do sleep 0.01; done\nsleep 0.1\necho value",
    );
    home.run(["get", "a"]).is(0, "value\n", "");
    assert_eq!(started_in(&home), ["sleep 1000 "]);
    end_all_in(&home);
    let (status, screen) = Terminal::start(home.mxm_secrets(["get", "a"])).ends();
    assert_eq!((status.code(), screen.as_str()), (Some(0), "value\n"));
    assert_eq!(started_in(&home), ["sleep 1000 "]);
    end_all_in(&home);
    let home = Home::new();
    home.link(&["sleep", "setsid"]);
    let name = "rbw-agent";
    home.fake(name, "echo $$ >daemon; while :; do sleep 1; done");
    home.fake(
        "gopass",
        &format!("setsid {name} >/dev/null 2>&1 &\nsetsid sleep 1000 &\nsleep 1000"),
    );
    let mut command = home.mxm_secrets(["get", "a", "--timeout", "120"]);
    let mut us = command.stderr(Stdio::null()).spawn().unwrap();
    let daemon = pid(&home, "daemon").cast_signed();
    kill(&us, libc::SIGTERM);
    us.wait().unwrap();
    let left = processes_in(&home);
    // What the daemon has started is called as itself until it is another program.
    let of_daemon = |line: &str| line == "sleep 1 " || line.ends_with(&format!("/bin/{name} "));
    let others: Vec<_> = left
        .iter()
        .filter(|(pid, line)| *pid != daemon && !of_daemon(line))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(left.iter().any(|(pid, _)| *pid == daemon), "{left:?}");
    end_all_in(&home);
}

/// A program that starts another and ends at once is never there when it is looked for: by itself, and so that it is
/// neither in the group nor asked to end. It counts its steps, and has a last one, should it not be caught.
#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "they are found in /proc"
)]
fn what_starts_itself_again_without_end_ends() {
    for (next, no_input) in [
        ("setsid chain", "1"),
        ("setsid chain", "0"),
        ("chain", "1"),
        ("chain", "0"),
    ] {
        for ignored in ["", "trap '' TERM\n"] {
            let mut home = Home::new();
            home.set("MXM_SECRETS_NO_INPUT", no_input);
            home.link(&["sleep", "setsid"]);
            let next = format!("{ignored}[ -e stop ] && exit\necho $$ >step\n{next} &\nexit 0");
            home.program("chain", &format!("#!/bin/sh\n{next}\n"));
            home.fake(
                "gopass",
                &format!("{ignored}chain >/dev/null 2>&1\nsleep 1000"),
            );
            home.run(["get", "a", "--timeout", "1"])
                .has(4, "", &["in time"]);
            let step = || fs::read_to_string(home.path().join("step")).unwrap();
            let last = step();
            std::thread::sleep(Duration::from_millis(300));
            let now = step();
            home.write("stop", "");
            assert_eq!(last, now, "{next}");
            assert_eq!(left_by(&home), Vec::<String>::new());
        }
    }
}

/// Without its group, its parent and our mark: it becomes ours, since get stays what it is.
#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "there they come to another process"
)]
fn what_hides_its_environment_ends() {
    if emulated("there is no PR_SET_CHILD_SUBREAPER, and they come to another process") {
        return;
    }
    for no_input in ["1", "0"] {
        let mut home = Home::new();
        home.set("MXM_SECRETS_NO_INPUT", no_input);
        home.link(&["sleep", "setsid", "env", "sh"]);
        let hide = "(setsid env -i PATH=\"$PATH\" sh -c 'echo $$ >hidden; exec sleep 1000' >/dev/null 2>&1 &)";
        home.fake("gopass", &format!("{hide}\nsleep 1000"));
        let run = |words: &[&str]| home.run(words);
        run(&["get", "a", "--timeout", "1"]).has(4, "", &["in time"]);
        assert!(is_gone(pid(&home, "hidden")));
        fs::remove_file(home.path().join("hidden")).unwrap();
        // A signal.
        let mut command = home.mxm_secrets(["resolve", "a", "--timeout", "100"]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let hidden = pid(&home, "hidden");
        kill(&child, libc::SIGTERM);
        child.wait_with_output().unwrap();
        assert!(is_gone(hidden));
        fs::remove_file(home.path().join("hidden")).unwrap();
        // What comes to its own end may leave something behind.
        fs::remove_file(home.path().join("bin/gopass")).unwrap();
        home.fake(
            "gopass",
            &format!("{hide}\nwhile [ ! -s hidden ]; do sleep 0.01; done\nprintf value"),
        );
        run(&["get", "a"]).is(0, "value\n", "");
        let hidden = pid(&home, "hidden");
        assert!(state(hidden).is_some_and(|state| state != 'Z'));
        // SAFETY: it is what this test has started.
        unsafe { libc::kill(libc::pid_t::try_from(hidden).unwrap(), libc::SIGKILL) };
    }
}

/// mxm-secrets below mxm-secrets, whose child has a group of its own.
#[test]
fn a_program_of_ours_below_us_ends_its_children() {
    let mut home = Home::new();
    home.install("mxm-secrets", program_under_test());
    home.link(&["sleep"]);
    home.fake("hang", "echo $$ >child\nexec sleep 1000");
    let inner = home.write(
        "inner.yaml",
        "mxm_secrets: {timeout: 300, backends: [own], own: {command: [hang, \"{name}\"]}}\n",
    );
    let inner = inner.display();
    home.write(
        ".config/mxm-secrets/config.yaml",
        format!("mxm_secrets: {{backends: [us], us: {{command: [mxm-secrets, --config, {inner}, get, \"{{name}}\"]}}}}\n"),
    );
    home.set("MXM_SECRETS_NO_INPUT", "1");
    let child = home.path().join("child");
    home.run(["get", "a", "--timeout", "3"])
        .has(4, "", &["in time"]);
    assert!(is_gone(pid(&home, "child")));
    // Killed, we can do nothing: the system asks the one below to end.
    let mut signals = vec![libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    if cfg!(all(target_os = "linux", not(mxm_secrets_portable))) {
        signals.push(libc::SIGKILL);
    }
    for signal in signals {
        fs::remove_file(&child).unwrap();
        let mut command = home.mxm_secrets(["get", "a", "--timeout", "120"]);
        let mut us = command.stderr(Stdio::null()).spawn().unwrap();
        let below = pid(&home, "child");
        kill(&us, signal);
        assert_eq!(us.wait().unwrap().signal(), Some(signal));
        assert!(is_gone(below), "{signal}");
    }
}

/// The system ends it.
#[test]
#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "it is a call of Linux"
)]
fn a_child_ends_with_us_when_we_are_killed() {
    let home = hanging();
    let mut command = home.mxm_secrets(["exec", "--secret", "a", "--secret", "b", "--", "true"]);
    let mut us = command.stderr(Stdio::null()).spawn().unwrap();
    let child = pid(&home, "child");
    kill(&us, libc::SIGKILL);
    us.wait().unwrap();
    assert!(is_gone(child));
    end_all_in(&home);
}

/// What one lookup leaves is ended, and another goes on.
#[test]
fn two_lookups_do_not_disturb_each_other() {
    let home = Home::new();
    home.link(&["sleep", "env"]);
    home.fake(
        "gopass",
        "case $4 in\n\
         quick) sleep 1000 >/dev/null 2>&1 & echo one;;\n\
         dies) sleep 1000 >/dev/null 2>&1 & kill -9 $$;;\n\
         slow) sleep 2; echo two;;\nesac",
    );
    let both = ["--secret", "quick", "--secret", "slow", "--", "env"];
    let seen = home.run([&["exec"][..], &both].concat());
    seen.has(0, &seen.stdout, &[]);
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(
        text.contains("QUICK=one\n") && text.contains("SLOW=two\n"),
        "{text}"
    );
    let json = home.run(["resolve", "slow", "dies", "quick"]);
    json.has(
        4,
        "slow\tgopass\tgopass show slow\nquick\tgopass\tgopass show quick\n",
        &[],
    );
    assert_eq!(left_by(&home), Vec::<String>::new());
}

/// Programs get no credentials but those that their section lets through, nor the variables of the names asked for.
#[test]
fn a_child_gets_no_credentials() {
    let mut home = Home::new();
    home.link(&["env"]);
    home.fake("tool", "exec env");
    home.fake("gopass", "exec env");
    let own = "mxm_secrets: {own: {command: [tool, \"{name}\"]}, ";
    let plain = home.write(
        "plain.yaml",
        format!("{own}backends: [own, gopass, env]}}\n"),
    );
    let through = "env: [VAULT_TOKEN, A_B, NOT_SET]";
    let through = format!(
        "mxm_secrets: {{own: {{command: [tool, \"{{name}}\"], {through}}}, gopass: {{{through}}}, \
         backends: [own, gopass, env]}}\n"
    );
    let through = home.write("through.yaml", through);
    let credentials = [
        "VAULT_TOKEN",
        "BAO_TOKEN",
        "VAULT_CLIENT_KEY",
        "VAULT_SECRET_ID",
        "MXM_SECRETS_VAULT_JWT",
        "MXM_SECRETS_VAULT_ROLE_ID",
        "A_B",
        "GOPASS_AGE_PASSWORD",
    ];
    let settings = [
        "VAULT_ADDR",
        "MXM_SECRETS_VAULT_SECRET_ID_FILE",
        "OTHER",
        "TERM",
    ];
    for variable in credentials.iter().chain(&settings) {
        home.set(variable, "set");
    }
    for (backend, file, let_through) in [
        ("own", &plain, &[][..]),
        ("gopass", &plain, &["GOPASS_AGE_PASSWORD"]),
        ("own", &through, &["VAULT_TOKEN", "A_B"]),
        (
            "gopass",
            &through,
            &["VAULT_TOKEN", "A_B", "GOPASS_AGE_PASSWORD"],
        ),
    ] {
        let file = file.to_str().unwrap();
        // Also where the environment would not be asked.
        let chain = format!("{backend},env");
        for (name, chain) in [("a/b", &*chain), ("a/b", backend), ("term", &*chain)] {
            let seen = home.run(["get", name, "--config", file, "--backend", chain]);
            let text = String::from_utf8(seen.stdout).unwrap();
            let has = |variable: &&str| text.lines().any(|line| line == format!("{variable}=set"));
            let seen: Vec<&str> = credentials.into_iter().filter(|one| has(one)).collect();
            let mut expected: Vec<&str> = credentials
                .into_iter()
                .filter(|one| let_through.contains(one) || (name == "term" && *one == "A_B"))
                .collect();
            expected.sort_unstable();
            let mut seen = seen;
            seen.sort_unstable();
            assert_eq!(seen, expected, "{backend} {name}: {text}");
            assert!(settings.iter().all(has), "{backend} {name}: {text}");
        }
    }
}
