//! What the fuzz targets (fuzz/) call: one function for each part that reads what comes from outside, with the laws that
//! hold whatever comes. It is there only with `--cfg fuzzing`.

use std::sync::Mutex;
use std::time::Duration;

use crate::backend::{Answer, Backend, Context, Reason, Status};
use crate::chain::{Chain, Link, Lookup, OnError, Outcome};

pub use crate::deadline::Deadline;
pub use crate::field::pick;
pub use crate::json::Value;
pub use crate::name::{LIMIT, Name};

/// What no message may hold: a part of a value.
pub const CANARY: &str = "canary-7d1c5e";

/// The token with which Vault is asked, which no message may hold, either.
pub const TOKEN: &str = "token-51d0aa";

/// Identities, as the file of that name has them.
#[cfg(feature = "age")]
pub fn age_identities(text: &[u8]) {
    crate::backend::age_identities(text);
}

/// An age file, decrypted by the one identity in `identities`; all that it may give is `plaintext`. Says
/// whether it could be read.
#[cfg(feature = "age")]
pub fn age_file(file: &[u8], identities: &[u8], plaintext: &[u8]) -> bool {
    crate::backend::age_file(file, identities, plaintext)
}

/// What `show` of a password store has printed and how it ended.
pub fn gopass_output(dialect: u8, status: u8, field: bool, stdout: &[u8], stderr: &[u8]) {
    crate::backend::gopass_output(dialect, status, field, stdout, stderr);
}

/// The answers of a Vault server, in pieces of `piece` bytes.
#[cfg(feature = "vault")]
pub fn vault_answers(flags: u8, piece: usize, answers: &[&[u8]]) {
    crate::backend::vault_answers(flags, piece, answers);
}

/// An address, and what another one makes of it as a Location.
#[cfg(feature = "vault")]
pub fn vault_address(text: &str) {
    crate::backend::vault_address(text);
}

/// The files of a configuration: a file alone, or those of a store.
#[cfg(feature = "config")]
pub fn configuration(files: &[&[u8]]) {
    crate::config::configuration(files);
}

/// A command line, as the program reads it.
pub fn command_line(arguments: Vec<std::ffi::OsString>) {
    crate::cli::fuzzing::command_line(arguments);
}

/// Gives one answer, once.
struct Says(Mutex<Option<Answer>>);

impl Backend for Says {
    fn locator(&self, name: &Name) -> String {
        name.to_string()
    }

    fn ask(&self, _: &Name, _: &Context) -> Answer {
        let answer = self.0.lock().ok().and_then(|mut answer| answer.take());
        answer.unwrap_or_else(|| Answer::failed("asked twice"))
    }

    fn status(&self, _: &Context) -> Status {
        Status::ready("")
    }
}

/// Nobody is there, and there is no hurry.
pub(crate) fn context() -> Context<'static> {
    Context {
        deadline: Deadline::never(),
        unattended: true,
        login: false,
        withheld: &[],
        warn: &|_| {},
    }
}

/// What the chain makes of `answer`.
pub(crate) fn judge(answer: Answer, name: &Name) -> Lookup {
    let lookup = ask(Box::new(Says(Mutex::new(Some(answer)))), name);
    lookup.report.problems().iter().for_each(is_clean);
    lookup
}

/// Asks `backend` for `name` as the only one of a chain, and checks what holds for every answer.
pub(crate) fn ask(backend: Box<dyn Backend>, name: &Name) -> Lookup {
    let chain = Chain {
        links: vec![Link {
            name: "backend".to_owned(),
            backend,
            required: false,
        }],
        on_error: OnError::Stop,
        timeout: Duration::from_secs(60),
        timeout_for_prompts: false,
        unattended: true,
        refs: crate::refs::Refs::default(),
        stores: Vec::new(),
    };
    let lookup = chain.find(name, &()).expect("no refs refuse it");
    let problems = lookup.report.problems();
    match &lookup.outcome {
        Outcome::Found(secret) | Outcome::Defaulted(secret) => {
            assert!(!secret.is_empty(), "an empty value is none");
            assert!(problems.is_empty());
        }
        Outcome::Missing | Outcome::Failed => assert!(!problems.is_empty()),
    }
    for problem in problems {
        assert!(problem.text.contains(name.path()), "{problem}");
        assert!(problem.text.contains("backend"), "{problem}");
    }
    lookup
}

/// Checks that a message tells nothing that it must not.
pub(crate) fn is_clean(reason: &Reason) {
    let hint = reason.hint.as_deref().unwrap_or_default();
    assert!(!reason.text.is_empty());
    assert!(!reason.text.contains(CANARY), "{reason}");
    assert!(!hint.contains(CANARY), "{hint}");
}
