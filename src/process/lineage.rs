//! Who has asked: a program of a backend may be mxm-secrets again, and its configuration may lead back to us.
//!
//! A variable tells every program that is started for a backend who has started it, and how many more may be started
//! below it. What it is told to run while it is being run for the same is not started, and neither is what exceeds the
//! number: so neither the depth of a configuration that leads back to itself nor its breadth is without end.

use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Problem;

/// The variable: a number, and a mark for each program above, with blanks between them.
pub const VARIABLE: &str = "MXM_SECRETS_DEPTH";

/// How many programs may be started below each one that was not started for a backend itself.
const ALL: u32 = 512;

/// The part of what is left that each program gets for its own: three levels below the first.
const SHARE: u32 = 16;

/// How many programs this one may still start; `None` before the first, and for one that nobody has started for a
/// backend.
static LEFT: Mutex<Option<u32>> = Mutex::new(None);

/// Tells the marks of two children apart that run the same.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Tells the program that `command` starts where it stands, and gives the mark that it and those that it starts have
/// in their environment.
///
/// # Errors
/// It may not be started.
pub fn extend(command: &mut Command) -> Result<String, Problem> {
    let above = std::env::var(VARIABLE).unwrap_or_default();
    let mut words = above.split(' ');
    let given = words.next().and_then(|number| number.parse().ok());
    let run = fingerprint(command);
    if words
        .clone()
        .any(|mark| mark.split('-').next() == Some(&run))
    {
        return Err(Problem::Circular);
    }
    let below = match given {
        None => ALL,
        Some(given) => {
            let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = left
                .unwrap_or(given)
                .checked_sub(1)
                .ok_or(Problem::TooMany)?;
            *left = Some(rest - rest / SHARE);
            rest / SHARE
        }
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mark = format!("{run}-{:x}-{count:x}", std::process::id());
    let above: String = words.flat_map(|mark| [mark, " "]).collect();
    command.env(VARIABLE, format!("{below} {above}{mark}"));
    Ok(mark)
}

/// What a command that takes the place of this program gets of `variable`: of ours, what is left of the number in `value`.
pub fn handed_on(variable: &OsStr, value: OsString) -> OsString {
    if variable != VARIABLE {
        return value;
    }
    let left = *LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    match (left, value.to_str().and_then(|text| text.split_once(' '))) {
        (Some(left), Some((_, marks))) => format!("{left} {marks}").into(),
        _ => value,
    }
}

/// What `command` runs, where a wrapper may have said what it means: the configuration and the home directory.
fn fingerprint(command: &Command) -> String {
    let mut hasher = DefaultHasher::new();
    (
        command.get_program(),
        command.get_args().collect::<Vec<_>>(),
    )
        .hash(&mut hasher);
    let given = [
        "HOME",
        "MXM_APP",
        "MXM_CONFIG_STORE",
        "MXM_SECRETS_BACKENDS",
        "MXM_SECRETS_CONFIG",
    ];
    given.map(std::env::var_os).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
