//! `config`: tells what is configured, and where it says so. Looks nothing up.

use std::io::{self, IsTerminal};

use crate::config::{self, Setting, Settings};
use crate::schema::{Rule, Source, UsageError, Value};

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
    let settings = Settings::load(&options)?.all()?;
    let report = if parsed.has(Id::Json) {
        settings.iter().map(json).collect()
    } else {
        table(&settings)
    };
    write_out(&[report.as_bytes()])?;
    Ok(Status::Found)
}

fn table(settings: &[Setting]) -> String {
    let mut table = Table::new(&["KEY", "VALUE", "SOURCE"], io::stdout().is_terminal());
    for setting in settings {
        let colour = match setting.source {
            Source::BuiltIn => Colour::Dim,
            _ => Colour::Plain,
        };
        let source = setting.source.to_string();
        table.row(colour, &[&setting.key, &shown(&setting.value), &source]);
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
    match &rule.says {
        None => status,
        says => Object::default()
            .number("status", &status)
            .optional("says", says.as_deref())
            .end(),
    }
}

fn json(setting: &Setting) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let value = match &setting.value {
        Value::Text(_) | Value::Path(_) => text::json(&shown(&setting.value)),
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
        Value::Seconds(_) => shown(&setting.value),
    };
    let (source, file, line, name) = match &setting.source {
        Source::File { path, line, .. } => {
            ("file", Some(path.display().to_string()), Some(*line), None)
        }
        Source::Variable(name) => ("variable", None, None, Some(*name)),
        Source::Flag(name) => ("flag", None, None, Some(*name)),
        Source::BuiltIn => ("built in", None, None, None),
    };
    let object = Object::default()
        .number("schema", "1")
        .text("key", &setting.key)
        .number("value", &value)
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
