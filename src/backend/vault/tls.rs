//! TLS: whom to trust, who we are, and the encrypted connection.
//!
//! rustls keeps what it has decrypted in buffers of its own, each as long-lived as its connection, and does not wipe
//! them: the program's allocator ([`crate::arena`]) does.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;

use super::http::Warnings;
use super::socket::Socket;
use crate::backend::Reason;
use crate::deadline::Deadline;
use crate::file;

/// The largest file of certificates or keys, in bytes.
const FILE_LIMIT: usize = 4 << 20;

/// Whom to trust, and who we are.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    pub roots: Roots,
    /// The files of the client's certificate chain and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the certificate must be for, when it is not the host of the address.
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub skip_verify: bool,
}

/// Where the certificates are that every other one must lead to.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// The ones that the system trusts.
    #[default]
    System,
    /// Those in a file.
    File(PathBuf),
    /// Those in all files below a directory.
    Directory(PathBuf),
    /// These, in PEM.
    Pem(String),
}

/// Which keys can be used.
const KEYS: &str = "use a key of RSA with at least 2048 bits, P-256, P-384 or Ed25519";

/// What all connections of one client share.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

/// An encrypted connection.
pub struct TlsStream {
    tls: ClientConnection,
    socket: Socket,
}

impl Tls {
    /// Reads the certificates, by `deadline`. What is to be said of the key goes to `warnings`.
    ///
    /// # Errors
    /// Whichever cannot be read or used.
    pub fn new(trust: &Trust, warnings: &Warnings, deadline: Deadline) -> Result<Tls, Reason> {
        let read = |path: &Path| file::read(path, FILE_LIMIT, deadline);
        let provider = Arc::new(ring::default_provider());
        let unusable = |_| Reason::from("cannot set up TLS");
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match &trust.roots {
            _ if trust.skip_verify => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider })),
            Roots::System => builder.with_platform_verifier().map_err(|_| {
                Reason::from("this system has no CA certificates")
                    .hint("install ca-certificates, or name the file of the CA with VAULT_CACERT")
            })?,
            Roots::File(path) => {
                builder.with_root_certificates(roots(std::slice::from_ref(path), path, deadline)?)
            }
            Roots::Directory(path) => {
                let mut files = Vec::new();
                files_below(path, 0, deadline, &mut files)?;
                files.sort();
                builder.with_root_certificates(roots(&files, path, deadline)?)
            }
            Roots::Pem(pem) => {
                let mut store = RootCertStore::empty();
                add(&mut store, pem.as_bytes(), "VAULT_CACERT_BYTES")?;
                builder.with_root_certificates(filled(store, "VAULT_CACERT_BYTES")?)
            }
        };
        let mut config = match &trust.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                // What the library says of a key may hold all of it.
                let bad = |path: &Path, what: &str, error: pem::Error| {
                    Reason::from(format!(
                        "{} is not a {what}: {}",
                        path.display(),
                        wrong(&error)
                    ))
                };
                let pem = read(certificate)?;
                let chain = CertificateDer::pem_slice_iter(pem.expose())
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| bad(certificate, "certificate in PEM", error))?;
                let (pem, exposed) = file::read_key(key, FILE_LIMIT, deadline)?;
                warnings.add(exposed);
                // rustls takes the key over as it is; it lives as long as the client.
                let private = PrivateKeyDer::from_pem_slice(pem.expose())
                    .map_err(|error| bad(key, "private key in PEM", error))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| {
                        let (certificate, key) = (certificate.display(), key.display());
                        match error {
                            rustls::Error::InconsistentKeys(_) => Reason::from(format!(
                                "the client certificate {certificate} does not match the key {key}"
                            )),
                            rustls::Error::NoCertificatesPresented => {
                                format!("there is no certificate in PEM in {certificate}").into()
                            }
                            _ => Reason::from(format!(
                                "the client certificate {certificate} or its key {key} cannot be used"
                            ))
                            .hint(KEYS),
                        }
                    })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls {
            config: Arc::new(config),
            server_name: trust.server_name.clone(),
        })
    }

    /// Shakes hands over `socket` with the server at `host`.
    ///
    /// # Errors
    /// See [`explain`] for what TLS itself says.
    pub fn connect(&self, host: &str, socket: Socket) -> io::Result<TlsStream> {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| io::Error::other("no certificate can be for such a host name"))?;
        let tls = ClientConnection::new(self.config.clone(), name).map_err(invalid)?;
        let mut stream = TlsStream { tls, socket };
        while stream.tls.is_handshaking() {
            stream.send()?;
            if !stream.receive()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(stream)
    }
}

impl TlsStream {
    /// Sends what is ready to go out.
    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Receives something; says whether it was not the end.
    fn receive(&mut self) -> io::Result<bool> {
        if self.tls.read_tls(&mut self.socket)? == 0 {
            // It decides what to make of that when it is read from.
            let _ = self.tls.process_new_packets();
            return Ok(false);
        }
        if let Err(error) = self.tls.process_new_packets() {
            // The other side may learn why.
            let _ = self.tls.write_tls(&mut self.socket);
            return Err(invalid(error));
        }
        Ok(true)
    }
}

impl Read for TlsStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.receive()?;
                    // An answer to what TLS itself may have been asked, such as new keys.
                    self.send()?;
                }
                result => return result,
            }
        }
    }
}

impl Write for TlsStream {
    /// The first time, the end of our part of the handshake goes along in the same packet.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.tls.writer().write(bytes)?;
        self.send()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What is wrong in a PEM file, in words that hold nothing of it.
fn wrong(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a BEGIN line has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line does not end with -----",
        pem::Error::Base64Decode(_) => "the text between BEGIN and END is not base64",
        pem::Error::NoItemsFound => "there is none; are all lines on one?",
        _ => "it cannot be read",
    }
}

/// What TLS has against the other side, and what can be done about it, if the error comes from there. In words of our
/// own: the library's hold what the other side has sent.
pub fn explain(error: &io::Error) -> Option<(String, Option<&'static str>)> {
    use CertificateError as Bad;
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let (text, hint) = match error {
        rustls::Error::InvalidCertificate(problem) => {
            let (text, hint) = match problem {
                Bad::UnknownIssuer => (
                    "is not issued by a CA that is trusted here",
                    "name the file of the CA that issued it with VAULT_CACERT or ca_cert",
                ),
                Bad::NotValidForNameContext { presented, .. } => {
                    let names = names(presented);
                    return Some((
                        format!("the server's certificate is not for this name, but for {names}"),
                        Some(match names.contains("*.") {
                            true => {
                                "a wildcard stands for one label, before at least two; set VAULT_TLS_SERVER_NAME"
                            }
                            false => {
                                "use a name that it is for in the address, or VAULT_TLS_SERVER_NAME"
                            }
                        }),
                    ));
                }
                Bad::NotValidForName => (
                    "is not for this name",
                    "use a name that it is for in the address, or VAULT_TLS_SERVER_NAME",
                ),
                Bad::Expired | Bad::ExpiredContext { .. } => (
                    "has expired",
                    "renew the server's certificate, or set this machine's clock",
                ),
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
                    "is not valid yet",
                    "renew the server's certificate, or set this machine's clock",
                ),
                Bad::BadSignature => (
                    "is not signed with the key of the CA of that name",
                    "was the CA created anew? name its new file with VAULT_CACERT or ca_cert; if its key is RSA, it \
                     needs at least 2048 bits",
                ),
                Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => (
                    "is not meant for servers",
                    "issue it with extendedKeyUsage serverAuth",
                ),
                Bad::UnhandledCriticalExtension => (
                    "has a critical extension that is unknown here",
                    "issue it without that",
                ),
                Bad::Revoked => ("has been revoked", "renew the server's certificate"),
                Bad::BadEncoding => ("is malformed", "issue it anew"),
                // Of this one the library has only the name.
                Bad::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => (
                    "is that of a CA (CA:TRUE), which no server may use",
                    "issue it with CA:FALSE: openssl req -x509 needs -addext basicConstraints=critical,CA:FALSE",
                ),
                Bad::Other(other) if format!("{other:?}").contains("EkuError") => (
                    "is not meant for servers",
                    "issue it with extendedKeyUsage serverAuth",
                ),
                Bad::UnsupportedSignatureAlgorithmContext { .. }
                | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
                    "has a key or a signature of a kind that is not supported",
                    KEYS,
                ),
                _ => ("cannot be verified", KEYS),
            };
            return Some((format!("the server's certificate {text}"), Some(hint)));
        }
        rustls::Error::InvalidMessage(_) => (
            "the server does not speak TLS",
            Some("should the address be http://, or the port another one?"),
        ),
        rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure)
        | rustls::Error::PeerIncompatible(_) => (
            "the server and this program have no way of TLS in common",
            Some(
                "the server needs TLS 1.2 or 1.3, and a key of RSA with at least 2048 bits, P-256, P-384 or Ed25519",
            ),
        ),
        rustls::Error::AlertReceived(_) => (
            "the server ended the TLS handshake",
            Some(
                "the server may require a client certificate: set VAULT_CLIENT_CERT and VAULT_CLIENT_KEY",
            ),
        ),
        _ => ("the server breaks the rules of TLS", None),
    };
    Some((text.to_owned(), hint))
}

/// The names that a certificate is for; the library gives them as `DnsName("a")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name
            .split_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        let inner = inner.unwrap_or(name).trim_matches('"');
        inner
            .chars()
            .filter(char::is_ascii_graphic)
            .take(100)
            .collect::<String>()
    };
    match presented {
        [] => "none".to_owned(),
        names => names
            .iter()
            .take(20)
            .map(bare)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// All files below `directory`, to a depth of eight.
fn files_below(
    directory: &Path,
    depth: usize,
    deadline: Deadline,
    files: &mut Vec<PathBuf>,
) -> Result<(), Reason> {
    let unreadable = |error| file::cannot_read(directory, &error);
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("read").after(directory.display()))?;
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() && depth < 8 {
            files_below(&path, depth + 1, deadline, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// The certificates in all of `files`, which `source` names.
fn roots(files: &[PathBuf], source: &Path, deadline: Deadline) -> Result<RootCertStore, Reason> {
    let mut store = RootCertStore::empty();
    for path in files {
        let pem = file::read(path, FILE_LIMIT, deadline)?;
        add(&mut store, pem.expose(), &path.display().to_string())?;
    }
    filled(store, &source.display().to_string())
}

fn add(store: &mut RootCertStore, pem: &[u8], source: &str) -> Result<(), Reason> {
    let bad = |why: &str| Reason::from(format!("a CA certificate in {source} is unusable: {why}"));
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| bad(wrong(&error)))?;
        store
            .add(certificate)
            .map_err(|_| bad("it is malformed, or of a kind that is not supported"))?;
    }
    Ok(())
}

fn filled(store: RootCertStore, source: &str) -> Result<RootCertStore, Reason> {
    if store.is_empty() {
        return Err(format!("there is no CA certificate in PEM in {source}").into());
    }
    Ok(store)
}

/// Takes any certificate, for the user who has said so; the other side must still have its key.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The socket's bytes, or their plaintext.
pub trait Bytes: Read + Write {
    /// The socket below.
    fn socket(&mut self) -> &mut Socket;
}

impl Bytes for Socket {
    fn socket(&mut self) -> &mut Socket {
        self
    }
}

impl Bytes for TlsStream {
    fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }
}
