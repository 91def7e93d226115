//! What the server reports of the mount that is meant.

use super::Setup;
use super::address::encode_path;
use super::api::{Api, Call, Reply};
use super::login::Identity;
use super::settings::Version;
use super::socket::Patience;
use crate::backend::Reason;
use crate::json::Value;
use crate::secret::Secret;

/// What the server says when it is asked for the mount.
#[derive(Clone, Copy)]
pub enum Reported {
    /// It is a KV engine of this version.
    Engine(Version),
    /// Nothing: a token that may not do anything there, no such mount, an old server, or a gateway in between.
    Untold,
    /// That there is nothing, and not a word of why.
    Nothing,
}

impl Reported {
    pub fn version(self) -> Option<Version> {
        match self {
            Reported::Engine(version) => Some(version),
            Reported::Untold | Reported::Nothing => None,
        }
    }
}

impl Setup {
    pub fn contradiction(&self, found: Version, given: Version) -> Reason {
        Reason::from(format!(
            "{} is a KV engine of version {}, but kv_version is {}",
            self.settings.mount, found as u8, given as u8
        ))
        .hint("set kv_version to auto")
    }

    /// What the server reports of the mount; the first one to ask looks. What the server calls by another
    /// path is not the mount that is meant.
    pub fn reported(
        &self,
        api: &Api,
        identity: &Identity,
        patience: Patience,
    ) -> Result<Reported, Reason> {
        self.reported
            .get(|| self.ask_mount(api, identity, patience))
            .copied()
    }

    fn ask_mount(
        &self,
        api: &Api,
        identity: &Identity,
        patience: Patience,
    ) -> Result<Reported, Reason> {
        let mount = &self.settings.mount;
        let call = Call {
            path: &format!("sys/internal/ui/mounts/{}", encode_path(mount)),
            token: identity.token.as_ref(),
            ..Call::default()
        };
        let reply = api.call(&call, patience)?;
        match (reply.response.status, reply.data()) {
            (200, Some(data)) => self.mounted(data, &reply).map(Reported::Engine),
            (404, None) if reply.says_only_that_there_is_nothing() => Ok(Reported::Nothing),
            (401 | 403 | 404, None) if reply.json().is_some() => Ok(Reported::Untold),
            (400, _) if reply.says("missing client token") => Ok(Reported::Untold),
            (200, None) => Err(not_vaults(api)),
            _ => Err(api.refusal(&reply, &format!("the look at the mount {mount}"))),
        }
    }

    /// The version of the mount of which the server reports this; an error if it is not the one that is meant.
    fn mounted(&self, data: Value, reply: &Reply) -> Result<Version, Reason> {
        let mount = &self.settings.mount;
        let text = |value: Option<Value>| value.and_then(Value::text);
        let kind = text(data.get("type"));
        if kind.is_none_or(|kind| !matches!(kind.expose(), b"kv" | b"generic")) {
            return Err(Reason::from(format!("{mount} is not a KV engine"))
                .hint("check mount: vault secrets list"));
        }
        // A server always says both: a report without one of them is not all that it has said.
        let (path, options) = (text(data.get("path")), data.get("options"));
        let options = options.filter(|it| it.is_object() || it.is_null());
        let (Some(path), Some(options)) = (path, options) else {
            return Err(not_vaults(reply.api));
        };
        self.is_meant(path.expose(), reply)?;
        // Version 1 need not be among the options.
        let version = options.get("version");
        match version.and_then(Value::text).as_ref().map(Secret::expose) {
            Some(b"2") => Ok(Version::V2),
            Some(b"1") => Ok(Version::V1),
            None if version.is_none() => Ok(Version::V1),
            _ => Err(Reason::from(format!(
                "{mount} is a KV engine of an unknown version"
            ))),
        }
    }

    /// Whether the mount that the server calls `path` is the one that is meant.
    fn is_meant(&self, path: &[u8], reply: &Reply) -> Result<(), Reason> {
        let mount = &self.settings.mount;
        let path = path.strip_suffix(b"/").unwrap_or(path);
        // A namespace may stand before it.
        let named = |rest: &[u8]| rest.is_empty() || rest.ends_with(b"/");
        let below = mount.as_bytes().strip_prefix(path);
        let below = below.filter(|rest| rest.starts_with(b"/"));
        if below.is_none() && mount.as_bytes().strip_suffix(path).is_some_and(named) {
            return Ok(());
        }
        let path = match below {
            Some(rest) => Some(mount[..mount.len() - rest.len()].to_owned()),
            None => reply.shown(&String::from_utf8_lossy(path)),
        };
        let path = path.unwrap_or_else(|| "that it names".to_owned());
        Err(Reason::from(format!(
            "{mount} is not a mount: for {} it is a path in the mount {path}",
            reply.api.address()
        ))
        .hint(match below {
            Some(b"/data" | b"/metadata") | None => format!("set mount to {path}"),
            Some(rest) => format!(
                "set mount to {path}, and prefix to {}",
                String::from_utf8_lossy(rest).trim_matches('/')
            ),
        }))
    }
}

fn not_vaults(api: &Api) -> Reason {
    Reason::from(format!(
        "{} did not answer like a Vault server",
        api.address()
    ))
    .hint("check the address: is a proxy or another server there?")
}
