//! Mounted files: `prod/api-key` is the file `prod_api-key` in `$CREDENTIALS_DIRECTORY` (systemd) or in a directory
//! such as `/run/secrets` (Docker, Podman, Kubernetes).
//!
//! None of these can have a file name with a slash in it, hence the `_`. Kubernetes can mount a file at a path below
//! the directory, so the literal `prod/api-key` is a second place; which of two files is meant nobody can know.

use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Seek};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Answer, Backend, Context, Entry, NoSecret, NoStore, Reason, Status};
use crate::name::Name;
use crate::schema::{Key, Kind, Section};
use crate::secret::{LIMIT, Secret, SecretBuffer};
use crate::sys;

/// Where systemd says that a service's credentials are.
const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

pub const ENTRY: Entry = Entry {
    name: "credentials",
    about: "mounted files: prod/api-key is prod_api-key in $CREDENTIALS_DIRECTORY or /run/secrets",
    keys: &[Key {
        name: "directories",
        kind: Kind::Paths,
        default: "/run/secrets",
        variable: None,
        about: "where to look, in order, after $CREDENTIALS_DIRECTORY",
    }],
    variables: &[(
        VARIABLE,
        "the directory of a service's credentials, set by systemd; looked at first",
    )],
    open: Some(|section| Box::new(Credentials::open(section))),
};

struct Credentials {
    /// What systemd says; `None` when it says nothing.
    from_systemd: Option<PathBuf>,
    configured: Vec<PathBuf>,
}

impl Credentials {
    fn open(section: &Section) -> Credentials {
        Credentials {
            from_systemd: sys::variable(VARIABLE).map(PathBuf::from),
            configured: match section.paths("directories") {
                Some(paths) => paths.to_vec(),
                None => vec![PathBuf::from("/run/secrets")],
            },
        }
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        self.from_systemd
            .iter()
            .chain(&self.configured)
            .map(PathBuf::as_path)
    }

    /// The directories in a row, for people.
    fn list(&self) -> String {
        let list: Vec<String> = self
            .directories()
            .map(|directory| directory.display().to_string())
            .collect();
        list.join(", ")
    }

    fn no_directory(&self) -> Reason {
        Reason::from(match (&self.from_systemd, self.configured.is_empty()) {
            (None, true) => format!("no directory is configured, and ${VARIABLE} is not set"),
            (None, false) => format!("${VARIABLE} is not set, and there is no {}", self.list()),
            (Some(_), _) => format!("there is no {}", self.list()),
        })
        .hint(
            "LoadCredential= of systemd and the secrets of Docker, Podman and Kubernetes make one",
        )
    }

    /// The search; `Err` is a failure.
    fn search(&self, name: &Name, context: &Context) -> Result<Answer, Reason> {
        let problem = unfit(name.path());
        let places = places(name.path());
        let mut available = false;
        for directory in self.directories() {
            check(directory)?;
            if problem.is_none()
                && let Some((secret, path)) = look(directory, &places, name, context)?
            {
                return Ok(Answer::text(secret, name, path.display().to_string()));
            }
            available |= is_there(directory)?;
        }
        Ok(match problem {
            _ if !available => Answer::unavailable(NoStore::NoTrace, self.no_directory()),
            Some(rule) => Answer::miss(
                NoSecret::NoSuchName,
                format!("{} cannot be mounted: {rule}", name.path()),
            ),
            None => Answer::miss(
                NoSecret::NoEntry,
                format!("{} is not in {}", name.path(), self.list()),
            ),
        })
    }
}

impl Backend for Credentials {
    fn locator(&self, name: &Name) -> String {
        let file = name.path().replace('/', "_");
        let path = match self.directories().next() {
            Some(directory) => directory.join(file).display().to_string(),
            None => file,
        };
        match name.field() {
            Some(field) => format!("{path}#{field}"),
            None => path,
        }
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        self.search(name, context).unwrap_or_else(Answer::Failed)
    }

    fn status(&self, _: &Context) -> Status {
        let mut uses = Vec::new();
        for directory in self.directories() {
            match check(directory).and_then(|()| is_there(directory)) {
                Ok(true) => uses.push(directory.display().to_string()),
                Ok(false) => {}
                Err(reason) => return Status::unavailable(directory.display().to_string(), reason),
            }
        }
        if uses.is_empty() {
            Status::unavailable(self.list(), self.no_directory())
        } else {
            Status::ready(uses.join(", "))
        }
    }
}

/// Why no mount can have a file for `path`, if so: systemd's rule, the widest of all.
fn unfit(path: &str) -> Option<&'static str> {
    if path.contains(':') {
        Some("the name of a mounted file has no ':'")
    } else if !path.is_ascii() {
        Some("the name of a mounted file is ASCII")
    } else if path.split('/').any(|segment| segment.len() > 255) {
        Some("the name of a file has at most 255 bytes")
    } else {
        None
    }
}

/// The files that may have the secret, below a directory.
fn places(path: &str) -> Vec<String> {
    let mut places = vec![path.replace('/', "_")];
    if path.contains('/') {
        places.push(path.to_owned());
    }
    places
}

/// Whether `directory` can be meant at all.
fn check(directory: &Path) -> Result<(), Reason> {
    if directory.is_absolute() {
        Ok(())
    } else {
        // Only the variable can be relative: the configuration makes its paths absolute.
        Err(Reason::from(format!(
            "${VARIABLE} is not an absolute path: {}",
            directory.display()
        )))
    }
}

/// Whether `directory` is there, and may be searched.
fn is_there(directory: &Path) -> Result<bool, Reason> {
    // The dot needs the permission that every file in it needs.
    match fs::metadata(directory.join(".")) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot("be searched", directory, &error)),
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Reason {
    let reason = Reason::from(format!("{} cannot {what}: {error}", path.display()));
    match error.kind() {
        ErrorKind::PermissionDenied => {
            reason.hint("give the user that runs this the permission to read it")
        }
        _ => reason,
    }
}

/// Reads the secret from whichever of `places` below `directory` is there.
fn look(
    directory: &Path,
    places: &[String],
    name: &Name,
    context: &Context,
) -> Result<Option<(Secret, PathBuf)>, Reason> {
    let mut found: Option<(File, State, PathBuf)> = None;
    for place in places {
        let path = directory.join(place);
        let Some((file, state)) = open(directory, place, &path, name, context)? else {
            continue;
        };
        if let Some((_, _, first)) = &found {
            return Err(Reason::from(format!(
                "{} is there twice: {} and {}",
                name.path(),
                first.display(),
                path.display()
            ))
            .hint("take one of them away: which is meant cannot be known"));
        }
        found = Some((file, state, path));
    }
    match found {
        Some((file, state, path)) => Ok(Some((read(file, state, &path, name, context)?, path))),
        None => Ok(None),
    }
}

/// What changes when a file is written: its length and the time.
type State = (u64, i64, i64);

fn state(data: &Metadata) -> State {
    (data.len(), data.mtime(), data.mtime_nsec())
}

/// Opens the file `path`, which is `place` below `directory`; `None` when there is none, or a directory.
fn open(
    directory: &Path,
    place: &str,
    path: &Path,
    name: &Name,
    context: &Context,
) -> Result<Option<(File, State)>, Reason> {
    let mut version = None;
    let file = loop {
        match sys::open_to_read(path) {
            Ok(file) => break file,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
                ) =>
            {
                // Kubernetes replaces all files at once by changing where `..data` leads, and then removes the old
                // ones: a file that was about to be opened may be gone, and there again under the new version.
                let now = versions(directory, place);
                if now.is_empty() || version.as_ref() == Some(&now) {
                    return absent(path, name).map(|()| None);
                }
                version = Some(now);
                proceed(path, name, context)?;
            }
            Err(_) if is_socket(path) => return Err(not_a_file(path, name, "a socket")),
            Err(error) => return Err(cannot_read(path, name, &error)),
        }
    };
    // Asked of what is open, since the path may lead elsewhere by now.
    let data = file
        .metadata()
        .map_err(|error| cannot_read(path, name, &error))?;
    let kind = data.file_type();
    if kind.is_file() {
        Ok(Some((file, state(&data))))
    } else if kind.is_dir() {
        Ok(None)
    } else {
        let what = if kind.is_fifo() { "a FIFO" } else { "a device" };
        Err(not_a_file(path, name, what))
    }
}

/// Which links `..data` there are in `directory` and in each directory on the way from there to `place`: a replaced one
/// is another file. Empty where there is none: then nothing is replaced this way.
fn versions(directory: &Path, place: &str) -> Vec<(u64, i64, i64)> {
    std::iter::once(0)
        .chain(place.match_indices('/').map(|(slash, _)| slash + 1))
        .filter_map(|end| {
            let link = format!("{}..data", &place[..end]);
            let data = fs::symlink_metadata(directory.join(link)).ok()?;
            Some((data.ino(), data.ctime(), data.ctime_nsec()))
        })
        .collect()
}

/// Makes sure that nothing at all is at `path`: a link that leads nowhere is a mount gone wrong.
fn absent(path: &Path, name: &Name) -> Result<(), Reason> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() && !path.exists() => Err(Reason::from(format!(
            "{}: {} is a link that leads nowhere",
            name.path(),
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn not_a_file(path: &Path, name: &Name, what: &str) -> Reason {
    Reason::from(format!(
        "{}: {} is {what}, not a file",
        name.path(),
        path.display()
    ))
}

fn cannot_read(path: &Path, name: &Name, error: &std::io::Error) -> Reason {
    let mut reason = cannot("be read", path, error);
    reason.text = format!("{}: {}", name.path(), reason.text);
    reason
}

/// Reads all of `file`, again when it was written meanwhile: it was in the state `before` when it was opened.
fn read(
    mut file: File,
    mut before: State,
    path: &Path,
    name: &Name,
    context: &Context,
) -> Result<Secret, Reason> {
    let failed = |error| cannot_read(path, name, &error);
    loop {
        let Some(secret) = SecretBuffer::new(LIMIT)
            .read_all(&mut file)
            .map_err(failed)?
        else {
            return Err(Reason::from(format!(
                "{}: {} has more than 16 MiB",
                name.path(),
                path.display()
            )));
        };
        let now = state(&file.metadata().map_err(failed)?);
        if now == before {
            return Ok(secret);
        }
        before = now;
        proceed(path, name, context)?;
        file.rewind().map_err(failed)?;
    }
}

/// Whether there is time for another try.
fn proceed(path: &Path, name: &Name, context: &Context) -> Result<(), Reason> {
    if context.deadline.go_on().is_err() {
        Err(Reason::from(format!(
            "{}: {} is being replaced all the time",
            name.path(),
            path.display()
        )))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::deadline::Deadline;

    /// In one process the readers are quick enough to meet the moment between two versions, in which the old files
    /// are gone.
    #[test]
    fn no_lookup_falls_between_two_versions_of_a_volume() {
        let mount = tempfile::tempdir().unwrap();
        let mount = mount.path();
        let publish = |version: usize| {
            let folder = format!("..{version}");
            fs::create_dir(mount.join(&folder)).unwrap();
            fs::write(mount.join(&folder).join("a_b"), "value").unwrap();
            symlink(&folder, mount.join("..data_tmp")).unwrap();
            fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
            if version > 0 {
                fs::remove_dir_all(mount.join(format!("..{}", version - 1))).unwrap();
            }
        };
        publish(0);
        symlink("..data/a_b", mount.join("a_b")).unwrap();
        let over = AtomicBool::new(false);
        let name = Name::parse("a/b").unwrap();
        let places = places(name.path());
        std::thread::scope(|scope| {
            let reader = || {
                let mut answers = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let context = Context {
                        deadline: Deadline::after(Duration::from_secs(60)),
                        unattended: true,
                        warn: &|_| {},
                    };
                    match look(mount, &places, &name, &context) {
                        Ok(Some((secret, _))) if secret.expose() == b"value" => {}
                        other => answers.push(format!("{other:?}")),
                    }
                }
                answers
            };
            let readers = [scope.spawn(reader), scope.spawn(reader)];
            (1..3000).for_each(publish);
            over.store(true, Ordering::Relaxed);
            for reader in readers {
                assert_eq!(reader.join().unwrap(), Vec::<String>::new());
            }
        });
    }
}
