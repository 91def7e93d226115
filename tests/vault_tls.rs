//! vault: certificates that a server must not get through with, and those of the system.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::vault::{ROOT, Scripted, Server, eventually, free_port, kv, openssl};
use crate::support::{Home, program_under_test};

/// A CA of the tests' own.
struct Ca {
    directory: TempDir,
}

impl Ca {
    fn new() -> Ca {
        let directory = TempDir::with_prefix("mxmca").unwrap();
        let path = directory.path();
        fs::create_dir(path.join("issued")).unwrap();
        fs::write(path.join("index.txt"), "").unwrap();
        fs::write(
            path.join("ca.cnf"),
            "[ca]\ndefault_ca=d\n\
             [d]\ndatabase=index.txt\nnew_certs_dir=issued\ncertificate=ca.pem\nprivate_key=ca.key\nrand_serial=yes\n\
             default_md=sha256\npolicy=p\ncopy_extensions=copy\nunique_subject=no\n\
             [p]\ncommonName=supplied\n",
        )
        .unwrap();
        openssl(
            path,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 \
             -subj /CN=tests -addext basicConstraints=critical,CA:true",
        );
        Ca { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Issues a certificate for `host`, valid between these two times; the key is `server.key`.
    fn issue(&self, host: &str, from: &str, to: &str) -> PathBuf {
        openssl(
            self.path(),
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.csr \
                 -subj /CN=server -addext subjectAltName={host}"
            ),
        );
        openssl(
            self.path(),
            &format!(
                "ca -batch -notext -config ca.cnf -in server.csr -out server.pem -startdate {from} -enddate {to}"
            ),
        );
        self.path().join("server.pem")
    }
}

const PAST: &str = "20200101000000Z";
const FUTURE: &str = "20990101000000Z";
const FAR_FUTURE: &str = "20990102000000Z";

/// A server that speaks TLS with the certificate that was issued last, and gives out the files of the CA's directory
/// as answers. It ends with this value.
struct TlsServer {
    child: Child,
    port: u16,
}

impl TlsServer {
    fn start(ca: &Ca) -> TlsServer {
        let port = free_port();
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-HTTP", "-accept"])
            .arg(format!("127.0.0.1:{port}"))
            .args(["-cert", "server.pem", "-key", "server.key"])
            // It would not serve the small keys that some tests are about.
            .args(["-cipher", "DEFAULT:@SECLEVEL=0"])
            .current_dir(ca.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = TlsServer { child, port };
        eventually("openssl s_server listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    fn home(&self, ca: &Ca) -> Home {
        let mut home = Home::new();
        home.set("VAULT_ADDR", format!("https://127.0.0.1:{}", self.port))
            .set("VAULT_CACERT", ca.path().join("ca.pem"))
            .set("VAULT_TOKEN", "canary-token")
            .set("MXM_SECRETS_BACKENDS", "vault");
        home
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes of asking a server with a certificate for `host` that is valid between these times.
#[track_caller]
fn is_refused(host: &str, from: &str, to: &str, words: &[&str]) {
    let ca = Ca::new();
    ca.issue(host, from, to);
    let server = TlsServer::start(&ca);
    let mut home = server.home(&ca);
    let seen = home.run(["get", "--default", "d", "a"]);
    seen.has(4, "", words);
    seen.has(4, "", &["cannot connect to https://127.0.0.1:"]);
    // Whoever says so gets through to the server, which is none of Vault's.
    home.set("VAULT_SKIP_VERIFY", "1");
    home.run(["get", "a"]).has(
        4,
        "",
        &[
            "certificate is not verified",
            "did not answer like a Vault server",
        ],
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    is_refused(
        "IP:127.0.0.1",
        PAST,
        "20200102000000Z",
        &[
            "the server's certificate has expired",
            "renew the server's certificate, or set this machine's clock",
        ],
    );
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused() {
    is_refused(
        "IP:127.0.0.1",
        FUTURE,
        FAR_FUTURE,
        &[
            "the server's certificate is not valid yet",
            "set this machine's clock",
        ],
    );
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    is_refused(
        "DNS:vault.example",
        PAST,
        FUTURE,
        &[
            "the server's certificate is not for this name, but for vault.example",
            "VAULT_TLS_SERVER_NAME",
        ],
    );
    let ca = Ca::new();
    ca.issue("DNS:vault.example", PAST, FUTURE);
    let server = TlsServer::start(&ca);
    let mut home = server.home(&ca);
    home.set("VAULT_TLS_SERVER_NAME", "vault.example");
    home.run(["get", "a"])
        .has(4, "", &["did not answer like a Vault server"]);
}

#[test]
fn a_tampered_certificate_is_refused() {
    let ca = Ca::new();
    ca.issue("IP:127.0.0.1", PAST, FUTURE);
    let der = ca.path().join("server.der");
    openssl(
        ca.path(),
        "x509 -in server.pem -outform DER -out server.der",
    );
    // Its last byte is of the signature.
    let mut bytes = fs::read(&der).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&der, bytes).unwrap();
    openssl(ca.path(), "x509 -inform DER -in server.der -out server.pem");
    let server = TlsServer::start(&ca);
    server.home(&ca).run(["get", "--default", "d", "a"]).has(
        4,
        "",
        &[
            "cannot connect to https://127.0.0.1:",
            "the server's certificate is not signed with the key of the CA of that name",
        ],
    );
}

#[test]
fn a_redirect_away_from_tls_is_not_followed() {
    let ca = Ca::new();
    ca.issue("IP:127.0.0.1", PAST, FUTURE);
    let plain = Scripted::answering(kv("{\"value\":\"v\"}"));
    fs::create_dir_all(ca.path().join("v1/secret/data")).unwrap();
    let redirect = format!(
        "HTTP/1.1 307 X\r\nLocation: {}/v1/secret/data/a\r\nContent-Length: 0\r\n\r\n",
        plain.address()
    );
    fs::write(ca.path().join("v1/secret/data/a"), redirect).unwrap();
    let server = TlsServer::start(&ca);
    let mut home = server.home(&ca);
    home.set("MXM_SECRETS_VAULT_KV_VERSION", "2");
    home.run(["get", "a"])
        .has(4, "", &["redirects from https to http://127.0.0.1:"]);
    assert_eq!(plain.requests(), [""; 0]);
}

#[test]
fn another_ca_of_the_same_name_is_no_ca_of_it() {
    let (ca, other) = (Ca::new(), Ca::new());
    ca.issue("IP:127.0.0.1", PAST, FUTURE);
    let server = TlsServer::start(&ca);
    server.home(&other).run(["get", "a"]).has(
        4,
        "",
        &[
            "is not signed with the key of the CA of that name",
            "was the CA created anew?",
        ],
    );
}

/// Where nothing else is said, the system's certificates count. SSL_CERT_FILE names them, as for OpenSSL.
#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "SSL_CERT_FILE and the trust store are files on Linux"
)]
fn the_certificates_of_the_system_count() {
    let Some(server) = Server::shared() else {
        return;
    };
    server.put("system/a", r#"{"value":"a"}"#);
    let mut home = Home::new();
    home.set("VAULT_ADDR", &server.address)
        .set("VAULT_TOKEN", ROOT)
        .set("MXM_SECRETS_BACKENDS", "vault");
    home.run(["get", "system/a"]).has(
        4,
        "",
        &["is not issued by a CA that is trusted here", "VAULT_CACERT"],
    );
    home.set("SSL_CERT_FILE", &server.ca);
    home.run(["get", "system/a"]).is(0, "a\n", "");
    // A CA that is named takes their place.
    let other = Ca::new();
    home.set("VAULT_CACERT", other.path().join("ca.pem"));
    home.run(["get", "system/a"])
        .has(4, "", &["is not issued by a CA that is trusted here"]);
}

/// The same with the file of the trust store itself, which only this one process sees otherwise.
#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "SSL_CERT_FILE and the trust store are files on Linux"
)]
fn the_trust_store_of_the_system_counts() {
    let Some(server) = Server::shared() else {
        return;
    };
    let unshare = |home: &Home, script: &str| {
        let mut command = home.command("unshare");
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                script,
                "sh",
            ])
            .arg(program_under_test())
            .arg(&server.ca);
        crate::support::transcript(&mut command)
    };
    let mut home = Home::new();
    if unshare(&home, "mount --bind \"$2\" \"$2\"").status != Some(0) {
        crate::support::not_run("unshare cannot make a mount namespace here");
        return;
    }
    server.put("store/a", r#"{"value":"a"}"#);
    home.set("VAULT_ADDR", &server.address)
        .set("VAULT_TOKEN", ROOT)
        .set("MXM_SECRETS_BACKENDS", "vault");
    unshare(
        &home,
        "mount -t tmpfs none /etc/ssl/certs && cp \"$2\" /etc/ssl/certs/ca-certificates.crt && \"$1\" get store/a",
    )
    .is(0, "a\n", "");
    unshare(
        &home,
        "mount -t tmpfs none /etc/ssl/certs && \"$1\" get store/a",
    )
    .has(
        4,
        "",
        &[
            "this system has no CA certificates",
            "install ca-certificates",
        ],
    );
}

/// What openssl makes, and rustls refuses.
#[test]
fn a_certificate_of_an_unsupported_kind_is_refused_with_its_reason() {
    for (key, names, words) in [
        (
            "-newkey ec -pkeyopt ec_paramgen_curve:P-521",
            "IP:127.0.0.1",
            "no way of TLS in common",
        ),
        ("-newkey rsa:1024", "IP:127.0.0.1", "at least 2048 bits"),
        (
            "-newkey rsa:2048",
            "DNS:*.example",
            "is not for this name, but for *.example",
        ),
    ] {
        let ca = Ca::new();
        openssl(
            ca.path(),
            &format!("req {key} -nodes -keyout server.key -out server.csr -subj /CN=x"),
        );
        fs::write(ca.path().join("ext"), format!("subjectAltName={names}\n")).unwrap();
        openssl(
            ca.path(),
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem",
        );
        let server = TlsServer::start(&ca);
        let mut home = server.home(&ca);
        if names.starts_with("DNS") {
            home.set("VAULT_TLS_SERVER_NAME", "vault.example");
        }
        let seen = home.run(["get", "--default", "d", "a"]);
        seen.has(4, "", &["cannot connect to https://127.0.0.1:", words]);
        assert!(!seen.stderr.contains("Other("), "{}", seen.stderr);
    }
    // Self-signed, as a CA.
    let ca = Ca::new();
    openssl(
        ca.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem -days 2 -subj /CN=x -addext subjectAltName=IP:127.0.0.1",
    );
    fs::copy(ca.path().join("server.pem"), ca.path().join("ca.pem")).unwrap();
    let server = TlsServer::start(&ca);
    server.home(&ca).run(["get", "a"]).has(
        4,
        "",
        &[
            "is that of a CA (CA:TRUE), which no server may use",
            "CA:FALSE",
        ],
    );
}

/// All files below the directory count, as for the official clients.
#[test]
fn a_directory_of_certificates_may_have_others_in_it() {
    let ca = Ca::new();
    ca.issue("IP:127.0.0.1", PAST, FUTURE);
    let server = TlsServer::start(&ca);
    let mut home = server.home(&ca);
    home.write(
        "cas/internal/two/ca.pem",
        fs::read(ca.path().join("ca.pem")).unwrap(),
    );
    let cas = home.path().join("cas");
    home.set("VAULT_CACERT", "").set("VAULT_CAPATH", cas);
    home.run(["get", "a"])
        .has(4, "", &["did not answer like a Vault server"]);
    std::os::unix::fs::symlink(
        home.path().join("cas"),
        home.path().join("cas/internal/again"),
    )
    .unwrap();
    home.run(["get", "a"])
        .has(4, "", &["did not answer like a Vault server"]);
    std::fs::create_dir(home.path().join("empty")).unwrap();
    home.set("VAULT_CAPATH", home.path().join("empty"));
    home.run(["get", "a"])
        .has(4, "", &["there is no CA certificate in PEM in"]);
}
