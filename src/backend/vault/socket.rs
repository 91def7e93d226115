//! A connection's bytes: connects, reads and writes by a deadline, and stops when a signal ends the program.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::deadline::{self, Deadline};
use crate::detached::Detached;
use crate::sys;
use crate::watch::{self, Until};

/// How long to wait for room in the queue of a Unix socket before the next look.
const MOMENT: Duration = Duration::from_millis(10);

/// How long to wait for the other side.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub deadline: Deadline,
    /// How long to go on after a signal that ends the program. Zero but where stopping would leave something behind
    /// on the server.
    pub after_signal: Duration,
}

impl Patience {
    /// Until `deadline`, and not a moment after a signal.
    pub fn until(deadline: Deadline) -> Patience {
        Patience {
            deadline,
            after_signal: Duration::ZERO,
        }
    }

    /// For `limit` from now, whether a signal comes or not.
    pub fn whatever_comes(limit: Duration) -> Patience {
        Patience {
            deadline: Deadline::after(limit),
            after_signal: limit,
        }
    }

    /// Waits until `fd` can be read.
    ///
    /// # Errors
    /// `TimedOut` when the patience is over.
    pub fn wait(self, fd: BorrowedFd) -> io::Result<()> {
        Clock::start(self).wait(fd, Until::Readable, None)
    }

    /// The same, but at most `limit` from now.
    pub fn at_most(self, limit: Duration) -> Patience {
        let limit = self
            .deadline
            .remaining()
            .map_or(limit, |left| left.min(limit));
        Patience {
            deadline: Deadline::after(limit),
            ..self
        }
    }
}

/// A connection that has been made. Its descriptor never waits by itself.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    clock: Clock,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Someone's patience while it runs out.
#[derive(Debug)]
struct Clock {
    patience: Patience,
    /// When the signal was first seen, if going on after it.
    signalled: Option<Instant>,
}

impl Clock {
    fn start(patience: Patience) -> Clock {
        Clock {
            patience,
            signalled: None,
        }
    }

    /// The time that is left.
    fn left(&mut self) -> io::Result<Option<Duration>> {
        let mut left = self.patience.deadline.remaining();
        if deadline::interrupted() {
            let since = self.signalled.get_or_insert_with(Instant::now).elapsed();
            let grace = self.patience.after_signal.saturating_sub(since);
            left = Some(left.map_or(grace, |left| left.min(grace)));
        }
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    /// Waits a moment; `TimedOut` when the patience is over.
    fn pause(&mut self) -> io::Result<()> {
        let left = self.left()?;
        let moment = left.map_or(MOMENT, |left| left.min(MOMENT));
        watch::wait_readable([None], Some(moment)).map(|[_]| ())
    }

    /// Waits until `fd` is ready, for at most `limit`; `TimedOut` when that or the patience is over.
    fn wait(&mut self, fd: BorrowedFd, until: Until, limit: Option<Duration>) -> io::Result<()> {
        let end = limit.map_or(Deadline::never(), Deadline::after);
        loop {
            let left = self.left()?;
            let at_most = [left, end.remaining()].into_iter().flatten().min();
            if at_most == Some(Duration::ZERO) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // After a signal the signal would end every further wait at once.
            if watch::wait(fd, until, !deadline::interrupted(), at_most)? {
                return Ok(());
            }
        }
    }
}

impl Socket {
    /// Connects to the Unix socket at `path`.
    ///
    /// # Errors
    /// What the system says; `TimedOut` at the deadline.
    pub fn unix(path: &Path, patience: Patience) -> io::Result<Socket> {
        let mut clock = Clock::start(patience);
        loop {
            match sys::connect_unix(path) {
                Ok(stream) => {
                    return Ok(Socket {
                        stream: Stream::Unix(stream),
                        clock,
                    });
                }
                // Others wait for it as well; nothing tells when there is room.
                Err(error) if is_for_now(&error) => clock.pause()?,
                Err(error) => return Err(error),
            }
        }
    }

    /// One end of a pair.
    #[cfg(fuzzing)]
    pub fn of(stream: UnixStream) -> Socket {
        Socket {
            stream: Stream::Unix(stream),
            clock: Clock::start(Patience::until(Deadline::never())),
        }
    }

    /// Looks `host` up and connects to it: tries every address, each with its share of the time.
    ///
    /// # Errors
    /// What the system says; `TimedOut` at the deadline.
    pub fn tcp(host: &str, port: u16, patience: Patience) -> io::Result<Socket> {
        let mut clock = Clock::start(patience);
        let addresses = addresses(host, port, &mut clock)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for (index, address) in addresses.iter().enumerate() {
            let share = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let limit = clock.left()?.map(|left| left / share);
            match connect(*address, &mut clock, limit) {
                Ok(stream) => {
                    return Ok(Socket {
                        stream: Stream::Tcp(stream),
                        clock,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sets how long to wait from now on.
    pub fn set_patience(&mut self, patience: Patience) {
        self.clock = Clock::start(patience);
    }

    /// Whether the other side has neither closed it nor said anything unasked.
    pub fn is_quiet(&self) -> bool {
        let now = Some(Duration::ZERO);
        matches!(
            watch::wait(self.as_fd(), Until::Readable, false, now),
            Ok(false)
        )
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    fn wait(&mut self, until: Until) -> io::Result<()> {
        let fd = match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        };
        self.clock.wait(fd, until, None)
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // An answer is hardly ever there already.
            self.wait(Until::Readable)?;
            let result = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(into),
                Stream::Unix(stream) => stream.read(into),
            };
            match result {
                Err(error) if is_for_now(&error) => {}
                result => return result,
            }
        }
    }
}

/// Whether there is nothing yet, or a signal that is none of ours came in between.
fn is_for_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.clock.left()?;
            match sys::send(self.as_fd(), bytes) {
                Err(error) if is_for_now(&error) => {
                    self.wait(Until::Writable)?;
                }
                result => return result,
            }
        }
    }

    /// All parts in one packet, to wake the other side once. These are encrypted, so a copy of them tells nothing.
    /// `writev` would send SIGPIPE when the other side has gone.
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match parts {
            [part] => self.write(part),
            parts => self.write(
                &parts
                    .iter()
                    .flat_map(|part| part.iter())
                    .copied()
                    .collect::<Vec<u8>>(),
            ),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The addresses of `host`. Looking a name up has no call with a deadline that a signal ends.
fn addresses(host: &str, port: u16, clock: &mut Clock) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    let look_up = move || {
        let found = (host.as_str(), port).to_socket_addrs();
        found.map(Iterator::collect)
    };
    let look_up = Detached::begin(look_up)?;
    clock.wait(look_up.done(), Until::Readable, None)?;
    look_up.result()?
}

/// Connects to `address` within `limit`.
fn connect(
    address: SocketAddr,
    clock: &mut Clock,
    limit: Option<Duration>,
) -> io::Result<TcpStream> {
    let stream = sys::start_connecting(address)?;
    clock.wait(stream.as_fd(), Until::Writable, limit)?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    // Requests are written whole, so there is nothing to wait for.
    stream.set_nodelay(true)?;
    Ok(stream)
}
