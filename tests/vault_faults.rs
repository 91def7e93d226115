//! vault: what a real server will not do on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::support::vault::{Scripted, answer, eventually, free_port, kv};
use crate::support::{Home, program, program_under_test, transcript};

#[test]
fn answers_that_are_not_whole_are_failures() {
    for (bytes, word) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\"",
            "ends in the middle",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"dat",
            "ends in the middle",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "bad chunk",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
            "unknown transfer encoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "a length that is not a number",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            "two lengths",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
            "larger than 16 MiB",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{\"data\":1}",
            "is not that of a KV v2 engine",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "is not that of a KV v2 engine",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n<html>hello</html>",
            "is not that of a KV v2 engine",
        ),
        ("HTTP/1.1 200 OK\r\nX: y", "ends in the middle"),
        ("garbage\r\n\r\n", "is not HTTP"),
        ("", "closed the connection without an answer"),
    ] {
        let server = Scripted::answering(bytes);
        server.home().run(["get", "a"]).has(4, "", &[word]);
        assert_eq!(server.requests().len(), 1, "{bytes}");
    }
}

#[test]
fn chunks_and_big_numbers_are_read() {
    let body = "{\"data\":{\"data\":{\"value\":12345678901234567890123},\"metadata\":{}}}";
    let (first, second) = body.split_at(7);
    let server = Scripted::answering(format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\nT: t\r\n\r\n",
        first.len(),
        second.len()
    ));
    server
        .home()
        .run(["get", "a"])
        .is(0, "12345678901234567890123\n", "");
}

#[test]
fn every_status_has_its_reason() {
    for (status, body, word) in [
        (
            400,
            "{\"errors\":[\"bad thing\"]}",
            "with status 400: bad thing",
        ),
        (403, "<html>", "did not answer like a Vault server"),
        (
            403,
            "{\"errors\":[\"permission denied\"]}",
            "denies secret/a",
        ),
        (404, "<html>", "did not answer like a Vault server"),
        (
            404,
            "{\"errors\":[\"no handler for route\"]}",
            "has no mount secret",
        ),
        (412, "{\"errors\":[]}", "not up to date"),
        (
            429,
            "{\"errors\":[\"quota\"]}",
            "over its quota of requests",
        ),
        (472, "{}", "disaster recovery secondary"),
        (473, "{}", "performance standby"),
        (
            500,
            "{\"errors\":[\"internal error\"]}",
            "with status 500: internal error",
        ),
        (501, "{\"errors\":[]}", "is not initialized"),
        (502, "<html>", "did not answer like a Vault server"),
        (503, "{\"errors\":[\"Vault is sealed\"]}", "is sealed"),
        (503, "{\"errors\":[]}", "has no active node"),
        (
            400,
            "{\"errors\":[\"you sent canary-token\"]}",
            "with status 400\n",
        ),
    ] {
        let server = Scripted::answering(answer(status, body));
        let seen = server.home().run(["get", "--default", "d", "a"]);
        seen.has(4, "", &[word]);
        assert!(!seen.stderr.contains("canary"), "{}", seen.stderr);
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn headers_are_sent() {
    let server = Scripted::answering(kv("{\"value\":\"v\"}"));
    let mut home = server.home();
    home.set("VAULT_NAMESPACE", "team/a")
        .set("VAULT_HEADERS", "{\"X-Extra\":\"e\"}");
    home.run(["get", "--verbose", "a/b"])
        .has(0, "v\n", &["namespace team/a"]);
    let request = &server.requests()[0];
    for line in [
        "GET /v1/secret/data/a/b HTTP/1.1\r\n",
        "\r\nX-Vault-Token: canary-token\r\n",
        "\r\nX-Vault-Request: true\r\n",
        "\r\nX-Vault-Namespace: team/a\r\n",
        "\r\nX-Extra: e\r\n",
    ] {
        assert!(request.contains(line), "{request}");
    }
}

#[test]
fn a_redirect_is_followed_once_and_to_no_other_host() {
    let redirect = |location: &str| {
        format!("HTTP/1.1 307 X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
    };
    let active = Scripted::answering(kv("{\"value\":\"v\"}"));
    let to = format!("{}/v1/secret/data/a", active.address());
    let standby = Scripted::answering(redirect(&to));
    standby.home().run(["get", "a"]).is(0, "v\n", "");
    assert!(active.requests()[0].contains("X-Vault-Token: canary-token"));
    let mut home = standby.home();
    home.set("VAULT_DISABLE_REDIRECTS", "1");
    home.run(["get", "a"])
        .has(4, "", &["redirects with status 307"]);

    let port = active.port;
    let other = Scripted::answering(redirect(&format!("http://localhost:{port}/v1/x")));
    other.home().run(["get", "a"]).has(
        4,
        "",
        &[
            "redirects to another host",
            "so that no token is sent to it",
        ],
    );
    // An address may be made of what the server was sent.
    let mirror = Scripted::answering(redirect("http://canary-token.example/v1/x"));
    mirror.home().run(["get", "a"]).is(
        4,
        "",
        &format!(
            "mxm-secrets: a: failed: vault: {} echoed the request; its answer is not shown\n",
            mirror.address()
        ),
    );
    assert_eq!(active.requests().len(), 1);

    let circle = Scripted::answering(redirect("/v1/secret/data/a"));
    circle
        .home()
        .run(["get", "a"])
        .has(4, "", &["redirects more than once"]);
    assert_eq!(circle.requests().len(), 2);
}

/// How many requests are at the server at the same time.
#[derive(Default)]
struct Meeting {
    present: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Meeting {
    /// Comes in, and stays until two have met once, or a while has passed.
    fn join(&self) {
        let mut present = self.present.lock().unwrap();
        present.0 += 1;
        present.1 = present.1.max(present.0);
        self.changed.notify_all();
        let alone = |present: &mut (usize, usize)| present.1 < 2;
        let patience = Duration::from_secs(20);
        (present, _) = self
            .changed
            .wait_timeout_while(present, patience, alone)
            .unwrap();
        present.0 -= 1;
    }

    /// The most that were there at once.
    fn most(&self) -> usize {
        self.present.lock().unwrap().1
    }
}

#[test]
fn exec_of_many_looks_at_the_mount_once_and_asks_side_by_side() {
    let meeting = Arc::new(Meeting::default());
    let met = meeting.clone();
    let server = Scripted::start(move |request, stream| {
        let line = request.lines().next().unwrap_or_default();
        let answer = if line.starts_with("GET /v1/sys/internal/ui/mounts/secret ") {
            answer(
                200,
                r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#,
            )
        } else if line.contains("/bad/") {
            answer(500, r#"{"errors":["on fire"]}"#)
        } else {
            met.join();
            kv(r#"{"value":"v"}"#)
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let mut home = server.home();
    home.link(&["sh"]);
    home.set("MXM_SECRETS_VAULT_KV_VERSION", "auto");
    let secrets = |names: &[&str]| -> Vec<String> {
        let good = (0..20).map(|number| format!("V{number}=good/{number}"));
        let bad = names.iter().map(|name| (*name).to_owned());
        let mut arguments = vec!["exec".to_owned()];
        arguments.extend(good.chain(bad).flat_map(|it| ["--secret".to_owned(), it]));
        arguments.extend(["--", "sh", "-c", "echo $V0$V19"].map(str::to_owned));
        arguments
    };
    home.run(secrets(&[])).is(0, "vv\n", "");
    let looks = |requests: Vec<String>| {
        let look = |request: &&String| request.contains("/sys/internal/");
        requests.iter().filter(look).count()
    };
    assert_eq!(looks(server.requests()), 1);
    assert!((2..=8).contains(&meeting.most()), "{}", meeting.most());
    home.run(secrets(&["A=bad/a", "B=bad/b"])).has(
        125,
        "",
        &[
            "bad/a: failed: vault: ",
            "bad/b: failed: vault: ",
            "on fire",
        ],
    );
    assert_eq!(server.requests().len(), 2 * 21 + 2);
}

#[test]
fn a_server_that_cannot_be_asked_for_the_version_has_the_first() {
    let server = Scripted::start(|request, stream| {
        let answer = match request.split(' ').nth(1).unwrap_or_default() {
            "/v1/secret/a" => answer(200, r#"{"data":{"value":"v"}}"#),
            _ => answer(404, r#"{"errors":[]}"#),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let mut home = server.home();
    home.set("MXM_SECRETS_VAULT_KV_VERSION", "auto");
    home.run(["get", "--verbose", "a"])
        .has(0, "v\n", &["KV v1"]);
}

#[test]
fn nothing_is_tried_again_unless_the_user_says_so() {
    let server = Scripted::answering(answer(500, "{\"errors\":[]}"));
    let mut home = server.home();
    home.set("VAULT_MAX_RETRIES", "1");
    home.run(["get", "a"]).has(4, "", &["status 500"]);
    assert_eq!(server.requests().len(), 2);
    let started = Instant::now();
    home.set("VAULT_MAX_RETRIES", "1000");
    home.run(["get", "--timeout", "2", "a"])
        .has(4, "", &["status 500"]);
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[test]
fn nothing_outlives_its_deadline() {
    let slow = Scripted::start(|_, stream| {
        for byte in kv("{\"value\":\"v\"}").bytes() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let endless = Scripted::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b' '; 1000]).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut silent = slow.home();
    silent.set(
        "BAO_ADDR",
        format!("https://{}", hole.local_addr().unwrap()),
    );
    for home in [slow.home(), endless.home(), silent] {
        let started = Instant::now();
        home.run(["get", "--timeout", "0.5", "a"])
            .has(4, "", &["gave no answer in time"]);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    let mut home = slow.home();
    home.set("VAULT_CLIENT_TIMEOUT", "300ms");
    let started = Instant::now();
    home.run(["get", "--timeout", "60", "a"])
        .has(4, "", &["gave no answer in time"]);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_server_that_is_not_there_or_speaks_no_tls_is_a_failure() {
    let server = Scripted::answering("");
    let garbage = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = garbage.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = garbage.accept().unwrap();
        stream.write_all(b"no TLS at all\r\n\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(60));
    });
    let mut home = server.home();
    home.set("BAO_ADDR", format!("https://127.0.0.1:{}", port));
    home.run(["get", "a"]).has(
        4,
        "",
        &["should the address be http://, or the port another one?"],
    );
    home.set("BAO_ADDR", format!("http://127.0.0.1:{}", free_port()));
    home.run(["get", "a"])
        .has(4, "", &["cannot connect to http://127.0.0.1:", "refused"]);
    home.set("BAO_ADDR", "https://no-such-host.invalid")
        .set("RES_OPTIONS", "timeout:1 attempts:1");
    home.run(["get", "a"])
        .has(4, "", &["cannot connect to https://no-such-host.invalid"]);
    home.set("BAO_ADDR", "unix:///nowhere/agent.sock");
    home.run(["get", "a"])
        .has(4, "", &["unix:///nowhere/agent.sock"]);
}

/// Connections to it are neither made nor refused: its queue is full. It ends with its standard input.
const BLACK_HOLE: &str = "
import socket, sys
hole = socket.socket()
hole.bind(('127.0.0.1', 0))
hole.listen(0)
fill = [socket.socket() for _ in range(3)]
for one in fill:
    one.setblocking(False)
    one.connect_ex(hole.getsockname())
print(hole.getsockname()[1], flush=True)
sys.stdin.read()
";

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "a full backlog drops on Linux")]
fn a_black_hole_takes_no_longer_than_the_deadline_or_a_signal() {
    let Some(python) = program("python3") else {
        return;
    };
    let mut hole = Command::new(python)
        .args(["-c", BLACK_HOLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(hole.stdout.take().unwrap())
        .read_line(&mut port)
        .unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let mut home = Scripted::answering("").home();
        home.set("VAULT_ADDR", format!("http://{host}:{}", port.trim()));
        let started = Instant::now();
        home.run(["get", "--timeout", "0.5", "a"])
            .has(4, "", &["gave no answer in time"]);
        assert!(started.elapsed() < Duration::from_secs(10));
        a_signal_ends_it(&home);
    }
    drop(hole.stdin.take());
    hole.wait().unwrap();
}

/// Interrupts a lookup that waits for something.
#[track_caller]
fn a_signal_ends_it(home: &Home) {
    let child = home
        .mxm_secrets(["get", "--timeout", "50", "a"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nothing shows that it has got there.
    std::thread::sleep(Duration::from_millis(500));
    let started = Instant::now();
    let kill = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(output.status.signal(), Some(2));
}

/// It may be a FIFO, as a shell makes it for `<(…)`, whose writer is late, or never comes.
#[test]
fn no_file_takes_longer_than_the_deadline_or_a_signal() {
    let approle = [
        ("MXM_SECRETS_VAULT_AUTH_METHOD", "approle"),
        ("MXM_SECRETS_VAULT_ROLE_ID", "r"),
    ];
    let jwt = [
        ("MXM_SECRETS_VAULT_AUTH_METHOD", "jwt"),
        ("MXM_SECRETS_VAULT_AUTH_ROLE", "r"),
    ];
    let certificate = [("VAULT_CLIENT_CERT", "fifo"), ("VAULT_CLIENT_KEY", "fifo")];
    for (file, settings) in [
        (".vault-token", &[][..]),
        (
            "fifo",
            &[approle[0], ("MXM_SECRETS_VAULT_ROLE_ID_FILE", "fifo")],
        ),
        (
            "fifo",
            &[
                approle[0],
                approle[1],
                ("MXM_SECRETS_VAULT_SECRET_ID_FILE", "fifo"),
            ],
        ),
        (
            "fifo",
            &[jwt[0], jwt[1], ("MXM_SECRETS_VAULT_JWT_FILE", "fifo")],
        ),
        ("fifo", &[("VAULT_CACERT", "fifo")]),
        ("fifo", &certificate),
    ] {
        let mut home = Home::new();
        home.set("VAULT_ADDR", format!("https://127.0.0.1:{}", free_port()))
            .set("MXM_SECRETS_BACKENDS", "vault");
        for (variable, value) in settings {
            home.set(variable, value);
        }
        let path = home.path().join(file);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        // Nobody writes, and then someone holds it open.
        home.run(["get", "--timeout", "0.5", "a"])
            .has(4, "", &[file, "was not read in time"]);
        let late = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path);
        let started = Instant::now();
        home.run(["get", "--timeout", "0.5", "a"])
            .has(4, "", &[file, "was not read in time"]);
        assert!(started.elapsed() < Duration::from_secs(10));
        a_signal_ends_it(&home);
        drop(late);
    }
}

#[test]
fn a_credential_may_come_through_a_pipe() {
    let server = Scripted::start(|request, stream| {
        let reply = if request.starts_with("POST /v1/auth/approle/login ") {
            let given = request.ends_with("{\"role_id\":\"r\",\"secret_id\":\"late\"}");
            let auth = "{\"auth\":{\"client_token\":\"t\",\"token_type\":\"batch\"}}";
            answer(if given { 200 } else { 400 }, auth)
        } else {
            kv("{\"value\":\"v\"}")
        };
        let _ = stream.write_all(reply.as_bytes());
    });
    let mut home = server.home();
    home.link(&["sh", "sleep"]);
    home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
        .set("MXM_SECRETS_VAULT_ROLE_ID", "r")
        .set("MXM_SECRETS_VAULT_SECRET_ID_FILE", "/dev/stdin");
    let mut command = home.command("sh");
    command
        .args([
            "-c",
            "unset VAULT_TOKEN; (sleep 0.3; echo late) | \"$1\" get a",
            "sh",
        ])
        .arg(program_under_test());
    transcript(&mut command).is(0, "v\n", "");
}

#[test]
fn a_signal_ends_it_at_once_and_gives_the_token_back() {
    let server = Scripted::start(|request, stream| {
        if request.starts_with("POST /v1/auth/approle/login ") {
            assert!(
                request.ends_with("{\"role_id\":\"r\\\"1\",\"secret_id\":\"s1\"}"),
                "{request}"
            );
            let auth = "{\"auth\":{\"client_token\":\"t1\",\"token_type\":\"service\"}}";
            let _ = stream.write_all(answer(200, auth).as_bytes());
        } else if request.starts_with("POST /v1/auth/token/revoke-self ") {
            let _ = stream.write_all(answer(204, "").as_bytes());
        } else {
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    for signal in ["INT", "TERM", "HUP"] {
        let mut home = server.home();
        home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
            .set("MXM_SECRETS_VAULT_ROLE_ID", "r\"1")
            .set("MXM_SECRETS_VAULT_SECRET_ID", "s1\n");
        let before = server.requests().len();
        let mut child = home
            .mxm_secrets(["get", "--timeout", "50", "a"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("it waits", || server.requests().len() == before + 2);
        let started = Instant::now();
        let kill = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let status = child.wait().unwrap();
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(status.signal().is_some(), "{status}");
        let requests = server.requests();
        let last = requests.last().unwrap();
        assert!(
            last.starts_with("POST /v1/auth/token/revoke-self "),
            "{last}"
        );
        assert!(last.contains("X-Vault-Token: t1\r\n"), "{last}");
    }
}

#[test]
fn the_version_is_asked_for_where_it_is_not_given() {
    for (status, mount, word) in [
        (200, "{\"data\":{\"type\":\"pki\"}}", "is not a KV engine"),
        (200, "[]", "did not answer like a Vault server"),
        (500, "{\"errors\":[]}", "the look at the mount secret"),
        (404, "{\"errors\":[]}", "KV v2"),
        (400, "{\"errors\":[\"missing client token\"]}", "KV v2"),
    ] {
        let server = Scripted::start(move |request, stream| {
            let answer = match request.contains("sys/internal") {
                true => answer(status, mount),
                false => kv("{\"value\":\"v\"}")
                    .replace("\"data\":{\"data\"", "\"data\":{\"value\":\"v\",\"data\""),
            };
            let _ = stream.write_all(answer.as_bytes());
        });
        let mut home = server.home();
        home.set("MXM_SECRETS_VAULT_KV_VERSION", "");
        let seen = home.run(["get", "--verbose", "a"]);
        assert!(seen.stderr.contains(word), "{word}: {}", seen.stderr);
    }
}

#[test]
fn answers_that_http_does_not_allow_are_failures() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(70 << 10));
    let many = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}",
        "x".repeat(9 << 10)
    );
    for (bytes, word) in [
        (long.as_str(), "a head that does not end"),
        (many.as_str(), "bad chunk"),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            "is compressed",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
            "a length and chunks",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
            "bad chunk",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n",
            "larger than 16 MiB",
        ),
        (
            "HTTP/1.1 307 X\r\nLocation: unix:///run/v\r\nContent-Length: 0\r\n\r\n",
            "not followed",
        ),
    ] {
        let server = Scripted::answering(bytes);
        server.home().run(["get", "a"]).has(4, "", &[word]);
    }
}
