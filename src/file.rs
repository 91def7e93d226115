//! Files that hold a secret, whatever kind of file they are: nothing waits for one beyond its deadline, and that there
//! is none is only said of a place whose every part was looked at.
//!
//! A mount whose server is gone is the exception: opening or reading a file there has no deadline, and may end with
//! SIGKILL alone. A thread for each file would cost every lookup more than the read itself.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::deadline::Deadline;
use crate::reason::Reason;
use crate::secret::{Progress, Secret, SecretBuffer};
#[cfg(feature = "vault")]
use crate::trust;
use crate::{sys, watch};

/// Reads the file at `path`, of at most `limit` bytes.
///
/// # Errors
/// What is wrong, naming the file.
#[cfg(feature = "vault")]
pub fn read(path: &Path, limit: usize, deadline: Deadline) -> Result<Secret, Reason> {
    read_opened(path, &open_at_once(path)?, limit, deadline)
}

/// The same for a key or a credential, which nobody else may be able to change. The doubt is a warning: others can read
/// it.
///
/// # Errors
/// What is wrong, naming the file.
#[cfg(feature = "vault")]
pub fn read_key(
    path: &Path,
    limit: usize,
    deadline: Deadline,
) -> Result<(Secret, Option<Reason>), Reason> {
    let file = open_at_once(path)?;
    let exposed = trust::key_file(path, &file).map_err(|doubt| {
        let fix = doubt
            .hint
            .as_ref()
            .map_or(String::new(), |fix| format!("; fix it with: {fix}"));
        let text = format!("{} is not read: {doubt}{fix}", path.display());
        Reason {
            text,
            hint: None,
            ..doubt
        }
    })?;
    Ok((read_opened(path, &file, limit, deadline)?, exposed))
}

#[cfg(feature = "vault")]
fn open_at_once(path: &Path) -> Result<File, Reason> {
    sys::open_to_read(path).map_err(|error| cannot_read(path, &error))
}

#[cfg(feature = "vault")]
fn read_opened(
    path: &Path,
    file: &File,
    limit: usize,
    deadline: Deadline,
) -> Result<Secret, Reason> {
    read_all(file, limit, deadline).map_err(|problem| problem.after(path.display()))
}

/// Opens the file at `path`; `None` when there is nothing at all: see [`is_absent`].
///
/// Kubernetes replaces all files of a volume at once by changing where the link `..data` leads, and then removes the old
/// ones: what was about to be opened may be gone, and there again in the new version. So nothing is concluded from an
/// attempt during which a link on the way was replaced.
///
/// # Errors
/// What is wrong, naming the file.
pub fn open(path: &Path, deadline: Deadline) -> Result<Option<File>, Reason> {
    let mut before = None;
    loop {
        let absent = match sys::open_to_read(path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if is_no_entry(&error) => is_absent(path),
            Err(error) => Err(cannot_read(path, &error)),
        };
        let now = links(path);
        if !matches!(absent, Ok(false)) && (now.is_empty() || before.as_ref() == Some(&now)) {
            return absent.map(|_| None);
        }
        before = Some(now);
        deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("opened").after(path.display()))?;
    }
}

/// Whether there is nothing at `path`: see [`look`].
///
/// # Errors
/// The same.
pub fn is_absent(path: &Path) -> Result<bool, Reason> {
    look(path).map(|found| found.is_none())
}

/// What is at `path`; `None`: nothing, since its first part that is missing is missing from a directory, and is no link to
/// nothing. Looked for from the end, since most of a way is there.
///
/// # Errors
/// What is in the way, so that nobody can tell, naming the part.
pub fn look(path: &Path) -> Result<Option<fs::Metadata>, Reason> {
    let mut first = match reach(path) {
        Ok(data) => return Ok(Some(data)),
        Err(error) => (path, error),
    };
    // A relative path begins with the empty one.
    while let Some(parent) = first.0.parent().filter(|path| !path.as_os_str().is_empty()) {
        match reach(parent) {
            Ok(data) if data.is_dir() => break,
            // A file, where a directory would have to be.
            Ok(_) => return Ok(None),
            Err(error) => first = (parent, error),
        }
    }
    let (part, error) = first;
    match error.kind() {
        // What `reach` says in its own words.
        _ if error.get_ref().is_some() => Err(error.to_string().into()),
        // A whole path that is too long may lead to a file; a part that is too long never does.
        io::ErrorKind::InvalidFilename if path.as_os_str().len() >= 4096 => {
            Err(cannot_read(path, &error))
        }
        _ if is_no_entry(&error) => Ok(None),
        _ => Err(cannot_read(part, &error)),
    }
}

/// What `path` leads to.
fn reach(path: &Path) -> io::Result<fs::Metadata> {
    let found = path.symlink_metadata()?;
    if !found.is_symlink() {
        return Ok(found);
    }
    path.metadata().map_err(|error| match is_no_entry(&error) {
        true => {
            let said = format!("{} is a link to nothing", path.display());
            io::Error::new(io::ErrorKind::NotFound, said)
        }
        false => error,
    })
}

/// Whether the directory at `path`, or the lowest one above it that is there, has anything at all; none above `root`
/// counts.
///
/// # Errors
/// It is empty: that may be where a volume is to be mounted, so that nobody knows what it has; or it is replaced all the
/// time.
pub fn is_not_hollow(root: &Path, path: &Path, deadline: Deadline) -> Result<(), Reason> {
    let is_empty = |here: &&Path| fs::read_dir(here).is_ok_and(|mut all| all.next().is_none());
    loop {
        let before = links(path);
        let mut parts = path.ancestors();
        let here = parts.find(|part| part.is_dir() && part.starts_with(root));
        let Some(here) = here.filter(is_empty) else {
            return Ok(());
        };
        // Kubernetes empties the directory of the version that it has replaced.
        if links(path) == before {
            let text = format!(
                "{} is empty: is something to be mounted there?",
                here.display()
            );
            return Err(Reason::from(text)
                .hint("mount it; if it is to have no secret yet, put any other file into it"));
        }
        deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("searched").after(here.display()))?;
    }
}

/// The file at `path` cannot be read, because of `error`.
pub fn cannot_read(path: &Path, error: &io::Error) -> Reason {
    Reason::of(format_args!("cannot read {}", path.display()), error)
}

fn is_no_entry(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// The links on the way to `path`, and each `..data` there: a replaced one is another file.
fn links(path: &Path) -> Vec<(u64, i64, i64)> {
    let both = |part: &Path| {
        let part_itself = fs::symlink_metadata(part).ok()?;
        let beside = fs::symlink_metadata(part.join("..data")).ok();
        Some([Some(part_itself), beside])
    };
    let found = path.ancestors().filter_map(both).flatten().flatten();
    found
        .filter(fs::Metadata::is_symlink)
        .map(|data| (data.ino(), data.ctime(), data.ctime_nsec()))
        .collect()
}

/// Reads a file to its end, at most `limit` bytes: whole MiB. It was opened with [`sys::open_to_read`].
///
/// # Errors
/// What is wrong with it, to be put behind its name.
pub fn read_all(mut file: &File, limit: usize, deadline: Deadline) -> Result<Secret, Reason> {
    let cannot = |error: io::Error| Reason::of("cannot be read", &error);
    let data = file.metadata().map_err(cannot)?;
    if data.is_dir() {
        return Err("is a directory".into());
    }
    let length = usize::try_from(data.len()).unwrap_or(limit);
    let mut buffer = SecretBuffer::with_room(limit, length);
    // The writer of a FIFO may come later: until then it is at its end, and cannot be read.
    let mut may_come = data.file_type().is_fifo();
    loop {
        match watch::uninterrupted(|| buffer.read_from(&mut file)) {
            Ok(Progress::More) => {}
            Ok(Progress::End) if may_come && buffer.expose().is_empty() => {
                may_come = false;
                watch::wait_readable([Some(file.as_fd())], deadline.remaining()).map_err(cannot)?;
            }
            Ok(Progress::End) => return Ok(buffer.finish()),
            Ok(Progress::TooLarge) => {
                return Err(format!("is larger than {} MiB", limit >> 20).into());
            }
            // A FIFO or the like, and nobody has written to it yet.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                watch::wait_readable([Some(file.as_fd())], deadline.remaining()).map_err(cannot)?;
            }
            Err(error) => return Err(cannot(error)),
        }
        deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("read"))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[test]
    fn a_directory_that_is_replaced_all_the_time_is_looked_at_no_longer_than_allowed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("empty")).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    symlink("empty", root.join("new")).unwrap();
                    fs::rename(root.join("new"), root.join("..data")).unwrap();
                }
            });
            let late = |_| {
                let path = root.join("empty/key");
                let answer = is_not_hollow(root, &path, Deadline::after(Duration::ZERO));
                answer.is_err_and(|reason| reason.text.ends_with("was not searched in time"))
            };
            let seen = (0..10_000).any(late);
            over.store(true, Ordering::Relaxed);
            assert!(seen);
        });
    }
}
