//! The program: its allocator, and the C entry point in place of Rust's, which opens /dev/null for a closed standard
//! output: the secret would vanish in it with status 0.
#![cfg_attr(not(test), no_main)]

#[cfg(not(unix))]
compile_error!(
    "mxm-secrets needs a Unix system (Linux, macOS or FreeBSD); Windows is not supported"
);

#[cfg(unix)]
mod entry {
    use std::ffi::{CStr, OsStr, c_char, c_int};
    use std::os::unix::ffi::OsStrExt;

    use mxm_secrets::program::{self, Arena};

    #[global_allocator]
    static ALLOCATOR: Arena = Arena::new();

    /// Called by the C runtime alone.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    #[cfg_attr(test, allow(dead_code))]
    extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
        let arguments = (1..usize::try_from(argc).unwrap_or(0)).map(|index| {
            // SAFETY: the C runtime hands over argc strings that end in NUL.
            let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
            OsStr::from_bytes(argument.to_bytes()).to_owned()
        });
        program::run(arguments.collect())
    }
}
