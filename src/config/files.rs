//! The files of the configuration: where they are, and how they are read.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::layers::{DIMENSIONS, Layer};
use super::variable;
use super::yaml::{self, Data, Node, Place, Wrong};
use crate::config::Options;
use crate::deadline::{Deadline, Ended};
use crate::request::SECRETS;
use crate::schema::UsageError;
use crate::text::clipped;
use crate::trust::{Opened, Trust};
use crate::{file, sys};

/// Why a configuration must be trusted.
const PROGRAMS: &str = "it can name programs";

/// What is given for no configuration at all.
const NONE: &str = "/dev/null";

/// Our name in the store when MXM_APP does not say otherwise.
const APP: &str = "mxm-secrets";

/// The configuration as it was found: nothing in it is resolved yet.
#[derive(Default)]
pub struct Raw {
    /// The files that have been read; [`Place::file`] is a number among them.
    pub files: Vec<Arc<Path>>,
    /// The file, or the store's `default.yaml`; `None`: there is no configuration.
    pub base: Option<Node>,
    /// Whether the caller wants no configuration at all.
    pub is_none: bool,
    /// Whether it is the store, where other programs may have sections of their own.
    pub is_store: bool,
    /// The store's further files, in the order of their effect.
    pub layers: Vec<Layer>,
    /// The numbers of files of which one block is in effect, and its name.
    pub blocks: Vec<(usize, String)>,
    /// When the configuration must have been read.
    pub deadline: Deadline,
}

/// How many mistakes are told.
const MISTAKES: usize = 100;

/// How long reading a configuration may take if no timeout was given.
const TIME: Duration = Duration::from_secs(10);

/// When all that the command reads of a configuration must have been read.
pub fn deadline(options: &Options) -> Deadline {
    Deadline::after(options.timeout.unwrap_or(TIME))
}

/// The mistake of a configuration that was not read in time.
pub fn late(ended: Ended) -> UsageError {
    UsageError::new(format!("the configuration {}", ended.before_it_was("read")))
}

/// The configuration, or none where nothing of it is needed.
///
/// # Errors
/// Files that cannot be read, and files that are not YAML.
pub fn read(options: &Options, deadline: Deadline) -> Result<Raw, UsageError> {
    match find(options, deadline) {
        Err(_) if goes_without_home(options) => Ok(Raw::default()),
        found => found,
    }
}

/// Finds the configuration and reads it, all of its files.
///
/// # Errors
/// Files that cannot be read, and files that are not YAML.
pub fn find(options: &Options, deadline: Deadline) -> Result<Raw, UsageError> {
    let mut raw = Raw {
        deadline,
        ..Raw::default()
    };
    let mut wrong = Vec::new();
    let mut trust = Trust::of_root_or_user();
    let given = match &options.config_file {
        Some(path) => Some((path.clone(), "--config")),
        None => {
            variable("MXM_SECRETS_CONFIG")?.map(|path| (PathBuf::from(path), "MXM_SECRETS_CONFIG"))
        }
    };
    if let Some((path, source)) = given {
        if path == Path::new(NONE) {
            raw.is_none = true;
            return Ok(raw);
        }
        // What the file names is relative to it, and must not depend on where we go.
        let path = std::path::absolute(&path).unwrap_or(path);
        trust = Trust::of_any_owner();
        let file = open(&path, &trust, raw.deadline)?;
        let data = file.as_ref().and_then(|opened| opened.file.metadata().ok());
        // A full disk leaves a file like this.
        if data.is_some_and(|data| data.is_file() && data.len() == 0) {
            return Err(UsageError::new(format!(
                "{source}: {} is empty; for no configuration, give {NONE}",
                path.display()
            )));
        }
        match raw.take(file, &path, (&mut trust, PROGRAMS), &mut wrong)? {
            Some(tree) => raw.base = Some(tree),
            None => {
                return Err(UsageError::new(format!(
                    "{source}: {} does not exist",
                    path.display()
                )));
            }
        }
    } else if let Some(root) = raw.store(&mut trust, &mut wrong)? {
        raw.is_store = true;
        for dimension in &DIMENSIONS {
            let path = root.join(format!("{}.yaml", dimension.name));
            let file = raw.files.len();
            if let Some(tree) = raw.take(
                open(&path, &trust, raw.deadline)?,
                &path,
                (&mut trust, PROGRAMS),
                &mut wrong,
            )? {
                raw.layers.push(Layer {
                    dimension,
                    file,
                    tree,
                });
            }
        }
    } else if let Some(path) = user_file() {
        raw.base = raw.take(
            open(&path, &trust, raw.deadline)?,
            &path,
            (&mut trust, PROGRAMS),
            &mut wrong,
        )?;
    }
    if wrong.is_empty() {
        Ok(raw)
    } else {
        Err(raw.report(&wrong))
    }
}

/// Whether nothing of the home directory is needed, and nothing can be had: the chain is given, and HOME is another
/// user's, as in a container whose user is not that of its image.
fn goes_without_home(options: &Options) -> bool {
    let chain = options.backends.is_some() || sys::variable("MXM_SECRETS_BACKENDS").is_some();
    let elsewhere = [
        "MXM_SECRETS_CONFIG",
        "MXM_CONFIG_STORE",
        "MXM_APP",
        "XDG_CONFIG_HOME",
    ];
    chain
        && options.config_file.is_none()
        && elsewhere.iter().all(|name| sys::variable(name).is_none())
        && sys::is_at_a_strange_home()
}

/// Reads the file of a set.
///
/// # Errors
/// A file that cannot be read, or that is not YAML.
pub fn read_set(path: &Path, deadline: Deadline) -> Result<Raw, UsageError> {
    let mut raw = Raw {
        deadline,
        ..Raw::default()
    };
    let mut wrong = Vec::new();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut trust = Trust::of_any_owner();
    raw.base = raw.take(
        open(&path, &trust, raw.deadline)?,
        &path,
        (&mut trust, SECRETS),
        &mut wrong,
    )?;
    match raw.base {
        None => Err(UsageError::new(format!(
            "{} does not exist",
            path.display()
        ))),
        Some(_) if wrong.is_empty() => Ok(raw),
        Some(_) => Err(raw.report(&wrong)),
    }
}

/// Where a configuration is looked for when none is named.
pub fn places() -> Vec<PathBuf> {
    let store = sys::variable("MXM_CONFIG_STORE").map(PathBuf::from);
    let store = store.or_else(|| Some(sys::home()?.join("mxm-config-store")));
    let default = store.map(|store| store.join("apps").join(APP).join("default.yaml"));
    default.into_iter().chain(user_file()).collect()
}

/// The user's own file.
fn user_file() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(sys::home()?.join(".config")))?;
    Some(base.join("mxm-secrets/config.yaml"))
}

/// Opens a file or directory; `None`: there is nothing. A link to nothing is an error, wherever on the way it is: what
/// it leads to may be on a disk that is not there.
fn open(path: &Path, trust: &Trust, deadline: Deadline) -> Result<Option<Opened>, UsageError> {
    match trust.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            // Most have no file, so that is found out with few calls.
            if matches!(file::is_absent(path), Ok(true)) {
                // Not /dev/null, the home directory of some accounts.
                let is_in_the_way =
                    |part: &&Path| error.kind() == ErrorKind::NotADirectory && part.is_file();
                return match path.ancestors().find(is_in_the_way) {
                    Some(file) => Err(UsageError::new(format!(
                        "expected a directory, found a file: {}",
                        file.display()
                    ))),
                    None => Ok(None),
                };
            }
            let file = file::open(path, deadline);
            let file = file.map_err(|error| UsageError::new(error.to_string()))?;
            Ok(file.map(Opened::from))
        }
        Err(error) => Err(UsageError::new(format!(
            "{} cannot be read: {error}",
            path.display()
        ))),
    }
}

impl Raw {
    /// Reads the default of the MXM configuration store, and gives our directory there; `None`: there is none.
    fn store(
        &mut self,
        trust: &mut Trust,
        wrong: &mut Vec<Wrong>,
    ) -> Result<Option<PathBuf>, UsageError> {
        let given = variable("MXM_CONFIG_STORE")?;
        let app = variable("MXM_APP")?;
        let store = match (&given, sys::home()) {
            (Some(store), _) => std::path::absolute(store).unwrap_or_else(|_| store.into()),
            (None, Some(home)) => {
                let store = home.join("mxm-config-store");
                // What a user without a store pays for it.
                if app.is_none() && matches!(file::is_absent(&store), Ok(true)) {
                    return Ok(None);
                }
                store
            }
            (None, None) if app.is_none() => return Ok(None),
            (None, None) => {
                return Err(UsageError::new(
                    "MXM_APP is set, but its store cannot be located: set MXM_CONFIG_STORE or HOME",
                ));
            }
        };
        let name = app.as_deref().unwrap_or(APP);
        if name.contains('/') || name == "." || name == ".." {
            return Err(UsageError::new(format!(
                "MXM_APP is {name:?}: expected the name of a program"
            )));
        }
        let root = store.join("apps").join(name);
        let default = root.join("default.yaml");
        trust.enter(&root);
        self.base = self.take(
            open(&default, trust, self.deadline)?,
            &default,
            (trust, PROGRAMS),
            wrong,
        )?;
        if self.base.is_some() {
            return Ok(Some(root));
        }
        // Opened, not looked at: with the user's own file, this is all that a program without a configuration costs.
        if open(&root, trust, self.deadline)?.is_some() {
            return Err(UsageError::new(format!(
                "{} does not exist, but a configuration store has one for each program",
                default.display()
            )));
        }
        if app.is_some() {
            return Err(UsageError::new(format!(
                "MXM_APP: {} does not exist",
                root.display()
            )));
        }
        if given.is_some() && !store.is_dir() {
            return Err(UsageError::new(format!(
                "MXM_CONFIG_STORE: {} {}",
                store.display(),
                if store.exists() {
                    "is not a directory"
                } else {
                    "does not exist"
                }
            )));
        }
        Ok(None)
    }

    /// Reads one more file; `None`: it does not exist. What is wrong in it goes to `wrong`.
    fn take(
        &mut self,
        opened: Option<Opened>,
        path: &Path,
        (trust, why): (&mut Trust, &str),
        wrong: &mut Vec<Wrong>,
    ) -> Result<Option<Node>, UsageError> {
        let Some(opened) = opened else {
            return Ok(None);
        };
        let text = trust.read(path, opened, why);
        let text = text.map_err(|why| UsageError::new(format!("{} {why}", path.display())))?;
        let number = self.files.len();
        self.files.push(path.into());
        let tree = yaml::parse(&text, number).and_then(|tree| match tree.data {
            Data::Map(_) => Ok(tree),
            _ => Err(Wrong {
                place: tree.place,
                text: format!("a configuration must be a mapping, found {}", tree.kind()),
            }),
        });
        Ok(Some(tree.unwrap_or_else(|error| {
            let place = error.place;
            wrong.push(error);
            Node {
                place,
                data: Data::Map(Vec::new()),
            }
        })))
    }

    /// `file:line:column`.
    pub fn place(&self, place: Place) -> String {
        let file = self
            .files
            .get(place.file)
            .map(|file| file.display().to_string());
        format!(
            "{}:{}:{}",
            file.unwrap_or_default(),
            place.line,
            place.column
        )
    }

    /// All that is wrong, one line each.
    pub fn report(&self, wrong: &[Wrong]) -> UsageError {
        let lines: Vec<String> = wrong
            .iter()
            .take(MISTAKES)
            .map(|wrong| {
                let block = self
                    .blocks
                    .iter()
                    .find(|(file, _)| *file == wrong.place.file);
                let block = block.map_or(String::new(), |(_, name)| format!("{}: ", clipped(name)));
                format!("{}: {block}{}", self.place(wrong.place), wrong.text)
            })
            .collect();
        UsageError::all(lines)
    }
}
