//! Backends of the user's own: programs that speak our statuses.

use crate::support::{Home, copy_program, program_under_test, transcript};

/// A home whose chain is one backend `own`, a fake program with this script.
fn home(keys: &str, script: &str) -> Home {
    let home = Home::new();
    home.write(
        ".config/mxm-secrets/config.yaml",
        format!("mxm_secrets:\n  backends: [own]\n  own: {{command: [tool, read, \"{{name}}\"]{keys}}}\n"),
    );
    home.fake("tool", script);
    home
}

#[test]
fn a_program_answers_by_its_status() {
    let own = home("", "printf 'value of %s' \"$2\"");
    own.run(["get", "--raw", "prod/api-key"])
        .is(0, "value of prod/api-key", "");
    assert_eq!(own.log("tool"), ["read prod/api-key"]);
    home("", "exit 4").run(["get", "a"]).is(
        4,
        "",
        "mxm-secrets: a: failed: own: tool ended with status 4 for a\n\
         mxm-secrets: hint: to see its error output, run its command by hand\n",
    );
    for status in [1, 2, 3, 44, 127, 255] {
        home("", &format!("echo canary >&2; echo canary; exit {status}"))
            .run(["get", "a", "-q"])
            .is(
                4,
                "",
                &format!("mxm-secrets: a: failed: own: tool ended with status {status} for a\n"),
            );
    }
    home("", "kill -9 $$").run(["get", "a", "-q"]).is(
        4,
        "",
        "mxm-secrets: a: failed: own: tool ended with signal 9 for a\n",
    );
}

/// A pipeline whose first program dies ends with 0 and writes nothing: no default takes the place of the secret then.
#[test]
fn no_output_is_a_miss_only_if_the_section_says_so() {
    let shell = home("", "cat /nonexistent/$2 | head -1");
    shell.link(&["cat", "head"]);
    shell.run(["get", "a", "--default", "d"]).is(
        4,
        "",
        "mxm-secrets: a: failed: own: tool ended with no output and status 0 for a\n\
         mxm-secrets: hint: if no output means \"not found\", add `empty` to `miss` in the section own; to see its error output, run its command by hand\n",
    );
    let status =
        |keys: &str, script: &str, name: &str| home(keys, script).run(["get", name, "-q"]).status;
    for keys in [
        "",
        ", miss: [44]",
        ", miss: {says: x}",
        ", unavailable: {says: x}",
    ] {
        assert_eq!(status(keys, "echo x >&2", "a"), Some(4), "{keys}");
        assert_eq!(status(keys, "exit 0", "a#user"), Some(4), "{keys}");
    }
    for keys in [
        ", miss: empty",
        ", miss: [44, empty]",
        ", miss: {status: empty}",
        ", miss: {status: empty, says: x}",
    ] {
        assert_eq!(status(keys, "echo x >&2", "a"), Some(1), "{keys}");
        assert_eq!(status(keys, "exit 1", "a"), Some(4), "{keys}");
        assert_eq!(status(keys, "echo value", "a"), Some(0), "{keys}");
    }
    let says = ", miss: {status: empty, says: x}, unavailable: {says: x}";
    assert_eq!(status(says, "exit 0", "a"), Some(4));
    assert_eq!(status(says, "echo x >&2", "a"), Some(1));
    // A newline may be all that the program has added to nothing.
    for newline in ["echo", "printf '\\r\\n'"] {
        for name in ["a", "a#", "a#user"] {
            assert_eq!(status("", newline, name), Some(4), "{newline} {name}");
            assert_eq!(status(", miss: empty", newline, name), Some(1));
            assert_eq!(
                status(", unavailable: empty, miss: [44]", newline, name),
                Some(4)
            );
        }
    }
    home("", "echo").run(["get", "a", "--default", "d"]).has(
        4,
        "",
        &["tool ended with no output but a newline and status 0 for a"],
    );
    // What is there vouches for its first line.
    assert_eq!(status("", "printf '\\nuser: ann\\n'", "a#"), Some(1));
    let shown = home(", miss: [44, empty, {status: empty, says: x}]", "");
    let json = String::from_utf8(shown.run(["config", "--json"]).stdout).unwrap();
    let value = r#""value":[44,"empty",{"status":"empty","says":"x"}]"#;
    assert!(json.contains(value), "{json}");
    let text = String::from_utf8(shown.run(["config"]).stdout).unwrap();
    assert!(
        text.contains("[44, empty, {status: empty, says: \"x\"}]"),
        "{text}"
    );
}

/// Whatever dies of an error ends with 1: no default takes the place of the secret then.
#[test]
fn status_1_is_a_miss_only_if_the_section_says_so() {
    let mut python = home("", "exit 0");
    if std::path::Path::new("/usr/bin/python3").exists() {
        python.fake(
            "tool",
            "#!/usr/bin/python3
raise SystemError('not found')
",
        );
        python
            .set("A", "of env")
            .set("MXM_SECRETS_BACKENDS", "own,env");
        python.run(["get", "a", "--default", "d"]).has(
            4,
            "",
            &["failed: own: tool ended with status 1 for a"],
        );
    }
    let shell = home("", "set -e\nno-such-program");
    shell.run(["get", "a"]).has(4, "", &["a: failed: own: "]);
    let shell = home("", "set -e\nfalse\necho secret");
    shell.run(["get", "a", "--default", "d"]).is(
        4,
        "",
        "mxm-secrets: a: failed: own: tool ended with status 1 for a\n\
         mxm-secrets: hint: any error of a program can be status 1; if it means \"not found\", add `miss: [1]` to the section own, or `miss: {status: 1, says: TEXT}`; to see its error output, run its command by hand\n",
    );
    for keys in [", miss: 1", ", miss: [1]", ", miss: [44, 1]"] {
        home(keys, "exit 1")
            .run(["get", "a"])
            .is(1, "", "mxm-secrets: a: missing: not in own\n");
    }
}

#[test]
fn what_a_program_says_can_be_named() {
    let says = |keys: &str, script: &str| {
        let seen = home(keys, script).run(["get", "a", "-q"]);
        assert!(!seen.stderr.contains("canary"), "{}", seen.stderr);
        seen.status
    };
    let one = ", miss: {status: 1, says: \"isn't an item\"}";
    assert_eq!(
        says(one, "echo \"canary: 'a' isn't an item\" >&2; exit 1"),
        Some(1)
    );
    assert_eq!(
        says(one, "echo \"canary: 'a' isn't an item\" >&2; exit 2"),
        Some(4)
    );
    assert_eq!(says(one, "echo 'canary: locked' >&2; exit 1"), Some(4));
    assert_eq!(says(one, "echo \"'a' isn't an item\"; exit 1"), Some(4));
    assert_eq!(says(one, "echo \"isn't an item\" >&2; kill -9 $$"), Some(4));
    let text = ", miss: {says: 'no such'}, unavailable: [{status: 9, says: 'sign in'}, 77]";
    assert_eq!(says(text, "echo 'canary no such' >&2; exit 3"), Some(1));
    assert_eq!(says(text, "echo 'canary no such' >&2; echo value"), Some(0));
    let mut both = home(text, "echo 'no such; sign in' >&2; exit 9");
    both.run(["get", "a"])
        .has(4, "", &["which `miss` and `unavailable` both match"]);
    both.fake("tool", "exit 77");
    both.set("A", "of env")
        .set("MXM_SECRETS_BACKENDS", "own,env");
    both.run(["get", "a"]).is(0, "of env\n", "");
    both.fake("tool", "echo sign in >&2; exit 9");
    both.run(["get", "a"]).is(0, "of env\n", "");
    let many = ", miss: [44, {status: 1, says: x}, {says: y}]";
    for (script, status) in [
        ("exit 44", 1),
        ("echo x >&2; exit 1", 1),
        ("echo x >&2; exit 2", 4),
        ("echo y >&2; exit 2", 1),
    ] {
        assert_eq!(says(many, script), Some(status), "{script}");
    }
    let shown = home(many, "").run(["config", "--json"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains(
            r#""key":"own.miss","value":[44,{"status":1,"says":"x"},{"status":null,"says":"y"}]"#
        ),
        "{shown}"
    );
}

#[test]
fn rules_have_their_mistakes() {
    for (keys, mistake) in [
        (
            "miss: [44], unavailable: 44",
            "own.miss: 44 overlaps with 44 in unavailable: give each its own",
        ),
        (
            "miss: [44], unavailable: {status: 44, says: x}",
            "own.miss: 44 overlaps with {status: 44, says: \"x\"}",
        ),
        (
            "miss: {says: ab}, unavailable: [3, {status: 1, says: cabs}]",
            "own.miss: {says: \"ab\"} overlaps with ",
        ),
        ("miss: {says: ~}", "own.miss.says: expected a string"),
        (
            "miss: {status: 0}",
            "own.miss.status: expected a number from 1 to 255",
        ),
        (
            "miss: {status: [1]}",
            "own.miss.status: expected a number from 1 to 255",
        ),
        (
            "miss: {stat: 1}",
            "own.miss.stat: unknown key: did you mean status?",
        ),
        (
            "miss: {}",
            "own.miss: expected a status from 1 to 255, empty, {status: 1, says: TEXT}, or a list of these",
        ),
        ("miss: [a]", "own.miss: expected a status"),
        ("miss: [[1]]", "own.miss: expected a status"),
        ("miss: 1.0", "own.miss: expected a status"),
    ] {
        home(&format!(", {keys}"), "")
            .run(["get", "a"])
            .has(2, "", &[mistake]);
    }
    // They can both apply, and need not.
    home(
        ", miss: {status: 1, says: x}, unavailable: {status: 1, says: y}",
        "echo x >&2; exit 1",
    )
    .run(["get", "a"])
    .has(1, "", &[]);
}

/// What says by name that it has no such secret is an mxm-secrets, unless another program goes on after it.
#[test]
fn an_mxm_secrets_at_the_other_end_is_known_by_its_words() {
    let ends = |script: &str| {
        let text = "mxm_secrets:\n  backends: [own]\n  own: {command: [tool, \"x/{reference}\"]}\n";
        let home = Home::new();
        home.write(".config/mxm-secrets/config.yaml", text);
        home.fake("tool", &format!("{script}; exit 1"));
        home.run(["get", "a", "-q"]).status
    };
    let said = "echo 'mxm-secrets: x/a: missing: not in env' >&2";
    assert_eq!(ends(said), Some(1));
    assert_eq!(
        ends(&format!("echo 'Welcome to bridge!' >&2; {said}")),
        Some(1)
    );
    assert_eq!(
        ends(&format!("{said}; echo 'mxm-secrets: hint: whatever' >&2")),
        Some(1)
    );
    // As 0.4.0 says it.
    let before = "echo 'mxm-secrets: x/a is missing: not in env' >&2";
    assert_eq!(ends(before), Some(1));
    for other in [
        "echo 'mxm-secrets: op/token: missing: not in env' >&2",
        "echo 'mxm-secrets: x/a: failed: own: missing' >&2",
        "echo 'mxm-secrets: a: missing: not in env' >&2",
        "echo 'mxm-secrets: x/a: missing: not in env'",
        "echo 'mxm-secrets: gopass failed: x/a is missing' >&2",
        "echo 'tool: mxm-secrets: x/a: missing' >&2",
        "echo 'mxm-secrets: x/a: missing: not in env' >&2; echo 'Traceback: refused' >&2",
        // A script that asks one host, then another.
        "echo 'mxm-secrets: x/a: missing: not in env' >&2; echo 'mxm-secrets: x/a: failed: vault: sealed' >&2",
    ] {
        assert_eq!(ends(other), Some(4), "{other}");
    }
}

#[test]
fn other_numbers_can_be_named() {
    let keys = ", miss: [44, 45], unavailable: 69";
    home(keys, "exit 45")
        .run(["get", "a"])
        .is(1, "", "mxm-secrets: a: missing: not in own\n");
    home(keys, "exit 1").run(["get", "a", "-q"]).is(
        4,
        "",
        "mxm-secrets: a: failed: own: tool ended with status 1 for a\n",
    );
    // A chain in which no backend is available has failed.
    home(keys, "exit 69").run(["get", "a"]).has(
        4,
        "",
        &["a: failed: own unavailable: tool is not set up: status 69"],
    );
    let mut with_env = home(keys, "exit 69");
    with_env
        .set("A", "of env")
        .set("MXM_SECRETS_BACKENDS", "own,env");
    with_env.run(["get", "a"]).is(0, "of env\n", "");
    let mut required = home(", required: yes, unavailable: [69]", "exit 69");
    required
        .set("A", "of env")
        .set("MXM_SECRETS_BACKENDS", "own,env");
    required.run(["get", "a"]).has(4, "", &["a: failed: own: "]);
}

#[test]
fn a_program_that_is_not_installed_is_unavailable() {
    let mut home = Home::new();
    home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {backends: [own, env], own: {command: [no-such-tool, \"{name}\"]}}\n",
    );
    home.set("A", "1");
    home.run(["get", "a", "-v"])
        .has(0, "1\n", &["own: unavailable: no-such-tool is not on PATH"]);
    let listed = home.run(["list-backends", "--json"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(
        text.starts_with("{\"schema\":1,\"backend\":\"own\",\"in_chain\":true,\"status\":\"unavailable\",\"uses\":\"no-such-tool\""),
        "{text}"
    );
}

/// A path says where it has to be.
#[test]
fn a_program_that_is_gone_from_its_path_is_failed() {
    for program in ["/no/where/tool", "./tool"] {
        let mut home = Home::new();
        home.write(
            ".config/mxm-secrets/config.yaml",
            format!("mxm_secrets: {{backends: [own, env], own: {{command: [{program}, \"{{name}}\"]}}}}\n"),
        );
        home.set("A", "of env");
        home.run(["get", "a", "--default", "d"]).has(
            4,
            "",
            &[
                "failed: own: ",
                "/tool does not exist",
                "fix command in the section own",
            ],
        );
        let listed = home.run(["list-backends", "--json"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        assert!(
            text.contains(r#""backend":"own","in_chain":true,"status":"failed""#),
            "{text}"
        );
    }
}

#[test]
fn it_works_wherever_a_backend_does() {
    let own = home("", "printf secret");
    own.run(["get", "--backend", "own", "a"])
        .is(0, "secret\n", "");
    own.run(["get", "--backend", "owm", "a"]).has(
        2,
        "",
        &["unknown backend \"owm\": did you mean own?"],
    );
    own.run(["resolve", "a/b"])
        .is(0, "a/b\town\ttool *** a/b\n", "");
    let listed = own.run(["list-backends"]);
    assert_eq!(listed.status, Some(0), "{}", listed.stderr);
    assert!(String::from_utf8(listed.stdout).unwrap().contains("own"));
    own.link(&["sh"]);
    own.run([
        "exec",
        "--secret",
        "X=a",
        "--",
        "sh",
        "-c",
        "printf %s \"$X\"",
    ])
    .is(0, "secret", "");
}

#[test]
fn fields_are_picked_or_handed_over() {
    let own = home("", "printf 'first\\nuser: ann\\n'");
    own.run(["get", "a#user"]).is(0, "ann\n", "");
    own.run(["get", "a#none"]).has(1, "", &["a#none: missing"]);
    let own = Home::new();
    own.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {backends: [own], own: {command: [tool, \"op://{name}/{field}\"]}}\n",
    );
    own.fake("tool", "printf %s \"$1\"");
    own.run(["get", "vault/item#password"])
        .is(0, "op://vault/item/password\n", "");
    own.run(["get", "vault/item"])
        .has(4, "", &["vault/item has no field"]);
    for field in ["item#=x", "item#%y"] {
        own.run(["get", field])
            .has(4, "", &["a character that a shell might interpret"]);
    }
    own.run(["get", "item#a b"])
        .has(4, "", &["a character that a shell might interpret"]);
}

#[test]
fn names_that_a_shell_would_read_are_refused_unless_any_is() {
    for name in [
        "a b", "$HOME", "a;b", "ü", "a'b", "~a", "a*", "a&b", "=nosuch", "%self",
    ] {
        let own = home("", "printf secret");
        own.run(["get", name]).has(
            4,
            "",
            &["a character that a shell might interpret", "names: any"],
        );
        assert!(own.log("tool").is_empty());
        let own = home(", names: any", "printf %s \"$2\"");
        own.run(["get", name]).is(0, format!("{name}\n"), "");
    }
    let own = home("", "printf secret");
    own.run(["get", "--", "-a"])
        .has(4, "", &["a character that a shell might interpret"]);
}

#[test]
fn it_has_a_deadline() {
    let own = home("", "exec sleep 60");
    own.link(&["sleep"]);
    own.run(["get", "a", "--timeout", "0.3", "--no-input"]).has(
        4,
        "",
        &["tool gave no answer in time"],
    );
}

#[test]
fn mxm_secrets_is_a_backend_of_mxm_secrets() {
    let mut home = Home::new();
    home.install("mxm-secrets", program_under_test());
    home.write(
        "there.yaml",
        "mxm_secrets: {backends: [env], env: {prefix: THERE_}}\n",
    );
    home.write(
        "here.yaml",
        "mxm_secrets:\n  backends: [env, bridge]\n  bridge:\n    command: [mxm-secrets, get, --raw, --config, there.yaml, --backend, env, \"{name}\"]\n",
    );
    home.set("THERE_PROD_KEY", "over there")
        .set("PROD_HERE", "here");
    home.set("MXM_SECRETS_CONFIG", "here.yaml");
    home.run(["get", "--raw", "prod/key"])
        .is(0, "over there", "");
    home.run(["get", "prod/here"]).is(0, "here\n", "");
    home.run(["get", "prod/none"]).is(
        1,
        "",
        "mxm-secrets: prod/none: missing: not in env ($PROD_NONE), bridge\n",
    );
}

/// What this end withholds from the other one is not missing there, whatever lies between the two.
#[test]
fn what_a_bridge_is_not_given_is_not_missing() {
    for (command, status) in [
        ("[mxm-secrets, get, --raw, \"{name}\"]", 4),
        ("[through, \"{name}\"]", 4),
        // A new environment tells nothing of this one.
        ("[elsewhere, \"{name}\"]", 1),
    ] {
        let mut home = Home::new();
        home.install("mxm-secrets", program_under_test());
        home.fake(
            "through",
            "exec mxm-secrets exec --clean-env --keep PATH --keep HOME --keep MXM_SECRETS_BACKENDS --optional X=y -- \
             mxm-secrets get --raw \"$1\"",
        );
        home.link(&["env"]);
        home.fake(
            "elsewhere",
            "exec env -i PATH=\"$PATH\" HOME=\"$HOME\" mxm-secrets get --raw --backend env \"$1\"",
        );
        let text = |keys: &str| {
            format!("mxm_secrets: {{backends: [bridge], bridge: {{command: {command}{keys}}}}}\n")
        };
        home.write("here.yaml", text(""));
        home.set("MXM_SECRETS_BACKENDS", "env");
        let run = |name: &str| {
            let words = [
                "get",
                "--config",
                "here.yaml",
                "--backend",
                "bridge",
                "--default",
                "D",
            ];
            home.run(words.iter().chain([&name]))
        };
        run("prod/none").is(3, "D\n", "");
        let mut set = home.mxm_secrets([
            "get",
            "--config",
            "here.yaml",
            "--backend",
            "bridge",
            "prod/key",
        ]);
        set.env("PROD_KEY", "over here");
        let seen = transcript(&mut set);
        match status {
            4 => seen.is(
                4,
                "",
                "mxm-secrets: prod/key: failed: bridge: the mxm-secrets that PROGRAM runs does not get $PROD_KEY\n\
                 mxm-secrets: hint: add `env: [PROD_KEY]` to the section bridge\n"
                    .replace("PROGRAM", command[1..].split(',').next().unwrap())
.as_str(),
            ),
            _ => seen.has(1, "", &["prod/key: missing"]),
        }
        if command.contains("[mxm-secrets") {
            home.write("here.yaml", text(", env: [PROD_KEY]"));
            transcript(&mut set).is(0, "over here\n", "");
        }
    }
}

/// ssh passes what it is given to a shell; `{reference}` is the name with its field.
#[test]
fn a_bridge_is_given_name_and_field_as_one() {
    let home = Home::new();
    home.install("mxm-secrets", program_under_test());
    home.link(&["sh"]);
    home.fake(
        "ssh",
        "shift; export PROD_DB_PASSWORD=s3cret PROD_DB='user: ann'; exec sh -c \"$*\"",
    );
    home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets:\n  backends: [bridge]\n  bridge: {command: [ssh, host, mxm-secrets, get, --raw, --backend, env, \"{reference}\"]}\n",
    );
    home.run(["get", "prod/db#password"]).is(0, "s3cret\n", "");
    home.run(["get", "prod/db"]).is(0, "user: ann\n", "");
    assert_eq!(
        home.log("ssh")[0],
        "host mxm-secrets get --raw --backend env prod/db#password"
    );
    let missing = home.run(["get", "prod/x#y"]);
    assert_eq!(missing.status, Some(1), "{}", missing.stderr);
    // The other end dies of something else, or says it of another name.
    home.run(["get", "prod/x"]).has(1, "", &["prod/x: missing"]);
    home.fake("ssh", "echo 'ssh: connect to host: refused' >&2; exit 1");
    home.run(["get", "prod/x"])
        .has(4, "", &["failed: bridge: ssh ended with status 1"]);
}

/// What is shown of a command is its template: what a variable holds, and what looks like a credential, is not in it.
#[test]
fn nothing_shows_what_a_command_is_given() {
    let mut home = Home::new();
    home.write(
        "c.yaml",
        "tools: {key: \"${oc.env:PROD_API}\"}\nmxm_secrets:\n  backends: [own]\n  own: {command: [tool, \"${oc.env:PROD_API}\", \"--x=${tools.key}\", --token, canary, \"https://u:canary@h/{name}\", \"${oc.env:NOT_SET,y}\", \"{name}\"]}\n",
    );
    home.fake("tool", "exit 7");
    home.set("PROD_API", "canary-value")
        .set("MXM_SECRETS_CONFIG", "c.yaml");
    let template = "tool *** *** --token *** ***a *** a";
    let hint = "hint: to see its error output, run its command by hand\n";
    home.run(["get", "a"]).has(4, "", &[hint]);
    assert_eq!(
        home.log("tool"),
        ["canary-value --x=canary-value --token canary https://u:canary@h/a y a"]
    );
    for arguments in [
        &["config"][..],
        &["config", "--json"],
        &["config", "--check"],
        &["resolve", "a"],
        &["resolve", "--explain", "a"],
        &["resolve", "--json", "a"],
        &["list-backends"],
        &["list-backends", "--json"],
        &["get", "-v", "a"],
        &["exec", "--secret", "a", "--", "x"],
    ] {
        let seen = home.run(arguments);
        let all = format!("{}{}", String::from_utf8_lossy(&seen.stdout), seen.stderr);
        assert!(!all.contains("canary"), "{arguments:?}: {all}");
    }
    home.fake("tool", "echo value");
    home.run(["resolve", "a"])
        .is(0, format!("a\town\t{template}\n"), "");
}

/// No rule tells a credential from another word, so none is shown; a hint that can be pasted has nothing left out.
#[test]
fn a_command_is_shown_without_its_words() {
    let shown = |command: &str, shown: &str, hint: &str| {
        let home = Home::new();
        let text = format!("mxm_secrets: {{backends: [own], own: {{command: {command}}}}}\n");
        home.write(".config/mxm-secrets/config.yaml", text);
        home.fake("tool", "exit 7");
        let hint = format!("hint: to see its error output, {hint}\n");
        let failed = home.run(["get", "a"]);
        failed.has(4, "", &[&hint]);
        let listed = home.run(["config", "--json"]);
        let all = String::from_utf8(listed.stdout).unwrap();
        assert!(all.contains(shown), "{shown} in {all}");
        for canary in ["hunter2", "u:p@h"] {
            assert!(
                !failed.stderr.contains(canary) && !all.contains(canary),
                "{all}"
            );
        }
    };
    let by_hand = "run its command by hand";
    for word in [
        "-phunter2",
        "//u:p@h/x",
        "pw=hunter2",
        "user%hunter2",
        "https://hunter2@h/x",
    ] {
        let command = format!("[tool, -p, '{word}', '{{name}}']");
        shown(&command, r#"["tool","-p","***","{name}"]"#, by_hand);
    }
    shown(
        "[tool, -c, 'curl -u u:p@h {name}']",
        r#"["tool","-c","***{name}"]"#,
        by_hand,
    );
    shown(
        "[tool, --raw, '{name}']",
        r#"["tool","--raw","{name}"]"#,
        "run: tool --raw a",
    );
}

#[test]
fn a_command_that_leads_back_to_itself_ends() {
    let mut home = Home::new();
    home.install("mxm-secrets", program_under_test());
    home.write(
        "loop.yaml",
        "mxm_secrets: {backends: [me], me: {command: [mxm-secrets, get, \"{name}\"]}}\n",
    );
    home.set("MXM_SECRETS_CONFIG", "loop.yaml");
    home.run(["get", "a"])
        .has(4, "", &["failed: me: mxm-secrets ended with status 4"]);
    let asks = |script: &str, configuration: &str| {
        let _ = std::fs::remove_file(home.path().join("asked"));
        let _ = std::fs::remove_file(home.path().join("bin/through"));
        home.fake("through", &format!("echo >>asked; {script}"));
        home.write("loop.yaml", configuration);
        let seen = home.run(["get", "a"]);
        assert_eq!(seen.status, Some(4), "{}", seen.stderr);
        let asked = std::fs::read_to_string(home.path().join("asked")).unwrap();
        asked.lines().count()
    };
    // Nor does it get away from itself through exec.
    let one = "mxm_secrets: {backends: [me], me: {command: [through, \"{name}\"]}}\n";
    let through_exec = "exec mxm-secrets exec --clean-env --keep PATH --keep HOME --keep MXM_SECRETS_CONFIG \
                        --backend env --optional A=b -- mxm-secrets get a";
    assert_eq!(asks(through_exec, one), 1);
    // Several that lead back, to each other and to themselves.
    let several = |command: &str| {
        let one = |who| format!("{who}: {{command: [through, {who}, {command}]}}");
        let sections = ["b1", "b2", "b3"].map(one).join(", ");
        format!("mxm_secrets: {{backends: [b1, b2, b3], on_error: continue, {sections}}}\n")
    };
    let asked = asks("exec mxm-secrets get \"$2\"", &several("\"{name}\""));
    assert_eq!(asked, 3 + 3 * 2 + 3 * 2);
    // Nor is there an end where each asks for something else.
    let asked = asks("exec mxm-secrets get \"$2\"", &several("\"{name}/x\""));
    assert_eq!(asked, 3 + 9 + 27 + 27);
}

#[test]
fn the_program_of_gopass_may_be_a_path_of_the_file() {
    let mut home = Home::new();
    home.set("A", "of another store");
    home.fake("tool", "echo secret");
    let tool = home.path().join("bin/tool");
    std::fs::create_dir(home.path().join("elsewhere")).unwrap();
    for (file, program, copy) in [
        ("conf/below.yaml", "./gp", "conf/gp"),
        ("conf/home.yaml", "~/gp", "gp"),
    ] {
        home.write(
            file,
            format!("mxm_secrets: {{gopass: {{command: {program}}}}}\n"),
        );
        copy_program(&tool, &home.path().join(copy));
        let file = format!("../{file}");
        let mut command = home.mxm_secrets(["get", "a", "--config", &file]);
        transcript(command.current_dir(home.path().join("elsewhere"))).is(0, "secret\n", "");
    }
    home.write("conf/none.yaml", "mxm_secrets: {gopass: {command: ''}}\n");
    home.run(["get", "a", "--config", "conf/none.yaml"]).has(
        2,
        "",
        &["gopass.command: must name a program"],
    );
}

#[test]
fn paths_are_those_of_the_file() {
    let home = Home::new();
    home.write("conf/c.yaml", "mxm_secrets: {backends: [own, two], own: {command: [./tool, \"{name}\"]}, two: {command: [~/tool, \"{name}\"]}}\n");
    home.fake("tool", "printf secret");
    copy_program(
        &home.path().join("bin/tool"),
        &home.path().join("conf/tool"),
    );
    let mut command = home.mxm_secrets(["get", "a", "--config", "../conf/c.yaml"]);
    std::fs::create_dir(home.path().join("elsewhere")).unwrap();
    transcript(command.current_dir(home.path().join("elsewhere"))).is(0, "secret\n", "");
    let shown = home.run(["config", "--config", "conf/c.yaml", "--json"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    let tool = home.path().join("tool");
    assert!(
        text.contains(&format!(
            "\"key\":\"two.command\",\"value\":[\"{}\",\"{{name}}\"]",
            tool.display()
        )),
        "{text}"
    );
}

#[test]
fn config_shows_what_is_in_effect_and_why() {
    let mut home = Home::new();
    let path = home.write(
        "c.yaml",
        "mxm_secrets:\n  on_error: continue\n  own: {command: [curl, \"https://u:canary@h/{name}\"], required: yes}\n",
    );
    home.set("MXM_SECRETS_BACKENDS", "env");
    let shown = home.run(["config", "--config", "c.yaml", "--timeout", "5"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    for line in [
        "  backends".to_owned(),
        "$MXM_SECRETS_BACKENDS".to_owned(),
        format!("{}:2", path.display()),
        "--timeout".to_owned(),
        "***{name}".to_owned(),
        "built in".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("canary"));
    home.run(["config", "a"])
        .is(2, "", "mxm-secrets: config takes no name\n");
    let home = Home::new();
    let path = home.path().display();
    home.run(["config", "--check"]).is(
        2,
        "",
        &format!("mxm-secrets: there is no configuration file to check; looked for {path}/mxm-config-store/apps/mxm-secrets/default.yaml, {path}/.config/mxm-secrets/config.yaml\n"),
    );
    // Who wants none has none.
    home.write(".config/mxm-secrets/config.yaml", "mistake: 1\n");
    home.run(["config", "--check", "--config", "/dev/null"]).is(
        0,
        "there is no configuration\n",
        "",
    );
    let mut none = home.mxm_secrets(["get", "a", "--backend", "env"]);
    transcript(none.env("MXM_SECRETS_CONFIG", "/dev/null").env("A", "1")).is(0, "1\n", "");
}

/// What a variable has is shown nowhere: such a value is shown as it is written, whatever its kind.
#[test]
fn config_shows_what_comes_from_a_variable_as_it_is_written() {
    let mut home = Home::new();
    home.write(
        "c.yaml",
        "x: '${oc.env:WORD}'
mxm_secrets:
  backends: ['${oc.env:CHAIN}', own]
  timeout: '${oc.env:NUMBER}'
  env: {prefix: 'A_${x}', required: '${oc.env:FLAG}'}
  gopass: {command: '${oc.env:PLACE}/gopass', prefix: '${oc.env:NONE,harmless}'}
  own: {command: ['${oc.env:PLACE}/tool', '{name}'], miss: [44, {status: '${oc.env:NUMBER}', says: '${x}'}], unavailable: '${oc.env:NUMBER}8'}
  stores: {s: {backend: env, root: '${x}'}}
  policies: {p: {allowed_principals: [ops, '${x}']}}
  refs: {r: {store: s, path: 'p/${x}', policy: p}}
",
    );
    home.set("MXM_SECRETS_CONFIG", "c.yaml")
        .set("WORD", "canary31")
        .set("CHAIN", "env")
        .set("NUMBER", "7")
        .set("FLAG", "yes")
        .set("PLACE", "/canary31");
    let [text, json] = [&["config"][..], &["config", "--json"]].map(|arguments| {
        let seen = home.run(arguments);
        assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""));
        String::from_utf8(seen.stdout).unwrap()
    });
    assert!(!text.contains("canary31") && !json.contains("canary31"));
    for (key, value, in_json) in [
        (
            "backends",
            "[${oc.env:CHAIN}, own]",
            r#"["${oc.env:CHAIN}","own"]"#,
        ),
        ("timeout", "${oc.env:NUMBER}", r#""${oc.env:NUMBER}""#),
        ("env.prefix", "A_${x}", r#""A_${x}""#),
        ("env.required", "${oc.env:FLAG}", r#""${oc.env:FLAG}""#),
        (
            "gopass.command",
            "${oc.env:PLACE}/gopass",
            r#""${oc.env:PLACE}/gopass""#,
        ),
        ("gopass.prefix", "harmless", r#""harmless""#),
        (
            "own.command",
            "[${oc.env:PLACE}/tool, {name}]",
            r#"["${oc.env:PLACE}/tool","{name}"]"#,
        ),
        (
            "own.miss",
            "[44, {status: ${oc.env:NUMBER}, says: ${x}}]",
            r#"["44","{status: ${oc.env:NUMBER}, says: ${x}}"]"#,
        ),
        (
            "own.unavailable",
            "[${oc.env:NUMBER}8]",
            r#"["${oc.env:NUMBER}8"]"#,
        ),
        ("stores.s.root", "${x}", r#""${x}""#),
        (
            "policies.p.allowed_principals",
            "[ops, ${x}]",
            r#"["ops","${x}"]"#,
        ),
        ("refs.r.path", "p/${x}", r#""p/${x}""#),
    ] {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{key} ")));
        let line = line.unwrap_or_else(|| panic!("{key} in {text}"));
        assert!(line.contains(value), "{line}");
        let part = format!("\"key\":\"{key}\",\"value\":{in_json},");
        assert!(json.contains(&part), "{part} in {json}");
    }
    // It is what is in effect all the same.
    home.set("A_canary31A", "1");
    home.run(["get", "a"]).is(0, "1\n", "");
    // What another variable gives is no value of the configuration, and is shown.
    home.set("MXM_SECRETS_TIMEOUT", "9");
    let seen = home.run(["config"]);
    let text = String::from_utf8(seen.stdout).unwrap();
    assert!(text.contains("$MXM_SECRETS_TIMEOUT"), "{text}");
}

/// A value of every kind, for people and for programs.
#[cfg(feature = "credentials")]
#[test]
fn config_shows_values_of_every_kind() {
    let home = Home::new();
    let path = home.write(
        "c.yaml",
        "mxm_secrets:\n  timeout: 2.5\n  credentials: {directories: [/a, b]}\n  own: {command: [x, \"{name}\"], miss: [44, 45], required: yes}\n",
    );
    let (path, directory) = (path.display(), home.path().display());
    let shown = |arguments: &[&str]| {
        let seen = home.run(arguments);
        assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""));
        String::from_utf8(seen.stdout).unwrap()
    };
    let text = shown(&["config", "--config", "c.yaml"]);
    let json = shown(&["config", "--config", "c.yaml", "--json"]);
    for (key, value, in_json, line) in [
        ("timeout", "2.5".to_owned(), "2.5".to_owned(), 2),
        (
            "credentials.directories",
            format!("[/a, {directory}/b]"),
            format!("[\"/a\",\"{directory}/b\"]"),
            3,
        ),
        (
            "own.command",
            "[x, {name}]".to_owned(),
            "[\"x\",\"{name}\"]".to_owned(),
            4,
        ),
        ("own.miss", "[44, 45]".to_owned(), "[44,45]".to_owned(), 4),
        ("own.required", "yes".to_owned(), "true".to_owned(), 4),
    ] {
        let words: Vec<&str> = text
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{key} ")))
            .unwrap()
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(words, [key, &value, &format!("{path}:{line}")]);
        let line = format!(
            "{{\"schema\":1,\"key\":\"{key}\",\"value\":{in_json},\"source\":\"file\",\"file\":\"{path}\",\"line\":{line},\"name\":null}}\n"
        );
        assert!(json.contains(&line), "{line} in {json}");
    }
}

/// A home whose chain is one backend `own` of these keys.
fn recipe(keys: &str, tool: &str, script: &str) -> Home {
    let home = Home::new();
    home.write(
        ".config/mxm-secrets/config.yaml",
        format!("mxm_secrets:\n  backends: [own]\n  own: {{{keys}}}\n"),
    );
    home.fake(tool, script);
    home
}

#[test]
fn a_recipe_is_its_section_and_every_key_of_it_can_be_overridden() {
    let own = recipe(
        "recipe: aws-secretsmanager, region: eu-west-1",
        "aws",
        "echo s3cret",
    );
    own.run(["get", "--raw", "prod/api-key"])
        .is(0, "s3cret", "");
    let words = "secretsmanager get-secret-value --secret-id=prod/api-key \
                 --query=join('', [SecretString]) --output=text --region=eu-west-1";
    assert_eq!(own.log("aws"), [words]);
    let file = own.path().join(".config/mxm-secrets/config.yaml");
    let shown = own.run(["config"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let shown: String = shown
        .lines()
        .filter(|line| line.contains("  own."))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    let at = format!("{}:3", file.display());
    let rule =
        r#"[{says: "(ResourceNotFoundException) when calling the GetSecretValue operation"}]"#;
    assert_eq!(
        shown,
        format!(
            "own.command [aws, secretsmanager, get-secret-value, --secret-id={{name}}, \
             --query=join('', [SecretString]), --output=text, --region=eu-west-1] {at}\n\
             own.miss {rule} {at}\nown.unavailable [] built in\nown.names plain built in\n\
             own.recipe aws-secretsmanager {at}\nown.newline drop {at}\nown.none built in\nown.separator / built in\n\
             own.field built in\nown.fields [] built in\nown.confirm built in\nown.confirmed built in\n\
             own.unattended [] built in\nown.env [] built in\nown.region eu-west-1 {at}\n\
             own.profile built in\nown.required no built in\n"
        )
    );
    let keys = "recipe: aws-secretsmanager, newline: keep, miss: [7], command: [aws, \"{name}\"]";
    let own = recipe(keys, "aws", "[ $1 = a ] || exit 7; echo s3cret");
    own.run(["get", "--raw", "a"]).is(0, "s3cret\n", "");
    own.run(["get", "b", "--default", "d"]).has(3, "d\n", &[]);
    // Its parameters stand in the command of the section, too, and what is empty is left out.
    let keys = "recipe: aws-secretsmanager, region: r, command: [aws, -x, s3cret, \"{region}/{name}\", \"{profile}\"]";
    let own = recipe(keys, "aws", "echo $#");
    own.run(["get", "a"]).is(0, "3\n", "");
    assert_eq!(own.log("aws"), ["-x s3cret r/a"]);
    own.run(["resolve", "a"])
        .is(0, "a\town\taws -x *** ***a\n", "");
}

/// Its words are shown, for they are ours; a password in what the section puts there is not.
#[test]
fn a_password_in_a_parameter_of_a_recipe_is_not_shown() {
    let keys = "recipe: vals, ref: 'vault://u:canary@h/{name}#/x'";
    let home = recipe(keys, "vals", "exit 7");
    for arguments in [
        &["config"][..],
        &["config", "--json"],
        &["resolve", "--explain", "a"],
        &["resolve", "--json", "a"],
        &["list-backends"],
        &["get", "-v", "a"],
    ] {
        let seen = home.run(arguments);
        let all = format!("{}{}", String::from_utf8_lossy(&seen.stdout), seen.stderr);
        assert!(!all.contains("canary"), "{arguments:?}: {all}");
    }
    let hint = "hint: to see its error output, run its command by hand\n";
    home.run(["get", "a"]).has(4, "", &[hint]);
    home.fake("vals", "echo value");
    home.run(["resolve", "a"])
        .is(0, "a\town\tvals get ref+vault://u:***@h/a#/x\n", "");
    let asked = home.log("vals");
    assert_eq!(asked.last().unwrap(), "get ref+vault://u:canary@h/a#/x");
}

#[test]
fn exactly_one_newline_is_dropped() {
    for (printed, value) in [
        ("v\\n", "v"),
        ("v\\n\\n", "v\n"),
        ("v", "v"),
        ("v\\r\\n", "v\r"),
        ("\\n\\n", "\n"),
    ] {
        let own = recipe(
            "newline: drop, command: [tool, \"{name}\"]",
            "tool",
            &format!("printf '{printed}'"),
        );
        own.run(["get", "--raw", "a"]).is(0, value, "");
    }
    let nothing = |keys: &str| {
        let keys = format!("newline: drop{keys}, command: [tool, \"{{name}}\"]");
        recipe(&keys, "tool", "echo")
            .run(["get", "a", "--default", "d"])
            .status
    };
    assert_eq!(nothing(""), Some(4));
    assert_eq!(nothing(", miss: empty"), Some(3));
}

/// What the program adds does not count.
#[test]
fn the_newline_that_is_dropped_takes_no_room() {
    const MOST: usize = 16 << 20;
    for (size, end, newline, fits) in [
        (MOST, "\\n", "drop", true),
        (MOST, "", "drop", true),
        (MOST + 1, "", "drop", false),
        (MOST, "\\n\\n", "drop", false),
        (MOST, "\\n", "keep", false),
    ] {
        let keys = format!("newline: {newline}, command: [tool, \"{{name}}\"]");
        let tool = format!("head -c {size} /dev/zero; printf '{end}'");
        let own = recipe(&keys, "tool", &tool);
        own.link(&["head"]);
        let seen = own.run(["get", "--raw", "a"]);
        let said = seen.stderr.contains("tool wrote more than 16 MiB");
        assert_eq!(
            (seen.status == Some(0), said),
            (fits, !fits),
            "{size} {end}"
        );
        assert_eq!(seen.stdout.len(), if fits { MOST } else { 0 });
    }
}

#[test]
fn what_stands_for_no_value_may_be_a_line() {
    let ends = |keys: &str, printed: &str| {
        let keys = format!("command: [tool, \"{{name}}\"], {keys}");
        recipe(&keys, "tool", &format!("printf '{printed}'"))
            .run(["get", "a", "--raw", "--default", "d"])
            .status
    };
    for keys in ["none: \"null\"", "none: \"null\", newline: drop"] {
        for printed in ["null", "null\\n"] {
            assert_eq!(ends(keys, printed), Some(3), "{keys} {printed}");
        }
        for printed in ["null\\n\\n", "null ", "\\nnull", "nullable\\n"] {
            assert_eq!(ends(keys, printed), Some(0), "{keys} {printed}");
        }
        assert_eq!(ends(keys, "null\\n'; exit 2; '"), Some(4), "{keys}");
    }
    assert_eq!(ends("none: \"two\\nlines\\n\"", "two\\nlines\\n"), Some(3));
}

#[test]
fn the_parts_of_a_name_are_put_where_the_section_says() {
    let keys =
        "command: [tool, \"{name}\", \"{field}\", \"{variable}\"], separator: \"--\", field: value";
    let own = recipe(keys, "tool", "echo v");
    own.run(["get", "a/b"]).is(0, "v\n", "");
    own.run(["get", "a/b#c"]).is(0, "v\n", "");
    assert_eq!(own.log("tool"), ["a--b value A_B", "a--b c A_B_C"]);
    own.run(["resolve", "a/b"])
        .is(0, "a/b\town\ttool a--b value A_B\n", "");
    // A variable takes the field with it.
    let own = recipe("command: [tool, \"{variable}\"]", "tool", "echo v");
    own.run(["get", "a/b#c"]).is(0, "v\n", "");
}

#[test]
fn a_name_is_asked_by_its_id_alone_where_a_program_searches() {
    let own = recipe("command: [tool, \"{name}\"], names: id", "tool", "echo v");
    own.run(["get", "-q", "0f5fb5d2-6a9e-4c44-b1c7-0d6ae1d6a2c5"])
        .is(0, "v\n", "");
    own.run(["get", "prod/api-key", "--default", "d"]).is(
        4,
        "",
        "mxm-secrets: prod/api-key: failed: own: the name prod/api-key is not a UUID, and by anything else its program finds what is only similar\n\
         mxm-secrets: hint: ask for the item by its id, or give it a name in refs, with a store of own\n",
    );
    assert_eq!(own.log("tool"), ["0f5fb5d2-6a9e-4c44-b1c7-0d6ae1d6a2c5"]);
}

#[test]
fn a_miss_counts_once_it_is_confirmed() {
    let keys = "command: [tool, \"{name}\"], miss: [1], confirm: [open, \"{name}\"], confirmed: \"b false\"";
    let asked = |open: Option<&str>, script: &str| {
        let own = recipe(keys, "tool", script);
        if let Some(open) = open {
            own.fake("open", open);
        }
        (own.run(["get", "a", "--default", "d"]), own.log("open"))
    };
    let (missing, log) = asked(Some("echo b false"), "exit 1");
    missing.has(3, "d\n", &[]);
    assert_eq!(log, ["a"]);
    for (open, why) in [
        (Some("echo b true"), "open says that the store is not open"),
        (Some(":"), "open says that the store is not open"),
        (Some("echo b false; exit 2"), "open ended with status 2"),
        (None, "open is not on PATH"),
    ] {
        let words = format!("a: failed: own: tool did not find a, but that proves nothing: {why}");
        asked(open, "exit 1").0.has(4, "", &[&words]);
    }
    // It runs as the command itself does: in English, and told that nobody is there.
    let own = recipe(
        &format!("{keys}, unattended: [ASK=no]").replace("b false", "en no"),
        "tool",
        "exit 1",
    );
    own.fake("open", "echo $LANGUAGE $ASK");
    own.run(["get", "a", "--default", "d"]).has(3, "d\n", &[]);
    // Nothing is confirmed for a hit, nor for a failure.
    assert!(asked(Some(""), "echo v").1.is_empty());
    let (other, log) = asked(Some(""), "exit 2");
    other.has(4, "", &["tool ended with status 2"]);
    assert!(log.is_empty());
}

/// A program that says why it ends so has not just found nothing.
#[test]
fn silence_is_a_text_too() {
    let status = |script: &str| {
        let keys = "command: [tool, \"{name}\"], miss: {status: 1, says: \"\"}, unavailable: {status: 1, says: none}";
        recipe(keys, "tool", script)
            .run(["get", "a", "--default", "d"])
            .status
    };
    assert_eq!(status("exit 1"), Some(3));
    assert_eq!(status("echo locked >&2; exit 1"), Some(4));
    assert_eq!(status("exit 2"), Some(4));
}

/// After errors, a text says something else.
#[test]
fn a_text_may_be_all_that_is_said() {
    let keys = "command: [tool, \"{name}\"], miss: [{status: 1, says_only: Not found.}, {status: empty, says_only: 'no {name}'}]";
    let own = |script: &str| recipe(keys, "tool", script);
    for (script, status) in [
        ("printf 'Not found.' >&2; exit 1", 3),
        ("echo 'Not found.' >&2; exit 1", 3),
        ("echo 'ERROR' >&2; echo 'Not found.' >&2; exit 1", 4),
        ("echo 'Not found. Sorry' >&2; exit 1", 4),
        ("echo 'Not found.' >&2; echo >&2; exit 1", 4),
        ("echo 'no a' >&2", 3),
        ("echo 'no b' >&2", 4),
        ("exit 1", 4),
        ("", 4),
    ] {
        let seen = own(script).run(["get", "a", "--default", "d"]);
        assert_eq!(seen.status, Some(status), "{script}");
    }
    let shown = own("").run(["config", "--json"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let rules =
        r#"[{"status":1,"says_only":"Not found."},{"status":"empty","says_only":"no {name}"}]"#;
    assert!(shown.contains(rules), "{shown}");
    let shown = own("").run(["config"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("{status: 1, says_only: \"Not found.\"}"),
        "{shown}"
    );
    let both = "command: [tool, \"{name}\"], miss: {says: found}, unavailable: {status: 1, says_only: Not found.}";
    recipe(both, "tool", "").run(["get", "a"]).has(
        2,
        "",
        &["own.miss: {says: \"found\"} overlaps with {status: 1, says_only: \"Not found.\"}"],
    );
}

/// By any other, a program finds what is only similar.
#[test]
fn a_program_is_asked_for_the_fields_that_it_knows() {
    let keys = "command: [tool, \"{name}\", \"{field}\"], field: other, fields: [user, notes]";
    let own = recipe(keys, "tool", "echo \"$2\"");
    own.run(["get", "a"]).is(0, "other\n", "");
    own.run(["get", "a#notes"]).is(0, "notes\n", "");
    own.run(["get", "a#note", "--default", "d"]).is(
        4,
        "",
        "mxm-secrets: a#note: failed: own: tool finds what is only similar by the field note\n\
         mxm-secrets: hint: ask for user, notes, or set `fields: []` in the section own\n",
    );
    assert_eq!(own.log("tool").len(), 2);
    let keys = keys.replace("[user, notes]", "[]");
    let own = recipe(&keys, "tool", "echo \"$2\"");
    own.run(["get", "a#note"]).is(0, "note\n", "");
}

#[test]
fn a_program_is_told_that_nobody_is_there() {
    let keys = "command: [tool, \"{name}\"], unattended: [TOOL_QUIET=1]";
    let own = recipe(keys, "tool", "echo \"${TOOL_QUIET-none} $LANGUAGE\"");
    own.run(["get", "--no-input", "a"]).is(0, "1 en\n", "");
    let mut command = own.mxm_secrets(["get", "a"]);
    transcript(command.env("MXM_SECRETS_NO_INPUT", "0")).is(0, "none en\n", "");
}

#[test]
fn recipes_are_listed_with_what_they_were_tried_with() {
    let home = Home::new();
    let table = home.run(["list-backends", "--recipes"]);
    table.is(0, &table.stdout, "");
    let table = String::from_utf8(table.stdout).unwrap();
    let json = home.run(["list-backends", "--recipes", "--json"]).stdout;
    let json = String::from_utf8(json).unwrap();
    for line in json.lines() {
        let (_, rest) = line.split_once(r#"{"schema":1,"recipe":""#).unwrap();
        let (name, _) = rest.split_once('"').unwrap();
        assert!(table.contains(&format!("  {name} ")), "{name}");
    }
    assert!(json.contains(
        r#""needs":[{"name":"file","default":"","about":"the encrypted file"}],"takes":[],"command":["sops","decrypt","#
    ));
}

/// The parameter that the default lacks is in a layer: that is no mistake of the default.
#[test]
fn a_layer_can_give_the_parameter_of_a_recipe() {
    let mut home = Home::new();
    let store = home.path().join("store");
    let app = "store/apps/mxm-secrets";
    home.write(
        &format!("{app}/default.yaml"),
        "mxm_secrets:\n  backends: [own]\n  own: {recipe: sops}\n",
    );
    home.write(
        &format!("{app}/environment.yaml"),
        "prod:\n  mxm_secrets: {own: {file: prod.yaml}}\ndev: {}\n",
    );
    home.set("MXM_CONFIG_STORE", store);
    home.fake("sops", "for file; do :; done; printf '%s' \"${file##*/}\"");
    assert_eq!(home.run(["config", "--check"]).status, Some(0));
    home.set("MXM_ENVIRONMENT", "prod");
    home.run(["get", "a"]).is(0, "prod.yaml\n", "");
    home.set("MXM_ENVIRONMENT", "dev");
    home.run(["get", "a"])
        .has(2, "", &["own.recipe: file is missing: the encrypted file"]);
}

#[test]
fn a_layer_must_not_empty_the_parameter_of_a_recipe() {
    let mut home = Home::new();
    let app = "store/apps/mxm-secrets";
    home.write(
        &format!("{app}/default.yaml"),
        "mxm_secrets: {backends: [own], own: {recipe: mxm, host: bridge}}\n",
    );
    home.write(
        &format!("{app}/environment.yaml"),
        "prod: {}\ndev:\n  mxm_secrets: {own: {host: ''}}\n",
    );
    home.set("MXM_CONFIG_STORE", home.path().join("store"));
    home.fake("ssh", "printf '%s' \"$2\"");
    let wrong = "environment.yaml:3:29: ";
    let words = "mxm_secrets.own.host: must not be empty: the host, as for ssh";
    home.run(["config", "--check"]).has(2, "", &[wrong, words]);
    home.set("MXM_ENVIRONMENT", "dev");
    home.run(["get", "a"]).has(2, "", &[wrong, words]);
    home.set("MXM_ENVIRONMENT", "prod");
    home.run(["get", "a"]).is(0, "bridge\n", "");
}
