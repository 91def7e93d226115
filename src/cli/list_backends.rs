//! `list-backends`: tells what is set up on this machine. Asks for no secret and no person.

use std::io::{self, IsTerminal};

use crate::backend::{Reason, State};
use crate::config::{BackendStatus, Recipe, recipes};
use crate::schema::{Key, UsageError, Value};
use crate::text;

use super::report::{Colour, Object, Table};
use super::table::Id;
use super::{Parsed, Status, watched, write_out};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    if !parsed.operands.is_empty() {
        return Err(UsageError::new("list-backends takes no name").into());
    }
    if parsed.has(Id::Recipes) {
        let report = match parsed.has(Id::Json) {
            true => recipes().map(recipe_json).collect(),
            false => recipe_table(),
        };
        write_out(&[report.as_bytes()])?;
        return Ok(Status::Found);
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

/// The longest name that has its row in the table, in columns; a longer one has a line of its own.
const LONGEST_NAME: usize = 40;

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
        let mut name = status.backend.as_str();
        if name.len() > LONGEST_NAME {
            table.row(colour, &[name]);
            name = "";
        }
        table.row(colour, &[name, &chain, word(status)]);
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

fn recipe_table() -> String {
    let mut table = Table::new(&["RECIPE", "TRIED WITH"], io::stdout().is_terminal());
    for recipe in recipes() {
        table.row(Colour::Plain, &[recipe.name, recipe.tried_with]);
        table.fact("reads", recipe.reads);
        for (label, keys) in [("needs", &recipe.needs), ("takes", &recipe.takes)] {
            let keys = keys.iter().map(|key| match key.default {
                "" => format!("{} ({})", key.name, key.about),
                default => format!("{} ({}; default: {default})", key.name, key.about),
            });
            table.fact(label, &keys.collect::<Vec<_>>().join(", "));
        }
    }
    table.draw()
}

fn recipe_json(recipe: &Recipe) -> String {
    let texts =
        |texts: &[String]| -> Vec<String> { texts.iter().map(|it| text::json(it)).collect() };
    let keys = |keys: &[Key]| -> Vec<String> {
        let object = |key: &Key| {
            let object = Object::default().text("name", key.name);
            let object = object.text("default", key.default);
            object.text("about", key.about).end()
        };
        keys.iter().map(object).collect()
    };
    let section = &recipe.section;
    let words = |key| {
        section
            .command(key)
            .map_or(Vec::new(), |it| texts(&it.words))
    };
    let rules = |key| -> Vec<String> {
        let rules = section.rules(key).unwrap_or_default();
        rules.iter().map(super::config::rule).collect()
    };
    let object = Object::default()
        .number("schema", "1")
        .text("recipe", recipe.name)
        .text("reads", recipe.reads)
        .text("tried_with", recipe.tried_with)
        .list("needs", &keys(&recipe.needs))
        .list("takes", &keys(&recipe.takes))
        .list("command", &words("command"))
        .list("miss", &rules("miss"))
        .list("unavailable", &rules("unavailable"))
        .list("confirm", &words("confirm"));
    let object = section
        .values
        .iter()
        .fold(object, |object, given| match &given.value {
            Value::Text(value) => object.text(given.key, value),
            _ => object,
        });
    let object = ["fields", "unattended"]
        .into_iter()
        .fold(object, |object, key| {
            object.list(key, &texts(section.texts(key).unwrap_or_default()))
        });
    format!("{}\n", object.end())
}
