//! What the options of `exec` and `resolve` ask for, and the sets that they name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::compose::Text;
use crate::config::{self, Settings};
use crate::name::Name;
use crate::process;
use crate::request::{Content, Request, Target, check_targets, check_variable};
use crate::schema::UsageError;

use super::Parsed;
use super::table::Id;

/// The options that ask for something.
const FLAGS: [Id; 8] = [
    Id::Secret,
    Id::Optional,
    Id::File,
    Id::Value,
    Id::Template,
    Id::Stdin,
    Id::Set,
    Id::From,
];

/// What is asked for, in the order given; templates are read.
///
/// # Errors
/// What is wrong in the options, or in a set or template that they name.
pub fn read(parsed: &Parsed, settings: &Settings) -> Result<Vec<Request>, UsageError> {
    let mut requests = Vec::new();
    for (id, value) in parsed.each(&FLAGS) {
        match id {
            Id::Set => requests.extend(settings.set(&value.to_string_lossy())?),
            Id::From => requests.extend(config::set_file(value.as_ref())?),
            _ => requests.push(request(id, value)?),
        }
    }
    check_targets(&requests)?;
    requests.iter_mut().try_for_each(Request::load)?;
    Ok(requests)
}

/// Checks what is asked for.
#[cfg(fuzzing)]
pub fn check(parsed: &Parsed) {
    let given = parsed
        .each(&FLAGS)
        .filter(|(id, _)| !matches!(id, Id::Set | Id::From));
    let requests: Result<Vec<Request>, _> = given.map(|(id, value)| request(id, value)).collect();
    let Ok(requests) = requests else {
        return;
    };
    let variables: Vec<&str> = requests.iter().filter_map(Request::variable).collect();
    for variable in &variables {
        assert!(!variable.is_empty() && !variable.contains(['=', '\0']));
    }
    let once: std::collections::HashSet<&&str> = variables.iter().collect();
    assert!(check_targets(&requests).is_err() || once.len() == variables.len());
}

/// Reads `[VAR=]NAME`, `VAR=TEXT` or `VAR=FILE`.
fn request(id: Id, value: &OsStr) -> Result<Request, UsageError> {
    let flag = id.spelled();
    let bytes = value.as_bytes();
    let (variable, rest) = match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) if id != Id::Stdin => {
            let variable = String::from_utf8_lossy(&bytes[..at]).into_owned();
            (Some(variable), OsStr::from_bytes(&bytes[at + 1..]))
        }
        _ => (None, value),
    };
    if variable.is_none() && matches!(id, Id::File | Id::Value | Id::Template) {
        let takes = id.takes();
        return Err(UsageError::new(format!(
            "{flag}: it takes {takes}, the variable first"
        )));
    }
    let mut place = flag.to_owned();
    if let Some(variable) = &variable {
        check_variable(variable).map_err(|why| UsageError::new(format!("exec: {why}")))?;
        place = format!("{flag} {variable}");
    }
    let content = match id {
        Id::Template => Content::Template(PathBuf::from(rest)),
        Id::Value => Content::Text(Text::parse(rest.as_bytes()).map_err(|wrong| {
            let (line, column) = (wrong.line, wrong.column);
            UsageError::new(format!(
                "{place}: line {line}, column {column}: {}",
                wrong.text
            ))
        })?),
        _ => Content::Secret(Name::parse(rest)?),
    };
    let target = match (id, variable, &content) {
        (Id::Stdin, ..) => Target::Stdin,
        (Id::File | Id::Template, Some(variable), _) => Target::File(variable),
        (_, Some(variable), _) => Target::Variable(variable),
        (_, None, Content::Secret(name)) => {
            let variable = name.variable("");
            check_variable(&variable)
                .map_err(|why| UsageError::new(format!("exec: {why}: give VAR={name}")))?;
            if process::is_obeyed(&variable) {
                let text = format!(
                    "exec: {name} would set {variable}, which programs obey: give VAR={name}"
                );
                return Err(UsageError::new(text));
            }
            place = format!("{flag} {name}");
            Target::Variable(variable)
        }
        (_, None, _) => return Err(UsageError::new(format!("{flag}: the variable is missing"))),
    };
    Ok(Request {
        target,
        content,
        optional: id == Id::Optional,
        place,
    })
}

/// With --stdin, nothing else is read from the standard input.
///
/// # Errors
/// What else would be.
pub fn check_stdin(parsed: &Parsed) -> Result<(), UsageError> {
    let streams = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    let files = parsed.each(&[Id::Config, Id::Template, Id::From]);
    for (id, value) in files.filter(|_| parsed.has(Id::Stdin)) {
        let value = value.to_string_lossy();
        let path = match id {
            Id::Template => value.split_once('=').map_or("", |(_, path)| path),
            _ => &value,
        };
        if streams.contains(&path) {
            let flag = id.spelled();
            let text = format!("exec: {flag} reads the standard input, which --stdin replaces");
            return Err(UsageError::new(text));
        }
    }
    Ok(())
}
