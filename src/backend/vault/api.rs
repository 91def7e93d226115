//! One call of Vault's API: the headers that every call has, and what a refusal means.

use std::sync::{Mutex, PoisonError};

use super::address::Address;
use super::http::{Client, Proxy, late};
use super::message::{Request, Response, is_temporary};
use super::socket::Patience;
use crate::backend::Reason;
use crate::deadline::Deadline;
use crate::json::Value;
use crate::secret::{LIMIT, Secret, SecretBuffer};
use crate::text;

/// How much of what a server says is looked at, in bytes.
const SAID: usize = 4 << 10;
/// How many of its lines are.
const LINES: usize = 20;

/// A server, and what every call of its API carries.
#[derive(Debug)]
pub struct Api {
    pub client: Client,
    pub namespace: Option<String>,
    headers: Vec<(String, Secret)>,
    /// The credentials that it was given: a server that repeats one must not make us print it.
    known: Mutex<Vec<Secret>>,
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
pub struct Reply<'a> {
    pub api: &'a Api,
    until: Option<Deadline>,
    pub response: Response,
    is_json: bool,
    /// What `errors` and `warnings` of a refusal say, as words with a space between them. Only [`Reply::shown`] of it
    /// may be shown.
    said: String,
}

impl Api {
    /// Nothing is asked yet.
    pub fn new(client: Client, namespace: Option<String>, headers: Vec<(String, Secret)>) -> Api {
        let api = Api {
            client,
            namespace,
            headers,
            known: Mutex::default(),
        };
        api.know(api.headers.iter().map(|(_, value)| value.expose()));
        api.know(api.client.proxy.iter().flat_map(Proxy::credentials));
        api
    }

    /// From now on none of `credentials` is shown.
    pub fn know<'a>(&self, credentials: impl Iterator<Item = &'a [u8]>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for credential in credentials.filter(|it| !it.is_empty()) {
            if !known.iter().any(|it| it.expose() == credential) {
                known.push(Secret::copy_of(credential));
            }
        }
    }

    /// Whether `text` gives away a credential.
    fn is_repeated_in(&self, text: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|it| text::repeats(text, it.expose()))
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.client.address
    }

    /// Makes a call.
    ///
    /// # Errors
    /// When there is no answer. One of any status is a reply.
    pub fn call(&self, call: &Call, patience: Patience) -> Result<Reply<'_>, Reason> {
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
        let token = call.token.into_iter();
        self.know(
            token
                .chain(fields.map(|(_, value)| *value))
                .map(Secret::expose),
        );
        let response = self.client.send(&request, patience).map_err(|failure| {
            let address = self.address().to_string();
            match self.is_repeated_in(&failure.reason.text.replace(&address, "")) {
                true => format!("{address} echoed the request; its answer is not shown").into(),
                false => failure.reason,
            }
        })?;
        // Where stopping would leave something behind on the server, it is read to its end.
        let until = patience.after_signal.is_zero().then_some(patience.deadline);
        let mut reply = Reply {
            api: self,
            until,
            is_json: Value::parse(response.body.expose(), until).is_some(),
            response,
            said: String::new(),
        };
        // What took so long to arrive or to check is not looked at any further.
        if until.is_some_and(|deadline| deadline.go_on().is_err()) {
            return Err(late(self.address()));
        }
        reply.said = reply.read_said();
        Ok(reply)
    }

    /// Why the server does not do what it was asked for, as far as the status says it by itself. `what` was it.
    pub fn refusal(&self, reply: &Reply, what: &str) -> Reason {
        let reason = self.status(reply, what);
        reason.transient(is_temporary(reply.response.status))
    }

    fn status(&self, reply: &Reply, what: &str) -> Reason {
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

impl Reply<'_> {
    /// The answer's JSON.
    pub fn json(&self) -> Option<Value<'_>> {
        let body = self.response.body.expose();
        self.is_json.then(|| Value::of_valid(body, self.until))?
    }

    /// What `errors` and `warnings` of a refusal say, as far as it is looked at.
    fn read_said(&self) -> String {
        let mut said = String::new();
        let body = self.json().filter(|_| self.response.status >= 300);
        let lists = ["errors", "warnings"]
            .into_iter()
            .filter_map(|name| body?.get(name));
        for line in lists
            .flat_map(|list| list.elements().take(LINES))
            .filter_map(Value::text)
        {
            let line = String::from_utf8_lossy(line.expose());
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

    /// The JSON below `data`, if it is an object.
    pub fn data(&self) -> Option<Value<'_>> {
        self.json()?.get("data").filter(|data| data.is_object())
    }

    /// Whether the server gives it for longer than no time.
    pub fn has_lease(&self) -> bool {
        let lease = self.json().and_then(|json| json.get("lease_duration"));
        let seconds = lease.and_then(Value::field);
        seconds.is_some_and(|it| matches!(it.expose(), [b'1'..=b'9', ..]))
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
        let Some(json) = self.json() else {
            return false;
        };
        json.get("errors").is_some_and(Value::is_empty_array)
            && json
                .members()
                .all(|(_, value)| value.is_null() || value.is_empty_array())
    }

    /// `text`, which came from the server, if it may be shown: on one line, and not too long.
    pub fn shown(&self, text: &str) -> Option<String> {
        let start: String = text.chars().take(2 * text::LONGEST).collect();
        if text.is_empty() || self.api.is_repeated_in(&start) {
            return None;
        }
        Some(text::clipped(text))
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
        let value =
            std::str::from_utf8(value.expose()).map_err(|_| format!("the {name} is not UTF-8"))?;
        let comma: &[u8] = if index > 0 { b"," } else { b"" };
        let start: [&[u8]; 4] = [comma, b"\"", name.as_bytes(), b"\":\""];
        fits &= start.iter().all(|part| json.extend(part));
        fits &= text::write_json(value, |part| json.extend(part.as_bytes()));
        fits &= json.extend(b"\"");
    }
    fits &= json.extend(b"}");
    if fits {
        Ok(json)
    } else {
        Err("what is to be sent is larger than 16 MiB".into())
    }
}
