//! vault: what resolve and list-backends tell of it, and that no token is in it.

use crate::support::vault::{ROOT, Scripted, Server, answer, kv};
use crate::support::{Home, Transcript};

fn stdout(seen: &Transcript) -> String {
    assert!(!seen.stderr.contains("canary"), "{}", seen.stderr);
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(!text.contains("canary"), "{text}");
    text
}

/// What `list-backends` says of it: status, what it uses, why not.
fn listed(home: &Home, status: i32) -> (String, String, String) {
    let seen = home.run(["list-backends", "--json"]);
    assert_eq!((seen.status, seen.stderr.as_str()), (Some(status), ""));
    let text = stdout(&seen);
    let line = text
        .lines()
        .find(|line| line.contains("\"backend\":\"vault\""))
        .unwrap();
    let rest = line
        .strip_prefix("{\"schema\":1,\"backend\":\"vault\",\"in_chain\":true,\"status\":\"")
        .unwrap_or_else(|| panic!("{line}"));
    let (status, rest) = rest.split_once("\",\"uses\":\"").unwrap();
    let (uses, reason) = rest.split_once("\",\"reason\":").unwrap();
    (
        status.to_owned(),
        uses.to_owned(),
        reason.trim_end_matches('}').to_owned(),
    )
}

#[test]
fn resolve_tells_the_whole_place() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("reports/a", r#"{"value":"canary-value"}"#);
    let at = &server.address;
    let home = server.root_home();
    let place = format!("secret/reports/a#value at {at} (KV v2, token of VAULT_TOKEN)");
    let seen = home.run(["resolve", "reports/a"]);
    seen.is(0, format!("reports/a\tvault\t{place}\n"), "");
    let seen = home.run(["resolve", "--explain", "reports/a"]);
    let table = stdout(&seen);
    assert!(
        table.contains(&format!("  vault    {place}  hit ")),
        "{table}"
    );
    let seen = home.run(["resolve", "--json", "reports/a"]);
    let json = stdout(&seen);
    let chain = format!(
        "{{\"schema\":1,\"name\":\"reports/a\",\"outcome\":\"found\",\"backend\":\"vault\",\"locator\":\"{place}\",\
         \"chain\":[{{\"backend\":\"vault\",\"locator\":\"{place}\",\"answer\":\"hit\",\"reason\":null,\"hint\":null,\"transient\":null,\"seconds\":"
    );
    assert!(json.starts_with(&chain), "{json}");
    // What is not there has a place, too.
    let seen = home.run(["resolve", "--json", "reports/none#field"]);
    let json = stdout(&seen);
    assert!(
        json.contains(&format!(
            "\"locator\":\"secret/reports/none#field at {at} (KV v2, token of VAULT_TOKEN)\",\"answer\":\"miss\",\
             \"reason\":\"secret/reports/none is not in Vault at {at}\""
        )),
        "{json}"
    );
}

#[test]
fn resolve_tells_namespace_and_login() {
    let server = Scripted::start(|request, stream| {
        use std::io::Write;
        let answer = match request.split(' ').nth(1).unwrap_or_default() {
            "/v1/auth/ci/login" => answer(
                200,
                "{\"auth\":{\"client_token\":\"canary-2\",\"token_type\":\"batch\"}}",
            ),
            _ => kv("{\"value\":\"canary-value\"}"),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let mut home = server.home();
    home.set("VAULT_NAMESPACE", "team/a")
        .set("MXM_SECRETS_VAULT_MOUNT", "kv")
        .set("MXM_SECRETS_VAULT_AUTH_METHOD", "jwt")
        .set("MXM_SECRETS_VAULT_AUTH_MOUNT", "ci")
        .set("MXM_SECRETS_VAULT_JWT", "canary-jwt");
    let seen = home.run(["resolve", "a"]);
    assert_eq!(
        stdout(&seen),
        format!(
            "a\tvault\tkv/a#value at {} (namespace team/a, KV v2, login by jwt at auth/ci)\n",
            server.address()
        )
    );
}

#[test]
fn list_backends_tells_what_there_is_to_know() {
    let Some(server) = Server::shared() else {
        return;
    };
    let at = &server.address;
    let uses = |circumstances: &str| {
        format!("{at}, version 1.21.0, unsealed, mount secret ({circumstances})")
    };
    let is_ready = |home: &Home, circumstances: &str| {
        let (status, seen, reason) = listed(home, 0);
        // The release is whichever this machine has.
        let known = seen
            .split(", ")
            .filter(|part| !part.starts_with("version "));
        let expected = uses(circumstances);
        let expected = expected
            .split(", ")
            .filter(|part| !part.starts_with("version "));
        assert!(known.eq(expected), "{seen}");
        assert!(seen.contains(", version "), "{seen}");
        assert_eq!((status.as_str(), reason.as_str()), ("ready", "null"));
    };
    is_ready(&server.root_home(), "KV v2, token of VAULT_TOKEN");
    let home = server.home();
    let (status, seen, reason) = listed(&home, 4);
    assert_eq!(status, "failed");
    assert!(seen.ends_with(", mount secret (no token)"), "{seen}");
    assert_eq!(reason, format!("\"{at} denies secret: no token is given\""));
    home.write_key(".vault-token", ROOT);
    is_ready(&home, "KV v2, token of ~/.vault-token");
    home.write_key(".vault-token", "canary-token");
    let (status, seen, reason) = listed(&home, 4);
    assert_eq!(status, "failed");
    assert!(
        seen.ends_with(", mount secret (token of ~/.vault-token)"),
        "{seen}"
    );
    assert_eq!(
        reason,
        format!(
            "\"{at} does not know the token of ~/.vault-token: it is wrong, revoked or expired\""
        )
    );
    // No one logs in for a list.
    let mut home = server.home();
    home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
        .set("MXM_SECRETS_VAULT_ROLE_ID", "canary-role")
        .set("MXM_SECRETS_VAULT_SECRET_ID", "canary-secret");
    is_ready(
        &home,
        "login by approle at auth/approle; the login was not tried: use --login",
    );
    home.set("MXM_SECRETS_VAULT_KV_VERSION", "1")
        .set("VAULT_NAMESPACE", "team");
    is_ready(
        &home,
        "namespace team, KV v1, login by approle at auth/approle; the login was not tried: use --login",
    );
}

#[test]
fn list_backends_tells_why_a_server_would_not_answer() {
    let Some(server) = Server::start() else {
        return;
    };
    let home = server.root_home();
    server.api("PUT", "sys/seal", "");
    let (status, uses, reason) = listed(&home, 4);
    assert_eq!(status, "failed");
    assert!(
        uses.contains(", sealed, mount secret (token of VAULT_TOKEN)"),
        "{uses}"
    );
    assert_eq!(reason, format!("\"{} is sealed\"", server.address));
    let seen = home.run(["resolve", "--explain", "a"]);
    let table = stdout(&seen);
    let row = format!(
        "  vault    secret/a#value at {} (token of VAULT_TOKEN)  failed  {} is sealed ",
        server.address, server.address
    );
    assert!(table.contains(&row), "{table}");
    let mut home = server.root_home();
    home.set("VAULT_ADDR", "https://127.0.0.1:1");
    let (status, uses, reason) = listed(&home, 4);
    assert_eq!(status, "failed");
    assert_eq!(
        uses,
        "https://127.0.0.1:1, mount secret (token of VAULT_TOKEN)"
    );
    assert!(
        reason.starts_with("\"cannot connect to https://127.0.0.1:1: "),
        "{reason}"
    );
}

/// A login is tried only with --login, and leaves no token.
#[test]
fn list_backends_tries_a_login_if_asked_to() {
    let server = Scripted::start(|request, stream| {
        use std::io::Write;
        let line = request.lines().next().unwrap_or_default();
        let auth = r#"{"auth":{"client_token":"hvs.example-of-a-token","token_type":"service"}}"#;
        let answer = match line.split(' ').nth(1).unwrap_or_default() {
            "/v1/auth/approle/login" if request.contains("\"good-secret-id\"") => answer(200, auth),
            "/v1/auth/approle/login" => answer(400, r#"{"errors":["invalid role or secret ID"]}"#),
            "/v1/auth/token/revoke-self" => answer(204, ""),
            path if path.starts_with("/v1/sys/health") => {
                answer(200, r#"{"initialized":true,"sealed":false}"#)
            }
            _ => answer(
                200,
                r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#,
            ),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let mut home = server.home();
    home.set("VAULT_TOKEN", "")
        .set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
        .set("MXM_SECRETS_VAULT_ROLE_ID", "example-role-id");
    let list = |home: &Home, arguments: &[&str]| {
        let seen = home.run(arguments);
        String::from_utf8(seen.stdout).unwrap()
    };
    for (secret_id, status) in [("good-secret-id", "ready"), ("bogus-one", "failed")] {
        home.set("MXM_SECRETS_VAULT_SECRET_ID", secret_id);
        let without = list(&home, &["list-backends", "--json"]);
        assert!(
            without.contains("\"in_chain\":true,\"status\":\"ready\""),
            "{without}"
        );
        assert!(
            without.contains("the login was not tried: use --login"),
            "{without}"
        );
        let with = list(&home, &["list-backends", "--json", "--login"]);
        assert!(
            with.contains(&format!("\"in_chain\":true,\"status\":\"{status}\"")),
            "{with}"
        );
        assert!(!with.contains("not tried"), "{with}");
    }
    let requests = server.requests();
    let count = |path: &str| {
        requests
            .iter()
            .filter(|request| request.starts_with(path))
            .count()
    };
    assert_eq!(count("POST /v1/auth/approle/login "), 2);
    assert_eq!(count("POST /v1/auth/token/revoke-self "), 1);
}
