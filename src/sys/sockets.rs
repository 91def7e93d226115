//! Sockets: begun without waiting, and written to without SIGPIPE.

use std::ffi::{c_char, c_int};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Begins to connect to `address`: [`wait`](super::wait) until it is writable, then ask it for its error. Nothing that is done with
/// it waits.
///
/// # Errors
/// What the system says.
pub fn start_connecting(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let stream = TcpStream::from(socket(family)?);
    stream.set_nonblocking(true)?;
    // SAFETY: all zeros is a valid address of either kind, and the pointer and the size are those of the structure.
    let status = unsafe {
        match address {
            SocketAddr::V4(address) => {
                let mut raw: libc::sockaddr_in = std::mem::zeroed();
                raw.sin_family = family as libc::sa_family_t;
                raw.sin_port = address.port().to_be();
                raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
                let size = size_of_val(&raw) as libc::socklen_t;
                libc::connect(stream.as_raw_fd(), (&raw const raw).cast(), size)
            }
            SocketAddr::V6(address) => {
                let mut raw: libc::sockaddr_in6 = std::mem::zeroed();
                raw.sin6_family = family as libc::sa_family_t;
                raw.sin6_port = address.port().to_be();
                raw.sin6_addr.s6_addr = address.ip().octets();
                raw.sin6_scope_id = address.scope_id();
                let size = size_of_val(&raw) as libc::socklen_t;
                libc::connect(stream.as_raw_fd(), (&raw const raw).cast(), size)
            }
        }
    };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if status == 0 => Ok(stream),
        Some(libc::EINPROGRESS | libc::EINTR) => Ok(stream),
        _ => Err(error),
    }
}

/// Connects to the Unix socket at `path`. Nothing that is done with it waits.
///
/// # Errors
/// What the system says; `WouldBlock` while more wait to be connected than the other side allows.
pub fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: all zeros is a valid address.
    let mut raw: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // The last byte stays zero.
    if bytes.len() >= raw.sun_path.len() {
        let why = "the path is too long for a socket";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    for (place, byte) in raw.sun_path.iter_mut().zip(bytes) {
        *place = *byte as c_char;
    }
    let stream = UnixStream::from(socket(libc::AF_UNIX)?);
    stream.set_nonblocking(true)?;
    let size = size_of_val(&raw) as libc::socklen_t;
    // SAFETY: the pointer and the size are those of the structure.
    match unsafe { libc::connect(stream.as_raw_fd(), (&raw const raw).cast(), size) } {
        0 => Ok(stream),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A socket of that family, which no child inherits.
fn socket(family: c_int) -> io::Result<OwnedFd> {
    // In one step where that can be had: another thread may start a child in between.
    #[cfg(not(target_vendor = "apple"))]
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    #[cfg(target_vendor = "apple")]
    let kind = libc::SOCK_STREAM;
    // SAFETY: plain numbers; a descriptor that is not negative is ours to own.
    let socket: OwnedFd = unsafe {
        let fd = libc::socket(family, kind, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        #[cfg(target_vendor = "apple")]
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        std::os::fd::FromRawFd::from_raw_fd(fd)
    };
    // A peer that has gone is an error, never SIGPIPE; elsewhere std sees to that at every write.
    #[cfg(target_vendor = "apple")]
    // SAFETY: the pointer and the size are those of the number.
    unsafe {
        let on: c_int = 1;
        let size = size_of_val(&on) as libc::socklen_t;
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NOSIGPIPE,
            (&raw const on).cast(),
            size,
        );
    }
    Ok(socket)
}

/// Sends some of `bytes` through a socket; a peer that has gone is an error, never SIGPIPE.
///
/// # Errors
/// What `send` says.
pub fn send(socket: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_vendor = "apple")]
    let flags = 0;
    #[cfg(not(target_vendor = "apple"))]
    let flags = libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length are those of the slice.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
