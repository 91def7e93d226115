//! Age files for the identity in age.key, and, after a byte `I`, files of identities. The seeds hold one and the same
//! plaintext, so that whatever is made of them gives that one or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mxm_secrets::fuzzing::{age_file, age_identities};

const IDENTITY: &[u8] = include_bytes!("age.key");
const PLAINTEXT: &[u8] = b"hunter2\nuser: bob\n";

fuzz_target!(|data: &[u8]| match data {
    [b'I', text @ ..] => age_identities(text),
    file => age_file(file, IDENTITY, PLAINTEXT),
});
