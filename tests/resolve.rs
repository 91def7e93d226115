//! `resolve`: who would answer, and why, without the value.

use std::process::Command;

use crate::support::terminal::Terminal;
use crate::support::{Home, program, transcript};

const CANARY: &str = "canary-51c2";

/// A home with a gopass that has `both` and `store`, and an environment that has `both` and `variable`.
fn home() -> Home {
    let mut home = Home::new();
    home.fake(
        "gopass",
        &format!(
            "case $4 in both|store) echo {CANARY};; locked) exit 9;;\n\
             *) echo 'Error: entry is not in the password store' >&2; exit 11;; esac"
        ),
    );
    home.set("BOTH", CANARY).set("VARIABLE", CANARY);
    home
}

#[test]
fn a_line_tells_who_has_it() {
    let home = home();
    home.run(["resolve", "store", "variable"]).is(
        0,
        "store\tgopass\tgopass show store\nvariable\tenv\t$VARIABLE\n",
        "",
    );
}

#[test]
fn the_worst_status_counts() {
    let home = home();
    home.run(["resolve", "store", "none"]).has(
        1,
        "store\tgopass\tgopass show store\n",
        &["mxm-secrets: none: missing: not in gopass, env ($NONE)\n"],
    );
    home.run(["resolve", "none", "locked", "store"]).has(
        4,
        "store\tgopass\tgopass show store\n",
        &["none: missing", "locked: failed: gopass: "],
    );
    for (arguments, words) in [
        (&["resolve"][..], "resolve: no name given"),
        (&["resolve", "a", "../b"], "bad name"),
        (
            &["resolve", "--all", "a"],
            "--all goes with --explain or --json",
        ),
    ] {
        home.run(arguments).has(2, "", &[words]);
    }
    assert_eq!(home.log("gopass").len(), 5);
}

/// The table without its times.
fn explained(home: &Home, arguments: &[&str], status: i32) -> String {
    let seen = home.run(["resolve", "--explain"].iter().chain(arguments));
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(status), ""));
    let text = String::from_utf8(seen.stdout).unwrap();
    assert!(!text.contains(CANARY) && !text.contains('\x1b'), "{text}");
    let lines = text.lines().map(|line| match line.rsplit_once("  ") {
        Some((row, time)) if time.ends_with(" ms") || time.ends_with(" s") => row.trim_end(),
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_chain_is_a_table() {
    let home = home();
    assert_eq!(
        explained(&home, &["both"], 0),
        "both: found in gopass\n\
         \x20 BACKEND  LOCATOR           ANSWER     REASON  TIME\n\
         \x20 gopass   gopass show both  hit\n\
         \x20 env      $BOTH             not asked"
    );
    assert_eq!(
        explained(&home, &["both", "--all"], 0),
        "both: found in gopass\n\
         \x20 BACKEND  LOCATOR           ANSWER    REASON  TIME\n\
         \x20 gopass   gopass show both  hit\n\
         \x20 env      $BOTH             shadowed"
    );
    let failed = explained(&home, &["locked"], 4);
    assert!(failed.starts_with("locked: failed\n"), "{failed}");
    assert!(
        failed.contains("\n      hint: to see its error output, run: "),
        "{failed}"
    );
    let quiet = explained(&home, &["locked", "--quiet"], 4);
    assert!(!quiet.contains("hint"), "{quiet}");
    let missing = explained(&home, &["none", "variable"], 1);
    assert!(missing.contains("none: missing\n"), "{missing}");
    assert!(
        missing.contains("\n\nvariable: found in env\n"),
        "{missing}"
    );
}

#[test]
fn colour_is_for_terminals() {
    let home = home();
    for (variable, value, coloured) in [
        ("X", "1", true),
        ("NO_COLOR", "1", false),
        ("TERM", "dumb", false),
    ] {
        let mut command = home.mxm_secrets(["resolve", "--explain", "both"]);
        command.env("TERM", "xterm").env(variable, value);
        let (status, screen) = Terminal::start(command).ends();
        assert!(status.success());
        assert_eq!(
            screen.contains("\x1b[32m"),
            coloured,
            "{variable}: {screen}"
        );
        assert_eq!(screen.contains('\x1b'), coloured, "{variable}: {screen}");
    }
}

#[test]
fn json_has_these_keys() {
    let home = home();
    let Some(python) = program("python3") else {
        return;
    };
    let seen = home.run(["resolve", "--json", "--all", "both", "none", "locked"]);
    assert_eq!(seen.status, Some(4));
    assert!(!String::from_utf8_lossy(&seen.stdout).contains(CANARY));
    home.write("report", &seen.stdout);
    let read = "import json
for line in open('report'):
    report = json.loads(line)
    assert all(0 <= step['seconds'] < 100 for step in report['chain'])
    for step in report['chain']: step['seconds'] = 0
    print(json.dumps(report))";
    let parsed = transcript(
        Command::new(python)
            .current_dir(home.path())
            .args(["-c", read]),
    );
    parsed.is(
        0,
        r#"{"schema": 1, "name": "both", "outcome": "found", "backend": "gopass", "locator": "gopass show both", "chain": [{"backend": "gopass", "locator": "gopass show both", "answer": "hit", "reason": null, "hint": null, "transient": null, "seconds": 0}, {"backend": "env", "locator": "$BOTH", "answer": "shadowed", "reason": null, "hint": null, "transient": null, "seconds": 0}]}
{"schema": 1, "name": "none", "outcome": "missing", "backend": null, "locator": null, "chain": [{"backend": "gopass", "locator": "gopass show none", "answer": "miss", "reason": "none is not in the password store", "hint": null, "transient": false, "seconds": 0}, {"backend": "env", "locator": "$NONE", "answer": "miss", "reason": "$NONE is not set for none", "hint": null, "transient": false, "seconds": 0}]}
{"schema": 1, "name": "locked", "outcome": "failed", "backend": null, "locator": null, "chain": [{"backend": "gopass", "locator": "gopass show locked", "answer": "failed", "reason": "gopass show ended with status 9 for locked", "hint": "to see its error output, run: gopass show -- locked", "transient": false, "seconds": 0}, {"backend": "env", "locator": "$LOCKED", "answer": "miss", "reason": "$LOCKED is not set for locked", "hint": null, "transient": false, "seconds": 0}]}
"#,
        "",
    );
}

#[test]
fn a_report_is_no_way_into_a_terminal() {
    // A name has no control characters, but the path of a program may.
    let home = home();
    home.fake("gopass", "exit 3");
    let odd = home.path().join("b\x1b[31m\nin");
    std::fs::rename(home.path().join("bin"), &odd).unwrap();
    for arguments in [&["list-backends"][..], &["list-backends", "--json"]] {
        let mut command = home.mxm_secrets(arguments);
        let seen = transcript(command.env("PATH", &odd));
        let text = String::from_utf8(seen.stdout).unwrap();
        assert!(!text.contains('\x1b') && text.contains("[31m"), "{text:?}");
    }
}
