//! vault: logins without a person, on a real server; afterwards no token is left behind.

use std::fs;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use crate::support::vault::{
    Agent, Scripted, Server, answer, eventually, jwt, keys, member, openssl,
};
use crate::support::{Home, program, transcript};

/// A server for logins alone, one test at a time, since they count its tokens.
fn alone(test: impl FnOnce(&Server)) {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    let Some(server) = SERVER.get_or_init(set_up) else {
        program("vault");
        return;
    };
    let _one = ONE.lock().unwrap_or_else(|error| error.into_inner());
    let before = server.tokens();
    test(server);
    assert_eq!(server.tokens(), before, "a token is left behind");
}

fn set_up() -> Option<Server> {
    let server = Server::start()?;
    server.put("app", r#"{"value":"s3cret"}"#);
    server.policy(
        "app",
        r#"path "secret/data/app" { capabilities = ["read"] }"#,
    );
    for method in ["approle", "jwt", "kubernetes", "cert"] {
        server.set_up(
            &format!("sys/auth/{method}"),
            &format!("{{\"type\":\"{method}\"}}"),
        );
    }
    server.set_up("auth/approle/role/app", r#"{"token_policies":"app"}"#);
    server.set_up(
        "auth/approle/role/once",
        r#"{"token_policies":"app","secret_id_num_uses":1}"#,
    );
    server.set_up(
        "auth/approle/role/batch",
        r#"{"token_policies":"app","token_type":"batch"}"#,
    );
    Some(server)
}

fn secret_id(server: &Server, role: &str) -> String {
    member(
        &server.set_up(&format!("auth/approle/role/{role}/secret-id"), ""),
        "secret_id",
    )
}

fn role_id(server: &Server, role: &str) -> String {
    let answer = server.api("GET", &format!("auth/approle/role/{role}/role-id"), "");
    member(&answer, "role_id")
}

fn approle(server: &Server, role: &str) -> Home {
    let mut home = server.home();
    let role_id = home.write_key("role_id", format!("{}\n", role_id(server, role)));
    home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
        .set("MXM_SECRETS_VAULT_ROLE_ID_FILE", role_id);
    home
}

#[test]
fn approle_logs_in_and_out() {
    alone(|server| {
        let mut home = approle(server, "app");
        home.run(["get", "app"])
            .has(4, "", &["refuses the login by approle at auth/approle"]);
        home.set("MXM_SECRETS_VAULT_SECRET_ID", secret_id(server, "app"));
        home.run(["get", "app"]).is(0, "s3cret\n", "");
        home.run(["get", "--verbose", "app"]).has(
            0,
            "s3cret\n",
            &["login by approle at auth/approle"],
        );
        home.run(["get", "denied"])
            .has(4, "", &["denies secret/denied"]);
        home.set("MXM_SECRETS_VAULT_SECRET_ID", "canary-secret-id");
        let wrong = home.run(["get", "app"]);
        wrong.has(
            4,
            "",
            &["refuses the login by approle", "wrong, expired or used up"],
        );
        assert!(!wrong.stderr.contains("canary"));
        let file = home.write_key("secret_id", secret_id(server, "app"));
        let mut home = approle(server, "app");
        home.set("MXM_SECRETS_VAULT_SECRET_ID_FILE", file);
        home.run(["get", "app"]).is(0, "s3cret\n", "");
        home.set("MXM_SECRETS_VAULT_SECRET_ID_FILE", "/nowhere");
        home.run(["get", "app"])
            .has(4, "", &["cannot read /nowhere"]);
        home.set("MXM_SECRETS_VAULT_AUTH_MOUNT", "elsewhere")
            .set("MXM_SECRETS_VAULT_SECRET_ID", "x");
        home.run(["get", "app"]).has(4, "", &["auth/elsewhere"]);
        let mut home = approle(server, "batch");
        home.set("MXM_SECRETS_VAULT_SECRET_ID", secret_id(server, "batch"));
        home.run(["get", "app"]).is(0, "s3cret\n", "");
    });
}

#[test]
fn a_secret_id_of_one_use_or_wrapped_is_used_once() {
    alone(|server| {
        let mut home = approle(server, "once");
        home.set("MXM_SECRETS_VAULT_SECRET_ID", secret_id(server, "once"));
        home.run(["get", "app"]).is(0, "s3cret\n", "");
        home.run(["get", "app"]).has(4, "", &["refuses the login"]);
        let wrapped = server.api_as(
            "root",
            "POST",
            "auth/approle/role/app/secret-id",
            "",
            &["X-Vault-Wrap-TTL: 60s"],
        );
        let mut home = approle(server, "app");
        home.set("MXM_SECRETS_VAULT_SECRET_ID", member(&wrapped, "token"))
            .set("MXM_SECRETS_VAULT_SECRET_ID_WRAPPED", "true");
        home.run(["get", "app"]).is(0, "s3cret\n", "");
        home.run(["get", "app"])
            .has(4, "", &["does not unwrap the secret_id", "find out who"]);
    });
}

#[test]
fn jwt_logs_in_from_a_file_a_variable_or_github_actions() {
    alone(|server| {
        let keys = keys();
        let public = fs::read_to_string(keys.path().join("pub.pem"))
            .unwrap()
            .replace('\n', "\\n");
        server.set_up(
            "auth/jwt/config",
            &format!("{{\"jwt_validation_pubkeys\":[\"{public}\"]}}"),
        );
        server.set_up(
            "auth/jwt/role/ci",
            r#"{"role_type":"jwt","user_claim":"sub","bound_audiences":["vault"],"token_policies":"app"}"#,
        );
        let good = jwt(
            keys.path(),
            r#"{"sub":"me","aud":"vault","iat":1700000000,"nbf":1700000000,"exp":4000000000}"#,
        );
        let base = || {
            let mut home = server.home();
            home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "jwt")
                .set("MXM_SECRETS_VAULT_AUTH_ROLE", "ci");
            home
        };
        base()
            .run(["get", "app"])
            .has(4, "", &["no jwt is given", "MXM_SECRETS_VAULT_JWT"]);
        let mut home = base();
        home.set("MXM_SECRETS_VAULT_JWT", &good);
        home.run(["get", "app"]).is(0, "s3cret\n", "");
        let other = jwt(
            keys.path(),
            r#"{"sub":"me","aud":"other","iat":1700000000,"nbf":1700000000,"exp":4000000000}"#,
        );
        home.set("MXM_SECRETS_VAULT_JWT", &other);
        let refused = home.run(["get", "app"]);
        refused.has(4, "", &["refuses the login by jwt", "issuer, audience"]);
        assert!(!refused.stderr.contains(&other));
        let mut home = base();
        home.set(
            "MXM_SECRETS_VAULT_JWT_FILE",
            home.write_key("jwt", format!("{good}\n")),
        );
        home.run(["get", "app"]).is(0, "s3cret\n", "");

        let token = good.clone();
        let github = Scripted::start(move |request, stream| {
            let asked = request.starts_with("GET /token?v=1&audience=a%2Fb HTTP/1.1\r\n")
                && request.contains("\r\nAuthorization: Bearer gh-token\r\n")
                && !request.contains("X-Vault");
            let body = format!("{{\"value\":\"{token}\"}}");
            let _ = stream.write_all(answer(if asked { 200 } else { 403 }, &body).as_bytes());
        });
        let mut home = base();
        home.set(
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            format!("{}/token?v=1", github.address()),
        )
        .set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "gh-token")
        .set("MXM_SECRETS_VAULT_AUTH_AUDIENCE", "a/b");
        home.run(["get", "app"]).is(0, "s3cret\n", "");
        home.set("MXM_SECRETS_VAULT_AUTH_AUDIENCE", "c");
        home.run(["get", "app"])
            .has(4, "", &["status 403", "id-token: write"]);
    });
}

/// What a real server does not answer to a login, or only where it is set up in ways of its own.
#[test]
fn a_login_that_gives_no_token_tells_why() {
    let message = |words: &str| format!("mxm-secrets: app: failed: vault: {words}\n");
    for (status, body, words) in [
        (
            200,
            r#"{"auth":{"client_token":"","mfa_requirement":{"mfa_request_id":"x"}}}"#,
            "the login by approle at auth/approle requires a second factor from a person",
        ),
        (
            200,
            "{}",
            "{address} did not answer the login by approle at auth/approle like a Vault server\n\
             mxm-secrets: hint: check the address: is a proxy or another server there?",
        ),
        (
            404,
            r#"{"errors":["no handler for route"]}"#,
            "{address} has no auth/approle: no handler for route\n\
             mxm-secrets: hint: check auth.mount and the namespace",
        ),
    ] {
        let server = Scripted::answering(answer(status, body));
        let mut home = server.home();
        home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
            .set("MXM_SECRETS_VAULT_ROLE_ID", "role-7")
            .set("MXM_SECRETS_VAULT_SECRET_ID", "canary");
        let mut command = home.mxm_secrets(["get", "app"]);
        command.env_remove("VAULT_TOKEN");
        let words = words.replace("{address}", &server.address());
        transcript(&mut command).is(4, "", &message(&words));
    }
    let server = Scripted::answering("");
    let mut home = server.home();
    let empty = home.write_key("secret_id", "\n");
    home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
        .set("MXM_SECRETS_VAULT_ROLE_ID", "role-7")
        .set("MXM_SECRETS_VAULT_SECRET_ID_FILE", empty);
    let mut command = home.mxm_secrets(["get", "app"]);
    command.env_remove("VAULT_TOKEN");
    let words = "the secret_id to log in with is empty";
    transcript(&mut command).is(4, "", &message(words));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn kubernetes_logs_in() {
    alone(|server| {
        let keys = keys();
        let cluster = Scripted::start(|request, stream| {
            assert!(request.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews "));
            let review = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,
                "user":{"username":"system:serviceaccount:default:app","uid":"u1","groups":["system:serviceaccounts"]}}}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{review}",
                review.len()
            );
        });
        server.set_up(
            "auth/kubernetes/config",
            &format!(
                "{{\"kubernetes_host\":\"{}\",\"disable_local_ca_jwt\":true}}",
                cluster.address()
            ),
        );
        server.set_up(
            "auth/kubernetes/role/pod",
            r#"{"bound_service_account_names":"app","bound_service_account_namespaces":"default","token_policies":"app"}"#,
        );
        let token = jwt(
            keys.path(),
            r#"{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:default:app","iat":1700000000,"nbf":1700000000,"exp":4000000000,
                "kubernetes.io":{"namespace":"default","serviceaccount":{"name":"app","uid":"u1"}}}"#,
        );
        let mut home = server.home();
        home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "kubernetes");
        home.run(["get", "app"])
            .has(4, "", &["no role is given for the login by kubernetes"]);
        home.set("MXM_SECRETS_VAULT_AUTH_ROLE", "pod");
        home.run(["get", "app"])
            .has(4, "", &["cannot read /var/run/secrets/kubernetes.io"]);
        home.set("MXM_SECRETS_VAULT_JWT_FILE", home.write_key("sa", token));
        home.run(["get", "app"]).is(0, "s3cret\n", "");
    });
}

#[test]
fn a_certificate_logs_in() {
    alone(|server| {
        let keys = keys();
        openssl(
            keys.path(),
            "req -x509 -key key.pem -out cert.pem -days 2 -subj /CN=app -addext extendedKeyUsage=clientAuth",
        );
        openssl(keys.path(), "genrsa -out other.pem 2048");
        let pem = fs::read_to_string(keys.path().join("cert.pem"))
            .unwrap()
            .replace('\n', "\\n");
        server.set_up(
            "auth/cert/certs/app",
            &format!("{{\"certificate\":\"{pem}\",\"token_policies\":\"app\"}}"),
        );
        let mut home = server.home();
        home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "cert");
        home.run(["get", "app"])
            .has(4, "", &["no client certificate is given"]);
        home.set("VAULT_CLIENT_CERT", keys.path().join("cert.pem"))
            .set("VAULT_CLIENT_KEY", keys.path().join("key.pem"));
        home.run(["get", "app"]).is(0, "s3cret\n", "");
        home.set("VAULT_CLIENT_KEY", keys.path().join("other.pem"));
        home.run(["get", "app"])
            .has(4, "", &["does not match the key"]);
    });
}

#[test]
fn an_agent_needs_no_token() {
    alone(|server| {
        let role_id = role_id(server, "app");
        let secret_id = secret_id(server, "app");
        let before = server.tokens();
        let agent = Agent::start(server, "approle", &role_id, &secret_id);
        let mut client = Home::new();
        client
            .set("VAULT_AGENT_ADDR", agent.address())
            .set("VAULT_ADDR", "https://127.0.0.1:1")
            .set("MXM_SECRETS_BACKENDS", "vault");
        eventually("the agent answers", || {
            client.run(["get", "app"]).status == Some(0)
        });
        client.run(["get", "--verbose", "app"]).has(
            0,
            "s3cret\n",
            &["unix://", "the agent's token"],
        );
        // It gives its own token back when it ends by a signal, or not; that is not ours.
        drop(agent);
        let accessors = server.api("LIST", "auth/token/accessors", "");
        for accessor in accessors.split('"').filter(|text| text.len() == 24) {
            if server.tokens() == before {
                break;
            }
            let body = format!("{{\"accessor\":\"{accessor}\"}}");
            if server
                .api("POST", "auth/token/lookup-accessor", &body)
                .contains("\"approle\"")
            {
                server.api("POST", "auth/token/revoke-accessor", &body);
            }
        }
    });
}

#[test]
#[cfg(feature = "config")]
fn the_configuration_logs_in() {
    alone(|server| {
        let home = approle(server, "app");
        home.write_key("secret_id", secret_id(server, "app"));
        fs::copy(&server.ca, home.path().join("ca.pem")).unwrap();
        let config = home.write(
            "config.yaml",
            format!(
                "mxm_secrets:\n  backends: [vault]\n  vault:\n    address: {}\n    kv_version: 2\n    ca_cert: ca.pem\n    auth: {{method: approle, role_id_file: role_id, secret_id_file: secret_id}}\n",
                server.address
            ),
        );
        fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut plain = Home::new();
        plain.set("MXM_SECRETS_CONFIG", &config);
        plain.run(["get", "app"]).is(0, "s3cret\n", "");
        // A token that is given for this run stands above it.
        plain.set("VAULT_TOKEN", "wrong");
        plain
            .run(["get", "app"])
            .has(4, "", &["token of VAULT_TOKEN"]);
    });
}

#[test]
fn exec_of_many_logs_in_once_and_tells_of_every_failure() {
    alone(|server| {
        // Were there a second login, this secret_id would not be good for it.
        let mut home = approle(server, "once");
        home.link(&["sh"]);
        home.set("MXM_SECRETS_VAULT_SECRET_ID", secret_id(server, "once"));
        let mut arguments = vec!["exec".to_owned()];
        for number in 0..30 {
            arguments.push("--secret".to_owned());
            arguments.push(format!("V{number}=app"));
        }
        let show = ["--", "sh", "-c", "echo \"$V0 $V29\""].map(str::to_owned);
        home.run([&arguments[..], &show[..]].concat())
            .is(0, "s3cret s3cret\n", "");
        home.set("MXM_SECRETS_VAULT_SECRET_ID", secret_id(server, "once"));
        arguments.extend(["--secret", "A=no/a", "--secret", "B=no/b"].map(str::to_owned));
        home.run([&arguments[..], &show[..]].concat()).has(
            125,
            "",
            &["denies secret/no/a", "denies secret/no/b"],
        );
    });
}
