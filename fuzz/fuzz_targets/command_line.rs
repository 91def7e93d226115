//! Arguments, with NUL bytes between them. The command line belongs to the program, not to the library, so its source is
//! compiled into this target.
#![no_main]
#![allow(dead_code)]

#[path = "../../src"]
mod program {
    pub mod cli;
}

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let arguments = data.split(|&byte| byte == 0);
    program::cli::fuzzing::command_line(
        arguments
            .map(|argument| OsString::from_vec(argument.to_vec()))
            .collect(),
    );
});
