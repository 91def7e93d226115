//! Files: opened without waiting for anyone, and made in memory alone.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// What makes reading a terminal or a pipe that has nothing fail in place of waiting, for
/// [`OpenOptionsExt::custom_flags`](std::os::unix::fs::OpenOptionsExt::custom_flags).
pub const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// Opens a file to read from without waiting for anyone: opening a FIFO waits for a writer otherwise.
///
/// # Errors
/// What `open` says.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open(path, OFlags::empty())
}

/// The same for what is no symbolic link.
///
/// # Errors
/// What `open` says, of a link, too.
pub fn open_no_link(path: &Path) -> io::Result<File> {
    open(path, OFlags::NOFOLLOW)
}

fn open(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags | more, Mode::empty())?;
    Ok(File::from(file))
}

/// A file in memory that holds `content` and that nobody can change, for a program that is started in our place:
/// opening its path there gives a fresh offset.
///
/// # Errors
/// What the kernel says; `Unsupported` on other systems than Linux.
#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
pub fn sealed_file(content: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, Write};

    use rustix::fs::{MemfdFlags, SealFlags, fchmod, fcntl_add_seals, memfd_create};

    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know NOEXEC_SEAL and say so.
    let file = memfd_create("secret", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("secret", flags))?;
    let mut file = File::from(file);
    // Programs that are given a key look whether others may read it.
    fchmod(&file, Mode::RUSR)?;
    file.write_all(content)?;
    file.rewind()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
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
