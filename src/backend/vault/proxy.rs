//! Which HTTP proxy stands between us and a server, by the variables of the official clients and of everyone.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::{Address, Place};
use super::http::Proxy;
use super::settings::{official, variable};
use crate::backend::Reason;
use crate::secret::Secret;

/// The proxy for Vault at `address`.
///
/// # Errors
/// A proxy that cannot be used.
pub fn for_vault(address: &Address) -> Result<Option<Proxy>, Reason> {
    let given = match official("PROXY_ADDR")? {
        Some(given) => Some(given),
        None => official("HTTP_PROXY")?,
    };
    match (given, &address.place) {
        (Some((source, text)), Place::Tcp { .. }) => parse(&source, &text).map(Some),
        _ => for_everyone(address),
    }
}

/// The proxy that every program uses for `address`.
///
/// # Errors
/// A proxy that cannot be used.
pub fn for_everyone(address: &Address) -> Result<Option<Proxy>, Reason> {
    let Place::Tcp { tls, host, port } = &address.place else {
        return Ok(None);
    };
    let names: &[&'static str] = match tls {
        true => &["HTTPS_PROXY", "https_proxy"],
        // In a CGI program this is a header of the client's.
        false if std::env::var_os("REQUEST_METHOD").is_some() => &["http_proxy"],
        false => &["HTTP_PROXY", "http_proxy"],
    };
    let Some((source, text)) = variable(names)? else {
        return Ok(None);
    };
    let except = variable(&["NO_PROXY", "no_proxy"])?.map_or(String::new(), |(_, text)| text);
    if is_loopback(host) || is_excepted(&except, host, *port) {
        return Ok(None);
    }
    parse(source, &text).map(Some)
}

fn parse(source: &str, text: &str) -> Result<Proxy, Reason> {
    // The text is not shown: it may have a password.
    let bad = || Reason::from(format!("{source} is not the address of an HTTP proxy"));
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(bad().hint("use http://HOST:PORT"));
    }
    let rest = rest.trim_end_matches('/');
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    let address = Address::parse(&format!("http://{host}"))
        .filter(|address| address.path.is_empty())
        .ok_or_else(bad)?;
    Ok(Proxy {
        address,
        user: user.map(|user| {
            let user = decode(user);
            let header = basic(&user);
            (user, header)
        }),
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether one of the comma-separated `rules` takes `host` out: `*`, a name (with those below it), `.name` (only those
/// below it), an IP address, a network, each with a port or without.
fn is_excepted(rules: &str, host: &str, port: u16) -> bool {
    let ip = host.parse::<IpAddr>().ok();
    rules
        .split([',', ' '])
        .filter(|rule| !rule.is_empty())
        .any(|rule| {
            let rule = rule.to_ascii_lowercase();
            if rule == "*" {
                return true;
            }
            if let Some((network, bits)) = rule.split_once('/') {
                return match (ip, network.parse::<IpAddr>(), bits.parse::<u32>()) {
                    (Some(ip), Ok(network), Ok(bits)) => is_in_network(ip, network, bits),
                    _ => false,
                };
            }
            let bare = rule.trim_matches(['[', ']']);
            if let Ok(rule) = bare.parse::<IpAddr>() {
                return ip == Some(rule);
            }
            let name = match rule.rsplit_once(':') {
                Some((name, digits)) if digits.parse::<u16>() == Ok(port) => name,
                Some(_) => return false,
                None => rule.as_str(),
            };
            let name = name.trim_matches(['[', ']']);
            match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
                Some(parent) => is_below(host, parent),
                None => host == name || is_below(host, name),
            }
        })
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

fn is_in_network(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (ip, network, size) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            (u128::from(ip.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    bits <= size && (ip ^ network).checked_shr(size - bits).unwrap_or(0) == 0
}

/// Undoes percent-encoding; what is not encoded stays as it is.
fn decode(text: &str) -> Secret {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .filter(|two| first == b'%' && two.iter().all(u8::is_ascii_hexdigit));
        let code =
            digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    Secret::take(bytes)
}

/// The value of an authorization header for `user:password`.
fn basic(user: &Secret) -> Secret {
    let mut value = b"Basic ".to_vec();
    // All at once: a string that grows leaves copies behind.
    value.resize(6 + user.len().div_ceil(3) * 4, b'=');
    let _ = STANDARD.encode_slice(user.expose(), &mut value[6..]);
    Secret::take(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_heeded() {
        for (rules, host, excepted) in [
            ("", "a.example", false),
            ("*", "a.example", true),
            ("example", "a.example", true),
            ("b.example, a.example", "a.example", true),
            (".a.example", "a.example", false),
            (".example", "a.example", true),
            ("*.example", "a.example", true),
            ("ample", "a.example", false),
            ("a.example:8200", "a.example", true),
            ("a.example:1", "a.example", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("fd00::/8", "fd00::1", true),
            ("[fd00::1]", "fd00::1", true),
            ("10.1.2.3", "10.1.2.3", true),
        ] {
            assert_eq!(is_excepted(rules, host, 8200), excepted, "{rules} {host}");
        }
    }

    #[test]
    fn users_are_authorized() {
        for (text, value) in [
            ("http://u:p@h:1", Some("Basic dTpw")),
            ("u:p%40w@h:1/", Some("Basic dTpwQHc=")),
            (
                "Aladdin:open%20sesame@h",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            // Not a percent-encoding.
            ("u:%+f@h", Some("Basic dTolK2Y=")),
            ("u:%4@h", Some("Basic dTolNA==")),
            ("h:1", None),
        ] {
            let proxy = parse("X", text).unwrap();
            let seen = proxy.authorization().map(Secret::expose);
            assert_eq!(seen, value.map(str::as_bytes), "{text}");
        }
        for bad in ["socks5://h:1", "https://h:1", "http://", "h:x", "h/path"] {
            assert!(parse("X", bad).is_err(), "{bad}");
        }
    }
}
