//! `get`: prints one secret.

use std::os::unix::ffi::OsStrExt;

use mxm_secrets::chain::Outcome;
use mxm_secrets::name::Name;
use mxm_secrets::schema::UsageError;
use mxm_secrets::secret::Secret;

use super::table::Id;
use super::{Parsed, Status, write_out};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    let name = match parsed.operands.as_slice() {
        [name] => Name::parse(name).map_err(|error| UsageError(error.to_string()))?,
        [] => return Err(UsageError("get: no name given".to_owned()).into()),
        _ => return Err(UsageError("get reads one secret: give one name".to_owned()).into()),
    };
    let default = parsed
        .value(Id::Default)
        .map(|value| Secret::copy_of(value.as_bytes()));
    if default.is_none() && parsed.has(Id::DefaultOk) {
        return Err(UsageError("--default-ok goes with --default".to_owned()).into());
    }
    let messages = parsed.messages();
    let chain = parsed.options()?.open()?;
    let lookup = chain
        .find(&name, &messages)
        .or_default(default, chain.on_error());
    // What the chain has opened is closed first: a closed pipe ends this program in the middle of its output.
    drop(chain);
    messages.outcome(&lookup);
    if let Outcome::Found(secret) | Outcome::Defaulted(secret) = &lookup.outcome {
        let bytes = secret.expose();
        let newline: &[u8] = if parsed.has(Id::Raw) || bytes.ends_with(b"\n") {
            b""
        } else {
            b"\n"
        };
        write_out(&[bytes, newline])?;
    }
    Ok(match Status::from(&lookup.outcome) {
        Status::Defaulted if parsed.has(Id::DefaultOk) => Status::Found,
        status => status,
    })
}
