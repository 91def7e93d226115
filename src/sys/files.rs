//! Files: opened without waiting for anyone, and made in memory alone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file to read from without waiting for anyone: opening a FIFO waits for a writer otherwise.
///
/// # Errors
/// What `open` says.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open(path, 0)
}

/// The same for what is no symbolic link.
///
/// # Errors
/// What `open` says; of a link, anything but that it does not exist.
#[cfg(feature = "config")]
pub fn open_no_link(path: &Path) -> io::Result<File> {
    open(path, libc::O_NOFOLLOW)
}

fn open(path: &Path, flags: libc::c_int) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags)
        .open(path)
}

/// A file in memory that holds `content` and that nobody can change, for a program that is started in our place:
/// opening its path there gives a fresh offset.
///
/// # Errors
/// What the kernel says; `Unsupported` on other systems than Linux.
#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
pub fn sealed_file(content: &[u8]) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;

    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; a descriptor that is not negative is ours to own. Kernels before 6.3 do not
    // know MFD_NOEXEC_SEAL and say so.
    let file: OwnedFd = unsafe {
        let mut fd = libc::memfd_create(c"secret".as_ptr(), flags | libc::MFD_NOEXEC_SEAL);
        if fd < 0 {
            fd = libc::memfd_create(c"secret".as_ptr(), flags);
        }
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        std::os::fd::FromRawFd::from_raw_fd(fd)
    };
    // Programs that are given a key look whether others may read it.
    // SAFETY: plain numbers.
    if unsafe { libc::fchmod(file.as_raw_fd(), 0o400) } != 0 {
        return Err(io::Error::last_os_error());
    }
    super::write_all(file.as_raw_fd(), &[content])?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: plain numbers.
    let sealed = unsafe {
        libc::lseek(file.as_raw_fd(), 0, libc::SEEK_SET);
        libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals)
    };
    if sealed == 0 {
        Ok(file)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// See the one for Linux.
///
/// # Errors
/// `Unsupported`, always.
#[cfg(any(not(target_os = "linux"), mxm_secrets_portable))]
pub fn sealed_file(_: &[u8]) -> io::Result<OwnedFd> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "unavailable on this system: it has no files in memory",
    ))
}
