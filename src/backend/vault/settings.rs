//! What is set up: the environment of the official clients, and the section of the configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::Address;
use super::tls::{Roots, Trust};
use crate::backend::Reason;
use crate::json;
use crate::schema::{Key, Kind, Section};
use crate::secret::Secret;
use crate::sys;

/// The words for `auth.method`.
const METHODS: &[&str] = &["token", "approle", "jwt", "kubernetes", "cert"];

macro_rules! keys {
    ($($name:literal, $kind:expr, $default:literal, $variable:literal, $about:literal;)*) => {
        &[$(Key {
            name: $name,
            kind: $kind,
            default: $default,
            variable: Some($variable),
            about: $about,
        }),*]
    };
}

/// The keys of the section. None of them holds a secret: those come from files or from variables.
pub const KEYS: &[Key] = keys! {
    "address", Kind::Address(|text| server(text).is_some()), "", "MXM_SECRETS_VAULT_ADDRESS",
        "the server: https://HOST:PORT, http://HOST:PORT or unix:///PATH";
    "mount", Kind::Text, "secret", "MXM_SECRETS_VAULT_MOUNT",
        "where the KV engine is mounted";
    "prefix", Kind::Text, "", "MXM_SECRETS_VAULT_PREFIX",
        "a path put before every name";
    "field", Kind::Text, "value", "MXM_SECRETS_VAULT_FIELD",
        "the field of a name without one";
    "kv_version", Kind::Choice(&["auto", "1", "2"]), "auto", "MXM_SECRETS_VAULT_KV_VERSION",
        "the version of the KV engine; auto asks the server";
    "namespace", Kind::Text, "", "MXM_SECRETS_VAULT_NAMESPACE",
        "the namespace";
    "ca_cert", Kind::Path, "", "MXM_SECRETS_VAULT_CA_CERT",
        "the CA certificates in PEM that the server's must lead to";
    "client_cert", Kind::Path, "", "MXM_SECRETS_VAULT_CLIENT_CERT",
        "the client certificate in PEM";
    "client_key", Kind::Path, "", "MXM_SECRETS_VAULT_CLIENT_KEY",
        "its private key in PEM";
    "auth.method", Kind::Choice(METHODS), "token", "MXM_SECRETS_VAULT_AUTH_METHOD",
        "how to log in";
    "auth.mount", Kind::Text, "", "MXM_SECRETS_VAULT_AUTH_MOUNT",
        "where that method is mounted, when not under its own name";
    "auth.role", Kind::Text, "", "MXM_SECRETS_VAULT_AUTH_ROLE",
        "the role to log in as, for jwt, kubernetes and cert";
    "auth.role_id_file", Kind::Path, "", "MXM_SECRETS_VAULT_ROLE_ID_FILE",
        "the file with the role_id, for approle";
    "auth.secret_id_file", Kind::Path, "", "MXM_SECRETS_VAULT_SECRET_ID_FILE",
        "the file with the secret_id, for approle";
    "auth.secret_id_wrapped", Kind::Bool, "false", "MXM_SECRETS_VAULT_SECRET_ID_WRAPPED",
        "whether it is a wrapping token that has the secret_id";
    "auth.jwt_file", Kind::Path, "", "MXM_SECRETS_VAULT_JWT_FILE",
        "the file with the token to show, for jwt, and for kubernetes in place of the service account's own";
    "auth.audience", Kind::Text, "", "MXM_SECRETS_VAULT_AUTH_AUDIENCE",
        "the audience to ask GitHub Actions' token for";
};

/// The variables that are heeded apart from those of the keys; every VAULT_X also as BAO_X, which wins.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        "VAULT_AGENT_ADDR",
        "the address of an agent or proxy; wins over every other",
    ),
    ("VAULT_ADDR", "the address of the server"),
    (
        "VAULT_TOKEN",
        "the token; wins over ~/.vault-token and over a login of the configuration file",
    ),
    ("VAULT_NAMESPACE", "the namespace"),
    ("VAULT_CACERT", "a file of CA certificates in PEM"),
    ("VAULT_CACERT_BYTES", "the CA certificates themselves"),
    ("VAULT_CAPATH", "a directory of CA certificates"),
    ("VAULT_CLIENT_CERT", "a client certificate in PEM"),
    ("VAULT_CLIENT_KEY", "its private key in PEM"),
    (
        "VAULT_TLS_SERVER_NAME",
        "the name that the server's certificate must be for",
    ),
    (
        "VAULT_SKIP_VERIFY",
        "true: take any certificate, with a warning",
    ),
    (
        "VAULT_CLIENT_TIMEOUT",
        "the longest time for one request: seconds, or 1m30s",
    ),
    (
        "VAULT_MAX_RETRIES",
        "how often to try again what the server could not answer (default 0)",
    ),
    ("VAULT_DISABLE_REDIRECTS", "true: follow no redirect"),
    ("VAULT_HEADERS", "further headers, as a JSON object"),
    (
        "VAULT_PROXY_ADDR",
        "an HTTP proxy; then VAULT_HTTP_PROXY, then HTTPS_PROXY and NO_PROXY",
    ),
    (
        "SSL_CERT_FILE",
        "the file of the certificates that this system trusts, when it is another one",
    ),
    ("MXM_SECRETS_VAULT_ROLE_ID", "the role_id, for approle"),
    ("MXM_SECRETS_VAULT_SECRET_ID", "the secret_id, for approle"),
    (
        "MXM_SECRETS_VAULT_JWT",
        "the token to show, for jwt and kubernetes",
    ),
];

/// The version of a KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1 = 1,
    V2 = 2,
}

/// How to become someone whom the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Token,
    AppRole,
    Jwt,
    Kubernetes,
    Cert,
}

/// All of it, but for the secrets, which are read when they are used.
#[derive(Debug)]
pub struct Settings {
    /// `None`: none is given.
    pub address: Option<Address>,
    pub mount: String,
    pub prefix: String,
    pub field: String,
    /// `None`: to be found out.
    pub version: Option<Version>,
    pub namespace: Option<String>,
    pub trust: Trust,
    pub timeout: Option<Duration>,
    pub retries: u32,
    pub redirects: bool,
    pub headers: Vec<(String, Secret)>,
    /// Whether the address is that of an agent, which may have a token of its own.
    pub agent: bool,
    pub auth: Auth,
}

/// How to log in.
#[derive(Clone, Debug)]
pub struct Auth {
    pub method: Method,
    pub mount: String,
    pub role: Option<String>,
    pub role_id_file: Option<PathBuf>,
    pub secret_id_file: Option<PathBuf>,
    pub secret_id_wrapped: bool,
    pub jwt_file: Option<PathBuf>,
    pub audience: Option<String>,
}

impl Settings {
    /// Reads the environment and `section`.
    ///
    /// # Errors
    /// Whatever cannot be understood.
    pub fn read(section: &Section) -> Result<Settings, Reason> {
        let agent = official("AGENT_ADDR")?;
        let is_agent = agent.is_some();
        let address = match agent {
            Some(agent) => Some(agent),
            None => text(section, "address", "ADDR")?,
        };
        let address = address
            .map(|(source, text)| {
                server(&text).ok_or_else(|| {
                    Reason::from(format!("{source} is not the address of a server"))
                        .hint("use https://HOST:PORT, http://HOST:PORT or unix:///PATH")
                })
            })
            .transpose()?;
        let trimmed = |key: &str| {
            section
                .text(key)
                .map(|path| path.trim_matches('/').to_owned())
                .filter(|path| !path.is_empty())
        };
        Ok(Settings {
            address,
            mount: trimmed("mount").unwrap_or_else(|| "secret".to_owned()),
            prefix: trimmed("prefix").unwrap_or_default(),
            field: filled(section, "field").unwrap_or_else(|| "value".to_owned()),
            version: match section.text("kv_version") {
                Some("1") => Some(Version::V1),
                Some("2") => Some(Version::V2),
                _ => None,
            },
            namespace: text(section, "namespace", "NAMESPACE")?.map(|(_, namespace)| namespace),
            trust: trust(section)?,
            timeout: official("CLIENT_TIMEOUT")?
                .map(|(source, text)| {
                    duration(&text).ok_or_else(|| not(&source, "seconds or a time such as 1m30s"))
                })
                .transpose()?
                .filter(|timeout| !timeout.is_zero()),
            retries: official("MAX_RETRIES")?
                .map(|(source, text)| text.parse().map_err(|_| not(&source, "a whole number")))
                .transpose()?
                .unwrap_or(0),
            redirects: !flag("DISABLE_REDIRECTS")?,
            headers: headers()?,
            agent: is_agent,
            auth: auth(section)?,
        })
    }
}

/// The address of a server, which has no query.
fn server(text: &str) -> Option<Address> {
    let address = Address::parse(text).filter(|address| !address.path.contains('?'))?;
    let path = address.path.trim_end_matches('/').to_owned();
    Some(Address { path, ..address })
}

fn auth(section: &Section) -> Result<Auth, Reason> {
    // A token that is given for this run stands above a login that is configured for all.
    let configured_here = is_set("MXM_SECRETS_VAULT_AUTH_METHOD");
    let method = match section.text("auth.method") {
        _ if !configured_here && official_name("TOKEN").is_some() => Method::Token,
        Some("approle") => Method::AppRole,
        Some("jwt") => Method::Jwt,
        Some("kubernetes") => Method::Kubernetes,
        Some("cert") => Method::Cert,
        _ => Method::Token,
    };
    Ok(Auth {
        method,
        mount: filled(section, "auth.mount")
            .map(|mount| mount.trim_matches('/').to_owned())
            .unwrap_or_else(|| method.word().to_owned()),
        role: filled(section, "auth.role"),
        role_id_file: section.path("auth.role_id_file").map(Path::to_owned),
        secret_id_file: section.path("auth.secret_id_file").map(Path::to_owned),
        secret_id_wrapped: section.flag("auth.secret_id_wrapped") == Some(true),
        jwt_file: section.path("auth.jwt_file").map(Path::to_owned),
        audience: filled(section, "auth.audience"),
    })
}

impl Method {
    /// The word for it, which is also where it is mounted unless someone has chosen otherwise.
    pub fn word(self) -> &'static str {
        match self {
            Method::Token => "token",
            Method::AppRole => "approle",
            Method::Jwt => "jwt",
            Method::Kubernetes => "kubernetes",
            Method::Cert => "cert",
        }
    }
}

fn trust(section: &Section) -> Result<Trust, Reason> {
    let roots = match path(section, "ca_cert", "CACERT")? {
        // A variable of the official clients stands above the configuration, whichever of the three it is.
        Some((None, file)) => match other_roots()? {
            Some(roots) => roots,
            None => Roots::File(file),
        },
        Some((Some(_), file)) => Roots::File(file),
        None => other_roots()?.unwrap_or_default(),
    };
    let certificate = path(section, "client_cert", "CLIENT_CERT")?;
    let key = path(section, "client_key", "CLIENT_KEY")?;
    let identity = match (certificate, key) {
        (Some((_, certificate)), Some((_, key))) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(Reason::from(
                "a client certificate needs its key, and a key its certificate",
            )
            .hint("give both VAULT_CLIENT_CERT and VAULT_CLIENT_KEY, or neither"));
        }
    };
    Ok(Trust {
        roots,
        identity,
        server_name: official("TLS_SERVER_NAME")?.map(|(_, name)| name),
        skip_verify: flag("SKIP_VERIFY")?,
    })
}

fn other_roots() -> Result<Option<Roots>, Reason> {
    Ok(match official("CACERT_BYTES")? {
        Some((_, pem)) => Some(Roots::Pem(pem)),
        None => match official("CAPATH")? {
            Some((_, path)) => Some(Roots::Directory(path.into())),
            None => system_roots(),
        },
    })
}

/// The file or directory that this system's certificates come from, where a variable names it; the library that finds
/// the others would read it without limit and deadline.
fn system_roots() -> Option<Roots> {
    let path = |name| {
        sys::variable(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let given = path("SSL_CERT_FILE").map(Roots::File);
    let given = given.or_else(|| path("SSL_CERT_DIR").map(Roots::Directory));
    // The library takes an empty one for the name of a file.
    let empty = std::env::var_os("SSL_CERT_FILE").is_some();
    let known = SYSTEM_ROOTS.iter().map(PathBuf::from);
    given.or_else(|| {
        known
            .filter(|path| empty && path.exists())
            .map(Roots::File)
            .next()
    })
}

/// Where systems keep the certificates that they trust.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn headers() -> Result<Vec<(String, Secret)>, Reason> {
    let Some(source) = official_name("HEADERS") else {
        return Ok(Vec::new());
    };
    let bad = || not(&source, "a JSON object of strings");
    let text = secret_variable(&source).ok_or_else(bad)?;
    let object = json::Value::parse(text.expose(), None)
        .filter(|value| value.is_object())
        .ok_or_else(bad)?;
    object
        .names()
        .into_iter()
        .map(|name| {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let value = object.get(&name).and_then(json::Value::text);
            match value {
                Some(value) if !name.is_empty() && name.bytes().all(token) => Ok((name, value)),
                _ => Err(bad()),
            }
        })
        .collect()
}

fn not(source: &str, what: &str) -> Reason {
    format!("{source} is not {what}").into()
}

/// A key's text, if it is given and not empty.
fn filled(section: &Section, key: &str) -> Option<String> {
    section
        .text(key)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// What is given for `key`, and where: our own variable, the official clients' variable `X`, the configuration.
fn text(
    section: &Section,
    key: &str,
    official_x: &str,
) -> Result<Option<(String, String)>, Reason> {
    if !own_variable_is_set(key)
        && let Some(given) = official(official_x)?
    {
        return Ok(Some(given));
    }
    Ok(filled(section, key).map(|text| (key.to_owned(), text)))
}

/// The same for a path; the source is `None` for the configuration.
fn path(
    section: &Section,
    key: &str,
    official_x: &str,
) -> Result<Option<(Option<String>, PathBuf)>, Reason> {
    let own = own_variable_is_set(key);
    if !own && let Some((source, path)) = official(official_x)? {
        return Ok(Some((Some(source), path.into())));
    }
    Ok(section
        .path(key)
        .map(|path| (own.then(|| key.to_owned()), path.to_owned())))
}

fn own_variable_is_set(key: &str) -> bool {
    KEYS.iter()
        .find(|known| known.name == key)
        .and_then(|known| known.variable)
        .is_some_and(is_set)
}

/// A variable that is empty counts as not set.
pub fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Which of BAO_X and VAULT_X is set, the first of both.
pub fn official_name(x: &str) -> Option<String> {
    let names = ["BAO", "VAULT"].map(|program| format!("{program}_{x}"));
    names.into_iter().find(|name| is_set(name))
}

/// BAO_X or else VAULT_X, with its name.
///
/// # Errors
/// A value that is not UTF-8.
pub fn official(x: &str) -> Result<Option<(String, String)>, Reason> {
    let Some(name) = official_name(x) else {
        return Ok(None);
    };
    Ok(variable(&[&name])?.map(|(name, text)| (name.to_owned(), text)))
}

/// The first of `names` that is set, with its name.
///
/// # Errors
/// A value that is not UTF-8.
pub fn variable<'n>(names: &[&'n str]) -> Result<Option<(&'n str, String)>, Reason> {
    let Some(name) = names.iter().find(|name| is_set(name)) else {
        return Ok(None);
    };
    match std::env::var(name) {
        Ok(text) => Ok(Some((name, text))),
        Err(_) => Err(not(name, "UTF-8")),
    }
}

/// A variable whose value is a secret.
pub fn secret_variable(name: &str) -> Option<Secret> {
    use std::os::unix::ffi::OsStringExt;
    let value = sys::variable(name)?;
    Some(Secret::take(value.into_vec()))
}

/// A yes or no, in the words that the official clients take.
fn flag(x: &str) -> Result<bool, Reason> {
    match official(x)? {
        None => Ok(false),
        Some((source, text)) => match text.as_str() {
            "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
            "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
            _ => Err(not(&source, "true or false")),
        },
    }
}

/// A time in seconds, or as Go writes it: `1h2m3s`, `1.5s`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let seconds = |number: &str, unit: f64| {
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let number: f64 = number.bytes().all(plain).then(|| number.parse().ok())??;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    if let Some(whole) = seconds(text, 1.0) {
        return Some(whole);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(end);
        let (unit, length) = [("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
            .iter()
            .find(|(unit, _)| after.starts_with(unit))
            .map(|(unit, seconds)| (*seconds, unit.len()))?;
        total = total.checked_add(seconds(number, unit)?)?;
        rest = &after[length..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_does() {
        for (text, millis) in [
            ("60", Some(60_000)),
            ("1.5", Some(1500)),
            ("1m30s", Some(90_000)),
            ("250ms", Some(250)),
            ("1h", Some(3_600_000)),
            ("1.5s", Some(1500)),
            ("s", None),
            ("1x", None),
            ("-1", None),
            ("1s2", None),
            ("1e999", None),
            (".", None),
        ] {
            assert_eq!(
                duration(text).map(|time| time.as_millis()),
                millis,
                "{text}"
            );
        }
    }
}
