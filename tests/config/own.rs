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
    home("", "exit 1")
        .run(["get", "a"])
        .is(1, "", "mxm-secrets: a is missing: not in own\n");
    home("", "exit 0")
        .run(["get", "a"])
        .is(1, "", "mxm-secrets: a is missing: not in own\n");
    home("", "exit 4").run(["get", "a"]).is(
        4,
        "",
        "mxm-secrets: own failed: tool ended with status 4 for a\n\
         mxm-secrets: hint: its own words show when it is run by hand: tool read a\n",
    );
    for status in [2, 3, 44, 127, 255] {
        home("", &format!("echo canary >&2; echo canary; exit {status}"))
            .run(["get", "a", "-q"])
            .is(
                4,
                "",
                &format!("mxm-secrets: own failed: tool ended with status {status} for a\n"),
            );
    }
    home("", "kill -9 $$").run(["get", "a", "-q"]).is(
        4,
        "",
        "mxm-secrets: own failed: tool ended with signal 9 for a\n",
    );
}

#[test]
fn other_numbers_can_be_named() {
    let keys = ", miss: [44, 45], unavailable: 69";
    home(keys, "exit 45")
        .run(["get", "a"])
        .is(1, "", "mxm-secrets: a is missing: not in own\n");
    home(keys, "exit 1").run(["get", "a", "-q"]).is(
        4,
        "",
        "mxm-secrets: own failed: tool ended with status 1 for a\n",
    );
    // A chain in which no backend is available has failed.
    home(keys, "exit 69").run(["get", "a"]).has(
        4,
        "",
        &["own unavailable: tool is not set up: status 69"],
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
    required.run(["get", "a"]).has(4, "", &["own failed"]);
}

#[test]
fn a_program_that_is_not_installed_is_unavailable() {
    let mut home = Home::new();
    home.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {backends: [own, env], own: {command: [no-such-tool, \"{name}\"]}}\n",
    );
    home.set("A", "1");
    home.run(["get", "a", "-v"]).has(
        0,
        "1\n",
        &["own: unavailable: no-such-tool is not installed"],
    );
    let listed = home.run(["list-backends", "--json"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(
        text.starts_with("{\"schema\":1,\"backend\":\"own\",\"in_chain\":true,\"status\":\"unavailable\",\"uses\":\"no-such-tool\""),
        "{text}"
    );
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
        .is(0, "a/b\town\ttool read a/b\n", "");
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
    own.run(["get", "a#none"])
        .has(1, "", &["a#none is missing"]);
    let own = Home::new();
    own.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {backends: [own], own: {command: [tool, \"op://{name}/{field}\"]}}\n",
    );
    own.fake("tool", "printf %s \"$1\"");
    own.run(["get", "vault/item#password"])
        .is(0, "op://vault/item/password\n", "");
    own.run(["get", "vault/item"])
        .has(4, "", &["vault/item names no field"]);
    own.run(["get", "item#a b"])
        .has(4, "", &["a character that a shell could take"]);
}

#[test]
fn names_that_a_shell_would_read_are_refused_unless_any_is() {
    for name in ["a b", "$HOME", "a;b", "ü", "a'b", "~a", "a*", "a&b"] {
        let own = home("", "printf secret");
        own.run(["get", name]).has(
            4,
            "",
            &["a character that a shell could take", "names: any"],
        );
        assert!(own.log("tool").is_empty());
        let own = home(", names: any", "printf %s \"$2\"");
        own.run(["get", name]).is(0, format!("{name}\n"), "");
    }
    let own = home("", "printf secret");
    own.run(["get", "--", "-a"])
        .has(4, "", &["a character that a shell could take"]);
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
        "mxm-secrets: prod/none is missing: not in env, bridge\n",
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
        .has(4, "", &["me failed: mxm-secrets ended with status 4"]);
    // Nor does it get away from itself through exec.
    let asks =
        "echo >>asked; exec mxm-secrets exec --backend env --optional X=x -- mxm-secrets get a";
    home.fake("through", asks);
    home.write(
        "loop.yaml",
        "mxm_secrets: {backends: [me], me: {command: [through, \"{name}\"]}}\n",
    );
    home.run(["get", "a"])
        .has(4, "", &["me failed: through ended with status 4"]);
    let asked = std::fs::read_to_string(home.path().join("asked")).unwrap();
    assert_eq!(asked.lines().count(), 8);
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
        &["gopass.command: it names no program"],
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
        "https://u:***@h/{name}".to_owned(),
        "built in".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("canary"));
    home.run(["config", "a"])
        .is(2, "", "mxm-secrets: config takes no name\n");
    Home::new()
        .run(["config", "--check"])
        .is(0, "there is no configuration file\n", "");
}

/// A value of every kind, for people and for programs.
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
