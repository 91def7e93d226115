//! The chain: asks one backend after the other, and keeps a report that has no place for a value.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{Answer, Backend, Context, Reason};
use crate::config::OnError;
use crate::name::Name;
use crate::process::{self, Deadline};
use crate::secret::Secret;

/// An ordered chain of backends, opened and ready to be asked.
pub struct Chain {
    pub(crate) links: Vec<Link>,
    pub(crate) on_error: OnError,
    pub(crate) timeout: Duration,
    pub(crate) timeout_for_prompts: bool,
    pub(crate) unattended: bool,
}

/// One backend of a chain.
pub(crate) struct Link {
    pub name: String,
    pub backend: Box<dyn Backend>,
    /// Whether its absence is a failure: asked for by name, or marked `required`.
    pub required: bool,
}

/// What a lookup has come to.
#[derive(Debug)]
pub enum Outcome {
    /// A backend has it.
    Found(Secret),
    /// No backend has it, and the caller's default stands in.
    Defaulted(Secret),
    /// Every backend asked said that it has no such secret.
    Missing,
    /// A backend could not tell, or none was available.
    Failed,
}

/// A lookup: what it has come to, and how.
#[derive(Debug)]
pub struct Lookup {
    /// The secret, or why there is none.
    pub outcome: Outcome,
    /// Who was asked, and what they said.
    pub report: Report,
}

/// Who was asked, and what they said, without the value.
#[derive(Debug)]
pub struct Report {
    /// The name that was looked up.
    pub name: Name,
    /// One step per backend of the chain, in order, those that were not asked included.
    pub steps: Vec<Step>,
}

/// One backend's part in a lookup.
#[derive(Debug)]
pub struct Step {
    /// The backend.
    pub backend: String,
    /// Where the secret is, or would be.
    pub locator: String,
    /// What it answered.
    pub verdict: Verdict,
    /// Why; `None` for a hit, and for a backend that was not asked.
    pub reason: Option<Reason>,
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

/// Is told what happens while it happens. The unit type hears nothing.
pub trait Observer: Sync {
    /// A backend has been asked for `name`.
    fn asked(&self, name: &Name, step: &Step) {
        let _ = (name, step);
    }

    /// Something is not as it should be, but does not hinder the lookup.
    fn warn(&self, warning: &Reason) {
        let _ = warning;
    }
}

impl Observer for () {}

impl Lookup {
    /// Lets `default` stand in for a missing secret. It never stands in for a failure, unless the user has said that
    /// failures are passed over.
    #[must_use]
    pub fn or_default(mut self, default: Option<Secret>, on_error: OnError) -> Lookup {
        self.outcome = match (self.outcome, default) {
            (Outcome::Missing, Some(default)) => Outcome::Defaulted(default),
            (Outcome::Failed, Some(default)) if on_error == OnError::Continue => {
                Outcome::Defaulted(default)
            }
            (outcome, _) => outcome,
        };
        self
    }
}

impl Report {
    /// Why there is no secret: a line for each backend that could not tell, else one for all of them. Empty when
    /// there is one.
    pub fn problems(&self) -> Vec<Reason> {
        let name = &self.name;
        let explain = |step: &Step, reason: &Reason| {
            let said = reason
                .text
                .split([' ', ':', ','])
                .any(|word| word == name.path() || word == name.as_str());
            let named = if said {
                String::new()
            } else {
                format!("{name}: ")
            };
            let text = format!("{named}{} {}: {reason}", step.backend, step.verdict.word());
            Reason {
                text,
                hint: reason.hint.clone(),
            }
        };
        let with = |verdict: Verdict| {
            self.steps
                .iter()
                .filter(move |step| step.verdict == verdict)
        };
        let names = |verdict: Verdict| {
            with(verdict)
                .map(|step| step.backend.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let explained = |verdict: Verdict| {
            with(verdict)
                .filter_map(|step| Some(explain(step, step.reason.as_ref()?)))
                .collect()
        };
        if self.hit().is_some() {
            return Vec::new();
        }
        let failures: Vec<Reason> = explained(Verdict::Failed);
        if !failures.is_empty() {
            return failures;
        }
        let (missed, absent) = (names(Verdict::Miss), names(Verdict::Unavailable));
        if missed.is_empty() {
            return explained(Verdict::Unavailable);
        }
        let absent = if absent.is_empty() {
            absent
        } else {
            format!(" (unavailable: {absent})")
        };
        vec![Reason::from(format!(
            "{name} is missing: not in {missed}{absent}"
        ))]
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

impl Chain {
    /// Looks `name` up: asks the backends in order until one has it or one cannot tell.
    pub fn find(&self, name: &Name, observer: &dyn Observer) -> Lookup {
        self.lookup(name, false, observer)
    }

    /// Looks several names up side by side; the lookups come back in the order of the names. With `all`, the backends
    /// after the end of each lookup are asked, too.
    pub fn find_each(&self, names: &[Name], all: bool, observer: &dyn Observer) -> Vec<Lookup> {
        side_by_side(names, |name| self.lookup(name, all, observer))
    }

    /// What the chain does after a failure.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    fn lookup(&self, name: &Name, all: bool, observer: &dyn Observer) -> Lookup {
        let mut steps = Vec::with_capacity(self.links.len());
        let mut found = None;
        let (mut ended, mut failed, mut available) = (false, false, false);
        for link in &self.links {
            if (ended && !all) || process::interrupted() {
                steps.push(link.not_asked(name));
                continue;
            }
            let started = Instant::now();
            let answer = self.ask(link, name, observer);
            let took = started.elapsed();
            let (verdict, locator, reason) = match answer {
                Answer::Hit { locator, .. } if ended => (Verdict::Shadowed, Some(locator), None),
                Answer::Hit { secret, locator } => {
                    found = Some(secret);
                    ended = true;
                    (Verdict::Hit, Some(locator), None)
                }
                Answer::Miss(reason) => {
                    available |= !ended;
                    (Verdict::Miss, None, Some(reason))
                }
                Answer::Unavailable(reason) => (Verdict::Unavailable, None, Some(reason)),
                Answer::Failed(reason) => {
                    failed |= !ended;
                    ended |= self.on_error == OnError::Stop;
                    (Verdict::Failed, None, Some(reason))
                }
            };
            let locator = locator.unwrap_or_else(|| link.backend.locator(name));
            let step = Step {
                backend: link.name.clone(),
                locator,
                verdict,
                reason,
                took,
            };
            observer.asked(name, &step);
            steps.push(step);
        }
        let outcome = match found {
            Some(secret) => Outcome::Found(secret),
            None if failed || !available => Outcome::Failed,
            None => Outcome::Missing,
        };
        Lookup {
            outcome,
            report: Report {
                name: name.clone(),
                steps,
            },
        }
    }

    /// Asks one backend, and makes of its answer what holds for all of them.
    fn ask(&self, link: &Link, name: &Name, observer: &dyn Observer) -> Answer {
        let person = !self.unattended && !self.timeout_for_prompts && link.backend.may_prompt();
        let context = Context {
            deadline: if person {
                Deadline::never()
            } else {
                Deadline::after(self.timeout)
            },
            unattended: self.unattended,
            warn: &|warning| observer.warn(warning),
        };
        match link.backend.ask(name, &context) {
            Answer::Hit { secret, locator } if secret.is_empty() => {
                Answer::miss(format!("{name} is empty: {locator}"))
            }
            Answer::Unavailable(reason) if link.required => Answer::Failed(reason),
            answer => answer,
        }
    }
}

impl Link {
    fn not_asked(&self, name: &Name) -> Step {
        Step {
            backend: self.name.clone(),
            locator: self.backend.locator(name),
            verdict: Verdict::NotAsked,
            reason: None,
            took: Duration::ZERO,
        }
    }
}

/// How many things are done at once.
const AT_ONCE: usize = 8;

/// Does `work` on every item, several at once; the results come back in the order of the items. One item costs no
/// thread.
pub(crate) fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [item] = items {
        return vec![work(item)];
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed))
            .and_then(|index| Some((index, items.get(index)?)))
        {
            done.push((index, work(item)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..items.len().min(AT_ONCE))
            .map(|_| std::thread::Builder::new().spawn_scoped(scope, worker))
            .collect();
        // This thread works, too, so that the work is done even where no thread can be had.
        let own = worker();
        let others = threads
            .into_iter()
            .flatten()
            .filter_map(|thread| thread.join().ok())
            .flatten();
        own.into_iter().chain(others.collect::<Vec<_>>()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
