//! Sets, in the configuration and in files of their own: what `exec` starts with them, and what `resolve` says before.

use std::fs;
use std::os::unix::fs::PermissionsExt;

#[cfg(all(feature = "age", feature = "vault"))]
use crate::support::python;
use crate::support::{Home, transcript};

const CONFIG: &str = ".config/mxm-secrets/config.yaml";

/// A home with a shell, two secrets, and a configuration with these sets.
fn home(sets: &str) -> Home {
    let mut home = Home::new();
    home.link(&["sh", "cat", "touch"]);
    home.set("PROD_API_KEY", "k3y")
        .set("PROD_DB_PASSWORD", "p/w")
        .set("PROD_TLS_KEY", "tls\nkey\n");
    home.write(CONFIG, format!("mxm_secrets:\n  backends: [env]\n{sets}"));
    home
}

const TRADER: &str = "  sets:
    trader:
      KEY: prod/api-key
      DB_PASSWORD: {name: \"prod/db#password\"}
      DSN: {value: \"postgres://u:{{prod/db#password|url}}@h/db\"}
      SMTP: {name: prod/smtp, optional: true}
      NONE: null
    web: {KEY: prod/api-key}
";

const FILES: &str = "secrets:
  TLS_KEY: {name: prod/tls-key, file: yes}
  PGPASSFILE: {template: pgpass}
";

const PRINT: &str = "echo $KEY $DB_PASSWORD $DSN ${SMTP-unset} ${NONE-parent}";

#[test]
fn a_set_says_all_that_a_command_needs() {
    let mut home = home(TRADER);
    home.set("SMTP", "stale");
    let exec = |arguments: &[&str], script: &str| {
        let whole = ["exec"].iter().chain(arguments);
        home.run(whole.chain(&["--", "sh", "-c", script]))
    };
    let all = "k3y p/w postgres://u:p%2Fw@h/db unset parent\n";
    exec(&["--set", "trader"], PRINT).is(0, all, "");
    // In a file of its own, which names files from where it is, and beside others.
    home.write("service/secrets.yaml", FILES);
    home.write("service/pgpass", "h:*:*:u:{{prod/db#password}}\n");
    if cfg!(all(target_os = "linux", not(mxm_secrets_portable))) {
        let file = ["--from", "service/secrets.yaml"];
        exec(&file, "cat $TLS_KEY $PGPASSFILE").is(0, "tls\nkey\nh:*:*:u:p/w\n", "");
        let mut several = vec!["--set", "web", "--secret", "OTHER=prod/api-key"];
        several.extend(file);
        exec(&several, "cat $PGPASSFILE; echo $KEY $OTHER").is(0, "h:*:*:u:p/w\nk3y k3y\n", "");
    }
    exec(&["--set", "tradr"], "touch trace").is(
        125,
        "",
        "mxm-secrets: --set tradr: unknown set: did you mean trader?\n",
    );
    exec(&["--from", "none.yaml"], "touch trace").has(125, "", &["none.yaml does not exist"]);
    let file = home.path().join(CONFIG);
    let file = file.display();
    for arguments in [
        ["--set", "trader", "--set", "web"],
        ["--set", "trader", "--secret", "KEY=a"],
    ] {
        let second = match arguments[3] {
            "web" => format!("{file}:10"),
            _ => "--secret KEY".to_owned(),
        };
        exec(&arguments, "touch trace").is(
            125,
            "",
            &format!("mxm-secrets: the variable KEY is given twice: {file}:5 and {second}\n"),
        );
    }
    assert!(!home.path().join("trace").exists());
}

/// However a variable, or the standard input, is given twice: an error that names both places. Sets beside each other are
/// not, nor is what differs in case.
#[test]
fn each_variable_is_given_once_however_it_is_given() {
    let mut home = home("  sets: {a: {A: x}, b: {B: x}, lower: {a: x}}\n");
    home.set("X", "x");
    for (name, variable) in [("a", "A"), ("b", "B")] {
        home.write(
            &format!("{name}.yaml"),
            format!("secrets: {{{variable}: x}}\n"),
        );
    }
    home.write("t", "{{x}}");
    let here = home.path().display().to_string();
    let ways = [
        ("--secret=A=x", "--secret A".to_owned()),
        ("--secret=a", "--secret a".to_owned()),
        ("--optional=A=x", "--optional A".to_owned()),
        ("--file=A=x", "--file A".to_owned()),
        ("--value=A={{x}}", "--value A".to_owned()),
        ("--template=A=t", "--template A".to_owned()),
        ("--set=a", format!("{here}/{CONFIG}:3")),
        ("--from=a.yaml", format!("{here}/a.yaml:1")),
    ];
    for (first, one) in &ways {
        for (second, other) in &ways {
            let line = format!("mxm-secrets: the variable A is given twice: {one} and {other}\n");
            let exec = ["exec", *first, *second, "--", "touch", "trace"];
            home.run(exec).is(125, "", &line);
        }
    }
    let resolve = ["resolve", "--set=a", "--from=a.yaml", "--set=a", "b"];
    let seen = home.run(resolve);
    assert_eq!(
        (seen.status, seen.stderr.matches("is given twice").count()),
        (Some(2), 2),
        "{}",
        seen.stderr
    );
    let twice = "mxm-secrets: the standard input is given twice: --stdin and --stdin\n";
    home.run(["exec", "--stdin=x", "--stdin=x", "--", "touch", "trace"])
        .is(125, "", twice);
    assert!(!home.path().join("trace").exists());
    let several = [
        "exec",
        "--set=a",
        "--set=b",
        "--set=lower",
        "--stdin=x",
        "--",
        "sh",
        "-c",
        "echo $A$B$a",
    ];
    home.run(several).is(0, "xxx\n", "");
    let several = [
        "exec",
        "--from=a.yaml",
        "--from=b.yaml",
        "--set=lower",
        "--secret=C=x",
        "--",
        "sh",
        "-c",
        "echo $A$B$C$a",
    ];
    home.run(several).is(0, "xxxx\n", "");
}

/// A set that needs nothing, here or at all, is no mistake: its command starts. No set and no secret at all is one.
#[test]
fn an_empty_set_starts_its_command() {
    let mut home = home(
        "  sets: {none: {}, gone: {KEY: null}, maybe: {SMTP: {name: prod/smtp, optional: true}}}\n",
    );
    home.set("SMTP", "stale");
    home.write("empty.yaml", "secrets: {}\n");
    for set in [
        "--set=none",
        "--set=gone",
        "--set=maybe",
        "--from=empty.yaml",
    ] {
        let seen = home.run(["exec", set, "--", "sh", "-c", "echo started ${SMTP-unset}"]);
        let smtp = if set == "--set=maybe" {
            "unset"
        } else {
            "stale"
        };
        seen.is(0, format!("started {smtp}\n"), "");
        let said = match set {
            "--set=maybe" => "mxm-secrets: prod/smtp: optional: not in env ($PROD_SMTP)\n",
            _ => "",
        };
        home.run(["resolve", set]).is(0, "", said);
    }
    home.run(["exec", "--", "touch", "trace"])
        .has(125, "", &["exec: no secret given"]);
    home.run(["resolve"])
        .has(2, "", &["resolve: no name given"]);
    // What is not filled in yet is a mistake.
    home.write("empty.yaml", "secrets:\n");
    home.run(["exec", "--from", "empty.yaml", "--", "touch", "trace"])
        .has(
            125,
            "",
            &["empty.yaml:1:1: secrets: expected a mapping, found null"],
        );
    home.write(
        CONFIG,
        "mxm_secrets: {backends: [env], sets: {none: , web: {KEY: a}}}\n",
    );
    home.run(["exec", "--set", "none", "--", "touch", "trace"])
        .has(125, "", &["--set none: unknown set: "]);
    assert!(!home.path().join("trace").exists());
}

/// Whatever is wrong with some of it, the rest is looked up, and all is told at once.
#[test]
fn a_preflight_goes_on_past_every_mistake() {
    let mut home = home(
        "  stores: {e: {backend: env, root: prod}}
  policies: {p: {allowed_principals: [trader]}, q: {allowed_principals: [ops]}}
  refs: {ours: {store: e, path: api-key, policy: p}, theirs: {store: e, path: api-key, policy: q}}
  sets:
    trader: {KEY: ours, BAD: ../a, DENIED: theirs}
    other: {1X: a}
",
    );
    home.set("MXM_ROLE", "trader");
    home.write("t", "x\n{{prod/api-key|uri}}");
    home.write(
        "s.yaml",
        "secrets:\n  KEY: none/a\n  T: {template: t}\n  N: 1\n  S: {name: none/s, optional: yes}\nmore: 1\n",
    );
    let arguments = [
        "--set",
        "trader",
        "--from",
        "s.yaml",
        "--from",
        "none.yaml",
        "--set",
        "tradr",
    ];
    let resolve = |more: &[&str]| home.run(["resolve"].iter().chain(&arguments).chain(more));
    let seen = resolve(&["prod/db#password", "b/../c"]);
    assert_eq!(seen.status, Some(2), "{}", seen.stderr);
    assert_eq!(
        String::from_utf8(seen.stdout).unwrap(),
        "prod/db#password\tenv\t$PROD_DB_PASSWORD\nours\tenv\t$PROD_API_KEY\n"
    );
    let config = home.path().join(CONFIG).display().to_string();
    let here = home.path().display().to_string();
    let lines: Vec<&str> = seen.stderr.lines().collect();
    let expected = [
        format!("{config}:7:"),
        format!("{config}:8:"),
        format!("{here}/s.yaml:4:6: secrets.N: "),
        format!("{here}/s.yaml:6:1: more: unknown key"),
        format!("{here}/none.yaml does not exist"),
        "--set tradr: unknown set: did you mean trader?".to_owned(),
        format!("the variable KEY is given twice: {config}:7 and {here}/s.yaml:2"),
        format!("{here}/t:2:1: unknown encoder \"uri\""),
        "bad name \"b/../c\"".to_owned(),
        "theirs: denied: the policy q does not allow the role trader".to_owned(),
        "none/a: missing: not in env ($NONE_A)".to_owned(),
        "none/s: optional: not in env ($NONE_S)".to_owned(),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(&expected) {
        let start = format!("mxm-secrets: {expected}");
        assert!(line.starts_with(&start), "{line}\n{expected}");
    }
    // A mistake is the worst, then a failure.
    home.fake("gopass", "exit 9");
    home.write(CONFIG, "mxm_secrets: {backends: [gopass]}\n");
    for (entries, status) in [
        ("A: none/a, B: ../b", 2),
        ("A: none/a, A2: {value: \"{{ b }}\"}", 2),
        ("A: none/a", 4),
    ] {
        home.write("s.yaml", format!("secrets: {{{entries}}}\n"));
        let failed = ["none/a: failed: gopass: "];
        home.run(["resolve", "--from", "s.yaml"])
            .has(status, "", &failed);
        home.run(["resolve", "--from", "s.yaml", "--config", "none"])
            .has(2, "", &["none does not exist"]);
    }
    let exec = ["exec", "--from", "s.yaml", "--config", "s.yaml", "--", "sh"];
    home.run(exec).has(125, "", &[]);
    // Where the configuration is wrong, nothing is looked up; the file is checked all the same.
    home.write("s.yaml", "secrets: {A: ../b}\n");
    home.write(CONFIG, "mxm_secrets: {backends: [gopas]}\n");
    home.run(["resolve", "--from", "s.yaml"]).has(
        2,
        "",
        &[
            "unknown backend \"gopas\"",
            "s.yaml:1:11: secrets.A: bad name",
        ],
    );
    assert_eq!(home.log("gopass").len(), 3);
}

/// Who reads the report alone learns of every problem: each is an object, of a lookup or with the keys of `--json-errors`.
#[test]
fn a_preflight_for_programs_has_every_problem() {
    let mut home = home(
        "  stores: {e: {backend: env, root: prod}}
  policies: {q: {allowed_principals: [ops]}}
  refs: {theirs: {store: e, path: api-key, policy: q}}
  sets:
    trader: {KEY: prod/api-key, BAD: ../a, DENIED: theirs}
",
    );
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"canary\xff");
    home.set("MXM_ROLE", "trader").set("ODD", odd);
    home.write("t", "{{");
    home.write(
        "s.yaml",
        "secrets:\n  KEY: none/a\n  T: {template: t}\n  O: {value: \"{{odd|json}}\"}\n  S: {name: none/s, optional: yes}\n",
    );
    let arguments = ["resolve", "--set", "trader", "--from", "s.yaml"];
    let more = ["--from", "none.yaml", "--set", "tradr", "a/../b"];
    let arguments = [&arguments[..], &more].concat();
    let Some(python) = crate::support::python() else {
        return;
    };
    let script = "import json, sys
for line in open(sys.argv[1]):
    it = json.loads(line)
    if 'problem' in it:
        assert list(it) == ['schema', 'problem', 'name', 'message', 'hint', 'transient'] and it['schema'] == 1, it
        print(it['problem'], it['name'], it['message'].replace(sys.argv[2], ''))
    else:
        print(it['outcome'], it['name'])";
    let read = |text: &[u8]| {
        home.write("report", text);
        let mut command = home.command(&python);
        command.args(["-c", script, "report"]).arg(home.path());
        let seen = transcript(&mut command);
        assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""));
        String::from_utf8(seen.stdout).unwrap()
    };
    let mistakes = "usage None /.config/mxm-secrets/config.yaml:7:33: mxm_secrets.sets.trader.BAD: bad name \"../a\": '.' and '..' are not allowed as path segments
usage None /none.yaml does not exist
usage None --set tradr: unknown set: did you mean trader?
usage None the variable KEY is given twice: /.config/mxm-secrets/config.yaml:7 and /s.yaml:2
usage None /t:1:1: '{{' is not closed by '}}' on its line ('{{{{' stands for '{{')
usage None bad name \"a/../b\": '.' and '..' are not allowed as path segments
denied theirs theirs: denied: the policy q does not allow the role trader
";
    let unfit = "failed odd odd: failed: odd is not UTF-8, which a JSON string must be\n";
    let unfit = unfit.replace("odd odd", "None /s.yaml:4: O");
    let found = "found prod/api-key\nmissing none/a\nfound odd\nmissing none/s\n";
    let json = home.run(arguments.iter().chain(&["--json"]));
    assert_eq!(json.status, Some(2));
    assert_eq!(read(&json.stdout), format!("{found}{mistakes}{unfit}"));
    // For people, what is in no lookup is said, too.
    assert_eq!(json.stderr.lines().count(), 8, "{}", json.stderr);
    assert!(
        json.stderr
            .lines()
            .all(|line| line.starts_with("mxm-secrets: "))
    );
    // A supervisor reads all of it from standard error, whatever is reported.
    let missing = "missing none/a none/a: missing: not in env ($NONE_A)\n";
    let optional = "None none/s none/s: optional: not in env ($NONE_S)\n";
    for more in [
        &["--json-errors"][..],
        &["--json-errors", "--json"],
        &["--json-errors", "--explain"],
    ] {
        let seen = home.run(arguments.iter().chain(more));
        assert_eq!(seen.status, Some(2));
        assert_eq!(
            read(seen.stderr.as_bytes()),
            format!("{mistakes}{missing}{optional}{unfit}")
        );
        assert!(
            !String::from_utf8_lossy(&seen.stdout).contains("canary")
                && !seen.stderr.contains("canary")
        );
    }
    // So it is with names alone, of which nothing is asked then, and with a configuration that cannot be read.
    let text = fs::read_to_string(home.path().join(CONFIG)).unwrap();
    home.write("names.yaml", text.replace("BAD: ../a, ", ""));
    let names = ["resolve", "--config", "names.yaml", "--json", "none/a"];
    let seen = home.run(names.iter().chain(&["theirs"]));
    assert_eq!(seen.status, Some(2));
    assert_eq!(
        read(&seen.stdout),
        "denied theirs theirs: denied: the policy q does not allow the role trader\n"
    );
    let seen = home.run(["resolve", "--json", "--from", "s.yaml", "--config", "none"]);
    assert_eq!(seen.status, Some(2));
    let expected = "usage None --config: /none does not exist\nusage None /t:1:1: ";
    assert!(read(&seen.stdout).starts_with(expected));
    // Also what only opening the chain finds.
    home.write("ok.yaml", "secrets: {KEY: prod/api-key}\n");
    if cfg!(feature = "vault") {
        let wrong = [
            "MXM_SECRETS_VAULT_KV_VERSION",
            "MXM_SECRETS_VAULT_AUTH_METHOD",
        ];
        let resolve = [
            "resolve",
            "--json",
            "--from",
            "ok.yaml",
            "--config=names.yaml",
            "--backend=vault",
        ];
        let mut command = home.mxm_secrets(resolve);
        let seen = transcript(command.envs(wrong.map(|variable| (variable, "no"))));
        assert_eq!(seen.status, Some(2), "{}", seen.stderr);
        let text = read(&seen.stdout);
        assert_eq!(text.lines().count(), wrong.len(), "{text}");
        for (line, variable) in text.lines().zip(wrong) {
            let expected = format!("usage None {variable} is \"no\": expected ");
            assert!(line.starts_with(&expected), "{line}");
        }
    }
}

#[test]
fn a_layer_changes_a_set() {
    let mut home = home("");
    fs::remove_file(home.path().join(CONFIG)).unwrap();
    let store = "mxm-config-store/apps/mxm-secrets";
    home.write(
        &format!("{store}/default.yaml"),
        "mxm_secrets: {backends: [env], sets: {s: {KEY: stage/api-key, B: {optional: true}, C: {value: \"${host}/{{prod/api-key}}\"}}}}\n",
    );
    home.write(
        &format!("{store}/environment.yaml"),
        "prod: {host: h1, mxm_secrets: {sets: {s: {KEY: prod/api-key, B: {name: prod/none}}}}}\n\
         stage: {host: h2, mxm_secrets: {sets: {s: {B: {name: prod/db#password}}}}}\n",
    );
    home.set("STAGE_API_KEY", "stage");
    for (environment, seen) in [
        ("prod", "k3y unset h1/k3y\n"),
        ("stage", "stage p/w h2/k3y\n"),
    ] {
        let exec = [
            "exec",
            "--set",
            "s",
            "--",
            "sh",
            "-c",
            "echo $KEY ${B-unset} $C",
        ];
        let mut command = home.mxm_secrets(exec);
        transcript(command.env("MXM_ENVIRONMENT", environment)).is(0, seen, "");
    }
    let seen = home.run(["config", "--check"]);
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""));
}

/// What only two layers together get wrong in a set is found, and both are named.
#[test]
fn a_set_is_checked_in_every_combination_of_layers() {
    let home = home("");
    fs::remove_file(home.path().join(CONFIG)).unwrap();
    let store = "mxm-config-store/apps/mxm-secrets";
    home.write(
        &format!("{store}/default.yaml"),
        "mxm_secrets: {backends: [env], sets: {s: {A: a}}}\n",
    );
    home.write(
        &format!("{store}/environment.yaml"),
        "dev: {}\nprod: {mxm_secrets: {sets: {s: {B: {name: b}}}}}\n",
    );
    home.write(
        &format!("{store}/machine.yaml"),
        "m: {}\nn: {mxm_secrets: {sets: {s: {B: {value: \"{{b}}\"}}}}}\n",
    );
    let place = home.path().join(store).join("environment.yaml");
    let wrong = format!(
        "mxm-secrets: {}:2:33: prod, n: mxm_secrets.sets.s.B: name and value exclude each other\n",
        place.display()
    );
    let check = |more: &[(&str, &str)]| {
        let mut check = home.mxm_secrets(["config", "--check"]);
        transcript(check.envs(more.iter().copied()))
    };
    check(&[]).is(2, "", &wrong);
    check(&[("MXM_ENVIRONMENT", "dev"), ("MXM_MACHINE", "n")]).is(2, "", &wrong);
    // With more combinations than are checked, sets are checked with each block.
    for (file, blocks) in [("substrate", 60), ("role", 60)] {
        let blocks: String = (0..blocks)
            .map(|block| format!("x{block}: {{}}\n"))
            .collect();
        home.write(&format!("{store}/{file}.yaml"), blocks);
    }
    let seen = check(&[]);
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    let note =
        "more than 10000 combinations of layers: cannot check refs and sets in all of them\n";
    assert!(seen.status == Some(0) && text.contains(note), "{seen:?}");
}

/// What is wrong in a set, wherever it is.
#[test]
fn mistakes_are_told_with_their_places() {
    for (entry, place, why) in [
        ("KEY: ../a", 6, "KEY: bad name \"../a\""),
        ("KEY: [a, b]", 6, "KEY: expected a string"),
        ("KEY: 1", 6, "KEY: expected a string, found a number"),
        ("KEY: yes", 6, "KEY: expected a string, found a boolean"),
        (
            "KEY: {name: 1.5}",
            6,
            "KEY.name: expected a string, found a number",
        ),
        ("1KEY: a", 6, "1KEY: \"1KEY\" is not the name of a variable"),
        ("A-B: a", 6, "is not the name of a variable"),
        (
            "KEY: {}",
            6,
            "KEY: expected one of name, value and template",
        ),
        (
            "KEY: {optional: yes}",
            6,
            "KEY: expected one of name, value and template",
        ),
        (
            "KEY: {name: a, value: \"{{a}}\"}",
            6,
            "KEY: name and value exclude each other",
        ),
        (
            "KEY: {value: \"{{a}}\", file: yes}",
            6,
            "KEY: file requires name",
        ),
        (
            "KEY: {name: a, optinal: yes}",
            6,
            "optinal: unknown key: did you mean optional?",
        ),
        (
            "KEY: {name: a, required: yes}",
            6,
            "required: unknown key: expected one of name, value",
        ),
        ("KEY: {name: a, command: x}", 6, "command: unknown key"),
        ("KEY: {name: a, backend: env}", 6, "backend: unknown key"),
        ("KEY: {name: a, file: maybe}", 6, "file: expected yes or no"),
        (
            "KEY: {value: \"a{{b\"}",
            6,
            "KEY: line 1, column 2 of the value: '{{' is not closed",
        ),
        (
            "KEY: {value: \"a {{user:{{b}}@h\", optional: yes}",
            6,
            "KEY: line 1, column 3 of the value: '{{' is not closed",
        ),
        (
            "KEY: {value: \"{{b|uri}}\"}",
            6,
            "line 1, column 1 of the value: unknown encoder \"uri\"",
        ),
        ("KEY: {value: plain}", 6, "no {{NAME}} in it"),
        ("OK: a\n      KEY: ../a", 7, "KEY: bad name"),
    ] {
        let home = home(&format!("  sets:\n    s:\n      {entry}\n"));
        let words = [
            &format!("{CONFIG}:{}:", place - 1)[..],
            "mxm_secrets.sets.s.",
            why,
        ];
        home.run(["get", "prod/api-key"]).has(2, "", &words);
        home.run(["config", "--check"]).has(2, "", &words);
        home.run(["exec", "--set", "s", "--", "touch", "trace"])
            .has(125, "", &words);
        let file = format!("\n\n\nsecrets:\n      {entry}\n");
        home.write("s.yaml", file);
        home.write(CONFIG, "mxm_secrets: {backends: [env]}\n");
        let words = [&format!("s.yaml:{}:", place - 1)[..], "secrets.", why];
        home.run(["resolve", "--from", "s.yaml"]).has(2, "", &words);
        assert!(!home.path().join("trace").exists());
    }
}

#[test]
fn what_a_variable_has_is_in_no_message() {
    let mut home = home("");
    home.set("ODD_NAME", "../canary-31")
        .set("ODD_TEXT", "{{a|canary-31}}");
    for entry in [
        "\"${oc.env:ODD_NAME}\"",
        "{name: \"${oc.env:ODD_NAME}\"}",
        "{value: \"x${oc.env:ODD_TEXT}\"}",
    ] {
        home.write("s.yaml", format!("secrets: {{A: {entry}}}\n"));
        let seen = home.run(["resolve", "--from", "s.yaml"]);
        seen.has(2, "", &["s.yaml:1:11: secrets.A: "]);
        assert!(!seen.stderr.contains("canary-31"), "{}", seen.stderr);
    }
}

#[test]
fn what_is_wrong_in_an_entry_is_told_once() {
    let home = home("");
    for (entry, wrong) in [
        ("{name: 3}", "21: secrets.A.name: expected a string"),
        ("{value: [b]}", "22: secrets.A.value: expected a string"),
        ("{value: \"a${b}\"}", "22: secrets.A.value: ${b} not found"),
        ("{name: null}", "11: secrets.A: expected one of name, value"),
        (
            "{template: \"\"}",
            "11: secrets.A: expected one of name, value",
        ),
    ] {
        home.write("s.yaml", format!("secrets: {{A: {entry}}}\n"));
        let seen = home.run(["resolve", "--from", "s.yaml"]);
        seen.has(2, "", &[&format!("s.yaml:1:{wrong}")]);
        assert_eq!(seen.stderr.lines().count(), 1, "{}", seen.stderr);
    }
}

#[test]
fn the_text_of_a_set_may_have_variables() {
    let mut home = home("");
    home.set("DB_HOST", "db1");
    let text = r#"secrets: {DSN: {value: "${oc.env:DB_HOST}/\\${x}/{{prod/api-key}}"}}"#;
    home.write("s.yaml", text);
    home.run([
        "exec",
        "--from",
        "s.yaml",
        "--",
        "sh",
        "-c",
        "echo \"$DSN\"",
    ])
    .is(0, "db1/${x}/k3y\n", "");
}

#[test]
fn a_file_of_a_set_has_nothing_else() {
    let home = home("");
    for (text, why) in [
        (
            "secrets: {A: a}\nbackends: [env]\n",
            "s.yaml:2:1: backends: unknown key",
        ),
        (
            "mxm_secrets: {sets: {}}\n",
            "s.yaml:1:1: mxm_secrets: unknown key",
        ),
        (
            "secrets: {A: a}\ngopass: {command: /tmp/x}\n",
            "gopass: unknown key; this file only has secrets",
        ),
        ("", "secrets: this key is missing"),
        ("secrets: [a]\n", "secrets: expected a mapping"),
        ("[a]\n", "must be a mapping, found a list"),
        ("secrets: {A: a, A: b}\n", "s.yaml:1:17: "),
        ("secrets: {A: a}}\n", "not valid YAML"),
    ] {
        home.write("s.yaml", text);
        home.run(["resolve", "--from", "s.yaml"]).has(2, "", &[why]);
        home.run(["exec", "--from", "s.yaml", "--", "touch", "trace"])
            .has(125, "", &[why]);
    }
    // Others must not be able to write it, nor a template.
    home.write("s.yaml", "secrets: {A: {template: t}}\n");
    home.write("t", "{{prod/api-key}}");
    for file in ["s.yaml", "t"] {
        let path = home.path().join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let why = "is not read, since it says which secrets a command gets: everyone can write to";
        home.run(["resolve", "--from", "s.yaml"])
            .has(2, "", &[why, file]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    home.run(["resolve", "--from", "s.yaml"])
        .is(0, "prod/api-key\tenv\t$PROD_API_KEY\n", "");
    for text in [&b"no"[..], b"{{prod/api-key"] {
        home.write("t", text);
        home.run(["resolve", "--from", "s.yaml"])
            .has(2, "", &["/t:1:1: "]);
    }
    home.write("big.yaml", vec![b'#'; (1 << 20) + 1]);
    home.run(["resolve", "--from", "big.yaml"])
        .has(2, "", &["big.yaml is larger than 1 MiB"]);
    home.run(["resolve", "--from", "/dev/null"])
        .has(2, "", &["/dev/null is not a regular file"]);
    assert!(!home.path().join("trace").exists());
}

/// What is called almost like sets is no mistake in a set: nothing is looked up.
#[test]
fn a_preflight_needs_a_configuration_that_is_right_but_for_sets() {
    let mut home = home("");
    home.set("A", "a").write("s.yaml", "secrets:\n  A: a\n");
    for (wrong, found) in [
        ("setsu: {A: a}", ""),
        ("\"sets.x\": {A: a}", ""),
        ("sets: {x: {A: 5}}", "a\tenv\t$A\n"),
    ] {
        home.write(
            "c.yaml",
            format!("mxm_secrets:\n  backends: [env]\n  {wrong}\n"),
        );
        home.run(["resolve", "--config", "c.yaml", "--from", "s.yaml"])
            .has(2, found, &["mxm_secrets.sets"]);
    }
}

#[test]
fn a_preflight_tells_every_problem_and_no_value() {
    let mut home = home(TRADER);
    home.run(["resolve", "--set", "trader"]).is(
        0,
        "prod/api-key\tenv\t$PROD_API_KEY\nprod/db#password\tenv\t$PROD_DB_PASSWORD\n",
        "mxm-secrets: prod/smtp: optional: not in env ($PROD_SMTP)\n",
    );
    home.run(["resolve", "--set", "trader", "--quiet"]).has(
        0,
        "prod/api-key\tenv\t$PROD_API_KEY\nprod/db#password\tenv\t$PROD_DB_PASSWORD\n",
        &[],
    );
    home.write(
        "s.yaml",
        "secrets:
  A: none/a
  B: none/b
  C: {value: \"{{odd|json}}{{none/a}}\"}
  D: {value: \"{{odd|json}}\"}
  E: {name: none/e, optional: yes}
  F: prod/api-key
",
    );
    home.set(
        "ODD",
        <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff"),
    );
    let s = home.path().join("s.yaml");
    let unfit = format!(
        "mxm-secrets: {}:5: D: failed: odd is not UTF-8, which a JSON string must be\n",
        s.display()
    );
    let missing = |name: &str| {
        let variable = name.replace('/', "_").to_uppercase();
        format!("mxm-secrets: {name}: missing: not in env (${variable})\n")
    };
    home.run(["resolve", "--from", "s.yaml"]).is(
        4,
        "odd\tenv\t$ODD\nprod/api-key\tenv\t$PROD_API_KEY\n",
        &format!(
            "{}{}mxm-secrets: none/e: optional: not in env ($NONE_E)\n{unfit}",
            missing("none/a"),
            missing("none/b")
        ),
    );
    let explained = home.run(["resolve", "--from", "s.yaml", "--explain"]);
    assert_eq!(
        (explained.status, explained.stderr.as_str()),
        (Some(4), unfit.as_str())
    );
    let text = String::from_utf8(explained.stdout).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .map(|line| {
            let line = line.strip_suffix(" ms").unwrap_or(line);
            line.trim_end_matches(|c: char| c.is_ascii_digit() || ". ".contains(c))
        })
        .collect();
    assert_eq!(
        rows.join("\n"),
        "  SECRET        OUTCOME             BACKEND  LOCATOR        ANSWER  REASON                         TIME
  none/a        missing             env      $NONE_A        miss    $NONE_A is not set for none/a
  none/b        missing             env      $NONE_B        miss    $NONE_B is not set for none/b
  odd           found               env      $ODD           hit
  none/e        missing (optional)  env      $NONE_E        miss    $NONE_E is not set for none/e
  prod/api-key  found               env      $PROD_API_KEY  hit"
    );
    // The worst counts; what may be missing does not.
    for (text, status) in [
        ("A: none/a, B: prod/api-key", 1),
        ("A: {name: none/a, optional: yes}, B: prod/api-key", 0),
        ("A: {name: none/a, optional: yes}, B: none/a", 1),
        (
            "A: {value: \"{{none/a}}{{prod/api-key}}\", optional: yes}",
            0,
        ),
    ] {
        home.write("s.yaml", format!("secrets: {{{text}}}\n"));
        let seen = home.run(["resolve", "--from", "s.yaml", "--json"]);
        assert_eq!(
            (seen.status, seen.stderr.as_str()),
            (Some(status), ""),
            "{text}"
        );
        let exec = home.run(["exec", "--from", "s.yaml", "--", "sh", "-c", "exit 0"]);
        assert_eq!(
            exec.status,
            Some(if status == 0 { 0 } else { 125 }),
            "{text}"
        );
        let report = String::from_utf8(seen.stdout).unwrap();
        assert!(
            report.contains("\"outcome\":\"missing\"") && !report.contains("k3y"),
            "{report}"
        );
        let optional = "\"name\":\"none/a\",\"optional\":true,\"outcome\":\"missing\"";
        assert_eq!(report.contains(optional), status == 0, "{report}");
    }
    // Beside names, and each looked up once.
    let seen = home.run(["resolve", "--set", "web", "prod/api-key", "none/x"]);
    seen.is(1, "prod/api-key\tenv\t$PROD_API_KEY\n", &missing("none/x"));
}

#[test]
fn the_configuration_shows_and_checks_its_sets() {
    let home = home(TRADER);
    let seen = home.run(["config"]);
    let text = String::from_utf8(seen.stdout).unwrap();
    assert!(text.contains("sets.trader"), "{text}");
    assert!(text.contains("[KEY, DB_PASSWORD, DSN, SMTP]"), "{text}");
    home.run(["config", "--check"])
        .has(0, text_of_check(&home), &[]);
    home.write(
        CONFIG,
        "mxm_secrets: {sets: {s: {A: {template: none}, B: {template: bad}}}}\n",
    );
    home.write(".config/mxm-secrets/bad", "a\n{{b|c}}");
    let bad = ".config/mxm-secrets/bad:2:1: unknown encoder \"c\"";
    let none = ".config/mxm-secrets/none cannot be read";
    home.run(["config", "--check"]).has(2, "", &[none, bad]);
    // For one that does not need them, they may be elsewhere.
    home.run(["get", "prod/api-key"]).has(0, "k3y\n", &[]);
}

fn text_of_check(home: &Home) -> String {
    format!("{}: no mistakes\n", home.path().join(CONFIG).display())
}

#[cfg(all(feature = "age", feature = "vault"))]
#[test]
fn a_preflight_of_two_hundred_secrets_over_three_backends() {
    use crate::support::vault::Server;
    let (Some(server), Some(python)) = (Server::shared(), python()) else {
        return;
    };
    let Some(age) = crate::support::program("age") else {
        return;
    };
    let mut home = Home::new();
    let keys = home.path().join(".passage/identities");
    fs::create_dir_all(home.path().join(".passage/store/many")).unwrap();
    let made = std::process::Command::new("age-keygen")
        .arg("-o")
        .arg(&keys)
        .output()
        .unwrap();
    assert!(made.status.success());
    let said = String::from_utf8(made.stderr).unwrap();
    let recipient = said.trim().rsplit(' ').next().unwrap();
    home.write("plain", "canary-from-age");
    let file = |number: usize| {
        home.path()
            .join(format!(".passage/store/many/s{number}.age"))
    };
    let run = |number: usize| {
        let mut command = home.command(&age);
        command
            .args(["-r", recipient, "-o"])
            .arg(file(number))
            .arg("plain");
        assert!(transcript(&mut command).status == Some(0));
    };
    run(0);
    for number in 1..66 {
        fs::copy(file(0), file(number)).unwrap();
    }
    fs::write(file(60), "not an age file").unwrap();
    let mut set = "secrets:\n".to_owned();
    for number in 0..200 {
        set += &format!("  V{number}: many/s{number}\n");
    }
    home.write("s.yaml", set);
    for number in (66..133).filter(|&number| number != 100) {
        server.put(
            &format!("many/s{number}"),
            r#"{"value":"canary-from-vault"}"#,
        );
    }
    for number in (133..200).filter(|&number| number != 150) {
        home.set(&format!("MANY_S{number}"), "canary-from-env");
    }
    home.set("VAULT_ADDR", &server.address)
        .set("VAULT_CACERT", &server.ca)
        .set("VAULT_TOKEN", crate::support::vault::ROOT);
    let arguments = ["resolve", "--backend", "age,vault,env", "--from", "s.yaml"];
    let seen = home.run(arguments.iter().chain(&["--json", "--timeout", "60"]));
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(4), ""));
    assert!(!String::from_utf8_lossy(&seen.stdout).contains("canary"));
    home.write("report", &seen.stdout);
    let read = "import json, collections
lines = [json.loads(line) for line in open('report')]
assert [line['name'] for line in lines] == [f'many/s{n}' for n in range(200)]
print(sorted(collections.Counter(str(line['backend']) for line in lines).items()))
print([line['name'] for line in lines if line['outcome'] != 'found'])";
    transcript(home.command(python).args(["-c", read])).is(
        0,
        "[('None', 3), ('age', 65), ('env', 66), ('vault', 66)]\n['many/s60', 'many/s100', 'many/s150']\n",
        "",
    );
    let told = home.run(arguments.iter().chain(&["--timeout", "60"]));
    let problems = ["many/s60", "many/s100: missing", "many/s150: missing"];
    assert_eq!(told.status, Some(4));
    assert!(
        problems.iter().all(|problem| told.stderr.contains(problem)),
        "{}",
        told.stderr
    );
}
