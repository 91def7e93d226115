//! A lookup: which version of the engine to read as, and what its answers mean.

use std::sync::Arc;

use super::address::encode_path;
use super::api::{Api, Call, Reply, has};
use super::login::Identity;
use super::mount::Reported;
use super::settings::Version;
use super::socket::Patience;
use super::{Setup, no_token};
use crate::backend::{Answer, NoSecret, Reason};
use crate::json::Value;
use crate::name::Name;
use crate::secret::Secret;
use crate::text;

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

impl Setup {
    pub fn look_up(
        &self,
        api: &Arc<Api>,
        name: &Name,
        patience: Patience,
    ) -> Result<Answer, Reason> {
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
        let (miss, leased) = match self.read(question, version)? {
            // As version 1, what version 2 wraps around a secret is a secret without the field.
            Read::Answer(miss @ Answer::Miss(_)) if version == Version::V1 => (miss, true),
            Read::Answer(answer) => return Ok(answer),
            Read::Denied(reason) | Read::NotAPathOfV2(reason) => return Err(reason),
            Read::Nothing => (question.absent(), false),
        };
        match (
            self.reported(question.api, question.identity, question.patience)?,
            version,
        ) {
            (Reported::Engine(reported), _) if reported == version => return Ok(miss),
            (Reported::Engine(reported), _) => return Err(self.contradiction(reported, version)),
            // An engine of version 1 has no words of its own, by which it could be known all the same.
            (Reported::Nothing, Version::V1) => return Err(self.no_mount(question.api, "")),
            (Reported::Nothing | Reported::Untold, _) => {}
        }
        // The server does not report it, and who set kv_version may be wrong. An engine of version 1 is known by its help,
        // one of version 2 by its words for the paths of version 1.
        match version {
            Version::V1 if leased && !self.is_ambiguous(&question.path) => Ok(miss),
            Version::V1 if self.is_version_1(question)? => Ok(miss),
            Version::V1 => Err(self.unknown_version(question)),
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

    /// Whether the engine describes itself as one of version 1, and the path as its own: every token may ask for that.
    fn is_version_1(&self, question: &Question) -> Result<bool, Reason> {
        let call = Call {
            path: &format!("{}?help=1", self.encoded(question, Version::V1)),
            token: question.identity.token.as_ref(),
            ..Call::default()
        };
        let reply = question.api.call(&call, question.patience)?;
        let help = reply.json().and_then(|json| json.get("help"));
        let help = help.and_then(Value::text);
        let asked = format!("Request:        {}\n", question.path);
        let says = |help: Secret| {
            let help = help.expose();
            help.starts_with(asked.as_bytes()) && has(help, "\nThe pass-through backend ")
        };
        Ok(reply.response.status == 200 && help.is_some_and(says))
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
            (Read::Nothing, _) if self.is_version_1(question)? => Ok(question.absent()),
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

    fn unknown_version(&self, question: &Question) -> Reason {
        Reason::from(format!(
            "{} does not say whether it has {}: the version of the KV engine {} is unknown",
            question.api.address(),
            question.place,
            self.settings.mount
        ))
        .hint(format!(
            "{}let {} be read: there the server says which it is",
            match self.settings.version {
                None => "set kv_version to that of the engine, 1 or 2, or ",
                Some(_) => "",
            },
            format_args!("sys/internal/ui/mounts/{}", self.settings.mount)
        ))
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
                    .map_err(|ended| ended.before_it_was("read").after(place))?;
            }
            count += 1;
            if key.says(wanted) && found.replace(value).is_some() {
                return Err(unreadable("two fields of the same name"));
            }
            last = Some((key, value));
            filled += usize::from(!value.is_null());
            if listed.len() < text::MOST && !value.is_null() {
                listed.push(key);
            }
        }
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
        let listed = listed.into_iter().filter_map(|key| reply.shown_name(key));
        let listed: Vec<String> = listed.collect();
        let there = match (listed.join(", "), filled - listed.len()) {
            (_, 0) if listed.is_empty() => "it has none".to_owned(),
            (_, more) if listed.is_empty() => format!("it has {more}"),
            (listed, 0) => format!("it has {listed}"),
            (listed, more) => format!("it has {listed} and {more} more"),
        };
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
        Err(self.no_mount(api, &reply.told_after_colon()))
    }

    fn no_mount(&self, api: &Api, told: &str) -> Reason {
        let mount = &self.settings.mount;
        Reason::from(format!("{} has no mount {mount}{told}", api.address()))
            .hint("check mount and the namespace")
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
        Ok(Reason::from(format!(
            "{address} denies {place}: no policy of the {} allows it, or there is no mount {}",
            self.who(),
            self.settings.mount
        )))
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
