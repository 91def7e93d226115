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

    fn ask(&self, name: &Name, _: &Context) -> Answer {
        kernel::ask(&self.description(name), name)
    }

    fn status(&self, _: &Context) -> Status {
        let uses = format!("user keys {}NAME", self.prefix);
        match kernel::unavailable() {
            Some(reason) => Status::unavailable(uses, reason),
            None => Status::ready(uses),
        }
    }
}

#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
mod kernel {
    use linux_keyutils::{Key, KeyError, KeyRing, KeyRingIdentifier};

    use crate::backend::{Answer, NoSecret, NoStore, Reason};
    use crate::name::Name;
    use crate::secret::Secret;

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

    /// The first key called `description`. One that has expired or was revoked does not hide a good one after it, as
    /// in the kernel's own search.
    pub fn ask(description: &str, name: &Name) -> Answer {
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
                    return Answer::unavailable(NoStore::NotHere, refused(error));
                }
                Err(error) => {
                    return Answer::failed(format!("the {keyring}, for {name}: {}", words(error)));
                }
            };
            let possessed = if foreign { possess(id) } else { Ok(()) };
            let (key, error) = match ring.search(description) {
                Ok(key) => match read(key) {
                    Ok(secret) => {
                        let locator = format!("{keyring}, key {}", key.get_id().as_raw_id());
                        return Answer::text(secret, name, locator);
                    }
                    Err(error) => (Some(key), error),
                },
                Err(error) => (None, error),
            };
            match cause(error, possessed) {
                KeyError::KeyDoesNotExist => {}
                KeyError::KeyExpired | KeyError::KeyRevoked => {
                    gone.get_or_insert(format!("{description} in the {keyring} {}", end(error)));
                }
                NO_SUCH_CALL => return Answer::unavailable(NoStore::NotHere, refused(error)),
                error => {
                    let id = key.map_or_else(String::new, |key| {
                        format!("key {}, ", key.get_id().as_raw_id())
                    });
                    let mut reason = Reason::from(format!(
                        "{description} in the {keyring} ({id}for {name}): {}",
                        words(error)
                    ));
                    if error == KeyError::AccessDenied {
                        reason = reason.hint(
                            "keyctl describe shows the permissions; reading needs search or read",
                        );
                    }
                    return Answer::Failed(reason);
                }
            }
        }
        match gone {
            Some(gone) => Answer::miss(NoSecret::Gone, format!("{}: {gone}", name.path())),
            None => Answer::miss(
                NoSecret::NoEntry,
                format!("{}: no keyring has a user key {description}", name.path()),
            ),
        }
    }

    /// Why there are no keyrings here, if so.
    pub fn unavailable() -> Option<Reason> {
        match KeyRing::from_special_id(KeyRingIdentifier::Session, false) {
            Err(error) if is_facility(error) => Some(refused(error)),
            _ => None,
        }
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
            .hint("a container's seccomp profile may forbid keyctl, as Docker's own does")
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
                "no key can be called that"
            }
            KeyError::OutOfMemory => "the kernel has not enough memory",
            KeyError::QuotaExceeded => "the quota of keys of this user is used up",
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
    use crate::backend::{Answer, NoStore, Reason};
    use crate::name::Name;

    pub fn ask(_: &str, _: &Name) -> Answer {
        Answer::unavailable(
            NoStore::NotHere,
            "unavailable on this system: kernel keyrings are a part of Linux",
        )
    }

    pub fn unavailable() -> Option<Reason> {
        Some(Reason::from(
            "unavailable on this system: kernel keyrings are a part of Linux",
        ))
    }
}
