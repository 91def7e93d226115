//! Waiting for descriptors: until a time, and no longer than until a signal ends us.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::signals;

/// Waits until one of `fds` can be read or has been hung up, `timeout` is over, or a watched signal has come; says
/// which can be read. `None` among `fds` is passed over.
///
/// # Errors
/// What `poll` says, but for an interruption, which counts as nothing to read.
pub fn wait_readable<const N: usize>(
    fds: [Option<BorrowedFd>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut entries: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd {
            fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    entries.push(libc::pollfd {
        fd: signals::wake(),
        events: libc::POLLIN,
        revents: 0,
    });
    poll(&mut entries, timeout)?;
    Ok(std::array::from_fn(|index| entries[index].revents != 0))
}

/// What a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// There is something to read, or it has been hung up.
    Readable,
    /// Something can be written, or it has been made, or cannot be.
    Writable,
}

/// Waits until `fd` is ready or `timeout` is over; says whether it is ready. With `wakeful`, a watched signal ends the
/// wait, and every further one at once.
///
/// # Errors
/// What `poll` says, but for an interruption, which counts as not ready.
pub fn wait(
    fd: BorrowedFd,
    until: Until,
    wakeful: bool,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let entry = |fd, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let events = match until {
        Until::Readable => libc::POLLIN,
        Until::Writable => libc::POLLOUT,
    };
    let wake = if wakeful { signals::wake() } else { -1 };
    let mut entries = [entry(fd.as_raw_fd(), events), entry(wake, libc::POLLIN)];
    poll(&mut entries, timeout)?;
    Ok(entries[0].revents != 0)
}

/// `poll`, for at most `timeout`; an interruption counts as nothing ready.
fn poll(entries: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up, so that a wait never ends just before its deadline.
    let timeout = timeout.map_or(-1, |timeout| {
        c_int::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
    });
    // SAFETY: the pointer and the length are those of the slice.
    let count = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) };
    if count < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        for entry in entries {
            entry.revents = 0;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn waiting_ends_in_time() {
        let (reader, writer) = io::pipe().unwrap();
        assert_eq!(
            wait_readable([Some(reader.as_fd()), None], Some(Duration::from_millis(1))).unwrap(),
            [false, false]
        );
        drop(writer);
        assert_eq!(
            wait_readable([Some(reader.as_fd()), None], None).unwrap(),
            [true, false]
        );
    }
}
