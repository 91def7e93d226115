//! age files in passage's layout, decrypted in-process: `prod/api-key` is `~/.passage/store/prod/api-key.age`.
//!
//! The identities are read, and unlocked by a person, once for all that is asked of one backend, and not before there
//! is a file to decrypt.

mod armor;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod identities;
mod plugin;
mod terminal;

use std::path::{Path, PathBuf};

use age::DecryptError;
use age_core::format::{FileKey, Stanza};

use super::{Answer, Backend, Context, Declaration, NoSecret, NoStore, Reason, Status};
use crate::deadline::Deadline;
use crate::file;
use crate::name::Name;
use crate::once::Once;
use crate::schema::{Key, Kind, Section};
use crate::secret::{LIMIT, Secret};
use crate::sys;
use format::{Damage, File, UNAUTHENTIC, in_time};
use identities::{Identities, Identity};

pub const DECLARATION: Declaration = Declaration {
    keys: &[
        Key {
            name: "store",
            kind: Kind::Path,
            default: "~/.passage/store",
            variable: Some("PASSAGE_DIR"),
            about: "the directory of the age files",
        },
        Key {
            name: "identities",
            kind: Kind::Path,
            default: "~/.passage/identities",
            variable: Some("PASSAGE_IDENTITIES_FILE"),
            about: "the file of the identities that decrypt them",
        },
    ],
    variables: &[
        ("PASSAGE_DIR", "the directory of the age files"),
        (
            "PASSAGE_IDENTITIES_FILE",
            "the file of the identities that decrypt them",
        ),
    ],
    open: |section| Box::new(Age::open(section)),
};

/// The longest age file that may hold a secret of [`LIMIT`] bytes, armor and header included.
const FILE_LIMIT: usize = LIMIT / 2 * 3;

struct Age {
    store: PathBuf,
    identities_file: PathBuf,
    /// Whether somebody has named one of them, so that the store has to be there.
    named: bool,
    /// `$PASSAGE_DIR`, where it is relative: it would be another store in every directory.
    relative: Option<PathBuf>,
    identities: Once<Vec<Identity>, Reason>,
}

impl Age {
    fn open(section: &Section) -> Age {
        let path = |key, default| match section.path(key) {
            Some(path) => path.to_owned(),
            None => sys::home_or_root().join(default),
        };
        Age {
            store: path("store", ".passage/store"),
            identities_file: path("identities", ".passage/identities"),
            named: section.path("store").is_some() || section.path("identities").is_some(),
            relative: sys::variable("PASSAGE_DIR")
                .map(PathBuf::from)
                .filter(|path| path.is_relative()),
            identities: Once::new(),
        }
    }

    /// A name has no `..` and no leading slash, so it stays below the store, but for links in it.
    fn file(&self, name: &Name) -> PathBuf {
        self.store.join(format!("{}.age", name.path()))
    }

    /// The bytes of the file for `name`, or the answer when there is none.
    fn read(&self, name: &Name, path: &Path, context: &Context) -> Result<Secret, Answer> {
        self.is_absolute()?;
        let shown = path.display();
        let file = match file::open(path, context.deadline) {
            Ok(Some(file)) => file,
            Ok(None) => {
                self.has_store(path, context.deadline)?;
                return Err(match path.with_extension("").metadata() {
                    Ok(data) if data.is_dir() => Answer::miss(
                        NoSecret::Folder,
                        format!("{} is a folder of the age store: {shown}", name.path()),
                    ),
                    _ => Answer::miss(
                        NoSecret::NoEntry,
                        format!("{} is not in the age store: {shown}", name.path()),
                    ),
                });
            }
            Err(problem) => return Err(Answer::Failed(problem)),
        };
        if file.metadata().is_ok_and(|data| data.is_dir()) {
            self.has_store(path, context.deadline)?;
            return Err(Answer::miss(
                NoSecret::Folder,
                format!("{} is a folder of the age store: {shown}", name.path()),
            ));
        }
        file::read_all(&file, FILE_LIMIT, context.deadline)
            .map_err(|problem| Answer::Failed(problem.after(shown)))
    }

    fn is_absolute(&self) -> Result<(), Answer> {
        match &self.relative {
            None => Ok(()),
            Some(path) => Err(Answer::failed(format!(
                "$PASSAGE_DIR is not an absolute path: {}",
                path.display()
            ))),
        }
    }

    /// Whether there is any trace of a store: somebody has named it, or passage has its directory.
    fn is_meant(&self) -> bool {
        let directory = self.store.parent().unwrap_or(&self.store);
        self.named || !matches!(file::is_absent(directory), Ok(true))
    }

    /// Whether the store is there, and has anything at all where `path` would be.
    fn has_store(&self, path: &Path, deadline: Deadline) -> Result<(), Answer> {
        let shown = self.store.display();
        match file::look(&self.store) {
            Ok(Some(data)) if data.is_dir() => {
                file::is_not_hollow(&self.store, path, deadline).map_err(Answer::Failed)
            }
            Ok(Some(_)) => Err(Answer::failed(format!(
                "the age store {shown} is not a directory"
            ))),
            Ok(None) => {
                let reason = Reason::from(format!("the age store {shown} does not exist"))
                    .hint("put a secret into it, or set PASSAGE_DIR to the directory you use");
                Err(match self.is_meant() {
                    true => Answer::Failed(reason),
                    false => Answer::unavailable(NoStore::NoTrace, reason),
                })
            }
            Err(problem) => {
                let start = format!("the age store {shown}:");
                Err(Answer::Failed(problem.after(start)))
            }
        }
    }

    fn identities(&self, context: &Context) -> Result<&Vec<Identity>, Reason> {
        let path = &self.identities_file;
        self.identities
            .get_or_make(|| Identities::read(path, context)?.unlock(path, context))
    }

    /// The plaintext of `data`, or what is wrong with the file.
    fn decrypt(&self, data: &[u8], context: &Context) -> Result<Secret, Problem> {
        if data.is_empty() {
            return Err(Problem::File("is empty, so it is not an age file".into()));
        }
        let decoded;
        let data = if armor::is_armored(data) {
            decoded = armor::decode(data, context.deadline).map_err(Problem::File)?;
            &decoded
        } else {
            data
        };
        let file = File::parse(data, context.deadline).map_err(|damage| {
            Problem::File(match damage {
                _ if data.starts_with(format::MAGIC) || !armor::is_below_text(data) => damage,
                _ => {
                    "has text before the line -----BEGIN AGE ENCRYPTED FILE-----: remove it".into()
                }
            })
        })?;
        // What has taken the time is the file, and not what comes next.
        in_time(context.deadline).map_err(Problem::File)?;
        let attempt = Attempt {
            identities: self.identities(context).map_err(Problem::Identities)?,
            context,
            trouble: None,
        };
        let key = attempt.file_key(file.stanzas())?;
        file.open(&key, context.deadline).map_err(Problem::File)
    }
}

/// What stands in the way of a plaintext.
enum Problem {
    /// The file is to blame; how it goes on after its name.
    File(Damage),
    /// It is encrypted for other keys, of these kinds.
    OtherKeys(Vec<&'static str>),
    /// The identities, or a plugin.
    Identities(Reason),
}

impl Backend for Age {
    fn locator(&self, name: &Name) -> String {
        self.file(name).display().to_string()
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        let path = self.file(name);
        let shown = path.display();
        let data = match self.read(name, &path, context) {
            Ok(data) => data,
            Err(answer) => return answer,
        };
        match self.decrypt(data.expose(), context) {
            Ok(secret) => Answer::text(secret, name, shown.to_string(), context.deadline),
            Err(Problem::File(problem)) => Answer::Failed(problem.after(shown)),
            Err(Problem::OtherKeys(kinds)) => Answer::failed(format!(
                "no identity in {} can decrypt {shown} (encrypted to: {})",
                self.identities_file.display(),
                kinds.join(", ")
            )),
            Err(Problem::Identities(reason)) => {
                Answer::Failed(reason.after(format_args!("cannot decrypt {shown}:")))
            }
        }
    }

    fn status(&self, context: &Context) -> Status {
        let file = self.identities_file.display();
        let uses = format!("{}, {file}", self.store.display());
        if let Err(answer) = self
            .is_absolute()
            .and_then(|()| self.has_store(&self.store, context.deadline))
        {
            return Status::of(uses, answer);
        }
        match Identities::read(&self.identities_file, context) {
            Ok(identities) => {
                let uses = format!("{uses} ({})", identities.describe());
                match identities.unusable(context) {
                    Some(why) => Status::failed(uses, format!("{file} {why}")),
                    None => Status::ready(uses),
                }
            }
            Err(reason) => Status::failed(uses, reason),
        }
    }

    fn may_prompt(&self) -> bool {
        true
    }
}

/// All identities as one, for one file.
struct Attempt<'a> {
    identities: &'a [Identity],
    context: &'a Context<'a>,
    /// Why one of them could not be tried: the first trouble, for the next identity may do.
    trouble: Option<Reason>,
}

impl Attempt<'_> {
    /// The key of the file whose header has these stanzas.
    fn file_key(mut self, stanzas: &[Stanza]) -> Result<FileKey, Problem> {
        for identity in self.identities {
            match self.unwrap(identity, stanzas) {
                Ok(None) => {}
                Ok(Some(Ok(key))) => return Ok(key),
                // Who was not tried may be the one it is for.
                Ok(Some(Err(_))) => return Err(self.problem(UNAUTHENTIC.into())),
                Err(late) => return Err(self.problem(late)),
            }
        }
        Err(match self.trouble {
            Some(trouble) => Problem::Identities(trouble),
            None => Problem::OtherKeys(kinds(stanzas)),
        })
    }

    /// What the first trouble was, or else what is wrong with the file.
    fn problem(self, damage: Damage) -> Problem {
        self.trouble
            .map_or(Problem::File(damage), Problem::Identities)
    }

    /// What `identity` makes of the stanzas, if one is for it, and if there is time to find out.
    fn unwrap(&mut self, identity: &Identity, stanzas: &[Stanza]) -> Result<Unwrapped, Damage> {
        let trouble = match identity {
            Identity::X25519(key) => return self.unwrap_each(key, stanzas),
            Identity::Ssh(_, key) => return self.unwrap_each(key, stanzas),
            Identity::LockedSsh(key) => match key.for_one_of(stanzas, self.context) {
                None => return Ok(None),
                Some(Ok(key)) => return self.unwrap_each(key, stanzas),
                Some(Err(reason)) => reason,
            },
            Identity::Plugin(plugin) => {
                in_time(self.context.deadline)?;
                match plugin.unwrap(stanzas, self.context) {
                    Ok(key) => return Ok(key.map(Ok)),
                    Err(reason) => reason,
                }
            }
        };
        self.trouble.get_or_insert(trouble);
        Ok(None)
    }

    fn unwrap_each(
        &self,
        key: &impl age::Identity,
        stanzas: &[Stanza],
    ) -> Result<Unwrapped, Damage> {
        for stanza in stanzas {
            in_time(self.context.deadline)?;
            if let Some(found) = key.unwrap_stanza(stanza) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// What an identity makes of a header: nothing, if it is not for it.
type Unwrapped = Option<Result<FileKey, DecryptError>>;

/// For which kinds of keys the stanzas are, each once.
fn kinds(stanzas: &[Stanza]) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for stanza in stanzas {
        let kind = match stanza.tag.as_str() {
            "X25519" => "X25519",
            "ssh-ed25519" => "ssh-ed25519",
            "ssh-rsa" => "ssh-rsa",
            "scrypt" => "a passphrase",
            "mlkem768x25519" => "a post-quantum key",
            _ => "a key of another kind",
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deadline::Deadline;

    /// What is said of a well-formed file for nobody, once the time is up.
    fn late(age: &Age) -> String {
        let mut file = b"age-encryption.org/v1\n-> X25519 a\nYWdl\n--- ".to_vec();
        file.extend([b'A'; 43]);
        file.extend(*b"\n0123456789abcdef");
        let context = Context {
            deadline: Deadline::after(Duration::ZERO),
            unattended: true,
            login: false,
            withheld: &[],
            warn: &|_| {},
        };
        match age.decrypt(&file, &context) {
            Err(Problem::File(said)) => said.text,
            _ => "something else".to_owned(),
        }
    }

    #[test]
    fn a_file_that_takes_all_the_time_is_not_laid_to_the_identities() {
        let age = Age {
            store: "store".into(),
            identities_file: "/nowhere/identities".into(),
            named: false,
            relative: None,
            identities: Once::new(),
        };
        assert_eq!(late(&age), "was not decrypted in time");
        // Nor is it held against the next file that they could not be read.
        let made = age.identities.get_or_make(|| Ok(Vec::new()));
        assert!(made.unwrap().is_empty());
    }
}
