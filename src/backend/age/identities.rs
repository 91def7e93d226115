//! The identities file: its kinds, and how it is unlocked.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use age::{DecryptError, Identity as _, Recipient, scrypt, ssh, x25519};
use age_core::format::{FileKey, Stanza};

use super::armor;
use super::format::{self, File};
use super::plugin::{self, Plugin};
use super::terminal::{self, Echo, NoAnswer};
use crate::backend::{Context, Reason};
use crate::deadline::Deadline;
use crate::detached::Detached;
use crate::file;
use crate::once::Once;
use crate::process;
use crate::secret::{Secret, SecretBuffer};
use crate::text::shell;
use crate::{trust, watch};

/// The most work that unlocking may cost, as age has it: 2^22, a quarter of a minute.
const MAX_WORK_FACTOR: u8 = 22;

/// The longest identities file, in bytes: room for thousands of them.
const LIMIT: usize = 1 << 20;
/// The longest SSH key, in bytes: room for an RSA key of 16384 bits, the longest that ssh-keygen makes. One of more than
/// 4096 bits is refused once it is read, so using one takes less than a tenth of a second.
const SSH_LIMIT: usize = 16 << 10;
const SSH_LINES: usize = 512;
/// The most plugins that one file may name.
const PLUGINS: usize = 64;

/// What an identities file holds.
pub enum Identities {
    /// Identities, the plugins last: they may need a person, or not be here.
    Open(Vec<Identity>),
    /// An age file that a passphrase opens: its bytes.
    Protected(Vec<u8>),
}

/// One identity, or all those of one plugin.
pub enum Identity {
    /// A native one.
    X25519(x25519::Identity),
    /// An SSH key of the given type.
    Ssh(String, ssh::Identity),
    /// An SSH key with a passphrase.
    LockedSsh(Box<LockedSsh>),
    /// Those of a plugin.
    Plugin(Plugin),
}

/// An SSH key with a passphrase.
pub struct LockedSsh {
    file: PathBuf,
    key: ssh::EncryptedKey,
    /// The type, and the tag that stands beside it in the header of a file for this key.
    mark: (String, String),
    unlocked: Once<ssh::Identity, Reason>,
}

impl Identities {
    /// Reads `path`, if nobody else may write it, and warns if others can read it.
    pub fn read(path: &Path, context: &Context) -> Result<Identities, Reason> {
        let shown = path.display();
        let about = |what: Reason| what.after(format_args!("the identities file {shown}"));
        let file = match file::open(path, context.deadline) {
            Ok(Some(file)) => file,
            Ok(None) => {
                return Err(about("does not exist".into()).hint(format!(
                    "create one with age-keygen -o {}, or set PASSAGE_IDENTITIES_FILE",
                    shell(&path.to_string_lossy())
                )));
            }
            Err(error) => return Err(about(error.after("cannot be used:"))),
        };
        // Its plugins are programs.
        let exposed = trust::key_file(path, &file)?;
        let text = file::read_all(&file, LIMIT, context.deadline).map_err(about)?;
        if let Some(data) = armored_or_binary(text.expose(), context.deadline) {
            return Ok(Identities::Protected(data.map_err(about)?));
        }
        if let Some(exposed) = exposed {
            (context.warn)(&exposed);
        }
        let identities = parse(text.expose(), path, context.deadline)?;
        Ok(Identities::Open(identities))
    }

    /// Asks for the passphrase where one is needed.
    pub fn unlock(self, path: &Path, context: &Context) -> Result<Vec<Identity>, Reason> {
        let data = match self {
            Identities::Open(identities) => return Ok(identities),
            Identities::Protected(data) => data,
        };
        let shown = path.display();
        let about = |what: Reason| what.after(format_args!("the identities file {shown}"));
        let problem = |what: &str| about(what.into());
        const DAMAGED: &str = "is a damaged age file";
        let file = File::parse(&data, context.deadline).map_err(|_| problem(DAMAGED))?;
        if !file.has_passphrase() {
            return Err(problem("is encrypted for keys, not with a passphrase"));
        }
        let mut opener = scrypt::Identity::new(passphrase(path, context)?);
        opener.set_max_work_factor(MAX_WORK_FACTOR);
        let copy = |stanza: &Stanza| Stanza {
            tag: stanza.tag.clone(),
            args: stanza.args.clone(),
            body: stanza.body.clone(),
        };
        let stanzas: Vec<Stanza> = file.stanzas().iter().map(copy).collect();
        let key = match hard_work(path, context, move || opener.unwrap_stanzas(&stanzas))? {
            Some(Ok(key)) => key,
            None | Some(Err(DecryptError::DecryptionFailed)) => return Err(wrong(path)),
            Some(Err(DecryptError::ExcessiveWork { .. })) => {
                return Err(problem("takes too much work to unlock"));
            }
            Some(Err(_)) => return Err(problem(DAMAGED)),
        };
        let text = file.open(&key, context.deadline).map_err(about)?;
        parse(text.expose(), path, context.deadline)
    }

    /// How many there are of which kind, for people.
    pub fn describe(&self) -> String {
        let identities = match self {
            Identities::Protected(_) => return "protected with a passphrase".to_owned(),
            Identities::Open(identities) => identities,
        };
        let mut kinds: Vec<(String, usize)> = Vec::new();
        for identity in identities {
            let (kind, count) = match identity {
                Identity::X25519(_) => ("X25519".to_owned(), 1),
                Identity::Ssh(kind, _) => (kind.clone(), 1),
                Identity::LockedSsh(key) => (format!("{} with a passphrase", key.mark.0), 1),
                Identity::Plugin(plugin) => {
                    let absent = match process::find_program(plugin.program.as_ref()) {
                        Some(_) => "",
                        None => " (not on PATH)",
                    };
                    (
                        format!("{}{absent}", plugin.program),
                        plugin.identities.len(),
                    )
                }
            };
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, total)) => *total += count,
                None => kinds.push((kind, count)),
            }
        }
        let mut text = String::new();
        for (kind, count) in kinds {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{count} {kind}");
        }
        text
    }

    /// Why none of them can be used in these circumstances, if so; goes on after the name of the file.
    pub fn unusable(&self, context: &Context) -> Option<String> {
        let identities = match self {
            Identities::Protected(_) if context.unattended => {
                return Some(format!("{LOCKED}{}", NoAnswer::Unattended));
            }
            Identities::Protected(_) => return None,
            Identities::Open(identities) => identities,
        };
        let mut why = None;
        for identity in identities {
            let this = match identity {
                Identity::X25519(_) | Identity::Ssh(..) => return None,
                Identity::LockedSsh(_) if context.unattended => {
                    format!("{LOCKED}{}", NoAnswer::Unattended)
                }
                Identity::LockedSsh(_) => return None,
                Identity::Plugin(plugin) => match process::find_program(plugin.program.as_ref()) {
                    Some(_) => return None,
                    None => format!("needs {}, which is not on PATH", plugin.program),
                },
            };
            why.get_or_insert(this);
        }
        why
    }
}

impl LockedSsh {
    /// The key, if one of `stanzas` is for it; the passphrase is asked for only then, and once.
    pub fn for_one_of(
        &self,
        stanzas: &[Stanza],
        context: &Context,
    ) -> Option<Result<&ssh::Identity, Reason>> {
        let (kind, tag) = &self.mark;
        stanzas
            .iter()
            .any(|stanza| stanza.tag == *kind && stanza.args.first() == Some(tag))
            .then(|| self.unlocked.get_or_make(|| self.unlock(context)))
    }

    fn unlock(&self, context: &Context) -> Result<ssh::Identity, Reason> {
        let passphrase = passphrase(&self.file, context)?;
        let key = self.key.clone();
        match hard_work(&self.file, context, move || key.decrypt(passphrase))? {
            Ok(key) => Ok(key.into()),
            Err(_) => Err(wrong(&self.file)),
        }
    }
}

/// Of what cannot be unlocked, before why.
const LOCKED: &str = "is locked with a passphrase: ";

fn passphrase(path: &Path, context: &Context) -> Result<SecretString, Reason> {
    let shown = path.display();
    let question = format!("mxm-secrets: passphrase of {shown}");
    let typed = terminal::ask(&question, Echo::Off, context).map_err(|none| match none {
        NoAnswer::Interrupted => Reason::from("interrupted at the passphrase"),
        none => Reason::from(format!("{shown} {LOCKED}{none}"))
            .hint("for unattended use, set up identities without a passphrase")
            .transient(none == NoAnswer::TimedOut),
    })?;
    // A copy of exactly this size, wiped by the type it is for.
    match std::str::from_utf8(typed.expose()) {
        Ok(text) => Ok(SecretString::from(Box::<str>::from(text))),
        Err(_) => Err(wrong(path)),
    }
}

/// Makes the key of a passphrase. That is meant to be hard work, and how hard, the file says.
fn hard_work<R: Send + 'static>(
    path: &Path,
    context: &Context,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Reason> {
    let shown = path.display();
    let cannot = |error| Reason::of(format_args!("cannot unlock {shown}"), &error);
    let work = Detached::begin(work).map_err(cannot)?;
    loop {
        let [done] = watch::wait_readable([Some(work.done())], context.deadline.remaining())
            .map_err(cannot)?;
        if done {
            return work.result().map_err(cannot);
        }
        context
            .deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("unlocked").after(&shown))?;
    }
}

fn wrong(path: &Path) -> Reason {
    Reason::from(format!("wrong passphrase for {}", path.display()))
}

/// The age file that `text` is, if it is one.
pub fn armored_or_binary(text: &[u8], deadline: Deadline) -> Option<Result<Vec<u8>, Reason>> {
    if armor::is_armored(text) {
        Some(armor::decode(text, deadline))
    } else {
        text.starts_with(format::MAGIC).then(|| Ok(text.to_vec()))
    }
}

/// The identities in `text`, the content of `path`.
pub fn parse(text: &[u8], path: &Path, deadline: Deadline) -> Result<Vec<Identity>, Reason> {
    let shown = path.display();
    if text.starts_with(b"-----BEGIN ") {
        return Ok(vec![parse_ssh(text, path)?]);
    }
    let (mut identities, mut plugins) = (Vec::new(), Vec::<Plugin>::new());
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let late = deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("read"));
        late.map_err(|late| late.after(format_args!("the identities file {shown}")))?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#") || line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let refuse = |what: &str| {
            Err::<Vec<Identity>, _>(Reason::from(format!(
                "line {number} of the identities file {shown} {what}"
            )))
        };
        let Ok(identity) = std::str::from_utf8(line) else {
            return refuse("is not text");
        };
        if let Ok(identity) = identity.parse() {
            identities.push(Identity::X25519(identity));
        } else if let Some(name) = plugin::name(identity) {
            let plugin = match plugins.iter().position(|plugin| plugin.is(&name)) {
                Some(known) => plugins.get_mut(known),
                None if plugins.len() == PLUGINS => {
                    return refuse("names one plugin too many: at most 64 can be used");
                }
                None => {
                    plugins.push(Plugin::new(&name));
                    plugins.last_mut()
                }
            };
            if let Some(plugin) = plugin {
                plugin.identities.push(Secret::copy_of(line));
            }
        } else if identity.starts_with("AGE-SECRET-KEY-PQ-1") {
            return refuse("is a post-quantum identity, which only a plugin can use").map_err(
                |reason| reason.hint("convert it for the plugin with age-plugin-pq -identity"),
            );
        } else if identity.starts_with("AGE-SECRET-KEY-1") {
            return refuse("is a damaged identity");
        } else if identity.starts_with("age1") || identity.starts_with("ssh-") {
            return refuse("is a public key; an identity is a private key");
        } else if line.starts_with(armor::BEGIN) {
            return refuse("starts an encrypted file: remove everything before that line");
        } else if identity.starts_with("-----BEGIN ") {
            return refuse("starts an SSH key, which must be the only content of its file");
        } else {
            return refuse("is not an identity of a known kind");
        }
    }
    identities.extend(plugins.into_iter().map(Identity::Plugin));
    if identities.is_empty() {
        return Err(
            Reason::from(format!("the identities file {shown} has no identity"))
                .hint("create one with age-keygen"),
        );
    }
    Ok(identities)
}

fn parse_ssh(text: &[u8], path: &Path) -> Result<Identity, Reason> {
    let shown = path.display();
    let refuse = |what: &str| Reason::from(format!("the SSH key {shown} {what}"));
    let convert = || {
        format!(
            "convert it with ssh-keygen -o -p -f {}",
            shell(&path.to_string_lossy())
        )
    };
    // The age crate begins anew with every line.
    if text.len() > SSH_LIMIT || text.split(|&byte| byte == b'\n').count() > SSH_LINES {
        return Err(refuse("is larger than 16 KiB, or has more than 512 lines"));
    }
    if [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    ]
    .iter()
    .any(|begin| text.starts_with(begin.as_bytes()))
    {
        let what = "is in the PKCS#8 format; only the formats of OpenSSH and PKCS#1 can be used";
        return Err(refuse(what).hint(convert()));
    }
    // Without its carriage returns, which the age crate knows only in part. It reads the text through a buffer of its
    // own, which nobody wipes.
    let mut plain = SecretBuffer::new(SSH_LIMIT);
    for line in text.split_inclusive(|&byte| byte == b'\r') {
        let _ = plain.extend(line.strip_suffix(b"\r").unwrap_or(line));
    }
    let key = ssh::Identity::from_buffer(plain.expose(), None)
        .map_err(|_| refuse("is damaged, or not a key that age can use: ed25519 or RSA"))?;
    let public = ssh::Recipient::try_from(key.clone());
    match (key, public) {
        (ssh::Identity::Unsupported(ssh::UnsupportedKey::EncryptedPem), _) => {
            Err(refuse("is encrypted in the old PEM format").hint(convert()))
        }
        (ssh::Identity::Unsupported(ssh::UnsupportedKey::EncryptedSsh(_)), _) => {
            Err(refuse("is encrypted with a cipher that is not supported"))
        }
        (ssh::Identity::Unsupported(ssh::UnsupportedKey::Hardware(_)), _) => {
            Err(refuse("is on a security key, which age cannot use"))
        }
        (ssh::Identity::Unsupported(_), _) | (_, Err(_)) => Err(refuse(
            "is of a type that age cannot use: only ed25519 and RSA are supported, RSA up to 4096 bits",
        )),
        (key @ ssh::Identity::Unencrypted(_), Ok(public)) => {
            let public = public.to_string();
            let kind = public.split(' ').next().unwrap_or("ssh");
            Ok(Identity::Ssh(kind.to_owned(), key))
        }
        (ssh::Identity::Encrypted(key), Ok(public)) => {
            // How a file for this key is marked is shown by making such a mark.
            let sample = FileKey::init_with_mut(|_| {});
            let mark = public.wrap_file_key(&sample).ok().and_then(|(stanzas, _)| {
                let stanza = stanzas.into_iter().next()?;
                Some((stanza.tag, stanza.args.into_iter().next()?))
            });
            Ok(Identity::LockedSsh(Box::new(LockedSsh {
                file: path.to_owned(),
                key,
                mark: mark.ok_or_else(|| refuse("is of a type that age cannot use"))?,
                unlocked: Once::new(),
            })))
        }
    }
}
