//! Addresses: where a server is, and which resource of it is meant.

use std::path::PathBuf;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// HTTP over a Unix socket.
    Unix(PathBuf),
    /// HTTP, with TLS or without, over TCP.
    Tcp {
        /// Whether TLS is spoken.
        tls: bool,
        /// A name, or an IP address without brackets.
        host: String,
        port: u16,
    },
}

/// A server, and a path on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub place: Place,
    /// Empty, or a path that begins with a slash; a query belongs to it.
    pub path: String,
}

impl Address {
    /// Reads `http://…`, `https://…` or `unix:///…`. `None` for anything else, user names and passwords included.
    pub fn parse(text: &str) -> Option<Address> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        if let Some(socket) = text.strip_prefix("unix://") {
            return socket.starts_with('/').then(|| Address {
                place: Place::Unix(PathBuf::from(socket)),
                path: String::new(),
            });
        }
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = authority_of(authority)?;
        let path = match path {
            "/" => String::new(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        Some(Address {
            place: Place::Tcp {
                tls,
                host,
                port: match port {
                    Some(port) => port,
                    None if tls => 443,
                    None => 80,
                },
            },
            path,
        })
    }

    /// The address that the server at this one means by the Location `text`.
    pub fn join(&self, text: &str) -> Option<Address> {
        if text.starts_with('/') && !text.starts_with("//") {
            return text
                .bytes()
                .all(|byte| byte.is_ascii_graphic())
                .then(|| Address {
                    place: self.place.clone(),
                    path: text.to_owned(),
                });
        }
        Address::parse(text)
    }

    /// The server's name as a request's Host header has it.
    pub fn authority(&self) -> String {
        match &self.place {
            Place::Unix(_) => "localhost".to_owned(),
            Place::Tcp { tls, host, port } => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                match (tls, port) {
                    (true, 443) | (false, 80) => host,
                    _ => format!("{host}:{port}"),
                }
            }
        }
    }
}

impl std::fmt::Display for Address {
    /// The server alone, since a path may be long and a query may say too much.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix://{}", path.display()),
            Place::Tcp { tls, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}://{}", self.authority())
            }
        }
    }
}

/// Host and port of `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
fn authority_of(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (
                host,
                rest.strip_prefix(':')
                    .or(Some(rest).filter(|rest| rest.is_empty()))?,
            )
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let bare = !host.is_empty() && !host.contains(['@', '\\', '[', ']', '%']);
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    bare.then(|| (host.to_ascii_lowercase(), port))
}

/// Appends `segment` so that no character of it has a meaning in a path.
pub fn encode(segment: &str, into: &mut String) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            into.push('%');
            for half in [byte >> 4, byte & 15] {
                into.extend(char::from_digit(u32::from(half), 16).map(|c| c.to_ascii_uppercase()));
            }
        }
    }
}

/// A path of several segments, each encoded; slashes at its ends do not count.
pub fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 8);
    for (index, segment) in path.trim_matches('/').split('/').enumerate() {
        if index > 0 {
            encoded.push('/');
        }
        encode(segment, &mut encoded);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, shown, path) in [
            (
                "https://Vault.example:8200",
                "https://vault.example:8200",
                "",
            ),
            ("https://v", "https://v", ""),
            ("http://127.0.0.1:80/", "http://127.0.0.1", ""),
            ("http://[::1]:8200/base", "http://[::1]:8200", "/base"),
            ("HTTPS://[::1]", "https://[::1]", ""),
            ("https://h?a=b", "https://h", "/?a=b"),
            ("unix:///run/agent.sock", "unix:///run/agent.sock", ""),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.path.as_str()),
                (shown, path)
            );
        }
        for bad in [
            "",
            "v",
            "v:8200",
            "127.0.0.1:8200",
            "ftp://v",
            "https://",
            "https://:1",
            "https://u:p@v",
            "https://v:x",
            "https://v:99999",
            "https://[::1",
            "https://[v]",
            "https://v x",
            "unix://x",
            "https://v\u{e4}",
            "https://a:1:2",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn locations_are_joined() {
        let address = Address::parse("https://a:1/base").unwrap();
        for (location, shown, path) in [
            ("/v1/x?y", "https://a:1", "/v1/x?y"),
            ("http://b/v1", "http://b", "/v1"),
        ] {
            let joined = address.join(location).unwrap();
            assert_eq!(
                (joined.to_string().as_str(), joined.path.as_str()),
                (shown, path)
            );
        }
        assert_eq!(address.join("//b/x"), None);
        assert_eq!(address.join("x"), None);
        assert_eq!(address.join("/a b"), None);
    }

    #[test]
    fn segments_are_encoded() {
        assert_eq!(
            encode_path("/a b/c%/é?#/..x/"),
            "a%20b/c%25/%C3%A9%3F%23/..x"
        );
    }
}
