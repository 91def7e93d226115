//! What the program says on standard error: its name first, one line a message, hints on lines of their own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::backend::Reason;
use crate::chain::{Lookup, Observer, Outcome};
use crate::deadline;
use crate::name::Name;
use crate::report::{Report, Step};
use crate::sys;
use crate::text;
use crate::watch::{self, Until};

use super::report::Object;

/// How much to tell.
pub struct Messages {
    /// What each backend answers.
    pub verbose: bool,
    /// No hints, no warnings.
    pub quiet: bool,
    /// The hints given so far: what fails for a hundred secrets is mended once.
    hints: Mutex<Vec<String>>,
}

/// Whether all that is said is JSON, mistakes of the command line included.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on, says everything as JSON: `--json-errors`.
pub fn speak_json() {
    AS_JSON.store(true, Ordering::Relaxed);
    let shortage = Reason::from(sys::NO_MEMORY).transient(true);
    sys::set_message_without_memory(&object(Some("failed"), None, &shortage));
}

/// Tells of a problem: what it is, in one word, of which secret, and in words; as JSON with what can be done about it.
pub fn problem(what: &str, name: Option<&Name>, problem: &Reason) {
    say(Some(what), name, problem);
}

/// Says one thing; `what` is the kind of problem that it is.
fn say(what: Option<&str>, name: Option<&Name>, said: &Reason) {
    write(&line(what, name, said));
}

fn line(what: Option<&str>, name: Option<&Name>, said: &Reason) -> String {
    match AS_JSON.load(Ordering::Relaxed) {
        true => object(what, name, said),
        false => format!("mxm-secrets: {}", text::line(&said.text)),
    }
}

/// The same as JSON, on a line of its own.
pub fn object(what: Option<&str>, name: Option<&Name>, said: &Reason) -> String {
    let transient = what.map_or("null".to_owned(), |_| said.transient.to_string());
    Object::default()
        .number("schema", "1")
        .optional("problem", what)
        .optional("name", name.map(Name::as_str))
        .text("message", &said.text)
        .optional("hint", said.hint.as_deref())
        .number("transient", &transient)
        .end()
}

/// Tells of a failure even where a signal has come: then only to a standard error that takes it at once.
pub fn last_words(text: &str) {
    if !deadline::interrupted() {
        problem("failed", None, &text.into());
    } else if watch::wait(sys::stderr(), Until::Writable, false, Some(Duration::ZERO))
        .unwrap_or(false)
    {
        put(&line(Some("failed"), None, &text.into()));
    }
}

/// Writes a line. What a signal has interrupted ends by that signal, which says all there is to say.
fn write(line: &str) {
    while !deadline::interrupted() {
        // A signal ends this wait even if it comes just before; it would not end a write that then waits.
        if watch::wait(sys::stderr(), Until::Writable, true, None).unwrap_or(true) {
            return put(line);
        }
    }
}

/// Writes a line to a standard error that takes it.
fn put(line: &str) {
    // There is no one left to tell when standard error cannot be written.
    let write = || watch::write_all(sys::stderr(), &[line.as_bytes(), b"\n"]);
    let _ = watch::without_sigpipe(write);
}

impl Messages {
    /// Nothing said so far.
    pub fn new(verbose: bool, quiet: bool) -> Messages {
        Messages {
            verbose,
            quiet,
            hints: Mutex::new(Vec::new()),
        }
    }

    /// Says what is wrong, what it is in one word, and what can be done about it.
    pub fn problem(&self, what: &str, name: Option<&Name>, problem: &Reason) {
        self::problem(what, name, problem);
        self.hint(problem);
    }

    /// Says why a lookup gave no secret, or, if it gave one, which failures it has passed over.
    pub fn outcome(&self, lookup: &Lookup) {
        let report = &lookup.report;
        let what = match lookup.outcome {
            Outcome::Found(_) | Outcome::Defaulted(_) => {
                let name = Some(&report.name);
                return report
                    .failures()
                    .iter()
                    .for_each(|it| self.warning(name, it));
            }
            Outcome::Missing => "missing",
            Outcome::Failed => "failed",
        };
        let mut problems = report.problems();
        if what == "missing" && AS_JSON.load(Ordering::Relaxed) {
            let all: Vec<String> = problems.into_iter().map(|it| it.text).collect();
            problems = vec![all.join("; ").into()];
        }
        for problem in problems {
            self.problem(what, Some(&report.name), &problem);
        }
    }

    /// Says that a secret is missing that may be.
    pub fn optional(&self, report: &Report) {
        for reason in report.misses("optional").iter().filter(|_| !self.quiet) {
            say(None, Some(&report.name), reason);
        }
    }

    fn warning(&self, name: Option<&Name>, warning: &Reason) {
        if !self.quiet {
            let text = format!("warning: {warning}");
            let warning = Reason {
                text,
                ..warning.clone()
            };
            self.problem("warning", name, &warning);
        }
    }

    fn hint(&self, reason: &Reason) {
        let told = self.quiet || AS_JSON.load(Ordering::Relaxed);
        let Some(hint) = reason.hint.as_ref().filter(|_| !told) else {
            return;
        };
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        if !hints.contains(hint) {
            say(None, None, &format!("hint: {hint}").into());
            hints.push(hint.clone());
        }
    }
}

impl Observer for Messages {
    fn asked(&self, name: &Name, step: &Step) {
        if self.verbose {
            let reason = match &step.reason {
                Some(reason) => reason.text.clone(),
                None => format!("{name} found: {}", step.locator),
            };
            let (backend, answer) = (&step.backend, step.verdict.word());
            let text = format!("{backend}: {answer}: {reason} ({})", took(step.took));
            say(None, Some(name), &text.into());
        }
    }

    fn warn(&self, warning: &Reason) {
        self.warning(None, warning);
    }
}

/// A time for people: `0.3 ms`, `38 ms`, `1.25 s`.
pub fn took(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (312, "0.3 ms"),
            (38_400, "38 ms"),
            (999_900, "1.00 s"),
            (10_050_000, "10.05 s"),
        ] {
            assert_eq!(took(Duration::from_micros(micros)), text);
        }
    }
}
