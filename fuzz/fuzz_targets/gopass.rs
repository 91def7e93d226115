//! The output of a password store: a byte for the program and the field, one for the status, then standard output, a
//! line of `%%` and standard error.
#![no_main]

mod parts;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let [flags, status, rest @ ..] = data {
        let parts = parts::of(rest);
        let stderr = parts.get(1).copied().unwrap_or_default();
        mxm_secrets::fuzzing::gopass_output(flags & 15, *status, flags & 16 != 0, parts[0], stderr);
    }
});
