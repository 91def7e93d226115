//! `get`: prints one secret, or several as JSON.

use std::os::unix::ffi::OsStrExt;

use crate::chain::Lookup;
use crate::compose::base64;
use crate::name::Name;
use crate::schema::UsageError;
use crate::secret::Secret;

use super::table::Id;
use super::{Parsed, Status, resolve, watched, write_out};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    let usage = |text: &str| Err(UsageError::new(text).into());
    let names = match parsed.operands.as_slice() {
        [] => return usage("get: no name given"),
        [_, _, ..] if !parsed.has(Id::Json) => {
            return usage("get: several names need --json; without it, give one name");
        }
        names => names.iter().map(Name::parse),
    };
    let mut mistakes = Vec::new();
    let names = names.filter_map(|name| UsageError::gather(name, &mut mistakes));
    let names: Vec<Name> = names.collect();
    if !mistakes.is_empty() {
        return Err(UsageError::all(mistakes).into());
    }
    let default = parsed.value(Id::Default).map(OsStrExt::as_bytes);
    if default.is_none() && parsed.has(Id::DefaultOk) {
        return usage("--default-ok goes with --default");
    }
    let messages = parsed.messages();
    // What the chain has opened is closed first: a closed pipe ends this program in the middle of its output.
    let lookups: Vec<Lookup> = watched(|| {
        let chain = parsed.options()?.open()?;
        let lookups = chain.find_each(&names, false, &messages)?.into_iter();
        let default = || default.map(Secret::copy_of);
        Ok(lookups
            .map(|lookup| lookup.or_default(default(), chain.on_error()))
            .collect())
    })?;
    if parsed.has(Id::Json) {
        write_json(&lookups)?;
    } else {
        for lookup in &lookups {
            messages.outcome(lookup);
            if let Some(secret) = lookup.outcome.secret() {
                let bytes = secret.expose();
                let newline = !parsed.has(Id::Raw) && !bytes.ends_with(b"\n");
                write_out(&[bytes, if newline { b"\n" } else { b"" }])?;
            }
        }
    }
    let status = lookups.iter().fold(Status::Found, |worst, lookup| {
        worst.worse(Status::from(&lookup.outcome))
    });
    Ok(match status {
        Status::Defaulted if parsed.has(Id::DefaultOk) => Status::Found,
        status => status,
    })
}

/// An object a line: that of `resolve --json`, and the value.
fn write_json(lookups: &[Lookup]) -> anyhow::Result<()> {
    let mut objects = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        let mut object = resolve::json(lookup, false);
        object.pop();
        let value = lookup.outcome.secret().map(base64);
        objects.push((object, value));
    }
    let mut parts: Vec<&[u8]> = Vec::with_capacity(objects.len() * 4);
    for (object, value) in &objects {
        parts.extend([object.as_bytes(), b",\"value_base64\":"]);
        match value {
            Some(value) => parts.extend([&b"\""[..], value.expose(), b"\"}\n"]),
            None => parts.push(b"null}\n"),
        }
    }
    write_out(&parts)
}
