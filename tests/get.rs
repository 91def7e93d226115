//! `get`: the command line, the chain and the bytes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::support::{Home, emulated, python, transcript};

#[test]
fn a_variable_is_found() {
    let mut home = Home::new();
    home.set("PROD_API_KEY", "s3cret")
        .set("PROD_DB_PASSWORD", "pw")
        .set("9LIVES", "cat");
    home.run(["get", "prod/api-key"]).is(0, "s3cret\n", "");
    home.run(["get", "--raw", "prod/api-key"])
        .is(0, "s3cret", "");
    home.run(["get", "prod/db#password"]).is(0, "pw\n", "");
    if !emulated("the shell that starts it drops a variable that begins with a digit") {
        home.run(["get", "9lives"]).is(0, "cat\n", "");
    }
    home.run(["get", "-v", "prod/api-key"]).has(
        0,
        "s3cret\n",
        &["mxm-secrets: env: hit: prod/api-key found: $PROD_API_KEY ("],
    );
}

#[test]
fn bytes_are_kept() {
    let home = Home::new();
    for (value, printed) in [
        (&b"plain"[..], &b"plain\n"[..]),
        (b"ends\n", b"ends\n"),
        (b"\n\n", b"\n\n"),
        (b" blanks \t", b" blanks \t\n"),
        (b"a\r\n\r", b"a\r\n\r\n"),
        (b"\xff\xfe\x80", b"\xff\xfe\x80\n"),
        (b"first\nsecond", b"first\nsecond\n"),
    ] {
        let get = |raw: &[&str]| {
            let mut command = home.mxm_secrets(["get", "a"].iter().chain(raw));
            transcript(command.env("A", OsStr::from_bytes(value)))
        };
        get(&[]).is(0, printed, "");
        get(&["--raw"]).is(0, value, "");
    }
}

#[test]
fn an_empty_variable_is_a_miss() {
    let mut home = Home::new();
    home.set("A", "");
    home.run(["get", "a"]).is(
        1,
        "",
        "mxm-secrets: a: missing: not in env ($A) (unavailable: gopass)\nmxm-secrets: a: missing: env: a is empty: $A\n",
    );
    home.run(["get", "a", "-v"])
        .has(1, "", &["env: miss: a is empty: $A ("]);
}

/// The shell keeps the last argument of the last command in `$_`.
#[test]
fn a_name_without_a_letter_or_digit_is_no_variable() {
    let mut home = Home::new();
    home.set("MXM_SECRETS_BACKENDS", "env")
        .set("_", "/usr/bin/mxm-secrets")
        .set("__", "x")
        .set("__1", "one")
        .set("A__", "prefixed");
    for name in ["-", "*", " ", "_", "\u{65e5}\u{672c}", "-#-", "*#"] {
        home.run(["get", "-v", "--", name]).has(
            1,
            "",
            &[
                "env: miss: ",
                "has no letter or digit, so no variable is called that",
            ],
        );
        home.run(["get", "--default", "D", "--", name])
            .is(3, "D\n", "");
    }
    home.run(["get", "\u{65e5}\u{672c}1"]).is(0, "one\n", "");
    home.run(["get", "--", "-#1"]).is(0, "one\n", "");
}

#[test]
fn credentials_of_backends_are_not_given_out_by_name() {
    for (name, variable) in [
        ("mxm/secrets/vault/secret/id", "MXM_SECRETS_VAULT_SECRET_ID"),
        ("mxm-secrets#vault-jwt", "MXM_SECRETS_VAULT_JWT"),
        ("vault/token", "VAULT_TOKEN"),
        ("vault/token#", "VAULT_TOKEN"),
        ("bao/client-key", "BAO_CLIENT_KEY"),
        ("vault/role_id", "VAULT_ROLE_ID"),
        ("vault/headers", "VAULT_HEADERS"),
        ("gopass/age/password", "GOPASS_AGE_PASSWORD"),
    ] {
        let mut home = Home::new();
        home.set("MXM_SECRETS_BACKENDS", "env");
        home.run(["get", name]).has(1, "", &["missing"]);
        home.set(variable, "CANARY");
        let said = format!("${variable} is a credential of a backend");
        for arguments in [
            &["get", name][..],
            &["get", "--default", "D", name],
            &["exec", "--secret", &format!("X={name}"), "--", "env"],
        ] {
            let seen = home.run(arguments);
            let status = if arguments[0] == "exec" { 125 } else { 4 };
            seen.has(status, "", &[&said, name, "hint: use another name"]);
            assert!(!seen.stderr.contains("CANARY"));
        }
    }
}

#[test]
fn the_first_line_is_asked_for_by_an_empty_field() {
    let mut home = Home::new();
    home.set("MXM_SECRETS_BACKENDS", "env")
        .set("PROD_DB", "pw\r\nuser: bob\n")
        .set("PROD_DB_", "another")
        .set("EMPTY", "\nuser: bob\n");
    home.link(&["sh"]);
    home.run(["get", "--raw", "prod/db#"]).is(0, "pw", "");
    home.run(["get", "prod/db#"]).is(0, "pw\n", "");
    home.run(["resolve", "prod/db#"])
        .is(0, "prod/db#\tenv\t$PROD_DB\n", "");
    home.run([
        "exec",
        "--secret",
        "prod/db#",
        "--",
        "sh",
        "-c",
        "echo \"$PROD_DB,\"",
    ])
    .is(0, "pw,\n", "");
    home.run(["get", "-v", "empty#"]).has(
        1,
        "",
        &["env: miss: the first line of empty is empty: $EMPTY"],
    );
    home.run(["get", "--default", "D", "empty#"])
        .is(3, "D\n", "");
    home.run(["get", "none#"]).has(1, "", &["missing"]);
}

/// Every backend has it, since none of them knows of it.
#[test]
#[cfg(all(
    target_os = "linux",
    feature = "age",
    feature = "config",
    feature = "credentials",
    feature = "keyring",
    feature = "vault"
))]
fn every_store_gives_its_first_line() {
    use crate::support::place::{NAME, Place};
    for backend in [
        "env",
        "gopass",
        "age",
        "vault",
        "credentials",
        "keyring",
        "own",
    ] {
        if backend == "keyring"
            && (cfg!(mxm_secrets_portable) || emulated("qemu has no keyctl call"))
        {
            continue;
        }
        let Some(place) = Place::new(backend) else {
            continue;
        };
        place.home().link(&["sh"]);
        let name = format!("{NAME}#");
        let run = |arguments: &[&str]| transcript(&mut place.mxm_secrets(arguments));
        run(&["get", "--raw", &name]).is(0, &place.canary, "");
        let script = "echo \"$LEAKS_CANARY,\"";
        run(&["exec", "--secret", &name, "--", "sh", "-c", script]).is(
            0,
            format!("{},\n", place.canary),
            "",
        );
    }
}

#[test]
fn a_default_has_a_status_of_its_own() {
    let home = Home::new();
    home.run(["get", "a", "--default", "V"]).is(3, "V\n", "");
    home.run(["get", "a", "--default=V", "--default-ok"])
        .is(0, "V\n", "");
    home.run(["get", "--raw", "a", "--default", "V"])
        .is(3, "V", "");
    home.run(["get", "a", "--default", ""]).is(3, "\n", "");
    home.run(["get", "a", "--default", "--"]).is(3, "--\n", "");
    home.run(["get", "a", "--default", "-v"]).is(3, "-v\n", "");
    let bytes = [
        OsStr::new("get"),
        OsStr::new("a"),
        OsStr::new("--default"),
        OsStr::from_bytes(b"\xff"),
    ];
    home.run(bytes).is(3, b"\xff\n", "");
}

#[test]
fn options_stand_anywhere() {
    let mut home = Home::new();
    home.set("A", "x").set("_DASH", "y");
    for arguments in [
        &["get", "--backend", "env", "a"][..],
        &["get", "a", "--backend=env"],
        &["--backend", "env", "get", "a"],
        &["get", "--timeout", "0.5", "--no-input", "-q", "a"],
        &["get", "-vq", "a", "--backend", "env", "--on-error=stop"],
        &["get", "--", "a"],
    ] {
        let seen = home.run(arguments);
        assert_eq!(
            (seen.status, seen.stdout.as_slice()),
            (Some(0), &b"x\n"[..]),
            "{arguments:?} {}",
            seen.stderr
        );
    }
    home.run(["get", "--", "-dash"]).is(0, "y\n", "");
}

#[test]
fn variables_give_the_chain_and_its_terms() {
    let mut home = Home::new();
    home.set("A", "x");
    let run = |variable: &str, value: &str, more: &[&str]| {
        let mut command = home.mxm_secrets(["get", "a"].iter().chain(more));
        transcript(command.env(variable, value))
    };
    run("MXM_SECRETS_BACKENDS", "env", &[]).is(0, "x\n", "");
    run("MXM_SECRETS_BACKENDS", "gopass", &[]).is(
        4,
        "",
        "mxm-secrets: a: failed: gopass unavailable: gopass is not on PATH\n",
    );
    run("MXM_SECRETS_BACKENDS", "gopass", &["--backend", "env"]).is(0, "x\n", "");
    run("MXM_SECRETS_BACKENDS", "", &[]).is(0, "x\n", "");
    run("MXM_SECRETS_BACKENDS", "evn", &[]).is(
        2,
        "",
        "mxm-secrets: MXM_SECRETS_BACKENDS: unknown backend \"evn\": did you mean env?\n",
    );
    run("MXM_SECRETS_TIMEOUT", "soon", &[]).has(
        2,
        "",
        &["MXM_SECRETS_TIMEOUT \"soon\": expected a number of seconds"],
    );
    for good in [
        "2.5", "10s", "500ms", "1m", "1.5s", "0.5m", "9000ms", "1440m",
    ] {
        run("MXM_SECRETS_TIMEOUT", good, &[]).is(0, "x\n", "");
        run("A", "y", &["--timeout", good]).is(0, "y\n", "");
    }
    for bad in [
        "0s",
        "0.5ms",
        "1e3s",
        "1441m",
        "86401s",
        "-1s",
        "1h",
        "1S",
        " 1s",
        "1 s",
        "s",
        "m",
        "ms",
        ".",
        "1.2.3",
        "1sm",
        "+1s",
        "0x1",
        "99999999999999999999m",
        "nan",
        "inf",
        "infs",
        "\u{661}s",
    ] {
        let why = format!(
            "\"{bad}\": expected a number of seconds from 0.001 to 86400, such as 10 or 0.5, or 10s, 500ms, 1m\n"
        );
        run("MXM_SECRETS_TIMEOUT", bad, &[]).is(
            2,
            "",
            &format!("mxm-secrets: MXM_SECRETS_TIMEOUT {why}"),
        );
        run("A", "y", &["--timeout", bad]).is(2, "", &format!("mxm-secrets: --timeout {why}"));
    }
    run("MXM_SECRETS_NO_INPUT", "yes", &[]).has(2, "", &["MXM_SECRETS_NO_INPUT is \"yes\""]);
    run("MXM_SECRETS_NO_INPUT", "1", &[]).is(0, "x\n", "");
}

/// A failure is passed over if the environment says so, and the command line has the last word.
#[test]
fn a_variable_says_what_follows_a_failure() {
    let mut home = Home::new();
    home.set("A", "x");
    home.fake("tool", "exit 7");
    home.write(
        "c.yaml",
        "mxm_secrets: {own: {command: [tool, \"{name}\"]}}\n",
    );
    let run = |value: &str, more: &[&str]| {
        let get = ["get", "a", "--config=c.yaml", "--backend=own,env", "-q"];
        let mut command = home.mxm_secrets(get.iter().chain(more));
        transcript(command.env("MXM_SECRETS_ON_ERROR", value))
    };
    for (value, more, status) in [
        ("continue", &[][..], 0),
        ("stop", &[], 4),
        ("", &[], 4),
        ("continue", &["--on-error", "stop"], 4),
        ("stop", &["--on-error", "continue"], 0),
    ] {
        let seen = run(value, more);
        assert_eq!(
            seen.status,
            Some(status),
            "{value} {more:?}: {}",
            seen.stderr
        );
    }
    for bad in ["STOP", "go", " continue", "1", "stop,continue"] {
        let why =
            format!("mxm-secrets: MXM_SECRETS_ON_ERROR is \"{bad}\": expected stop or continue\n");
        run(bad, &[]).is(2, "", &why);
        let mut exec = home.mxm_secrets(["exec", "--secret", "a", "--", "tool"]);
        transcript(exec.env("MXM_SECRETS_ON_ERROR", bad)).is(125, "", &why);
    }
    assert_eq!(home.log("tool").len(), 5);
}

#[test]
fn bad_input_is_refused_before_anything_is_started() {
    let home = Home::new();
    home.fake("gopass", "echo secret");
    let long = "x".repeat(513);
    for (arguments, message) in [
        (
            &[][..],
            "no command given: expected one of get, exec, resolve, list-backends",
        ),
        (&["gte", "a"], "unknown command \"gte\": did you mean get?"),
        (&["get"], "get: no name given"),
        (
            &["get", "a", "b"],
            "get: several names need --json; without it, give one name",
        ),
        (&["get", ""], "bad name \"\": a name must not be empty"),
        (
            &["get", "/a"],
            "bad name \"/a\": a name must not begin or end with '/'",
        ),
        (
            &["get", "a/../b"],
            "bad name \"a/../b\": '.' and '..' are not allowed",
        ),
        (
            &["get", "a##"],
            "bad name \"a##\": a name may contain only one '#'",
        ),
        (
            &["get", "a\u{202e}b"],
            "bad name \"a\\u{202e}b\": a name must not contain bidirectional controls",
        ),
        (
            &["get", "a\nb"],
            "bad name \"a\\nb\": a name must not contain control characters",
        ),
        (&["get", &long], "a name must not be longer than 512 bytes"),
        (
            &["get", "-a"],
            "unknown option -a; a name that begins with - needs -- before it",
        ),
        (
            &["get", "a", "--defualt", "x"],
            "unknown option --defualt: did you mean --default?",
        ),
        (
            &["get", "a", "--default"],
            "missing argument for option '--default'",
        ),
        (&["get", "a", "--raw=yes"], "--raw takes no value"),
        // Meant for --default; it may be a secret.
        (
            &["get", "a", "--default-ok=x"],
            "--default-ok takes no value",
        ),
        (
            &["get", "a", "--default-ok"],
            "--default-ok goes with --default",
        ),
        (
            &["get", "a", "--timeout", "0"],
            "--timeout \"0\": expected a number of seconds from 0.001 to 86400",
        ),
        (&["get", "a", "--timeout", "-1"], "--timeout \"-1\""),
        (&["get", "a", "--timeout", "inf"], "--timeout \"inf\""),
        (&["get", "a", "--timeout", "1e3"], "--timeout \"1e3\""),
        (
            &["get", "a", "--timeout", "999999999999999999999"],
            "--timeout",
        ),
        (
            &["get", "a", "--on-error", "panic"],
            "--on-error \"panic\": expected stop or continue",
        ),
        (
            &["get", "a", "--backend", "gopas"],
            "--backend: unknown backend \"gopas\": did you mean gopass?",
        ),
        (
            &["get", "a", "--backend", ""],
            "--backend: unknown backend \"\"",
        ),
        (
            &["get", "a", "--backend", "env,"],
            "--backend: unknown backend \"\"",
        ),
        (
            &["get", "a", "--backend", "env,env"],
            "--backend: env is named twice",
        ),
        (&["get", "a", "--check"], "get has no option --check"),
        (&["get", "--json"], "get: no name given"),
        (&["get", "--json", "a", "../b"], "bad name \"../b\""),
    ] {
        let seen = home.run(arguments);
        assert_eq!(
            (seen.status, seen.stdout.as_slice()),
            (Some(2), &b""[..]),
            "{arguments:?}"
        );
        assert!(
            seen.stderr.starts_with("mxm-secrets: "),
            "{arguments:?}: {}",
            seen.stderr
        );
        assert!(
            seen.stderr.contains(message),
            "{arguments:?}: {}",
            seen.stderr
        );
        assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.stderr);
    }
    for (flag, value) in [
        ("--backend", b"\xff"),
        ("--timeout", b"\xff"),
        ("--on-error", b"\xff"),
    ] {
        let bytes = [
            OsStr::new("get"),
            OsStr::new("a"),
            OsStr::new(flag),
            OsStr::from_bytes(value),
        ];
        home.run(bytes).has(2, "", &[flag]);
    }
    home.run([OsStr::new("get"), OsStr::from_bytes(b"a\xff")])
        .has(2, "", &["a name must be valid UTF-8"]);
    home.run([OsStr::from_bytes(b"g\xff")])
        .has(2, "", &["unknown command"]);
    assert_eq!(home.log("gopass"), Vec::<String>::new());
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let mut home = Home::new();
    home.set("A", "x".repeat(100_000));
    let get = || home.mxm_secrets(["get", "a"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    transcript(get().stdout(full)).is(
        4,
        "",
        "mxm-secrets: cannot write to standard output: No space left on device (os error 28)\n",
    );
    let closed = |redirection: &str| {
        let program = get().get_program().to_owned();
        let mut shell = home.command("/bin/sh");
        shell
            .args(["-c", &format!("exec \"$0\" get a {redirection}")])
            .arg(program);
        transcript(&mut shell)
    };
    closed(">&-").is(
        4,
        "",
        "mxm-secrets: cannot write to standard output: Bad file descriptor (os error 9)\n",
    );
    closed("<&- >&-").has(4, "", &["cannot write to standard output"]);
    closed("<&- 2>&-").has(0, format!("{}\n", "x".repeat(100_000)), &[]);
    // A reader that goes away ends the program as SIGPIPE does.
    let mut child = get()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.signal(), output.stderr.as_slice()),
        (Some(libc::SIGPIPE), &b""[..])
    );
}

#[test]
fn a_value_larger_than_the_pipe_is_whole() {
    let home = Home::new();
    let size = 5_000_000;
    home.fake("gopass", &format!("head -c {size} /dev/zero | tr '\\0' x"));
    home.link(&["head", "tr"]);
    let seen = home.run(["get", "--raw", "a"]);
    assert_eq!((seen.status, seen.stdout.len()), (Some(0), size));
}

/// Each answer of the first backend (a fake gopass) before a hit and a miss of the second (env), with and without a
/// default, after a failure stopping and going on: status and output follow from the answers alone. Every pair of
/// answers is gone through where the chain is, in resolve.rs.
#[test]
fn answers_become_statuses() {
    let (stop, go_on) = ("stop", "continue");
    for (answer, script) in [
        ("hit", "echo value"),
        (
            "miss",
            "echo 'Error: entry is not in the password store' >&2; exit 11",
        ),
        ("unavailable", "exit 6"),
        ("failed", "echo 'failed to decrypt' >&2; exit 11"),
    ] {
        let home = Home::new();
        home.fake("gopass", script);
        if answer == "unavailable" {
            fs::remove_dir_all(home.path().join(".password-store")).unwrap();
        }
        for (set, default, on_error) in [
            (true, true, stop),
            (true, false, stop),
            (false, true, stop),
            (false, false, stop),
            (true, true, go_on),
            (true, false, go_on),
            (false, true, go_on),
            (false, false, go_on),
        ] {
            let mut command = home.mxm_secrets(["get", "a", "--on-error", on_error]);
            command.args(default.then_some(["--default", "V"]).into_iter().flatten());
            command.envs(set.then_some(("A", "from env")));
            let (status, printed) = match (answer, set, default, on_error == go_on) {
                ("hit", ..) => (0, "value\n"),
                ("failed", _, _, false) => (4, ""),
                (_, true, ..) => (0, "from env\n"),
                (_, false, true, _) => (3, "V\n"),
                ("failed", false, false, true) => (4, ""),
                (_, false, false, _) => (1, ""),
            };
            let seen = transcript(&mut command);
            let case = format!("{answer} {command:?} {}", seen.stderr);
            assert_eq!(
                (seen.status, seen.stdout.as_slice()),
                (Some(status), printed.as_bytes()),
                "{case}"
            );
            let warned = seen
                .stderr
                .contains("warning: a: failed: gopass: a cannot be decrypted");
            assert_eq!(
                warned,
                answer == "failed" && [0, 3].contains(&status),
                "{case}"
            );
            assert_eq!(
                seen.stderr.is_empty(),
                [0, 3].contains(&status) && !warned,
                "{case}"
            );
        }
    }
}

#[test]
fn the_version_names_the_backends() {
    let home = Home::new();
    let seen = home.run(["--version"]);
    let text = String::from_utf8(seen.stdout).unwrap();
    let start = format!(
        "mxm-secrets {} (backends: gopass, env",
        env!("CARGO_PKG_VERSION")
    );
    assert!(text.starts_with(&start), "{text}");
}

/// What Python makes of the lines of `get --json`: name, outcome, backend, and the value.
fn read_json(home: &Home, seen: &[u8]) -> Option<String> {
    let python = python()?;
    home.write("report", seen);
    let read = "import json, base64
for line in open('report'):
    report = json.loads(line)
    value = report.pop('value_base64')
    value = value if value is None else base64.b64decode(value, validate=True)
    assert sorted(report) == ['backend', 'chain', 'locator', 'name', 'outcome', 'schema'], report
    print(report['name'], report['outcome'], report['backend'], value)";
    let seen = transcript(home.command(python).args(["-c", read]));
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""));
    Some(String::from_utf8(seen.stdout).unwrap())
}

#[test]
fn json_has_every_value_in_order() {
    let mut home = Home::new();
    home.fake(
        "gopass",
        "case $4 in one) echo 1;; locked) exit 9;; *) echo 'Error: entry is not in the password store' >&2; exit 11;; esac",
    );
    home.set("TWO", "2").set("ONE", "shadowed");
    let seen = home.run(["get", "--json", "two", "none", "one"]);
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(1), ""));
    let Some(read) = read_json(&home, &seen.stdout) else {
        return;
    };
    assert_eq!(
        read,
        "two found env b'2'\nnone missing None None\none found gopass b'1\\n'\n"
    );
    for (more, status, first) in [
        (&["locked", "none", "two"][..], 4, "locked failed None None"),
        (&["two"], 0, "two found env b'2'"),
        (&["none", "--default", "d"], 3, "none defaulted None b'd'"),
        (
            &["none", "two", "--default", "d"],
            3,
            "none defaulted None b'd'",
        ),
        (
            &["none", "--default", "d", "--default-ok"],
            0,
            "none defaulted",
        ),
        (
            &["locked", "none", "--default", "d", "--default-ok"],
            4,
            "locked failed",
        ),
    ] {
        let seen = home.run(["get", "--json"].iter().chain(more));
        assert_eq!((seen.status, seen.stderr.as_str()), (Some(status), ""));
        let read = read_json(&home, &seen.stdout).unwrap();
        assert!(read.starts_with(first), "{more:?}: {read}");
    }
}

/// A name that is given more than once has as many objects.
#[test]
fn json_has_as_many_objects_as_names() {
    let mut home = Home::new();
    let names: Vec<String> = (0..100).map(|number| format!("n{}", number % 7)).collect();
    for number in [0, 2, 3, 5] {
        home.set(&format!("N{number}"), "x");
    }
    let seen = home.run(
        ["get", "--json", "--backend", "env"]
            .into_iter()
            .chain(names.iter().map(String::as_str)),
    );
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(1), ""));
    let text = String::from_utf8(seen.stdout).unwrap();
    assert_eq!(text.lines().count(), names.len());
    for (line, name) in text.lines().zip(&names) {
        let found = ["n0", "n2", "n3", "n5"].contains(&name.as_str());
        let (outcome, value) = if found {
            ("found", "\"eA==\"")
        } else {
            ("missing", "null")
        };
        let start = format!("{{\"schema\":1,\"name\":\"{name}\",\"outcome\":\"{outcome}\",");
        assert!(
            line.starts_with(&start) && line.ends_with(&format!(",\"value_base64\":{value}}}")),
            "{line}"
        );
    }
}

/// Every bad name is told, and nothing is asked.
#[test]
fn json_tells_every_bad_name() {
    let home = Home::new();
    home.fake("gopass", "echo secret");
    let seen = home.run(["get", "--json", "a", "../b", "c//d", "e##"]);
    let expected = "mxm-secrets: bad name \"../b\": '.' and '..' are not allowed as path segments
mxm-secrets: bad name \"c//d\": a name must not begin or end with '/' or contain '//'
mxm-secrets: bad name \"e##\": a name may contain only one '#'
";
    seen.is(2, "", expected);
    assert!(home.log("gopass").is_empty());
}

#[test]
fn json_has_the_exact_bytes_of_every_kind() {
    let home = Home::new();
    let every: Vec<u8> = (0..=255).collect();
    for (count, value) in [(0, &every[..]), (1, b"a\n\n"), (2, b"\0")] {
        home.write("value", value);
        let name = format!("n{count}");
        home.program(
            "gopass",
            &format!(
                "#!{}\nexec cat {}/value\n",
                "/bin/sh",
                home.path().display()
            ),
        );
        if count == 0 {
            home.link(&["cat"]);
        }
        let seen = home.run(["get", "--json", "--backend", "gopass", &name]);
        let Some(read) = read_json(&home, &seen.stdout) else {
            return;
        };
        let python = transcript(
            home.command(python().unwrap())
                .args(["-c", "print(open('value', 'rb').read())"]),
        );
        let value = String::from_utf8(python.stdout).unwrap();
        assert_eq!(read, format!("{name} found gopass {value}"));
    }
}

#[test]
fn json_looks_several_up_side_by_side() {
    // Each fake waits for the two others: one after the other, none would ever end.
    let home = Home::new();
    home.link(&["touch", "sleep"]);
    home.fake(
        "gopass",
        "touch at.$$; while set -- at.*; [ $# -lt 3 ]; do sleep 0.01; done; echo value",
    );
    let seen = home.run([
        "get",
        "--json",
        "--backend",
        "gopass",
        "--timeout",
        "60",
        "a",
        "b",
        "c",
    ]);
    assert_eq!(seen.status, Some(0), "{}", seen.stderr);
    let text = String::from_utf8(seen.stdout).unwrap();
    assert_eq!(
        text.matches("\"value_base64\":\"dmFsdWUK\"}\n").count(),
        3,
        "{text}"
    );
}

/// What each backend has seen, where that is more than that there is no such secret: said without -v.
#[test]
#[cfg(feature = "credentials")]
fn a_missing_secret_says_why() {
    let mut home = Home::new();
    home.write("mnt/folder/inside", "");
    home.write("mnt/json", "{\"user\":\"ann\"}");
    home.write("mnt/blank", "");
    let directory = home.path().join("mnt");
    home.set("CREDENTIALS_DIRECTORY", directory);
    home.set("BLANK", "");
    home.set("MXM_SECRETS_BACKENDS", "credentials,env");
    for (name, expected) in [
        ("none", "none: missing: not in credentials, env ($NONE)\n"),
        (
            "folder",
            "folder: missing: credentials: folder is a folder: ",
        ),
        (
            "json#pin",
            "json#pin: missing: credentials: json has no field pin: ",
        ),
        ("blank", "blank: missing: credentials: blank is empty: "),
        ("blank", "blank: missing: env: blank is empty: $BLANK\n"),
    ] {
        let seen = home.run(["get", name]);
        assert_eq!(seen.status, Some(1), "{}", seen.stderr);
        let said = format!("mxm-secrets: {expected}");
        assert!(seen.stderr.contains(&said), "{}", seen.stderr);
        let first = format!("mxm-secrets: {name}: missing: not in credentials, env ($");
        assert!(seen.stderr.starts_with(&first), "{}", seen.stderr);
        // A default stands in without a word.
        home.run(["get", "--default", "D", name]).is(3, "D\n", "");
    }
    // One object for all that is said of one secret.
    let seen = home.run(["exec", "--json-errors", "--secret", "blank", "--", "true"]);
    assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.stderr);
}
