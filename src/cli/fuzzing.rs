//! Command lines from anyone, for the fuzz target of that name. Nothing is looked up and nothing is started.

use std::ffi::OsString;

use super::{Parsed, Stop, exec, requests};

/// Reads a command line as the program does, up to the first question to a backend.
pub fn command_line(arguments: Vec<OsString>) {
    let count = arguments.len();
    let mut command = None;
    let parsed = match Parsed::from(arguments, &mut command) {
        Ok(parsed) => parsed,
        Err(Stop::Help(text)) => return assert!(text.ends_with('\n')),
        Err(Stop::Usage(error)) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains(crate::text::is_hidden));
            return;
        }
    };
    let words = parsed.command_line.as_deref().unwrap_or_default();
    assert!(parsed.operands.len() + words.len() < count);
    assert!(parsed.command_line.is_none() || parsed.command.runs_another);
    let _ = (parsed.options(), parsed.messages(), exec::command(&parsed));
    requests::check(&parsed);
}
