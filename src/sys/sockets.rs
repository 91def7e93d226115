//! Sockets: begun without waiting, written to without SIGPIPE, and who is at the other end.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, connect};

/// Begins to connect to `address`: [`wait`](crate::watch::wait) until it is writable, then ask it for its error. Nothing
/// that is done with it waits.
///
/// # Errors
/// What the system says.
pub fn start_connecting(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket(match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    })?);
    stream.set_nonblocking(true)?;
    match connect(&stream, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(stream),
        Err(error) => Err(error.into()),
    }
}

/// Connects to the Unix socket at `path`. Nothing that is done with it waits.
///
/// # Errors
/// What the system says; `WouldBlock` while more wait to be connected than the other side allows.
pub fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let why = |_| io::Error::other("the path is too long for a socket");
    let address = SocketAddrUnix::new(path).map_err(why)?;
    let stream = UnixStream::from(socket(AddressFamily::UNIX)?);
    stream.set_nonblocking(true)?;
    connect(&stream, &address)?;
    Ok(stream)
}

/// A socket of that family, which no child inherits.
fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    // In one step where that can be had: another thread may start a child in between.
    #[cfg(not(target_vendor = "apple"))]
    let socket = {
        let flags = rustix::net::SocketFlags::CLOEXEC;
        rustix::net::socket_with(family, SocketType::STREAM, flags, None)?
    };
    #[cfg(target_vendor = "apple")]
    let socket = {
        let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        // In place of the flag that `send` has elsewhere.
        rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
        socket
    };
    Ok(socket)
}

/// Sends some of `bytes` through a socket, as many as it takes without waiting. A peer that has gone is an error, never
/// SIGPIPE, which std's own writes raise before Rust 1.90.
///
/// # Errors
/// What `send` says.
pub fn send(socket: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_vendor = "apple")]
    let flags = SendFlags::DONTWAIT;
    #[cfg(not(target_vendor = "apple"))]
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::send(socket, bytes, flags)?)
}

/// Who is at the other end of a Unix socket: its abstract name, without the NUL before it, and its user.
///
/// # Errors
/// It is no such socket, or its other end has no abstract name; `Unsupported` on other systems than Linux.
#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
pub fn peer(socket: BorrowedFd) -> io::Result<(Vec<u8>, u32)> {
    let address = rustix::net::getpeername(socket)?.ok_or(Errno::AFNOSUPPORT)?;
    let address = SocketAddrUnix::try_from(address)?;
    let name = address.abstract_name();
    let name = name.ok_or_else(|| io::Error::other("its other end has no abstract name"))?;
    let user = rustix::net::sockopt::socket_peercred(socket)?.uid;
    Ok((name.to_vec(), user.as_raw()))
}

/// See the one for Linux.
///
/// # Errors
/// `Unsupported`, always.
#[cfg(any(not(target_os = "linux"), mxm_secrets_portable))]
pub fn peer(_: BorrowedFd) -> io::Result<(Vec<u8>, u32)> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "unavailable on this system: it has no systemd",
    ))
}
