//! The environment: `prod/api-key` is `$PROD_API_KEY`.

use std::os::unix::ffi::OsStringExt;

use super::{Answer, Backend, Context, Entry, NoSecret, Status};
use crate::name::Name;
use crate::schema::{Key, Kind, Section};
use crate::secret::Secret;

pub const ENTRY: Entry = Entry {
    name: "env",
    about: "environment variables: prod/api-key is $PROD_API_KEY",
    keys: &[Key {
        name: "prefix",
        kind: Kind::Text,
        default: "",
        variable: None,
        about: "put before the variable's name",
    }],
    variables: &[],
    open: Some(|section| Box::new(Env::open(section))),
};

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

    /// A field is a part of the variable's name here, so the value is never searched for it.
    fn ask(&self, name: &Name, _: &Context) -> Answer {
        let locator = self.locator(name);
        match std::env::var_os(&locator[1..]) {
            Some(value) => Answer::Hit {
                secret: Secret::take(value.into_vec()),
                locator,
            },
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
