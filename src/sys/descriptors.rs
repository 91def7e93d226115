//! File descriptors: the standard ones, and who inherits them.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
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

/// `fd` under a number above 100, which no shell and no script uses for its own; as it is where the process may not
/// have so many.
pub fn out_of_the_way(fd: OwnedFd) -> OwnedFd {
    fcntl_dupfd_cloexec(&fd, 101).unwrap_or(fd)
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
