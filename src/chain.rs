//! The chain: asks one backend after the other, and keeps a [`Report`] that has no place for a value.

use std::time::{Duration, Instant};

use crate::backend::{Answer, Backend, NoSecret};
use crate::deadline::{self, Deadline};
use crate::field;
use crate::name::Name;
use crate::parallel::parallel;
use crate::refs::{Refs, Target};
use crate::report::{Report, Step, Verdict};
use crate::schema::{Context, Reason, UsageError};
use crate::secret::Secret;
use crate::text;

/// An ordered chain of backends, opened and ready to be asked.
pub struct Chain {
    pub(crate) links: Vec<Link>,
    pub(crate) on_error: OnError,
    pub(crate) timeout: Duration,
    pub(crate) timeout_for_prompts: bool,
    pub(crate) unattended: bool,
    /// Names that are looked up in one store, and the backends of those stores that are not in the chain.
    pub(crate) refs: Refs,
    pub(crate) stores: Vec<Link>,
}

/// What holds for all lookups of a command.
struct Together {
    /// When all of them must be over.
    deadline: Deadline,
    /// The variables that no program of a backend gets.
    withheld: Vec<String>,
}

/// One backend of a chain.
pub(crate) struct Link {
    pub name: String,
    pub backend: Box<dyn Backend>,
    /// Whether its absence is a failure: asked for by name, or marked `required`.
    pub required: bool,
}

/// What the chain does after a backend that could not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It ends: the lookup has failed.
    Stop,
    /// It asks the next one; only a hit or a default can follow then, never "missing".
    Continue,
}

impl OnError {
    /// The words for it: `stop` and `continue`.
    pub(crate) const WORDS: &'static [&'static str] =
        &[OnError::Stop.word(), OnError::Continue.word()];

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            OnError::Stop => "stop",
            OnError::Continue => "continue",
        }
    }

    /// What `word` stands for.
    pub(crate) fn parse(word: &str) -> Option<OnError> {
        [OnError::Stop, OnError::Continue]
            .into_iter()
            .find(|on_error| on_error.word() == word)
    }
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

impl Outcome {
    /// The secret, or the default that stands in for it.
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Outcome::Found(secret) | Outcome::Defaulted(secret) => Some(secret),
            Outcome::Missing | Outcome::Failed => None,
        }
    }
}

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

impl Chain {
    /// Looks `name` up: asks the backends in order until one has it or one cannot tell.
    ///
    /// # Errors
    /// The name is not allowed; nothing was asked.
    pub fn find(&self, name: &Name, observer: &dyn Observer) -> Result<Lookup, UsageError> {
        let target = self.refs.target(name).map_err(UsageError::new)?;
        let there = target.as_ref().map(|target| &target.there);
        let together = self.together([name].into_iter().chain(there));
        Ok(self.lookup(name, target.as_ref(), false, &together, observer))
    }

    /// Looks several names up side by side; the lookups come back in the order of the names. With `all`, the backends
    /// after the end of each lookup are asked, too. All of it ends within [`Chain::time_for_all`].
    ///
    /// # Errors
    /// All names that are not allowed; nothing was asked, not for the others either.
    pub fn find_each(
        &self,
        names: &[Name],
        all: bool,
        observer: &dyn Observer,
    ) -> Result<Vec<Lookup>, UsageError> {
        let (mut targets, mut refused) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            match self.refs.target(name) {
                Ok(target) => targets.push((name, target)),
                Err(why) => refused.push(why),
            }
        }
        if !refused.is_empty() {
            return Err(UsageError::all(refused));
        }
        let there = targets
            .iter()
            .filter_map(|(_, target)| target.as_ref().map(|target: &Target| &target.there));
        let together = self.together(names.iter().chain(there));
        Ok(parallel(&targets, |(name, target)| {
            self.lookup(name, target.as_ref(), all, &together, observer)
        }))
    }

    /// What all lookups of a command may take together, however many names it has: the timeout for each backend.
    fn time_for_all(&self) -> Duration {
        let links = u32::try_from(self.links.len().max(1)).unwrap_or(u32::MAX);
        self.timeout.saturating_mul(links)
    }

    /// What holds for all lookups of `names`. A person may take any time, and then there is no deadline for all: how
    /// much of the time was the person's cannot be told.
    fn together<'n>(&self, names: impl IntoIterator<Item = &'n Name>) -> Together {
        let links = || self.links.iter().chain(&self.stores);
        let person = links().any(|link| self.waits_for_person(link));
        // Also where the environment is not asked: the variable may hold the same secret.
        let variables = names.into_iter().flat_map(|name| {
            let of_links = links().filter_map(|link| link.backend.variable(name));
            of_links.chain([name.variable("")])
        });
        Together {
            deadline: if person {
                Deadline::never()
            } else {
                Deadline::after(self.time_for_all())
            },
            withheld: variables.collect(),
        }
    }

    /// Whether a question to `link` may wait for a person, so that it has no deadline.
    fn waits_for_person(&self, link: &Link) -> bool {
        !self.unattended && !self.timeout_for_prompts && link.backend.may_prompt()
    }

    /// What the chain does after a failure.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    fn lookup(
        &self,
        name: &Name,
        target: Option<&Target>,
        all: bool,
        together: &Together,
        observer: &dyn Observer,
    ) -> Lookup {
        let mut links = self.links.iter();
        let mut single = self.links.iter().chain(&self.stores);
        let single = target.and_then(|target| single.find(|link| link.name == target.backend));
        // No more than one with a target, none if its backend is not open.
        if target.is_some() {
            links = [].iter();
        }
        let there = target.map_or(name, |target| &target.there);
        let mut steps = Vec::with_capacity(self.links.len());
        let mut found = None;
        let (mut ended, mut failed, mut available) = (false, false, false);
        for link in links.chain(single) {
            if ended && (!all || deadline::interrupted()) {
                steps.push(link.not_asked(there));
                continue;
            }
            let started = Instant::now();
            let answer = self.ask(link, there, together, observer);
            let took = started.elapsed();
            let telling = match &answer {
                Answer::Miss(proof) => !matches!(proof.seen(), NoSecret::NoEntry | NoSecret::Said),
                _ => false,
            };
            let (verdict, locator, reason) = match answer {
                Answer::Hit { locator, .. } if ended => (Verdict::Shadowed, Some(locator), None),
                Answer::Hit { secret, locator } => {
                    found = Some(secret);
                    ended = true;
                    (Verdict::Hit, Some(locator), None)
                }
                Answer::Miss(proof) => {
                    available |= !ended;
                    (Verdict::Miss, None, Some(proof.into_reason()))
                }
                Answer::Unavailable(proof) => {
                    (Verdict::Unavailable, None, Some(proof.into_reason()))
                }
                Answer::Failed(reason) => {
                    failed |= !ended;
                    ended |= self.on_error == OnError::Stop;
                    (Verdict::Failed, None, Some(reason))
                }
            };
            let locator = locator.unwrap_or_else(|| link.backend.locator(there));
            let step = Step {
                backend: link.name.clone(),
                locator: text::line(&locator),
                verdict,
                reason,
                telling,
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
                target: target.cloned().map(Box::new),
                steps,
            },
        }
    }

    /// Asks one backend, and makes of its answer what holds for all of them.
    fn ask(
        &self,
        link: &Link,
        name: &Name,
        together: &Together,
        observer: &dyn Observer,
    ) -> Answer {
        if deadline::interrupted() {
            return Answer::failed(format!("{name} was not asked for: interrupted"));
        }
        if together.deadline.passed() {
            let seconds = self.time_for_all().as_secs_f64();
            let reason = format!(
                "{name} was not asked for: the {seconds} s for all lookups together are over"
            );
            let hint = "give more time with --timeout, or ask for fewer names at once";
            return Answer::Failed(Reason::from(reason).hint(hint).transient(true));
        }
        let context = Context {
            deadline: if self.waits_for_person(link) {
                Deadline::never()
            } else {
                Deadline::after(self.timeout).or(together.deadline)
            },
            unattended: self.unattended,
            login: false,
            withheld: &together.withheld,
            warn: &|warning| observer.warn(warning),
        };
        let answer = link.backend.ask(name, &context);
        // What was read to know it may have been cut short.
        if !matches!(answer, Answer::Failed(_))
            && let Err(ended) = context.deadline.go_on()
        {
            return Answer::Failed(ended.before_it_was("looked up").after(name));
        }
        match answer {
            Answer::Hit { secret, locator } if name.is_first_line() => {
                match field::first_line(&secret) {
                    line if line.is_empty() => Answer::miss(
                        NoSecret::Empty,
                        format!("the first line of {} is empty: {locator}", name.path()),
                    ),
                    secret => Answer::Hit { secret, locator },
                }
            }
            Answer::Hit { secret, locator } if secret.is_empty() => {
                Answer::miss(NoSecret::Empty, format!("{name} is empty: {locator}"))
            }
            Answer::Unavailable(proof) if link.required => Answer::Failed(proof.into_reason()),
            answer => answer,
        }
    }
}

impl Link {
    fn not_asked(&self, name: &Name) -> Step {
        Step {
            backend: self.name.clone(),
            locator: text::line(&self.backend.locator(name)),
            verdict: Verdict::NotAsked,
            reason: None,
            telling: false,
            took: Duration::ZERO,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::backend::{NoStore, Status};

    /// A backend that always gives the same answer.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Says {
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
                Says::Miss => Answer::miss(NoSecret::NoEntry, "no"),
                Says::Unavailable => Answer::unavailable(NoStore::NotHere, "not here"),
                Says::Failed => Answer::failed("locked"),
            }
        }

        fn status(&self, _: &Context) -> Status {
            Status::ready("")
        }
    }

    pub fn chain(says: &[Says], required: bool, on_error: OnError) -> Chain {
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
            refs: Refs::default(),
            stores: Vec::new(),
        }
    }

    #[test]
    fn what_follows_a_failure_has_one_word_each() {
        assert_eq!(OnError::WORDS, ["stop", "continue"]);
        let parsed: Vec<_> = OnError::WORDS
            .iter()
            .flat_map(|word| OnError::parse(word))
            .collect();
        assert_eq!(parsed, [OnError::Stop, OnError::Continue]);
        assert_eq!(OnError::parse("Stop"), None);
    }

    fn find(chain: &Chain, default: bool) -> Lookup {
        let default = default.then(|| Secret::copy_of(b"default"));
        chain
            .find(&Name::parse("a").unwrap(), &())
            .unwrap()
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
                Some(_) => Answer::miss(NoSecret::NoEntry, "by then"),
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
                refs: Refs::default(),
                stores: Vec::new(),
            };
            let forever = matches!(find(&chain, false).outcome, Outcome::Failed);
            assert_eq!(forever, prompts && !unattended && !timeout_for_prompts);
        }
    }

    /// Answers at its deadline, and not before.
    struct Late;

    impl Backend for Late {
        fn locator(&self, name: &Name) -> String {
            name.to_string()
        }

        fn ask(&self, _: &Name, context: &Context) -> Answer {
            while !context.deadline.passed() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Answer::failed("late")
        }

        fn status(&self, _: &Context) -> Status {
            Status::ready("")
        }
    }

    #[test]
    fn all_lookups_end_within_the_time_of_one_however_many_they_are() {
        let link = |name: &str| Link {
            name: name.to_owned(),
            backend: Box::new(Late),
            required: false,
        };
        let mut chain = chain(&[], false, OnError::Continue);
        chain.links = vec![link("one"), link("two")];
        chain.timeout = Duration::from_millis(200);
        let names: Vec<Name> = (0..50)
            .map(|number| Name::parse(format!("a{number}")).unwrap())
            .collect();
        let began = Instant::now();
        let lookups = chain.find_each(&names, false, &()).unwrap();
        // One after the other they would take 20 seconds, and 2.5 side by side.
        assert!(began.elapsed() < Duration::from_secs(2));
        let reasons = |lookup: &Lookup| -> Vec<String> {
            let problems = lookup.report.problems().into_iter();
            problems.map(|reason| reason.text).collect()
        };
        assert!(lookups.iter().all(|l| matches!(l.outcome, Outcome::Failed)));
        assert!(reasons(&lookups[0])[0].contains("late"));
        assert_eq!(
            reasons(&lookups[49]),
            [
                "a49: failed: one: a49 was not asked for: the 0.4 s for all lookups together are over",
                "a49: failed: two: a49 was not asked for: the 0.4 s for all lookups together are over",
            ]
        );
    }

    #[test]
    fn all_asks_past_the_end_and_changes_nothing() {
        let verdicts = |says: &[Says], all| {
            let chain = chain(says, false, OnError::Stop);
            let names = [Name::parse("a").unwrap()];
            let lookup = chain.find_each(&names, all, &()).unwrap().remove(0);
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
}
