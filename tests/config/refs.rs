//! Names that are not places: refs, stores and policies.

use std::process::Command;

use crate::support::store::Store;
use crate::support::{self, Home, Transcript, transcript};

const STORE: &str = "mxm-config-store/apps/mxm-secrets";

/// A configuration with the ref `key` in the store `red`, for the role `trader`.
const TEXT: &str = "mxm_secrets:
  backends: [env]
  stores: {red: {backend: own, root: mxm/red/}}
  policies: {p: {allowed_principals: [trader, ops]}, nobody: {allowed_principals: []}}
  refs:
    key: {store: red, path: a/b, policy: p}
    part: {store: red, path: \"a/b#user\", policy: p}
    denied: {store: red, path: c, policy: nobody}
  own: {command: [tool, \"{reference}\"], names: any, miss: [44]}
";

fn home(text: &str, script: &str) -> Home {
    let mut home = Home::new();
    home.write("c.yaml", text);
    home.set("MXM_SECRETS_CONFIG", "c.yaml")
        .set("KEY", "of env")
        .set("OTHER", "other of env");
    home.fake("tool", script);
    home
}

fn run(home: &Home, role: &str, arguments: &[&str]) -> Transcript {
    transcript(home.mxm_secrets(arguments).env("MXM_ROLE", role))
}

#[test]
fn a_ref_is_asked_in_its_store_alone() {
    let home = home(TEXT, "printf 'pw of %s\\nuser: ann\\n' \"$1\"");
    run(&home, "trader", &["get", "key"]).is(0, "pw of mxm/red/a/b\nuser: ann\n", "");
    run(&home, "ops", &["get", "key#"]).is(0, "pw of mxm/red/a/b#\n", "");
    run(&home, "trader", &["get", "part"]).is(0, "pw of mxm/red/a/b#user\nuser: ann\n", "");
    assert_eq!(
        home.log("tool"),
        ["mxm/red/a/b", "mxm/red/a/b#", "mxm/red/a/b#user"]
    );
    run(&home, "trader", &["get", "part#x"]).has(
        2,
        "",
        &["part#x: the path of part already names a field"],
    );
    // Another name goes through the chain, as before.
    run(&home, "", &["get", "other"]).is(0, "other of env\n", "");
    // A failure and a miss are what they are, and no other store is asked.
    home.fake("tool", "exit 7");
    run(&home, "trader", &["get", "key", "--default", "d"]).has(4, "", &["key: failed: own: "]);
    home.fake("tool", "exit 44");
    run(&home, "trader", &["get", "key"]).has(1, "", &["key: missing: not in own"]);
    run(&home, "trader", &["get", "key", "--default", "d"]).is(3, "d\n", "");
}

/// Who names backends for one call gets an answer of one of these, or none; what the environment says is for the chain.
#[test]
fn a_ref_is_asked_in_a_backend_that_the_caller_has_named() {
    let mut home = home(TEXT, "echo secret");
    home.link(&["true"]);
    let refused =
        "mxm-secrets: key is in the store red of the backend own, but --backend names only env\n";
    for arguments in [
        &["get", "key", "--backend", "env", "--default", "d"][..],
        &["get", "--json", "other", "key", "--backend", "env"],
        &["resolve", "--explain", "key", "--backend", "env"],
    ] {
        run(&home, "trader", arguments).is(2, "", refused);
    }
    let exec = ["exec", "--backend", "env", "--secret", "key", "--", "true"];
    run(&home, "trader", &exec).is(125, "", refused);
    assert!(home.log("tool").is_empty());
    for names in ["own", "env,own"] {
        run(&home, "trader", &["get", "key", "--backend", names]).is(0, "secret\n", "");
    }
    home.set("MXM_SECRETS_BACKENDS", "env");
    run(&home, "trader", &["get", "key"]).is(0, "secret\n", "");
}

#[test]
fn denied_is_denied() {
    let home = home(TEXT, "echo secret");
    for (role, name, why) in [
        (
            "trader",
            "denied",
            "denied: denied: the policy nobody does not allow the role trader",
        ),
        (
            "other",
            "key",
            "key: denied: the policy p does not allow the role other",
        ),
        (
            "",
            "key",
            "MXM_ROLE is not set, but the policy p of key needs a role",
        ),
        (
            "prefect-worker",
            "key",
            "MXM_ROLE is \"prefect-worker\": expected a lower-case letter and then a-z, 0-9 and _",
        ),
        ("Trader", "key", "MXM_ROLE is \"Trader\""),
    ] {
        let line = format!("mxm-secrets: {why}");
        for arguments in [
            &["get", name][..],
            &["get", name, "--default", "d", "--default-ok"],
            &["get", name, "--default", "d", "--on-error", "continue"],
            &["get", name, "--backend", "env"],
            &["get", "--json", "other", name],
            &["resolve", "other", name],
            &["resolve", "--explain", name],
        ] {
            run(&home, role, arguments).has(2, "", &[&line]);
        }
        let exec = [
            "exec",
            "--secret",
            "other",
            "--optional",
            &format!("X={name}"),
            "--",
            "true",
        ];
        run(&home, role, &exec).has(125, "", &[&line]);
    }
    assert!(home.log("tool").is_empty());
}

/// The role is that of MXM_ROLE: no other variable, and no layer, has it.
#[test]
fn a_role_comes_from_nowhere_else() {
    let mut home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "role: ops\nmxm_secrets:\n  stores: {s: {backend: env, root: r}}\n  policies: {p: {allowed_principals: [ops]}}\n  refs: {a: {store: s, path: x, policy: p}}\n",
    );
    home.write(&format!("{STORE}/machine.yaml"), "ops: {}\n");
    for variable in ["ROLE", "USER", "LOGNAME", "MXM_MACHINE", "MXM_PRINCIPAL"] {
        home.set(variable, "ops");
    }
    home.set("R_X", "1");
    let why = "mxm-secrets: MXM_ROLE is not set, but the policy p of a needs a role\n";
    home.run(["get", "a", "--default", "d"]).is(2, "", why);
    run(&home, "ops", &["get", "a"]).is(0, "1\n", "");
}

#[test]
fn other_names_may_be_refused() {
    let home = home(&format!("{TEXT}  refs_only: yes\n"), "echo secret");
    run(&home, "trader", &["get", "key"]).is(0, "secret\n", "");
    run(&home, "trader", &["get", "other", "--default", "d"]).is(
        2,
        "",
        "mxm-secrets: other is not in refs, and refs_only allows no other name\n",
    );
}

#[test]
fn reports_show_where_a_ref_leads() {
    let home = home(TEXT, "echo secret");
    run(&home, "trader", &["resolve", "key"]).is(0, "key\town\ttool mxm/red/a/b\n", "");
    let json = run(&home, "trader", &["resolve", "--json", "key", "other"]);
    let text = String::from_utf8(json.stdout).unwrap();
    assert!(
        text.starts_with("{\"schema\":1,\"name\":\"key\",\"ref\":\"key\",\"store\":\"red\",\"policy\":\"p\",\"outcome\":\"found\""),
        "{text}"
    );
    assert!(
        text.contains("\n{\"schema\":1,\"name\":\"other\",\"outcome\""),
        "{text}"
    );
    let explained = run(&home, "trader", &["resolve", "--explain", "key"]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(
        text.contains("key: found in own\nref key, store red, policy p, role trader\n"),
        "{text}"
    );
    assert!(text.contains("tool mxm/red/a/b"));
    let shown = run(&home, "", &["config"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    for line in [
        "refs.key.path",
        "stores.red.backend",
        "policies.p.allowed_principals",
        "[trader, ops]",
        "c.yaml:6",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn mistakes_are_told_all_at_once() {
    for (text, mistake) in [
        (
            "refs: {A: {store: s, path: p, policy: q}}",
            "refs.A: bad name: expected a lower-case letter",
        ),
        (
            "refs: {a-b: {store: s, path: p, policy: q}}",
            "refs.a-b: bad name",
        ),
        (
            "refs: {on: {store: s, path: p, policy: q}}",
            "refs.on: bad name",
        ),
        (
            "refs: {1: {store: s, path: p, policy: q}}",
            "refs.1: bad name",
        ),
        (
            "refs: {a: {store: s, path: p}}",
            "refs.a: policy is missing",
        ),
        (
            "refs: {a: {store: s, path: p, policy: q, x: y}}",
            "refs.a.x: ",
        ),
        (
            "refs: {a: {store: s, path: p, policy: q, required: no}}",
            "refs.a.required: ",
        ),
        (
            "refs: {a: {store: s, path: 1, policy: q}}",
            "refs.a.path: expected a string",
        ),
        (
            "refs: {a: {store: s, path: yes, policy: q}}",
            "refs.a.path: expected a string",
        ),
        (
            "refs: {a: {store: s, path: p, policy: q}}",
            "refs.a.policy: the policy q does not exist",
        ),
        ("refs: [a]", "refs: expected a mapping"),
        ("refs: {a: b}", "refs.a: expected a mapping"),
        (
            "refs: {a: {store: s-t, path: p, policy: q}}",
            "refs.a.store: expected a lower-case letter",
        ),
        (
            "refs: {a: {store: s, path: /p, policy: q}}",
            "refs.a.path: must not begin with '/'",
        ),
        (
            "refs: {a: {store: s, path: ' p', policy: q}}",
            "refs.a.path: expected a string without spaces at its ends",
        ),
        (
            "refs: {a: {store: s, path: ../p, policy: q}}",
            "refs.a.path: bad name",
        ),
        (
            "refs: {a: {store: s, path: \"p\\nq\", policy: q}}",
            "refs.a.path: bad name",
        ),
        (
            "refs: {a: {store: s, path: 'p#q#r', policy: q}}",
            "refs.a.path: bad name",
        ),
        (
            "stores: {s: {backend: env, root: ///}}",
            "stores.s.root: must not be only slashes",
        ),
        (
            "stores: {s: {backend: env, root: /a}}",
            "stores.s.root: bad name \"/a\"",
        ),
        (
            "stores: {s: {backend: env, root: a/../b}}",
            "stores.s.root: bad name \"a/../b\"",
        ),
        (
            "stores: {s: {backend: env, root: 'a#b'}}",
            "stores.s.root: must not contain '#'",
        ),
        (
            "stores: {s: {backend: enw, root: r}}",
            "stores.s.backend: unknown backend \"enw\"",
        ),
        ("stores: {s: {backend: env}}", "stores.s: root is missing"),
        (
            "stores: {s: {backend: env, root: ''}}",
            "stores.s.root: expected a string without spaces at its ends",
        ),
        (
            "policies: {p: {allowed_principals: ops}}",
            "policies.p.allowed_principals: expected a list of strings",
        ),
        (
            "policies: {p: {allowed_principals: [ops, ops]}}",
            "policies.p.allowed_principals: ops is named twice",
        ),
        (
            "policies: {p: {allowed_principals: [prefect-worker]}}",
            "policies.p.allowed_principals: \"prefect-worker\": expected a lower-case letter",
        ),
        (
            "policies: {p: {allowed_principals: [1]}}",
            "policies.p.allowed_principals: expected a list of strings",
        ),
        (
            "policies: {p: {}}",
            "policies.p: allowed_principals is missing",
        ),
        ("refs_only: 3", "refs_only: expected yes or no"),
    ] {
        let home = home(&format!("mxm_secrets: {{{text}}}\n"), "");
        for arguments in [&["get", "other"][..], &["config", "--check"]] {
            let seen = run(&home, "ops", arguments);
            assert_eq!(seen.status, Some(2), "{text}: {seen:?}");
            assert!(
                seen.stderr.contains("c.yaml:1:") && seen.stderr.contains(mistake),
                "{text}: {}",
                seen.stderr
            );
        }
    }
    // A store that no layer has: no other name suffers, and the check finds it.
    let home = home(
        "mxm_secrets: {backends: [env], policies: {p: {allowed_principals: [ops]}}, refs: {a: {store: s, path: p, policy: p}}}\n",
        "",
    );
    run(&home, "ops", &["get", "other"]).is(0, "other of env\n", "");
    run(&home, "ops", &["get", "a"]).has(
        2,
        "",
        &["a is in the store s, which this machine does not have; it has: none"],
    );
    run(&home, "ops", &["config", "--check"]).has(
        2,
        "",
        &["c.yaml:1:94: mxm_secrets.refs.a.store: no layer has the store s"],
    );
}

#[test]
fn every_combination_of_layers_is_checked() {
    let home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets:\n  policies: {p: {allowed_principals: [ops]}}\n  refs:\n    x: {store: red, path: a, policy: p}\n    y: {store: blue, path: a, policy: p}\n",
    );
    home.write(
        &format!("{STORE}/machine.yaml"),
        "m1: {mxm_secrets: {stores: {red: {backend: env, root: r}, blue: {backend: env, root: b}}}}\nm2: {mxm_secrets: {stores: {blue: {backend: env, root: b}}}}\nm3: {}\n",
    );
    home.write(
        &format!("{STORE}/environment.yaml"),
        "dev: {}\nprod: {mxm_secrets: {stores: {red: {backend: env, root: p}}}}\n",
    );
    let checked = run(&home, "", &["config", "--check"]);
    assert_eq!((checked.status, checked.stderr.as_str()), (Some(0), ""));
    let text = String::from_utf8(checked.stdout).unwrap();
    for line in [
        "dev, m2: x (store red)\n",
        "dev, m3: x (store red)\n",
        "m3: y (store blue)\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(
        !text.contains("prod: ") && text.contains("nothing of it is in effect here: "),
        "{text}"
    );
    // What is wrong in a block says which.
    home.write(
        &format!("{STORE}/environment.yaml"),
        "dev: {}\nprod:\n  mxm_secrets:\n    refs: {x: {policy: q}}\n",
    );
    run(&home, "", &["config", "--check"]).has(
        2,
        "",
        &["environment.yaml:4:24: prod: mxm_secrets.refs.x.policy: the policy q does not exist\n"],
    );
    let mut command = home.mxm_secrets(["get", "x"]);
    command
        .env("MXM_ENVIRONMENT", "prod")
        .env("MXM_MACHINE", "m1");
    transcript(&mut command).has(
        2,
        "",
        &["environment.yaml:4:24: prod: mxm_secrets.refs.x.policy: "],
    );
}

/// A ref and its store may each be in any layer.
#[test]
fn a_store_that_no_layer_has_is_found_wherever_the_ref_is() {
    let policies = "mxm_secrets:\n  policies: {p: {allowed_principals: [ops]}}\n";
    let lost = "mxm_secrets.refs.x.store: no layer has the store lost";
    let dev = "dev: {mxm_secrets: {stores: {red: {backend: env, root: r}}}}";
    for (refs, layer, place) in [
        // The ref is in one block; the store is nowhere.
        (
            "",
            "dev: {}\nprod: {mxm_secrets: {refs: {x: {store: lost, path: a, policy: p}}}}\n",
            "environment.yaml:2:40: prod: ",
        ),
        // A block gives a ref a store that is nowhere.
        (
            "  refs: {x: {store: red, path: a, policy: p}}\n",
            &format!("{dev}\nprod: {{mxm_secrets: {{refs: {{x: {{store: lost}}}}}}}}\n"),
            "environment.yaml:2:40: prod: ",
        ),
        // A block has another ref, and the others are right.
        (
            "  refs: {x: {store: lost, path: a, policy: p}}\n",
            &format!("{dev}\nprod: {{mxm_secrets: {{refs: {{x: {{store: red}}}}}}}}\n"),
            "default.yaml:3:21: dev: ",
        ),
    ] {
        let home = Home::new();
        home.write(
            &format!("{STORE}/default.yaml"),
            format!("{policies}{refs}"),
        );
        home.write(&format!("{STORE}/environment.yaml"), layer);
        let store = home.path().join(STORE);
        let line = format!("mxm-secrets: {}/{place}{lost}\n", store.display());
        run(&home, "", &["config", "--check"]).is(2, "", &line);
    }
}

/// What a variable has is in no message, as everywhere.
#[test]
fn a_store_that_a_variable_names_is_shown_as_it_is_written() {
    let mut home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets:\n  policies: {p: {allowed_principals: [ops]}}\n  refs: {x: {store: \"${oc.env:WHICH}\", path: a, policy: p}}\n",
    );
    home.set("WHICH", "canary");
    let place = home.path().join(STORE).join("default.yaml");
    let why = "mxm_secrets.refs.x.store: no layer has the store ${oc.env:WHICH}";
    let line = format!("mxm-secrets: {}:3:21: {why}\n", place.display());
    run(&home, "", &["config", "--check"]).is(2, "", &line);
    home.write(
        &format!("{STORE}/machine.yaml"),
        "m: {}\nn: {mxm_secrets: {stores: {canary: {backend: env, root: r}}}}\n",
    );
    let seen = run(&home, "", &["config", "--check"]);
    let text = String::from_utf8(seen.stdout).unwrap();
    assert!(text.contains("\nm: x (store ${oc.env:WHICH})\n"), "{text}");
    assert!(seen.status == Some(0) && !text.contains("canary"), "{text}");
}

/// Null in a block of a layer stands where the mistake is; of what shows elsewhere, the block is named.
#[test]
fn a_mistake_names_the_block_that_causes_it() {
    let home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets:\n  backends: [env]\n  policies: {p: {allowed_principals: [ops]}}\n  stores: {s: {backend: env, root: r}}\n  refs: {x: {store: s, path: a, policy: p}}\n",
    );
    home.write(&format!("{STORE}/machine.yaml"), "m: {}\n");
    let at = |file: &str, line: &str| {
        let place = home.path().join(STORE).join(file);
        format!("mxm-secrets: {}:{line}\n", place.display())
    };
    for (block, file, mistake) in [
        (
            "stores: {s: {root: null}}",
            "environment.yaml",
            "3:36: prod: mxm_secrets.stores.s: root is missing",
        ),
        (
            "stores: {s: {backend: ~}}",
            "environment.yaml",
            "3:39: prod: mxm_secrets.stores.s: backend is missing",
        ),
        (
            "refs: {x: {store: null}}",
            "environment.yaml",
            "3:35: prod: mxm_secrets.refs.x: store is missing",
        ),
        (
            "policies: {p: }",
            "environment.yaml",
            "3:29: prod: mxm_secrets.policies.p: allowed_principals is missing",
        ),
        (
            "policies: null",
            "default.yaml",
            "5:41: prod: mxm_secrets.refs.x.policy: the policy p does not exist",
        ),
        (
            "backends: [env, own]",
            "environment.yaml",
            "3:27: prod: mxm_secrets.backends: unknown backend \"own\": expected one of gopass, env, age, vault, credentials, keyring",
        ),
    ] {
        let text = format!("dev: {{}}\nprod:\n  mxm_secrets: {{{block}}}\n");
        home.write(&format!("{STORE}/environment.yaml"), text);
        for (environment, arguments) in [
            ("prod", &["config", "--check"][..]),
            ("dev", &["config", "--check"]),
            ("prod", &["get", "other"]),
        ] {
            let mut command = home.mxm_secrets(arguments);
            command.env("MXM_ENVIRONMENT", environment);
            let seen = transcript(command.env("MXM_MACHINE", "m"));
            seen.is(2, "", &at(file, mistake));
        }
    }
    // Where it takes two, both are named.
    home.write(
        &format!("{STORE}/environment.yaml"),
        "dev: {}\nprod: {mxm_secrets: {refs: {x: {policy: q}}}}\n",
    );
    home.write(
        &format!("{STORE}/machine.yaml"),
        "m: {}\nn: {mxm_secrets: {policies: {q: {allowed_principals: [dev]}}}}\no: {mxm_secrets: {policies: ~}}\n",
    );
    let lines = [
        at(
            "default.yaml",
            "5:41: o: mxm_secrets.refs.x.policy: the policy p does not exist",
        ),
        at(
            "environment.yaml",
            "2:41: prod, m: mxm_secrets.refs.x.policy: the policy q does not exist",
        ),
        at(
            "environment.yaml",
            "2:41: prod, o: mxm_secrets.refs.x.policy: the policy q does not exist",
        ),
    ];
    run(&home, "", &["config", "--check"]).is(2, "", &lines.concat());
}

/// A backend of the user's own may be in a layer, with a command or with a recipe; so may what an entry leads to.
#[test]
fn the_backend_of_a_store_may_be_in_a_layer() {
    let home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets:\n  backends: [pw, env]\n  policies: {p: {allowed_principals: [ops]}}\n  stores: {a: {backend: pw, root: r}, b: \"${place}\", c: {backend: env, root: \"${place.root}\"}}\n  refs:\n    x: {store: a, path: x, policy: p}\n    y: {store: b, path: x, policy: p}\n",
    );
    let place = "place: {backend: env, root: q}";
    for own in ["recipe: sops, file: f", "command: [tool, \"{name}\"]"] {
        let block = format!("m: {{{place}, mxm_secrets: {{pw: {{{own}}}}}}}\n");
        home.write(&format!("{STORE}/machine.yaml"), block);
        let seen = run(&home, "", &["config", "--check"]);
        assert_eq!((seen.status, seen.stderr.as_str()), (Some(0), ""), "{own}");
    }
    // Where one combination lacks what a lookup needs, it is named, as the lookup does.
    home.write(
        &format!("{STORE}/machine.yaml"),
        format!("m: {{{place}, mxm_secrets: {{pw: {{command: [tool, \"{{name}}\"]}}}}}}\n"),
    );
    home.write(
        &format!("{STORE}/role.yaml"),
        "ops: {}\ndev: {mxm_secrets: {backends: [pw, own]}}\n",
    );
    home.write(
        &format!("{STORE}/environment.yaml"),
        "p: {mxm_secrets: {own: {command: [tool, \"{name}\"]}}}\nq: {}\n",
    );
    let file = home.path().join(STORE).join("role.yaml");
    let mut get = home.mxm_secrets(["get", "other"]);
    get.env("MXM_ENVIRONMENT", "q").env("MXM_MACHINE", "m");
    let line = |block: &str| {
        format!(
            "mxm-secrets: {}:2:31: {block}: mxm_secrets.backends: unknown backend \"own\": expected one of gopass, env, age, vault, credentials, keyring, pw\n",
            file.display()
        )
    };
    transcript(get.env("MXM_ROLE", "dev")).is(2, "", &line("dev"));
    run(&home, "", &["config", "--check"]).is(2, "", &line("q, m, dev"));
    for file in ["role", "environment"] {
        std::fs::remove_file(home.path().join(format!("{STORE}/{file}.yaml"))).unwrap();
    }
    // Where one machine lacks it, that one is named.
    let block =
        format!("m: {{{place}, mxm_secrets: {{pw: {{recipe: sops, file: f}}}}}}\nn: {{{place}}}\n");
    home.write(&format!("{STORE}/machine.yaml"), block);
    let place = home.path().join(STORE).join("default.yaml");
    let line = |at: &str| format!("mxm-secrets: {}:{at}\n", place.display());
    let lines = [
        line(
            "2:13: n: mxm_secrets.backends: unknown backend \"pw\": expected one of gopass, env, age, vault, credentials, keyring",
        ),
        line("4:25: n: mxm_secrets.stores.a.backend: unknown backend \"pw\""),
    ];
    run(&home, "", &["config", "--check"]).is(2, "", &lines.concat());
    // Where it is in effect, nothing is told twice.
    let mut check = home.mxm_secrets(["config", "--check"]);
    transcript(check.env("MXM_MACHINE", "n")).is(2, "", &lines.concat());
}

/// What one layer has wrong hides nothing of another's, and what is wrong in an entry nothing of the rest.
#[test]
fn mistakes_of_refs_stores_and_policies_are_told_together() {
    let home = home(
        "mxm_secrets:\n  refs:\n    a: {store: s, path: x, policy: nope}\n    b: {store: lost, path: x, policy: p}\n    c: {store: lost, path: 5}\n    d: {store: t, path: /x, policy: q}\n    e: 1\n  stores: {s: {backend: env, root: r}, t: {backend: env}}\n  policies: {p: {allowed_principals: [ops]}, q: {allowed_principals: no}}\n",
        "",
    );
    let seen = home.run(["config", "--check"]);
    let place = home.path().join("c.yaml");
    let lines = [
        "3:36: mxm_secrets.refs.a.policy: the policy nope does not exist",
        "4:16: mxm_secrets.refs.b.store: no layer has the store lost",
        "5:5: mxm_secrets.refs.c: policy is missing",
        "5:16: mxm_secrets.refs.c.store: no layer has the store lost",
        "5:28: mxm_secrets.refs.c.path: expected a string, found a number",
        "6:25: mxm_secrets.refs.d.path: must not begin with '/': it is below the root of its store",
        "7:8: mxm_secrets.refs.e: expected a mapping, found a number",
        "8:40: mxm_secrets.stores.t: root is missing",
        "9:70: mxm_secrets.policies.q.allowed_principals: expected a list of strings, found a boolean",
    ];
    let lines = lines.map(|line| format!("mxm-secrets: {}:{line}\n", place.display()));
    seen.is(2, "", &lines.concat());
}

/// The check and a lookup agree on the names of roles; without refs, every name is right.
#[test]
fn a_role_that_no_ref_can_be_asked_for_with_is_found() {
    let home = Home::new();
    let text = "mxm_secrets:\n  backends: [env]\n  stores: {s: {backend: env, root: r}}\n  policies: {p: {allowed_principals: [ops]}}\n";
    let refs = "  refs: {x: {store: s, path: a, policy: p}}\n";
    let role = home.write(
        &format!("{STORE}/role.yaml"),
        "ops: {}\nprefect-worker: {}\n",
    );
    home.write(&format!("{STORE}/default.yaml"), text);
    let checked = run(&home, "prefect-worker", &["config", "--check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    home.write(&format!("{STORE}/default.yaml"), format!("{text}{refs}"));
    let rule = "expected a lower-case letter and then a-z, 0-9 and _\n";
    let line = format!(
        "mxm-secrets: {}:2:1: prefect-worker: bad name of a role that asks for refs: {rule}",
        role.display()
    );
    run(&home, "ops", &["config", "--check"]).is(2, "", &line);
    let asked = format!("mxm-secrets: MXM_ROLE is \"prefect-worker\": {rule}");
    let get = ["get", "x", "--default", "d"];
    run(&home, "prefect-worker", &get).is(2, "", &asked);
    // Without such a file, the role is that of the environment.
    std::fs::remove_file(role).unwrap();
    run(&home, "prefect-worker", &["config", "--check"]).is(2, "", &asked);
    run(&home, "prefect-worker", &get).is(2, "", &asked);
    let checked = run(&home, "", &["config", "--check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
}

/// Whatever a name ends with, what is advised makes a name.
#[test]
fn a_command_that_needs_a_field_says_how_to_name_one() {
    let text = TEXT.replace("{reference}", "{name} {field}");
    let home = home(&text, "echo \"$*\"");
    let why = "has no field, but the command needs one: end the name with #FIELD\n";
    for (name, seen) in [
        ("zz", "zz"),
        ("zz#", "zz#"),
        ("key", "mxm/red/a/b"),
        ("key#", "mxm/red/a/b#"),
    ] {
        let line = format!("mxm-secrets: {name}: failed: own: {seen} {why}");
        run(&home, "ops", &["get", name, "--backend", "own"]).is(4, "", &line);
        let name = format!("{}#f", name.trim_end_matches('#'));
        let seen = seen.trim_end_matches('#');
        run(&home, "ops", &["get", &name, "--backend", "own"]).is(0, format!("{seen} f\n"), "");
    }
}

/// Refs into the store of `backend`, which has `pw` and a field `user` at mxm/red/a/b.
fn lead_into(home: &mut Home, backend: &str) {
    let text = TEXT.replace("backend: own", &format!("backend: {backend}"));
    let more = "    first: {store: red, path: \"a/b#\", policy: p}\n    lost: {store: red, path: lost, policy: p}\n";
    home.write("c.yaml", text.replace("  own: ", &format!("{more}  own: ")));
    home.set("MXM_SECRETS_CONFIG", "c.yaml")
        .set("MXM_SECRETS_BACKENDS", "env")
        .set("KEY", "of env")
        .set("LOST", "of env")
        .link(&["sh"]);
}

/// What a store gives behind refs, whatever its backend.
#[track_caller]
fn is_behind_refs(home: &Home, backend: &str) {
    run(home, "ops", &["get", "--raw", "key"]).is(0, "pw\nuser: ann\n", "");
    for (name, value) in [
        ("key#", "pw"),
        ("first", "pw"),
        ("part", "ann"),
        ("key#user", "ann"),
    ] {
        let seen = run(home, "ops", &["get", name]);
        assert_eq!(seen.stderr, "", "{name}");
        seen.is(0, format!("{value}\n"), "");
    }
    let exec = ["exec", "--secret", "key#", "--secret", "part", "--", "sh"];
    let exec = [&exec[..], &["-c", "echo $KEY $PART"]].concat();
    run(home, "trader", &exec).is(0, "pw ann\n", "");
    let found = run(home, "ops", &["resolve", "part"]);
    let start = format!("part\t{backend}\t").into_bytes();
    assert!(found.stdout.starts_with(&start), "{found:?}");
    let missing = format!("lost: missing: not in {backend}");
    run(home, "ops", &["get", "lost"]).has(1, "", &[&missing]);
    run(home, "ops", &["get", "lost", "--default", "d"]).is(3, "d\n", "");
    run(home, "ops", &["get", "key#none", "--default", "d"]).is(3, "d\n", "");
    for (role, name, why) in [
        ("ops", "part#x", "the path of part already names a field"),
        ("ops", "first#x", "the path of first already names a field"),
        ("ops", "denied", "does not allow the role ops"),
        ("dev", "part", "does not allow the role dev"),
    ] {
        run(home, role, &["get", name, "--default", "d"]).has(2, "", &[why]);
    }
}

#[test]
fn a_ref_may_lead_into_gopass() {
    for version in ["1.15.18", "1.16.1"] {
        let Some(mut store) = Store::new(version) else {
            continue;
        };
        store.insert("mxm/red/a/b", "pw\nuser: ann\n");
        lead_into(&mut store.home, "gopass");
        is_behind_refs(&store.home, "gopass");
    }
    // A locked key is failed, whatever default is given.
    let Some(mut store) = Store::locked("1.16.1") else {
        return;
    };
    std::fs::create_dir_all(store.root().join("mxm/red/a")).unwrap();
    store.encrypt("mxm/red/a/b", b"pw\n");
    lead_into(&mut store.home, "gopass");
    let seen = run(&store.home, "ops", &["get", "key", "--default", "d"]);
    seen.has(4, "", &["key: failed: gopass: "]);
}

#[cfg(feature = "age")]
#[test]
fn a_ref_may_lead_into_age() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    let (Some(age), Some(keygen)) = (support::program("age"), support::program("age-keygen"))
    else {
        return;
    };
    let mut home = Home::new();
    let identities = home.command(keygen).output().unwrap().stdout;
    let identities = home.write(".passage/identities", identities);
    fs::set_permissions(&identities, Permissions::from_mode(0o600)).unwrap();
    let plain = home.write("plain", "pw\nuser: ann\n");
    let file = home.write(".passage/store/mxm/red/a/b.age", "");
    let mut encrypt = home.command(age);
    encrypt
        .args(["-e", "-i"])
        .arg(identities)
        .arg("-o")
        .arg(file);
    assert_eq!(transcript(encrypt.arg(plain)).status, Some(0));
    lead_into(&mut home, "age");
    is_behind_refs(&home, "age");
}

#[cfg(feature = "vault")]
#[test]
fn a_ref_may_lead_into_vault() {
    let Some(server) = support::vault::Server::shared() else {
        return;
    };
    server.put("mxm/red/a/b", r#"{"value":"pw\nuser: ann\n","user":"ann"}"#);
    let mut home = server.root_home();
    lead_into(&mut home, "vault");
    is_behind_refs(&home, "vault");
    // A token that must not read is failed, whatever default is given.
    let policy = r#"path "secret/data/none" { capabilities = ["read"] }"#;
    home.set("VAULT_TOKEN", server.token("norefs", policy));
    let seen = run(&home, "ops", &["get", "key", "--default", "d"]);
    seen.has(4, "", &["key: failed: vault: "]);
}

/// Also a name that is no ref: the configuration is wrong.
#[test]
fn a_store_needs_a_backend_that_is_built_in() {
    for (backend, is_built_in) in [
        ("age", cfg!(feature = "age")),
        ("vault", cfg!(feature = "vault")),
        ("credentials", cfg!(feature = "credentials")),
        ("keyring", cfg!(feature = "keyring")),
    ] {
        if is_built_in {
            continue;
        }
        let home = home(
            &TEXT.replace("backend: own", &format!("backend: {backend}")),
            "",
        );
        let why = format!(
            "c.yaml:3:27: mxm_secrets.stores.red.backend: the backend {backend} is not built into this program"
        );
        for command in [
            &["get", "key", "--default", "d"][..],
            &["get", "other"],
            &["config", "--check"],
        ] {
            run(&home, "ops", command).has(2, "", &[&why]);
        }
    }
}

#[cfg(feature = "credentials")]
#[test]
fn a_ref_may_lead_into_any_backend() {
    let mut home = home(
        "mxm_secrets:\n  backends: [env]\n  stores: {v: {backend: env, root: vars}, c: {backend: credentials, root: mnt}}\n  policies: {p: {allowed_principals: [ops]}}\n  refs:\n    a: {store: v, path: x, policy: p}\n    b: {store: c, path: x, policy: p}\n",
        "",
    );
    let directory = home.path().join("credentials");
    home.set("VARS_X", "1")
        .set("CREDENTIALS_DIRECTORY", directory);
    home.write("credentials/mnt_x", "2");
    run(&home, "ops", &["get", "a"]).is(0, "1\n", "");
    run(&home, "ops", &["get", "b"]).is(0, "2\n", "");
    home.link(&["sh"]);
    let exec = ["exec", "--secret", "a", "--", "sh", "-c", "echo $A"];
    run(&home, "ops", &exec).is(0, "1\n", "");
}

/// Small random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    /// One of the first, rarely one of the others.
    fn pick<'a>(&mut self, good: &[&'a str], bad: &[&'a str]) -> &'a str {
        match self.roll(90) {
            0 if !bad.is_empty() => bad[self.roll(bad.len())],
            _ => good[self.roll(good.len())],
        }
    }
}

/// Some of the entries of our section, in the form of a flow mapping.
fn section(dice: &mut Dice, fullness: usize) -> String {
    let mut kinds = [Vec::new(), Vec::new(), Vec::new()];
    for name in ["a", "b_2", "key"] {
        if dice.roll(100) < fullness {
            let store = dice.pick(&["red", "green", "blue"], &["Red", "7"]);
            let path = dice.pick(
                &["x", "x/y", "x#f", "a b", "'10'"],
                &["/x", "' x'", "10", "yes", "x//y", "../x", "''", "~", "x/"],
            );
            let policy = dice.pick(&["p", "q"], &["r", "P-q"]);
            let mut fields = vec![
                format!("store: {store}"),
                format!("path: {path}"),
                format!("policy: {policy}"),
            ];
            match dice.roll(80) {
                0 => drop(fields.pop()),
                1 => fields.push("more: 1".to_owned()),
                _ => {}
            }
            kinds[0].push(format!("{name}: {{{}}}", fields.join(", ")));
        }
    }
    for name in ["red", "green", "blue"] {
        if dice.roll(100) < fullness + 15 {
            let backend = dice.pick(&["one", "two"], &["three", "1"]);
            let root = dice.pick(
                &["mxm", "mxm/red/", "m", "a//"],
                &["/", "''", "r#x", " ' '", "5"],
            );
            kinds[1].push(format!("{name}: {{backend: {backend}, root: {root}}}"));
        }
    }
    for name in ["p", "q"] {
        if dice.roll(100) < fullness + 40 {
            let list = dice.pick(
                &["[ops]", "[ops, dev]", "[dev]", "[]"],
                &["ops", "[ops, ops]", "[a-b]", "[1]", "~"],
            );
            kinds[2].push(format!("{name}: {{allowed_principals: {list}}}"));
        }
    }
    let mut parts = Vec::new();
    for (kind, entries) in ["refs", "stores", "policies"].into_iter().zip(kinds) {
        if !entries.is_empty() {
            parts.push(format!("{kind}: {{{}}}", entries.join(", ")));
        }
    }
    if dice.roll(12) == 0 {
        parts.push("refs_only: yes".to_owned());
    }
    parts.join(", ")
}

#[test]
fn generated_refs_follow_the_rules_as_python_has_them() {
    const CASES: u64 = 300;
    let Some(python) = support::program("python") else {
        return;
    };
    let mut home = Home::new();
    home.fake("tool", "echo secret");
    home.set("KEY", "of env")
        .set("A", "of env")
        .set("B_2", "of env")
        .set("OTHER", "of env");
    home.set("A_F", "of env")
        .set("KEY_F", "of env")
        .set("B_2_F", "of env")
        .set("OTHER_F", "of env");
    let mut ours = Vec::new();
    for seed in 0..CASES {
        let mut dice = Dice(seed * 7919 + 3);
        let case = format!("cases/{seed:04}");
        let app = format!("{case}/apps/mxm-secrets");
        let own = "one: {command: [tool, one, \"{reference}\"], names: any}, two: {command: [tool, two, \"{reference}\"], names: any}, backends: [env]";
        let text = section(&mut dice, 60);
        home.write(
            &format!("{app}/default.yaml"),
            format!("mxm_secrets: {{{own}, {text}}}\n"),
        );
        let mut command = home.mxm_secrets(["resolve"]);
        let mut asked = String::new();
        for (dimension, selectors) in [
            ("environment", &["dev", "prod"][..]),
            ("machine", &["m1", "m2"]),
            ("role", &["ops", "ops", "dev", "dev", "x-y", ""]),
        ] {
            let selected = selectors[dice.roll(selectors.len())];
            command.env(format!("MXM_{}", dimension.to_uppercase()), selected);
            asked.push_str(&format!("\"{dimension}\":\"{selected}\","));
            if dimension != "role" && dice.roll(2) == 0 {
                let blocks = selectors.iter().map(|selector| {
                    format!(
                        "{selector}: {{mxm_secrets: {{{}}}}}\n",
                        section(&mut dice, 15)
                    )
                });
                home.write(
                    &format!("{app}/{dimension}.yaml"),
                    blocks.collect::<String>(),
                );
            }
        }
        let name = dice.pick(&["a", "b_2", "key", "other"], &[]);
        let name = format!("{name}{}", dice.pick(&["", "", "", "#f"], &[]));
        home.write(
            &format!("{case}/case.json"),
            format!("{{{asked}\"name\":\"{name}\"}}"),
        );
        command
            .arg(&name)
            .env("MXM_CONFIG_STORE", home.path().join(&case));
        let seen = transcript(&mut command);
        let out = String::from_utf8(seen.stdout).unwrap();
        let answer = match seen.status {
            Some(0) => match out.trim_end().split('\t').collect::<Vec<_>>()[..] {
                [_, "env", _] => "chain".to_owned(),
                [_, backend, locator] => format!(
                    "ref {backend} {}",
                    locator.strip_prefix("tool *** ").unwrap()
                ),
                _ => unreachable!("{out}"),
            },
            // The fake has no fields, so asking for one is a miss.
            Some(2) if seen.stderr.contains("denied: ") => "denied".to_owned(),
            Some(2) => "error".to_owned(),
            _ => panic!("{seed}: {out}{}", seen.stderr),
        };
        ours.push(format!("{seed:04} {answer}"));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/refs.py");
    let theirs = transcript(
        Command::new(python)
            .arg(script)
            .arg(home.path().join("cases")),
    );
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    for (ours, theirs) in ours.iter().zip(theirs.lines()) {
        let case = &ours[..4];
        assert_eq!(
            ours,
            theirs,
            "{}",
            std::fs::read_to_string(
                home.path()
                    .join(format!("cases/{case}/apps/mxm-secrets/default.yaml"))
            )
            .unwrap()
        );
    }
    assert_eq!(theirs.lines().count(), ours.len());
    for kind in ["error", "denied", "chain", "ref one", "ref two"] {
        assert!(
            ours.iter()
                .filter(|line| line[5..].starts_with(kind))
                .count()
                > 9,
            "{kind}: {ours:?}"
        );
    }
}

/// A set whose secrets are refs: `exec` says which are denied, and `--check` which are no refs.
#[test]
fn a_set_of_refs_is_denied_and_checked() {
    let sets = "  refs_only: yes\n  sets: {s: {A: key, B: denied, C: {value: \"{{other}}\"}}}\n";
    let home = home(&format!("{TEXT}{sets}"), "echo secret");
    let check = home.run(["config", "--check"]);
    let place = home.path().join("c.yaml").display().to_string();
    let unknown = "other is not in refs, and refs_only allows no other name";
    check.is(
        2,
        "",
        &format!("mxm-secrets: {place}:11:33: mxm_secrets.sets.s.C: {unknown}\n"),
    );
    let exec = ["exec", "--set", "s", "--", "tool"];
    let denied = "denied: denied: the policy nobody does not allow the role trader";
    run(&home, "trader", &exec).is(
        125,
        "",
        &format!("mxm-secrets: {denied}\nmxm-secrets: {unknown}\n"),
    );
    let json = run(
        &home,
        "trader",
        &["exec", "--json-errors", "--set", "s", "--", "tool"],
    );
    let first = json.stderr.lines().next().unwrap();
    let start = r#"{"schema":1,"problem":"denied","name":"denied","message":""#;
    assert!(
        json.status == Some(125) && first.starts_with(start),
        "{first}"
    );
    assert_eq!(home.log("tool"), Vec::<String>::new());
}

/// What `refs_only` refuses in a set is told as every mistake is, whichever layer has it, and also for other machines.
#[test]
fn a_set_outside_refs_has_its_place_key_and_block() {
    let home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets:\n  policies: {p: {allowed_principals: [ops]}}\n  stores: {s: {backend: env, root: r}}\n  refs: {a: {store: s, path: x, policy: p}}\n  sets: {s: {A: a}}\n",
    );
    home.write(
        &format!("{STORE}/environment.yaml"),
        "dev: {mxm_secrets: {sets: {s: {B: b}}}}\nprod:\n  mxm_secrets:\n    refs_only: yes\n    sets:\n      s:\n        B: b\n        C: {template: t}\n",
    );
    let why = "b is not in refs, and refs_only allows no other name";
    let place = home.path().join(STORE).join("environment.yaml");
    let place = place.display();
    let line = |line: &str| format!("mxm-secrets: {place}:{line}\n");
    let b = line(&format!("7:9: prod: mxm_secrets.sets.s.B: {why}"));
    run(&home, "", &["config", "--check"]).is(2, "", &b);
    // Here a template is read, and what it asks for is checked, too.
    home.write(&format!("{STORE}/t"), "{{a}} {{b}}");
    let c = line(&format!("8:9: prod: mxm_secrets.sets.s.C: {why}"));
    let mut check = home.mxm_secrets(["config", "--check"]);
    transcript(check.env("MXM_ENVIRONMENT", "prod")).has(2, "", &[&b, &c]);
    let mut check = home.mxm_secrets(["config", "--check"]);
    let checked = transcript(check.env("MXM_ENVIRONMENT", "dev"));
    checked.has(2, "", &[&b]);
    // Nobody else suffers from it.
    let mut get = home.mxm_secrets(["get", "a"]);
    get.env("MXM_ENVIRONMENT", "prod").env("MXM_ROLE", "ops");
    transcript(get.env("R_X", "1")).is(0, "1\n", "");
}
