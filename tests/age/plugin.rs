//! Plugins: a real one, and fakes for what a real one does not do.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Store, filter};
use crate::support::terminal::Terminal;
use crate::support::vault::eventually;
use crate::support::{is_gone, program};

/// An identity of age-plugin-fake.
const FAKE: &str = "AGE-PLUGIN-FAKE-1DPJKCMR0YMXKZ5";

/// The beginning of a fake: it listens to all of the first phase.
const LISTEN: &str =
    "while read -r line; do test \"$line\" = '-> done' && break; done; read -r line";

/// A store with a file for another key, and age-plugin-fake as the only identity.
fn store(script: &str) -> Option<Store> {
    let store = Store::new()?;
    store.insert("a", "s3cret");
    store.identities(FAKE);
    store.home.link(&["sh", "sleep", "cat"]);
    store.home.fake("age-plugin-fake", script);
    Some(store)
}

#[test]
fn a_real_plugin_decrypts_what_is_encrypted_for_a_post_quantum_key() {
    let Some(store) = Store::new() else { return };
    let (Some(keygen), Some(plugin)) = (program("age-keygen-1.3.2"), program("age-plugin-pq"))
    else {
        return;
    };
    store.home.install("age-plugin-pq", &plugin);
    let identity = filter(store.home.command(keygen), &["-pq"], b"");
    let text = String::from_utf8_lossy(&identity);
    let recipient = text.split("public key: ").nth(1).unwrap();
    store.encrypt("a", &["-r", recipient.lines().next().unwrap()], "quantum");
    store.fails(
        "a",
        &["no identity in ", "(encrypted to: a post-quantum key)"],
    );

    store.identities(&identity);
    store.fails(
        "a",
        &[
            "is a post-quantum identity",
            "hint: convert it for the plugin with age-plugin-pq -identity",
        ],
    );
    let identity = filter(store.home.command(plugin), &["-identity"], &identity);
    store.identities(&identity);
    store.home.run(["get", "a"]).is(0, "quantum\n", "");
    store
        .home
        .run(["get", "--timeout", "5", "a"])
        .is(0, "quantum\n", "");
}

#[test]
fn a_plugin_is_given_the_identities_and_the_stanzas() {
    let Some(store) = store("cat >\"$HOME/heard\"") else {
        return;
    };
    store.identities(format!("{FAKE}\n# again\r\n{FAKE}\r\n"));
    store.fails("a", &["cannot decrypt", "a.age: age-plugin-fake"]);
    assert_eq!(
        store.home.log("age-plugin-fake"),
        ["--age-plugin=identity-v1"]
    );
}

#[test]
fn a_plugin_that_is_not_installed_is_named_unless_another_identity_does() {
    let Some(store) = Store::new() else { return };
    store.insert("a", "s3cret");
    let path = store.home.path().join(".passage/identities");
    let ours = fs::read_to_string(path).unwrap();
    store.identities(format!("{FAKE}\n{ours}"));
    store.home.run(["get", "a"]).is(0, "s3cret\n", "");
    store.identities(FAKE);
    store.fails("a", &["cannot decrypt", "age-plugin-fake is not on PATH"]);
}

#[test]
fn a_plugin_that_hangs_is_killed_with_all_it_has_started() {
    for script in [
        // Says nothing; listens, and says nothing; is gone, and its child keeps the pipe open; never ends.
        "echo $$ >>\"$HOME/pids\"; sleep 1000 & echo $! >>\"$HOME/pids\"; wait",
        &format!("{LISTEN}; echo $$ >>\"$HOME/pids\"; sleep 1000; sleep 1000"),
        "sleep 1000 & echo $! >>\"$HOME/pids\"",
        "echo $$ >>\"$HOME/pids\"; while :; do printf '%s\\n\\n' '-> msg'; done",
    ] {
        let Some(store) = store(script) else { return };
        let started = Instant::now();
        let seen = store.home.run(["get", "--timeout", "3", "a"]);
        seen.has(
            4,
            "",
            &["a.age: age-plugin-fake gave no answer in time and was killed"],
        );
        assert!(started.elapsed() < Duration::from_secs(30));
        let pids = fs::read_to_string(store.home.path().join("pids")).unwrap();
        assert!(!pids.is_empty());
        for pid in pids.lines() {
            assert!(is_gone(pid.parse().unwrap()), "{pid}");
        }
    }
}

#[test]
fn a_signal_ends_us_and_the_plugin() {
    let Some(store) = store("echo $$ >\"$HOME/pid\"; sleep 1000; sleep 1000") else {
        return;
    };
    let mut child = store.home.mxm_secrets(["get", "a"]).spawn().unwrap();
    let file = store.home.path().join("pid");
    let written = || fs::read_to_string(&file).unwrap_or_default();
    eventually("the plugin runs", || written().ends_with('\n'));
    let plugin = written();
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert!(is_gone(plugin.trim().parse().unwrap()), "{plugin}");
}

#[test]
fn a_plugin_that_makes_no_sense_is_failed() {
    for (script, words) in [
        ("exit 0", "age-plugin-fake ended without an answer"),
        (
            "exec cat /dev/zero",
            "age-plugin-fake does not follow the age plugin protocol",
        ),
        (
            "echo hello",
            "age-plugin-fake does not follow the age plugin protocol",
        ),
        (
            "printf -- '-> msg '; exec cat /dev/zero | while :; do printf xxxxxxxx; done",
            "age-plugin-fake sent too much output",
        ),
        (
            "printf -- '-> error internal\\nbm8gdG9rZW4\\n-> done\\n\\n'; exec cat >/dev/null",
            "age-plugin-fake failed: no token",
        ),
        (
            "printf -- '-> file-key 0\\nAAAAAAAAAAAAAAAAAAAAAA\\n-> done\\n\\n'; exec cat >/dev/null",
            "a.age has a damaged header",
        ),
        (
            "printf -- '-> file-key 0\\nAAAA\\n-> done\\n\\n'; exec cat >/dev/null",
            "no identity in ",
        ),
        (
            "printf -- '-> done\\n\\n'; exec cat >/dev/null",
            "no identity in ",
        ),
    ] {
        let Some(store) = store(script) else { return };
        store.fails("a", &[words]);
    }
}

/// Asks for a PIN and tells in an error whether it came.
const ASK: &str = "printf -- '-> request-secret\\nUElO\\n'; read -r line; read -r body
    printf -- '-> error internal\\n'
    test \"$line $body\" = '-> ok MTIzNA' && printf 'cmlnaHQ\\n' || printf 'd3Jvbmc\\n'
    read -r line; read -r body; printf -- '-> done\\n\\n'";

#[test]
fn a_plugin_cannot_ask_when_nobody_is_there() {
    let Some(store) = store(&format!("{LISTEN}\n{ASK}")) else {
        return;
    };
    store.fails("a", &["age-plugin-fake failed: wrong"]);
}

/// Yes and no, and what may be seen while it is typed.
#[test]
fn a_plugin_may_ask_a_person_to_choose() {
    const TELL: &str = "read -r line; read -r body
        printf -- '-> error internal\\n'
        test \"$line $body\" = \"$WANTED\" && printf 'cmlnaHQ\\n' || printf 'd3Jvbmc\\n'
        read -r line; read -r body; printf -- '-> done\\n\\n'";
    for (question, shown, typed, wanted) in [
        (
            "-> confirm eWVz bm8\\nUmVhbGx5Pw",
            "age-plugin-fake: Really? (yes or no): ",
            "y\n",
            "-> ok yes ",
        ),
        (
            "-> confirm eWVz bm8\\nUmVhbGx5Pw",
            "age-plugin-fake: Really? (yes or no): ",
            "n\n",
            "-> ok no ",
        ),
        (
            "-> confirm eWVz\\nUmVhbGx5Pw",
            "age-plugin-fake: Really? (yes): ",
            "yes\n",
            "-> ok yes ",
        ),
        (
            "-> request-public\\nUElO",
            "age-plugin-fake: PIN: ",
            "1234\n",
            "-> ok MTIzNA",
        ),
    ] {
        let script = format!("{LISTEN}; WANTED='{wanted}'; printf -- '{question}\\n'; {TELL}");
        let Some(store) = store(&script) else { return };
        let mut terminal = Terminal::start(store.home.mxm_secrets(["get", "a"]));
        terminal.shows(shown);
        terminal.types(typed);
        let (status, screen) = terminal.ends();
        assert_eq!(status.code(), Some(4), "{screen}");
        assert!(screen.contains("age-plugin-fake failed: right"), "{screen}");
        // Nobody is there: it has to do without an answer.
        let script = script.replace(wanted, "-> fail ");
        let Some(alone) = self::store(&script) else {
            return;
        };
        alone.fails("a", &["age-plugin-fake failed: right"]);
    }
}

#[test]
fn a_plugin_may_ask_a_person() {
    let Some(store) = store(&format!("{LISTEN}\n{ASK}")) else {
        return;
    };
    let mut terminal = Terminal::start(store.home.mxm_secrets(["get", "a"]));
    terminal.shows("age-plugin-fake: PIN: ");
    terminal.types("1234\n");
    let (status, screen) = terminal.ends();
    assert_eq!(status.code(), Some(4), "{screen}");
    assert!(screen.contains("age-plugin-fake failed: right"), "{screen}");
    assert!(!screen.contains("1234"), "{screen}");
}
