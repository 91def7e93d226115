//! Where the password stores are, and whether they are whole: a program that finds nothing says the same of a store
//! that is gone, of one that may not be read, and of one that has no such secret.

use std::fs;
use std::path::{PathBuf, absolute};

use super::settings::{Settings, data_directory, home, variable};
use crate::backend::Reason;
use crate::deadline::Deadline;
use crate::{file, sys};

/// The files that make a directory a store, each with what its secrets' names end with.
const MARKS: [(&str, Crypto); 3] = [
    (".gpg-id", Crypto::Gpg),
    (".age-recipients", Crypto::Age),
    (".plain-id", Crypto::Plain),
];

/// The file in which a store that hides its names has them, encrypted.
const HIDDEN_NAMES: &str = ".gopass-mapping";

/// How the file of a secret is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypto {
    Gpg,
    Age,
    Plain,
}

impl Crypto {
    fn extension(self) -> &'static str {
        match self {
            Crypto::Gpg => "gpg",
            Crypto::Age => "age",
            Crypto::Plain => "txt",
        }
    }
}

/// What is there for a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// No store, and no trace of one.
    NoStore,
    /// Nothing, in a store that is whole.
    Absent,
    /// A folder.
    Folder,
    /// A file that may be read, and its length.
    File(PathBuf, Crypto, u64),
    /// Nobody but gopass knows: the store hides its names.
    Hidden,
    /// Nobody but the program knows which store it reads, and why.
    Elsewhere(Reason),
}

/// The store that is meant for a secret.
#[derive(Debug)]
pub struct Store {
    pub root: PathBuf,
    /// Where it is mounted; empty: it is the root store.
    alias: String,
    /// The name of the secret in it.
    below: String,
    /// Whether somebody has named it, so that it has to be there.
    named: bool,
    /// Whether it is where gopass makes an empty directory, whatever it is asked, and notes the place.
    made: bool,
    /// A configuration that may say otherwise, and is not read.
    unread: Option<PathBuf>,
}

impl Store {
    /// The store that gopass takes for `path`.
    ///
    /// # Errors
    /// Which store is meant cannot be known.
    pub fn of_gopass(path: &str, deadline: Deadline) -> Result<Store, Reason> {
        let settings = Settings::read(deadline)?;
        let store = |alias: &str, root, named| Store {
            root,
            alias: alias.to_owned(),
            below: path[alias.len()..].trim_start_matches('/').to_owned(),
            named,
            made: false,
            unread: settings.unread.clone(),
        };
        if let Some((alias, root)) = settings.mount_of(path) {
            return Ok(store(alias, clean(root), true));
        }
        if let Some(root) = variable("PASSWORD_STORE_DIR") {
            return Ok(store("", clean(&root.to_string_lossy()), true));
        }
        let (old, new) = (
            home().join(".password-store"),
            data_directory().join("stores/root"),
        );
        Ok(match settings.get("mounts.path").map(clean) {
            // Whatever is asked of it, gopass writes down the places where it would make a store. It writes who reads
            // a store only when there is one.
            Some(root) => {
                let unused = settings.get("recipients.hash").is_none();
                let made = unused && root == new;
                let named = !(made || unused && root == old);
                Store {
                    made,
                    ..store("", root, named)
                }
            }
            None if file::look(&old)?.is_some() => store("", old, false),
            None => store("", new, false),
        })
    }

    /// The store of pass and of the other gopass.
    pub fn of_pass(path: &str) -> Store {
        let given = variable("PASSWORD_STORE_DIR");
        Store {
            named: given.is_some(),
            root: given.unwrap_or_else(|| sys::home_or_root().join(".password-store")),
            alias: String::new(),
            below: path.to_owned(),
            made: false,
            unread: None,
        }
    }

    /// What is there for the secret.
    ///
    /// # Errors
    /// The store is gone or damaged, or may not be read.
    pub fn entry(&self, deadline: Deadline) -> Result<Entry, Reason> {
        if let Some(file) = &self.unread {
            let reason = Reason::from(format!(
                "which store gopass reads is said in {}, which only gopass can read",
                file.display()
            ));
            return Ok(Entry::Elsewhere(reason.hint(
                "run gopass once by hand: it writes its configuration in the form of today",
            )));
        }
        // Where there is no directory, each of its files need not be looked for.
        let there = file::look(&self.root)?.is_some();
        if there && file::look(&self.root.join(HIDDEN_NAMES))?.is_some() {
            return Ok(Entry::Hidden);
        }
        let shown = self.root.display();
        let mut kinds = Vec::new();
        for (mark, kind) in MARKS {
            if there && file::look(&self.root.join(mark))?.is_some() {
                kinds.push(kind);
            }
        }
        if kinds.is_empty() {
            // An empty directory may be where a volume is to be mounted.
            let made = self.made
                && there
                && fs::read_dir(&self.root)
                    .map_err(|error| file::cannot_read(&self.root, &error))?
                    .next()
                    .is_none();
            if made || !there && !self.named {
                return Ok(Entry::NoStore);
            }
            let which = match self.alias.as_str() {
                "" => "the password store".to_owned(),
                alias => format!("the store mounted at {alias}"),
            };
            return Err(match there {
                false => format!("{which} is not there: {shown}"),
                true => format!("{which} is not initialized: {shown} has no .gpg-id"),
            }
            .into());
        }
        for kind in kinds {
            let file = self
                .root
                .join(format!("{}.{}", self.below, kind.extension()));
            if let Some(data) = file::look(&file)? {
                if !data.is_file() {
                    return Err(format!("{} is not a regular file", file.display()).into());
                }
                sys::open_to_read(&file).map_err(|error| file::cannot_read(&file, &error))?;
                return Ok(Entry::File(file, kind, data.len()));
            }
        }
        let place = self.root.join(&self.below);
        if file::look(&place)?.is_some_and(|data| data.is_dir()) {
            return Ok(Entry::Folder);
        }
        file::is_not_hollow(&self.root, &place, deadline)?;
        if self.has_hidden_name(deadline)? {
            return Err(format!(
                "{shown} hides the names of its secrets, and {HIDDEN_NAMES}, which has them, is not there"
            )
            .into());
        }
        Ok(Entry::Absent)
    }

    /// Whether a file has a name as they are made for secrets whose names are hidden: the SHA-256 of the name.
    fn has_hidden_name(&self, deadline: Deadline) -> Result<bool, Reason> {
        for entry in
            fs::read_dir(&self.root).map_err(|error| file::cannot_read(&self.root, &error))?
        {
            let name = entry
                .map_err(|error| file::cannot_read(&self.root, &error))?
                .file_name();
            let name = name.as_encoded_bytes();
            if name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit) {
                return Ok(true);
            }
            deadline
                .go_on()
                .map_err(|ended| ended.before_it_was("searched").after(self.root.display()))?;
        }
        Ok(false)
    }
}

/// A path of the configuration of gopass, as gopass reads it.
fn clean(path: &str) -> PathBuf {
    let expanded = match (path.strip_prefix("~/"), variable("GOPASS_HOMEDIR")) {
        // Without a slash between them.
        (Some(below), Some(mut home)) => {
            home.as_mut_os_string().push(below);
            home
        }
        (Some(below), None) => sys::home_or_root().join(below),
        (None, _) => PathBuf::from(path),
    };
    absolute(&expanded).unwrap_or(expanded)
}
