//! `resolve`: tells who would answer, and why, without the value.

use std::collections::HashSet;
use std::io::{self, IsTerminal};

use crate::backend::Reason;
use crate::chain::{Chain, Lookup, Outcome};
use crate::name::Name;
use crate::refs::Target;
use crate::report::Verdict;
use crate::request::{self, Answers, Made, Request};
use crate::schema::UsageError;
use crate::text::escaped;

use super::message::{self, object, took};
use super::report::{Colour, Object, Table};
use super::requests::Asked;
use super::table::Id;
use super::{Parsed, Status, kind, watched, write_out};

pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    if parsed.has(Id::All) && !parsed.has(Id::Explain) && !parsed.has(Id::Json) {
        return Err(UsageError::new("--all goes with --explain or --json").into());
    }
    let preflight = Asked::something(parsed);
    if parsed.operands.is_empty() && !preflight {
        return Err(UsageError::new("resolve: no name given").into());
    }
    let Asked {
        settings,
        requests,
        mut mistakes,
    } = Asked::read(parsed)?;
    let operands = parsed.operands.iter().map(Name::parse);
    let named = operands.filter_map(|name| UsageError::gather(name, &mut mistakes));
    let named: Vec<Name> = named.collect();
    let required = requests.iter().filter(|request| !request.optional);
    let required = required.flat_map(Request::names).chain(&named);
    let required: HashSet<Name> = required.cloned().collect();
    let mut names = request::names(named, &requests);
    if preflight {
        names.retain(|name| {
            let refs = settings.as_ref().map(|settings| settings.refs());
            let target = refs.map_or(Ok(None), |refs| refs.target(name));
            UsageError::gather(target.map_err(UsageError::new), &mut mistakes).is_some()
        });
    }
    // Each problem that no lookup has, as JSON.
    let mut problems = Vec::new();
    let mut worst = refuse(&UsageError::all(mistakes), &mut problems);
    let messages = parsed.messages();
    let mut lookups = Vec::new();
    // A preflight goes on with what is right: every problem is told at once.
    let goes_on = !names.is_empty() && (preflight || problems.is_empty());
    if let Some(settings) = settings.filter(|_| goes_on) {
        let all = parsed.has(Id::All);
        let find = |chain: Chain| chain.find_each(&names, all, &messages);
        match watched(|| Ok(settings.open().and_then(find)))? {
            Ok(found) => lookups = found,
            Err(wrong) => worst = refuse(&wrong, &mut problems),
        }
    }
    // What exec could not hand over, although it is there.
    let answers = Answers::of(&lookups);
    let unfit = requests
        .iter()
        .filter_map(|request| match answers.make(request) {
            Made::Unfit(reason) => Some((request.secret(), reason)),
            _ => None,
        });
    let unfit: Vec<_> = unfit.collect();
    let is_optional = |lookup: &Lookup| !required.contains(&lookup.report.name);
    let mut report = report(parsed, &lookups, is_optional, messages.quiet);
    if parsed.has(Id::Json) {
        let unfit = unfit.iter();
        problems.extend(unfit.map(|(name, reason)| object(Some("failed"), *name, reason)));
        report.extend(problems.iter().flat_map(|problem| [problem.as_str(), "\n"]));
    }
    write_out(&[report.as_bytes()])?;
    let reported = parsed.has(Id::Json) || parsed.has(Id::Explain);
    let silent = reported && !parsed.has(Id::JsonErrors);
    for lookup in &lookups {
        let missing = matches!(lookup.outcome, Outcome::Missing);
        if missing && is_optional(lookup) {
            if !silent {
                messages.optional(&lookup.report);
            }
            continue;
        }
        worst = worst.worse(Status::from(&lookup.outcome));
        if !silent {
            messages.outcome(lookup);
        }
    }
    for (name, reason) in unfit {
        messages.problem("failed", name, &reason);
        worst = worst.worse(Status::Failed);
    }
    Ok(worst)
}

/// Tells of mistakes, and keeps them as JSON.
fn refuse(mistakes: &UsageError, problems: &mut Vec<String>) -> Status {
    let mut status = Status::Found;
    for mistake in mistakes.lines() {
        let (what, name) = kind(mistake);
        let reason = Reason::from(mistake);
        message::problem(what, name.as_ref(), &reason);
        problems.push(object(Some(what), name.as_ref(), &reason));
        status = Status::Usage;
    }
    status
}

/// What is asked for of the lookups; `quiet` leaves the hints out.
fn report(
    parsed: &Parsed,
    lookups: &[Lookup],
    is_optional: impl Fn(&Lookup) -> bool,
    quiet: bool,
) -> String {
    let all = lookups.iter();
    if parsed.has(Id::Json) {
        return all.map(|it| json(it, is_optional(it)) + "\n").collect();
    }
    if !parsed.has(Id::Explain) {
        let hits = all.filter_map(|it| {
            let step = it.report.hit()?;
            let name = escaped(it.report.name.as_str());
            let locator = escaped(&step.locator);
            Some(format!("{name}\t{}\t{locator}\n", step.backend))
        });
        return hits.collect();
    }
    if !Asked::something(parsed) {
        return all
            .map(|it| chain(it, quiet))
            .collect::<Vec<_>>()
            .join("\n");
    }
    let mut table = table(&["SECRET", "OUTCOME"]);
    for it in all {
        let mut words = outcome(it).to_owned();
        if is_optional(it) {
            words += " (optional)";
        }
        rows(&mut table, it, &[it.report.name.as_str(), &words], quiet);
    }
    table.draw()
}

fn outcome(lookup: &Lookup) -> &'static str {
    match lookup.outcome {
        Outcome::Found(_) => "found",
        Outcome::Defaulted(_) => "defaulted",
        Outcome::Missing => "missing",
        Outcome::Failed => "failed",
    }
}

/// A table with a row for each backend, which `first` stands before.
fn table(first: &[&str]) -> Table {
    let columns = ["BACKEND", "LOCATOR", "ANSWER", "REASON", "TIME"];
    Table::new(&[first, &columns].concat(), io::stdout().is_terminal())
}

/// Adds a row for each backend, the first of them behind the cells of `first`; `quiet` leaves the hints out.
fn rows(table: &mut Table, lookup: &Lookup, first: &[&str], quiet: bool) {
    let mut before = first.to_vec();
    for step in &lookup.report.steps {
        let colour = match step.verdict {
            Verdict::Hit => Colour::Green,
            Verdict::Shadowed => Colour::Yellow,
            Verdict::Failed => Colour::Red,
            Verdict::Miss | Verdict::Unavailable => Colour::Plain,
            Verdict::NotAsked => Colour::Dim,
        };
        let time = match step.verdict {
            Verdict::NotAsked => String::new(),
            _ => took(step.took),
        };
        let reason = step.reason.as_ref().map(Reason::to_string);
        let reason = reason.unwrap_or_default();
        let (backend, locator) = (step.backend.as_str(), step.locator.as_str());
        let cells = [backend, locator, step.verdict.word(), &reason, &time];
        table.row(colour, &[before.as_slice(), &cells].concat());
        before.fill("");
        if !quiet {
            table.hint(step.reason.as_ref());
        }
    }
    if let Some(it) = lookup
        .report
        .target
        .as_deref()
        .filter(|_| !first.is_empty())
    {
        table.fact("ref", &target(it));
    }
}

/// Where a ref leads to.
fn target(target: &Target) -> String {
    let Target {
        name,
        store,
        policy,
        role,
        ..
    } = target;
    format!("{name}, store {store}, policy {policy}, role {role}")
}

/// The chain as a table, for eyes, below what came of it.
fn chain(lookup: &Lookup, quiet: bool) -> String {
    let report = &lookup.report;
    let mut table = table(&[]);
    rows(&mut table, lookup, &[], quiet);
    let place = report.hit().map(|step| format!(" in {}", step.backend));
    let place = place.unwrap_or_default();
    let target = report.target.as_deref().map(target);
    let target = target.map_or(String::new(), |it| format!("ref {it}\n"));
    let (name, outcome) = (escaped(report.name.as_str()), outcome(lookup));
    format!("{name}: {outcome}{place}\n{target}{}", table.draw())
}

/// The lookup as a JSON object, without its value; `optional`: it may be missing.
pub(super) fn json(lookup: &Lookup, optional: bool) -> String {
    let report = &lookup.report;
    let hit = report.hit();
    let chain = report.steps.iter().map(|step| {
        let reason = step.reason.as_ref();
        Object::default()
            .text("backend", &step.backend)
            .text("locator", &step.locator)
            .text("answer", step.verdict.word())
            .optional("reason", reason.map(|it| it.text.as_str()))
            .optional("hint", reason.and_then(|it| it.hint.as_deref()))
            .number(
                "transient",
                &reason.map_or("null".to_owned(), |it| it.transient.to_string()),
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
    if optional {
        object = object.number("optional", "true");
    }
    object
        .text("outcome", outcome(lookup))
        .optional("backend", hit.map(|step| step.backend.as_str()))
        .optional("locator", hit.map(|step| step.locator.as_str()))
        .list("chain", &chain)
        .end()
}
