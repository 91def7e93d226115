//! `list-backends`: what is set up on this machine.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::store::Store;
use crate::support::terminal::Terminal;
use crate::support::{Home, Transcript, program, transcript};

/// The row of a backend, and the facts below it.
fn row(seen: &Transcript, backend: &str) -> String {
    let text = String::from_utf8_lossy(&seen.stdout);
    let is_row = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let mut lines = text.lines();
    let row = lines.find(|line| line.trim_start().starts_with(&format!("{backend} ")));
    let row = row.unwrap_or_else(|| panic!("no {backend} in {text}"));
    let facts = lines.take_while(|line| !is_row(line));
    let words = std::iter::once(row)
        .chain(facts)
        .flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}

/// Every line fits a terminal, unless it has no blank to be broken at.
fn fits(seen: &Transcript) {
    for line in String::from_utf8_lossy(&seen.stdout).lines() {
        let words = line
            .split_whitespace()
            .filter(|word| !word.ends_with(':'))
            .count();
        assert!(line.chars().count() <= 80 || words == 1, "{line}");
    }
}

#[test]
fn what_is_ready_tells_what_it_uses() {
    let Some(store) = Store::new("1.16.1") else {
        return;
    };
    let seen = store.home.run(["list-backends"]);
    let gopass = row(&seen, "gopass");
    assert!(
        gopass.starts_with("gopass 1 ready uses: gopass 1.16.1 ("),
        "{gopass}"
    );
    assert!(
        gopass.ends_with(&format!("store {}; no key tried", store.root().display())),
        "{gopass}"
    );
    assert_eq!(row(&seen, "env"), "env 2 ready uses: $NAME");
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn what_is_not_ready_tells_why() {
    let home = Home::new();
    let seen = home.run(["list-backends"]);
    fits(&seen);
    assert_eq!(
        row(&seen, "gopass"),
        "gopass 1 unavailable reason: gopass is not on PATH"
    );
    assert_eq!(seen.status, Some(0));
    let seen = home.run(["list-backends", "--backend", "gopass"]);
    assert_eq!(row(&seen, "env"), "env - ready uses: $NAME");
    assert_eq!(seen.status, Some(4));
    home.fake("gopass", "echo gopass 1.16.1");
    fs::remove_dir_all(home.path().join(".password-store")).unwrap();
    let seen = home.run(["list-backends", "--backend", "gopass"]);
    let text = String::from_utf8_lossy(&seen.stdout);
    assert!(
        row(&seen, "gopass").contains(" reason: the password store is not initialized hint: "),
        "{text}"
    );
    assert!(
        text.contains("\n      hint: set it up: gopass init\n"),
        "{text}"
    );
    assert_eq!(seen.status, Some(4));
    let seen = home.run(["list-backends", "--backend", "gopass", "-q"]);
    assert!(!String::from_utf8_lossy(&seen.stdout).contains("hint"));
    home.run(["list-backends", "a"])
        .is(2, "", "mxm-secrets: list-backends takes no name\n");
}

/// A long name or value widens no other line.
#[test]
fn long_names_have_lines_of_their_own() {
    let mut home = Home::new();
    let (long, fit) = ("a-long-name".repeat(9), "b".repeat(40));
    let path = "d".repeat(90);
    let text = format!(
        "mxm_secrets:\n  backends: [env, {long}, {fit}]\n  {long}: {{command: [no-such, \"{{name}}\"]}}\n  {fit}: {{command: [no-such, \"{{name}}\"]}}\n  age: {{store: /{path}}}\n",
    );
    home.write("c.yaml", text);
    home.set("MXM_SECRETS_CONFIG", "c.yaml");
    let seen = home.run(["list-backends"]);
    fits(&seen);
    let text = String::from_utf8(seen.stdout.clone()).unwrap();
    let lines = format!(
        "  {long}\n{:42}  2      unavailable\n      uses: no-such\n",
        ""
    );
    assert!(text.contains(&lines), "{text}");
    assert!(
        text.contains(&format!("\n  {fit}  3      unavailable\n")),
        "{text}"
    );
    assert!(
        text.starts_with(&format!("  BACKEND{:33}  CHAIN  STATUS\n  env ", "")),
        "{text}"
    );
}

#[test]
fn nothing_is_asked_for_a_secret_or_a_person() {
    let home = Home::new();
    home.fake(
        "gopass",
        "echo gopass 1.16.1; test -t 0 && echo terminal >>gopass.log; exit 0",
    );
    let (status, _) = Terminal::start(home.mxm_secrets(["list-backends"])).ends();
    assert!(status.success());
    assert_eq!(home.log("gopass"), ["--version"]);
}

#[test]
fn a_program_that_hangs_does_not_hang_us() {
    let home = Home::new();
    home.link(&["sleep"]);
    home.fake("gopass", "exec sleep 1000");
    let started = Instant::now();
    let seen = home.run(["list-backends", "--timeout", "0.3"]);
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(row(&seen, "gopass").ends_with("gave no answer in time and was killed"));
    assert_eq!(row(&seen, "env"), "env 2 ready uses: $NAME");
    assert_eq!(seen.status, Some(0));
}

#[test]
fn json_has_these_keys() {
    let home = Home::new();
    let Some(python) = program("python3") else {
        return;
    };
    let seen = home.run(["list-backends", "--json"]);
    home.write("report", &seen.stdout);
    let read = "import json
lines = list(open('report'))
for line in lines[:2]: print(json.dumps(json.loads(line)))
for line in lines: assert list(json.loads(line)) == ['schema', 'backend', 'in_chain', 'status', 'uses', 'reason']";
    transcript(Command::new(python).current_dir(home.path()).args(["-c", read])).is(
        0,
        r#"{"schema": 1, "backend": "gopass", "in_chain": true, "status": "unavailable", "uses": "", "reason": "gopass is not on PATH"}
{"schema": 1, "backend": "env", "in_chain": true, "status": "ready", "uses": "$NAME", "reason": null}
"#,
        "",
    );
}
