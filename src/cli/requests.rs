//! What the options of `exec` and `resolve` ask for, and the sets that they name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::compose::Text;
use crate::config::{self, Settings};
use crate::name::Name;
use crate::process;
use crate::request::{Content, Request, Target, check_variable, given_twice};
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

/// What a command line asks for, as far as it is right.
pub struct Asked {
    /// What is configured; `None`: it is wrong beyond the sets.
    pub settings: Option<Settings>,
    /// In the order given; templates are read.
    pub requests: Vec<Request>,
    /// What is wrong in the configuration, the options, the sets and the templates that they name.
    pub mistakes: Vec<String>,
}

impl Asked {
    /// Whether something is asked for; an empty set is.
    pub fn something(parsed: &Parsed) -> bool {
        parsed.each(&FLAGS).next().is_some()
    }

    /// Reads all that is asked for, and finds every mistake in it.
    ///
    /// # Errors
    /// An option of the chain that is wrong.
    pub fn read(parsed: &Parsed) -> Result<Asked, UsageError> {
        let mut mistakes = Vec::new();
        let options = parsed.options()?;
        let loaded = Settings::load_past_sets(&options);
        let settings = UsageError::gather(loaded, &mut mistakes).map(|(settings, wrong)| {
            UsageError::gather(wrong.map_or(Ok(()), Err), &mut mistakes);
            settings
        });
        let mut requests = Vec::new();
        for (id, value) in parsed.each(&FLAGS) {
            let found = match (id, &settings) {
                (Id::Set, Some(settings)) => settings.set(&value.to_string_lossy()),
                (Id::Set, None) => continue,
                (Id::From, _) => {
                    config::set_file(value.as_ref(), &options).map(|(requests, wrong)| {
                        UsageError::gather(wrong.map_or(Ok(()), Err), &mut mistakes);
                        requests
                    })
                }
                _ => request(id, value).map(|request| vec![request]),
            };
            let found = UsageError::gather(found, &mut mistakes);
            requests.extend(found.into_iter().flatten());
        }
        mistakes.extend(given_twice(&requests));
        requests.retain_mut(|request| UsageError::gather(request.load(), &mut mistakes).is_some());
        Ok(Asked {
            settings,
            requests,
            mistakes,
        })
    }
}

/// Checks what is asked for.
#[cfg(fuzzing)]
pub fn check(parsed: &Parsed) {
    use std::collections::HashSet;

    let given = parsed
        .each(&FLAGS)
        .filter(|(id, _)| !matches!(id, Id::Set | Id::From));
    let requests: Result<Vec<Request>, _> = given.map(|(id, value)| request(id, value)).collect();
    let Ok(requests) = requests else {
        return;
    };
    let targets: HashSet<Option<&str>> = requests.iter().map(Request::variable).collect();
    for variable in targets.iter().flatten() {
        assert!(!variable.is_empty() && !variable.contains(['=', '\0']));
    }
    let twice = given_twice(&requests);
    assert_eq!(targets.len() + twice.len(), requests.len());
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
