//! Who may do what with a file: this user, access lists, read-only mounts.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The user that this process acts as.
pub fn user() -> u32 {
    // SAFETY: it only reads a number.
    unsafe { libc::geteuid() }
}

/// The access list of the file at `path`, as Linux stores it; `None`: it has none, or this system stores none.
///
/// # Errors
/// Anything else that the kernel says.
#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
pub fn access_list(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // The kernel's limit for one attribute.
    let mut list = vec![0_u8; 64 << 10];
    let path = CString::new(path.as_os_str().as_bytes())?;
    let name = c"system.posix_acl_access";
    // SAFETY: both strings end in NUL, and the buffer is as long as is said.
    let length = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            name.as_ptr(),
            list.as_mut_ptr().cast(),
            list.len(),
        )
    };
    match usize::try_from(length) {
        Ok(length) => {
            list.truncate(length);
            Ok(Some(list))
        }
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::ENOTSUP)) => {
                Ok(None)
            }
            error => Err(error),
        },
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
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    let mut data = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the string ends in NUL; the structure is read only if the kernel has filled it in.
    unsafe {
        libc::statvfs(path.as_ptr(), data.as_mut_ptr()) == 0
            && data.assume_init().f_flag & libc::ST_RDONLY != 0
    }
}
