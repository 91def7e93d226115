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
        if self.hit().is_some() {
            return Vec::new();
        }
        let failures = self.failures();
        if !failures.is_empty() {
            return failures;
        }
        let names = |verdict: Verdict| {
            let steps = self
                .steps
                .iter()
                .filter(move |step| step.verdict == verdict);
            steps
                .map(|step| step.backend.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (missed, absent) = (names(Verdict::Miss), names(Verdict::Unavailable));
        if missed.is_empty() {
            return self.explained(Verdict::Unavailable);
        }
        let absent = if absent.is_empty() {
            absent
        } else {
            format!(" (unavailable: {absent})")
        };
        let missing = Reason::from(format!("{} is missing: not in {missed}{absent}", self.name));
        // Of a field, what each said is of use: which fields there are, and where it has looked.
        let reasons = self
            .explained(Verdict::Miss)
            .into_iter()
            .map(|reason| reason.text);
        vec![match self.name.field() {
            Some(_) => missing.hint(reasons.collect::<Vec<_>>().join("; ")),
            None => missing,
        }]
    }

    /// What the backends said that could not tell, a line for each: also those that the lookup has passed over.
    pub fn failures(&self) -> Vec<Reason> {
        self.explained(Verdict::Failed)
    }

    /// The reasons of the steps with that verdict, each with the names of the secret and the backend.
    fn explained(&self, verdict: Verdict) -> Vec<Reason> {
        let name = &self.name;
        let steps = self.steps.iter().filter(|step| step.verdict == verdict);
        let explained = steps.filter_map(|step| {
            let reason = step.reason.as_ref()?;
            let mut words = reason.text.split([' ', ':', ',']);
            let said = words.any(|word| word == name.path() || word == name.as_str());
            let named = if said {
                String::new()
            } else {
                format!("{name}: ")
            };
            let text = format!("{named}{} {}: {reason}", step.backend, verdict.word());
            Some(Reason {
                text,
                hint: reason.hint.clone(),
            })
        });
        explained.collect()
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
const AT_ONCE: usize = 4;
/// How many when they are slow: what waits for others and not for this machine's processors is worth more threads, and
/// whatever each of them opens.
const AT_ONCE_IF_SLOW: usize = 8;
/// Not to have done anything after this long is slow.
const SLOW: Duration = Duration::from_millis(10);

/// Does `work` on every item, several at once; the results come back in the order of the items. One item costs no
/// thread.
pub(crate) fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [item] = items {
        return vec![work(item)];
    }
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let this = std::thread::current();
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed))
            .and_then(|index| Some((index, items.get(index)?)))
        {
            done.push((index, work(item)));
            // Who waits for the first one has seen what it wanted to see.
            if finished.fetch_add(1, Ordering::Relaxed) == 0 {
                this.unpark();
            }
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, worker);
        let mut threads: Vec<_> = (0..items.len().min(AT_ONCE)).flat_map(start).collect();
        let began = Instant::now();
        while finished.load(Ordering::Relaxed) == 0 && !threads.is_empty() {
            match SLOW.checked_sub(began.elapsed()) {
                Some(left) => std::thread::park_timeout(left),
                None => {
                    let more = items.len().min(AT_ONCE_IF_SLOW);
                    threads.extend((AT_ONCE..more).flat_map(start));
                    break;
                }
            }
        }
        // Where no thread can be had, this one does the work.
        let own = if threads.is_empty() {
            worker()
        } else {
            Vec::new()
        };
        let others = threads.into_iter().filter_map(|thread| thread.join().ok());
        own.into_iter().chain(others.flatten()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Status;

    /// A backend that always gives the same answer.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Says {
        Hit,
        Empty,
        Miss,
        Unavailable,
        Failed,
    }

    const ALL: [Says; 5] = [
        Says::Hit,
        Says::Empty,
        Says::Miss,
        Says::Unavailable,
        Says::Failed,
    ];

    impl Backend for Says {
        fn locator(&self, name: &Name) -> String {
            format!("place of {name}")
        }

        fn ask(&self, name: &Name, _: &Context) -> Answer {
            match self {
                Says::Hit => Answer::Hit {
                    secret: Secret::copy_of(b"value"),
                    locator: self.locator(name),
                },
                Says::Empty => Answer::Hit {
                    secret: Secret::copy_of(b""),
                    locator: self.locator(name),
                },
                Says::Miss => Answer::miss("no"),
                Says::Unavailable => Answer::unavailable("not here"),
                Says::Failed => Answer::failed("locked"),
            }
        }

        fn status(&self, _: &Context) -> Status {
            Status::ready("")
        }
    }

    fn chain(says: &[Says], required: bool, on_error: OnError) -> Chain {
        let link = |(index, says): (usize, &Says)| Link {
            name: format!("b{index}"),
            backend: Box::new(*says),
            required,
        };
        Chain {
            links: says.iter().enumerate().map(link).collect(),
            on_error,
            timeout: Duration::from_secs(10),
            timeout_for_prompts: false,
            unattended: true,
        }
    }

    fn find(chain: &Chain, default: bool) -> Lookup {
        let default = default.then(|| Secret::copy_of(b"default"));
        chain
            .find(&Name::parse("a").unwrap(), &())
            .or_default(default, chain.on_error())
    }

    /// What the contract says of two answers, in its own words.
    fn expected(
        first: Says,
        second: Says,
        required: bool,
        default: bool,
        on_error: OnError,
    ) -> &'static str {
        let seen = [first, second].map(|says| match says {
            // An empty value counts as none, and who must be there fails when it is not.
            Says::Empty => Says::Miss,
            Says::Unavailable if required => Says::Failed,
            says => says,
        });
        let go_on = on_error == OnError::Continue;
        let hit = seen.iter().position(|says| *says == Says::Hit);
        let failure = seen.iter().position(|says| *says == Says::Failed);
        match (hit, failure) {
            (Some(hit), Some(failure)) if failure < hit && !go_on => "failed",
            (Some(_), _) => "found",
            (None, None) if seen.contains(&Says::Miss) => {
                if default {
                    "defaulted"
                } else {
                    "missing"
                }
            }
            // A failure, or nobody there.
            (None, _) => {
                if default && go_on {
                    "defaulted"
                } else {
                    "failed"
                }
            }
        }
    }

    #[test]
    fn every_pair_of_answers_gives_what_the_contract_says() {
        for first in ALL {
            for second in ALL {
                for (required, default) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    for on_error in [OnError::Stop, OnError::Continue] {
                        let chain = chain(&[first, second], required, on_error);
                        let lookup = find(&chain, default);
                        let (seen, value) = match &lookup.outcome {
                            Outcome::Found(secret) => ("found", secret.expose()),
                            Outcome::Defaulted(secret) => ("defaulted", secret.expose()),
                            Outcome::Missing => ("missing", &b""[..]),
                            Outcome::Failed => ("failed", &b""[..]),
                        };
                        let case =
                            format!("{first:?} {second:?} {required} {default} {on_error:?}");
                        assert_eq!(
                            seen,
                            expected(first, second, required, default, on_error),
                            "{case}"
                        );
                        match seen {
                            "found" => assert_eq!(value, b"value"),
                            "defaulted" => assert_eq!(value, b"default"),
                            _ => assert!(!lookup.report.problems().is_empty(), "{case}"),
                        }
                        assert_eq!(lookup.report.hit().is_some(), seen == "found", "{case}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_said_names_the_secret_and_the_backends() {
        let said = |says: &[Says], name: &str| {
            let name = Name::parse(name).unwrap();
            let lookup = chain(says, false, OnError::Continue).find(&name, &());
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
        use Says::{Failed, Hit, Miss, Unavailable};
        assert_eq!(said(&[Hit, Failed], "a"), (String::new(), vec![], 0));
        assert_eq!(said(&[Failed, Hit], "a"), (String::new(), vec![], 1));
        assert_eq!(
            said(&[Miss, Miss], "a"),
            text("a is missing: not in b0, b1", 0)
        );
        assert_eq!(
            said(&[Miss, Unavailable], "a"),
            text("a is missing: not in b0 (unavailable: b1)", 0)
        );
        assert_eq!(
            said(&[Unavailable, Unavailable], "a"),
            text(
                "a: b0 unavailable: not here; a: b1 unavailable: not here",
                0
            )
        );
        assert_eq!(
            said(&[Miss, Failed, Unavailable], "a"),
            text("a: b1 failed: locked", 1)
        );
        let (text, hints, _) = said(&[Miss, Unavailable], "a#f");
        assert_eq!(text, "a#f is missing: not in b0 (unavailable: b1)");
        assert_eq!(hints, [Some("a#f: b0 miss: no".to_owned())]);
    }

    #[test]
    fn a_reason_that_names_the_secret_is_not_given_its_name_again() {
        for (name, reason, text) in [
            ("a", "a is locked", "b failed: a is locked"),
            ("a#f", "cannot open a", "b failed: cannot open a"),
            ("a#f", "a#f: locked", "b failed: a#f: locked"),
            ("a", "ab is locked", "a: b failed: ab is locked"),
        ] {
            let report = Report {
                name: Name::parse(name).unwrap(),
                steps: vec![Step {
                    backend: "b".to_owned(),
                    locator: String::new(),
                    verdict: Verdict::Failed,
                    reason: Some(reason.into()),
                    took: Duration::ZERO,
                }],
            };
            assert_eq!(report.to_string(), text);
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

    /// Says whether there is a deadline.
    struct Clock {
        prompts: bool,
    }

    impl Backend for Clock {
        fn locator(&self, name: &Name) -> String {
            name.to_string()
        }

        fn ask(&self, _: &Name, context: &Context) -> Answer {
            match context.deadline.remaining() {
                Some(_) => Answer::miss("by then"),
                None => Answer::failed("never"),
            }
        }

        fn status(&self, _: &Context) -> Status {
            Status::ready("")
        }

        fn may_prompt(&self) -> bool {
            self.prompts
        }
    }

    #[test]
    fn only_a_person_at_a_prompt_has_no_deadline() {
        for case in 0..8 {
            let [prompts, unattended, timeout_for_prompts] = [1, 2, 4].map(|bit| case & bit != 0);
            let chain = Chain {
                links: vec![Link {
                    name: "clock".to_owned(),
                    backend: Box::new(Clock { prompts }),
                    required: false,
                }],
                on_error: OnError::Stop,
                timeout: Duration::from_secs(1000),
                timeout_for_prompts,
                unattended,
            };
            let forever = matches!(find(&chain, false).outcome, Outcome::Failed);
            assert_eq!(forever, prompts && !unattended && !timeout_for_prompts);
        }
    }

    #[test]
    fn all_asks_past_the_end_and_changes_nothing() {
        let verdicts = |says: &[Says], all| {
            let chain = chain(says, false, OnError::Stop);
            let names = [Name::parse("a").unwrap()];
            let lookup = chain.find_each(&names, all, &()).remove(0);
            let verdicts: Vec<Verdict> = lookup
                .report
                .steps
                .iter()
                .map(|step| step.verdict)
                .collect();
            (matches!(lookup.outcome, Outcome::Found(_)), verdicts)
        };
        use Verdict::{Failed, Hit, Miss, NotAsked, Shadowed};
        let says = [Says::Miss, Says::Hit, Says::Hit, Says::Failed];
        assert_eq!(
            verdicts(&says, false),
            (true, vec![Miss, Hit, NotAsked, NotAsked])
        );
        assert_eq!(
            verdicts(&says, true),
            (true, vec![Miss, Hit, Shadowed, Failed])
        );
        let says = [Says::Failed, Says::Hit];
        assert_eq!(verdicts(&says, false), (false, vec![Failed, NotAsked]));
        assert_eq!(verdicts(&says, true), (false, vec![Failed, Shadowed]));
    }

    #[test]
    fn slow_items_are_worked_on_by_more() {
        let items = [(); AT_ONCE_IF_SLOW];
        let present = AtomicUsize::new(0);
        // Each waits until all have come.
        let all_came = side_by_side(&items, |()| {
            present.fetch_add(1, Ordering::SeqCst);
            let patience = Deadline::after(Duration::from_secs(20));
            while present.load(Ordering::SeqCst) < items.len() && !patience.passed() {
                std::thread::sleep(Duration::from_millis(1));
            }
            present.load(Ordering::SeqCst) == items.len()
        });
        assert_eq!(all_came, [true; AT_ONCE_IF_SLOW]);
    }

    #[test]
    fn results_keep_the_order_of_their_items() {
        let items: Vec<usize> = (0..100).collect();
        let results = side_by_side(&items, |item| {
            if item % 7 == 0 {
                std::thread::yield_now();
            }
            item * 2
        });
        assert_eq!(
            results,
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert_eq!(side_by_side(&[] as &[u8], |item| *item), Vec::<u8>::new());
    }
}
