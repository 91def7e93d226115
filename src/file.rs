//! Files that hold a secret, whatever kind of file they are: nothing waits for one beyond its deadline.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
#[cfg(feature = "vault")]
use std::path::Path;

use crate::deadline::Deadline;
use crate::secret::{Progress, Secret, SecretBuffer};
use crate::sys;

/// Reads the file at `path`, of at most `limit` bytes.
///
/// # Errors
/// What is wrong, naming the file.
#[cfg(feature = "vault")]
pub fn read(path: &Path, limit: usize, deadline: Deadline) -> Result<Secret, String> {
    let shown = path.display();
    let file = sys::open_to_read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    read_all(&file, limit, deadline).map_err(|problem| format!("{shown} {problem}"))
}

/// Reads a file to its end, at most `limit` bytes: whole MiB. It was opened with [`sys::open_to_read`].
///
/// # Errors
/// What is wrong with it, to be put behind its name.
pub fn read_all(mut file: &File, limit: usize, deadline: Deadline) -> Result<Secret, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err("is a directory".to_owned());
    }
    let mut buffer = SecretBuffer::new(limit);
    loop {
        match buffer.read_from(&mut file) {
            Ok(Progress::More) => {}
            Ok(Progress::End) => return Ok(buffer.finish()),
            Ok(Progress::TooLarge) => return Err(format!("is larger than {} MiB", limit >> 20)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A FIFO or the like, and nobody has written to it yet.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sys::wait_readable([Some(file.as_fd())], deadline.remaining()).map_err(cannot)?;
            }
            Err(error) => return Err(cannot(error)),
        }
        deadline
            .go_on()
            .map_err(|ended| ended.before_it_was("read"))?;
    }
}
