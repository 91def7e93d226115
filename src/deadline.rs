//! The point in time by which something must be done.

use std::time::{Duration, Instant};

use crate::reason::Reason;
use crate::watch;

/// Whether a signal has come that ends this program, so that no further work makes sense.
pub fn interrupted() -> bool {
    watch::signalled().is_some()
}

/// A point in time by which something must be done, or never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `duration` from now.
    pub fn after(duration: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(duration))
    }

    /// No deadline.
    pub fn never() -> Deadline {
        Deadline(None)
    }

    /// The time that is left: zero once it has passed, `None` without a deadline.
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// The earlier of the two.
    #[must_use]
    pub fn or(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(one), Some(other)) => Deadline(Some(one.min(other))),
            (one, other) => Deadline(one.or(other)),
        }
    }

    /// Whether what must be done by then may go on.
    ///
    /// # Errors
    /// What has ended it.
    pub(crate) fn go_on(self) -> Result<(), Ended> {
        if interrupted() {
            Err(Ended::Interrupted)
        } else if self.passed() {
            Err(Ended::TimedOut)
        } else {
            Ok(())
        }
    }
}

/// What has ended something before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A signal that ends this program.
    Interrupted,
    /// The deadline.
    TimedOut,
}

impl Ended {
    /// What to say of something that it has kept from being `done`: it goes on after the name of that.
    pub fn before_it_was(self, done: &str) -> Reason {
        match self {
            Ended::Interrupted => format!("was not {done}: interrupted").into(),
            Ended::TimedOut => Reason::from(format!("was not {done} in time")).transient(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_or_does_not() {
        const FAR: Duration = Duration::from_secs(1000);
        assert!(Deadline::after(Duration::ZERO).passed());
        let late = Deadline::after(Duration::ZERO).go_on();
        assert_eq!(late, Err(Ended::TimedOut));
        assert_eq!(Deadline::after(FAR).go_on(), Ok(()));
        let far = Deadline::after(FAR);
        assert!(
            !far.passed()
                && far
                    .remaining()
                    .is_some_and(|left| left <= FAR && left > FAR / 2)
        );
        let never = Deadline::never();
        assert!(!never.passed() && never.remaining().is_none());
        let now = Deadline::after(Duration::ZERO);
        for (one, other, earlier) in [(far, now, true), (never, now, true), (never, far, false)] {
            assert_eq!(one.or(other).passed(), earlier);
            assert_eq!(other.or(one).passed(), earlier);
        }
        assert!(never.or(never).remaining().is_none());
    }
}
