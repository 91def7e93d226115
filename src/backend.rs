//! What a backend is: the four answers, the trait, and the table of all there are.
//!
//! A backend owns one kind of store and everything about it, in one file of [`crate::backend`]. To add one: write the
//! file, its test, and its line in [`BACKENDS`].

#[cfg(all(fuzzing, feature = "age"))]
pub(crate) use self::age::fuzzing::{age_file, age_identities};
#[cfg(fuzzing)]
pub(crate) use self::gopass::fuzzing::gopass_output;
#[cfg(all(fuzzing, feature = "vault"))]
pub(crate) use self::vault::fuzzing::{vault_address, vault_answers};

pub use crate::schema::{Context, Reason};

use crate::deadline::Deadline;
use crate::field;
use crate::name::Name;
use crate::schema::{Key, Kind, Section};
use crate::secret::Secret;

/// Makes the modules of the backends and the table [`BACKENDS`], one line for each: its module and name, the Cargo feature
/// that it needs if any, and where the secrets are.
macro_rules! backends {
    ($($name:ident $(if $feature:literal)?: $about:literal;)*) => {
        $($(#[cfg(feature = $feature)])? mod $name;)*

        /// Every backend, built in or not, in the order in which they are listed.
        pub const BACKENDS: &[Entry] = &[$(Entry::new(stringify!($name), $about, {
            $(#[cfg(not(feature = $feature))] const DECLARED: Option<Declaration> = None;)?
            $(#[cfg(feature = $feature)])? const DECLARED: Option<Declaration> = Some($name::DECLARATION);
            DECLARED
        })),*];
    };
}

backends! {
    gopass: "the gopass on PATH, or pass where command says so: gopass show prod/api-key";
    env: "environment variables: prod/api-key is $PROD_API_KEY";
    age if "age": "age files, decrypted in-process: prod/api-key is ~/.passage/store/prod/api-key.age";
    vault if "vault": "HashiCorp Vault or OpenBao: KV v2 or v1, over HTTP(S)";
    credentials if "credentials": "mounted files: prod/api-key is prod_api-key in $CREDENTIALS_DIRECTORY or /run/secrets";
    keyring if "keyring": "the Linux kernel keyring: prod/api-key is the user key mxm:prod/api-key";
}

#[cfg(feature = "config")]
mod command;

/// The entry of every backend of the user's own: a program that the configuration names.
pub const OWN: Option<&Entry> = {
    #[cfg(feature = "config")]
    const OWN: Option<&Entry> = Some(&Entry::new(
        "command",
        "a program that the configuration names",
        Some(command::DECLARATION),
    ));
    #[cfg(not(feature = "config"))]
    const OWN: Option<&Entry> = None;
    OWN
};

/// The key of the sections whose backends start programs.
pub const LET_THROUGH: Key = Key {
    name: "env",
    kind: Kind::Texts,
    default: "",
    variable: None,
    about: "credentials that its program needs from the environment, such as VAULT_TOKEN",
};

/// One line of the table [`BACKENDS`].
#[allow(dead_code, reason = "the man page is drawn from it, in a test")]
pub struct Entry {
    /// The name by which users ask for it.
    pub name: &'static str,
    /// One line for people: where the secrets are.
    pub about: &'static str,
    /// The keys of its configuration section.
    pub keys: &'static [Key],
    /// The environment variables that it reads, each with what it means.
    pub variables: &'static [(&'static str, &'static str)],
    /// Makes it from its configuration section, without asking anything yet; `None`: not built into this program.
    pub open: Option<Open>,
}

/// What a backend's file says of it to the table.
pub struct Declaration {
    /// The keys of its configuration section.
    pub keys: &'static [Key],
    /// The environment variables that it reads, each with what it means.
    pub variables: &'static [(&'static str, &'static str)],
    /// Makes it from its configuration section, without asking anything yet.
    pub open: Open,
}

/// Makes a backend from its configuration section.
pub type Open = fn(&Section) -> Box<dyn Backend>;

impl Entry {
    const fn new(name: &'static str, about: &'static str, declared: Option<Declaration>) -> Entry {
        let (keys, variables, open): (&[Key], &[(&str, &str)], _) = match declared {
            Some(it) => (it.keys, it.variables, Some(it.open)),
            None => (&[], &[], None),
        };
        Entry {
            name,
            about,
            keys,
            variables,
            open,
        }
    }
}

/// The entry called `name`.
pub fn entry(name: &str) -> Option<&'static Entry> {
    BACKENDS.iter().find(|entry| entry.name == name)
}

/// A store of secrets that can be asked for one by name. It is asked from several threads at once.
pub trait Backend: Send + Sync {
    /// Where `name` would be in this store, for people: never a value. Asks nothing.
    fn locator(&self, name: &Name) -> String;

    /// Looks `name` up. Returns by `context.deadline`, and waits for no person when `context.unattended`.
    fn ask(&self, name: &Name, context: &Context) -> Answer;

    /// Whether the store is set up here. Asks for no secret and no person, and returns by `context.deadline`.
    fn status(&self, context: &Context) -> Status;

    /// What can be said of it outside the chain: no program is started that nobody has chosen.
    fn glance(&self, context: &Context) -> Status {
        self.status(context)
    }

    /// The environment variable that would hold `name`, if that is where the secrets are.
    fn variable(&self, name: &Name) -> Option<String> {
        let _ = name;
        None
    }

    /// Whether asking may make a person type something (a pinentry, a passphrase).
    fn may_prompt(&self) -> bool {
        false
    }
}

/// What one backend says of one name.
#[derive(Debug)]
pub enum Answer {
    /// It has the secret.
    Hit {
        /// The bytes.
        secret: Secret,
        /// Where exactly it was found.
        locator: String,
    },
    /// It works, and has no such secret: something was seen that proves it.
    Miss(Proof<NoSecret>),
    /// It is not set up here: something was seen that proves it.
    Unavailable(Proof<NoStore>),
    /// Anything else: it cannot say whether it has the secret.
    Failed(Reason),
}

/// What proves that a store has no such secret. The store that is meant was there, whole and readable; what was *not*
/// seen (no output, no error, no known words) proves nothing, and the answer is failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSecret {
    /// The store was opened and searched, and nothing stands where the secret would be.
    NoEntry,
    /// The store's own program or server said so, in words or with a status that mean nothing else.
    Said,
    /// The secret is there, and empty.
    Empty,
    /// The secret was there, and has expired, or was deleted or revoked.
    Gone,
    /// A folder stands where the secret would be.
    Folder,
    /// The secret is there, whole, and has no such field.
    NoField,
    /// No secret of this store can have that name.
    NoSuchName,
}

/// What proves that a store is not set up here. A store that is set up and cannot be reached has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStore {
    /// Neither the environment nor the configuration names a store.
    NotConfigured,
    /// The places where the store and its program would be were searched, and there is no trace of either.
    NoTrace,
    /// The store's own program or server said so, in words or with a status that mean nothing else.
    Said,
    /// This system, or this build, has no such thing.
    NotHere,
}

/// What was seen, and how to say it. A miss and an unavailable store cannot be told of without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof<Seen> {
    seen: Seen,
    reason: Reason,
}

impl<Seen: Copy> Proof<Seen> {
    /// The backend has seen `seen`; `reason` says it in words.
    pub fn new(seen: Seen, reason: impl Into<Reason>) -> Proof<Seen> {
        Proof {
            seen,
            reason: reason.into(),
        }
    }

    /// What was seen.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// In words.
    pub fn into_reason(self) -> Reason {
        self.reason
    }
}

impl Answer {
    /// The answer of a store that has the text `whole` for `name`: the field that the name asks for, or all of it.
    /// It is good until `deadline`: the chain looks at that.
    pub fn text(whole: Secret, name: &Name, locator: String, deadline: Deadline) -> Answer {
        match name.field() {
            None => Answer::Hit {
                secret: whole,
                locator,
            },
            Some(field) => match field::pick(&whole, field, deadline) {
                Some(_) if field::is_block(&whole, field) => {
                    let reason = format!(
                        "the value of field {field} of {} is in the lines below it, which are not read: {locator}",
                        name.path()
                    );
                    Answer::Failed(
                        Reason::from(reason).hint("ask for the whole secret, without a field"),
                    )
                }
                Some(secret) => Answer::Hit {
                    secret,
                    locator: format!("{locator}#{field}"),
                },
                None if field::is_broken_object(&whole, deadline) => {
                    let reason = format!(
                        "{} begins as a JSON object and is none, so whether it has a field {field} is not known: {locator}",
                        name.path()
                    );
                    Answer::Failed(
                        Reason::from(reason)
                            .hint("mend it, or ask for the whole secret, without a field"),
                    )
                }
                None => Answer::miss(
                    NoSecret::NoField,
                    format!("{} has no field {field}: {locator}", name.path()),
                ),
            },
        }
    }

    /// A miss, which `seen` proves.
    pub fn miss(seen: NoSecret, reason: impl Into<Reason>) -> Answer {
        Answer::Miss(Proof::new(seen, reason))
    }

    /// A store that is not set up here, which `seen` proves.
    pub fn unavailable(seen: NoStore, reason: impl Into<Reason>) -> Answer {
        Answer::Unavailable(Proof::new(seen, reason))
    }

    /// A store that could not tell.
    pub fn failed(reason: impl Into<Reason>) -> Answer {
        Answer::Failed(reason.into())
    }
}

/// Whether a backend would answer now, as far as that can be known without reading a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It would answer with a hit or a miss.
    Ready,
    /// It would answer that it is not set up here.
    Unavailable,
    /// It would answer that it cannot say.
    Failed,
}

/// What `list-backends` tells of one backend.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether it would answer now.
    pub state: State,
    /// What it would use: program and version, store, address, directory; empty when there is nothing to name.
    pub uses: String,
    /// Why it is not ready, with the one thing to do about it as the hint.
    pub reason: Option<Reason>,
}

impl Status {
    /// Ready, with what it would use.
    pub fn ready(uses: impl Into<String>) -> Status {
        Status {
            state: State::Ready,
            uses: uses.into(),
            reason: None,
        }
    }

    /// Not set up here, for `reason`.
    pub fn unavailable(uses: impl Into<String>, reason: impl Into<Reason>) -> Status {
        Status {
            state: State::Unavailable,
            uses: uses.into(),
            reason: Some(reason.into()),
        }
    }

    /// Set up, and unable to answer, for `reason`.
    pub fn failed(uses: impl Into<String>, reason: impl Into<Reason>) -> Status {
        Status {
            state: State::Failed,
            uses: uses.into(),
            reason: Some(reason.into()),
        }
    }

    /// The status of a backend that gives `answer` before it asks its store.
    pub fn of(uses: impl Into<String>, answer: Answer) -> Status {
        match answer {
            Answer::Hit { .. } | Answer::Miss(_) => Status::ready(uses),
            Answer::Unavailable(proof) => Status::unavailable(uses, proof.into_reason()),
            Answer::Failed(reason) => Status::failed(uses, reason),
        }
    }
}
