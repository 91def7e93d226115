//! One call of Vault's API: the headers that every call has, and what a refusal means.

use std::collections::HashSet;

use super::address::Address;
use super::http::{Client, Proxy};
use super::message::{Request, Response};
use super::socket::Patience;
use crate::backend::Reason;
use crate::json::Value;
use crate::secret::{LIMIT, Secret, SecretBuffer};

/// The longest text of a server's own that is shown, in characters.
const SHOWN: usize = 100;
/// How much of what a server says is looked at, in bytes.
const SAID: usize = 4 << 10;
/// As many characters in a row of a credential are not shown.
const RUN: usize = 8;

/// A server, and what every call of its API carries.
#[derive(Debug)]
pub struct Api {
    pub client: Client,
    pub namespace: Option<String>,
    pub headers: Vec<(String, Secret)>,
}

/// What a call is made with.
#[derive(Debug, Default)]
pub struct Call<'a> {
    /// Encoded; below `/v1/`.
    pub path: &'a str,
    pub token: Option<&'a Secret>,
    /// The members of a JSON object; with it the call is a POST, else a GET.
    pub body: Option<&'a [(&'a str, &'a Secret)]>,
    /// Whether it is about the server and not about what is in a namespace of it.
    pub no_namespace: bool,
    /// Whether doing it twice differs from doing it once.
    pub once: bool,
}

/// What came of a call.
#[derive(Debug)]
pub struct Reply {
    pub response: Response,
    /// What `errors` and `warnings` of a refusal say, as words with a space between them. Only [`Reply::shown`] of it
    /// may be shown.
    said: String,
    sent: Sent,
}

/// The credentials that were sent: a server that repeats them must not make us print them.
#[derive(Debug)]
pub struct Sent(Vec<Secret>);

impl Api {
    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.client.address
    }

    /// Makes a call.
    ///
    /// # Errors
    /// When there is no answer. One of any status is a reply.
    pub fn call(&self, call: &Call, patience: Patience) -> Result<Reply, Reason> {
        let path = format!("/v1/{}", call.path);
        // A server may want it as a sign that no browser has been led astray.
        let mut headers: Vec<(&str, &[u8])> = vec![("X-Vault-Request", b"true")];
        if let Some(token) = call.token {
            headers.push(("X-Vault-Token", token.expose()));
        }
        if let Some(namespace) = self.namespace.as_deref().filter(|_| !call.no_namespace) {
            headers.push(("X-Vault-Namespace", namespace.as_bytes()));
        }
        for (name, value) in &self.headers {
            headers.push((name, value.expose()));
        }
        let body = call.body.map(object).transpose()?;
        let request = Request {
            method: if body.is_some() { "POST" } else { "GET" },
            path: &path,
            headers,
            body: body.as_ref().map(SecretBuffer::expose),
            once: call.once,
        };
        let fields = call.body.unwrap_or_default().iter();
        let fields = fields.filter(|(name, _)| !matches!(*name, "role" | "name"));
        let credentials = call
            .token
            .into_iter()
            .chain(fields.map(|(_, value)| *value))
            .chain(self.headers.iter().map(|(_, value)| value))
            .map(Secret::expose);
        let proxy = self.client.proxy.iter();
        let sent = Sent::new(credentials.chain(proxy.flat_map(Proxy::credentials)));
        let response = self.client.send(&request, patience).map_err(|failure| {
            let address = self.address().to_string();
            match sent.repeated_by(&failure.reason.text.replace(&address, "")) {
                true => format!("{address} echoed the request; its answer is not shown").into(),
                false => failure.reason,
            }
        })?;
        let said = said(&response);
        Ok(Reply {
            response,
            said,
            sent,
        })
    }

    /// Why the server does not do what it was asked for, as far as the status says it by itself. `what` was it.
    pub fn refusal(&self, reply: &Reply, what: &str) -> Reason {
        let address = self.address();
        let status = reply.response.status;
        let told = reply.told_after_colon();
        if !reply.is_vaults() {
            let reason = Reason::from(format!(
                "{address} did not answer like a Vault server: status {status}"
            ));
            return match status {
                400 if has(
                    reply.response.body.expose(),
                    "HTTP request to an HTTPS server",
                ) =>
                {
                    reason.hint("use https:// in the address")
                }
                _ => reason.hint("check the address: is a proxy or another server there?"),
            };
        }
        match status {
            401 | 403 => Reason::from(format!("{address} denies {what}{told}")),
            412 => Reason::from(format!("{address} is not up to date for {what}{told}"))
                .hint("try again, or set VAULT_MAX_RETRIES"),
            429 => Reason::from(format!("{address} is over its quota of requests{told}"))
                .hint("try again later"),
            472 => Reason::from(format!(
                "{address} is a disaster recovery secondary, which gives no secrets"
            )),
            473 => Reason::from(format!(
                "{address} is a performance standby that does not answer{told}"
            )),
            501 => {
                Reason::from(format!("{address} is not initialized")).hint("vault operator init")
            }
            503 if reply.says("sealed") => {
                Reason::from(format!("{address} is sealed")).hint("vault operator unseal")
            }
            503 => Reason::from(format!(
                "{address} has no active node, or is down for maintenance{told}"
            )),
            300..=399 => Reason::from(format!("{address} redirects with status {status}")),
            _ => Reason::from(format!(
                "{address} answers {what} with status {status}{told}"
            )),
        }
    }
}

impl Reply {
    /// The answer's JSON.
    pub fn json(&self) -> Option<Value<'_>> {
        Value::parse(self.response.body.expose())
    }

    /// The JSON below `data`, if it is an object.
    pub fn data(&self) -> Option<Value<'_>> {
        self.json()?.get("data").filter(|data| data.is_object())
    }

    /// Whether the body is one that Vault may have made.
    fn is_vaults(&self) -> bool {
        let body = self.response.body.expose();
        body.trim_ascii().is_empty() || self.json().is_some_and(Value::is_object)
    }

    /// Whether the server says `text` among other things.
    pub fn says(&self, text: &str) -> bool {
        self.said.contains(text)
    }

    /// Whether it says that there is nothing, and not a word of why: `{"errors":[]}`.
    pub fn says_only_that_there_is_nothing(&self) -> bool {
        let json = self.json();
        let member = |name| json.and_then(|json| json.get(name));
        let is_empty = |value: Value| value.is_null() || value.is_empty_array();
        member("errors").is_some_and(Value::is_empty_array)
            && member("warnings").is_none_or(is_empty)
            && member("data").is_none_or(Value::is_null)
    }

    /// `text`, which came from the server, if it may be shown: on one line, and not too long.
    pub fn shown(&self, text: &str) -> Option<String> {
        let start: String = text.chars().take(SAID).collect();
        if text.is_empty() || self.sent.repeated_by(&start) {
            return None;
        }
        let mut shown: String = text.chars().take(SHOWN).flat_map(escaped).collect();
        if text.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        Some(shown)
    }

    /// The same for a text in the answer's JSON.
    pub fn shown_name(&self, text: Value) -> Option<String> {
        self.shown(&String::from_utf8_lossy(text.text()?.expose()))
    }

    /// `: WHAT THE SERVER SAYS`, or nothing.
    pub fn told_after_colon(&self) -> String {
        self.shown(&self.said)
            .map_or(String::new(), |told| format!(": {told}"))
    }
}

/// `c`, or its escape if it would not be seen, or would move what stands beside it.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let hidden = c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let escape = hidden.then(|| c.escape_unicode());
    let plain = (!hidden).then_some(c);
    escape.into_iter().flatten().chain(plain)
}

/// What `errors` and `warnings` of an answer say, as far as it is looked at.
fn said(response: &Response) -> String {
    let mut said = String::new();
    let body = Value::parse(response.body.expose()).filter(|_| response.status >= 300);
    let lists = ["errors", "warnings"]
        .into_iter()
        .filter_map(|name| body?.get(name));
    for line in lists.flat_map(Value::elements).filter_map(Value::text) {
        let line = String::from_utf8_lossy(line.expose()).into_owned();
        for word in line.split(|c: char| c.is_whitespace() || c.is_control()) {
            if said.len() + word.len() > SAID {
                return said;
            }
            if !said.is_empty() && !word.is_empty() {
                said.push(' ');
            }
            said.push_str(word);
        }
    }
    said
}

impl Sent {
    fn new<'a>(credentials: impl Iterator<Item = &'a [u8]>) -> Sent {
        Sent(credentials.map(bare).filter(|it| !it.is_empty()).collect())
    }

    /// Whether `text` has one of them, whatever stands between its characters and in whichever case; of a long one, a
    /// part is enough.
    fn repeated_by(&self, text: &str) -> bool {
        let text = bare(text.as_bytes());
        self.0.iter().any(|credential| {
            let credential = credential.expose();
            // One less its last character is as good as whole.
            let length = match credential.len() {
                length @ 0..5 => length,
                length => RUN.min(length - 1),
            };
            let runs: HashSet<&[u8]> = text.expose().windows(length).collect();
            credential.windows(length).any(|run| runs.contains(run))
        })
    }
}

/// What is left of a credential, or of what may repeat one, without blanks and signs, in lower case; all of it if
/// nothing is left.
fn bare(text: &[u8]) -> Secret {
    let counts = |byte: &&u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let lower = |byte: &u8| byte.to_ascii_lowercase();
    let bare: Vec<u8> = text.iter().filter(counts).map(lower).collect();
    match bare.is_empty() {
        true => Secret::copy_of(text),
        false => Secret::take(bare),
    }
}

/// Whether `part` stands in `whole`.
pub fn has(whole: &[u8], part: impl AsRef<[u8]>) -> bool {
    let part = part.as_ref();
    !part.is_empty() && whole.windows(part.len()).any(|window| window == part)
}

/// A JSON object of texts.
fn object(members: &[(&str, &Secret)]) -> Result<SecretBuffer, Reason> {
    let mut json = SecretBuffer::new(LIMIT);
    let mut fits = json.extend(b"{");
    for (index, (name, value)) in members.iter().enumerate() {
        if std::str::from_utf8(value.expose()).is_err() {
            return Err(format!("the {name} is not UTF-8").into());
        }
        let comma: &[u8] = if index > 0 { b"," } else { b"" };
        let start: [&[u8]; 4] = [comma, b"\"", name.as_bytes(), b"\":\""];
        fits &= start.iter().all(|part| json.extend(part));
        for byte in value.expose() {
            fits &= match byte {
                b'"' => json.extend(b"\\\""),
                b'\\' => json.extend(b"\\\\"),
                0..0x20 => json.extend(format!("\\u{byte:04x}").as_bytes()),
                _ => json.extend(&[*byte]),
            };
        }
        fits &= json.extend(b"\"");
    }
    fits &= json.extend(b"}");
    if fits {
        Ok(json)
    } else {
        Err("what is to be sent is larger than 16 MiB".into())
    }
}
