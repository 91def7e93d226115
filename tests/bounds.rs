//! The worst 16 MiB that programs may print, and that gopass may have for a configuration: a lookup ends in time, and takes
//! little memory. What the other readers are given is in the files of their backends.

use std::process::Command;

use crate::support::Home;
use crate::support::bounds::in_time;

const WORST: usize = 16 << 20;

fn many(start: &str, piece: &str, end: &str) -> String {
    let room = WORST - start.len() - end.len();
    format!("{start}{}{end}", piece.repeat(room / piece.len()))
}

/// What a program may print, with what is asked of it.
fn outputs() -> Vec<(&'static str, String)> {
    let number = |n: usize| format!("\"f{n}\":1,");
    let members: String = (0..1_200_000).map(number).collect();
    vec![
        ("members", format!("{{{members}\"last\":1}}")),
        ("the same member", many("{", "\"a\":1,", "\"a\":2}")),
        ("depth", many("", "[", "")),
        ("depth in objects", many("", "{\"a\":", "")),
        ("escapes", many("{\"a\":\"", "\\u0041", "\"}")),
        ("digits", many("{\"a\":", "1", "}")),
        ("blanks", many("{", " ", "}")),
        ("lines", many("pw\n", "a:b\n", "")),
        ("newlines", many("", "\n", "")),
        ("one line", many("", "a", "")),
        ("colons", many("pw\n", "a:", "")),
        ("a block", many("pw\na: |\n", " x\n", "")),
        ("a tree", many("", "├── a\n", "")),
        (
            "a mail",
            many(
                "\nContent-Disposition: attachment; filename=\"f\"\nContent-Transfer-Encoding: Base64\n",
                "AAAA\n",
                "",
            ),
        ),
        ("NUL", many("", "\0", "")),
    ]
}

fn timed<'a>(home: &'a Home, name: &'a str) -> impl Fn() -> Command + 'a {
    move || home.mxm_secrets(["get", "--timeout", "2", name])
}

/// What it says on standard error is as long.
#[test]
#[cfg(feature = "config")]
fn the_worst_output_of_ones_own_program_ends_in_time() {
    let home = Home::new();
    home.link(&["cat", "yes"]);
    let text =
        "mxm_secrets: {backends: [own], own: {command: [tool, \"{name}\"], miss: {says: none}}}\n";
    home.write(".config/mxm-secrets/config.yaml", text);
    home.fake("tool", "cat worst >&2; cat worst");
    for (what, output) in outputs() {
        home.write("worst", output);
        let seen = in_time(&format!("own: {what}"), 2.0, timed(&home, "a#last"));
        assert!([0, 1, 4].contains(&seen.status.unwrap()), "{}", seen.stderr);
    }
    std::fs::remove_file(home.path().join("bin/tool")).unwrap();
    home.fake("tool", "exec yes none >&2");
    in_time("own: no end of standard error", 2.0, timed(&home, "a"));
}

/// What is shown, what is listed, and what gopass says of it.
#[test]
fn the_worst_output_of_gopass_ends_in_time() {
    for hidden in [false, true] {
        let home = Home::new();
        home.link(&["cat"]);
        home.fake(
            "gopass",
            "[ \"$1\" = ls ] && exec cat worst\ncat worst >&2; cat worst",
        );
        home.write(".password-store/a.gpg", "x");
        if hidden {
            home.write(".password-store/.gopass-mapping", "x");
        }
        let listing = many("", "a/b\n", "");
        let said = many("", "[GNUPG:] \n", "");
        let more = [("a listing", listing), ("words of gpg", said)];
        for (what, output) in outputs().into_iter().chain(more) {
            home.write("worst", output);
            let name = if hidden { "none" } else { "a#last" };
            let what = format!("gopass: {what}, {name}");
            let seen = in_time(&what, 2.0, timed(&home, name));
            assert!([0, 1, 4].contains(&seen.status.unwrap()), "{}", seen.stderr);
        }
    }
}

#[test]
fn the_worst_configuration_of_gopass_ends_in_time() {
    let home = Home::new();
    home.fake("gopass", "printf value");
    home.write(".password-store/a.gpg", "x");
    let mib = |start: &str, piece: &str| {
        let room = (1 << 20) - start.len();
        format!("{start}{}", piece.repeat(room / piece.len()))
    };
    let mounts: String = (0..30_000)
        .map(|n| format!("[mounts \"m{n}\"]\npath=/m{n}\n"))
        .collect();
    for (what, text) in [
        ("sixteen MiB", many("", "# x\n", "")),
        ("mounts", mounts),
        ("one mount", mib("", "[mounts \"a\"]\npath = /x\n")),
        ("sections", mib("", "[mounts]\n")),
        ("a long section", mib("[mounts \"", "a")),
        ("a long alias", mib("[mounts \"", "a/")),
        ("backslashes", mib("[mounts]\npath = \"", "\\\\")),
        ("quotes", mib("[mounts]\npath = ", "\"")),
        ("brackets", mib("", "[")),
        ("equal signs", mib("[mounts]\n", "=")),
        ("keys", mib("[mounts]\n", "a=b\n")),
        ("includes", mib("[include]\n", "path=x\n")),
        ("newlines", mib("", "\n")),
        ("NUL", mib("", "\0")),
    ] {
        home.write(".config/gopass/config", text);
        let seen = in_time(
            &format!("configuration of gopass: {what}"),
            2.0,
            timed(&home, "a"),
        );
        assert!([0, 4].contains(&seen.status.unwrap()), "{}", seen.stderr);
    }
    // Files that include each other.
    for number in 0..40 {
        let text = format!(
            "[include]\npath = {}\n{}",
            number + 1,
            "path = 1\n".repeat(100_000)
        );
        home.write(&format!(".config/gopass/{number}"), text);
    }
    home.write(".config/gopass/config", "[include]\npath = 0\n");
    in_time("configuration of gopass: files", 2.0, timed(&home, "a"));
    in_time("configuration of gopass: settings", 2.0, || {
        let mut command = timed(&home, "a")();
        command.env("GOPASS_CONFIG_COUNT", "9223372036854775807");
        for number in 0..10_000 {
            command.env(format!("GOPASS_CONFIG_KEY_{number}"), "mounts.a.path");
            command.env(format!("GOPASS_CONFIG_VALUE_{number}"), "/x");
        }
        command
    });
}
