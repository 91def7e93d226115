//! Arguments, with NUL bytes between them.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let arguments = data.split(|&byte| byte == 0);
    mxm_secrets::fuzzing::command_line(
        arguments
            .map(|argument| OsString::from_vec(argument.to_vec()))
            .collect(),
    );
});
