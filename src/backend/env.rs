//! The environment: `prod/api-key` is `$PROD_API_KEY`.

use std::os::unix::ffi::OsStringExt;

use super::{Answer, Backend, Context, Declaration, NoSecret, Reason, Status};
use crate::name::Name;
use crate::process;
use crate::schema::{Key, Kind, Section};
use crate::secret::Secret;

pub const DECLARATION: Declaration = Declaration {
    keys: &[Key {
        name: "prefix",
        kind: Kind::Text,
        default: "",
        variable: None,
        about: "put before the variable's name",
    }],
    variables: &[],
    open: |section| Box::new(Env::open(section)),
};

/// What is said of a variable that this program did not get: an mxm-secrets above it recognizes it.
pub const WITHHELD: &str = "was withheld by the mxm-secrets that runs this one";

struct Env {
    prefix: String,
}

impl Env {
    fn open(section: &Section) -> Env {
        Env {
            prefix: section.text("prefix").unwrap_or_default().to_owned(),
        }
    }
}

impl Backend for Env {
    fn locator(&self, name: &Name) -> String {
        format!("${}", name.variable(&self.prefix))
    }

    fn variable(&self, name: &Name) -> Option<String> {
        Some(name.variable(&self.prefix))
    }

    /// A field is a part of the variable's name here, so the value is never searched for it.
    fn ask(&self, name: &Name, _: &Context) -> Answer {
        // The shell keeps something of its own in $_.
        if !name
            .variable("")
            .contains(|c: char| c.is_ascii_alphanumeric())
        {
            return Answer::miss(
                NoSecret::NoSuchName,
                format!("{name} has no letter or digit, so no variable is called that"),
            );
        }
        let locator = self.locator(name);
        let variable = &locator[1..];
        match std::env::var_os(variable) {
            Some(_) if process::is_credential(variable) => Answer::Failed(
                Reason::from(format!(
                    "{locator} is a credential of a backend, which is not given out for {name}"
                ))
                .hint("use another name for the secret"),
            ),
            Some(value) => Answer::Hit {
                secret: Secret::take(value.into_vec()),
                locator,
            },
            None if process::is_withheld(variable) => Answer::Failed(
                Reason::from(format!("{locator}, asked for {name}, {WITHHELD}")).hint(format!(
                    "add `env: [{variable}]` to the section of the backend that runs it"
                )),
            ),
            None => Answer::miss(
                NoSecret::NoEntry,
                format!("{locator} is not set for {name}"),
            ),
        }
    }

    fn status(&self, _: &Context) -> Status {
        Status::ready(format!("${}NAME", self.prefix))
    }
}
