//! `config`: tells what is configured, and where it says so. Looks nothing up.

use std::io::{self, IsTerminal};

use crate::config::{self, Settings};
use crate::schema::{Given, Rule, Section, Source, UsageError, Value};

use super::report::{Colour, Object, Table};
use super::table::Id;
use super::{Parsed, Status, write_out};
use crate::text::{self, escaped};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    if !parsed.operands.is_empty() {
        return Err(UsageError::new("config takes no name").into());
    }
    let options = parsed.options()?;
    if parsed.has(Id::Check) {
        if parsed.has(Id::Json) {
            return Err(UsageError::new("config: --check has no --json").into());
        }
        let checked = config::check(&options)?;
        let mut report: String = checked
            .files
            .iter()
            .map(|file| format!("{}: no mistakes\n", escaped(&file.display().to_string())))
            .collect();
        for line in &checked.lacking {
            report.push_str(&format!("{line}\n"));
        }
        if let Some(why) = &checked.not_here {
            report.push_str(&format!(
                "nothing of it is in effect here: {}\n",
                escaped(why)
            ));
        }
        if report.is_empty() {
            report.push_str("there is no configuration\n");
        }
        write_out(&[report.as_bytes()])?;
        return Ok(Status::Found);
    }
    let sections = Settings::load(&options)?.all()?;
    let settings = sections.iter().flat_map(|section| {
        let settings = section.values.iter();
        settings.map(move |given| (key(section, given), given))
    });
    let report = if parsed.has(Id::Json) {
        settings.map(|(key, given)| json(&key, given)).collect()
    } else {
        table(settings)
    };
    write_out(&[report.as_bytes()])?;
    Ok(Status::Found)
}

/// The key, with the section before it: `timeout`, `gopass.prefix`.
fn key(section: &Section, given: &Given) -> String {
    let parts = [section.name.as_str(), given.key];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(".")
}

fn table<'s>(settings: impl Iterator<Item = (String, &'s Given)>) -> String {
    let mut table = Table::new(&["KEY", "VALUE", "SOURCE"], io::stdout().is_terminal());
    for (key, given) in settings {
        let colour = match given.source {
            Source::BuiltIn => Colour::Dim,
            _ => Colour::Plain,
        };
        let source = given.source.to_string();
        table.row(colour, &[&key, &shown(&given.shown()), &source]);
    }
    table.draw()
}

/// The value for people.
fn shown(value: &Value) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    match value {
        Value::Text(text) => text.clone(),
        Value::Texts(texts) => list(texts.clone()),
        Value::Path(path) => path.display().to_string(),
        Value::Paths(paths) => list(
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        ),
        Value::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        Value::Command(command) => list(command.shown.clone()),
        Value::Rules(rules) => list(rules.iter().map(Rule::to_string).collect()),
        Value::Seconds(seconds) => seconds.as_secs_f64().to_string(),
    }
}

/// A status alone is as it may be written.
pub fn rule(rule: &Rule) -> String {
    let status = match rule.status {
        Some(0) => text::json("empty"),
        status => status.map_or("null".to_owned(), |status| status.to_string()),
    };
    let texts = [("says", &rule.says), ("says_only", &rule.says_only)];
    if texts.iter().all(|(_, text)| text.is_none()) {
        return status;
    }
    let object = Object::default().number("status", &status);
    let add = |object: Object, (key, text): (_, &Option<String>)| {
        text.iter()
            .fold(object, |object, text| object.text(key, text))
    };
    texts.into_iter().fold(object, add).end()
}

fn json(key: &str, given: &Given) -> String {
    let value = given.shown();
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let json = match &value {
        Value::Text(_) | Value::Path(_) => text::json(&shown(&value)),
        Value::Texts(texts) => list(texts.iter().map(|text| text::json(text)).collect()),
        Value::Paths(paths) => list(
            paths
                .iter()
                .map(|path| text::json(&path.display().to_string()))
                .collect(),
        ),
        Value::Bool(value) => value.to_string(),
        Value::Command(command) => {
            list(command.shown.iter().map(|text| text::json(text)).collect())
        }
        Value::Rules(rules) => list(rules.iter().map(rule).collect()),
        Value::Seconds(_) => shown(&value),
    };
    let (source, file, line, name) = match &given.source {
        Source::File { path, line, .. } => {
            ("file", Some(path.display().to_string()), Some(*line), None)
        }
        Source::Variable(name) => ("variable", None, None, Some(*name)),
        Source::Flag(name) => ("flag", None, None, Some(*name)),
        Source::BuiltIn => ("built in", None, None, None),
    };
    let object = Object::default()
        .number("schema", "1")
        .text("key", key)
        .number("value", &json)
        .text("source", source)
        .optional("file", file.as_deref())
        .number(
            "line",
            &line.map_or("null".to_owned(), |line| line.to_string()),
        )
        .optional("name", name)
        .end();
    format!("{object}\n")
}
