//! `credential`: answers systemd, which asks for a unit's credential at a socket of its own.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::config::Settings;
use crate::credential::{self, Asked, LIMIT};
use crate::deadline::{self, Deadline};
use crate::name::Name;
use crate::request::{self, Answers, Content, Made, Request, Target};
use crate::schema::UsageError;
use crate::secret::Secret;
use crate::watch::{self, Heeded, Until, Watch};
use crate::{sys, text};

use super::message::last_words;
use super::{Parsed, Status, watched};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    if !parsed.operands.is_empty() {
        return Err(UsageError::new("credential takes no name: systemd says which").into());
    }
    let asked = asked()?;
    watched(|| {
        // Not every backend watches for them: a signal would leave the unit with nothing, or with a part, without a word.
        let _watch = Watch::signals();
        answer(parsed, &asked)
    })
}

/// Looks up what is asked for, and hands it over. Of what ends by a signal, too, the journal says which unit has got nothing.
fn answer(parsed: &Parsed, asked: &Asked) -> anyhow::Result<Status> {
    let Asked { unit, id } = asked;
    // systemd cannot be told that there is none.
    let empty = || {
        last_words(&match deadline::interrupted() {
            true if watch::is_alone() => format!("{unit} waits no longer for its credential {id}"),
            true => format!("interrupted: {unit} gets an empty credential {id}"),
            false => format!("{unit} gets an empty credential {id}"),
        });
    };
    watch::heed(Heeded::Asker);
    let (value, timeout) = match find(parsed, asked).inspect_err(|_| empty())? {
        Ok(found) => found,
        Err(status) => {
            empty();
            return Ok(status);
        }
    };
    // Of a hand-over, the socket itself says more.
    watch::heed(Heeded::Nobody);
    let bytes = value.expose();
    let handed_over = hand_over(bytes, Deadline::after(timeout));
    if id.len() + bytes.len() > LIMIT {
        // It was written all the same, since only by that many bytes does systemd know: after none it starts the unit.
        // Having seen enough, it may have closed the socket.
        let size = bytes.len();
        last_words(&format!(
            "{unit} is not started: its credential {id} has {size} bytes, and systemd takes 1 MiB at most, with the ID"
        ));
        return Ok(Status::Failed);
    }
    Ok(match handed_over {
        Ok(()) => Status::Found,
        Err(error) => {
            last_words(&format!(
                "{unit}: cannot hand over the credential {id}: {error}"
            ));
            Status::Failed
        }
    })
}

/// Writes to where the question came from: standard output may be the journal. No signal ends it before the deadline,
/// since a part of the value would be a credential, too.
fn hand_over(bytes: &[u8], deadline: Deadline) -> io::Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        match watch::uninterrupted(|| sys::send(sys::stdin(), left)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !deadline.passed() => {
                watch::wait(sys::stdin(), Until::Writable, false, deadline.remaining())?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::other("it was not read in time"));
            }
            sent => left = left.get(sent?..).unwrap_or_default(),
        }
    }
    Ok(())
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

/// Looks up what is asked for, if it is allowed: it, and how long its hand-over may take; else the status.
fn find(parsed: &Parsed, asked: &Asked) -> anyhow::Result<Result<(Secret, Duration), Status>> {
    let settings = Settings::load(&parsed.options()?.no_input(true))?;
    let timeout = settings.timeout;
    let entry = settings.credential(asked)?;
    let mut request = request(entry, &settings)?;
    request.load()?;
    let messages = parsed.messages();
    let names = request::names(Vec::new(), std::slice::from_ref(&request));
    let lookups = settings.open()?.find_each(&names, false, &messages)?;
    lookups.iter().for_each(|lookup| messages.outcome(lookup));
    let statuses = lookups.iter().map(|lookup| Status::from(&lookup.outcome));
    Ok(match Answers::of(&lookups).make(&request) {
        Made::Value(value) => Ok((value, timeout)),
        Made::Unset | Made::NoSecret => Err(statuses.fold(Status::Found, Status::worse)),
        Made::Unfit(reason) => {
            messages.problem("failed", request.secret(), &reason);
            Err(Status::Failed)
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
