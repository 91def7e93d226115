//! The operating system: what std has no call for, each behind a small safe function.
//!
//! | file | owns |
//! | --- | --- |
//! | `process` | what this process was started with, and what it becomes |
//! | `memory` | no core files, no debuggers; the end for want of memory |
//! | `descriptors` | the standard ones, writing, inheritance |
//! | `waiting` | `poll`, with a time limit |
//! | `files` | opened without waiting; sealed ones in memory |
//! | `rights` | this user, access lists, read-only mounts |
//! | `sockets` | begun without waiting; writing without SIGPIPE |
//! | `terminal` | whether there is one; its echo |
//! | `signals` | those that end this process |
//! | `children` | their end |
//!
//! The only files that name libc, and, but for the wiping of memory, the only ones with unsafe code.

mod children;
mod descriptors;
mod files;
mod memory;
mod process;
mod rights;
mod signals;
mod sockets;
mod terminal;
mod waiting;

pub use children::{end_of, forget_child, has_ended, kill_group, remember_child};
pub use descriptors::{
    STDERR, STDOUT, fill_standard_streams, keep_at_exec, make_stdin, out_of_the_way, write_all,
};
#[cfg(feature = "config")]
pub use files::open_no_link;
pub use files::{open_to_read, sealed_file};
pub(crate) use memory::end_without_memory;
pub use memory::{protect_memory, restore_core_limit, set_status_without_memory};
pub use process::{NOT_A_PROGRAM, arguments, execve, host_name, variable};
pub use rights::{access_list, is_read_only, user};
pub use signals::{
    die_of_closed_pipe, give_way_to_signals, signalled, unwatch_signals, watch_signals,
};
pub use sockets::{connect_unix, send, start_connecting};
pub use terminal::{EchoOff, is_terminal, terminal_path};
pub use waiting::{Until, wait, wait_readable};
