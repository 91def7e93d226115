//! One call of Vault's API: the headers that every call has, and what a refusal means.

use super::address::Address;
use super::http::{Client, Failure};
use super::message::{Request, Response};
use super::socket::Patience;
use crate::backend::Reason;
use crate::json::Value;
use crate::secret::{LIMIT, Secret, SecretBuffer};

/// The longest text of a server's own that is shown, in characters.
const TOLD_LIMIT: usize = 200;

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
}

/// What came of a call.
#[derive(Debug)]
pub struct Reply {
    pub response: Response,
    /// What the server says of it, if that can be shown.
    pub told: Option<String>,
}

impl Api {
    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.client.address
    }

    /// Makes a call.
    ///
    /// # Errors
    /// When there is no answer. One of any status is a reply.
    pub fn call(&self, call: &Call, patience: Patience) -> Result<Reply, Failure> {
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
        };
        let body = call.body.unwrap_or_default().iter();
        let headers = self.headers.iter().map(|(_, value)| value);
        let sent: Vec<&Secret> = call
            .token
            .into_iter()
            .chain(body.map(|(_, value)| *value))
            .chain(headers)
            .collect();
        let response = self.client.send(&request, patience).map_err(|failure| {
            let address = self.address().to_string();
            let others = failure.reason.text.replace(&address, "");
            match repeats(&others, &sent) {
                true => {
                    format!("{address} answers with what it was sent, which is not shown").into()
                }
                false => failure,
            }
        })?;
        let told = told(&response, &sent);
        Ok(Reply { response, told })
    }

    /// Why the server does not do what it was asked for, as far as the status says it by itself. `what` was it.
    pub fn refusal(&self, reply: &Reply, what: &str) -> Reason {
        let address = self.address();
        let status = reply.response.status;
        let told = reply.told_after_colon();
        if !reply.is_vaults() {
            let reason = Reason::from(format!(
                "{address} answers with status {status}, and not as Vault does"
            ));
            return match status {
                400 if has(
                    reply.response.body.expose(),
                    "HTTP request to an HTTPS server",
                ) =>
                {
                    reason.hint("it wants https:// in the address")
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
            503 if reply.told_has("sealed") => {
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

    /// Whether `text` stands in what the server says.
    pub fn told_has(&self, text: &str) -> bool {
        self.told.as_deref().is_some_and(|told| told.contains(text))
    }

    /// `: WHAT THE SERVER SAYS`, or nothing.
    pub fn told_after_colon(&self) -> String {
        self.told
            .as_deref()
            .map_or(String::new(), |told| format!(": {told}"))
    }
}

/// What `errors` and `warnings` of an answer say, on one line and not too long. Nothing when one of the secrets
/// that were `sent` is in it: a server that repeats its request must not make us print it.
fn told(response: &Response, sent: &[&Secret]) -> Option<String> {
    if response.status < 300 {
        return None;
    }
    let body = Value::parse(response.body.expose())?;
    let lists = ["errors", "warnings"]
        .into_iter()
        .filter_map(|name| body.get(name));
    let mut told = String::new();
    for line in lists.flat_map(Value::elements).filter_map(Value::text) {
        let line = String::from_utf8_lossy(line.expose()).into_owned();
        let words = line.split(|c: char| c.is_whitespace() || c.is_control());
        for word in words.filter(|word| !word.is_empty()) {
            if !told.is_empty() {
                told.push(' ');
            }
            told.push_str(word);
        }
    }
    if told.is_empty() || repeats(&told, sent) {
        return None;
    }
    if told.chars().count() > TOLD_LIMIT {
        told = told.chars().take(TOLD_LIMIT).chain(['…']).collect();
    }
    Some(told)
}

/// Whether one of the secrets that were `sent` is in `text`.
fn repeats(text: &str, sent: &[&Secret]) -> bool {
    sent.iter().any(|secret| {
        let trimmed = secret.expose().trim_ascii();
        trimmed.len() >= 4 && trimmed.len() <= text.len() && has(text.as_bytes(), trimmed)
    })
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
