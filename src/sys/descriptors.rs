//! File descriptors: the standard ones, what is written to them, and who inherits them.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Until, signalled, wait};

/// Standard output.
pub const STDOUT: RawFd = 1;

/// Standard error.
pub const STDERR: RawFd = 2;

/// Fills closed standard descriptors with ones on which every use fails, so that no file opened later can be mistaken
/// for standard output. They close again at exec.
pub fn fill_standard_streams() {
    let mut fds = [0, 1, 2].map(|fd| libc::pollfd {
        fd,
        events: 0,
        revents: 0,
    });
    // SAFETY: fds is an array of three.
    unsafe { libc::poll(fds.as_mut_ptr(), 3, 0) };
    for entry in fds {
        if entry.revents & libc::POLLNVAL != 0 {
            // Opened the wrong way round: reading standard input and writing standard output give EBADF.
            let access = if entry.fd == 0 {
                libc::O_WRONLY
            } else {
                libc::O_RDONLY
            };
            // SAFETY: the path is a C string; the lowest free descriptor is the one that is closed.
            unsafe { libc::open(c"/dev/null".as_ptr(), access | libc::O_CLOEXEC) };
        }
    }
}

/// Writes all of `parts`, one after the other, with one call where the kernel takes all of it at once. Nothing is
/// buffered, so no copy of a secret stays behind.
///
/// # Errors
/// What `writev` says; interrupted calls are tried again, unless a watched signal ends us. A pipe that does not wait (some
/// parents leave theirs so) is waited for.
pub fn write_all(fd: RawFd, parts: &[&[u8]]) -> io::Result<()> {
    let mut left: Vec<&[u8]> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    while !left.is_empty() {
        let slices: Vec<libc::iovec> = left
            .iter()
            .take(16)
            .map(|part| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            })
            .collect();
        // SAFETY: the slices point at live memory, which writev only reads; there are at most 16 of them.
        let written = unsafe { libc::writev(fd, slices.as_ptr(), slices.len() as c_int) };
        match usize::try_from(written) {
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    _ if signalled().is_some() => return Err(io::ErrorKind::Interrupted.into()),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        // SAFETY: whose descriptor it is does not change while it is written to.
                        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
                        wait(fd, Until::Writable, true, None)?;
                    }
                    _ => return Err(error),
                }
            }
            Ok(mut written) => {
                while let Some(part) = left.first_mut() {
                    let step = written.min(part.len());
                    *part = &part[step..];
                    written -= step;
                    if !part.is_empty() {
                        break;
                    }
                    left.remove(0);
                }
                // The signal may have cut this write short, and comes only once.
                if !left.is_empty() && signalled().is_some() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
        }
    }
    Ok(())
}

/// `fd` under a number above 100, which no shell and no script uses for its own; as it is where the process may not
/// have so many.
pub fn out_of_the_way(fd: OwnedFd) -> OwnedFd {
    // SAFETY: plain numbers; a descriptor that is not negative is ours to own.
    unsafe {
        match libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 101) {
            moved if moved >= 0 => OwnedFd::from_raw_fd(moved),
            _ => fd,
        }
    }
}

/// Makes `fd` the standard input, also of a program that is started in our place.
///
/// # Errors
/// What `dup2` says.
pub fn make_stdin(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: plain numbers. Nothing here owns descriptor 0.
    match unsafe { libc::dup2(fd.as_raw_fd(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets a program that is started in our place inherit `fd`.
pub fn keep_at_exec(fd: BorrowedFd) {
    // SAFETY: plain numbers.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn write_all_writes_every_part_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let large = vec![b'x'; 300_000];
        let thread = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        write_all(writer.as_raw_fd(), &[b"a", b"", &large, b"\n"]).unwrap();
        drop(writer);
        let all = thread.join().unwrap();
        assert_eq!(all.len(), 300_002);
        assert_eq!((all[0], all[300_001]), (b'a', b'\n'));
    }
}
