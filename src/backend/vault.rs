//! HashiCorp Vault and OpenBao: `prod/api-key` is the field `value` of the path `prod/api-key` in a KV engine.
//!
//! | file | owns |
//! | --- | --- |
//! | `settings` | the environment of the official clients, and the section of the configuration |
//! | `login` | tokens: there already, or got by a login and given back |
//! | `api` | one call of Vault's API, and what a refusal means |
//! | `http` | connections made and kept, redirects, retries |
//! | `message` | requests and answers as bytes |
//! | `proxy`, `address` | where to connect to |
//! | `tls`, `socket` | the bytes of a connection, with a deadline |
//!
//! Requests and answers hold secrets, and TLS names and sockets need to be under control to the last byte. That is
//! why HTTP is spoken here, on httparse and rustls, and not through a client library: those keep copies of tokens and
//! bodies that no one wipes, and wait where a signal does not reach them.

mod address;
mod api;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod login;
mod message;
mod proxy;
mod settings;
mod socket;
mod tls;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use self::address::encode_path;
use self::api::{Api, Call, Reply};
use self::http::Client;
use self::login::Identity;
use self::settings::{KEYS, Method, Settings, VARIABLES, Version};
use self::socket::Patience;
use super::{Answer, Backend, Context, Entry, NoSecret, NoStore, Reason, Status};
use crate::deadline;
use crate::json::Value;
use crate::name::Name;
use crate::schema::Section;
use crate::sys;

pub const ENTRY: Entry = Entry {
    name: "vault",
    about: "HashiCorp Vault or OpenBao: KV v2 or v1, over HTTP(S)",
    keys: KEYS,
    variables: VARIABLES,
    open: Some(|section| Box::new(Vault::open(section))),
};

struct Vault {
    /// What is set up; an error is told when it is asked.
    setup: Result<Setup, Reason>,
}

struct Setup {
    settings: Settings,
    /// `None`: no address is given.
    api: Option<Api>,
    /// Who we are, once that is known. It is found out by the first who asks, once, whatever comes of it: a login
    /// that has failed for one secret is not tried again for a hundred others.
    identity: OnceLock<Result<Identity, Reason>>,
    /// The version of the KV engine, found out in the same way; `None` when the server does not tell us.
    version: OnceLock<Result<Option<Version>, Reason>>,
    warned: AtomicBool,
}

impl Vault {
    fn open(section: &Section) -> Vault {
        Vault {
            setup: Settings::read(section).and_then(Setup::new),
        }
    }

    /// What to ask, or the answer when there is nothing to ask.
    fn ready(&self) -> Result<(&Setup, &Api), Answer> {
        let setup = self
            .setup
            .as_ref()
            .map_err(|reason| Answer::failed(reason.clone()))?;
        match &setup.api {
            Some(api) => Ok((setup, api)),
            None => Err(Answer::unavailable(NoStore::NotConfigured, no_address())),
        }
    }
}

fn no_address() -> Reason {
    Reason::from("no address of a Vault server is given")
        .hint("set VAULT_ADDR, or address in the section vault of the configuration")
}

fn no_token(api: &Api, place: &str) -> Reason {
    Reason::from(format!(
        "{} denies {place}: no token is given",
        api.address()
    ))
    .hint("set VAULT_TOKEN, run `vault login`, or configure a login with auth.method")
}

impl Backend for Vault {
    fn locator(&self, name: &Name) -> String {
        match &self.setup {
            Ok(setup) => setup.locator(name, None),
            Err(_) => name.to_string(),
        }
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        let (setup, api) = match self.ready() {
            Ok(ready) => ready,
            Err(answer) => return answer,
        };
        sys::watch_signals();
        setup.warn(context);
        setup
            .look_up(api, name, Patience::until(context.deadline))
            .unwrap_or_else(Answer::Failed)
    }

    fn status(&self, context: &Context) -> Status {
        let (setup, api) = match self.ready() {
            Ok(ready) => ready,
            Err(answer) => return Status::of("", answer),
        };
        sys::watch_signals();
        setup.warn(context);
        setup.status(api, Patience::until(context.deadline))
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        if let Ok(setup) = &self.setup
            && let (Some(api), Some(Ok(identity))) = (&setup.api, setup.identity.get())
        {
            identity.revoke(api);
        }
    }
}

impl Setup {
    fn new(mut settings: Settings) -> Result<Setup, Reason> {
        let api = match settings.address.clone() {
            None => None,
            Some(address) => {
                let mut client = Client::new(address, settings.trust.clone());
                client.proxy = proxy::for_vault(&client.address)?;
                client.retries = settings.retries;
                client.redirects = settings.redirects;
                client.timeout = settings.timeout;
                Some(Api {
                    client,
                    namespace: settings.namespace.clone(),
                    headers: std::mem::take(&mut settings.headers),
                })
            }
        };
        Ok(Setup {
            settings,
            api,
            identity: OnceLock::new(),
            version: OnceLock::new(),
            warned: AtomicBool::new(false),
        })
    }

    fn warn(&self, context: &Context) {
        if self.settings.trust.skip_verify && !self.warned.swap(true, Ordering::Relaxed) {
            (context.warn)(
                &Reason::from("vault: the server's certificate is not verified")
                    .hint("unset VAULT_SKIP_VERIFY, and name the CA with VAULT_CACERT"),
            );
        }
    }

    /// The path of `name` below the mount.
    fn path(&self, name: &Name) -> String {
        match self.settings.prefix.as_str() {
            "" => name.path().to_owned(),
            prefix => format!("{prefix}/{}", name.path()),
        }
    }

    /// `MOUNT/PATH#FIELD at ADDRESS (namespace N, KV v2, token of VAULT_TOKEN)`.
    fn locator(&self, name: &Name, field: Option<&str>) -> String {
        let field = field.or(name.field()).unwrap_or(&self.settings.field);
        let place = format!("{}/{}#{field}", self.settings.mount, self.path(name));
        match &self.api {
            Some(api) => format!("{place} at {} ({})", api.address(), self.circumstances()),
            None => place,
        }
    }

    /// Namespace, version and identity, as far as they are known.
    fn circumstances(&self) -> String {
        let namespace = self
            .settings
            .namespace
            .as_ref()
            .map(|namespace| format!("namespace {namespace}, "))
            .unwrap_or_default();
        let version = match self.known_version() {
            Some(version) => format!("KV v{}, ", version as u8),
            None => String::new(),
        };
        let identity = login::describe(&self.settings.auth, self.settings.agent);
        format!("{namespace}{version}{identity}")
    }

    fn known_version(&self) -> Option<Version> {
        let found = || self.version.get()?.as_ref().ok().copied()?;
        self.settings.version.or_else(found)
    }

    fn look_up(&self, api: &Api, name: &Name, patience: Patience) -> Result<Answer, Reason> {
        let identity = self.identity(api, patience)?;
        // One that is not told is the usual one; what is read then tells more.
        let version = self
            .version(api, identity, patience)?
            .unwrap_or(Version::V2);
        let (mount, path) = (&self.settings.mount, self.path(name));
        let call = Call {
            path: &match version {
                Version::V1 => format!("{}/{}", encode_path(mount), encode_path(&path)),
                Version::V2 => format!("{}/data/{}", encode_path(mount), encode_path(&path)),
            },
            token: identity.token.as_ref(),
            ..Call::default()
        };
        let reply = api
            .call(&call, patience)
            .map_err(|failure| failure.reason)?;
        let place = format!("{mount}/{path}");
        match reply.response.status {
            200 => {
                let data = match (reply.data(), version) {
                    (Some(data), Version::V1) => Some(data),
                    (Some(data), Version::V2) if data.get("metadata").is_none() => None,
                    (Some(data), Version::V2) => data.get("data"),
                    (None, _) => None,
                };
                match data {
                    Some(fields) if fields.is_object() => self.pick(fields, name, &place),
                    Some(fields) if fields.is_null() => Ok(Answer::miss(
                        NoSecret::Gone,
                        gone(&reply, &place)
                            .unwrap_or_else(|| format!("{place} has no value").into()),
                    )),
                    _ => Err(Reason::from(format!(
                        "the answer of {} for {place} is not one of Vault's KV v{}",
                        api.address(),
                        version as u8
                    ))
                    .hint("check the address and kv_version")),
                }
            }
            404 => match gone(&reply, &place) {
                Some(reason) => Ok(Answer::miss(NoSecret::Gone, reason)),
                None => self.not_found(api, &reply, &place),
            },
            401 | 403 => Err(self.denied(api, &reply, &place, identity)),
            400 if reply.told_has("missing client token") => {
                Err(self.denied(api, &reply, &place, identity))
            }
            _ => Err(api.refusal(&reply, &place)),
        }
    }

    /// The answer for a secret that has these `fields`.
    fn pick(&self, fields: Value, name: &Name, place: &str) -> Result<Answer, Reason> {
        let hit = |field: &str| {
            Some(Answer::Hit {
                secret: fields.get(field)?.field()?,
                locator: self.locator(name, Some(field)),
            })
        };
        let filled = || {
            let null = |name: &String| fields.get(name).is_some_and(|value| value.is_null());
            let names = fields.names().into_iter();
            names.filter(|name| !null(name)).collect::<Vec<_>>()
        };
        let there = || match filled().as_slice() {
            [] => "it has none".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        if let Some(field) = name.field() {
            return Ok(hit(field).unwrap_or_else(|| {
                Answer::miss(
                    NoSecret::NoField,
                    format!("{place} has no field {field}: {}", there()),
                )
            }));
        }
        let field = &self.settings.field;
        if let Some(hit) = hit(field) {
            return Ok(hit);
        }
        match fields.names().as_slice() {
            [] => Ok(Answer::miss(
                NoSecret::Empty,
                format!("{place} has no field at all"),
            )),
            [only] => Ok(hit(only).unwrap_or_else(|| {
                Answer::miss(NoSecret::Empty, format!("{place} has no value in {only}"))
            })),
            _ => Err(
                Reason::from(format!("{place} has no field {field}: {}", there()))
                    .hint(format!("name one of them: {}#FIELD", name.path())),
            ),
        }
    }

    /// What a 404 means that is not that of a deleted version.
    fn not_found(&self, api: &Api, reply: &Reply, place: &str) -> Result<Answer, Reason> {
        let Some(json) = reply.json().filter(|json| json.is_object()) else {
            return Err(api.refusal(reply, place));
        };
        let mount = &self.settings.mount;
        if reply.told_has("versioned K/V") {
            return Err(Reason::from(format!(
                "{mount} has another version of the KV engine, or is mounted elsewhere{}",
                reply.told_after_colon()
            ))
            .hint("check mount and kv_version"));
        }
        match json.get("errors") {
            Some(errors) if errors.elements().next().is_none() && reply.told.is_none() => {
                Ok(Answer::miss(
                    NoSecret::Said,
                    format!("{place} is not in Vault at {}", api.address()),
                ))
            }
            _ => Err(Reason::from(format!(
                "{} has no mount {mount}{}",
                api.address(),
                reply.told_after_colon()
            ))
            .hint("check mount and the namespace")),
        }
    }

    fn denied(&self, api: &Api, reply: &Reply, place: &str, identity: &Identity) -> Reason {
        let address = api.address();
        if reply.json().is_none() {
            return api.refusal(reply, place);
        }
        if identity.token.is_none() {
            return no_token(api, place);
        }
        let who = login::describe(&self.settings.auth, self.settings.agent);
        if reply.told_has("invalid token") {
            return Reason::from(format!(
                "{address} does not know the {who}: it is wrong, revoked or expired"
            ))
            .hint("run `vault login`, or set VAULT_TOKEN");
        }
        Reason::from(format!(
            "{address} denies {place}: no policy of the {who} allows it, or there is no mount {}",
            self.settings.mount
        ))
    }

    /// Who we are; the first one to ask logs in.
    fn identity(&self, api: &Api, patience: Patience) -> Result<&Identity, Reason> {
        self.identity
            .get_or_init(|| Identity::log_in(&self.settings.auth, api, patience))
            .as_ref()
            .map_err(Reason::clone)
    }

    /// Which KV engine it is; the first one to ask looks.
    fn version(
        &self,
        api: &Api,
        identity: &Identity,
        patience: Patience,
    ) -> Result<Option<Version>, Reason> {
        if let Some(version) = self.known_version() {
            return Ok(Some(version));
        }
        self.version
            .get_or_init(|| self.ask_version(api, identity, patience))
            .clone()
    }

    fn ask_version(
        &self,
        api: &Api,
        identity: &Identity,
        patience: Patience,
    ) -> Result<Option<Version>, Reason> {
        let mount = &self.settings.mount;
        let call = Call {
            path: &format!("sys/internal/ui/mounts/{}", encode_path(mount)),
            token: identity.token.as_ref(),
            ..Call::default()
        };
        let reply = api
            .call(&call, patience)
            .map_err(|failure| failure.reason)?;
        let text = |value: Option<Value>| value.and_then(Value::text);
        match (reply.response.status, reply.data()) {
            (200, Some(data)) => {
                let kind = text(data.get("type"));
                if kind.is_some_and(|kind| !matches!(kind.expose(), b"kv" | b"generic")) {
                    return Err(Reason::from(format!("{mount} is no KV engine"))
                        .hint("check mount: vault secrets list"));
                }
                let version = text(
                    data.get("options")
                        .and_then(|options| options.get("version")),
                );
                Ok(Some(match version {
                    Some(version) if version.expose() == b"2" => Version::V2,
                    _ => Version::V1,
                }))
            }
            // A token that may not do anything there, or no such mount.
            (403, _) if reply.json().is_some() => Ok(None),
            (400, _) if reply.told_has("missing client token") => Ok(None),
            // Servers that old have nothing but version 1.
            (404, _) if reply.json().is_some() => Ok(Some(Version::V1)),
            (200, None) => Err(Reason::from(format!(
                "the answer of {} is not one of Vault's",
                api.address()
            ))
            .hint("check the address: is a proxy or another server there?")),
            _ => Err(api.refusal(&reply, &format!("the look at the mount {mount}"))),
        }
    }

    /// Asks the server how it is, and for the version of the KV engine where that takes no login.
    fn status(&self, api: &Api, patience: Patience) -> Status {
        let uses = |server: &str| {
            let mount = &self.settings.mount;
            let address = api.address();
            format!(
                "{address}{server}, mount {mount} ({})",
                self.circumstances()
            )
        };
        let call = Call {
            path: "sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200",
            no_namespace: true,
            ..Call::default()
        };
        let reply = match api.call(&call, patience) {
            Ok(reply) => reply,
            Err(failure) => return Status::unavailable(uses(""), failure.reason),
        };
        let Some(health) = reply
            .json()
            .filter(|json| reply.response.status == 200 && json.get("sealed").is_some())
        else {
            return Status::unavailable(
                uses(""),
                api.refusal(&reply, "the question for its health"),
            );
        };
        let is = |member: &str, word: &[u8]| {
            let value = health.get(member).and_then(Value::field);
            value.is_some_and(|value| value.expose() == word)
        };
        let release = health
            .get("version")
            .and_then(Value::text)
            .map(|text| String::from_utf8_lossy(text.expose()).into_owned())
            .filter(|text| text.len() < 40 && text.chars().all(|c| c.is_ascii_graphic()))
            .map(|text| format!(", version {text}"))
            .unwrap_or_default();
        if is("initialized", b"false") {
            return Status::unavailable(
                uses(&release),
                Reason::from(format!("{} is not initialized", api.address()))
                    .hint("vault operator init"),
            );
        }
        if !is("sealed", b"false") {
            return Status::unavailable(
                uses(&format!("{release}, sealed")),
                Reason::from(format!("{} is sealed", api.address())).hint("vault operator unseal"),
            );
        }
        let server = format!("{release}, unsealed");
        if self.settings.auth.method == Method::Token && !deadline::interrupted() {
            let identity = match self.identity(api, patience) {
                Ok(identity) => identity,
                Err(reason) => return Status::unavailable(uses(&server), reason),
            };
            let refused = match self.version(api, identity, patience) {
                Ok(Some(_)) => None,
                Ok(None) if identity.token.is_none() => Some(no_token(api, &self.settings.mount)),
                Ok(None) => Some(
                    Reason::from(format!(
                        "{} denies everything in {}, or has no such mount",
                        api.address(),
                        self.settings.mount
                    ))
                    .hint("the token may be wrong, revoked or expired: vault token lookup"),
                ),
                Err(reason) => Some(reason),
            };
            if let Some(reason) = refused {
                return Status::unavailable(uses(&server), reason);
            }
        }
        Status::ready(uses(&server))
    }
}

/// Why a version is gone that the answer only tells of.
fn gone(reply: &Reply, place: &str) -> Option<Reason> {
    let metadata = reply.data()?.get("metadata")?;
    let field = |name: &str| metadata.get(name).and_then(Value::field);
    if field("destroyed").is_some_and(|destroyed| destroyed.expose() == b"true") {
        return Some(format!("{place} has been destroyed in its latest version").into());
    }
    field("deletion_time")
        .filter(|time| !time.is_empty())
        .map(|_| format!("{place} has been deleted in its latest version").into())
}
