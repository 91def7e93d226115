//! The report of a lookup: who was asked, what they said, and why there is no secret. It has no place for a value.

use std::fmt;
use std::time::Duration;

use crate::name::Name;
use crate::reason::Reason;
use crate::refs::Target;

/// Who was asked, and what they said, without the value.
#[derive(Debug)]
pub struct Report {
    /// The name that was looked up.
    pub(crate) name: Name,
    /// Where it leads to, if it is a ref.
    pub(crate) target: Option<Box<Target>>,
    /// One step per backend of the chain, in order, those that were not asked included.
    pub steps: Vec<Step>,
}

/// One backend's part in a lookup.
#[derive(Debug)]
pub struct Step {
    /// The backend.
    pub backend: String,
    /// Where the secret is, or would be: one line, as the reason is.
    pub locator: String,
    /// What it answered.
    pub verdict: Verdict,
    /// Why; `None` for a hit, and for a backend that was not asked.
    pub reason: Option<Reason>,
    /// Whether the reason of a miss says more than that there is no such secret: that it is empty, expired, a folder.
    pub(crate) telling: bool,
    /// How long it took.
    pub took: Duration,
}

/// An answer without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has the secret, and is the one that counts.
    Hit,
    /// It has the secret too, but the lookup had ended before it.
    Shadowed,
    /// It has no such secret.
    Miss,
    /// It is not set up here.
    Unavailable,
    /// It could not tell.
    Failed,
    /// The lookup had ended before it.
    NotAsked,
}

impl Verdict {
    /// The word for it, in reports and messages.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Hit => "hit",
            Verdict::Shadowed => "shadowed",
            Verdict::Miss => "miss",
            Verdict::Unavailable => "unavailable",
            Verdict::Failed => "failed",
            Verdict::NotAsked => "not asked",
        }
    }
}

impl Report {
    /// Why there is no secret: a line for each backend that could not tell, else one for all of them and one for each that
    /// has seen more than that it is not there. Each has the name first, and then what became of it: `a/b: missing: …`.
    /// Empty when there is a secret.
    pub fn problems(&self) -> Vec<Reason> {
        if self.hit().is_some() {
            return Vec::new();
        }
        let failures = self.failures();
        if !failures.is_empty() {
            return failures;
        }
        match self.misses("missing") {
            misses if !misses.is_empty() => misses,
            _ => self.lines("failed", " unavailable", |step| {
                step.verdict == Verdict::Unavailable
            }),
        }
    }

    /// What is said of a secret that no backend has, with this word for it. Empty: no backend could have had it.
    pub(crate) fn misses(&self, word: &str) -> Vec<Reason> {
        let Some(nowhere) = self.nowhere() else {
            return Vec::new();
        };
        let missing = Reason::from(format!("{}: {word}: {nowhere}", self.name));
        let more = self.lines(word, "", |step| step.telling);
        [missing].into_iter().chain(more).collect()
    }

    /// What the backends said that could not tell, a line for each: also those that the lookup has passed over.
    pub(crate) fn failures(&self) -> Vec<Reason> {
        self.lines("failed", "", |step| step.verdict == Verdict::Failed)
    }

    /// The reasons of the steps that count, each behind the name, `what` and the backend.
    fn lines(&self, what: &str, after: &str, which: fn(&Step) -> bool) -> Vec<Reason> {
        let steps = self.steps.iter().filter(|step| which(step));
        let lines = steps.filter_map(|step| {
            let reason = step.reason.as_ref()?;
            let (name, backend) = (&self.name, &step.backend);
            // The name stands before it already.
            let named = reason.text.strip_prefix(name.as_str());
            let why = named.and_then(|why| why.strip_prefix(": "));
            let why = why.unwrap_or(&reason.text);
            Some(Reason {
                text: format!("{name}: {what}: {backend}{after}: {why}"),
                ..reason.clone()
            })
        });
        lines.collect()
    }

    /// Where the secret is not; `None`: no backend could have had it.
    fn nowhere(&self) -> Option<String> {
        let names = |verdict: Verdict| {
            let steps = self.steps.iter().filter(|step| step.verdict == verdict);
            let names = steps.map(|step| match step.locator.starts_with('$') {
                // A variable's name is not always what one thinks that it is.
                true if verdict == Verdict::Miss => format!("{} ({})", step.backend, step.locator),
                _ => step.backend.clone(),
            });
            names.collect::<Vec<_>>().join(", ")
        };
        let (missed, absent) = (names(Verdict::Miss), names(Verdict::Unavailable));
        if missed.is_empty() {
            return None;
        }
        let absent = if absent.is_empty() {
            absent
        } else {
            format!(" (unavailable: {absent})")
        };
        Some(format!("not in {missed}{absent}"))
    }

    /// The name that was looked up.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The step that has the secret.
    pub fn hit(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.verdict == Verdict::Hit)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self
            .problems()
            .into_iter()
            .map(|problem| problem.text)
            .collect();
        f.write_str(&problems.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::OnError;
    use crate::chain::tests::{Says, chain};

    #[test]
    fn what_is_said_names_the_secret_and_the_backends() {
        let said = |says: &[Says], name: &str| {
            let name = Name::parse(name).unwrap();
            let lookup = chain(says, false, OnError::Continue)
                .find(&name, &())
                .unwrap();
            let hints: Vec<_> = lookup
                .report
                .problems()
                .into_iter()
                .map(|it| it.hint)
                .collect();
            (
                lookup.report.to_string(),
                hints,
                lookup.report.failures().len(),
            )
        };
        let text = |text: &str, failures| {
            (
                text.to_owned(),
                vec![None; text.matches(';').count() + 1],
                failures,
            )
        };
        use Says::{Empty, Failed, Hit, Miss, Unavailable};
        assert_eq!(said(&[Hit, Failed], "a"), (String::new(), vec![], 0));
        assert_eq!(said(&[Failed, Hit], "a"), (String::new(), vec![], 1));
        assert_eq!(
            said(&[Miss, Miss], "a"),
            text("a: missing: not in b0, b1", 0)
        );
        assert_eq!(
            said(&[Miss, Unavailable], "a"),
            text("a: missing: not in b0 (unavailable: b1)", 0)
        );
        assert_eq!(
            said(&[Unavailable, Unavailable], "a"),
            text(
                "a: failed: b0 unavailable: not here; a: failed: b1 unavailable: not here",
                0
            )
        );
        assert_eq!(
            said(&[Miss, Failed, Unavailable], "a"),
            text("a: failed: b1: locked", 1)
        );
        let named = Reason::from("a: not readable");
        let (step, name) = (
            Step {
                reason: Some(named),
                ..failed()
            },
            Name::parse("a").unwrap(),
        );
        let report = Report {
            name,
            target: None,
            steps: vec![step],
        };
        assert_eq!(report.to_string(), "a: failed: b: not readable");
        let empty = "a: missing: not in b0, b1; a: missing: b1: a is empty: place of a";
        assert_eq!(said(&[Miss, Empty], "a"), text(empty, 0));
    }

    fn failed() -> Step {
        Step {
            backend: "b".to_owned(),
            locator: String::new(),
            verdict: Verdict::Failed,
            reason: None,
            telling: false,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn every_verdict_has_its_word() {
        use Verdict::{Failed, Hit, Miss, NotAsked, Shadowed, Unavailable};
        let all = [Hit, Shadowed, Miss, Unavailable, Failed, NotAsked];
        let words = [
            "hit",
            "shadowed",
            "miss",
            "unavailable",
            "failed",
            "not asked",
        ];
        assert_eq!(all.map(Verdict::word), words);
    }
}
