//! Memory: nobody else sees it, and where there is none left, this process ends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use super::{STDERR, children};

/// Forbids core files and debuggers from now on: this process is about to hold a secret. [`restore_core_limit`] takes
/// the limit back for a program that is started in our place; exec itself makes that program dumpable again.
pub fn protect_memory() {
    // SAFETY: plain numbers.
    #[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    change_core_limit(|limit| {
        let _ = CORE_LIMIT.set(limit.rlim_cur);
        limit.rlim_cur = 0;
    });
}

/// Puts back the core file limit that [`protect_memory`] found.
pub fn restore_core_limit() {
    if let Some(&found) = CORE_LIMIT.get() {
        change_core_limit(|limit| limit.rlim_cur = found);
    }
}

/// The soft limit on core files that the process was started with.
static CORE_LIMIT: OnceLock<libc::rlim_t> = OnceLock::new();

fn change_core_limit(change: impl FnOnce(&mut libc::rlimit)) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls are given a valid structure, and lowering or restoring a soft limit is always allowed.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) == 0 {
            let before = limit.rlim_cur;
            change(&mut limit);
            if limit.rlim_cur != before {
                libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
            }
        }
    }
}

/// The status with which this program ends where there is no memory.
static STATUS_WITHOUT_MEMORY: AtomicI32 = AtomicI32::new(4);

/// Says with which status this program ends where there is no memory: 4 until then.
pub fn set_status_without_memory(status: u8) {
    STATUS_WITHOUT_MEMORY.store(status.into(), Ordering::Relaxed);
}

/// Ends this process and its children at once: without memory nothing else can be done.
pub(crate) fn end_without_memory() -> ! {
    const MESSAGE: &[u8] = b"mxm-secrets: there is not enough memory\n";
    children::kill_all();
    // SAFETY: the pointer and the length are those of the message; nothing is freed or flushed on the way out.
    unsafe {
        libc::write(STDERR, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::_exit(STATUS_WITHOUT_MEMORY.load(Ordering::Relaxed))
    }
}
