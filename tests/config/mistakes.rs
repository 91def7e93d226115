//! A corpus of bad files, and what is said of each.

use crate::support::Home;

/// A file, and the lines that it gets, without the file's name.
const CORPUS: &[(&[u8], &str)] = &[
    (
        b"\xef\xbb\xbfmxm_secrets: {}\n",
        "1:1: unexpected byte-order mark: save the file as UTF-8 without one",
    ),
    (b"mxm_secrets: {}\n# \x00\n", "2:3: unexpected NUL byte"),
    (
        b"mxm_secrets:\n\tbackends: [env]\n",
        "2:1: tabs are not allowed here: indent with spaces",
    ),
    (
        b"mxm_secrets:\n  backends:\t[env]\n",
        "2:12: tabs are not allowed here: indent with spaces",
    ),
    (
        b"a: 1 # a\tcomment\nb: \"a\ttab\"\nmxm_secrets: {}\t\n",
        "3:16: tabs are not allowed here: indent with spaces",
    ),
    (
        b"mxm_secrets: {timeout: \"\xff\"}\n",
        "1:25: not valid UTF-8",
    ),
    (
        b"mxm_secrets: {}\n\x1b\n",
        "2:1: unexpected character U+001B",
    ),
    (
        b"mxm_secrets: {}\n---\nmxm_secrets: {}\n",
        "2:1: unexpected second document: a configuration file must contain only one",
    ),
    (
        b"mxm_secrets: {env: {prefix: a, prefix: b}}\n",
        "1:32: duplicate key prefix (first defined on line 1)",
    ),
    (
        b"mxm_secrets: {}\nmxm_secrets: {}\n",
        "2:1: duplicate key mxm_secrets (first defined on line 1)",
    ),
    (
        b"mxm_secrets: [\n",
        "2:1: not valid YAML: while parsing a node, did not find expected node content",
    ),
    (
        b"mxm_secrets: {a: b\n",
        "2:1: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'",
    ),
    (
        b"mxm_secrets: \"abc\n",
        "1:14: not valid YAML: while scanning a quoted scalar, found unexpected end of stream",
    ),
    (
        b"a: b: c\n",
        "1:5: not valid YAML: mapping values are not allowed in this context",
    ),
    (
        b"mxm_secrets:\n  env: {}\n gopass: {}\n",
        "3:2: not valid YAML: while parsing a block mapping, did not find expected key",
    ),
    (
        b"mxm_secrets: *nowhere\n",
        "1:14: not valid YAML: while parsing node, found unknown anchor",
    ),
    (
        b"mxm_secrets: &a {env: *a}\n",
        "1:23: an alias must not refer to a value that contains it",
    ),
    (
        b"mxm_secrets: !!python/object:os.system {}\n",
        "1:14: unknown tag python/object:os.system",
    ),
    (
        b"mxm_secrets: {env: {prefix: !secret x}}\n",
        "1:29: unknown tag !secret",
    ),
    (
        b"? [a, b]\n: c\n",
        "1:3: a key must be a string, found a list",
    ),
    (
        b"[a, b]\n",
        "1:1: a configuration must be a mapping, found a list",
    ),
    (
        b"text\n",
        "1:1: a configuration must be a mapping, found a string",
    ),
    (
        b"mxm_secrets: text\n",
        "1:14: mxm_secrets: expected a mapping, found a string",
    ),
    (
        b"mxm_secrets: [env]\n",
        "1:14: mxm_secrets: expected a mapping, found a list",
    ),
    (
        b"mxm_secret: {}\n",
        "1:1: mxm_secret: unknown top-level key: did you mean mxm_secrets?",
    ),
    (
        b"backends: [env]\n",
        "1:1: backends: unknown top-level key: settings of mxm-secrets belong under mxm_secrets",
    ),
    (
        b"other: {}\n",
        "1:1: other: unknown top-level key: settings of mxm-secrets belong under mxm_secrets",
    ),
    (
        b"mxm_secrets: {<<: text}\n",
        "1:19: <<: expected a mapping or a list of mappings, found a string",
    ),
    (
        b"mxm_secrets: {env: {prefix: =}}\n",
        "1:29: mxm_secrets.env.prefix: YAML gives this a special meaning: put it in quotes",
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
        b"mxm_secrets: {env: {}, own: {command: [a, \"{name}\"]}, backends: [nothing-like-it]}\n",
        "1:65: mxm_secrets.backends: unknown backend \"nothing-like-it\": expected one of gopass, env, age, vault, credentials, keyring, own",
    ),
    (
        b"mxm_secrets: {backends: [env, env]}\n",
        "1:25: mxm_secrets.backends: env is named twice",
    ),
    (
        b"mxm_secrets: {backends: []}\n",
        "1:25: mxm_secrets.backends: must name at least one backend",
    ),
    (
        b"mxm_secrets: {backends: {env: 1}}\n",
        "1:25: mxm_secrets.backends: expected a list of strings, found a mapping",
    ),
    (
        b"mxm_secrets: {backends: [env, [gopass]]}\n",
        "1:31: mxm_secrets.backends: expected a string in this list, found a list",
    ),
    (
        b"mxm_secrets: {backends: [env, ~]}\n",
        "1:31: mxm_secrets.backends: list items must not be null",
    ),
    (
        b"mxm_secrets: {on_error: halt}\n",
        "1:25: mxm_secrets.on_error: expected stop or continue",
    ),
    (
        b"mxm_secrets: {on_error: stopp}\n",
        "1:25: mxm_secrets.on_error: expected stop or continue: did you mean stop?",
    ),
    (
        b"mxm_secrets: {on_error: [stop]}\n",
        "1:25: mxm_secrets.on_error: expected stop or continue, found a list",
    ),
    (
        b"mxm_secrets: {timeout: 0}\n",
        "1:24: mxm_secrets.timeout: expected a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: -1}\n",
        "1:24: mxm_secrets.timeout: expected a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: yes}\n",
        "1:24: mxm_secrets.timeout: expected a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: .inf}\n",
        "1:24: mxm_secrets.timeout: expected a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets: {timeout: 10h}\n",
        "1:24: mxm_secrets.timeout: expected a number of seconds from 0.001 to 86400",
    ),
    (
        b"mxm_secrets:\n  gopas:\n    prefix: x\n",
        "2:3: mxm_secrets.gopas: unknown key: did you mean gopass?",
    ),
    (
        b"mxm_secrets: {nothing_like_it: {prefix: x}}\n",
        "1:15: mxm_secrets.nothing_like_it: unknown key; a custom backend needs a `command` or a `recipe`",
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
        "1:20: mxm_secrets.env: expected a mapping, found a string",
    ),
    (
        b"mxm_secrets: {env: {prefix: {a: b}}}\n",
        "1:29: mxm_secrets.env.prefix: expected a string, found a mapping",
    ),
    (
        b"mxm_secrets: {env: {required: maybe}}\n",
        "1:31: mxm_secrets.env.required: expected yes or no, found a string",
    ),
    (
        b"mxm_secrets: {env: {required: 1}}\n",
        "1:31: mxm_secrets.env.required: expected yes or no, found a number",
    ),
    (
        b"mxm_secrets: {env: {\"required \": yes}}\n",
        "1:21: mxm_secrets.env.required : unknown key: did you mean required?",
    ),
    (
        b"mxm_secrets: {1: x}\n",
        "1:15: mxm_secrets.1: unknown key; a custom backend needs a `command` or a `recipe`",
    ),
    (
        b"mxm_secrets: {token: x}\n",
        "1:15: mxm_secrets.token: a secret must not be in the configuration",
    ),
    (
        b"mxm_secrets: {gopass: {password: x}}\n",
        "1:24: mxm_secrets.gopass.password: a secret must not be in the configuration",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], secret_id: x}}\n",
        "1:45: mxm_secrets.own.secret_id: a secret must not be in the configuration",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{nam}\"]}}\n",
        "1:30: mxm_secrets.own.command: its arguments must contain {name}, the secret's name, {reference} or {variable}",
    ),
    (
        b"mxm_secrets: {own: {command: a}}\n",
        "1:30: mxm_secrets.own.command: its arguments must contain {name}, the secret's name, {reference} or {variable}",
    ),
    (
        b"mxm_secrets: {own: {command: []}}\n",
        "1:30: mxm_secrets.own.command: must name a program",
    ),
    (
        b"mxm_secrets: {own: {command: [\"\", \"{name}\"]}}\n",
        "1:30: mxm_secrets.own.command: must name a program",
    ),
    (
        b"mxm_secrets: {own: {command: \"ssh x {name}\"}}\n",
        "1:30: mxm_secrets.own.command: expected a list, since no shell splits it: [program, argument, argument]",
    ),
    (
        b"mxm_secrets: {gopas: {command: pass}}\n",
        "1:32: mxm_secrets.gopas.command: its arguments must contain {name}, the secret's name, {reference} or {variable}; did you mean gopass?",
    ),
    (
        b"mxm_secrets: {Own: {command: [a, \"{name}\"]}}\n",
        "1:15: mxm_secrets.Own: the name of a backend must start with a letter and contain only a-z, 0-9, _ and -",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], miss: 300}}\n",
        "1:51: mxm_secrets.own.miss: expected a status from 1 to 255, empty, {status: 1, says: TEXT}, or a list of these",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], miss: [0]}}\n",
        "1:52: mxm_secrets.own.miss: expected a status from 1 to 255, empty, {status: 1, says: TEXT}, or a list of these",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], names: some}}\n",
        "1:52: mxm_secrets.own.names: expected plain or any or id",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], mis: [44]}}\n",
        "1:45: mxm_secrets.own.mis: unknown key: did you mean miss?",
    ),
    (
        b"mxm_secrets: {own: {recipe: sop, file: x}}\n",
        "1:29: mxm_secrets.own.recipe: unknown recipe: did you mean sops?",
    ),
    (
        b"mxm_secrets: {own: {recipe: my-store}}\n",
        "1:29: mxm_secrets.own.recipe: unknown recipe: mxm-secrets list-backends --recipes lists them",
    ),
    (
        b"mxm_secrets: {own: {recipe: sops}}\n",
        "1:29: mxm_secrets.own.recipe: file is missing: the encrypted file",
    ),
    (
        b"mxm_secrets: {own: {recipe: mxm, host: \"\"}}\n",
        "1:40: mxm_secrets.own.host: must not be empty: the host, as for ssh",
    ),
    (
        b"mxm_secrets: {own: {recipe: mxm, host: \"${oc.env:MXM_NO_BRIDGE,}\"}}\n",
        "1:40: mxm_secrets.own.host: must not be empty: the host, as for ssh",
    ),
    (
        b"mxm_secrets: {own: {recipe: podman, container: \"\"}}\n",
        "1:48: mxm_secrets.own.container: must not be empty: the container",
    ),
    (
        b"mxm_secrets: {own: {recipe: azure-keyvault, vault: \"\"}}\n",
        "1:52: mxm_secrets.own.vault: must not be empty: the name of the vault",
    ),
    (
        b"mxm_secrets: {own: {recipe: macos-keychain, service: \"\"}}\n",
        "1:54: mxm_secrets.own.service: must not be empty: the service of the items",
    ),
    (
        b"mxm_secrets: {own: {recipe: mxm, host: \"-oProxyCommand=x\"}}\n",
        "1:40: mxm_secrets.own.host: must not begin with -: ssh would take it for an option",
    ),
    (
        b"mxm_secrets: {own: {recipe: gcloud, version: \"-x\"}}\n",
        "1:46: mxm_secrets.own.version: must not begin with -: gcloud would take it for an option",
    ),
    (
        b"mxm_secrets: {own: {recipe: sops, file: \"\"}}\n",
        "1:29: mxm_secrets.own.recipe: file is missing: the encrypted file",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], confirmed: x}}\n",
        "1:56: mxm_secrets.own.confirmed: nothing prints it: add `confirm`, the command that does",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], confirm: [\"\"], confirmed: x}}\n",
        "1:54: mxm_secrets.own.confirm: must name a program",
    ),
    (
        b"mxm_secrets: {own: {recipe: sops, file: x, flie: y}}\n",
        "1:44: mxm_secrets.own.flie: unknown key: did you mean file?",
    ),
    (
        b"mxm_secrets: {own: {recipe: sops, file: x, region: y}}\n",
        "1:44: mxm_secrets.own.region: unknown key: expected one of command, miss, unavailable, names, recipe, newline, none, separator, field, fields, confirm, confirmed, unattended, env, file, required",
    ),
    (
        b"mxm_secrets: {own: {recipe: [sops], file: x}}\n",
        "1:29: mxm_secrets.own.recipe: unknown recipe: mxm-secrets list-backends --recipes lists them",
    ),
    (
        b"mxm_secrets: {own: {recipe: ~, miss: 1}}\n",
        "1:15: mxm_secrets.own: a custom backend needs a `command` or a `recipe`",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], region: y}}\n",
        "1:45: mxm_secrets.own.region: unknown key: expected one of command, miss, unavailable, names, recipe, newline, none, separator, field, fields, confirm, confirmed, unattended, env, required",
    ),
    (
        b"mxm_secrets: {own: {command: [a, \"{name}\"], unattended: [X]}}\n",
        "1:57: mxm_secrets.own.unattended: expected NAME=VALUE",
    ),
    (
        b"mxm_secrets: {own: {recipe: vals, ref: \"sops://x\"}}\n",
        "1:29: mxm_secrets.own.command: its arguments must contain {name}, the secret's name, {reference} or {variable}",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a.b}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${a.b} not found: there is no key a",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${paths.rot}\"}}\npaths: {root: x}\n",
        "1:29: mxm_secrets.env.prefix: ${paths.rot} not found: there is no key rot: did you mean root?",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${.prefix}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the interpolation refers to itself",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a}\"}}\na: \"${b}\"\nb: \"${a}\"\n",
        "1:29: mxm_secrets.env.prefix: the interpolation refers to itself",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${mxm_secrets}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${mxm_secrets} refers to a value that contains it",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:NOT_SET}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable NOT_SET is not set, and ${oc.env:NOT_SET} has no default",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:VAULT_ROLE_ID,x}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable VAULT_ROLE_ID may hold a secret, which must not be in the configuration",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:BAO_HEADERS,x}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable BAO_HEADERS may hold a secret, which must not be in the configuration",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:VAULT_TOKEN,x}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable VAULT_TOKEN may hold a secret, which must not be in the configuration",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:PROD_API_KEY}\"}}\n",
        "1:29: mxm_secrets.env.prefix: the variable PROD_API_KEY may hold a secret, which must not be in the configuration",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.decode:x}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${oc.decode:…} is not supported: use ${oc.env:VARIABLE,default}",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a\"}}\n",
        "1:29: mxm_secrets.env.prefix: unclosed interpolation: } is missing",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${} is not an interpolation: expected the names of keys, separated by dots",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a b}\"}}\n",
        "1:29: mxm_secrets.env.prefix: 'b' is not allowed in the key of an interpolation",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"x${paths}\"}}\npaths: {a: b}\n",
        "1:29: mxm_secrets.env.prefix: cannot insert a mapping into a string",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${....a}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${....a} points outside the file",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"???\"}}\n",
        "1:29: mxm_secrets.env.prefix: ??? marks a value that must still be set",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${a}\"}}\na: ???\n",
        "1:29: mxm_secrets.env.prefix: ${a} is ???, a value that must still be set",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:A,b#c}\"}}\n",
        "1:29: mxm_secrets.env.prefix: '#' is not allowed in a default without quotes",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:A,'b}\"}}\n",
        "1:29: mxm_secrets.env.prefix: unclosed interpolation: a quote is missing",
    ),
    (
        b"mxm_secrets: {env: {prefix: \"${oc.env:A,b,c}\"}}\n",
        "1:29: mxm_secrets.env.prefix: ${oc.env:…} needs the name of a variable and at most one default",
    ),
    (
        b"mxm_secrets: {env: {prefix: !!int \"x\"}}\n",
        "1:29: mxm_secrets.env.prefix: not an integer, or too large",
    ),
    (
        b"mxm_secrets: {on_error: halt, timeout: soon, env: {prefx: a, prefix: [b]}, gopas: {}}\n",
        "1:25: mxm_secrets.on_error: expected stop or continue\n1:40: mxm_secrets.timeout: expected a number of seconds from 0.001 to 86400\n1:52: mxm_secrets.env.prefx: unknown key: did you mean prefix?\n1:70: mxm_secrets.env.prefix: expected a string, found a list\n1:76: mxm_secrets.gopas: unknown key: did you mean gopass?",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://user:example@vault.example:8200\"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://vault.example:99999\"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://\"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://vault.example:8200 \"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://vault.example:8200?x=1\"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"https://[fe80::1%eth0]:8200\"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"unix://x\"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH",
    ),
    (
        b"mxm_secrets: {vault: {address: \"htp://x\"}, gopass: {command: \"\"}}\n",
        "1:32: mxm_secrets.vault.address: expected an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH\n1:62: mxm_secrets.gopass.command: must name a program",
    ),
    (
        b"mxm_secrets: {env: @x}\n",
        "1:20: not valid YAML: unexpected character: `@'",
    ),
    (
        b"mxm_secrets: {env: %x}\n",
        "1:20: not valid YAML: unexpected character: `%'",
    ),
    (
        b"mxm_secrets: {env: {prefix: 'a}}\n",
        "1:29: not valid YAML: while scanning a quoted scalar, found unexpected end of stream",
    ),
    (
        b"%YAML 9.9\n---\na: b\n",
        "3:1: a: unknown top-level key: settings of mxm-secrets belong under mxm_secrets",
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
        &format!("{place} more than 10000 interpolations to resolve"),
    );
    check(
        format!("{prefix}{long}a300: x\n").as_bytes(),
        &format!("{place} interpolations are nested more than 100 levels deep"),
    );
    check(
        format!(
            "mxm_secrets: {{env: {{prefix: \"{}\"}}}}\n",
            "${".repeat(50_000)
        )
        .as_bytes(),
        &format!("{place} interpolations are nested more than 100 levels deep"),
    );
    for (depth, column) in [(150, 103), (100_000, 259)] {
        check(
            format!("a: {}{}\n", "[".repeat(depth), "]".repeat(depth)).as_bytes(),
            &format!("1:{column}: nested more than 100 levels deep"),
        );
    }
    let aliases: String = "abcdef"
        .chars()
        .zip("bcdefg".chars())
        .map(|(a, b)| format!("{b}: &{b} [{}]\n", vec![format!("*{a}"); 10].join(",")))
        .collect();
    check(
        format!("a: &a [x,x,x,x,x,x,x,x,x,x]\n{aliases}").as_bytes(),
        "5:26: more than 100000 values once aliases are expanded",
    );
}

#[test]
fn every_file_of_a_store_is_told_where_it_is_wrong() {
    let home = Home::new();
    let store = "mxm-config-store/apps/mxm-secrets";
    let default = home.write(&format!("{store}/default.yaml"), "mxm_secrets: [\n");
    let role = home.write(&format!("{store}/role.yaml"), "a: b: c\n");
    let expected = format!(
        "mxm-secrets: {}:2:1: not valid YAML: while parsing a node, did not find expected node content\n\
         mxm-secrets: {}:1:5: not valid YAML: mapping values are not allowed in this context\n",
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
        "mxm-secrets: {}:1:27: here: mxm_secrets.env: a list must not replace a mapping\n",
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
         mxm-secrets: {1}:2:1: 1: YAML does not read this as a string: put it in quotes\n\
         mxm-secrets: {1}:3:33: cloud: mxm_secrets.backends: unknown backend \"evn\": did you mean env?\n\
         mxm-secrets: {1}:3:50: cloud: mxm_secrets.on_error: ${{no.where}} not found: there is no key no\n",
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
            "backends: the value of ${...} is not valid here",
        ),
        (
            "backends: [env, '${x}']",
            "backends: the value of ${...} is not valid here",
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
            "stores.s.backend: the value of ${...}",
        ),
        (
            "policies: {p: {allowed_principals: ['${oc.env:MYVALUE}']}}",
            "allowed_principals: the value of ${...}",
        ),
        (
            "refs: {r: {store: s, path: a, policy: '${oc.env:ANYTHING}'}}, REST",
            "refs.r.policy: the value of ${...}",
        ),
        (
            "refs: {r: {store: s, path: '/${oc.env:MYVALUE}', policy: p}}, REST",
            "refs.r.path: the value of ${...}",
        ),
        (
            "own: {command: [t, '{name}'], miss: {says: '${x}'}, unavailable: {says: '${x}'}}",
            "own.miss: the value of ${...}",
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
