//! The program: arguments in, exit status out.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![cfg_attr(not(test), no_main)]

mod cli;

use std::ffi::{c_char, c_int};

use mxm_secrets::arena::Arena;
use mxm_secrets::sys;

#[global_allocator]
static ALLOCATOR: Arena = Arena::new();

/// The C entry point, in place of Rust's: that one opens /dev/null for a closed standard output, and the secret would
/// vanish in it with status 0.
///
/// # Safety
/// Called by the C runtime alone.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    sys::fill_standard_streams();
    sys::protect_memory();
    // SAFETY: argc and argv come from the C runtime.
    let arguments = unsafe { sys::arguments(argc, argv) };
    let status = cli::run(arguments);
    sys::give_way_to_signals();
    c_int::from(status)
}
