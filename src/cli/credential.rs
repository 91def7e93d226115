//! `credential`: answers systemd, which asks for a unit's credential at a socket of its own.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::config::Settings;
use crate::credential::{self, Asked, LIMIT};
use crate::name::Name;
use crate::request::{self, Answers, Content, Made, Request, Target};
use crate::schema::UsageError;
use crate::secret::Secret;
use crate::{sys, text, watch};
use anyhow::Context as _;

use super::message::problem;
use super::{Parsed, Status, watched};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    if !parsed.operands.is_empty() {
        return Err(UsageError::new("credential takes no name: systemd says which").into());
    }
    let asked = asked()?;
    let Asked { unit, id } = &asked;
    let found = find(parsed, &asked);
    let Ok((Some(value), status)) = found else {
        // It cannot be told that there is none.
        let text = format!("{unit} gets an empty credential {id}");
        problem("failed", None, &text.into());
        return found.map(|(_, status)| status);
    };
    let bytes = value.expose();
    if id.len() + bytes.len() > LIMIT {
        let size = bytes.len();
        let text = format!(
            "{unit} is not started: its credential {id} has {size} bytes, and systemd takes 1 MiB at most"
        );
        problem("failed", None, &text.into());
    }
    // To where the question came from: standard output may be the journal.
    watch::without_sigpipe(|| watch::write_all(sys::stdin(), &[bytes]))
        .with_context(|| format!("{unit}: cannot hand over the credential {id}"))?;
    Ok(status)
}

/// What systemd asks for, at our standard input.
fn asked() -> Result<Asked, UsageError> {
    let refused = |why: String| {
        UsageError::new(format!(
            "credential: {why}; only systemd asks, for a unit with Accept=yes and StandardInput=socket"
        ))
    };
    let (name, user) = sys::peer(sys::stdin()).map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => UsageError::new(format!("credential: {error}")),
        _ => refused(format!("standard input is no socket of systemd: {error}")),
    })?;
    if user != 0 && user != sys::user() {
        return Err(refused(format!(
            "the user {user} asks, who is neither root nor this one"
        )));
    }
    Asked::parse(&name).ok_or_else(|| {
        let name = text::quoted(OsStr::from_bytes(&name));
        refused(format!(
            "the socket's other end is called {name}, not RANDOM/unit/UNIT/ID"
        ))
    })
}

/// Looks up what is asked for, if it is allowed.
fn find(parsed: &Parsed, asked: &Asked) -> anyhow::Result<(Option<Secret>, Status)> {
    let settings = Settings::load(&parsed.options()?.no_input(true))?;
    let entry = settings.credential(asked)?;
    let mut request = request(entry, &settings)?;
    request.load()?;
    let messages = parsed.messages();
    let names = request::names(Vec::new(), std::slice::from_ref(&request));
    let lookups = watched(|| Ok(settings.open()?.find_each(&names, false, &messages)?))?;
    lookups.iter().for_each(|lookup| messages.outcome(lookup));
    let statuses = lookups.iter().map(|lookup| Status::from(&lookup.outcome));
    Ok(match Answers::of(&lookups).make(&request) {
        Made::Value(value) => (Some(value), Status::Found),
        Made::Unset | Made::NoSecret => (None, statuses.fold(Status::Found, Status::worse)),
        Made::Unfit(reason) => {
            messages.problem("failed", request.secret(), &reason);
            (None, Status::Failed)
        }
    })
}

/// What an entry of the allow list stands for: a ref, what a set has for a variable, or the name of a secret. All of it
/// with its exact bytes, which a variable would not have.
fn request(entry: &str, settings: &Settings) -> Result<Request, UsageError> {
    let path = entry.split('#').next().unwrap_or_default();
    let is_ref = settings.refs().entry("refs", path).is_some();
    let of_set = entry.rsplit_once('.').and_then(|(set, variable)| {
        let mut requests = settings.set(set).ok()?.into_iter();
        requests.find(|request| request.variable() == Some(variable))
    });
    Ok(match of_set {
        Some(request) if !is_ref => Request {
            target: Target::Stdin,
            ..request
        },
        _ => Request {
            target: Target::Stdin,
            content: Content::Secret(match is_ref {
                true => Name::parse(entry)?,
                false => credential::name_of(entry)?,
            }),
            optional: false,
            place: entry.to_owned(),
        },
    })
}
