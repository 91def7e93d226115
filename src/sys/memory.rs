//! Memory: nobody else sees it, and where there is none left, this process ends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{children, exec};

/// Forbids core files and debuggers from now on: this process is about to hold a secret. [`restore_core_limit`] takes
/// the limit back for a program that is started in our place; exec itself makes that program dumpable again.
pub fn protect_memory() {
    #[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    let found = getrlimit(Resource::Core);
    let _ = CORE_LIMIT.set(found.current);
    limit_core(found, Some(0));
}

/// Puts back the core file limit that [`protect_memory`] found.
pub fn restore_core_limit() {
    if let Some(&found) = CORE_LIMIT.get() {
        limit_core(getrlimit(Resource::Core), found);
    }
}

/// The soft limit on core files that the process was started with, in bytes; `None` is no limit.
static CORE_LIMIT: OnceLock<Option<u64>> = OnceLock::new();

/// Lowering or restoring a soft limit is always allowed.
fn limit_core(now: Rlimit, current: Option<u64>) {
    if now.current != current {
        let _ = setrlimit(Resource::Core, Rlimit { current, ..now });
    }
}

/// The status with which this program ends where there is no memory.
static STATUS_WITHOUT_MEMORY: AtomicI32 = AtomicI32::new(4);

/// Says with which status this program ends where there is no memory: 4 until then.
pub fn set_status_without_memory(status: u8) {
    STATUS_WITHOUT_MEMORY.store(status.into(), Ordering::Relaxed);
}

/// What this program says where there is no memory.
pub const NO_MEMORY: &str = "there is not enough memory";

/// The line that says so, if not as text.
static MESSAGE_WITHOUT_MEMORY: OnceLock<String> = OnceLock::new();

/// Says what this program says where there is no memory.
pub fn set_message_without_memory(line: &str) {
    let _ = MESSAGE_WITHOUT_MEMORY.set(format!("{line}\n"));
}

/// Ends this process and its children at once: without memory nothing else can be done.
pub(crate) fn end_without_memory() -> ! {
    const MESSAGE: &str = "mxm-secrets: there is not enough memory\n";
    children::kill_all();
    let message = MESSAGE_WITHOUT_MEMORY.get().map_or(MESSAGE, String::as_str);
    let _ = rustix::io::write(rustix::stdio::stderr(), message.as_bytes());
    exec::exit_at_once(STATUS_WITHOUT_MEMORY.load(Ordering::Relaxed))
}
