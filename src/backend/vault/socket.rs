//! A connection's bytes: connects, reads and writes by a deadline, and stops when a signal ends the program.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::process::{self, Deadline};
use crate::sys;

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

    /// Waits until `fd` can be read.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; anything when a signal came, see [`process::interrupted`].
    fn wait_readable(self, fd: BorrowedFd) -> io::Result<()> {
        loop {
            if process::interrupted() {
                return Err(io::Error::other("interrupted"));
            }
            if self.deadline.passed() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if sys::wait_readable([Some(fd)], self.deadline.remaining())? == [true] {
                return Ok(());
            }
        }
    }
}

/// A connection that has been made.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    patience: Patience,
    /// When the signal was first seen, if going on after it.
    signalled: Option<Instant>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Connects to the Unix socket at `path`.
    ///
    /// # Errors
    /// What the system says.
    pub fn unix(path: &Path, patience: Patience) -> io::Result<Socket> {
        Ok(Socket::new(
            Stream::Unix(UnixStream::connect(path)?),
            patience,
        ))
    }

    /// Looks `host` up and connects to it. Neither has a call with a deadline that a signal ends, so a thread does
    /// it, and is left alone with it when it takes too long.
    ///
    /// # Errors
    /// What the system says; `TimedOut` at the deadline.
    pub fn tcp(host: &str, port: u16, patience: Patience) -> io::Result<Socket> {
        let (done, open_until_done) = io::pipe()?;
        let (sender, receiver) = mpsc::channel();
        let (host, deadline) = (host.to_owned(), patience.deadline);
        std::thread::Builder::new().spawn(move || {
            let _ = sender.send(connect(&host, port, deadline));
            drop(open_until_done);
        })?;
        let connected = match patience.wait_readable(done.as_fd()) {
            Ok(()) => receiver
                .recv()
                .map_err(|_| io::Error::other("cannot connect")),
            // The signal would end every further wait of that kind at once.
            Err(_) if process::interrupted() && !patience.after_signal.is_zero() => receiver
                .recv_timeout(patience.after_signal)
                .map_err(|_| io::ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        };
        let stream = connected??;
        // Requests are written whole, so there is nothing to wait for.
        stream.set_nodelay(true)?;
        Ok(Socket::new(Stream::Tcp(stream), patience))
    }

    fn new(stream: Stream, patience: Patience) -> Socket {
        Socket {
            stream,
            patience,
            signalled: None,
        }
    }

    /// Sets how long to wait from now on.
    pub fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
        self.signalled = None;
    }

    /// Whether the other side has neither closed it nor said anything unasked.
    pub fn is_quiet(&self) -> bool {
        matches!(
            sys::wait_readable([Some(self.as_fd())], Some(Duration::ZERO)),
            Ok([false])
        )
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    /// The time that is left, to be given to a call that waits by itself.
    fn left(&mut self) -> io::Result<Option<Duration>> {
        let mut left = self.patience.deadline.remaining();
        if process::interrupted() {
            let since = self.signalled.get_or_insert_with(Instant::now).elapsed();
            let grace = self.patience.after_signal.saturating_sub(since);
            left = Some(left.map_or(grace, |left| left.min(grace)));
        }
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !process::interrupted() {
            match self.patience.wait_readable(self.as_fd()) {
                Err(_) if process::interrupted() => {}
                result => result?,
            }
        }
        if process::interrupted() {
            // The signal would end every wait of ours at once, so the call has to wait by itself.
            let left = self.left()?;
            match &self.stream {
                Stream::Tcp(stream) => stream.set_read_timeout(left)?,
                Stream::Unix(stream) => stream.set_read_timeout(left)?,
            }
        }
        match &mut self.stream {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        match &mut self.stream {
            Stream::Tcp(stream) => {
                stream.set_write_timeout(left)?;
                stream.write(bytes)
            }
            Stream::Unix(stream) => {
                stream.set_write_timeout(left)?;
                stream.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tries every address of `host`, each with its share of the time.
fn connect(host: &str, port: u16, deadline: Deadline) -> io::Result<TcpStream> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (index, address) in addresses.iter().enumerate() {
        let share = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let result = match deadline.remaining() {
            Some(left) if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            Some(left) => TcpStream::connect_timeout(address, left / share),
            None => TcpStream::connect(address),
        };
        match result {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
