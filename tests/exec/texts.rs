//! `exec`: what is put together out of secrets, what goes to the standard input, and problems told as JSON.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use super::{CANARY, home, shell};
use crate::support::{Home, python, transcript};

/// Every byte but NUL, in order and then backwards, with what shells, URLs and JSON take for their own in pairs.
fn every_byte() -> Vec<u8> {
    let mut all: Vec<u8> = (1..=255).collect();
    all.extend((1..=255).rev());
    all.extend(b"''\"\"\\\\$(x)`y`%41{{a}}\n\n");
    all
}

#[test]
fn a_value_is_put_together() {
    let mut home = home();
    home.set("DB_USER", "ann@x").set("DB_PASSWORD", "p/w:é\n");
    let url = "DSN=postgres://{{db/user|url}}:{{db/password|url}}@h/db?{{prod/api-key}}";
    home.run(shell(&["--value", url], "printf %s \"$DSN\"")).is(
        0,
        format!("postgres://ann%40x:p%2Fw%3A%C3%A9@h/db?{CANARY}"),
        "",
    );
    // Nothing of a value is read again, and the text itself is kept to its last byte.
    home.set("ODD", "{{prod/api-key}}{{{{");
    home.run(shell(&["--value", "A={{odd}}{{{{\n"], "printf %s. \"$A\""))
        .is(0, "{{prod/api-key}}{{{{{{\n.", "");
}

#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
#[test]
fn a_template_is_a_file_in_memory() {
    let home = home();
    home.write("pgpass", "h:5432:*:ann:{{prod/api-key}}\n");
    home.link(&["stat"]);
    let script = "stat -Lc %a $PGPASSFILE; cat $PGPASSFILE; (echo x >$PGPASSFILE) 2>/dev/null || echo refused";
    home.run(shell(&["--template", "PGPASSFILE=pgpass"], script))
        .is(0, format!("400\nh:5432:*:ann:{CANARY}\nrefused\n"), "");
    for (text, place) in [
        (
            "a\n  {{prod/api-key|utl}}",
            "t:2:3: unknown encoder \"utl\"",
        ),
        ("a\n{{prod/api-key", "t:2:1: '{{' is not closed"),
        ("nothing", "t:1:1: no {{NAME}} in it"),
    ] {
        home.write("t", text);
        home.run(shell(&["--template", "T=t"], "touch trace"))
            .has(125, "", &[place]);
    }
    home.write("t", vec![b' '; (1 << 20) + 1]);
    home.run(shell(&["--template", "T=t"], "touch trace")).is(
        125,
        "",
        "mxm-secrets: t is larger than 1 MiB\n",
    );
    let fifo = Command::new("mkfifo").arg(home.path().join("f")).status();
    assert!(fifo.unwrap().success());
    home.run(shell(&["--template", "T=f"], "touch trace")).is(
        125,
        "",
        "mxm-secrets: f is not a regular file\n",
    );
    assert!(!home.path().join("trace").exists());
}

#[test]
fn a_missing_part_is_missing_and_a_failed_one_failed() {
    let home = home();
    home.fake(
        "gopass",
        "case $4 in bad) exit 9;; here) echo value;; bytes) printf '\\377';; nul) printf 'a\\0b';;\n\
         *) echo 'Error: entry is not in the password store' >&2; exit 11;; esac",
    );
    let exec = |text: &str| {
        let value = format!("A={text}");
        home.run([
            "exec",
            "--backend",
            "gopass",
            "-q",
            "--value",
            &value,
            "--",
            "touch",
            "trace",
        ])
    };
    exec("{{here}}{{none|url}}{{here}}").is(125, "", "mxm-secrets: none: missing: not in gopass\n");
    exec("{{none}}{{bad}}{{none}}").is(
        125,
        "",
        "mxm-secrets: none: missing: not in gopass\n\
         mxm-secrets: bad: failed: gopass: gopass show ended with status 9 for bad\n",
    );
    for (text, why) in [
        (
            "{{bytes|json}}",
            "bytes is not UTF-8, which a JSON string must be",
        ),
        (
            "{{nul|sh}}",
            "nul contains a NUL byte, which a shell's word cannot",
        ),
        (
            "x{{nul}}",
            "contains a NUL byte, which a variable cannot hold",
        ),
    ] {
        exec(text).is(125, "", &format!("mxm-secrets: --value A: failed: {why}\n"));
        // The place of a set is a line, which does not name the variable.
        let entry = match text.contains('|') {
            true => "{template: t}".to_owned(),
            false => format!("{{value: \"{text}\"}}"),
        };
        home.write("t", text);
        let set = format!("secrets:\n  OK: here\n  A: {entry}\n");
        let set = home.write("fit.yaml", set);
        let said = format!("mxm-secrets: {}:3: A: failed: {why}\n", set.display());
        let from = ["exec", "--backend", "gopass", "-q", "--from", "fit.yaml"];
        home.run([&from[..], &["--", "touch", "trace"]].concat())
            .is(125, "", &said);
    }
    assert!(!home.path().join("trace").exists());
    // Each secret was asked for once, however often it stands there.
    assert_eq!(
        home.log("gopass")
            .iter()
            .filter(|line| line.ends_with("none"))
            .count(),
        2
    );
}

/// What Python, which knows nothing of us, makes of values in every encoding.
#[test]
fn what_is_encoded_is_decoded_by_others() {
    let Some(python) = python() else {
        return;
    };
    let home = Home::new();
    home.link(&["sh"]);
    let script = home.write(
        "decode.py",
        "import os, sys, json, shlex, base64, urllib.parse
value, e = os.environb[b'V'], os.environb
url = e[b'URL'].decode('ascii')
assert urllib.parse.unquote_to_bytes(url) == value
assert urllib.parse.quote_from_bytes(value, safe='~') == url, url
assert base64.b64decode(e[b'B64'], validate=True) == value
text = e[b'SH'].decode('utf-8', 'surrogateescape')
assert shlex.split('a ' + text + ' b') == ['a', value.decode('utf-8', 'surrogateescape'), 'b']
try: value.decode(); utf8 = True
except UnicodeDecodeError: utf8 = False
if utf8: assert json.loads(b'\"' + e[b'JSON'] + b'\"') == value.decode()
assert e[b'PLAIN'] == value
print(utf8)
",
    );
    let utf8 = "each \u{1}\u{1f}\u{7f}\u{80} é \u{2028} \u{10ffff} '\"\\/<>&\n\t\n";
    for (value, is_utf8) in [
        (every_byte(), false),
        (utf8.as_bytes().to_vec(), true),
        (b"\n".to_vec(), true),
        (b"-n $(x) `y` 'z'".to_vec(), true),
    ] {
        let mut arguments: Vec<OsString> = ["exec", "--backend", "env", "--secret", "V=v"]
            .map(OsString::from)
            .to_vec();
        for (variable, encoder) in [
            ("URL", "|url"),
            ("B64", "|base64"),
            ("SH", "|sh"),
            ("JSON", "|json"),
            ("PLAIN", ""),
        ] {
            if encoder != "|json" || is_utf8 {
                let text = format!("{variable}={{{{v{encoder}}}}}");
                arguments.extend(["--value".into(), text.into()]);
            }
        }
        arguments.extend(["--".into(), python.clone().into(), script.clone().into()]);
        let mut command = home.mxm_secrets(&arguments);
        command.env("V", OsString::from_vec(value.clone()));
        let said = if is_utf8 { "True\n" } else { "False\n" };
        transcript(&mut command).is(0, said, "");
        // And a shell.
        let shell = [
            "exec",
            "--backend",
            "env",
            "--value",
            "SH={{v|sh}}",
            "--",
            "sh",
            "-c",
        ];
        let mut command = home.mxm_secrets(
            shell
                .iter()
                .chain(&["eval \"set -- $SH\"; printf %s \"$1\""]),
        );
        command.env("V", OsStr::from_bytes(&value));
        let whole = value.strip_suffix(b"\n").unwrap_or(&value);
        transcript(&mut command).is(0, whole, "");
    }
}

#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
#[test]
fn the_standard_input_is_the_secret() {
    let home = home();
    let mut every = every_byte();
    every.push(0);
    home.write("value", &every);
    home.fake("gopass", "exec cat value");
    let arguments = ["exec", "--backend", "gopass", "--stdin", "a", "--"];
    let run = |command: &[&str]| home.run(arguments.iter().chain(command));
    run(&["cat"]).is(0, &every, "");
    run(&["sh", "-c", "cat; cat"]).is(0, &every, "");
    run(&["sh", "-c", "(echo x >&0) 2>/dev/null || echo refused; cat"]).is(
        0,
        [b"refused\n", &every[..]].concat(),
        "",
    );
    home.fake("gopass", "exit 9");
    run(&["touch", "trace"]).has(125, "", &["a: failed: gopass"]);
    assert!(!home.path().join("trace").exists());
    // Beside variables and files, and with a standard input that is closed.
    let script = "exec \"$0\" exec --backend env --secret K=prod/api-key --file F=prod/api-key --stdin prod/api-key \
                  -- sh -c 'cat; cat $F; echo $K' <&-";
    let mut command = home.command("/bin/sh");
    command
        .args(["-c", script])
        .arg(crate::support::program_under_test());
    transcript(&mut command).is(0, format!("{CANARY}{CANARY}{CANARY}\n"), "");
}

/// The problems that a supervisor reads.
fn problems(home: &Home, arguments: &[&str]) -> Option<(Option<i32>, String)> {
    let python = python()?;
    let seen = home.run(["exec", "--json-errors"].iter().chain(arguments));
    assert!(seen.stdout.is_empty());
    home.write("problems", &seen.stderr);
    let read = "import json
for line in open('problems'):
    it = json.loads(line)
    assert list(it) == ['schema', 'problem', 'name', 'message', 'hint', 'transient'] and it['schema'] == 1
    assert it['transient'] is (None if it['problem'] is None else False)
    print(it['problem'], it['name'], it['hint'] is not None)";
    let read = transcript(home.command(python).args(["-c", read]));
    assert_eq!(
        (read.status, read.stderr.as_str()),
        (Some(0), ""),
        "{}",
        seen.stderr
    );
    Some((seen.status, String::from_utf8(read.stdout).unwrap()))
}

#[test]
fn a_mistake_in_the_flag_for_json_is_told_as_json() {
    let home = Home::new();
    for flag in ["--json-errors=1", "--json-errors="] {
        for (arguments, status) in [
            (&["exec", flag, "--", "true"][..], 125),
            (&["exec", "--secret", "a", flag], 125),
            (&[flag, "exec"], 2),
        ] {
            let seen = home.run(arguments);
            assert_eq!(seen.status, Some(status), "{arguments:?}: {}", seen.stderr);
            let told = seen
                .stderr
                .lines()
                .all(|line| line.starts_with("{\"schema\":1,\"problem\":\"usage\""));
            assert!(told && !seen.stderr.is_empty(), "{}", seen.stderr);
        }
    }
    let seen = home.run([
        "exec",
        "--secret",
        "no/such",
        "--",
        "true",
        "--json-errors=1",
    ]);
    assert!(seen.stderr.starts_with("mxm-secrets: "), "{}", seen.stderr);
}

#[test]
fn problems_are_told_as_json() {
    let mut home = home();
    home.set("BAD", "of env");
    home.fake(
        "gopass",
        "case $4 in bad) exit 9;; nul) printf 'a\\0b';; *) echo 'Error: entry is not in the password store' >&2; exit 11;; esac",
    );
    let both = [
        "--backend",
        "gopass",
        "--secret",
        "bad",
        "--secret",
        "N=no/such",
    ];
    let both: Vec<&str> = both
        .into_iter()
        .chain(["--secret", "nul", "--", "true"])
        .collect();
    let expected: BTreeMap<&[&str], (i32, &str)> = BTreeMap::from([
        (
            &both[..],
            (
                125,
                "failed bad True\nmissing no/such False\nfailed nul True\n",
            ),
        ),
        // A failure that is passed over is of a secret, too.
        (
            &[
                "--secret",
                "bad",
                "--backend",
                "gopass,env",
                "--on-error",
                "continue",
                "--",
                "true",
            ],
            (0, "warning bad True\n"),
        ),
        (
            &["--secret", "../a", "--", "true"],
            (125, "usage None False\n"),
        ),
        (
            &["--sceret", "a", "--", "true"],
            (125, "usage None False\n"),
        ),
        (
            &[
                "--secret",
                "prod/api-key",
                "--backend",
                "env",
                "--",
                "no-such",
            ],
            (127, "command None False\n"),
        ),
        (
            &[
                "--secret",
                "bad",
                "--backend",
                "gopass",
                "--on-error",
                "continue",
                "--",
                "true",
            ],
            (125, "failed bad True\n"),
        ),
    ]);
    // What -v tells is no problem, but JSON; a hint has no line of its own.
    let verbose = [
        "-v",
        "--secret",
        "bad",
        "--secret",
        "N=no/such",
        "--",
        "true",
    ];
    let Some((status, told)) = problems(&home, &verbose) else {
        return;
    };
    let mut told: Vec<&str> = told.lines().collect();
    told[..3].sort_unstable();
    let asked = ["None bad False", "None no/such False", "None no/such False"];
    assert_eq!((status, &told[..3]), (Some(125), &asked[..]));
    assert_eq!(told[3..], ["failed bad True", "missing no/such False"]);
    for (arguments, (status, problem)) in expected {
        let Some(seen) = problems(&home, arguments) else {
            return;
        };
        assert_eq!(seen, (Some(status), problem.to_owned()), "{arguments:?}");
    }
    // Behind the dashes it is the command's own.
    let seen = home.run(["exec", "--secret", "no/such", "--", "true", "--json-errors"]);
    seen.has(125, "", &["mxm-secrets: no/such: "]);
}

#[cfg_attr(
    any(not(target_os = "linux"), mxm_secrets_portable),
    ignore = "files in memory are a part of Linux"
)]
#[test]
fn the_first_line_of_an_entry_has_no_newline() {
    let home = home();
    home.fake("gopass", "printf 'pass word\\nuser: ann\\n'");
    let script = "cat $F; printf /; cat; printf %s \"/$V/$D\"; cat $W";
    let requests = [
        "--file=F=a/b#",
        "--stdin=a/b#",
        "--secret=V=a/b#",
        "--value=D={{a/b#|url}}",
        "--file=W=a/b",
    ];
    let exec = ["exec", "--backend", "gopass"].iter().chain(&requests);
    home.run(exec.chain(&["--", "sh", "-c", script])).is(
        0,
        "pass word/pass word/pass word/pass%20wordpass word\nuser: ann\n",
        "",
    );
}
