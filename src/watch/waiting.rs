//! Waiting for descriptors: until a time, and no longer than until a signal ends us.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::{heeded, reader_gone, signalled, woken};
use crate::sys;

/// Waits until one of `fds` can be read or has been hung up, `timeout` is over, or a watched signal has come; says
/// which can be read. `None` among `fds` is passed over.
///
/// # Errors
/// What `poll` says, but for an interruption, which counts as nothing to read.
pub fn wait_readable<const N: usize>(
    fds: [Option<BorrowedFd>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut entries: Vec<PollFd> = Vec::with_capacity(N + 2);
    for fd in fds.into_iter().flatten() {
        entries.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
    }
    poll_wakefully(&mut entries, timeout)?;
    let mut ready = entries.iter().map(|entry| !entry.revents().is_empty());
    Ok(fds.map(|fd| fd.is_some() && ready.next() == Some(true)))
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
    let events = match until {
        Until::Readable => PollFlags::IN,
        Until::Writable => PollFlags::OUT,
    };
    let mut entries = Vec::with_capacity(3);
    entries.push(PollFd::from_borrowed_fd(fd, events));
    match wakeful {
        true => poll_wakefully(&mut entries, timeout)?,
        false => poll(&mut entries, timeout)?,
    }
    Ok(!entries[0].revents().is_empty())
}

/// Waits for `time` and nothing else, whatever signal has come: what is cleaned up after one takes its time.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now())
        && !left.is_zero()
        && poll(&mut [], Some(left)).is_ok()
    {}
}

/// Makes a system call, again for as long as a signal interrupts it that is none of ours.
///
/// # Errors
/// What the call says.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Sends some of `bytes` through a socket; 0: it took none yet, and now takes some, or `timeout` or a signal has come.
///
/// # Errors
/// What `send` or `poll` say.
pub fn send(socket: BorrowedFd, bytes: &[u8], timeout: Option<Duration>) -> io::Result<usize> {
    match uninterrupted(|| sys::send(socket, bytes)) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            wait(socket, Until::Writable, true, timeout)?;
            Ok(0)
        }
        result => result,
    }
}

/// The same, until a watched signal has come or the reader that is heeded has gone.
fn poll_wakefully(entries: &mut Vec<PollFd>, timeout: Option<Duration>) -> io::Result<()> {
    entries.extend(woken().map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN)));
    let output = entries.len();
    // Of a hang-up it tells unasked.
    let heeded = heeded().map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::empty()));
    entries.extend(heeded);
    poll(entries, timeout)?;
    if entries
        .get(output)
        .is_some_and(|pipe| !pipe.revents().is_empty())
    {
        reader_gone();
    }
    Ok(())
}

/// `poll`, for at most `timeout`; an interruption counts as nothing ready.
fn poll(entries: &mut [PollFd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match rustix::event::poll(entries, timeout.as_ref()) {
        Err(rustix::io::Errno::INTR) => entries.iter_mut().for_each(PollFd::clear_revents),
        result => _ = result?,
    }
    Ok(())
}

/// Writes all of `parts`, one after the other, with one call where the kernel takes all of it at once. Nothing is
/// buffered, so no copy of a secret stays behind.
///
/// # Errors
/// What `writev` says; interrupted calls are tried again, unless a watched signal ends us. A pipe that does not wait
/// (some parents leave theirs so) is waited for.
pub fn write_all(fd: BorrowedFd, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<io::IoSlice> = parts.iter().map(|part| io::IoSlice::new(part)).collect();
    let mut left = slices.as_mut_slice();
    // Past the empty ones, of which nothing can be written.
    io::IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match rustix::io::writev(fd, &left[..left.len().min(16)]) {
            Ok(written) => {
                io::IoSlice::advance_slices(&mut left, written);
                // The signal may have cut this write short, and comes only once.
                if !left.is_empty() && signalled().is_some() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
            Err(_) if signalled().is_some() => return Err(io::ErrorKind::Interrupted.into()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => _ = wait(fd, Until::Writable, true, None)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    #[cfg_attr(miri, ignore = "its poll does not tell of a pipe that was hung up")]
    fn waiting_ends_in_time() {
        let (reader, writer) = io::pipe().unwrap();
        assert_eq!(
            wait_readable([Some(reader.as_fd()), None], Some(Duration::from_millis(1))).unwrap(),
            [false, false]
        );
        drop(writer);
        assert_eq!(
            wait_readable([None, Some(reader.as_fd())], None).unwrap(),
            [false, true]
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "its poll takes no empty list")]
    fn a_pause_is_as_long_as_it_should_be() {
        let start = Instant::now();
        pause(Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20));
        pause(Duration::ZERO);
    }

    #[test]
    fn an_interrupted_call_is_made_again_and_a_failed_one_is_not() {
        let results = |first: io::ErrorKind| {
            let mut results = vec![Ok(7), Err(io::Error::from(first))];
            uninterrupted(move || results.pop().unwrap())
        };
        assert_eq!(results(io::ErrorKind::Interrupted).unwrap(), 7);
        assert!(results(io::ErrorKind::BrokenPipe).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "it has no writev")]
    fn write_all_writes_every_part_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let large = vec![b'x'; 300_000];
        let thread = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        write_all(writer.as_fd(), &[b"", b"a", b"", &large, b"\n", b""]).unwrap();
        drop(writer);
        let all = thread.join().unwrap();
        assert_eq!(all.len(), 300_002);
        assert_eq!((all[0], all[300_001]), (b'a', b'\n'));
    }
}
