//! Who may do what with a file: this user, access lists, read-only mounts.

use std::io;
use std::path::Path;

/// The user that this process acts as.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
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
