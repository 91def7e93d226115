//! The Linux kernel keyring: `prod/api-key` is the `user` key `mxm:prod/api-key`.
//!
//! A key is looked for where keyctl(1) looks, and then in the keyrings of the user, which not every session is linked
//! to (a service of systemd's, for one). Nothing is ever written, and no program is started to make a missing key.

use super::{Answer, Backend, Context, Declaration, Status};
use crate::name::Name;
use crate::schema::{Key, Kind, Section};

pub const DECLARATION: Declaration = Declaration {
    keys: &[Key {
        name: "prefix",
        kind: Kind::Text,
        default: "mxm:",
        variable: None,
        about: "put before the name",
    }],
    variables: &[],
    open: |section| Box::new(Keyring::open(section)),
};

struct Keyring {
    prefix: String,
}

impl Keyring {
    fn open(section: &Section) -> Keyring {
        Keyring {
            prefix: section.text("prefix").unwrap_or("mxm:").to_owned(),
        }
    }

    /// What the key is called.
    fn description(&self, name: &Name) -> String {
        format!("{}{}", self.prefix, name.path())
    }
}

impl Backend for Keyring {
    fn locator(&self, name: &Name) -> String {
        let key = format!("user key {}", self.description(name));
        match name.field() {
            Some(field) => format!("{key}#{field}"),
            None => key,
        }
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        let description = self.description(name);
        match kernel::find(&description, &description, name.path()) {
            Ok((secret, locator)) => Answer::text(secret, name, locator, context.deadline),
            Err(answer) => answer,
        }
    }

    fn status(&self, _: &Context) -> Status {
        let uses = format!("user keys {}NAME", self.prefix);
        // No name has such a character, so no secret is found.
        let (description, shown) = (
            format!("{}\u{1}", self.prefix),
            format!("{}NAME", self.prefix),
        );
        match kernel::find(&description, &shown, "NAME") {
            Ok(_) => Status::ready(uses),
            Err(answer) => Status::of(uses, answer),
        }
    }
}

#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
mod kernel {
    use linux_keyutils::{Key, KeyError, KeyRing, KeyRingIdentifier};

    use crate::backend::{Answer, NoSecret, NoStore, Reason};
    use crate::secret::Secret;
    use crate::sys;

    /// The keyrings in the order of the search, and whether each has to be made ours first.
    const KEYRINGS: [(KeyRingIdentifier, &str, bool); 5] = [
        (KeyRingIdentifier::Thread, "thread keyring", false),
        (KeyRingIdentifier::Process, "process keyring", false),
        (KeyRingIdentifier::Session, "session keyring", false),
        (KeyRingIdentifier::UserSession, "user session keyring", true),
        (KeyRingIdentifier::User, "user keyring", true),
    ];

    /// ENOSYS, which the crate has no word for: the kernel, or the sandbox, has no keyrings.
    const NO_SUCH_CALL: KeyError = KeyError::Unknown(38);

    /// The longest description, in bytes, that the crate has room for when it describes a key.
    const DESCRIBED: usize = 470;

    /// The value of the first key called `description`, and where it was found; messages call it `shown`. A key that
    /// has expired or was revoked does not hide a good one after it, as in the kernel's own search.
    pub fn find(description: &str, shown: &str, name: &str) -> Result<(Secret, String), Answer> {
        let mut gone = None;
        for (id, keyring, foreign) in KEYRINGS {
            let ring = match KeyRing::from_special_id(id, false) {
                Ok(ring) => ring,
                Err(KeyError::KeyDoesNotExist) => continue,
                Err(error @ (KeyError::KeyExpired | KeyError::KeyRevoked)) => {
                    gone.get_or_insert(format!("the {keyring} {}", end(error)));
                    continue;
                }
                Err(error) if is_facility(error) => {
                    return Err(Answer::unavailable(NoStore::NotHere, refused(error)));
                }
                Err(error) => {
                    let what = format!("the {keyring}, for {name}");
                    return Err(Answer::Failed(cannot(&what, error)));
                }
            };
            let possessed = if foreign { possess(id) } else { Ok(()) };
            let (key, error) = match ring.search(description) {
                Ok(key) => {
                    match owner(key, description).and_then(|owner| Ok((owner, read(key)?))) {
                        Ok((owner, secret)) if owner == 0 || owner == sys::user() => {
                            let locator = format!("{keyring}, key {}", key.get_id().as_raw_id());
                            return Ok((secret, locator));
                        }
                        Ok((owner, _)) => {
                            return Err(Answer::Failed(foreign_key(
                                shown, keyring, key, name, owner,
                            )));
                        }
                        Err(error) => (Some(key), error),
                    }
                }
                Err(error) => (None, error),
            };
            match cause(error, possessed) {
                KeyError::KeyDoesNotExist => {}
                KeyError::KeyExpired | KeyError::KeyRevoked => {
                    gone.get_or_insert(format!("{shown} in the {keyring} {}", end(error)));
                }
                NO_SUCH_CALL => {
                    return Err(Answer::unavailable(NoStore::NotHere, refused(error)));
                }
                error => {
                    let id = key.map_or_else(String::new, |key| {
                        format!("key {}, ", key.get_id().as_raw_id())
                    });
                    let what = format!("{shown} in the {keyring} ({id}for {name})");
                    let mut reason = cannot(&what, error);
                    if error == KeyError::AccessDenied {
                        reason = reason.hint(
                            "see its permissions with keyctl describe: view, and search or read, are needed",
                        );
                    }
                    return Err(Answer::Failed(reason));
                }
            }
        }
        Err(match gone {
            Some(gone) => Answer::miss(NoSecret::Gone, format!("{name}: {gone}")),
            None => Answer::miss(
                NoSecret::NoEntry,
                format!("{name}: no keyring has a user key {shown}"),
            ),
        })
    }

    /// Whose key it is. Whoever could add to a keyring that this process has inherited could plant one.
    fn owner(key: Key, description: &str) -> Result<u32, KeyError> {
        if description.len() > DESCRIBED {
            return Err(KeyError::InvalidDescription);
        }
        Ok(key.metadata()?.get_uid())
    }

    fn foreign_key(shown: &str, keyring: &str, key: Key, name: &str, owner: u32) -> Reason {
        let id = key.get_id().as_raw_id();
        Reason::from(format!(
            "{shown} in the {keyring} (key {id}, for {name}) belongs to the user {owner}, who is neither root nor you"
        ))
        .hint(format!("remove it with keyctl unlink {id}, or use a session of your own: keyctl session"))
    }

    /// Links a keyring of the user into the process keyring, which ends with this process: a key can be found in a
    /// keyring that the session is not linked to, but it can be read only where it is possessed. Where this fails the
    /// key may still be readable by its permissions, so that the read tells.
    fn possess(id: KeyRingIdentifier) -> Result<(), KeyError> {
        KeyRing::from_special_id(KeyRingIdentifier::Process, true)?.link_keyring_id(id)
    }

    /// Why the key could not be had: what has kept the keyring from being ours, if that was want of room.
    fn cause(error: KeyError, possessed: Result<(), KeyError>) -> KeyError {
        match (error, possessed) {
            (
                KeyError::AccessDenied,
                Err(want @ (KeyError::OutOfMemory | KeyError::QuotaExceeded)),
            ) => want,
            _ => error,
        }
    }

    /// Reads the value; a second time when it turns out to be longer than most are.
    fn read(key: Key) -> Result<Secret, KeyError> {
        let mut room = 1024;
        loop {
            // Plain memory for one call only, since the crate cannot write into a `Secret`.
            let mut bytes = vec![0; room];
            let length = key.read(&mut bytes);
            bytes.truncate(*length.as_ref().unwrap_or(&0));
            let secret = Secret::take(bytes);
            match length {
                Ok(length) if length > room => room = length,
                Ok(_) => return Ok(secret),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an error says that there is no facility for keys at all: not built into the kernel, or forbidden by a
    /// sandbox.
    fn is_facility(error: KeyError) -> bool {
        matches!(error, KeyError::PermissionDenied | NO_SUCH_CALL)
    }

    fn refused(error: KeyError) -> Reason {
        Reason::from(format!("no kernel keyrings here: {}", words(error)))
            .hint("allow keyctl in the container's seccomp profile; Docker's default forbids it")
    }

    fn cannot(what: &str, error: KeyError) -> Reason {
        let reason = Reason::from(format!("{what}: {}", words(error)));
        reason.transient(error == KeyError::OutOfMemory)
    }

    fn end(error: KeyError) -> &'static str {
        match error {
            KeyError::KeyExpired => "has expired",
            _ => "was revoked",
        }
    }

    fn words(error: KeyError) -> String {
        let words = match error {
            KeyError::AccessDenied => "permission denied",
            KeyError::PermissionDenied => "operation not permitted",
            NO_SUCH_CALL => "there is no such system call",
            KeyError::KeyRejected => "the key was rejected",
            KeyError::KeyExpired | KeyError::KeyRevoked => end(error),
            KeyError::InvalidArguments | KeyError::InvalidDescription => {
                "a key cannot have that name, or it is too long"
            }
            KeyError::OutOfMemory => "the kernel does not have enough memory",
            KeyError::QuotaExceeded => "this user's quota of keys is used up",
            KeyError::OperationNotSupported => "a key of this type cannot be read",
            KeyError::KeyDoesNotExist
            | KeyError::KeyringDoesNotExist
            | KeyError::InvalidIdentifier
            | KeyError::MissingFileOrDirectory => "it is not there",
            KeyError::BadAddress | KeyError::WriteError => "its value cannot be handed over",
            KeyError::Unknown(number) => {
                return std::io::Error::from_raw_os_error(number).to_string();
            }
        };
        words.to_owned()
    }
}

#[cfg(any(not(target_os = "linux"), mxm_secrets_portable))]
mod kernel {
    use crate::backend::{Answer, NoStore};
    use crate::secret::Secret;

    pub fn find(_: &str, _: &str, _: &str) -> Result<(Secret, String), Answer> {
        Err(Answer::unavailable(
            NoStore::NotHere,
            "unavailable on this system: kernel keyrings are a part of Linux",
        ))
    }
}
