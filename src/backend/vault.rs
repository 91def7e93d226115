//! HashiCorp Vault and OpenBao: `prod/api-key` is the field `value` of the path `prod/api-key` in a KV engine.
//!
//! | file | owns |
//! | --- | --- |
//! | `settings` | the environment of the official clients, and the section of the configuration |
//! | `login` | tokens: given, or obtained by a login and revoked afterwards |
//! | `api` | one call of Vault's API, what a refusal means, and what may be shown of an answer |
//! | `http` | connections opened and kept, redirects, retries |
//! | `message` | requests and answers as bytes |
//! | `proxy`, `address` | where to connect to |
//! | `tls`, `socket` | the bytes of a connection, with a deadline |

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

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use self::address::encode_path;
use self::api::{Api, Call, Reply};
use self::http::Client;
use self::login::{Identity, Late};
use self::settings::{KEYS, Method, Settings, VARIABLES, Version};
use self::socket::Patience;
use super::{Answer, Backend, Context, Declaration, NoSecret, NoStore, Reason, Status};
use crate::json::Value;
use crate::name::Name;
use crate::schema::Section;
use crate::secret::Secret;
use crate::text;
use crate::watch::Watch;

pub const DECLARATION: Declaration = Declaration {
    keys: KEYS,
    variables: VARIABLES,
    open: |section| Box::new(Vault::open(section)),
};

struct Vault {
    /// What is set up; an error is reported when it is asked.
    setup: Result<Setup, Reason>,
}

struct Setup {
    settings: Settings,
    /// `None`: no address is given.
    api: Option<Arc<Api>>,
    /// Logins that were given up, before `identity`: its revocation goes last.
    late: Late,
    identity: Shared<Identity>,
    /// The version of the engine that the server reports for the mount; `None` if it does not report it.
    reported: Shared<Option<Version>>,
    /// The version that a read has shown.
    seen: OnceLock<Version>,
    /// How many lookups are under way.
    asking: AtomicUsize,
    warned: AtomicBool,
}

/// What the first who needs it finds out, while the others wait. It is kept if it was found. A failure is shared with
/// those who ask at the same time, so that a refused login is not repeated for each of a hundred names.
struct Shared<T> {
    found: OnceLock<T>,
    failure: Mutex<Option<Reason>>,
}

impl<T> Shared<T> {
    fn new() -> Shared<T> {
        Shared {
            found: OnceLock::new(),
            failure: Mutex::new(None),
        }
    }

    fn get(&self, find: impl FnOnce() -> Result<T, Reason>) -> Result<&T, Reason> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.found.get(), &*failure) {
            (Some(found), _) => Ok(found),
            (None, Some(reason)) => Err(reason.clone()),
            (None, None) => match find() {
                Ok(found) => Ok(self.found.get_or_init(|| found)),
                Err(reason) => Err(failure.insert(reason).clone()),
            },
        }
    }

    fn forget_failure(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One read of one path, as an engine of one version.
enum Read {
    /// It settles the lookup.
    Answer(Answer),
    /// An empty 404. Engines of both versions say so, of paths of the other one too.
    Nothing,
    /// Words that only an engine of version 2 has, for paths that are not its own.
    NotAPathOfV2(Reason),
    Denied(Reason),
}

/// One lookup under way.
struct Question<'a> {
    api: &'a Api,
    identity: &'a Identity,
    name: &'a Name,
    path: String,
    /// Mount and path, for people.
    place: String,
    patience: Patience,
}

impl Vault {
    fn open(section: &Section) -> Vault {
        Vault {
            setup: Settings::read(section).and_then(Setup::new),
        }
    }

    /// What to ask, or the answer when there is nothing to ask.
    fn ready(&self) -> Result<(&Setup, &Arc<Api>), Answer> {
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
        let _watch = Watch::signals();
        setup.warn(context);
        setup.asking.fetch_add(1, Ordering::SeqCst);
        let answer = setup.look_up(api, name, Patience::until(context.deadline));
        if setup.asking.fetch_sub(1, Ordering::SeqCst) == 1 {
            setup.identity.forget_failure();
            setup.reported.forget_failure();
        }
        answer.unwrap_or_else(Answer::Failed)
    }

    fn status(&self, context: &Context) -> Status {
        let (setup, api) = match self.ready() {
            Ok(ready) => ready,
            Err(answer) => return Status::of("", answer),
        };
        let _watch = Watch::signals();
        setup.warn(context);
        setup.status(api, context)
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
                let headers = std::mem::take(&mut settings.headers);
                let namespace = settings.namespace.clone();
                Some(Arc::new(Api::new(client, namespace, headers)))
            }
        };
        Ok(Setup {
            settings,
            api,
            late: Late::default(),
            identity: Shared::new(),
            reported: Shared::new(),
            seen: OnceLock::new(),
            asking: AtomicUsize::new(0),
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
        let version = match self.version() {
            Some(version) => format!("KV v{}, ", version as u8),
            None => String::new(),
        };
        let identity = login::describe(&self.settings.auth, self.settings.agent);
        format!("{namespace}{version}{identity}")
    }

    /// The version of the engine, as far as it is known.
    fn version(&self) -> Option<Version> {
        let reported = || self.reported.found.get().copied().flatten();
        let seen = || self.seen.get().copied();
        self.settings.version.or_else(reported).or_else(seen)
    }

    fn look_up(&self, api: &Arc<Api>, name: &Name, patience: Patience) -> Result<Answer, Reason> {
        let path = self.path(name);
        let question = Question {
            api,
            identity: self.identity(api, patience)?,
            name,
            place: format!("{}/{path}", self.settings.mount),
            path,
            patience,
        };
        if self.settings.version.is_none() {
            self.reported(api, question.identity, patience)?;
        }
        match self.version() {
            Some(version) => self.read_known(&question, version),
            None => self.read_unknown(&question),
        }
    }

    /// Reads from an engine of which the server, the configuration or an earlier read says that it is of `version`.
    fn read_known(&self, question: &Question, version: Version) -> Result<Answer, Reason> {
        let miss = match self.read(question, version)? {
            // As version 1, what version 2 wraps around a secret is a secret without the field.
            Read::Answer(miss @ Answer::Miss(_)) if version == Version::V1 => miss,
            Read::Answer(answer) => return Ok(answer),
            Read::Denied(reason) | Read::NotAPathOfV2(reason) => return Err(reason),
            Read::Nothing => question.absent(),
        };
        match self.reported(question.api, question.identity, question.patience)? {
            Some(reported) if reported == version => return Ok(miss),
            Some(reported) => return Err(self.contradiction(reported, version)),
            None => {}
        }
        // The server does not report it. An engine of version 2 is known by its words for the paths of version 1.
        match version {
            Version::V1 if self.is_ambiguous(&question.path) => Err(self.unknown_version(question)),
            Version::V1 => Ok(miss),
            Version::V2 => match self.read(question, Version::V1)? {
                Read::NotAPathOfV2(_) => Ok(miss),
                // A policy often allows the paths of version 2 alone.
                Read::Denied(_) if self.has_versions(question)? => Ok(miss),
                Read::Answer(_) => Err(self.contradiction(Version::V1, version)),
                Read::Denied(_) | Read::Nothing => Err(self.unknown_version(question)),
            },
        }
    }

    /// Whether the engine refuses a version of a secret that is not a number: one of version 1 does not look at it.
    fn has_versions(&self, question: &Question) -> Result<bool, Reason> {
        let call = Call {
            path: &format!("{}?version=none", self.encoded(question, Version::V2)),
            token: question.identity.token.as_ref(),
            ..Call::default()
        };
        let reply = question.api.call(&call, question.patience)?;
        Ok(reply.response.status == 400 && reply.says("field \"version\""))
    }

    /// The encoded path to read, from an engine of `version`.
    fn encoded(&self, question: &Question, version: Version) -> String {
        let data = if version == Version::V2 { "/data" } else { "" };
        let mount = encode_path(&self.settings.mount);
        format!("{mount}{data}/{}", encode_path(&question.path))
    }

    /// Reads from an engine of unknown version: as version 2, then as version 1.
    fn read_unknown(&self, question: &Question) -> Result<Answer, Reason> {
        let denied = match self.read(question, Version::V2)? {
            Read::Answer(answer) => return Ok(answer),
            Read::NotAPathOfV2(reason) => return Err(reason),
            Read::Denied(reason) => Some(reason),
            Read::Nothing => None,
        };
        if self.is_ambiguous(&question.path) {
            return Err(denied.unwrap_or_else(|| self.unknown_version(question)));
        }
        match (self.read(question, Version::V1)?, denied) {
            (Read::Answer(answer), _) => Ok(answer),
            (Read::NotAPathOfV2(_), None) => {
                let _ = self.seen.set(Version::V2);
                Ok(question.absent())
            }
            (Read::NotAPathOfV2(_) | Read::Denied(_), Some(reason)) => Err(reason),
            (Read::Denied(_) | Read::Nothing, _) => Err(self.unknown_version(question)),
        }
    }

    /// Whether an engine of version 2 has another meaning for this path of version 1.
    fn is_ambiguous(&self, path: &str) -> bool {
        let below_mount = self.settings.mount.split('/').skip(1);
        below_mount.chain(path.split('/').take(1)).any(|segment| {
            let own = [
                "config", "data", "delete", "destroy", "metadata", "subkeys", "undelete",
            ];
            own.contains(&segment)
        })
    }

    fn contradiction(&self, found: Version, given: Version) -> Reason {
        Reason::from(format!(
            "{} is a KV engine of version {}, but kv_version is {}",
            self.settings.mount, found as u8, given as u8
        ))
        .hint("set kv_version to auto")
    }

    fn unknown_version(&self, question: &Question) -> Reason {
        Reason::from(format!(
            "{} does not say whether it has {}: the version of the KV engine {} is unknown",
            question.api.address(),
            question.place,
            self.settings.mount
        ))
        .hint("set kv_version to that of the engine, 1 or 2")
    }

    fn read(&self, question: &Question, version: Version) -> Result<Read, Reason> {
        let Question {
            api,
            identity,
            place,
            ..
        } = question;
        let call = Call {
            path: &self.encoded(question, version),
            token: identity.token.as_ref(),
            ..Call::default()
        };
        let reply = api.call(&call, question.patience)?;
        let not_of_version = || {
            let address = api.address();
            let number = version as u8;
            Reason::from(format!(
                "the answer of {address} for {place} is not that of a KV v{number} engine"
            ))
            .hint("check the address, mount and kv_version")
        };
        let answer = match reply.response.status {
            200 => {
                let (fields, metadata) = match (reply.data(), version) {
                    (Some(data), Version::V1) => (Some(data), None),
                    (Some(data), Version::V2) => (data.get("data"), data.get("metadata")),
                    (None, _) => (None, None),
                };
                let whole = version == Version::V1 || metadata.is_some_and(Value::is_object);
                match fields.filter(|fields| whole && fields.is_object()) {
                    Some(fields) => {
                        let _ = self.seen.set(version);
                        match self.pick(fields, question, &reply)? {
                            // Any object looks like a secret of version 1 without the field. Only version 1 gives a
                            // lease with it: as long as the secret's own ttl or lease, which may be 0.
                            Answer::Miss(_)
                                if version == Version::V1
                                    && !reply.has_lease()
                                    && fields.get("ttl").or(fields.get("lease")).is_none() =>
                            {
                                return Err(not_of_version());
                            }
                            answer => answer,
                        }
                    }
                    None => return Err(not_of_version()),
                }
            }
            404 => match gone(&reply, version, place) {
                Some(reason) => Answer::miss(NoSecret::Gone, reason),
                None => return self.not_found(api, &reply, place),
            },
            401 | 403 => return self.denied(question, &reply).map(Read::Denied),
            400 if reply.says("missing client token") => {
                return self.denied(question, &reply).map(Read::Denied);
            }
            _ => return Err(api.refusal(&reply, place)),
        };
        Ok(Read::Answer(answer))
    }

    /// The answer for a secret that has these `fields`. Goes through them once: there may be millions.
    fn pick(&self, fields: Value, question: &Question, reply: &Reply) -> Result<Answer, Reason> {
        let Question { name, place, .. } = question;
        let wanted = name.field().unwrap_or(&self.settings.field);
        let unreadable = |what: &str| Reason::from(format!("{place} has {what}"));
        let (mut found, mut last) = (None, None);
        let (mut count, mut filled, mut listed) = (0_usize, 0_usize, Vec::new());
        for (key, value) in fields.members() {
            if count.is_multiple_of(1024) {
                let deadline = question.patience.deadline;
                deadline
                    .go_on()
                    .map_err(|ended| format!("{place} {}", ended.before_it_was("read")))?;
            }
            count += 1;
            if key.says(wanted) && found.replace(value).is_some() {
                return Err(unreadable("two fields of the same name"));
            }
            last = Some((key, value));
            filled += usize::from(!value.is_null());
            if listed.len() < text::MOST && !value.is_null() {
                listed.extend(reply.shown_name(key));
            }
        }
        let more = filled - listed.len();
        let there = match (listed.is_empty(), more) {
            (true, 0) => "it has none".to_owned(),
            (true, _) => format!("it has {more}"),
            (false, 0) => format!("it has {}", listed.join(", ")),
            (false, _) => format!("it has {} and {more} more", listed.join(", ")),
        };
        let hit = |field: &str, secret: Secret| Answer::Hit {
            secret,
            locator: self.locator(name, Some(field)),
        };
        let secret = |value: Value| {
            value
                .field()
                .ok_or_else(|| unreadable("a value that is not text"))
        };
        if let Some(value) = found.filter(|value| !value.is_null()) {
            return Ok(hit(wanted, secret(value)?));
        }
        if let Some(field) = name.field() {
            return Ok(Answer::miss(
                NoSecret::NoField,
                format!("{place} has no field {field}: {there}"),
            ));
        }
        match last {
            Some((key, value)) if count == 1 && filled == 1 => {
                let field = reply.shown_name(key).unwrap_or_else(|| "…".to_owned());
                Ok(hit(&field, secret(value)?))
            }
            _ if filled == 0 => Ok(Answer::miss(
                NoSecret::Empty,
                format!("{place} has no field with a value"),
            )),
            _ => Err(
                Reason::from(format!("{place} has no field {wanted}: {there}"))
                    .hint(format!("name one of them: {}#FIELD", name.path())),
            ),
        }
    }

    /// What a 404 means that is not that of a deleted version.
    fn not_found(&self, api: &Api, reply: &Reply, place: &str) -> Result<Read, Reason> {
        if reply.json().is_none_or(|json| !json.is_object()) {
            return Err(api.refusal(reply, place));
        }
        let mount = &self.settings.mount;
        if reply.says("versioned K/V") {
            return Ok(Read::NotAPathOfV2(
                Reason::from(format!(
                    "{mount} is not the mount of a KV engine of that version{}",
                    reply.told_after_colon()
                ))
                .hint("check mount and kv_version"),
            ));
        }
        if reply.says_only_that_there_is_nothing() {
            return Ok(Read::Nothing);
        }
        Err(Reason::from(format!(
            "{} has no mount {mount}{}",
            api.address(),
            reply.told_after_colon()
        ))
        .hint("check mount and the namespace"))
    }

    /// Why the server denies it; an error if another than Vault has answered.
    fn denied(&self, question: &Question, reply: &Reply) -> Result<Reason, Reason> {
        let Question {
            api,
            identity,
            place,
            ..
        } = question;
        let address = api.address();
        if reply.json().is_none() {
            return Err(api.refusal(reply, place));
        }
        if identity.token.is_none() {
            return Ok(no_token(api, place));
        }
        if reply.says("invalid token") {
            return Ok(self.bad_token(api));
        }
        let who = login::describe(&self.settings.auth, self.settings.agent);
        Ok(Reason::from(format!(
            "{address} denies {place}: no policy of the {who} allows it, or there is no mount {}",
            self.settings.mount
        )))
    }

    fn bad_token(&self, api: &Api) -> Reason {
        let who = login::describe(&self.settings.auth, self.settings.agent);
        let address = api.address();
        Reason::from(format!(
            "{address} does not know the {who}: it is wrong, revoked or expired"
        ))
        .hint("run `vault login`, or set VAULT_TOKEN")
    }

    /// Who we are; the first one to ask logs in.
    fn identity(&self, api: &Arc<Api>, patience: Patience) -> Result<&Identity, Reason> {
        self.identity
            .get(|| Identity::log_in(&self.settings.auth, api, &self.late, patience))
    }

    /// The version that the server reports for the mount; the first one to ask looks. What the server calls by another
    /// path is not the mount that is meant.
    fn reported(
        &self,
        api: &Api,
        identity: &Identity,
        patience: Patience,
    ) -> Result<Option<Version>, Reason> {
        self.reported
            .get(|| self.ask_mount(api, identity, patience))
            .copied()
    }

    fn ask_mount(
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
        let reply = api.call(&call, patience)?;
        match (reply.response.status, reply.data()) {
            (200, Some(data)) => {
                let text = |value: Option<Value>| value.and_then(Value::text);
                let kind = text(data.get("type"));
                if kind.is_none_or(|kind| !matches!(kind.expose(), b"kv" | b"generic")) {
                    return Err(Reason::from(format!("{mount} is not a KV engine"))
                        .hint("check mount: vault secrets list"));
                }
                let path = text(data.get("path"));
                let Some(path) = path.as_ref().map(Secret::expose) else {
                    return Ok(None);
                };
                let path = path.strip_suffix(b"/").unwrap_or(path);
                // A namespace may stand before it.
                let named = |rest: &[u8]| rest.is_empty() || rest.ends_with(b"/");
                let below = mount.as_bytes().strip_prefix(path);
                let below = below.filter(|rest| rest.starts_with(b"/"));
                if below.is_some() || !mount.as_bytes().strip_suffix(path).is_some_and(named) {
                    let path = match below {
                        Some(rest) => Some(mount[..mount.len() - rest.len()].to_owned()),
                        None => reply.shown(&String::from_utf8_lossy(path)),
                    };
                    let path = path.unwrap_or_else(|| "that it names".to_owned());
                    return Err(Reason::from(format!(
                        "{mount} is not a mount: for {} it is a path in the mount {path}",
                        api.address()
                    ))
                    .hint(match below {
                        Some(b"/data" | b"/metadata") | None => format!("set mount to {path}"),
                        Some(rest) => format!(
                            "set mount to {path}, and prefix to {}",
                            String::from_utf8_lossy(rest).trim_matches('/')
                        ),
                    }));
                }
                // Version 1 need not be among the options, which a server always gives.
                let options = data.get("options");
                let Some(options) = options.filter(|it| it.is_object() || it.is_null()) else {
                    return Ok(None);
                };
                let version = options.get("version");
                match version.and_then(Value::text).as_ref().map(Secret::expose) {
                    Some(b"2") => Ok(Some(Version::V2)),
                    Some(b"1") => Ok(Some(Version::V1)),
                    None if version.is_none() => Ok(Some(Version::V1)),
                    _ => Err(Reason::from(format!(
                        "{mount} is a KV engine of an unknown version"
                    ))),
                }
            }
            // A token that may not do anything there, no such mount, an old server, or a gateway in between.
            (401 | 403 | 404, None) if reply.json().is_some() => Ok(None),
            (400, _) if reply.says("missing client token") => Ok(None),
            (200, None) => Err(Reason::from(format!(
                "{} did not answer like a Vault server",
                api.address()
            ))
            .hint("check the address: is a proxy or another server there?")),
            _ => Err(api.refusal(&reply, &format!("the look at the mount {mount}"))),
        }
    }

    /// Asks the server for its health and for the mount, with the token that is there; with `context.login`, logs in.
    fn status(&self, api: &Arc<Api>, context: &Context) -> Status {
        let patience = Patience::until(context.deadline);
        if self.settings.auth.method == Method::Token {
            // What the server says of its health may repeat the token, which it knows from elsewhere.
            let _ = self.identity(api, patience);
        }
        let (release, health) = match self.health(api, patience) {
            Ok(health) => health,
            Err(reason) => (String::new(), Err(reason)),
        };
        let tried = match self.settings.auth.method {
            Method::Token => "",
            _ if context.login => "",
            _ => "; the login was not tried: use --login",
        };
        let state = health.and_then(|open| match tried {
            "" => self.check(api, open, patience),
            _ => Ok(()),
        });
        let uses = format!(
            "{}{release}, mount {} ({}{tried})",
            api.address(),
            self.settings.mount,
            self.circumstances()
        );
        match state {
            Ok(()) => Status::ready(uses),
            Err(reason) => Status::failed(uses, reason),
        }
    }

    /// What the server says of itself, for people, and whether it says that it is open: some gateways let nobody ask
    /// for that.
    fn health(
        &self,
        api: &Api,
        patience: Patience,
    ) -> Result<(String, Result<bool, Reason>), Reason> {
        let call = Call {
            path: "sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200",
            no_namespace: true,
            ..Call::default()
        };
        let reply = api.call(&call, patience)?;
        let told = reply
            .json()
            .filter(|json| reply.response.status == 200 && json.get("sealed").is_some());
        let Some(health) = told else {
            return match reply.response.status {
                401 | 403 | 404 if reply.json().is_some() => Ok((String::new(), Ok(false))),
                _ => Err(api.refusal(&reply, "the question for its health")),
            };
        };
        let is = |member: &str, word: &[u8]| {
            let value = health.get(member).and_then(Value::field);
            value.is_some_and(|value| value.expose() == word)
        };
        let release = health
            .get("version")
            .and_then(|text| reply.shown_name(text))
            .filter(|text| text.len() < 40 && text.chars().all(|c| c.is_ascii_graphic()))
            .map(|text| format!(", version {text}"))
            .unwrap_or_default();
        if is("initialized", b"false") {
            let reason = Reason::from(format!("{} is not initialized", api.address()));
            return Ok((release, Err(reason.hint("vault operator init"))));
        }
        if !is("sealed", b"false") {
            let reason = Reason::from(format!("{} is sealed", api.address()));
            let release = format!("{release}, sealed");
            return Ok((release, Err(reason.hint("vault operator unseal"))));
        }
        Ok((format!("{release}, unsealed"), Ok(true)))
    }

    /// Whether a lookup could be made; `open`: the server says that it is unsealed.
    fn check(&self, api: &Arc<Api>, open: bool, patience: Patience) -> Result<(), Reason> {
        let identity = self.identity(api, patience)?;
        let mount = &self.settings.mount;
        match (
            self.reported(api, identity, patience)?,
            self.settings.version,
        ) {
            (Some(found), Some(given)) if found != given => {
                return Err(self.contradiction(found, given));
            }
            (Some(_), _) => return Ok(()),
            (None, _) => {}
        }
        if identity.token.is_none() {
            return Err(no_token(api, mount));
        }
        let call = Call {
            path: "auth/token/lookup-self",
            token: identity.token.as_ref(),
            ..Call::default()
        };
        let reply = api.call(&call, patience)?;
        if reply.says("invalid token") || reply.says("bad token") {
            return Err(self.bad_token(api));
        }
        // A gateway that lets nobody ask for the health lets nobody ask for the mount, either.
        if reply.response.status == 200 && !open {
            return Ok(());
        }
        Err(Reason::from(format!(
            "{} denies everything in {mount}, or has no such mount",
            api.address(),
        ))
        .hint("the token may be wrong, revoked or expired: vault token lookup"))
    }
}

impl Question<'_> {
    /// The answer for a secret of which the engine that is meant says that it is not there.
    fn absent(&self) -> Answer {
        let address = self.api.address();
        Answer::miss(
            NoSecret::Said,
            format!("{} is not in Vault at {address}", self.place),
        )
    }
}

/// Why a version is gone of which the answer has the metadata alone.
fn gone(reply: &Reply, version: Version, place: &str) -> Option<Reason> {
    let data = reply.data().filter(|_| version == Version::V2)?;
    if data.get("data").is_some_and(|fields| !fields.is_null()) {
        return None;
    }
    let metadata = data.get("metadata")?;
    let field = |name: &str| metadata.get(name).and_then(Value::field);
    if field("destroyed").is_some_and(|destroyed| destroyed.expose() == b"true") {
        return Some(format!("{place} has been destroyed in its latest version").into());
    }
    field("deletion_time")
        .filter(|time| !time.is_empty())
        .map(|_| format!("{place} has been deleted in its latest version").into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::deadline::Deadline;

    /// Answers everything as an engine of version 2 that has one secret, on this port.
    fn serve(listener: TcpListener) {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap_or(0);
                let body = match request[..count].windows(5).any(|part| part == b"/sys/") {
                    true => r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#,
                    false => r#"{"data":{"data":{"value":"v"},"metadata":{}}}"#,
                };
                let length = body.len();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            }
        });
    }

    #[test]
    fn an_open_vault_tries_again_what_has_failed() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let mut settings = Settings::read(&Section::default()).unwrap();
        settings.address = address::Address::parse(&format!("http://127.0.0.1:{port}"));
        let vault = Vault {
            setup: Setup::new(settings),
        };
        let context = Context {
            deadline: Deadline::after(std::time::Duration::from_secs(20)),
            unattended: true,
            login: false,
            withheld: &[],
            warn: &|_| {},
        };
        let name = Name::parse("a").unwrap();
        assert!(matches!(vault.ask(&name, &context), Answer::Failed(_)));
        serve(TcpListener::bind(("127.0.0.1", port)).unwrap());
        assert!(matches!(vault.ask(&name, &context), Answer::Hit { .. }));
    }

    #[test]
    fn a_failure_is_that_of_all_who_ask_at_the_same_time() {
        let shared = Shared::new();
        let fails = |reason: &str| shared.get(|| Err::<u8, _>(reason.into())).map_err(|it| it.text);
        assert_eq!(fails("one"), Err("one".to_owned()));
        assert_eq!(fails("two"), Err("one".to_owned()));
        shared.forget_failure();
        assert_eq!(fails("three"), Err("three".to_owned()));
        shared.forget_failure();
        assert_eq!(shared.get(|| Ok(7)).copied(), Ok(7));
        assert_eq!(fails("four"), Ok(&7));
    }
}
