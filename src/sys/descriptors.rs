//! File descriptors: the standard ones, and who inherits them.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
use rustix::process::{Resource, getrlimit};
use rustix::stdio::{dup2_stdin, stderr, stdin, stdout};

/// Fills closed standard descriptors with ones on which every use fails, so that no file opened later can be mistaken
/// for standard output. They close again at exec.
///
/// # Errors
/// What the system says that has none.
pub fn fill_standard_streams() -> io::Result<()> {
    // A directory cannot be read or written, and unlike /dev/null it is everywhere. What needs no permission comes first.
    #[cfg(target_os = "linux")]
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    for stream in [stdin(), stdout(), stderr()] {
        if fcntl_getfd(stream).is_err() {
            // The lowest free descriptor is the one that is closed.
            let filled = rustix::fs::open("/", flags, Mode::empty())?.into_raw_fd();
            debug_assert_eq!(filled, stream.as_raw_fd());
        }
    }
    Ok(())
}

/// The path of the terminal that `fd` is, if it is one.
pub fn terminal_path(fd: BorrowedFd) -> Option<OsString> {
    let path = rustix::termios::ttyname(fd, Vec::new()).ok()?;
    Some(OsString::from_vec(path.into_bytes()))
}

/// `fd` under a number above 100, which no shell and no script uses for its own; where the process may not have so many,
/// in the upper half of those that it may have.
pub fn out_of_the_way(fd: OwnedFd) -> OwnedFd {
    let half = || getrlimit(Resource::Nofile).current.unwrap_or_default() / 2;
    let high = fcntl_dupfd_cloexec(&fd, 101);
    let high = high.or_else(|_| fcntl_dupfd_cloexec(&fd, RawFd::try_from(half()).unwrap_or(0)));
    high.unwrap_or(fd)
}

/// Makes `fd` the standard input, also of a program that is started in our place.
///
/// # Errors
/// What `dup2` says.
pub fn make_stdin(fd: BorrowedFd) -> io::Result<()> {
    Ok(dup2_stdin(fd)?)
}

/// Lets a program that is started in our place inherit `fd`.
pub fn keep_at_exec(fd: BorrowedFd) {
    let _ = fcntl_setfd(fd, FdFlags::empty());
}
