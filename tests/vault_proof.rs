//! vault: only proof is a miss. Every way in which a server's answer looks like "there is none" and is not.

use std::io::Write;
use std::process::Command;

use crate::support::Home;
use crate::support::vault::{ROOT, Scripted, Server, answer};

/// A lookup that must fail, whatever stands in for a missing secret; without `--on-error continue`, as ever.
#[track_caller]
fn fails(home: &Home, name: &str, words: &[&str]) {
    home.run(["get", "--default", "the-default", name])
        .has(4, "", words);
    home.run(["get", "--backend", "vault,env", name])
        .has(4, "", words);
    home.run(["get", "--on-error", "continue", name])
        .has(4, "", words);
    let explained = home.run(["resolve", "--json", name]);
    let json = String::from_utf8(explained.stdout).unwrap();
    assert!(json.contains("\"outcome\":\"failed\""), "{json}");
}

/// What the server answers to the request and its token, as HTTP.
fn forward(server: &Server, request: &str) -> String {
    let path = request.split(' ').nth(1).unwrap();
    let token = request
        .lines()
        .find(|line| line.starts_with("X-Vault-Token: "));
    let output = Command::new("curl")
        .args(["-q", "--noproxy", "*", "-s", "--cacert"])
        .arg(&server.ca)
        .args(["-H", token.unwrap()])
        .args(["-w", "\n%{http_code}"])
        .arg(format!("{}{path}", server.address))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    answer(status.parse().unwrap(), body)
}

/// A gateway before `server` that lets nobody at its paths below sys/, as many do, and drops queries unless it `asks`.
fn gateway(server: &'static Server, asks: bool) -> Scripted {
    Scripted::start(move |request, stream| {
        let reply = match request.starts_with("GET /v1/sys/") {
            true => answer(403, r#"{"errors":["permission denied"]}"#),
            false if asks => forward(server, request),
            false => forward(server, &request.replacen("?help=1", "", 1)),
        };
        let _ = stream.write_all(reply.as_bytes());
    })
}

fn mounts(server: &Server) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        server.set_up(
            "sys/mounts/proof",
            r#"{"type":"kv","options":{"version":"1"}}"#,
        );
        server.set_up("proof/prod/api-key", r#"{"value":"one"}"#);
        server.set_up("sys/mounts/plain", r#"{"type":"kv"}"#);
        server.set_up("plain/prod/api-key", r#"{"value":"zero"}"#);
        server.set_up("plain/prod/ttl", r#"{"value":"zero","ttl":"0"}"#);
        server.put("prod/api-key", r#"{"value":"two"}"#);
        server.put("prod/null", r#"{"a":null,"b":null}"#);
    });
}

#[test]
fn an_engine_of_a_version_that_is_not_told_is_asked_as_both() {
    let Some(server) = Server::shared() else {
        return;
    };
    mounts(server);
    let (deaf, gateway) = (gateway(server, false), gateway(server, true));
    let mut home = Home::new();
    home.set("VAULT_ADDR", gateway.address())
        .set("VAULT_TOKEN", ROOT)
        .set("PROD_API_KEY", "stale")
        .set("MXM_SECRETS_BACKENDS", "vault");
    home.run(["get", "prod/api-key"]).is(0, "two\n", "");
    // Version 2 says in words of its own that it is that, so that it can be believed.
    home.run(["get", "prod/none"]).has(1, "", &["missing"]);
    home.run(["get", "prod/null"]).has(1, "", &["missing"]);
    home.set("MXM_SECRETS_VAULT_MOUNT", "proof");
    home.run(["get", "--default", "d", "prod/api-key"])
        .is(0, "one\n", "");
    home.run(["get", "--backend", "vault,env", "prod/api-key"])
        .is(0, "one\n", "");
    // Version 1 says it in its help, which every token may ask for.
    home.run(["get", "prod/none"]).has(1, "", &["missing"]);
    home.set("VAULT_ADDR", deaf.address());
    let unknown = "the version of the KV engine proof is unknown";
    let hint = "let sys/internal/ui/mounts/proof be read";
    fails(&home, "prod/none", &[unknown, "set kv_version", hint]);
    home.set("VAULT_ADDR", gateway.address());
    // What an engine of version 2 has for itself is no secret of version 1.
    home.set("MXM_SECRETS_VAULT_MOUNT", "secret");
    fails(&home, "data/prod/api-key", &["is unknown"]);
    fails(&home, "metadata/prod/api-key", &["is unknown"]);
    home.set("MXM_SECRETS_VAULT_MOUNT", "secret/data");
    fails(&home, "prod/api-key", &["is unknown"]);
    // Whoever says which it is may be wrong: that is no proof of a miss.
    home.set("MXM_SECRETS_VAULT_MOUNT", "proof")
        .set("MXM_SECRETS_VAULT_KV_VERSION", "1");
    home.run(["get", "prod/api-key"]).is(0, "one\n", "");
    home.run(["get", "prod/none"]).has(1, "", &["missing"]);
    home.run(["get", "metadata/none"]).has(1, "", &["missing"]);
    home.set("VAULT_ADDR", deaf.address());
    home.run(["get", "prod/api-key"]).is(0, "one\n", "");
    fails(&home, "prod/none", &[unknown, hint]);
    home.set("VAULT_ADDR", gateway.address());
    // The engine knows the path by another name: the mount is not the one that is meant.
    home.set("MXM_SECRETS_VAULT_MOUNT", "proof/prod");
    home.run(["get", "api-key"]).is(0, "one\n", "");
    fails(
        &home,
        "none",
        &["the version of the KV engine proof/prod is unknown"],
    );
    home.set("MXM_SECRETS_VAULT_MOUNT", "cubbyhole");
    fails(
        &home,
        "none",
        &["the version of the KV engine cubbyhole is unknown"],
    );
    home.set("MXM_SECRETS_VAULT_MOUNT", "proof");
    home.set("MXM_SECRETS_VAULT_KV_VERSION", "2");
    fails(
        &home,
        "prod/api-key",
        &["proof is a KV engine of version 1, but kv_version is 2"],
    );
    fails(&home, "prod/none", &["is unknown"]);
}

#[test]
fn a_given_version_is_believed_only_with_the_words_of_the_engine() {
    let Some(server) = Server::shared() else {
        return;
    };
    mounts(server);
    let gateway = gateway(server, true);
    let policy = ["secret", "proof"]
        .map(|it| format!("path \"{it}/data/*\" {{ capabilities = [\"read\"] }}"));
    let mut home = Home::new();
    home.set("VAULT_ADDR", gateway.address())
        .set(
            "VAULT_TOKEN",
            server.token("of-version-2", &policy.concat()),
        )
        .set("PROD_API_KEY", "stale")
        .set("MXM_SECRETS_BACKENDS", "vault")
        .set("MXM_SECRETS_VAULT_KV_VERSION", "2");
    home.run(["get", "prod/api-key"]).is(0, "two\n", "");
    home.run(["get", "prod/none"]).has(1, "", &["missing"]);
    home.set("MXM_SECRETS_VAULT_MOUNT", "proof");
    for name in ["prod/api-key", "prod/none"] {
        fails(
            &home,
            name,
            &["the version of the KV engine proof is unknown"],
        );
    }
}

#[test]
fn an_engine_without_options_is_of_version_1() {
    let Some(server) = Server::shared() else {
        return;
    };
    mounts(server);
    let mut home = server.root_home();
    home.set("MXM_SECRETS_VAULT_MOUNT", "plain");
    for version in ["auto", "1"] {
        home.set("MXM_SECRETS_VAULT_KV_VERSION", version);
        home.run(["get", "prod/api-key"]).is(0, "zero\n", "");
        for name in ["prod/none", "prod/api-key#none", "prod/ttl#none"] {
            home.run(["get", name]).has(1, "", &["missing"]);
        }
    }
}

#[test]
fn what_is_no_secret_of_version_1_lacks_no_field() {
    let leased = r#"{"lease_duration":2764800,"data":{"a":"a","b":"b"}}"#;
    let other = r#"{"lease_duration":0,"data":{"a":"a","b":"b"}}"#;
    let bare = r#"{"data":{"a":"a","b":"b"}}"#;
    let own = r#"{"lease_duration":0,"data":{"a":"a","ttl":"0"}}"#;
    let one = r#""type":"kv","options":{"version":"1"}"#;
    for (mount, body, missing) in [
        (one, leased, true),
        (r#""type":"kv","options":{}"#, leased, true),
        (r#""type":"kv","options":null"#, leased, true),
        (r#""type":"generic","options":null"#, leased, true),
        (one, own, true),
        (one, other, false),
        (one, bare, false),
        (r#""type":"kv","options":{}"#, other, false),
        (r#""type":"kv","options":{"version":null}"#, leased, false),
        (r#""type":"kv","options":{"version":""}"#, leased, false),
        (r#""type":"kv","options":{"version":1}"#, leased, false),
        (r#""type":"kv","options":"""#, other, false),
        (r#""type":"kv""#, other, false),
        (r#""options":{"version":"1"}"#, leased, false),
        (r#""type":null,"options":{"version":"1"}"#, leased, false),
    ] {
        let told = format!(r#"{{"data":{{"path":"secret/",{mount}}}}}"#);
        let server = Scripted::start(move |request, stream| {
            let reply = match request.split(' ').nth(1).unwrap_or_default() {
                path if path.contains("/sys/") => answer(200, &told),
                "/v1/secret/a" => answer(200, body),
                _ => answer(404, r#"{"errors":[]}"#),
            };
            let _ = stream.write_all(reply.as_bytes());
        });
        let mut home = server.home();
        home.set("MXM_SECRETS_VAULT_KV_VERSION", "auto");
        if missing {
            home.run(["get", "--default", "d", "a#value"])
                .is(3, "d\n", "");
        } else {
            fails(&home, "a#value", &["failed: vault: "]);
        }
        home.set("MXM_SECRETS_VAULT_KV_VERSION", "1");
        if !missing {
            fails(&home, "a#value", &["failed: vault: "]);
        }
    }
}

#[test]
fn a_path_below_a_mount_is_not_a_mount() {
    let Some(server) = Server::shared() else {
        return;
    };
    mounts(server);
    let mut home = server.root_home();
    home.set("PROD_API_KEY", "stale");
    for (mount, hint) in [
        ("secret/data", "set mount to secret\n"),
        ("secret/metadata", "set mount to secret\n"),
        ("secret/prod", "set mount to secret, and prefix to prod\n"),
        ("proof/prod", "set mount to proof, and prefix to prod\n"),
    ] {
        home.set("MXM_SECRETS_VAULT_MOUNT", mount);
        let words = format!(
            "{mount} is not a mount: for {} it is a path",
            server.address
        );
        for name in ["prod/api-key", "api-key", "none"] {
            fails(&home, name, &[&words, hint]);
        }
        let listed = home.run(["list-backends"]);
        let table = String::from_utf8(listed.stdout).unwrap();
        let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(listed.status, Some(4), "{table}");
        assert!(
            table.contains(" failed ") && table.contains(&words),
            "{table}"
        );
        // A miss needs the mount to be the one that is meant, whoever has named the version.
        for version in ["1", "2"] {
            let mut home = server.root_home();
            home.set("MXM_SECRETS_VAULT_MOUNT", mount)
                .set("MXM_SECRETS_VAULT_KV_VERSION", version);
            fails(&home, "none", &[mount]);
            if mount == "secret/data" {
                fails(&home, "prod/api-key#value", &[mount]);
            }
        }
    }
}

/// A server always says which mount it speaks of: a report that does not is not all that it has said.
#[test]
fn a_report_of_the_mount_that_is_not_whole_is_a_failure() {
    for report in [
        r#""type":"kv","options":{"version":"1"}"#,
        r#""path":null,"type":"kv","options":{"version":"1"}"#,
        r#""path":["secret/"],"type":"kv","options":{"version":"1"}"#,
        r#""path":"secret/","type":"kv""#,
        r#""path":"secret/","type":"kv","options":"1""#,
    ] {
        let report = format!(r#"{{"data":{{{report}}}}}"#);
        let server = Scripted::start(move |request, stream| {
            let reply = match request.contains("/sys/internal/ui/mounts/") {
                true => answer(200, &report),
                false => answer(404, r#"{"errors":[]}"#),
            };
            let _ = stream.write_all(reply.as_bytes());
        });
        let mut home = server.home();
        home.set("A", "stale");
        for version in ["1", "2", "auto"] {
            home.set("MXM_SECRETS_VAULT_KV_VERSION", version);
            fails(&home, "a", &["did not answer like a Vault server"]);
        }
    }
}

/// An empty 404 for the mount, too: whoever says which version it is knows no more of the mount than that it is not there.
#[test]
fn a_mount_of_which_nothing_is_there_lacks_no_secret() {
    let server = Scripted::answering(answer(404, r#"{"errors":[]}"#));
    let mut home = server.home();
    home.set("PROD_API_KEY", "stale")
        .set("MXM_SECRETS_VAULT_MOUNT", "kv/prod");
    for (version, words) in [
        ("1", "has no mount kv/prod"),
        ("2", "is unknown"),
        ("auto", "is unknown"),
    ] {
        home.set("MXM_SECRETS_VAULT_KV_VERSION", version);
        fails(&home, "prod/api-key", &[words]);
    }
}

#[test]
fn a_version_that_is_not_the_engines_is_a_failure() {
    let Some(server) = Server::shared() else {
        return;
    };
    mounts(server);
    for (mount, version, word) in [
        (
            "proof",
            "2",
            "proof is a KV engine of version 1, but kv_version is 2",
        ),
        (
            "secret",
            "1",
            "secret is not the mount of a KV engine of that version",
        ),
    ] {
        let mut home = server.root_home();
        home.set("MXM_SECRETS_VAULT_MOUNT", mount)
            .set("MXM_SECRETS_VAULT_KV_VERSION", version);
        for name in ["prod/api-key", "none"] {
            fails(&home, name, &[word]);
        }
        let listed = home.run(["list-backends"]);
        let table = String::from_utf8(listed.stdout).unwrap();
        let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            listed.status == Some(4) && table.contains(" failed "),
            "{table}"
        );
    }
}

#[test]
fn only_an_empty_list_of_errors_says_that_there_is_none() {
    let told = r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#;
    for (status, body, missing) in [
        (404, r#"{"errors":[]}"#, true),
        (404, r#" { "errors" : [ ] } "#, true),
        (404, r#"{"errors":[],"warnings":null}"#, true),
        (404, r#"{"errors":null}"#, false),
        (404, r#"{"errors":{}}"#, false),
        (404, r#"{"errors":""}"#, false),
        (404, r#"{"errors":"gone"}"#, false),
        (404, r#"{"errors":[null]}"#, false),
        (404, r#"{"errors":[[]]}"#, false),
        (404, r#"{"errors":0}"#, false),
        (404, r#"{"error":[]}"#, false),
        (404, r#"{}"#, false),
        (404, r#"[]"#, false),
        (404, "", false),
        (404, r#"{"errors":[],"warnings":["x"]}"#, false),
        (404, r#"{"errors":[],"warnings":"x"}"#, false),
        (404, r#"{"errors":[],"data":{"data":{"value":"v"}}}"#, false),
        (404, r#"{"errors":[]"#, false),
        (
            404,
            r#"{"data":{"data":{"value":"v"},"metadata":{"deletion_time":"2026","destroyed":false}}}"#,
            false,
        ),
        (
            404,
            r#"{"data":{"data":null,"metadata":{"deletion_time":"","destroyed":false}}}"#,
            false,
        ),
        (
            404,
            r#"{"data":{"data":null,"metadata":{"deletion_time":"2026","destroyed":false}}}"#,
            true,
        ),
        (
            404,
            r#"{"data":{"data":null,"metadata":{"deletion_time":"","destroyed":true}}}"#,
            true,
        ),
        (200, r#"{"errors":[]}"#, false),
        (
            200,
            r#"{"data":{"data":null,"metadata":{"deletion_time":"","destroyed":false}}}"#,
            false,
        ),
        (200, r#"{"data":{"data":{},"metadata":null}}"#, false),
        (200, r#"{"data":null}"#, false),
        (
            200,
            r#"{"data":{"data":{"value":"a","value":null},"metadata":{}}}"#,
            false,
        ),
        (
            200,
            r#"{"data":{"data":{"value":"\ud800"},"metadata":{}}}"#,
            false,
        ),
        (
            200,
            r#"{"data":{"data":{"x":null,"y":"y"},"metadata":{}}}"#,
            false,
        ),
        (200, r#"{"data":{"data":{},"metadata":{}}}"#, true),
        (
            200,
            r#"{"data":{"data":{"x":null,"y":null},"metadata":{}}}"#,
            true,
        ),
        (410, r#"{"errors":[]}"#, false),
        (400, r#"{"errors":[]}"#, false),
        (204, "", false),
    ] {
        let server = Scripted::start(move |request, stream| {
            let reply = match request.contains("/sys/internal/ui/mounts/") {
                true => answer(200, told),
                false => answer(status, body),
            };
            let _ = stream.write_all(reply.as_bytes());
        });
        let mut home = server.home();
        home.set("A", "stale");
        for version in ["2", "auto"] {
            home.set("MXM_SECRETS_VAULT_KV_VERSION", version);
            if missing {
                home.run(["get", "--default", "d", "a"]).is(3, "d\n", "");
            } else {
                fails(&home, "a", &["failed: vault: "]);
            }
        }
    }
}
