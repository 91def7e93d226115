//! vault: through an HTTP proxy. The proxy is one of the tests' own, so that what it is asked can be looked at, and
//! so that it knows hosts that no one else knows; behind it is a real server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::Home;
use crate::support::vault::{Scripted, Server, answer, free_port, kv};

/// A proxy that connects everyone to `target`, whichever host is asked for.
struct Proxy {
    port: u16,
    heard: Arc<Mutex<Heard>>,
}

/// What came from the clients.
#[derive(Default)]
struct Heard {
    /// The requests for a tunnel.
    heads: Vec<String>,
    /// What went through the tunnels.
    inside: Vec<u8>,
}

impl Proxy {
    fn start(target: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (target, log) = (target.to_owned(), heard.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, target, log) = (client.unwrap(), target.clone(), log.clone());
                std::thread::spawn(move || serve(client, &target, &log));
            }
        });
        Proxy { port, heard }
    }

    /// The request lines of the tunnels that it was asked for.
    fn tunnels(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let first = |head: &String| head.lines().next().unwrap().to_owned();
        heard.heads.iter().map(first).collect()
    }
}

fn serve(mut client: TcpStream, target: &str, log: &Mutex<Heard>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().heads.push(head);
    let mut server = TcpStream::connect(target).unwrap();
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .unwrap();
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        log.lock().unwrap().inside.extend(&buffer[..count]);
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// A home that knows the server under a name that only the proxy can make sense of.
fn far_home(server: &Server) -> Home {
    let mut home = server.root_home();
    home.set("VAULT_ADDR", "https://vault.mxm.invalid:8200")
        .set("VAULT_TLS_SERVER_NAME", "localhost")
        // Where no name server answers, that is known soon.
        .set("RES_OPTIONS", "timeout:1 attempts:1");
    home
}

#[test]
fn https_goes_through_a_tunnel_that_sees_nothing() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("proxy/a", r#"{"value":"a"}"#);
    let target = server.address.trim_start_matches("https://");
    for variable in [
        "HTTPS_PROXY",
        "https_proxy",
        "VAULT_PROXY_ADDR",
        "VAULT_HTTP_PROXY",
        "BAO_PROXY_ADDR",
    ] {
        let proxy = Proxy::start(target);
        let mut home = far_home(server);
        home.set(variable, format!("http://u:p%40w@127.0.0.1:{}", proxy.port));
        home.run(["get", "proxy/a"]).is(0, "a\n", "");
        assert_eq!(
            proxy.tunnels(),
            ["CONNECT vault.mxm.invalid:8200 HTTP/1.1"],
            "{variable}"
        );
        let heard = proxy.heard.lock().unwrap();
        assert!(heard.heads[0].contains("\r\nProxy-Authorization: Basic dTpwQHc=\r\n"));
        assert!(!heard.heads[0].contains("X-Vault"), "{}", heard.heads[0]);
        let inside = String::from_utf8_lossy(&heard.inside);
        assert!(!inside.is_empty() && !inside.contains("X-Vault") && !inside.contains("proxy/a"));
    }
}

#[test]
fn exec_of_many_shares_the_tunnels() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("proxy/many", r#"{"value":"m"}"#);
    let proxy = Proxy::start(server.address.trim_start_matches("https://"));
    let mut home = far_home(server);
    home.link(&["sh"]);
    home.set("HTTPS_PROXY", format!("127.0.0.1:{}", proxy.port));
    let mut arguments = vec!["exec".to_owned()];
    for number in 0..40 {
        arguments.extend(["--secret".to_owned(), format!("V{number}=proxy/many")]);
    }
    arguments.extend(["--", "sh", "-c", "echo $V0$V39"].map(str::to_owned));
    home.run(arguments).is(0, "mm\n", "");
    let tunnels = proxy.tunnels().len();
    assert!((1..=8).contains(&tunnels), "{tunnels}");
}

#[test]
fn no_proxy_and_this_machine_are_left_out() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("proxy/direct", r#"{"value":"d"}"#);
    let proxy = Proxy::start(server.address.trim_start_matches("https://"));
    let through = format!("http://127.0.0.1:{}", proxy.port);
    // The name is one that nobody but the proxy knows.
    for rules in [
        "*",
        "mxm.invalid",
        ".mxm.invalid",
        "x,vault.mxm.invalid:8200",
    ] {
        for variable in ["NO_PROXY", "no_proxy"] {
            let mut home = far_home(server);
            home.set("HTTPS_PROXY", &through).set(variable, rules);
            home.run(["get", "proxy/direct"]).has(
                4,
                "",
                &["cannot connect to https://vault.mxm.invalid:8200"],
            );
        }
    }
    // This machine is asked without the proxy of everyone, and through Vault's own.
    let mut home = server.root_home();
    home.set("HTTPS_PROXY", &through);
    home.run(["get", "proxy/direct"]).is(0, "d\n", "");
    assert_eq!(proxy.tunnels(), [""; 0]);
    home.set("VAULT_PROXY_ADDR", &through);
    home.run(["get", "proxy/direct"]).is(0, "d\n", "");
    assert_eq!(proxy.tunnels().len(), 1);
    let mut home = far_home(server);
    home.set("HTTPS_PROXY", &through)
        .set("NO_PROXY", "other.invalid");
    home.run(["get", "proxy/direct"]).is(0, "d\n", "");
    assert_eq!(proxy.tunnels().len(), 2);
}

#[test]
fn http_is_asked_of_the_proxy_itself() {
    let proxy = Scripted::answering(kv("{\"value\":\"v\"}"));
    for variable in ["HTTP_PROXY", "http_proxy"] {
        let mut home = proxy.home();
        home.set("VAULT_ADDR", "http://vault.mxm.invalid:8200")
            .set(variable, format!("http://u:p@127.0.0.1:{}", proxy.port));
        home.run(["get", "a"]).is(0, "v\n", "");
        let requests = proxy.requests();
        let request = requests.last().unwrap();
        assert!(
            request.starts_with("GET http://vault.mxm.invalid:8200/v1/secret/data/a HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.contains("\r\nHost: vault.mxm.invalid:8200\r\n"));
        assert!(request.contains("\r\nProxy-Authorization: Basic dTpw\r\n"));
    }
    // In a CGI program HTTP_PROXY is a header of the client's.
    let mut home = proxy.home();
    home.set("VAULT_ADDR", "http://vault.mxm.invalid:8200")
        .set("HTTP_PROXY", proxy.address())
        .set("REQUEST_METHOD", "GET");
    home.run(["get", "a"])
        .has(4, "", &["cannot connect to http://vault.mxm.invalid:8200"]);
}

#[test]
fn a_proxy_that_will_not_is_a_failure() {
    let refusing = Scripted::answering(answer(407, "who are you"));
    let closing = Scripted::answering("");
    let absent = format!("http://u:canary@127.0.0.1:{}", free_port());
    let secret = |port: u16| format!("http://u:canary@127.0.0.1:{port}");
    for (proxy, word) in [
        (
            secret(refusing.port),
            "does not connect to vault.mxm.invalid:8200: status 407",
        ),
        (
            secret(closing.port),
            "closed the connection without an answer",
        ),
        (absent, "cannot connect to http://127.0.0.1:"),
    ] {
        let mut home = Home::new();
        home.set("VAULT_ADDR", "https://vault.mxm.invalid:8200")
            .set("VAULT_TOKEN", "canary-token")
            .set("HTTPS_PROXY", proxy)
            .set("MXM_SECRETS_BACKENDS", "vault");
        let seen = home.run(["get", "--default", "d", "a"]);
        seen.has(4, "", &[word]);
        assert!(!seen.stderr.contains("canary"), "{}", seen.stderr);
    }
    // It is not told the token.
    assert!(!refusing.requests()[0].contains("canary"));
}
