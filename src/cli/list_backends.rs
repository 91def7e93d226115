//! `list-backends`: tells what is set up on this machine. Asks for no secret and no person.

use std::io::{self, IsTerminal};

use crate::backend::{Reason, State};
use crate::config::BackendStatus;
use crate::schema::UsageError;

use super::report::{Colour, Object, Table};
use super::table::Id;
use super::{Parsed, Status, watched, write_out};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    if !parsed.operands.is_empty() {
        return Err(UsageError::new("list-backends takes no name").into());
    }
    let statuses = watched(|| {
        let options = parsed.options()?;
        Ok(options.statuses(parsed.has(Id::Login), &parsed.messages())?)
    })?;
    let report = if parsed.has(Id::Json) {
        statuses.iter().map(json).collect()
    } else {
        table(&statuses, parsed.has(Id::Quiet))
    };
    write_out(&[report.as_bytes()])?;
    let ready = statuses
        .iter()
        .any(|status| status.in_chain && is_ready(status));
    Ok(if ready { Status::Found } else { Status::Failed })
}

fn is_ready(status: &BackendStatus) -> bool {
    status
        .status
        .as_ref()
        .is_some_and(|status| status.state == State::Ready)
}

fn word(status: &BackendStatus) -> &'static str {
    match &status.status {
        None => "not built in",
        Some(status) => match status.state {
            State::Ready => "ready",
            State::Unavailable => "unavailable",
            State::Failed => "failed",
        },
    }
}

fn reason(status: &BackendStatus) -> Option<&Reason> {
    status.status.as_ref()?.reason.as_ref()
}

fn uses(status: &BackendStatus) -> &str {
    status.status.as_ref().map_or("", |status| &status.uses)
}

fn table(statuses: &[BackendStatus], quiet: bool) -> String {
    let mut table = Table::new(&["BACKEND", "CHAIN", "STATUS"], io::stdout().is_terminal());
    let mut place = 0;
    for status in statuses {
        place += usize::from(status.in_chain);
        let chain = if status.in_chain {
            place.to_string()
        } else {
            "-".to_owned()
        };
        let colour = match (is_ready(status), status.in_chain) {
            (true, true) => Colour::Green,
            (false, true) => Colour::Yellow,
            (_, false) => Colour::Dim,
        };
        table.row(colour, &[&status.backend, &chain, word(status)]);
        table.fact("uses", uses(status));
        if let Some(reason) = reason(status) {
            table.fact("reason", &reason.text);
            let hint = reason.hint.as_deref().filter(|_| !quiet);
            table.fact("hint", hint.unwrap_or_default());
        }
    }
    table.draw()
}

fn json(status: &BackendStatus) -> String {
    let object = Object::default()
        .number("schema", "1")
        .text("backend", &status.backend)
        .number("in_chain", if status.in_chain { "true" } else { "false" })
        .text("status", word(status))
        .text("uses", uses(status))
        .optional("reason", reason(status).map(|reason| reason.text.as_str()))
        .end();
    format!("{object}\n")
}
