//! A corpus of bad files, and what is said of each.

use crate::support::Home;

/// A file, and the lines that it gets, without the file's name.
const CORPUS: &[(&[u8], &str)] = &[
    (
        b"\xef\xbb\xbfmxm_secrets: {}\n",
        "1:1: it begins with a byte-order mark: save it as UTF-8 without one",
    ),
    (b"mxm_secrets: {}\n# \x00\n", "2:3: a NUL byte stands here"),
    (
        b"mxm_secrets:\n\tbackends: [env]\n",
        "2:1: a tab stands here: YAML is indented and separated with blanks",
    ),
    (
        b"mxm_secrets:\n  backends:\t[env]\n",
        "2:12: a tab stands here: YAML is indented and separated with blanks",
    ),
    (
        b"a: 1 # a\tcomment\nb: \"a\ttab\"\nmxm_secrets: {}\t\n",
        "3:16: a tab stands here: YAML is indented and separated with blanks",
    ),
    (
        b"mxm_secrets: {timeout: \"\xff\"}\n",
        "1:25: it is not UTF-8",
    ),
    (
        b"mxm_secrets: {}\n\x1b\n",
        "2:1: the character U+001B stands here",
    ),
    (
        b"mxm_secrets: {}\n---\nmxm_secrets: {}\n",
        "2:1: a second document begins here: a configuration file has one",
    ),
    (
        b"mxm_secrets: {env: {prefix: a, prefix: b}}\n",
        "1:32: the key prefix stands in line 1, too",
    ),
    (
        b"mxm_secrets: {}\nmxm_secrets: {}\n",
        "2:1: the key mxm_secrets stands in line 1, too",
    ),
    (
        b"mxm_secrets: [\n",
        "2:1: it is not YAML: while parsing a node, did not find expected node content",
    ),
    (
        b"mxm_secrets: {a: b\n",
        "2:1: it is not YAML: while parsing a flow mapping, did not find expected ',' or '}'",
    ),
    (
        b"mxm_secrets: \"abc\n",
        "1:14: it is not YAML: while scanning a quoted scalar, found unexpected end of stream",
    ),
    (
        b"a: b: c\n",
        "1:5: it is not YAML: mapping values are not allowed in this context",
    ),
    (
        b"mxm_secrets:\n  env: {}\n gopass: {}\n",
        "3:2: it is not YAML: while parsing a block mapping, did not find expected key",
    ),
    (
        b"mxm_secrets: *nowhere\n",
        "1:14: it is not YAML: while parsing node, found unknown anchor",
    ),
    (
        b"mxm_secrets: &a {env: *a}\n",
        "1:23: an alias stands inside its own anchor",
    ),
    (
        b"mxm_secrets: !!python/object:os.system {}\n",
        "1:14: the tag python/object:os.system is not known here",
    ),
    (
        b"mxm_secrets: {env: {prefix: !secret x}}\n",
        "1:29: the tag !secret is not known here",
    ),
    (b"? [a, b]\n: c\n", "1:3: a key is no list and no mapping"),
    (
        b"[a, b]\n",
        "1:1: a configuration is a mapping, and this is a list",
    ),
    (
        b"text\n",
        "1:1: a configuration is a mapping, and this is a text",
    ),
    (
        b"mxm_secrets: text\n",
        "1:14: mxm_secrets: it takes a mapping, and this is a text",
    ),
    (
        b"mxm_secrets: [env]\n",
        "1:14: mxm_secrets: it takes a mapping, and this is a list",
    ),
    (
        b"mxm_secret: {}\n",
        "1:1: mxm_secret: there is no such section: did you mean mxm_secrets?",
    ),
    (
        b"backends: [env]\n",
        "1:1: backends: there is no such section: what is for mxm-secrets stands in the section mxm_secrets",
    ),
    (
        b"other: {}\n",
        "1:1: other: there is no such section: what is for mxm-secrets stands in the section mxm_secrets",
    ),
    (
        b"mxm_secrets: {<<: text}\n",
        "1:19: the merge key << takes a mapping, or a list of mappings",
    ),
    (
        b"mxm_secrets: {env: {prefix: =}}\n",
        "1:29: mxm_secrets.env.prefix: it has a meaning of its own in YAML: put it between quotes",
    ),
    (
        b"mxm_secrets: {backend: [env]}\n",
        "1:15: mxm_secrets.backend: unknown key: did you mean backends?",
    ),
    (
        b"mxm_secrets: {backends: [evn]}\n",
        "1:25: mxm_secrets.backends: unknown backend \"evn\": did you mean env?",
    ),
    (
        b"mxm_secrets: {backends: [env, env]}\n",
        "1:25: mxm_secrets.backends: env is named twice",
    ),
    (
        b"mxm_secrets: {backends: []}\n",
        "1:25: mxm_secrets.backends: it names no backend",
    ),
    (
        b"mxm_secrets: {backends: {env: 1}}\n",
        "1:25: mxm_secrets.backends: it takes a list of texts, and this is a mapping",
    ),
    (
        b"mxm_secrets: {backends: [env, [gopass]]}\n",
        "1:31: mxm_secrets.backends: a list cannot stand in this list",
    ),
    (
        b"mxm_secrets: {backends: [env, ~]}\n",
        "1:31: mxm_secrets.backends: an item of this list is nothing",
    ),
    (
        b"mxm_secrets: {on_error: halt}\n",
        "1:25: mxm_secrets.on_error: it takes stop or continue",
    ),
    (
        b"mxm_secrets: {on_error: stopp}\n",
        "1:25: mxm_secrets.on_error: it takes stop or continue: did you mean stop?",
    ),
    (
        b"mxm_secrets: {on_error: [stop]}\n",
        "1:25: mxm_secrets.on_error: it takes stop or continue, and this is a list",
    ),
    (
        b"mxm_secrets: {timeout: 0}\n",
        "1:24: mxm_secrets.timeout: it takes a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: -1}\n",
        "1:24: mxm_secrets.timeout: it takes a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: yes}\n",
        "1:24: mxm_secrets.timeout: it takes a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: .inf}\n",
        "1:24: mxm_secrets.timeout: it takes a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: 10h}\n",
        "1:24: mxm_secrets.timeout: it takes a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets:\n  gopas:\n    prefix: x\n",
        "2:3: mxm_secrets.gopas: unknown key: did you mean gopass?",
    ),
    (
        b"mxm_secrets: {nothing_like_it: {prefix: x}}\n",
        "1:15: mxm_secrets.nothing_like_it: unknown key; a custom backend needs a `command`",
    ),
    (
        b"mxm_secrets: {env: {prefx: x}}\n",
        "1:21: mxm_secrets.env.prefx: unknown key: did you mean prefix?",
    ),
    (
        b"mxm_secrets: {env: {zzz: x}}\n",
        "1:21: mxm_secrets.env.zzz: unknown key: expected one of prefix, required",
    ),
    (
        b"mxm_secrets: {env: prefix}\n",
        "1:20: mxm_secrets.env: it takes a mapping, and this is a text",
    ),
    (
        b"mxm_secrets: {env: {prefix: {a: b}}}\n",
        "1:29: mxm_secrets.env.prefix: it takes a text, and this is a mapping",
    ),
    (
        b"mxm_secrets: {env: {required: maybe}}\n",
        "1:31: mxm_secrets.env.required: it takes yes or no, and this is a text",
    ),
    (
        b"mxm_secrets: {env: {required: 1}}\n",
        "1:31: mxm_secrets.env.required: it takes yes or no, and this is a number",
    ),
    (
        b"mxm_secrets: {env: {\"required \": yes}}\n",
        "1:21: mxm_secrets.env.required : unknown key: did you mean required?",
    ),
    (
        b"mxm_secrets: {1: x}\n",
        "1:15: mxm_secrets.1: unknown key; a custom backend needs a `command`",
    ),
    (
        b"mxm_secrets: {token: x}\n",
        "1:15: mxm_secrets.token: a secret cannot stand in the configuration",
    ),
    (
        b"mxm_secrets: {gopass: {password: x}}\n",
        "1:24: mxm_secrets.gopass.password: a secret cannot stand in the configuration",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], secret_id: x}}\n",
        "1:45: mxm_secrets.own.secret_id: a secret cannot stand in the configuration",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{nam}\"]}}\n",
        "1:30: mxm_secrets.own.command: its arguments must contain {name}, the secret's name, or {reference}",
    ),
    (
        b"mxm_secrets: {own: {command: a}}\n",
        "1:30: mxm_secrets.own.command: its arguments must contain {name}, the secret's name, or {reference}",
    ),
    (
        b"mxm_secrets: {own: {command: []}}\n",
        "1:30: mxm_secrets.own.command: it names no program",
    ),
    (
        b"mxm_secrets: {own: {command: [\"\", \"{name}\"]}}\n",
        "1:30: mxm_secrets.own.command: it names no program",
    ),
    (
        b"mxm_secrets: {own: {command: \"ssh x {name}\"}}\n",
        "1:30: mxm_secrets.own.command: it takes a list, since no shell splits it: [program, argument, argument]",
    ),
    (
        b"mxm_secrets: {gopas: {command: pass}}\n",
        "1:32: mxm_secrets.gopas.command: its arguments must contain {name}, the secret's name, or {reference}; did you mean gopass?",
    ),
    (
        b"mxm_secrets: {Own: {command: [a, \"{name}\"]}}\n",
        "1:15: mxm_secrets.Own: a backend's name is made of a-z, 0-9, _ and -, a letter first",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], miss: 300}}\n",
        "1:51: mxm_secrets.own.miss: expected a status from 1 to 255, empty, {status: 1, says: a text}, or a list of these",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], miss: [0]}}\n",
        "1:52: mxm_secrets.own.miss: expected a status from 1 to 255, empty, {status: 1, says: a text}, or a list of these",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], names: some}}\n",
        "1:52: mxm_secrets.own.names: it takes plain or any",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], mis: [44]}}\n",
        "1:45: mxm_secrets.own.mis: unknown key: did you mean miss?",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a.b}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${a.b} leads nowhere: there is no key a",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${paths.rot}\"}}\npaths: {root: x}\n",
        "1:29: mxm_secrets.env.prefix: ${paths.rot} leads nowhere: there is no key rot: did you mean root?",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${.prefix}\"}}\n",
        "1:29: mxm_secrets.env.prefix: its interpolation leads back to itself",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a}\"}}\na: \"${b}\"\nb: \"${a}\"\n",
        "1:29: mxm_secrets.env.prefix: its interpolation leads back to itself",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${mxm_secrets}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${mxm_secrets} leads to what it stands in",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:NOT_SET}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable NOT_SET is not set, and ${oc.env:NOT_SET} has no default",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:VAULT_TOKEN,x}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable VAULT_TOKEN may hold a secret, which cannot stand in the configuration",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:PROD_API_KEY}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable PROD_API_KEY may hold a secret, which cannot stand in the configuration",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.decode:x}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${oc.decode:…} is not known here: there is ${oc.env:VARIABLE,default}",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a\"}}\n",
        "1:29: mxm_secrets.env.prefix: an interpolation is not closed: } is missing",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${} is no interpolation: it takes the names of keys, with dots between them",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a b}\"}}\n",
        "1:29: mxm_secrets.env.prefix: 'b' cannot stand in an interpolation's key",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"x${paths}\"}}\npaths: {a: b}\n",
        "1:29: mxm_secrets.env.prefix: a mapping cannot stand inside a text",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${....a}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${....a} leads out of the file",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"???\"}}\n",
        "1:29: mxm_secrets.env.prefix: it is ???, a value that is still to be given",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a}\"}}\na: ???\n",
        "1:29: mxm_secrets.env.prefix: ${a} is ???, a value that is still to be given",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:A,b#c}\"}}\n",
        "1:29: mxm_secrets.env.prefix: '#' cannot stand in a default without quotes around it",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:A,'b}\"}}\n",
        "1:29: mxm_secrets.env.prefix: an interpolation is not closed: a quote is missing",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:A,b,c}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${oc.env:…} takes the name of a variable, and may take a default",
    ),
    (
        b"mxm_secrets: {env: {prefix: !!int \"x\"}}\n",
        "1:29: mxm_secrets.env.prefix: it is no whole number, or too large a one",
    ),
    (
        b"mxm_secrets: {on_error: halt, timeout: soon, env: {prefx: a, prefix: [b]}, gopas: {}}\n",
        "1:25: mxm_secrets.on_error: it takes stop or continue\n1:40: mxm_secrets.timeout: it takes a number of seconds from 0.001 to 86400\n1:52: mxm_secrets.env.prefx: unknown key: did you mean prefix?\n1:70: mxm_secrets.env.prefix: it takes a text, and this is a list\n1:76: mxm_secrets.gopas: unknown key: did you mean gopass?",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://user:example@vault.example:8200\"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://vault.example:99999\"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://\"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://vault.example:8200 \"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://vault.example:8200?x=1\"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://[fe80::1%eth0]:8200\"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"unix://x\"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"htp://x\"}, gopass: {command: \"\"}}\n",
        "1:32: mxm_secrets.vault.address: it takes an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH\n1:62: mxm_secrets.gopass.command: it names no program",
    ),
    (
        b"mxm_secrets: {env: @x}\n",
        "1:20: it is not YAML: unexpected character: `@'",
    ),
    (
        b"mxm_secrets: {env: %x}\n",
        "1:20: it is not YAML: unexpected character: `%'",
    ),
    (
        b"mxm_secrets: {env: {prefix: 'a}}\n",
        "1:29: it is not YAML: while scanning a quoted scalar, found unexpected end of stream",
    ),
    (
        b"%YAML 9.9\n---\na: b\n",
        "3:1: a: there is no such section: what is for mxm-secrets stands in the section mxm_secrets",
    ),
];

#[track_caller]
fn check(content: &[u8], mistakes: &str) {
    let home = Home::new();
    let path = home.write("config.yaml", content);
    let expected: String = mistakes
        .lines()
        .map(|line| format!("mxm-secrets: {}:{line}\n", path.display()))
        .collect();
    let content = String::from_utf8_lossy(content).into_owned();
    for arguments in [
        ["get", "a", "--config", "config.yaml"],
        ["config", "--check", "--config", "config.yaml"],
    ] {
        let seen = home.run(arguments);
        assert_eq!(
            (seen.status, seen.stderr.as_str()),
            (Some(2), expected.as_str()),
            "{content:?}"
        );
        assert!(seen.stdout.is_empty(), "{content:?}");
    }
}

#[test]
fn every_bad_file_is_told_where_it_is_wrong() {
    for (content, mistakes) in CORPUS {
        check(content, mistakes);
    }
}

#[test]
fn what_would_take_for_ever_is_refused() {
    let prefix = "mxm_secrets: {env: {prefix: \"${a0}\"}}\n";
    let chain = |count: usize, value: &dyn Fn(usize) -> String| -> String {
        (0..count)
            .map(|n| format!("a{n}: \"{}\"\n", value(n + 1)))
            .collect()
    };
    let doubled = chain(30, &|n| format!("${{a{n}}}${{a{n}}}"));
    let long = chain(300, &|n| format!("${{a{n}}}"));
    let place = "1:29: mxm_secrets.env.prefix:";
    check(
        format!("{prefix}{doubled}a30: x\n").as_bytes(),
        &format!("{place} there are more than 10000 interpolations to resolve"),
    );
    check(
        format!("{prefix}{long}a300: x\n").as_bytes(),
        &format!("{place} interpolations lead on more than 100 deep"),
    );
    check(
        format!(
            "mxm_secrets: {{env: {{prefix: \"{}\"}}}}\n",
            "${".repeat(50_000)
        )
        .as_bytes(),
        &format!("{place} interpolations lead on more than 100 deep"),
    );
    for (depth, column) in [(150, 103), (100_000, 259)] {
        check(
            format!("a: {}{}\n", "[".repeat(depth), "]".repeat(depth)).as_bytes(),
            &format!("1:{column}: lists and mappings stand in each other more than 100 deep"),
        );
    }
    let aliases: String = "abcdef"
        .chars()
        .zip("bcdefg".chars())
        .map(|(a, b)| format!("{b}: &{b} [{}]\n", vec![format!("*{a}"); 10].join(",")))
        .collect();
    check(
        format!("a: &a [x,x,x,x,x,x,x,x,x,x]\n{aliases}").as_bytes(),
        "5:26: it has more than 100000 values once its aliases are expanded",
    );
}

#[test]
fn every_file_of_a_store_is_told_where_it_is_wrong() {
    let home = Home::new();
    let store = "mxm-config-store/apps/mxm-secrets";
    let default = home.write(&format!("{store}/default.yaml"), "mxm_secrets: [\n");
    let role = home.write(&format!("{store}/role.yaml"), "a: b: c\n");
    let expected = format!(
        "mxm-secrets: {}:2:1: it is not YAML: while parsing a node, did not find expected node content\n\
         mxm-secrets: {}:1:5: it is not YAML: mapping values are not allowed in this context\n",
        default.display(),
        role.display()
    );
    home.run(["get", "a"]).is(2, "", &expected);
}

#[test]
fn a_list_and_a_mapping_do_not_merge() {
    let home = Home::new();
    let store = "mxm-config-store/apps/mxm-secrets";
    home.write(
        &format!("{store}/default.yaml"),
        "mxm_secrets: {env: {prefix: a}}\nother: {a: b}\n",
    );
    let path = home.write(
        &format!("{store}/substrate.yaml"),
        "here: {mxm_secrets: {env: [a]}}\nthere: {other: [a]}\n",
    );
    let mut command = home.mxm_secrets(["get", "a"]);
    let expected = format!(
        "mxm-secrets: {}:1:27: here: mxm_secrets.env: a list cannot take the place of a mapping\n",
        path.display()
    );
    crate::support::transcript(command.env("MXM_SUBSTRATE", "here")).is(2, "", &expected);
}

#[test]
fn check_finds_the_mistakes_of_every_layer() {
    Home::new().run(["config", "--check", "--json"]).is(
        2,
        "",
        "mxm-secrets: config: --check has no --json\n",
    );
    let home = Home::new();
    let store = "mxm-config-store/apps/mxm-secrets";
    let default = home.write(
        &format!("{store}/default.yaml"),
        "mxm_secrets: {backends: [env, bridge], env: {prefix: \"${stage.name}\"}}\n",
    );
    let environment = home.write(
        &format!("{store}/environment.yaml"),
        "dev: {stage: {name: DEV}}\nprod: {stage: {name: PROD}, mxm_secrets: {timout: 3}}\n",
    );
    let machine = home.write(
        &format!("{store}/machine.yaml"),
        "laptop: {mxm_secrets: {bridge: {command: [b, \"{name}\"], miss: [\"${oc.env:ONLY_THERE}\"]}}}\n\
         1: {}\ncloud: {mxm_secrets: {backends: [evn], on_error: \"${no.where}\"}}\n",
    );
    let expected = format!(
        "mxm-secrets: {0}:2:43: prod: mxm_secrets.timout: unknown key: did you mean timeout?\n\
         mxm-secrets: {1}:2:1: 1: YAML does not read this as a text: put it between quotes\n\
         mxm-secrets: {1}:3:33: cloud: mxm_secrets.backends: unknown backend \"evn\": did you mean env?\n\
         mxm-secrets: {1}:3:50: cloud: mxm_secrets.on_error: ${{no.where}} leads nowhere: there is no key no\n",
        environment.display(),
        machine.display()
    );
    home.run(["config", "--check"]).is(2, "", &expected);
    // What one layer lacks and another gives, and a variable of another machine, are no mistakes.
    home.write(
        &format!("{store}/environment.yaml"),
        "dev: {stage: {name: DEV}}\nprod: {stage: {name: PROD}}\n",
    );
    home.write(
        &format!("{store}/machine.yaml"),
        "laptop: {mxm_secrets: {bridge: {command: [b, \"{name}\"], miss: [\"${oc.env:ONLY_THERE}\"]}}}\n",
    );
    let ok =
        [default, environment, machine].map(|file| format!("{}: no mistakes\n", file.display()));
    let checked = home.run(["config", "--check"]);
    let text = String::from_utf8(checked.stdout.clone()).unwrap();
    let rest = text
        .strip_prefix(&ok.concat())
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        rest.starts_with("nothing of it is in effect here: ") && rest.lines().count() == 1,
        "{rest}"
    );
    checked.is(0, &text, "");
    // What is in effect leaves nothing open.
    let mut command = home.mxm_secrets(["config", "--check"]);
    command.envs([("MXM_ENVIRONMENT", "dev"), ("MXM_MACHINE", "laptop")]);
    crate::support::transcript(&mut command).has(2, "", &["the variable ONLY_THERE is not set"]);
    let mut command = home.mxm_secrets(["config", "--check"]);
    crate::support::transcript(command.env("MXM_ENVIRONMENT", "prdo")).has(
        2,
        "",
        &["did you mean prod?"],
    );
}

/// What a variable has is quoted nowhere, even where its name is harmless.
#[test]
fn what_a_variable_has_is_in_no_mistake() {
    let mut home = Home::new();
    home.set("MYVALUE", "Canary 31")
        .set("ANYTHING", "canary_31")
        .set("DB_URL", "postgres://u:canary@h/x")
        .set("PLACE", "https://h/?sig=canary");
    let rest = "stores: {s: {backend: env, root: r}}, policies: {p: {allowed_principals: [ops]}}";
    for (text, why) in [
        (
            "backends: ['${oc.env:MYVALUE}']",
            "backends: what ${...} gives is not valid here",
        ),
        (
            "backends: [env, '${x}']",
            "backends: what ${...} gives is not valid here",
        ),
        (
            "env: {prefix: '${oc.env:${oc.env:MYVALUE}}'}",
            "\"${oc.env:${oc.env:MYVALUE}}\" cannot be resolved",
        ),
        (
            "env: {prefix: '${a.${oc.env:MYVALUE}}'}",
            "\"${a.${oc.env:MYVALUE}}\" cannot be resolved",
        ),
        (
            "env: {prefix: '${oc.env:DB_URL}'}",
            "the variable DB_URL may hold a secret",
        ),
        (
            "env: {prefix: '${oc.env:PLACE}'}",
            "the variable PLACE may hold a secret",
        ),
        (
            "stores: {s: {backend: '${oc.env:MYVALUE}', root: r}}",
            "stores.s.backend: what ${...} gives",
        ),
        (
            "policies: {p: {allowed_principals: ['${oc.env:MYVALUE}']}}",
            "allowed_principals: what ${...} gives",
        ),
        (
            "refs: {r: {store: s, path: a, policy: '${oc.env:ANYTHING}'}}, REST",
            "refs.r.policy: what ${...} gives",
        ),
        (
            "refs: {r: {store: s, path: '/${oc.env:MYVALUE}', policy: p}}, REST",
            "refs.r.path: what ${...} gives",
        ),
        (
            "own: {command: [t, '{name}'], miss: {says: '${x}'}, unavailable: {says: '${x}'}}",
            "own.miss: what ${...} gives",
        ),
    ] {
        let text = text.replace("REST", rest);
        home.write(
            "c.yaml",
            format!("x: '${{oc.env:MYVALUE}}'\na: {{b: c}}\nmxm_secrets: {{{text}}}\n"),
        );
        let seen = home.run(["get", "a", "--config", "c.yaml"]);
        seen.has(2, "", &[why]);
        assert!(
            !seen.stderr.to_lowercase().contains("canary"),
            "{}",
            seen.stderr
        );
    }
}
