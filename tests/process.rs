//! Children: what they get, and what becomes of them. Fakes, since no real program can be made to hang or flood.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::terminal::Terminal;
use crate::support::{Home, STRANGER, emulated, full_pipe, is_gone, transcript};

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
        "mxm-secrets: gopass failed: gopass gave no answer in time and was killed, asked for a\n",
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
        "mxm-secrets: gopass failed: gopass wrote more than 16 MiB and was killed, asked for a\n",
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
    home.fake("gopass", "cat\nenv\nps -o pgid= -p $$\necho $$");
    let seen = home.run(["get", "a"]);
    let text = String::from_utf8(seen.stdout).unwrap();
    for line in [
        "GPG_TTY=not a tty",
        "LC_ALL=C",
        "PASSWORD_STORE_GPG_OPTS=--batch --pinentry-mode error --mine",
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
    // SAFETY: the process is this test's own grandchild.
    unsafe { libc::kill(pid(&home, "grandchild").cast_signed(), libc::SIGKILL) };
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
    let mut arguments = vec!["exec", "--timeout", "2"];
    arguments.extend(names.iter().flat_map(|name| ["--secret", name]));
    arguments.extend(["--", "true"]);
    let began = Instant::now();
    let seen = home.run(&arguments);
    // Eight at once, three times over, take six.
    assert!(began.elapsed() < Duration::from_secs(5), "{seen:?}");
    seen.has(
        125,
        "",
        &[
            "a0: failed: own: hang gave no answer in time and was killed (a0)",
            "own failed: a19 was not asked for: the 2 s for all lookups together are over",
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
        "mxm-secrets: gopass failed: gopass ended, but a process it started kept its output open, asked for a\n",
    );
    assert!(is_gone(pid(&home, "grandchild2")));
}
