//! Who may do what with a file: this user, the home directory, access lists, read-only mounts.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::accounts::home_of_account;

/// The user that this process acts as.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The group that this process acts as.
pub fn group() -> u32 {
    rustix::process::getegid().as_raw()
}

/// The home directory: $HOME if that is an absolute path, else what the system says of this user.
pub fn home() -> Option<PathBuf> {
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        // What std asks the system for when there is no HOME at all, in a relative one's place.
        .or_else(home_of_account)
        .filter(|home| home.is_absolute())
}

/// The same; without one the root directory, as for a shell: nothing, and then a slash.
pub fn home_or_root() -> PathBuf {
    home().unwrap_or_else(|| "/".into())
}

/// Whether $HOME is, or lies in, a directory of another user, root included, which this one may not search.
pub fn is_at_a_strange_home() -> bool {
    let Some(home) = home() else { return false };
    let barred = home
        .join(".")
        .metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    // Where it lies below what may not be searched, whose that is decides.
    let mut seen = home.ancestors().filter_map(|path| path.metadata().ok());
    barred && seen.next().is_some_and(|data| data.uid() != user())
}

/// The access list of the file at `path`, as Linux stores it; `None`: it has none, or this system stores none.
///
/// # Errors
/// Anything else that the kernel says.
#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
pub fn access_list(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use rustix::io::Errno;

    // The kernel's limit for one attribute.
    let mut list = vec![0_u8; 64 << 10];
    match rustix::fs::lgetxattr(path, "system.posix_acl_access", &mut list[..]) {
        Ok(length) => {
            list.truncate(length);
            Ok(Some(list))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// See the one for Linux.
///
/// # Errors
/// None.
#[cfg(any(not(target_os = "linux"), mxm_secrets_portable))]
pub fn access_list(_: &Path) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}

/// Whether `path` is on a read-only mount. False if that cannot be found out.
pub fn is_read_only(path: &Path) -> bool {
    use rustix::fs::{StatVfsMountFlags, statvfs};

    statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}
