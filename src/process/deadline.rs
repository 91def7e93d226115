//! The point in time by which something must be done.

use std::time::{Duration, Instant};

/// A point in time by which something must be done, or never.
#[derive(Clone, Copy, Debug)]
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_or_does_not() {
        const FAR: Duration = Duration::from_secs(1000);
        assert!(Deadline::after(Duration::ZERO).passed());
        let far = Deadline::after(FAR);
        assert!(
            !far.passed()
                && far
                    .remaining()
                    .is_some_and(|left| left <= FAR && left > FAR / 2)
        );
        assert!(!Deadline::never().passed() && Deadline::never().remaining().is_none());
    }
}
