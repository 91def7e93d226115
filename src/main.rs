//! The program: its allocator, and the C entry point in place of Rust's, which opens /dev/null for a closed standard
//! output: the secret would vanish in it with status 0.
#![cfg_attr(not(test), no_main)]

use std::ffi::{c_char, c_int};

use mxm_secrets::program::{self, Arena};

#[global_allocator]
static ALLOCATOR: Arena = Arena::new();

/// Called by the C runtime alone.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: argc and argv come from the C runtime.
    program::run(unsafe { program::arguments(argc, argv) })
}
