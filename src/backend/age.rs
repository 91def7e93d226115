//! age files in passage's layout, decrypted in-process: `prod/api-key` is `~/.passage/store/prod/api-key.age`.
//!
//! The identities are read, and unlocked by a person, once for all that is asked of one backend, and not before there
//! is a file to decrypt. Nothing of a plaintext leaves this file before all of it has been authenticated.

mod identities;
mod plugin;
mod terminal;

use std::cell::RefCell;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use age::stream::StreamReader;
use age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};

use super::{Answer, Backend, Context, Entry, Reason, Status};
use crate::config::{Key, Kind, Section};
use crate::name::Name;
use crate::process;
use crate::secret::{LIMIT, Secret, SecretBuffer};
use crate::sys;
use identities::{Identities, Identity, read_all};

pub const ENTRY: Entry = Entry {
    name: "age",
    about: "age files, decrypted in-process: prod/api-key is ~/.passage/store/prod/api-key.age",
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
    open: Some(|section| Box::new(Age::open(section))),
};

/// The longest age file that may hold a secret of [`LIMIT`] bytes, armor and header included.
const FILE_LIMIT: usize = LIMIT / 2 * 3;

struct Age {
    store: PathBuf,
    identities_file: PathBuf,
    identities: OnceLock<Result<Vec<Identity>, Reason>>,
}

impl Age {
    fn open(section: &Section) -> Age {
        let path = |variable, key, default| match std::env::var_os(variable) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => match section.path(key) {
                Some(path) => path.to_owned(),
                // As a shell has it: nothing, and then a slash.
                None => std::env::home_dir()
                    .filter(|home| home.is_absolute())
                    .unwrap_or_else(|| "/".into())
                    .join(default),
            },
        };
        Age {
            store: path("PASSAGE_DIR", "store", ".passage/store"),
            identities_file: path(
                "PASSAGE_IDENTITIES_FILE",
                "identities",
                ".passage/identities",
            ),
            identities: OnceLock::new(),
        }
    }

    /// A name has no `..` and no leading slash, so it stays below the store, but for links in it.
    fn file(&self, name: &Name) -> PathBuf {
        self.store.join(format!("{}.age", name.path()))
    }

    /// The bytes of the file for `name`, or the answer when there is none.
    fn read(&self, name: &Name, path: &Path, context: &Context) -> Result<Secret, Answer> {
        let shown = path.display();
        let miss = || Answer::miss(format!("{} is not in the age store: {shown}", name.path()));
        let file = match sys::open_to_read(path) {
            Ok(file) => file,
            Err(error) => {
                return Err(match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                        match self.has_store() {
                            Ok(()) if path.symlink_metadata().is_ok() => {
                                Answer::failed(format!("{shown} is a link to nothing"))
                            }
                            Ok(()) => miss(),
                            Err(answer) => answer,
                        }
                    }
                    // No file can have such a name.
                    io::ErrorKind::InvalidFilename => miss(),
                    _ => Answer::failed(format!("cannot read {shown}: {error}")),
                });
            }
        };
        if file.metadata().is_ok_and(|data| data.is_dir()) {
            return Err(miss());
        }
        read_all(&file, FILE_LIMIT, context.deadline)
            .map_err(|problem| Answer::failed(format!("{shown} {problem}")))
    }

    fn has_store(&self) -> Result<(), Answer> {
        let shown = self.store.display();
        match self.store.metadata() {
            Ok(data) if data.is_dir() => Ok(()),
            Ok(_) => Err(Answer::failed(format!(
                "the age store {shown} is not a directory"
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Answer::unavailable(
                Reason::from(format!("there is no age store {shown}"))
                    .hint("mkdir makes one; another place is named by PASSAGE_DIR"),
            )),
            Err(error) => Err(Answer::failed(format!(
                "cannot read the age store {shown}: {error}"
            ))),
        }
    }

    fn identities(&self, context: &Context) -> Result<&Vec<Identity>, Reason> {
        let path = &self.identities_file;
        self.identities
            .get_or_init(|| Identities::read(path, context)?.unlock(path, context))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The plaintext of `data`, or what is wrong with the file.
    fn decrypt(&self, data: &[u8], context: &Context) -> Result<Secret, Problem> {
        if data.is_empty() {
            return Err(Problem::File("is empty, which no age file is"));
        }
        let decoded;
        let data = if armor::is_armored(data) {
            decoded = armor::decode(data).map_err(Problem::File)?;
            &decoded
        } else {
            data
        };
        let decryptor = Decryptor::new_buffered(data).map_err(|error| {
            Problem::File(match error {
                DecryptError::UnknownFormat => {
                    "is of a version of the age format that is not known"
                }
                _ if !data.starts_with(b"age-encryption.org/") => "is not an age file",
                DecryptError::Io(_) => "is cut short",
                _ => "has a damaged header",
            })
        })?;
        if !stanzas_are_whole(data) {
            return Err(Problem::File("has a damaged header"));
        }
        let attempt = Attempt {
            identities: self.identities(context).map_err(Problem::Identities)?,
            context,
            trouble: RefCell::new(None),
            kinds: RefCell::new(Vec::new()),
        };
        let result = decryptor.decrypt(std::iter::once(&attempt as &dyn age::Identity));
        let trouble = attempt.trouble.into_inner();
        let stream = result.map_err(|error| match (error, trouble) {
            (_, Some(trouble)) => Problem::Identities(trouble),
            (DecryptError::NoMatchingKeys, None) => Problem::OtherKeys(attempt.kinds.into_inner()),
            (_, None) => Problem::File("has a damaged header: it does not authenticate"),
        })?;
        payload(stream).map_err(Problem::File)
    }
}

/// What stands in the way of a plaintext.
enum Problem {
    /// The file is to blame; how it goes on after its name.
    File(&'static str),
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
            Ok(secret) => Answer::text(secret, name, shown.to_string()),
            Err(Problem::File(problem)) => Answer::failed(format!("{shown} {problem}")),
            Err(Problem::OtherKeys(kinds)) => Answer::failed(format!(
                "{shown} is not encrypted for an identity in {}, but for {}",
                self.identities_file.display(),
                kinds.join(", ")
            )),
            Err(Problem::Identities(mut reason)) => {
                reason.text = format!("cannot decrypt {shown}: {}", reason.text);
                Answer::Failed(reason)
            }
        }
    }

    fn status(&self, context: &Context) -> Status {
        let file = self.identities_file.display();
        let uses = format!("{}, {file}", self.store.display());
        if let Err(Answer::Unavailable(reason) | Answer::Failed(reason)) = self.has_store() {
            return Status::unavailable(uses, reason);
        }
        match Identities::read(&self.identities_file, context) {
            Ok(identities) => {
                let uses = format!("{uses} ({})", identities.describe());
                if identities.locked() && context.unattended {
                    return Status::unavailable(
                        uses,
                        format!("locked: {file} has a passphrase, and no person is there"),
                    );
                }
                Status::ready(uses)
            }
            Err(reason) => Status::unavailable(uses, reason),
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
    /// Why one of them could not be tried.
    trouble: RefCell<Option<Reason>>,
    /// For which kinds of keys the file is, when it is for none of ours.
    kinds: RefCell<Vec<&'static str>>,
}

impl age::Identity for Attempt<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        for identity in self.identities {
            let result = match identity {
                Identity::X25519(key) => key.unwrap_stanzas(stanzas),
                Identity::Ssh(_, key) => key.unwrap_stanzas(stanzas),
                Identity::LockedSsh(key) => match key.for_one_of(stanzas, self.context) {
                    Some(Ok(key)) => key.unwrap_stanzas(stanzas),
                    Some(Err(reason)) => self.note(reason.clone()),
                    None => None,
                },
                Identity::Plugin(plugin) => match plugin.unwrap(stanzas, self.context) {
                    Ok(key) => key.map(Ok),
                    Err(reason) => self.note(reason),
                },
            };
            if result.is_some() {
                return result;
            }
            if self.context.deadline.passed() || process::interrupted() {
                break;
            }
        }
        let mut kinds = self.kinds.borrow_mut();
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
        None
    }
}

impl Attempt<'_> {
    /// Keeps the first trouble: the next identity may do.
    fn note(&self, reason: Reason) -> Option<Result<FileKey, DecryptError>> {
        self.trouble.borrow_mut().get_or_insert(reason);
        None
    }
}

/// Whether the body of every stanza in the header ends in a short line, as the format wants it: the age crate takes
/// those without one, too, as early versions wrote them.
fn stanzas_are_whole(file: &[u8]) -> bool {
    let mut whole = true;
    for line in file.split(|&byte| byte == b'\n').skip(1) {
        match line {
            [b'-', b'-', b'-', ..] => break,
            [b'-', b'>', ..] if !whole => return false,
            [b'-', b'>', ..] => whole = false,
            _ => whole = line.len() < 64,
        }
    }
    whole
}

/// The whole plaintext, all of it authenticated, or how the message about the file goes on after its name.
fn payload(mut stream: StreamReader<&[u8]>) -> Result<Secret, &'static str> {
    match SecretBuffer::new(LIMIT).read_all(&mut stream) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err("holds more than 16 MiB"),
        Err(_) => Err("is damaged or cut short: its content does not authenticate"),
    }
}

/// The text form of age files.
mod armor {
    use super::Read;

    /// Whether `file` means to be armored.
    pub fn is_armored(file: &[u8]) -> bool {
        after_blank_lines(file).starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
    }

    /// Lines of nothing but blanks may stand before the armor.
    fn after_blank_lines(file: &[u8]) -> &[u8] {
        let text = file.trim_ascii_start();
        match file.strip_suffix(text) {
            Some(blanks) if blanks.is_empty() || blanks.ends_with(b"\n") => text,
            _ => file,
        }
    }

    /// The binary form, which is no secret.
    pub fn decode(file: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut decoded = Vec::with_capacity(file.len());
        age::armor::ArmoredReader::new(after_blank_lines(file))
            .read_to_end(&mut decoded)
            .map(|_| decoded)
            .map_err(|_| "has a damaged armor")
    }
}
