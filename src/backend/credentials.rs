//! Mounted files: `prod/api-key` is the file `prod_api-key` in `$CREDENTIALS_DIRECTORY` (systemd) or in a directory
//! such as `/run/secrets` (Docker, Podman, Kubernetes).
//!
//! None of these can have a file name with a slash in it, hence the `_`. Kubernetes can mount a file at a path below
//! the directory, so the literal `prod/api-key` is a second place; which of two files is meant nobody can know.
//! A field may be mounted alone: `prod/db#password` is all of the file `prod_db#password`, if that is there.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Answer, Backend, Context, Declaration, NoSecret, NoStore, Reason, Status};
use crate::file;
use crate::name::Name;
use crate::schema::{Key, Kind, Section};
use crate::secret::{LIMIT, Secret};
use crate::sys;

/// Where systemd says that a service's credentials are.
const VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// What to do about a directory that is not there.
const MAKERS: &str =
    "systemd's LoadCredential= and the secrets of Docker, Podman and Kubernetes create one";

pub const DECLARATION: Declaration = Declaration {
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
    open: |section| Box::new(Credentials::open(section)),
};

struct Credentials {
    /// What systemd says; `None` when it says nothing.
    from_systemd: Option<PathBuf>,
    configured: Vec<PathBuf>,
    /// Whether the configuration names them.
    named: bool,
}

impl Credentials {
    fn open(section: &Section) -> Credentials {
        Credentials {
            from_systemd: sys::variable(VARIABLE).map(PathBuf::from),
            configured: match section.paths("directories") {
                Some(paths) => paths.to_vec(),
                None => vec![PathBuf::from("/run/secrets")],
            },
            named: section.paths("directories").is_some(),
        }
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        self.from_systemd
            .iter()
            .chain(&self.configured)
            .map(PathBuf::as_path)
    }

    /// The directories in a row, for people, with `last` before the last one.
    fn list(&self, last: &str) -> String {
        let list: Vec<String> = self
            .directories()
            .map(|directory| directory.display().to_string())
            .collect();
        match list.as_slice() {
            [first @ .., end] if !first.is_empty() => format!("{} {last} {end}", first.join(", ")),
            list => list.concat(),
        }
    }

    /// Why there is no directory; only the built-in one may be gone.
    fn no_directory(&self) -> Reason {
        let place = match self.configured.first() {
            None => format!("no directory is configured, and ${VARIABLE} is not set"),
            Some(place) => format!(
                "${VARIABLE} is not set, and {} does not exist",
                place.display()
            ),
        };
        Reason::from(place).hint(MAKERS)
    }

    /// Whether `directory` is there, whole, and may be searched. One that somebody has named has to be.
    fn is_there(&self, directory: &Path, context: &Context) -> Result<bool, Reason> {
        file::is_not_hollow(directory, directory, context.deadline)?;
        match is_there(directory, context)? {
            false if self.named || self.from_systemd.as_deref() == Some(directory) => {
                Err(Reason::from(format!("{} does not exist", directory.display())).hint(MAKERS))
            }
            there => Ok(there),
        }
    }

    /// The search; `Err` is a failure.
    fn search(&self, name: &Name, context: &Context) -> Result<Answer, Reason> {
        let problem = unfit(name.path());
        let alone = field_alone(name).unwrap_or_default();
        let places = places(name.path());
        let mut available = false;
        let mut folder = None;
        for directory in self.directories() {
            check(directory)?;
            if problem.is_none() {
                if let Place::File(file, state, path) = look(directory, &alone, name, context)? {
                    return Ok(Answer::Hit {
                        secret: read(file, state, &path, name, context)?,
                        // The locator of a field of prod_db would look the same.
                        locator: format!("{} (the whole file)", path.display()),
                    });
                }
                match look(directory, &places, name, context)? {
                    Place::File(file, state, path) => {
                        let secret = read(file, state, &path, name, context)?;
                        return Ok(Answer::text(
                            secret,
                            name,
                            path.display().to_string(),
                            context.deadline,
                        ));
                    }
                    Place::Folder(path) => folder = folder.or(Some(path)),
                    Place::Nothing => {}
                }
            }
            available |= self.is_there(directory, context)?;
        }
        Ok(match (problem, folder) {
            _ if !available => Answer::unavailable(NoStore::NoTrace, self.no_directory()),
            (Some(rule), _) => Answer::miss(
                NoSecret::NoSuchName,
                format!("{} cannot be mounted: {rule}", name.path()),
            ),
            (None, Some(path)) => Answer::miss(
                NoSecret::Folder,
                format!("{} is a folder: {}", name.path(), path.display()),
            ),
            (None, None) => Answer::miss(
                NoSecret::NoEntry,
                format!("{} is not in {}", name.path(), self.list("or")),
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

    fn status(&self, context: &Context) -> Status {
        let mut uses = Vec::new();
        for directory in self.directories() {
            match check(directory).and_then(|()| self.is_there(directory, context)) {
                Ok(true) => uses.push(directory.display().to_string()),
                Ok(false) => {}
                Err(reason) => return Status::failed(directory.display().to_string(), reason),
            }
        }
        if uses.is_empty() {
            Status::unavailable(self.list("or"), self.no_directory())
        } else {
            Status::ready(uses.join(", "))
        }
    }
}

/// Why no mount can have a file for `path`, if so: systemd's rule, the widest of all.
fn unfit(path: &str) -> Option<&'static str> {
    if path.contains(':') {
        Some("the name of a mounted file must not contain ':'")
    } else if !path.is_ascii() {
        Some("the name of a mounted file must be ASCII")
    } else if path.split('/').any(|segment| segment.len() > 255) {
        Some("the name of a file must not be longer than 255 bytes")
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

/// The files that may have the field of `name` and nothing else, below a directory.
fn field_alone(name: &Name) -> Option<Vec<String>> {
    name.field().filter(|field| !field.contains('/'))?;
    let places = places(name.as_str());
    places
        .iter()
        .all(|place| unfit(place).is_none())
        .then_some(places)
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

/// The same of any directory.
fn is_there(directory: &Path, context: &Context) -> Result<bool, Reason> {
    let shown = directory.display();
    let unsearchable = |error| {
        permitted(Reason::of(
            format_args!("{shown} cannot be searched"),
            &error,
        ))
    };
    // The dot needs the permission that every file in it needs.
    match fs::metadata(directory.join(".")) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match file::is_absent(directory) {
                Ok(true) => Ok(false),
                Ok(false) => Err(unsearchable(error)),
                Err(reason) => Err(reason),
            };
        }
        Err(error) => return Err(unsearchable(error)),
    }
    // The files in a volume of Kubernetes are links through `..data`: without that, none of them is known.
    match file::open(&directory.join("..data"), context.deadline) {
        Ok(Some(_)) => return Ok(true),
        Ok(None) => {}
        Err(reason) => return Err(permitted(reason.after("the volume is damaged:"))),
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_symlink())
            && fs::read_link(entry.path()).is_ok_and(|target| target.starts_with("..data"))
        {
            let entry = entry.path();
            return Err(Reason::from(format!(
                "the volume is damaged: {} leads to ..data, which is gone",
                entry.display()
            )));
        }
        context
            .deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("searched").after(&shown))?;
    }
    Ok(true)
}

/// What to do about a permission that is wanting, if `reason` is that.
fn permitted(reason: Reason) -> Reason {
    match reason.source.map(|number| io::Error::from(number).kind()) {
        Some(ErrorKind::PermissionDenied) => {
            reason.hint("give the user that runs this the permission to read it")
        }
        _ => reason,
    }
}

/// What is in a directory for a name.
enum Place {
    File(File, State, PathBuf),
    Folder(PathBuf),
    Nothing,
}

/// Looks at all of `places` below `directory`: which of two files is meant nobody can know.
fn look(
    directory: &Path,
    places: &[String],
    name: &Name,
    context: &Context,
) -> Result<Place, Reason> {
    let mut found = Place::Nothing;
    for place in places {
        let path = directory.join(place);
        match (open(path.clone(), name, context)?, &found) {
            // The other place is known to have it.
            (Place::Nothing, Place::File(..)) => {}
            (Place::Nothing, _) => file::is_not_hollow(directory, &path, context.deadline)?,
            (Place::File(_, _, path), Place::File(_, _, first)) => {
                return Err(Reason::from(format!(
                    "{} is there twice: {} and {}",
                    name.path(),
                    first.display(),
                    path.display()
                ))
                .hint("remove one of them: it is ambiguous which one is meant"));
            }
            (Place::Folder(_), Place::File(..)) => {}
            (place, _) => {
                if matches!(place, Place::Folder(_)) {
                    // Compose makes an empty one where it does not find the file that it is to mount.
                    file::is_not_hollow(directory, &path, context.deadline)?;
                }
                found = place;
            }
        }
    }
    Ok(found)
}

/// What changes when a file is written: its length and the time.
type State = (u64, i64, i64);

fn state(data: &Metadata) -> State {
    (data.len(), data.mtime(), data.mtime_nsec())
}

/// Opens what is at `path`.
fn open(path: PathBuf, name: &Name, context: &Context) -> Result<Place, Reason> {
    let file = match file::open(&path, context.deadline) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Place::Nothing),
        Err(_) if is_socket(&path) => return Err(not_a_file(&path, name, "a socket")),
        Err(reason) => {
            return Err(permitted(reason.after(format_args!("{}:", name.path()))));
        }
    };
    // Asked of what is open, since the path may lead elsewhere by now.
    let data = file
        .metadata()
        .map_err(|error| cannot_read(&path, name, &error))?;
    let kind = data.file_type();
    if kind.is_file() {
        Ok(Place::File(file, state(&data), path))
    } else if kind.is_dir() {
        Ok(Place::Folder(path))
    } else {
        let what = if kind.is_fifo() { "a FIFO" } else { "a device" };
        Err(not_a_file(&path, name, what))
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

fn cannot_read(path: &Path, name: &Name, error: &io::Error) -> Reason {
    let reason = file::cannot_read(path, error);
    permitted(reason.after(format_args!("{}:", name.path())))
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
        let secret = file::read_all(&file, LIMIT, context.deadline)
            .map_err(|what| what.after(format_args!("{}: {}", name.path(), path.display())))?;
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
            "{}: {} was rewritten again and again while it was read",
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
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::deadline::Deadline;

    const SWAPS: usize = 10_000;
    const READS: usize = 2_000;

    fn context() -> Context<'static> {
        Context {
            deadline: Deadline::after(Duration::from_secs(60)),
            unattended: true,
            login: false,
            withheld: &[],
            warn: &|_| {},
        }
    }

    /// Writes a version as the kubelet does, and removes the one before it.
    fn publish(mount: &Path, version: usize) {
        let folder = mount.join(format!("..{version}"));
        fs::create_dir_all(folder.join("store")).unwrap();
        for file in ["a_b", "store/a.age"] {
            fs::write(folder.join(file), format!("{version} ").repeat(2000)).unwrap();
        }
        symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        if version > 0 {
            fs::remove_dir_all(mount.join(format!("..{}", version - 1))).unwrap();
        }
    }

    /// The version that `value` is of, all of it.
    fn version(value: &Secret) -> usize {
        let text = std::str::from_utf8(value.expose()).unwrap();
        let mut words = text.split_terminator(' ');
        let first = words.next().unwrap();
        assert!(words.all(|word| word == first) && text.matches(' ').count() == 2000);
        first.parse().unwrap()
    }

    /// In one process the readers are quick enough to meet the moment between two versions, in which the old files
    /// are gone.
    #[test]
    fn no_lookup_falls_between_two_versions_of_a_volume() {
        let memory = Path::new("/dev/shm");
        let mount = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let mount = mount.unwrap();
        let mount = mount.path();
        publish(mount, 0);
        for link in ["a_b", "store"] {
            symlink(format!("..data/{link}"), mount.join(link)).unwrap();
        }
        let backend = Credentials {
            from_systemd: None,
            configured: vec![mount.to_owned()],
            named: true,
        };
        let found = || match backend.ask(&Name::parse("a/b").unwrap(), &context()) {
            Answer::Hit { secret, .. } => version(&secret),
            other => panic!("{other:?}"),
        };
        let missed = || match backend.ask(&Name::parse("none").unwrap(), &context()) {
            Answer::Miss(_) => 0,
            other => panic!("{other:?}"),
        };
        // As the backend for age reads a store in such a volume.
        let in_a_store = || {
            let file = file::open(&mount.join("store/a.age"), context().deadline);
            let secret = file::read_all(&file.unwrap().unwrap(), LIMIT, context().deadline);
            version(&secret.unwrap())
        };
        let not_in_a_store = || {
            let file = file::open(&mount.join("store/none.age"), context().deadline);
            assert!(file.unwrap().is_none());
            0
        };
        let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let read = |kinds: [&(dyn Fn() -> usize + Sync); 2]| {
                let mut last = 0;
                let mut reads = 0;
                while !over.load(Ordering::Relaxed) || reads < READS {
                    let seen = kinds[reads % 2]();
                    assert!(seen == 0 || seen >= last, "{seen} after {last}");
                    last = seen.max(last);
                    reads += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            };
            let readers = [
                scope.spawn(move || read([&found, &missed])),
                scope.spawn(move || read([&in_a_store, &not_in_a_store])),
            ];
            (1..=SWAPS).for_each(|version| publish(mount, version));
            over.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
        });
        assert!(done.into_inner() >= 2 * READS);
    }
}
