//! vault: nothing left behind, nothing let out, nothing without an end.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Home;
use crate::support::bounds::in_time;
use crate::support::vault::{Scripted, answer, eventually, kv, openssl};

const LIMIT: usize = 16 << 20;
const MOUNT: &str = r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#;

/// A server that logs everyone in after `delay`, and has one secret.
fn slow_login(delay: Duration) -> Scripted {
    Scripted::start(move |request, stream| {
        let reply = if request.starts_with("POST /v1/auth/approle/login ") {
            std::thread::sleep(delay);
            let auth = r#"{"auth":{"client_token":"hvs.late-token","token_type":"service"}}"#;
            answer(200, auth)
        } else if request.starts_with("POST /v1/auth/token/revoke-self ") {
            answer(204, "")
        } else if request.contains("/sys/health") {
            answer(200, r#"{"initialized":true,"sealed":false}"#)
        } else {
            kv(r#"{"value":"v"}"#)
        };
        let _ = stream.write_all(reply.as_bytes());
    })
}

fn approle(server: &Scripted) -> Home {
    let mut home = server.home();
    home.set("VAULT_TOKEN", "")
        .set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
        .set("MXM_SECRETS_VAULT_ROLE_ID", "example-role-id")
        .set("MXM_SECRETS_VAULT_SECRET_ID", "example-secret-id");
    home
}

/// Whether the token that the server has given out has been given back by now.
fn is_revoked(server: &Scripted) -> bool {
    let requests = server.requests();
    let last = requests.last().unwrap();
    last.starts_with("POST /v1/auth/token/revoke-self ")
        && last.contains("\r\nX-Vault-Token: hvs.late-token\r\n")
}

#[test]
fn a_login_that_is_answered_late_leaves_no_token() {
    let server = slow_login(Duration::from_secs(1));
    let mut home = approle(&server);
    home.run(["get", "--timeout", "0.5", "a"])
        .has(4, "", &["gave no answer in time"]);
    assert!(is_revoked(&server), "{:?}", server.requests());
    let seen = home.run(["list-backends", "--login", "--timeout", "0.5"]);
    assert!(is_revoked(&server), "{seen:?} {:?}", server.requests());
    assert_eq!(server.requests().len(), 5);
    home.link(&["true"]);
    home.run(["exec", "--timeout", "0.5", "--secret", "a", "--", "true"])
        .has(125, "", &["gave no answer in time"]);
    assert!(is_revoked(&server), "{:?}", server.requests());
    home.set("VAULT_CLIENT_TIMEOUT", "300ms");
    let before = server.requests().len();
    home.run(["get", "a"])
        .has(4, "", &["gave no answer in time"]);
    assert_eq!(server.requests().len(), before + 2);
    assert!(is_revoked(&server), "{:?}", server.requests());
}

#[test]
fn a_login_that_a_signal_interrupts_leaves_no_token() {
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let server = slow_login(Duration::from_secs(1));
        let home = approle(&server);
        let mut child = home
            .mxm_secrets(["get", "--timeout", "50", "a"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("it logs in", || server.requests().len() == 1);
        let kill = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert!(!child.wait().unwrap().success());
        assert!(is_revoked(&server), "{signal}: {:?}", server.requests());
    }
}

#[test]
fn a_login_that_is_never_answered_is_waited_for_a_moment() {
    let server = slow_login(Duration::from_secs(60));
    let started = Instant::now();
    approle(&server)
        .run(["get", "--timeout", "0.5", "a"])
        .has(4, "", &["gave no answer in time"]);
    assert!(started.elapsed() < Duration::from_secs(8));
}

/// What is done twice if it is sent twice is not sent again when the connection ends without an answer.
#[test]
fn a_login_and_an_unwrapping_are_sent_once() {
    for (wrapped, path, words) in [
        (
            "false",
            "POST /v1/auth/approle/login ",
            "closed the connection without an answer",
        ),
        (
            "true",
            "POST /v1/sys/wrapping/unwrap ",
            "hint: it may be unwrapped all the same: create a new wrapped secret_id",
        ),
    ] {
        let server = Scripted::answering("");
        let mut home = approle(&server);
        home.set("MXM_SECRETS_VAULT_SECRET_ID_WRAPPED", wrapped)
            .set("VAULT_MAX_RETRIES", "3");
        home.run(["get", "a"]).has(4, "", &[words]);
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert!(requests[0].starts_with(path), "{requests:?}");
    }
}

#[test]
fn a_connection_that_the_server_wants_to_close_is_not_kept() {
    let server = Scripted::start(|_, stream| {
        let body = r#"{"data":{"data":{"value":"v"},"metadata":{}}}"#;
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // It is left open for a while: nobody may ask here.
        std::thread::sleep(Duration::from_secs(20));
    });
    let home = server.home();
    home.link(&["true"]);
    let started = Instant::now();
    home.run(["exec", "--secret", "A=a", "--secret", "B=b", "--", "true"])
        .is(0, "", "");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(server.requests().len(), 2);
}

/// `text` over and over, with `start` and `end`, as long as an answer may be.
fn filled(start: &str, text: &str, end: &str) -> String {
    let room = LIMIT - start.len() - end.len();
    format!("{start}{}{end}", text.repeat(room / text.len()))
}

/// The worst that a server may send: as much as is read, in every form that could take long or much memory.
fn worst() -> Vec<(&'static str, u16, String)> {
    let mut fields = String::from(r#"{"data":{"metadata":{},"data":{"#);
    let mut number = 0_u32;
    while fields.len() < LIMIT - 40 {
        fields.push_str(&format!("\"f{number}\":1,"));
        number += 1;
    }
    fields.push_str("\"last\":1}}}");
    let data = r#"{"data":{"metadata":{},"data":{"#;
    vec![
        ("fields", 200, fields),
        (
            "fields that are null",
            200,
            filled(data, "\"n\":null,", "\"n\":null}}}"),
        ),
        (
            "names",
            200,
            filled(
                data,
                &format!("\"{}\":1,", "n".repeat(1 << 20)),
                "\"n\":1}}}",
            ),
        ),
        (
            "escapes",
            200,
            filled(&format!("{data}\"value\":\""), "\\u0041", "\"}}}"),
        ),
        (
            "numbers",
            200,
            filled(&format!("{data}\"value\":["), "1 , ", "1]}}}"),
        ),
        (
            "digits",
            200,
            filled(&format!("{data}\"value\":"), "1", "}}}"),
        ),
        ("depth", 200, filled("", "[", "")),
        ("depth in objects", 200, filled("", "{\"a\":", "")),
        ("blanks", 200, filled("", " ", "")),
        (
            "no end",
            200,
            filled(&format!("{data}\"value\":\""), "a", ""),
        ),
        (
            "members beside it",
            200,
            filled("{", "\"a\":[],", "\"b\":1}"),
        ),
        ("errors", 404, filled("{\"errors\":[", "\"\",", "\"\"]}")),
        ("one error", 400, filled("{\"errors\":[\"", "a", "\"]}")),
        (
            "an error of words",
            400,
            filled("{\"errors\":[\"", "a ", "\"]}"),
        ),
        (
            "warnings",
            404,
            filled("{\"errors\":[],\"warnings\":[", "null,", "null]}"),
        ),
        (
            "metadata",
            404,
            filled(
                "{\"data\":{\"data\":null,\"metadata\":{",
                "\"a\":1,",
                "\"b\":1}}}",
            ),
        ),
    ]
}

/// A server that gives `body` to every request that `to` picks.
fn giving(
    status: u16,
    body: String,
    to: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |request, stream: &mut TcpStream| {
        let reply = if to(request) {
            answer(status, &body)
        } else if request.contains("/sys/internal/ui/mounts/") {
            answer(200, MOUNT)
        } else if request.contains("/sys/health") {
            answer(
                200,
                r#"{"initialized":true,"sealed":false,"version":"1.0.0"}"#,
            )
        } else {
            kv(r#"{"value":"v"}"#)
        };
        let _ = stream.write_all(reply.as_bytes());
    })
}

#[track_caller]
fn stays_small(what: &str, home: &Home, arguments: &[&str]) {
    // A login under way is waited for: its token is to be revoked.
    let later = if what.ends_with("of the login") {
        3.0
    } else {
        0.0
    };
    let seen = in_time(&format!("vault: {what}"), 1.0 + later, || {
        let mut command = home.mxm_secrets([arguments[0], "--timeout", "1"]);
        command.args(&arguments[1..]);
        command
    });
    let status = seen.status.unwrap();
    assert!(
        [0, 1, 4].contains(&status),
        "{what}: {status} {}",
        seen.stderr
    );
}

#[test]
fn the_worst_answers_end_and_stay_small() {
    for (what, status, body) in worst() {
        let server = giving(status, body.clone(), |request| request.contains("/data/"));
        stays_small(what, &server.home(), &["get", "a"]);
        // The other readers take the same steps; those that are the longest are tried with each.
        if !["fields", "errors"].contains(&what) {
            continue;
        }
        stays_small(what, &server.home(), &["get", "a#none"]);
        let at = |part: &'static str| {
            giving(status, body.clone(), move |request| request.contains(part))
        };
        let mut home = at("/sys/internal/").home();
        home.set("MXM_SECRETS_VAULT_KV_VERSION", "auto");
        stays_small(&format!("{what}, of the mount"), &home, &["get", "a"]);
        let home = at("/sys/health").home();
        stays_small(&format!("{what}, of the health"), &home, &["list-backends"]);
        let home = approle(&at("/login"));
        stays_small(&format!("{what}, of the login"), &home, &["get", "a"]);
    }
}

#[test]
fn the_worst_forms_of_an_answer_end_and_stay_small() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let json = r#"{"data":{"metadata":{},"data":{"value":""#;
    for (what, bytes) in [
        (
            "small chunks",
            format!("{chunked}{}0\r\n\r\n", "1\r\na\r\n".repeat(LIMIT / 6)),
        ),
        (
            "one chunk",
            format!(
                "{chunked}{:x}\r\n{json}{}\"}}}}}}\r\n0\r\n\r\n",
                LIMIT - 40,
                "v".repeat(LIMIT - 40 - json.len() - 4)
            ),
        ),
        (
            "no length",
            format!(
                "HTTP/1.1 200 OK\r\n\r\n{json}{}\"}}}}}}",
                "v".repeat(LIMIT - 100)
            ),
        ),
        ("heads", "HTTP/1.1 100 Continue\r\n\r\n".repeat(LIMIT / 25)),
        (
            "headers",
            format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(LIMIT / 6)),
        ),
        (
            "trailers",
            format!("{chunked}0\r\n{}", "A: b\r\n".repeat(LIMIT / 6)),
        ),
        (
            "location",
            format!("HTTP/1.1 307 X\r\nLocation: {}", "a".repeat(LIMIT)),
        ),
    ] {
        let server = Scripted::answering(bytes);
        stays_small(what, &server.home(), &["get", "a"]);
    }
}

/// Every file that is read: as a pipe whose writer does not come, comes late, or does not stop; without an end; large.
#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "SSL_CERT_FILE is read on Linux alone"
)]
fn files_of_certificates_end_and_stay_small() {
    let certificates = Home::new();
    openssl(
        certificates.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=x",
    );
    let certificate = std::fs::read_to_string(certificates.path().join("c.pem")).unwrap();
    let worst = [
        "/dev/zero".to_owned(),
        certificates
            .write("many.pem", certificate.repeat(LIMIT / certificate.len()))
            .display()
            .to_string(),
        certificates
            .write(
                "begin.pem",
                "-----BEGIN CERTIFICATE-----\n".repeat(LIMIT / 28),
            )
            .display()
            .to_string(),
        certificates
            .write("line.pem", "-----BEGIN ".repeat(LIMIT / 11))
            .display()
            .to_string(),
    ];
    for variable in [
        "SSL_CERT_FILE",
        "VAULT_CACERT",
        "VAULT_CLIENT_CERT",
        "VAULT_CLIENT_KEY",
    ] {
        let base = |path: &str| {
            let mut home = Home::new();
            home.set("VAULT_ADDR", "https://127.0.0.1:1")
                .set("VAULT_TOKEN", "hvs.example")
                .set("MXM_SECRETS_BACKENDS", "vault");
            if variable.contains("CLIENT") {
                home.set("VAULT_SKIP_VERIFY", "1")
                    .set("VAULT_CLIENT_CERT", certificates.path().join("c.pem"))
                    .set("VAULT_CLIENT_KEY", certificates.path().join("k.pem"));
            }
            home.set(variable, path);
            home
        };
        for path in &worst {
            stays_small(&format!("{variable}={path}"), &base(path), &["get", "a"]);
        }
        let home = base("fifo");
        let fifo = home.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let started = Instant::now();
        home.run(["get", "--timeout", "0.5", "a"])
            .has(4, "", &["fifo was not read in time"]);
        assert!(started.elapsed() < Duration::from_secs(5), "{variable}");
        let text = std::fs::read(certificates.path().join(match variable {
            "VAULT_CLIENT_KEY" => "k.pem",
            _ => "c.pem",
        }))
        .unwrap();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            std::fs::write(&fifo, text).unwrap();
        });
        // It was read: the server is what is missing now.
        home.run(["get", "a"]).has(4, "", &["Connection refused"]);
        writer.join().unwrap();
    }
    // An empty one is not given.
    let mut home = Home::new();
    home.set("VAULT_ADDR", "https://127.0.0.1:1")
        .set("VAULT_TOKEN", "hvs.example")
        .set("MXM_SECRETS_BACKENDS", "vault");
    let without = home.run(["get", "a"]);
    home.set("SSL_CERT_FILE", "");
    assert_eq!(home.run(["get", "a"]).stderr, without.stderr);
}

/// A server that repeats what it was sent, in other forms too, does not make us print it.
#[test]
fn no_credential_comes_back_from_the_server() {
    let token = "hvs.CAESIJ-canary_Zt9aQ4";
    let spaced: String = token.chars().flat_map(|c| [c, ' ']).collect();
    let forms = [
        token.to_owned(),
        token.to_uppercase(),
        token.to_lowercase(),
        spaced.clone(),
        spaced.replace(' ', "-"),
        token.replace('-', "\u{a0}"),
        token[..token.len() - 1].to_owned(),
        token[1..].to_owned(),
        token[4..16].to_owned(),
        format!("x{token}x"),
    ];
    for form in forms {
        for (status, body) in [
            (400, format!(r#"{{"errors":["you sent {form}"]}}"#)),
            (
                403,
                format!(r#"{{"errors":["permission denied","{form}"]}}"#),
            ),
            (404, format!(r#"{{"errors":["{form}"]}}"#)),
            (
                404,
                format!(r#"{{"errors":[],"warnings":["versioned K/V {form}"]}}"#),
            ),
            (500, format!(r#"{{"warnings":["{form}"]}}"#)),
            (
                200,
                format!(r#"{{"data":{{"metadata":{{}},"data":{{"a":1,"{form}":2}}}}}}"#),
            ),
            (
                200,
                format!(r#"{{"data":{{"metadata":{{}},"data":{{"{form}":2}}}}}}"#),
            ),
            (307, String::new()),
        ] {
            let location = format!(
                "HTTP/1.1 307 X\r\nLocation: http://{}.example/\r\nContent-Length: 0\r\n\r\n",
                form.replace([' ', '\u{a0}'], "")
            );
            let reply = if status == 307 {
                location
            } else {
                answer(status, &body)
            };
            let server = Scripted::answering(reply);
            let mut home = server.home();
            home.set("VAULT_TOKEN", token);
            let bare = |text: &str| -> String {
                text.chars()
                    .filter(char::is_ascii_alphanumeric)
                    .collect::<String>()
                    .to_lowercase()
            };
            for arguments in [
                &["get", "a"][..],
                &["get", "-v", "a#none"],
                &["resolve", "--json", "a"],
                &["list-backends", "--json"],
            ] {
                let seen = home.run(arguments);
                let all = bare(&format!(
                    "{}{}",
                    String::from_utf8_lossy(&seen.stdout),
                    seen.stderr
                ));
                assert!(
                    !all.contains("canary") && !all.contains("caesij"),
                    "{form}: {body}: {seen:?}",
                );
            }
        }
    }
    // A short one, and what a login or a header sends.
    for (variable, value) in [
        ("MXM_SECRETS_VAULT_SECRET_ID", "Q4z"),
        ("MXM_SECRETS_VAULT_SECRET_ID", "canary-secret-id-5"),
        ("MXM_SECRETS_VAULT_ROLE_ID", "canary-role-id-5"),
        ("VAULT_HEADERS", r#"{"X-Key":"canary-header"}"#),
    ] {
        let body =
            r#"{"errors":["invalid: q4Z, CANARY secret-id-5, canary-ROLE-id-, canary_header"]}"#;
        let server = Scripted::answering(answer(400, body));
        let mut home = approle(&server);
        home.set(variable, value);
        let seen = home.run(["get", "a"]);
        seen.has(4, "", &["refuses the login by approle at auth/approle\n"]);
    }
    // The name of a role is none, and is needed to understand what is wrong.
    let body = r#"{"errors":["role \"deployer\" could not be found"]}"#;
    let server = Scripted::answering(answer(400, body));
    let mut home = approle(&server);
    home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "jwt")
        .set("MXM_SECRETS_VAULT_AUTH_ROLE", "deployer")
        .set("MXM_SECRETS_VAULT_JWT", "a.b.c-canary");
    home.run(["get", "a"]).has(
        4,
        "",
        &[
            "refuses the login by jwt at auth/jwt: role \"deployer\" could not be found",
            "hint: check auth.role",
        ],
    );
}
