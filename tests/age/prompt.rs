//! Passphrases: typed on a terminal that does not show them, and never waited for when nobody is there.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Store, ssh_key};
use crate::support::terminal::Terminal;

const PROMPT: &str = "passphrase of ";
const PASSPHRASE: &str = "correct horse";

/// A store whose identities file age has protected with [`PASSPHRASE`].
fn protected() -> Option<Store> {
    let store = Store::new()?;
    store.insert("a", "s3cret");
    store.insert("b", "other");
    let path = store.home.path().join(".passage/identities");
    let plain = path.with_extension("plain");
    fs::rename(&path, &plain).unwrap();
    let mut command = store.home.command(&store.age);
    command.args(["-p", "-a", "-o"]).args([&path, &plain]);
    let mut terminal = Terminal::start(command);
    terminal.shows("Enter passphrase");
    terminal.types(&format!("{PASSPHRASE}\n"));
    terminal.shows("Confirm passphrase");
    terminal.types(&format!("{PASSPHRASE}\n"));
    let (status, screen) = terminal.ends();
    assert!(status.success(), "{screen}");
    Some(store)
}

/// A store whose identity is an SSH key with [`PASSPHRASE`].
fn ssh(kind: &[&str]) -> Option<Store> {
    let store = Store::new()?;
    let (key, recipient) = ssh_key(&store.home, &[kind, &["-N", PASSPHRASE]].concat())?;
    store.encrypt("a", &["-r", &recipient], "s3cret");
    store.encrypt("b", &["-r", &recipient], "other");
    store.insert("not-ours", "x");
    store.identities(fs::read(key).unwrap());
    Some(store)
}

fn start(store: &Store, arguments: &[&str]) -> Terminal {
    let mut terminal = Terminal::start(store.home.mxm_secrets(arguments));
    terminal.shows(PROMPT);
    terminal
}

#[test]
fn a_protected_identities_file_is_unlocked_by_its_passphrase() {
    let Some(store) = protected() else { return };
    let mut terminal = start(&store, &["get", "a"]);
    terminal.types(&format!("{PASSPHRASE}\n"));
    let (status, screen) = terminal.ends();
    assert_eq!(status.code(), Some(0), "{screen}");
    assert!(screen.ends_with("identities: \ns3cret\n"), "{screen}");
    assert!(!screen.contains(PASSPHRASE), "{screen}");

    let mut terminal = start(&store, &["get", "a"]);
    terminal.types("wrong\n");
    let (status, screen) = terminal.ends();
    assert_eq!(status.code(), Some(4), "{screen}");
    assert!(screen.contains("wrong passphrase for"), "{screen}");

    // Nothing typed; and the end of the input.
    for typed in ["\n", "\x04"] {
        let mut terminal = start(&store, &["get", "a"]);
        terminal.types(typed);
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(4), "{screen}");
        assert!(screen.contains("no answer was given"), "{screen}");
    }

    let mut terminal = start(&store, &["get", "--timeout", "3", "a"]);
    terminal.types("slow");
    let (status, screen) = terminal.ends();
    assert_eq!(status.code(), Some(4), "{screen}");
    assert!(screen.contains("no answer was given in time"), "{screen}");
}

#[test]
fn a_secret_with_a_passphrase_of_its_own_is_failed() {
    let Some(store) = protected() else { return };
    let path = store.home.path().join(".passage/identities");
    fs::rename(&path, store.file("own")).unwrap();
    fs::rename(path.with_extension("plain"), &path).unwrap();
    store.fails("own", &["no identity in ", "(encrypted to: a passphrase)"]);
}

#[test]
fn many_secrets_cost_one_passphrase() {
    for store in [protected(), ssh(&["-t", "ed25519"])] {
        let Some(store) = store else { return };
        store.home.link(&["sh"]);
        let mut terminal = start(
            &store,
            &[
                "exec",
                "--secret",
                "a",
                "--secret",
                "b",
                "--",
                "sh",
                "-c",
                "echo $A and $B",
            ],
        );
        terminal.types(&format!("{PASSPHRASE}\n"));
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(0), "{screen}");
        assert!(screen.ends_with("s3cret and other\n"), "{screen}");
        assert_eq!(screen.matches(PROMPT).count(), 1, "{screen}");
    }
}

#[test]
fn when_nobody_is_there_a_passphrase_is_not_waited_for() {
    for store in [protected(), ssh(&["-t", "ed25519"])] {
        let Some(store) = store else { return };
        let started = Instant::now();
        store.fails(
            "a",
            &[
                "cannot decrypt",
                "is locked with a passphrase: cannot ask for it when unattended",
                "hint: ",
            ],
        );
        assert!(started.elapsed() < Duration::from_secs(5));
        let seen = store.home.run(["list-backends"]);
        let shown = String::from_utf8_lossy(&seen.stdout);
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            shown.contains("is locked with") && shown.contains("with a passphrase"),
            "{shown}"
        );
        store
            .home
            .run(["get", "none"])
            .has(1, "", &["none: missing"]);

        // Where a person is, it waits for that person's passphrase alone.
        let terminal = Terminal::start(store.home.mxm_secrets(["list-backends", "--json"]));
        let (status, screen) = terminal.ends();
        let ready = "\"backend\":\"age\",\"in_chain\":true,\"status\":\"ready\"";
        assert_eq!(status.code(), Some(0), "{screen}");
        assert!(screen.contains(ready), "{screen}");

        let terminal = Terminal::start(store.home.mxm_secrets(["get", "--no-input", "a"]));
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(4), "{screen}");
        assert!(screen.contains("is locked with"), "{screen}");
    }
}

#[test]
fn an_ssh_key_is_unlocked_only_for_a_file_that_is_for_it() {
    for kind in [
        &["-t", "ed25519"][..],
        &["-t", "rsa", "-b", "2048", "-a", "1"],
        &["-t", "ed25519", "-Z", "aes256-gcm@openssh.com"],
    ] {
        let Some(store) = ssh(kind) else { return };
        let mut terminal = start(&store, &["get", "a"]);
        terminal.types(&format!("{PASSPHRASE}\n"));
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(0), "{screen}");
        assert!(screen.ends_with("\ns3cret\n"), "{screen}");

        let mut terminal = start(&store, &["get", "a"]);
        terminal.types("wrong\n");
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(4), "{screen}");
        assert!(screen.contains("wrong passphrase for"), "{screen}");

        store.fails("not-ours", &["no identity in ", "(encrypted to: X25519"]);
        let terminal = Terminal::start(store.home.mxm_secrets(["get", "not-ours"]));
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(4), "{screen}");
        assert!(!screen.contains(PROMPT), "{screen}");
    }
}

/// How much work it is to unlock a key stands in it, for whoever has written it to choose: here, more than a life is
/// long.
#[test]
fn work_without_end_ends_by_a_signal_and_by_the_deadline() {
    let Some(store) = ssh(&["-t", "ed25519", "-a", "1"]) else {
        return;
    };
    let path = store.home.path().join(".passage/identities");
    let text = fs::read_to_string(path).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let (key, tail) = rest.split_once("-----").unwrap();
    let mut key = BASE64_STANDARD.decode(key.replace('\n', "")).unwrap();
    // Behind the name: the length of the options, that of the salt and the salt, and the rounds.
    let name = key.windows(6).position(|word| word == b"bcrypt").unwrap();
    let rounds = &mut key[name + 6 + 4 + 4 + 16..][..4];
    assert_eq!(rounds, [0, 0, 0, 1]);
    rounds.copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    let lines: String = BASE64_STANDARD
        .encode(key)
        .as_bytes()
        .chunks(70)
        .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
        .collect();
    store.identities(format!("{head}\n{lines}-----{tail}"));

    let mut terminal = start(&store, &["get", "a"]);
    terminal.types(&format!("{PASSPHRASE}\n"));
    terminal.shows("identities: \n");
    // Nothing shows that the work has begun.
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("\x03");
    let (status, screen) = terminal.ends();
    assert_eq!(status.signal(), Some(libc::SIGINT), "{screen}");

    let mut terminal = start(&store, &["get", "--timeout", "5", "a"]);
    terminal.types(&format!("{PASSPHRASE}\n"));
    let (status, screen) = terminal.ends();
    assert_eq!(status.code(), Some(4), "{screen}");
    assert!(
        screen.contains("identities was not unlocked in time"),
        "{screen}"
    );
}

/// A terminal in which a shell runs mxm-secrets, which is at the prompt, and then shows the state of the terminal.
/// With it the process id of mxm-secrets.
fn in_a_shell(store: &Store, options: &str) -> (Terminal, String) {
    let program = store.home.mxm_secrets([""; 0]);
    let mut shell = store.home.command("sh");
    shell.args([
        "-c",
        &format!(
            "trap : HUP INT QUIT TERM\n{options}\nsh -c 'echo pid $$; exec \"$0\" get a' '{}'\n\
         echo status $?\nstty -a\necho over\ntest -n '{options}' && fg",
            program.get_program().to_str().unwrap()
        ),
    ]);
    let mut terminal = Terminal::start(shell);
    terminal.shows(PROMPT);
    let screen = terminal.screen();
    let pid = screen.split("pid ").nth(1).unwrap().lines().next().unwrap();
    (terminal, pid.to_owned())
}

#[test]
fn every_signal_leaves_the_terminal_as_it_was() {
    let Some(store) = ssh(&["-t", "ed25519"]) else {
        return;
    };
    store.home.link(&["sh", "stty"]);
    for (signal, number) in [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("USR1", 10),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        #[cfg(target_os = "linux")]
        ("STKFLT", 16),
        #[cfg(target_os = "linux")]
        ("XCPU", 24),
        #[cfg(target_os = "linux")]
        ("PWR", 30),
        #[cfg(target_os = "linux")]
        ("RTMIN+3", 37),
    ] {
        let (mut terminal, pid) = in_a_shell(&store, "");
        match signal {
            "INT" => terminal.types("\x03"),
            "QUIT" => terminal.types("\x1c"),
            _ => {
                let kill = Command::new("kill").args(["-s", signal, &pid]).status();
                assert!(kill.unwrap().success());
            }
        }
        terminal.shows("\nover\n");
        let screen = terminal.screen();
        assert!(
            screen.contains(&format!("status {}", 128 + number)),
            "{signal}: {screen}"
        );
        assert!(screen.contains(" echo "), "{signal}: {screen}");
        assert!(!screen.contains("-echo "), "{signal}: {screen}");
    }
}

#[test]
fn a_prompt_can_be_suspended_and_taken_up_again() {
    let Some(store) = ssh(&["-t", "ed25519"]) else {
        return;
    };
    store.home.link(&["sh", "stty"]);
    let (mut terminal, _) = in_a_shell(&store, "set -m");
    terminal.types("\x1a");
    terminal.shows("\nover\n");
    let screen = terminal.screen();
    assert!(
        screen.contains(" echo ") && !screen.contains("-echo "),
        "{screen}"
    );
    terminal.types(&format!("{PASSPHRASE}\n"));
    terminal.shows("s3cret\n");
}
