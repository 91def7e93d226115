//! Why something did not happen: the one shape of every failure.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;

use rustix::io::Errno;

use crate::{sys, text};

/// Why a backend answered as it did, in words that name the secret or the store and never hold a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// One line, lower case, no final period.
    pub text: String,
    /// What the user can do about it, one line.
    pub hint: Option<String>,
    /// Whether the same question may be answered a moment later: the store was away, busy or too slow, or this system
    /// was short of files, processes or memory. It says nothing of what a person might change meanwhile.
    pub transient: bool,
    /// The system's error behind it, and none of a library, which could hold what was read.
    pub(crate) source: Option<Errno>,
}

impl Reason {
    /// `what` cannot be done, because of `error`.
    pub(crate) fn of(what: impl Display, error: &io::Error) -> Reason {
        Reason {
            transient: sys::is_shortage(error),
            source: Errno::from_io_error(error),
            ..Reason::from(format!("{what}: {error}"))
        }
    }

    /// Adds what the user can do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Reason {
        self.hint = Some(text::line(&hint.into()));
        self
    }

    /// Another try may do, if `transient`.
    pub(crate) fn transient(self, transient: bool) -> Reason {
        Reason { transient, ..self }
    }

    /// The same with `start` and a space before its text.
    pub(crate) fn after(self, start: impl Display) -> Reason {
        Reason {
            text: text::line(&format!("{start} {}", self.text)),
            ..self
        }
    }
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Reason {
        Reason {
            text: text::line(&text.into()),
            hint: None,
            transient: false,
            source: None,
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Reason {
    /// The system's error, a [`rustix::io::Errno`], if there is one: its text stands in that of the reason already.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_may_pass_and_nothing_else_does() {
        let of = |number: Errno| Reason::of("cannot read x", &number.into());
        for number in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN] {
            assert!(of(number).transient, "{number}");
        }
        for number in [Errno::ACCESS, Errno::NOENT, Errno::IO, Errno::LOOP] {
            assert!(!of(number).transient, "{number}");
        }
        let denied = of(Errno::ACCESS).after("a:").hint("h");
        let source = denied.source().unwrap().to_string();
        assert_eq!(source, io::Error::from(Errno::ACCESS).to_string());
        assert_eq!(denied.text, format!("a: cannot read x: {source}"));
        let ours = io::Error::other("of a library");
        assert!(Reason::of("x", &ours).source().is_none());
    }
}
