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
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;

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
    /// Those in all files of a directory.
    Directory(PathBuf),
    /// These, in PEM.
    Pem(String),
}

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
    /// Reads the certificates, by `deadline`.
    ///
    /// # Errors
    /// Whichever cannot be read or used.
    pub fn new(trust: &Trust, deadline: Deadline) -> Result<Tls, Reason> {
        let read = |path: &Path| file::read(path, FILE_LIMIT, deadline);
        let provider = Arc::new(ring::default_provider());
        let unusable = |error: rustls::Error| Reason::from(format!("cannot set up TLS: {error}"));
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match &trust.roots {
            _ if trust.skip_verify => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider })),
            Roots::System => builder.with_platform_verifier().map_err(|error| {
                Reason::from(format!("cannot use the system's certificates: {error}"))
                    .hint("install ca-certificates, or name the file of the CA with VAULT_CACERT")
            })?,
            Roots::File(path) => builder.with_root_certificates(roots(&[path], deadline)?),
            Roots::Directory(path) => {
                builder.with_root_certificates(roots(&files_of(path)?, deadline)?)
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
                let bad = |path: &Path, what: &str, error: &dyn std::fmt::Display| {
                    Reason::from(format!("{} is no {what}: {error}", path.display()))
                };
                let pem = read(certificate)?;
                let chain = CertificateDer::pem_slice_iter(pem.expose())
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| bad(certificate, "certificate in PEM", &error))?;
                // rustls takes the key over as it is; it lives as long as the client.
                let private = PrivateKeyDer::from_pem_slice(read(key)?.expose())
                    .map_err(|error| bad(key, "private key in PEM", &error))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| {
                        Reason::from(format!(
                            "the client certificate {} does not go with the key {}: {error}",
                            certificate.display(),
                            key.display()
                        ))
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
            .map_err(|_| io::Error::other("a certificate cannot be for such a host name"))?;
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

/// What TLS has against the other side, and what can be done about it, if the error comes from there.
pub fn explain(error: &io::Error) -> Option<(String, Option<&'static str>)> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let hint = match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::UnknownIssuer => {
                Some("name the file of the CA that has issued it with VAULT_CACERT or ca_cert")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some("use a name that it is for in the address, or VAULT_TLS_SERVER_NAME")
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                Some("renew the server's certificate, or set this machine's clock")
            }
            _ => None,
        },
        rustls::Error::InvalidMessage(_) => {
            Some("no TLS is spoken there: is it http://, or another port?")
        }
        rustls::Error::AlertReceived(_) => {
            Some("the server may want a client certificate: VAULT_CLIENT_CERT and VAULT_CLIENT_KEY")
        }
        _ => None,
    };
    let text = match error {
        // For these it has no words.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "invalid peer certificate: no CA that is trusted here has issued it".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            "invalid peer certificate: it has a bad signature, so it has been tampered with"
                .to_owned()
        }
        error => error.to_string(),
    };
    Some((text, hint))
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, Reason> {
    let unreadable =
        |error: io::Error| Reason::from(format!("cannot read {}: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The certificates in all of `files`.
fn roots<P: AsRef<Path>>(files: &[P], deadline: Deadline) -> Result<RootCertStore, Reason> {
    let mut store = RootCertStore::empty();
    let mut seen = Vec::new();
    for path in files {
        let shown = path.as_ref().display().to_string();
        let pem = file::read(path.as_ref(), FILE_LIMIT, deadline)?;
        add(&mut store, pem.expose(), &shown)?;
        seen.push(shown);
    }
    filled(store, &seen.join(", "))
}

fn add(store: &mut RootCertStore, pem: &[u8], source: &str) -> Result<(), Reason> {
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let bad = |error: &dyn std::fmt::Display| {
            Reason::from(format!("a CA certificate in {source} is unusable: {error}"))
        };
        let certificate = certificate.map_err(|error| bad(&error))?;
        store.add(certificate).map_err(|error| bad(&error))?;
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
