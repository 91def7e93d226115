//! The operating system: what std has no call for, each behind a small safe function, or behind rustix.
//!
//! | file | owns |
//! | --- | --- |
//! | `exec` | what this process becomes, and its end at once |
//! | `memory` | no core files, no debuggers; the end for want of memory |
//! | `descriptors` | the standard ones, and who inherits them |
//! | `files` | opened without waiting; sealed ones in memory |
//! | `rights` | this user, the home directory, access lists, read-only mounts |
//! | `accounts` | the users and groups of this machine |
//! | `sockets` | begun without waiting; writing without SIGPIPE; who is at the other end |
//! | `children` | their end |
//!
//! Signals and waiting are in [`watch`](crate::watch). Only that and `exec` call libc.

mod accounts;
mod children;
mod descriptors;
mod exec;
mod files;
mod memory;
mod rights;
mod sockets;

pub use accounts::Accounts;
pub use children::{
    ask_group_to_end, ask_to_end, be_asked_to_end, end_of, end_with_us, forget_child,
    group_is_there, has_ended, kill, kill_group, let_orphans_come, orphans_come, remember_child,
};
pub use descriptors::{
    fill_standard_streams, keep_at_exec, make_stdin, out_of_the_way, terminal_path,
};
pub use exec::{NOT_A_PROGRAM, execve};
pub use files::{NONBLOCK, open_no_link, open_to_read, sealed_file};
pub(crate) use memory::end_without_memory;
pub use memory::{
    NO_MEMORY, protect_memory, restore_core_limit, set_message_without_memory,
    set_status_without_memory,
};
pub use rights::{
    access_list, group, home, home_or_root, is_at_a_strange_home, is_read_only, user,
};
pub use rustix::stdio::{stderr, stdin, stdout};
pub use sockets::{connect_unix, peer, send, start_connecting};

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

use rustix::io::Errno;

/// The environment variable `name`; an empty one counts as not given.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether there were not enough files, processes or memory just now.
pub fn is_shortage(error: &io::Error) -> bool {
    let number = Errno::from_io_error(error);
    matches!(
        number,
        Some(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}

/// Whether a connection fails for what only a person changes: the address, rights, or a kind of address that this
/// process may not use. Of other errors, the server may be away.
#[cfg(feature = "vault")]
pub fn is_lasting(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(number) => matches!(
            number,
            Errno::ACCESS
                | Errno::AFNOSUPPORT
                | Errno::INVAL
                | Errno::LOOP
                | Errno::NAMETOOLONG
                | Errno::NOTDIR
                | Errno::PERM
                | Errno::PROTOTYPE
        ),
        None => error.kind() == io::ErrorKind::Other,
    }
}

/// The name of this host.
pub fn host_name() -> OsString {
    let name = rustix::system::uname().nodename().to_bytes().to_vec();
    OsString::from_vec(name)
}
