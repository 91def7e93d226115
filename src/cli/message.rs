//! What the program says on standard error: its name first, one line a message, hints on lines of their own.

use std::time::Duration;

use mxm_secrets::backend::Reason;
use mxm_secrets::name::Name;
use mxm_secrets::resolve::{Observer, Step};
use mxm_secrets::sys;

/// How much to tell.
pub struct Messages {
    /// What each backend answers.
    pub verbose: bool,
    /// No hints, no warnings.
    pub quiet: bool,
}

/// Says one thing. Control characters are shown escaped, since some of the text comes from outside.
pub fn say(text: &str) {
    let mut line = String::with_capacity(text.len() + 16);
    line.push_str("mxm-secrets: ");
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\nmxm-secrets: "),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line.push('\n');
    // There is no one left to tell when standard error cannot be written.
    let _ = sys::write_all(sys::STDERR, &[line.as_bytes()]);
}

impl Messages {
    /// Says why something failed, and what can be done about it.
    pub fn problem(&self, problem: &Reason) {
        say(&problem.text);
        self.hint(problem);
    }

    fn hint(&self, reason: &Reason) {
        if let Some(hint) = reason.hint.as_ref().filter(|_| !self.quiet) {
            say(&format!("hint: {hint}"));
        }
    }
}

impl Observer for Messages {
    fn asked(&self, _: &Name, step: &Step) {
        if let Some(reason) = step.reason.as_ref().filter(|_| self.verbose) {
            say(&format!(
                "{}: {}: {reason} ({})",
                step.backend,
                step.verdict.word(),
                took(step.took)
            ));
        }
    }

    fn warn(&self, warning: &Reason) {
        if !self.quiet {
            say(&format!("warning: {warning}"));
            self.hint(warning);
        }
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
