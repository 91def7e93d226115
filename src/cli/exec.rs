//! `exec`: runs a command with secrets in its environment or on its standard input, in place of this process.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::backend::{BACKENDS, Reason};
use crate::request::{self, Answers, Made, Request, Target, check_variable};
use crate::schema::UsageError;
use crate::secret::{LIMIT, Secret, SecretBuffer};
use crate::{process, sys, text};

use super::message::Messages;
use super::requests::{self, Asked};
use super::table::{FLAGS, Id};
use super::{Parsed, Status, watched};

/// What the command gets of one request.
enum Grant<'r> {
    /// A variable with this value.
    Value(&'r str, Secret),
    /// A variable with the path of this file.
    File(&'r str, OwnedFd),
    /// No such variable, whatever the parent has.
    Nothing(&'r str),
    /// This file as its standard input.
    Stdin(OwnedFd),
}

impl Grant<'_> {
    fn variable(&self) -> Option<&str> {
        match self {
            Grant::Value(variable, _) | Grant::File(variable, _) | Grant::Nothing(variable) => {
                Some(variable)
            }
            Grant::Stdin(_) => None,
        }
    }
}

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    let command = command(parsed)?;
    requests::check_stdin(parsed)?;
    if parsed.has(Id::Keep) && !parsed.has(Id::CleanEnv) {
        return Err(UsageError::new("--keep goes with --clean-env").into());
    }
    for (_, variable) in parsed.each(&[Id::Keep]) {
        check_variable(&variable.to_string_lossy())
            .map_err(|why| UsageError::new(format!("exec: --keep: {why}")))?;
    }
    if !Asked::something(parsed) {
        let text = "exec: no secret given: use --secret [VAR=]NAME, or run the command without mxm-secrets";
        return Err(UsageError::new(text).into());
    }
    let Asked {
        settings,
        requests,
        mistakes,
    } = Asked::read(parsed)?;
    let Some(settings) = settings.filter(|_| mistakes.is_empty()) else {
        return Err(UsageError::all(mistakes).into());
    };
    let messages = parsed.messages();
    let names = request::names(Vec::new(), &requests);
    // The chain goes before the command starts: what it has opened it closes, and a login of its own ends.
    let lookups = watched(|| Ok(settings.open()?.find_each(&names, false, &messages)?))?;

    // Every one that is missing or failed is told of, in the order given.
    let answers = Answers::of(&lookups);
    let mut told = HashSet::new();
    let mut grants = Vec::with_capacity(requests.len());
    for request in &requests {
        for lookup in answers.news(request, &mut told) {
            messages.outcome(lookup);
        }
        match grant(request, answers.make(request)) {
            Ok(grant) => grants.extend(grant),
            Err(problem) => messages.problem("failed", request.secret(), &problem),
        }
    }
    if grants.len() < requests.len() {
        return Ok(Status::Own);
    }
    let environment = environment(parsed, &grants);
    Ok(replace(&command, &environment, &grants, &messages))
}

/// The command and its arguments.
pub(super) fn command(parsed: &Parsed) -> Result<Vec<CString>, UsageError> {
    let usage = |text: &str| UsageError::new(text);
    if let Some(operand) = parsed.operands.first() {
        return Err(UsageError::new(format!(
            "exec: -- is missing before the command {}",
            text::quoted(operand)
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

/// What the command gets of a request; `None` when there is no secret to give.
fn grant(request: &Request, made: Made) -> Result<Option<Grant<'_>>, Reason> {
    let file = |secret: &Secret| {
        let file = sys::sealed_file(secret.expose());
        file.map(sys::out_of_the_way).map_err(|error| {
            let what = request.shown();
            Reason::of(
                format_args!("{what}: failed: cannot make a file in memory"),
                &error,
            )
        })
    };
    Ok(Some(match (made, &request.target) {
        (Made::Value(value), Target::Variable(variable)) => Grant::Value(variable, value),
        (Made::Value(value), Target::File(variable)) => Grant::File(variable, file(&value)?),
        (Made::Value(value), Target::Stdin) => Grant::Stdin(file(&value)?),
        (Made::Unset, target) => match target {
            Target::Variable(variable) | Target::File(variable) => Grant::Nothing(variable),
            Target::Stdin => return Ok(None),
        },
        (Made::NoSecret, _) => return Ok(None),
        (Made::Unfit(reason), _) => return Err(reason),
    }))
}

/// The environment of the command: strings `VAR=value` that end in NUL.
fn environment(parsed: &Parsed, grants: &[Grant]) -> Vec<Secret> {
    let kept: HashSet<&OsStr> = parsed
        .each(&[Id::Keep])
        .map(|(_, variable)| variable)
        .collect();
    let granted: HashSet<&OsStr> = grants
        .iter()
        .filter_map(|grant| grant.variable().map(OsStr::new))
        .collect();
    let inherited = std::env::vars_os().filter(|(variable, _)| {
        let ours = process::FROM_ABOVE.iter().any(|one| variable == one);
        (!parsed.has(Id::CleanEnv) || kept.contains(variable.as_os_str()) || ours)
            && !is_own_credential(variable)
            && !granted.contains(variable.as_os_str())
    });
    let mut environment: Vec<Secret> = inherited
        .filter_map(|(variable, value)| {
            let value = process::handed_on(&variable, value);
            entry(&variable, Secret::take(value.into_vec()).expose())
        })
        .collect();
    environment.extend(grants.iter().filter_map(|grant| match grant {
        Grant::Nothing(_) | Grant::Stdin(_) => None,
        Grant::Value(variable, secret) => entry(variable.as_ref(), secret.expose()),
        Grant::File(variable, file) => entry(variable.as_ref(), path(file).as_bytes()),
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
        && !process::FROM_ABOVE.contains(&name)
        && !BACKENDS
            .iter()
            .flat_map(|entry| entry.keys)
            .any(|key| key.variable == Some(name))
}

fn entry(variable: &OsStr, value: &[u8]) -> Option<Secret> {
    let mut entry = SecretBuffer::new(LIMIT * 2);
    let whole = [variable.as_bytes(), b"=", value, b"\0"];
    whole
        .iter()
        .all(|part| entry.extend(part))
        .then(|| entry.finish())
}

/// Becomes the command. Returns only when that fails.
fn replace(
    command: &[CString],
    environment: &[Secret],
    grants: &[Grant],
    messages: &Messages,
) -> Status {
    let program = OsStr::from_bytes(command[0].as_bytes());
    for grant in grants {
        match grant {
            Grant::File(_, file) => sys::keep_at_exec(file.as_fd()),
            Grant::Stdin(file) => {
                if let Err(error) = sys::make_stdin(file.as_fd()) {
                    let reason = Reason::of("cannot replace the standard input", &error);
                    messages.problem("failed", None, &reason);
                    return Status::Own;
                }
            }
            Grant::Value(..) | Grant::Nothing(_) => {}
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
        let text = format!("{program}: cannot be run: it is not a program, and has no #! line");
        let word = text::shell(&program.to_string());
        let hint = format!("begin it with a line such as #!/bin/sh, or give -- sh {word}");
        messages.problem("command", None, &Reason::from(text).hint(hint));
        return Status::CommandNotRun;
    }
    if why.kind() == io::ErrorKind::NotFound {
        let there = process::find_program(program).is_some();
        let hint = if there {
            "it is there, but not the interpreter that its first line names"
        } else {
            ""
        };
        let reason = Reason::from(match program.is_empty() {
            true => "the name of the command is empty".to_owned(),
            false => format!("{}: command not found", program.display()),
        });
        messages.problem(
            "command",
            None,
            &if there { reason.hint(hint) } else { reason },
        );
        return Status::CommandNotFound;
    }
    let reason = Reason::from(format!("{}: cannot be run: {why}", program.display()));
    let reason = match why.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            reason.hint("large secrets can be given as files: --file VAR=NAME")
        }
        _ => reason,
    };
    messages.problem("command", None, &reason);
    Status::CommandNotRun
}
