//! `exec`: runs a command with secrets in its environment, in place of this process.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::backend::{BACKENDS, DEPTH_VARIABLE, Reason};
use crate::chain::Outcome;
use crate::name::Name;
use crate::schema::UsageError;
use crate::secret::{LIMIT, Secret, SecretBuffer};
use crate::{deadline, process, sys};

use super::message::Messages;
use super::table::{FLAGS, Id};
use super::{Parsed, Status};

/// The longest `VAR=value` that Linux takes, its final NUL included (MAX_ARG_STRLEN, execve(2)).
const LONGEST_ENTRY: usize = 131_072;

/// A secret that the command shall have.
struct Request {
    id: Id,
    variable: String,
    name: Name,
}

/// What the command gets of one secret.
enum Grant {
    /// A variable with this value.
    Value(Secret),
    /// A variable with the path of this file.
    File(OwnedFd),
    /// No such variable, whatever the parent has.
    Nothing,
}

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    let command = command(parsed)?;
    let requests = requests(parsed)?;
    if parsed.has(Id::Keep) && !parsed.has(Id::CleanEnv) {
        return Err(UsageError("--keep goes with --clean-env".to_owned()).into());
    }
    for (_, variable) in parsed.each(&[Id::Keep]) {
        if !is_variable(variable.as_bytes()) {
            let text =
                format!("exec: --keep {variable:?}: it takes a variable's name ({VARIABLE})");
            return Err(UsageError(text).into());
        }
    }
    let messages = parsed.messages();
    let names: Vec<Name> = requests
        .iter()
        .map(|request| request.name.clone())
        .collect();
    // The chain goes before the command starts: what it has opened it closes, and a login of its own ends.
    let lookups = parsed
        .options()?
        .open()?
        .find_each(&names, false, &messages);

    // Every one that is missing or failed is told of, in the order given.
    let mut grants = Vec::new();
    for (request, lookup) in requests.iter().zip(lookups) {
        let optional = request.id == Id::Optional;
        if !(optional && matches!(lookup.outcome, Outcome::Missing)) {
            messages.outcome(&lookup);
        }
        match grant(request, lookup.outcome) {
            Ok(Some(grant)) => grants.push((request.variable.as_str(), grant)),
            Ok(None) => {}
            Err(problem) => messages.problem(&problem),
        }
    }
    if grants.len() < requests.len() {
        return Ok(Status::Own);
    }
    let environment = environment(parsed, &grants);
    sys::unwatch_signals();
    if deadline::interrupted() {
        return Ok(Status::Own);
    }
    Ok(replace(&command, &environment, &grants, &messages))
}

/// The command and its arguments.
pub(super) fn command(parsed: &Parsed) -> Result<Vec<CString>, UsageError> {
    let usage = |text: &str| UsageError(text.to_owned());
    if let Some(operand) = parsed.operands.first() {
        return Err(UsageError(format!(
            "exec: -- is missing before the command {operand:?}"
        )));
    }
    match parsed.command_line.as_deref() {
        None => Err(usage("exec: give a command after --")),
        Some([]) => Err(usage("exec: there is no command after --")),
        Some(words) => words
            .iter()
            .map(|word| {
                CString::new(word.as_bytes()).map_err(|_| usage("exec: an argument has a NUL byte"))
            })
            .collect(),
    }
}

/// What is asked for, in the order given.
fn requests(parsed: &Parsed) -> Result<Vec<Request>, UsageError> {
    let mut requests: Vec<Request> = Vec::new();
    for (id, value) in parsed.each(&[Id::Secret, Id::Optional, Id::File]) {
        let request = request(id, value)?;
        if requests
            .iter()
            .any(|earlier| earlier.variable == request.variable)
        {
            return Err(UsageError(format!(
                "exec: the variable {} is given twice",
                request.variable
            )));
        }
        requests.push(request);
    }
    Ok(requests)
}

/// Checks what is asked for.
#[cfg(fuzzing)]
pub fn read_requests(parsed: &Parsed) {
    let Ok(requests) = requests(parsed) else {
        return;
    };
    for request in &requests {
        let variable = CString::new(request.variable.as_str());
        assert!(variable.is_ok_and(|name| !name.is_empty() && !name.as_bytes().contains(&b'=')));
        let same = |other: &&Request| other.variable == request.variable;
        assert_eq!(requests.iter().filter(same).count(), 1);
    }
}

/// Reads `[VAR=]NAME`.
fn request(id: Id, value: &OsStr) -> Result<Request, UsageError> {
    let bytes = value.as_bytes();
    let (variable, name) = match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) => (Some(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])),
        None => (None, value),
    };
    let name = Name::parse(name).map_err(|error| UsageError(error.to_string()))?;
    let variable = match variable {
        Some(variable) => String::from_utf8_lossy(variable).into_owned(),
        None if id == Id::File => {
            return Err(UsageError(format!(
                "--file {name}: it takes VAR=NAME, the variable that shall hold the path"
            )));
        }
        None => name.variable(""),
    };
    if !is_variable(variable.as_bytes()) {
        return Err(UsageError(format!(
            "exec: {variable:?} is not the name of a variable ({VARIABLE}): give VAR={name}"
        )));
    }
    Ok(Request { id, variable, name })
}

/// What a variable's name is made of, for messages.
const VARIABLE: &str = "A-Z, a-z, 0-9 and _, no digit first";

fn is_variable(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.first().is_some_and(|byte| !byte.is_ascii_digit()) && name.iter().all(fits)
}

/// What a lookup gives the command; `None` when there is no secret to give.
fn grant(request: &Request, outcome: Outcome) -> Result<Option<Grant>, Reason> {
    match outcome {
        Outcome::Found(secret) | Outcome::Defaulted(secret) if request.id == Id::File => {
            let file = sys::sealed_file(secret.expose());
            let problem =
                |error| format!("{}: cannot make a file in memory: {error}", request.name);
            file.map(|file| Some(Grant::File(sys::out_of_the_way(file))))
                .map_err(|error| problem(error).into())
        }
        Outcome::Found(secret) | Outcome::Defaulted(secret) => {
            check(request, &secret).map(|()| Some(Grant::Value(secret)))
        }
        Outcome::Missing if request.id == Id::Optional => Ok(Some(Grant::Nothing)),
        Outcome::Missing | Outcome::Failed => Ok(None),
    }
}

/// Whether a variable can hold the secret.
fn check(request: &Request, secret: &Secret) -> Result<(), Reason> {
    let value = without_newline(secret);
    if value.contains(&0) {
        let text = format!(
            "{} has a NUL byte, which a variable cannot hold",
            request.name
        );
        return Err(
            Reason::from(text).hint(format!("--file {}={}", request.variable, request.name))
        );
    }
    if request.variable.len() + 1 + value.len() + 1 > LONGEST_ENTRY {
        let text = format!(
            "{} is too long for a variable ({} bytes)",
            request.name,
            value.len()
        );
        return Err(
            Reason::from(text).hint(format!("--file {}={}", request.variable, request.name))
        );
    }
    Ok(())
}

/// The value as `$(...)` would give it: without one newline at its end.
fn without_newline(secret: &Secret) -> &[u8] {
    secret
        .expose()
        .strip_suffix(b"\n")
        .unwrap_or(secret.expose())
}

/// The environment of the command: strings `VAR=value` that end in NUL.
fn environment(parsed: &Parsed, grants: &[(&str, Grant)]) -> Vec<Secret> {
    let kept: Vec<&OsStr> = parsed
        .each(&[Id::Keep])
        .map(|(_, variable)| variable)
        .collect();
    let inherited = std::env::vars_os().filter(|(variable, _)| {
        let kept = !parsed.has(Id::CleanEnv) || kept.contains(&variable.as_os_str());
        kept && !is_own_credential(variable)
            && !grants.iter().any(|(granted, _)| *variable == **granted)
    });
    let mut environment: Vec<Secret> = inherited
        .filter_map(|(variable, value)| entry(variable, &Secret::take(value.into_vec())))
        .collect();
    environment.extend(grants.iter().filter_map(|(variable, grant)| match grant {
        Grant::Nothing => None,
        Grant::Value(secret) => entry(variable.into(), &Secret::copy_of(without_newline(secret))),
        Grant::File(file) => entry(variable.into(), &Secret::take(path(file).into_bytes())),
    }));
    environment
}

/// The path of a file for the command and its children, which `self` would not be. What /proc calls us may differ from
/// our process id: it may have been mounted for another namespace.
fn path(file: &OwnedFd) -> String {
    let process = std::fs::read_link("/proc/self").unwrap_or_else(|_| "self".into());
    format!("/proc/{}/fd/{}", process.display(), file.as_raw_fd())
}

/// Whether `variable` holds a credential of this program itself: ours by its name, and neither a flag nor a key of the
/// configuration, which a command that calls this program again may need.
fn is_own_credential(variable: &OsStr) -> bool {
    let Some(name) = variable
        .to_str()
        .filter(|name| name.starts_with("MXM_SECRETS_"))
    else {
        return false;
    };
    let flag = FLAGS.iter().any(|flag| flag.variable == Some(name));
    // A program that asks itself through this command finds that out by its depth.
    !flag
        && name != DEPTH_VARIABLE
        && !BACKENDS
            .iter()
            .flat_map(|entry| entry.keys)
            .any(|key| key.variable == Some(name))
}

fn entry(variable: OsString, value: &Secret) -> Option<Secret> {
    let mut entry = SecretBuffer::new(LIMIT * 2);
    let whole = [variable.as_bytes(), b"=", value.expose(), b"\0"];
    whole
        .iter()
        .all(|part| entry.extend(part))
        .then(|| entry.finish())
}

/// Becomes the command. Returns only when that fails.
fn replace(
    command: &[CString],
    environment: &[Secret],
    grants: &[(&str, Grant)],
    messages: &Messages,
) -> Status {
    let program = OsStr::from_bytes(command[0].as_bytes());
    for (_, grant) in grants {
        if let Grant::File(file) = grant {
            sys::keep_at_exec(file.as_fd());
        }
    }
    sys::restore_core_limit();
    // What env(1) does: past what is not there, and past what may not be run as long as something else may.
    let mut why = io::Error::from(io::ErrorKind::NotFound);
    for candidate in process::candidates(program)
        .into_iter()
        .filter(|_| !program.is_empty())
    {
        let error = sys::execve(&candidate, command, environment);
        match error.kind() {
            io::ErrorKind::NotFound => {}
            io::ErrorKind::NotADirectory if !program.as_bytes().contains(&b'/') => {}
            io::ErrorKind::PermissionDenied => why = error,
            _ => {
                why = error;
                break;
            }
        }
    }
    if why.raw_os_error() == Some(sys::NOT_A_PROGRAM) {
        // env(1) would hand it to a shell; here no shell is ever started unasked.
        let program = program.display();
        let text = format!("{program}: cannot be run: it is no program, and has no #! line");
        let hint = format!("begin it with a line such as #!/bin/sh, or give -- sh {program}");
        messages.problem(&Reason::from(text).hint(hint));
        return Status::CommandNotRun;
    }
    if why.kind() == io::ErrorKind::NotFound {
        let there = process::find_program(program).is_some();
        let hint = if there {
            "it is there, but not the interpreter that its first line names"
        } else {
            ""
        };
        let reason = Reason::from(format!("{}: command not found", program.display()));
        messages.problem(&if there { reason.hint(hint) } else { reason });
        return Status::CommandNotFound;
    }
    let reason = Reason::from(format!("{}: cannot be run: {why}", program.display()));
    messages.problem(&match why.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            reason.hint("large secrets can be given as files: --file VAR=NAME")
        }
        _ => reason,
    });
    Status::CommandNotRun
}
