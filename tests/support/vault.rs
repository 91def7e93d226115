//! Real Vault servers, and scripted ones for what a real one will not do on demand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Home, program};

/// The token of every server that may do everything.
pub const ROOT: &str = "root";

/// A Vault in dev mode with TLS, on a port of its own, that ends with the test process.
pub struct Server {
    pub address: String,
    pub ca: PathBuf,
    _lifeline: Child,
}

impl Server {
    /// The one that the tests share.
    pub fn shared() -> Option<&'static Server> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        let server = SERVER.get_or_init(Server::start).as_ref();
        if server.is_none() {
            // The one who started it has said it for itself alone.
            program("vault");
        }
        server
    }

    /// One more.
    pub fn start() -> Option<Server> {
        let vault = program("vault")?;
        let directory = TempDir::with_prefix("mxmv").unwrap().keep();
        let port = free_port();
        let script = r#"
            "$1" server -dev -dev-tls -dev-tls-cert-dir="$2" -dev-root-token-id=root \
                -dev-listen-address="127.0.0.1:$3" -dev-no-store-token >"$2/log" 2>&1 &
            server=$!
            cat >/dev/null
            kill -9 "$server"
            rm -rf "$2"
        "#;
        let lifeline = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(vault)
            .arg(&directory)
            .arg(port.to_string())
            .env_clear()
            .env("HOME", &directory)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server {
            address: format!("https://127.0.0.1:{port}"),
            ca: directory.join("vault-ca.pem"),
            _lifeline: lifeline,
        };
        eventually("vault answers", || {
            server
                .api("GET", "sys/internal/ui/mounts/secret", "")
                .contains("\"version\":\"2\"")
        });
        Some(server)
    }

    /// Calls its API as root; the body of the answer.
    pub fn api(&self, method: &str, path: &str, body: &str) -> String {
        self.api_as(ROOT, method, path, body, &[])
    }

    /// Calls its API with another token and with further headers.
    pub fn api_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &str,
        headers: &[&str],
    ) -> String {
        let mut command = Command::new("curl");
        command
            // First -q: nothing that the user has set for curl, nor a proxy, is meant for this one.
            .args(["-q", "--noproxy", "*"])
            .args(["-sS", "-X", method, "--max-time", "20", "--cacert"])
            .arg(&self.ca)
            .args(["-H", &format!("X-Vault-Token: {token}")]);
        for header in headers {
            command.args(["-H", header]);
        }
        if !body.is_empty() {
            command.args(["--data-binary", body]);
        }
        let output = command
            .arg(format!("{}/v1/{path}", self.address))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Does something that must succeed.
    #[track_caller]
    pub fn set_up(&self, path: &str, body: &str) -> String {
        let answer = self.api("POST", path, body);
        assert!(!answer.contains("\"errors\""), "{path}: {answer}");
        answer
    }

    /// Stores the fields of the JSON object `fields` at `path` of the KV v2 engine secret/.
    #[track_caller]
    pub fn put(&self, path: &str, fields: &str) {
        self.set_up(
            &format!("secret/data/{path}"),
            &format!("{{\"data\":{fields}}}"),
        );
    }

    /// A token with this policy (HCL).
    #[track_caller]
    pub fn token(&self, name: &str, policy: &str) -> String {
        self.policy(name, policy);
        let answer = self.set_up(
            "auth/token/create",
            &format!("{{\"policies\":[\"{name}\"],\"no_default_policy\":true}}"),
        );
        member(&answer, "client_token")
    }

    /// Writes a policy.
    #[track_caller]
    pub fn policy(&self, name: &str, policy: &str) {
        let policy = policy.replace('"', "\\\"");
        self.set_up(
            &format!("sys/policies/acl/{name}"),
            &format!("{{\"policy\":\"{policy}\"}}"),
        );
    }

    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        let answer = self.api("LIST", "auth/token/accessors", "");
        let keys = answer.split_once("\"keys\":[").unwrap().1;
        keys.split_once(']').unwrap().0.split(',').count()
    }

    /// An empty home with this server in its environment, and no token.
    pub fn home(&self) -> Home {
        let mut home = Home::new();
        home.set("VAULT_ADDR", &self.address)
            .set("VAULT_CACERT", &self.ca)
            .set("MXM_SECRETS_BACKENDS", "vault");
        home
    }

    /// The same with the root token.
    pub fn root_home(&self) -> Home {
        let mut home = self.home();
        home.set("VAULT_TOKEN", ROOT);
        home
    }
}

/// An agent that logs in to a server, and that others ask at a Unix socket; it ends with this value.
pub struct Agent {
    pub socket: PathBuf,
    process: Child,
    _home: Home,
}

impl Agent {
    /// Starts one that logs in by the approle at `mount`.
    pub fn start(server: &Server, mount: &str, role_id: &str, secret_id: &str) -> Agent {
        let home = Home::new();
        home.write_key("role_id", role_id);
        home.write_key("secret_id", secret_id);
        let socket = home.path().join("agent.sock");
        let directory = home.path().display();
        let config = format!(
            r#"
            vault {{ address = "{}" ca_cert = "{}" }}
            auto_auth {{ method "approle" {{
                mount_path = "auth/{mount}"
                config = {{
                    role_id_file_path = "{directory}/role_id"
                    secret_id_file_path = "{directory}/secret_id"
                }}
            }} }}
            api_proxy {{ use_auto_auth_token = true }}
            listener "unix" {{ address = "{}" tls_disable = true require_request_header = true }}
            "#,
            server.address,
            server.ca.display(),
            socket.display()
        );
        let process = Command::new(program("vault").unwrap())
            .args(["agent", "-config"])
            .arg(home.write("agent.hcl", config))
            .env_clear()
            .env("HOME", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Agent {
            socket,
            process,
            _home: home,
        }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The text of the first member called `name` of some JSON.
#[track_caller]
pub fn member(json: &str, name: &str) -> String {
    let start = format!("\"{name}\":\"");
    let rest = json
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name} in {json}"))
        .1;
    rest.split_once('"').unwrap().0.to_owned()
}

/// A port that nobody listens on, nor will: those that the system hands out lie higher, and others begin elsewhere. The
/// next one is free as well, since Vault takes it for its cluster.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 50).unwrap() * 200;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(2, Ordering::Relaxed)) % 10_000;
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
}

/// Waits for something that takes a moment.
#[track_caller]
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server that does what a script says with every request.
pub struct Scripted {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Starts one. `script` gets each request, head and body, and writes what it likes; then the connection ends.
    pub fn start(script: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, script, log) = (stream.unwrap(), script.clone(), log.clone());
                std::thread::spawn(move || {
                    let request = read_request(&mut stream);
                    log.lock().unwrap().push(request.clone());
                    script(&request, &mut stream);
                });
            }
        });
        Scripted { port, requests }
    }

    /// One that gives the same answer to every request.
    pub fn answering(answer: impl AsRef<[u8]>) -> Scripted {
        let answer = answer.as_ref().to_vec();
        Scripted::start(move |_, stream| {
            let _ = stream.write_all(&answer);
        })
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has been asked so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// An empty home with this server, a token and KV v2 in its environment.
    pub fn home(&self) -> Home {
        let mut home = Home::new();
        home.set("VAULT_ADDR", self.address())
            .set("VAULT_TOKEN", "canary-token")
            .set("MXM_SECRETS_VAULT_KV_VERSION", "2")
            .set("MXM_SECRETS_BACKENDS", "vault");
        home
    }
}

/// An answer of HTTP. Our connections end with it, and say so: a client may send its next request into one that does not.
pub fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What KV v2 answers for a secret with these fields.
pub fn kv(fields: &str) -> String {
    answer(
        200,
        &format!("{{\"data\":{{\"data\":{fields},\"metadata\":{{\"version\":1}}}}}}"),
    )
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text.into_owned();
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return text.into_owned(),
        }
    }
}

/// Runs openssl in `directory`.
#[track_caller]
pub fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' ').filter(|argument| !argument.is_empty()))
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn base64url(bytes: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["base64", "-A"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    text.trim()
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}

/// A JWT with these claims, signed with the key in `directory`.
pub fn jwt(directory: &Path, claims: &str) -> String {
    let head = base64url(br#"{"alg":"RS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", base64url(claims.as_bytes()));
    std::fs::write(directory.join("in"), &signed).unwrap();
    openssl(directory, "dgst -sha256 -sign key.pem -out signature in");
    format!(
        "{signed}.{}",
        base64url(&std::fs::read(directory.join("signature")).unwrap())
    )
}

/// A directory with a key, and the public half of it.
pub fn keys() -> TempDir {
    let directory = TempDir::new().unwrap();
    openssl(directory.path(), "genrsa -out key.pem 2048");
    openssl(directory.path(), "rsa -in key.pem -pubout -out pub.pem");
    directory
}
