//! This process: what it becomes, and its end at once.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::secret::Secret;

/// What [`execve`] says of a file that is neither a program nor begins with `#!`.
pub const NOT_A_PROGRAM: i32 = libc::ENOEXEC;

/// Replaces this process by the program at `path`. `arguments` and `environment` are strings that end in NUL.
/// Returns only when that fails, with the reason.
pub fn execve(path: &Path, arguments: &[CString], environment: &[Secret]) -> io::Error {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return io::Error::from_raw_os_error(libc::ENOENT);
    };
    debug_assert!(
        environment
            .iter()
            .all(|entry| entry.expose().ends_with(b"\0"))
    );
    let end = [std::ptr::null()];
    let argv: Vec<*const c_char> = arguments
        .iter()
        .map(|argument| argument.as_ptr())
        .chain(end)
        .collect();
    let envp: Vec<*const c_char> = environment
        .iter()
        .map(|entry| entry.expose().as_ptr().cast())
        .chain(end)
        .collect();
    // SAFETY: both lists end in null, and what they point at ends in NUL and outlives the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once: nothing is freed or flushed on the way out.
pub fn exit_at_once(status: c_int) -> ! {
    // SAFETY: a plain number.
    unsafe { libc::_exit(status) }
}
