//! vault: reading from a real server.

use std::fs;

use crate::support::vault::{ROOT, Server, eventually, member};

#[test]
fn a_secret_is_found() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("found/api-key", r#"{"value":"s3cret"}"#);
    let home = server.root_home();
    home.run(["get", "found/api-key"]).is(0, "s3cret\n", "");
    home.run(["get", "--raw", "found/api-key"])
        .is(0, "s3cret", "");
    let place = format!(
        "secret/found/api-key#value at {} (KV v2, token of VAULT_TOKEN)",
        server.address
    );
    home.run(["get", "--verbose", "found/api-key"]).has(
        0,
        "s3cret\n",
        &["vault: hit: found/api-key found", &place],
    );
    home.run(["get", "found/none"])
        .is(1, "", "mxm-secrets: found/none: missing: not in vault\n");
}

#[test]
fn names_are_encoded() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("enc/a%20b%2Bc%25%3F%23%26;%C3%A9", r#"{"value":"odd"}"#);
    let home = server.root_home();
    home.run(["get", "enc/a b+c%?&;é"]).has(1, "", &["missing"]);
    server.put("enc/a%20b%2Bc%25%3F&;%C3%A9", r#"{"value":"odd"}"#);
    home.run(["get", "enc/a b+c%?&;é"]).is(0, "odd\n", "");
}

#[test]
fn fields_follow_the_rule() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put(
        "fields/many",
        r#"{"s":"a\"\\\né😀","n":1234567890123,"f":1.50,"t":true,"z":null,"o":{"b": [1, "x y"]},"e":""}"#,
    );
    server.put("fields/only", r#"{"password":"p"}"#);
    server.put("fields/null", r#"{"value":null}"#);
    server.put("fields/empty", r#"{}"#);
    server.put("fields/two", r#"{"value":null,"other":"o"}"#);
    server.put("fields/both", r#"{"value":"v","other":"o"}"#);
    let home = server.root_home();
    for (name, value) in [
        ("fields/many#s", "a\"\\\né😀\n"),
        ("fields/many#n", "1234567890123\n"),
        // The server has written it anew.
        ("fields/many#f", "1.5\n"),
        ("fields/many#t", "true\n"),
        ("fields/many#o", "{\"b\":[1,\"x y\"]}\n"),
        ("fields/only", "p\n"),
        ("fields/only#password", "p\n"),
        ("fields/both", "v\n"),
        ("fields/both#other", "o\n"),
    ] {
        home.run(["get", name]).is(0, value, "");
    }
    for name in [
        "fields/many#z",
        "fields/null",
        "fields/empty",
        "fields/null#value",
        "fields/many#e",
    ] {
        home.run(["get", name]).has(1, "", &["missing"]);
    }
    home.run(["get", "fields/both#none"]).has(
        1,
        "",
        &["fields/both#none: missing", "it has other, value"],
    );
    home.run(["get", "--verbose", "fields/both#none"]).has(
        1,
        "",
        &[
            "secret/fields/both has no field none: it has ",
            "other",
            "value",
        ],
    );
    home.run(["get", "fields/two"])
        .has(4, "", &["has no field value: it has other\n"]);
    let many = home.run(["get", "fields/many"]);
    many.has(
        4,
        "",
        &[
            "has no field value: it has ",
            "s",
            "name one of them: fields/many#FIELD",
        ],
    );
    assert!(!many.stderr.contains("12345"));
    let mut other = server.root_home();
    other.set("MXM_SECRETS_VAULT_FIELD", "other");
    other.run(["get", "fields/both"]).is(0, "o\n", "");
}

#[test]
fn versions_that_are_gone_are_missing() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("gone/deleted", r#"{"value":"1"}"#);
    server.api("DELETE", "secret/data/gone/deleted", "");
    server.put("gone/destroyed", r#"{"value":"1"}"#);
    server.set_up("secret/destroy/gone/destroyed", r#"{"versions":[1]}"#);
    let home = server.root_home();
    home.run(["get", "--verbose", "gone/deleted"]).has(
        1,
        "",
        &["vault: miss: secret/gone/deleted has been deleted in its latest version"],
    );
    home.run(["get", "--verbose", "gone/destroyed"]).has(
        1,
        "",
        &["vault: miss: secret/gone/destroyed has been destroyed"],
    );
}

#[test]
fn version_1_is_found_out_or_configured() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.set_up(
        "sys/mounts/team/v1",
        r#"{"type":"kv","options":{"version":"1"}}"#,
    );
    server.set_up("team/v1/app/key", r#"{"value":"one"}"#);
    server.put("versions/key", r#"{"value":"two"}"#);
    let mut home = server.root_home();
    home.set("MXM_SECRETS_VAULT_MOUNT", "team/v1")
        .set("MXM_SECRETS_VAULT_PREFIX", "/app/");
    home.run(["get", "key"]).is(0, "one\n", "");
    home.run(["get", "none"]).has(1, "", &["missing"]);
    home.run(["get", "--verbose", "key"])
        .has(0, "one\n", &["team/v1/app/key#value", "KV v1"]);
    home.set("MXM_SECRETS_VAULT_KV_VERSION", "1");
    home.run(["get", "key"]).is(0, "one\n", "");
    home.set("MXM_SECRETS_VAULT_KV_VERSION", "2");
    for name in ["key", "none"] {
        home.run(["get", "--default", "d", name]).has(
            4,
            "",
            &["team/v1 is a KV engine of version 1, but kv_version is 2"],
        );
    }
    let mut wrong = server.root_home();
    wrong.set("MXM_SECRETS_VAULT_KV_VERSION", "1");
    wrong.run(["get", "versions/key"]).has(
        4,
        "",
        &[
            "secret is not the mount of a KV engine of that version",
            "check mount and kv_version",
        ],
    );
}

#[test]
fn a_mount_that_is_not_there_or_no_kv_is_a_failure() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut home = server.root_home();
    home.set("MXM_SECRETS_VAULT_MOUNT", "nope");
    home.run(["get", "a"]).has(
        4,
        "",
        &["has no mount nope", "check mount and the namespace"],
    );
    home.set("MXM_SECRETS_VAULT_MOUNT", "sys");
    home.run(["get", "a"])
        .has(4, "", &["sys is not a KV engine"]);
}

#[test]
fn a_policy_of_one_path_allows_that_path() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("policy/mine", r#"{"value":"m"}"#);
    server.put("policy/theirs", r#"{"value":"t"}"#);
    let rule = r#"path "secret/data/policy/mine" { capabilities = ["read"] }"#;
    let token = server.token("onepath", rule);
    let mut home = server.home();
    home.set("VAULT_TOKEN", &token);
    home.run(["get", "policy/mine"]).is(0, "m\n", "");
    for name in ["policy/theirs", "policy/none"] {
        home.run(["get", "--default", "d", name]).has(
            4,
            "",
            &[
                "denies secret/policy",
                "no policy of the token of VAULT_TOKEN allows it",
            ],
        );
    }
    home.set("MXM_SECRETS_VAULT_MOUNT", "nope");
    home.run(["get", "policy/mine"])
        .has(4, "", &["or there is no mount nope"]);
}

#[test]
fn tokens_that_are_wrong_expired_or_not_there_are_failures() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("tokens/a", r#"{"value":"a"}"#);
    let mut home = server.home();
    home.run(["get", "tokens/a"]).has(
        4,
        "",
        &[
            "denies secret/tokens/a: no token is given",
            "set VAULT_TOKEN",
        ],
    );
    home.set("VAULT_TOKEN", "canary-token");
    let wrong = home.run(["get", "tokens/a"]);
    wrong.has(4, "", &["does not know the token of VAULT_TOKEN"]);
    assert!(!wrong.stderr.contains("canary"));
    let answer = server.set_up("auth/token/create", r#"{"policies":["root"],"ttl":"1s"}"#);
    let mut home = server.home();
    home.set("VAULT_TOKEN", member(&answer, "client_token"));
    eventually("the token expires", || {
        home.run(["get", "tokens/a"]).status == Some(4)
    });
    home.run(["get", "tokens/a"])
        .has(4, "", &["wrong, revoked or expired"]);
    let mut home = server.home();
    home.set("VAULT_TOKEN", "a\nb");
    home.run(["get", "tokens/a"])
        .has(4, "", &["the token contains invalid characters"]);
}

#[test]
fn a_token_comes_from_the_variables_or_the_file() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("file/a", r#"{"value":"a"}"#);
    let mut home = server.home();
    home.write_key(".vault-token", format!("{ROOT}\n"));
    home.run(["get", "--verbose", "file/a"])
        .has(0, "a\n", &["token of ~/.vault-token"]);
    home.set("VAULT_TOKEN", "wrong");
    home.run(["get", "file/a"])
        .has(4, "", &["token of VAULT_TOKEN"]);
    home.set("BAO_TOKEN", ROOT);
    home.run(["get", "--verbose", "file/a"])
        .has(0, "a\n", &["token of BAO_TOKEN"]);
}

#[test]
fn bao_and_our_own_variables_come_first() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("bao/a", r#"{"value":"a"}"#);
    let mut home = server.root_home();
    home.set("VAULT_ADDR", "https://127.0.0.1:1")
        .set("BAO_ADDR", &server.address);
    home.run(["get", "bao/a"]).is(0, "a\n", "");
    home.set("BAO_ADDR", "https://127.0.0.1:1")
        .set("MXM_SECRETS_VAULT_ADDRESS", &server.address);
    home.run(["get", "bao/a"]).is(0, "a\n", "");
    home.set("MXM_SECRETS_VAULT_ADDRESS", "https://127.0.0.1:1")
        .set("VAULT_AGENT_ADDR", &server.address);
    home.run(["get", "bao/a"]).is(0, "a\n", "");
}

#[test]
fn without_an_address_it_is_unavailable() {
    let mut home = crate::support::Home::new();
    home.set("MXM_SECRETS_BACKENDS", "vault,env").set("A", "a");
    home.run(["get", "--verbose", "a"]).has(
        0,
        "a\n",
        &["vault: unavailable: no address of a Vault server is given"],
    );
    home.run(["get", "--backend", "vault", "a"])
        .has(4, "", &["no address"]);
    home.set("VAULT_ADDR", "127.0.0.1:8200");
    home.run(["get", "a"]).has(
        4,
        "",
        &[
            "VAULT_ADDR is not the address of a server",
            "https://HOST:PORT",
        ],
    );
    for (variable, value, word) in [
        ("VAULT_SKIP_VERIFY", "maybe", "is not true or false"),
        ("VAULT_CLIENT_TIMEOUT", "soon", "1m30s"),
        ("VAULT_MAX_RETRIES", "-1", "a whole number"),
        ("VAULT_HEADERS", "x: y", "a JSON object"),
        (
            "VAULT_CLIENT_CERT",
            "c.pem",
            "a client certificate needs its key",
        ),
        (
            "VAULT_PROXY_ADDR",
            "socks5://u:canary@h",
            "not the address of an HTTP proxy",
        ),
    ] {
        let mut home = crate::support::Home::new();
        home.set("MXM_SECRETS_BACKENDS", "vault")
            .set("VAULT_ADDR", "https://127.0.0.1:1")
            .set(variable, value);
        let seen = home.run(["get", "a"]);
        seen.has(4, "", &[variable, word]);
        assert!(!seen.stderr.contains("canary"));
    }
}

#[test]
fn a_certificate_must_lead_to_the_ca() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("tls/a", r#"{"value":"a"}"#);
    let base = || {
        let mut home = crate::support::Home::new();
        home.set("VAULT_ADDR", &server.address)
            .set("VAULT_TOKEN", ROOT)
            .set("MXM_SECRETS_BACKENDS", "vault");
        home
    };
    base().run(["get", "tls/a"]).has(
        4,
        "",
        &[
            "is not issued by a CA that is trusted here",
            "VAULT_CACERT or ca_cert",
        ],
    );
    let pem = fs::read_to_string(&server.ca).unwrap();
    let mut home = base();
    home.set("VAULT_CACERT_BYTES", &pem);
    home.run(["get", "tls/a"]).is(0, "a\n", "");
    home.set("VAULT_CACERT", "/nowhere.pem");
    home.run(["get", "tls/a"])
        .has(4, "", &["cannot read /nowhere.pem"]);
    let mut home = base();
    home.write("cas/1.pem", &pem);
    home.set("VAULT_CAPATH", home.path().join("cas"));
    home.run(["get", "tls/a"]).is(0, "a\n", "");
    home.set("VAULT_CACERT_BYTES", "no PEM");
    home.run(["get", "tls/a"]).has(
        4,
        "",
        &["there is no CA certificate in PEM in VAULT_CACERT_BYTES"],
    );
    home.set("VAULT_CACERT_BYTES", "");
    home.set("VAULT_TLS_SERVER_NAME", "localhost");
    home.run(["get", "tls/a"]).is(0, "a\n", "");
    home.set("VAULT_TLS_SERVER_NAME", "other.example");
    home.run(["get", "tls/a"]).has(
        4,
        "",
        &["is not for this name, but for ", "VAULT_TLS_SERVER_NAME"],
    );
    home.set("VAULT_SKIP_VERIFY", "true");
    home.run(["get", "tls/a"]).has(
        0,
        "a\n",
        &["warning: vault: the server's certificate is not verified"],
    );
    let mut home = base();
    home.set("MXM_SECRETS_VAULT_CA_CERT", &server.ca);
    home.run(["get", "tls/a"]).is(0, "a\n", "");
    home.set(
        "MXM_SECRETS_VAULT_CA_CERT",
        home.write("none.pem", "no PEM\n"),
    );
    home.run(["get", "tls/a"])
        .has(4, "", &["there is no CA certificate in PEM in"]);
}

#[test]
fn http_to_an_https_server_is_told() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut home = server.root_home();
    home.set("VAULT_ADDR", server.address.replace("https", "http"));
    home.run(["get", "a"]).has(
        4,
        "",
        &["did not answer like a Vault server", "use https://"],
    );
}

#[test]
fn a_sealed_server_is_a_failure() {
    let Some(server) = Server::start() else {
        return;
    };
    let home = server.root_home();
    server.api("PUT", "sys/seal", "");
    home.run(["get", "a"])
        .has(4, "", &["is sealed", "vault operator unseal"]);
}
