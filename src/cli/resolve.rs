//! `resolve`: tells who would answer, and why, without the value.

use std::collections::HashSet;
use std::io::{self, IsTerminal};

use crate::backend::Reason;
use crate::chain::{Lookup, Outcome};
use crate::config::Settings;
use crate::name::Name;
use crate::refs::Target;
use crate::report::{Step, Verdict};
use crate::request::{self, Answers, Made, Request};
use crate::schema::UsageError;
use crate::text::escaped;

use super::message::took;
use super::report::{Colour, Object, Table};
use super::table::Id;
use super::{Parsed, Status, requests, watched, write_out};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    if parsed.has(Id::All) && !parsed.has(Id::Explain) && !parsed.has(Id::Json) {
        return Err(UsageError::new("--all goes with --explain or --json").into());
    }
    let names = parsed.operands.iter().map(Name::parse);
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let settings = Settings::load(&parsed.options()?)?;
    let requests = requests::read(parsed, &settings)?;
    if names.is_empty() && requests.is_empty() {
        return Err(UsageError::new("resolve: no name given").into());
    }
    let messages = parsed.messages();
    let required = requests.iter().filter(|request| !request.optional);
    let required = required.flat_map(Request::names).chain(&names);
    let required: HashSet<Name> = required.cloned().collect();
    let names = request::names(names, &requests);
    let lookups = watched(|| {
        let chain = settings.open()?;
        Ok(chain.find_each(&names, parsed.has(Id::All), &messages)?)
    })?;
    let mut report = String::new();
    let mut worst = Status::Found;
    for lookup in &lookups {
        if parsed.has(Id::Json) {
            report += &format!("{}\n", json(lookup));
        } else if parsed.has(Id::Explain) {
            if !report.is_empty() {
                report.push('\n');
            }
            report += &explain(lookup, messages.quiet);
        } else if let Some(step) = lookup.report.hit() {
            report += &format!(
                "{}\t{}\t{}\n",
                escaped(lookup.report.name.as_str()),
                step.backend,
                escaped(&step.locator)
            );
        }
    }
    write_out(&[report.as_bytes()])?;
    for lookup in &lookups {
        let missing = matches!(lookup.outcome, Outcome::Missing);
        if missing && !required.contains(&lookup.report.name) {
            continue;
        }
        worst = worst.worse(Status::from(&lookup.outcome));
        if !parsed.has(Id::Json) && !parsed.has(Id::Explain) {
            messages.outcome(lookup);
        }
    }
    // What exec could not hand over, although it is there.
    let answers = Answers::of(&lookups);
    for request in &requests {
        if let Made::Unfit(reason) = answers.make(request) {
            messages.problem("failed", request.secret(), &reason);
            worst = Status::Failed;
        }
    }
    Ok(worst)
}

fn outcome(lookup: &Lookup) -> &'static str {
    match lookup.outcome {
        Outcome::Found(_) => "found",
        Outcome::Defaulted(_) => "defaulted",
        Outcome::Missing => "missing",
        Outcome::Failed => "failed",
    }
}

/// The chain as a table, for eyes; `quiet` leaves the hints out.
fn explain(lookup: &Lookup, quiet: bool) -> String {
    let mut table = Table::new(
        &["BACKEND", "LOCATOR", "ANSWER", "REASON", "TIME"],
        io::stdout().is_terminal(),
    );
    for step in &lookup.report.steps {
        let colour = match step.verdict {
            Verdict::Hit => Colour::Green,
            Verdict::Shadowed => Colour::Yellow,
            Verdict::Failed => Colour::Red,
            Verdict::Miss | Verdict::Unavailable => Colour::Plain,
            Verdict::NotAsked => Colour::Dim,
        };
        let asked = step.verdict != Verdict::NotAsked;
        let time = if asked {
            took(step.took)
        } else {
            String::new()
        };
        table.row(
            colour,
            &[
                &step.backend,
                &step.locator,
                step.verdict.word(),
                &why(step),
                &time,
            ],
        );
        if !quiet {
            table.hint(step.reason.as_ref());
        }
    }
    let place = lookup
        .report
        .hit()
        .map(|step| format!(" in {}", step.backend))
        .unwrap_or_default();
    let target = lookup.report.target.as_deref();
    let target = target.map_or(String::new(), |it| {
        let Target {
            name,
            store,
            policy,
            role,
            ..
        } = it;
        format!("ref {name}, store {store}, policy {policy}, role {role}\n")
    });
    format!(
        "{}: {}{place}\n{target}{}",
        escaped(lookup.report.name.as_str()),
        outcome(lookup),
        table.draw()
    )
}

fn why(step: &Step) -> String {
    step.reason
        .as_ref()
        .map(Reason::to_string)
        .unwrap_or_default()
}

/// The lookup as a JSON object, without its value.
pub(super) fn json(lookup: &Lookup) -> String {
    let report = &lookup.report;
    let hit = report.hit();
    let chain = report.steps.iter().map(|step| {
        Object::default()
            .text("backend", &step.backend)
            .text("locator", &step.locator)
            .text("answer", step.verdict.word())
            .optional(
                "reason",
                step.reason.as_ref().map(|reason| reason.text.as_str()),
            )
            .number("seconds", &format!("{:.6}", step.took.as_secs_f64()))
            .end()
    });
    let chain: Vec<String> = chain.collect();
    let mut object = Object::default()
        .number("schema", "1")
        .text("name", report.name.as_str());
    if let Some(target) = &report.target {
        object = object
            .text("ref", &target.name)
            .text("store", &target.store)
            .text("policy", &target.policy);
    }
    object
        .text("outcome", outcome(lookup))
        .optional("backend", hit.map(|step| step.backend.as_str()))
        .optional("locator", hit.map(|step| step.locator.as_str()))
        .list("chain", &chain)
        .end()
}
