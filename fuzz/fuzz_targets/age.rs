//! Age files for the identity in age.key, and, after a byte `I`, files of identities. The seeds hold one and the same
//! plaintext, so that whatever is made of them gives that one or nothing. What the age crate opens is opened, and nothing
//! else.
#![no_main]

use std::io::Read;

use age::armor::ArmoredReader;
use libfuzzer_sys::fuzz_target;
use mxm_secrets::fuzzing::{age_file, age_identities};

const IDENTITY: &[u8] = include_bytes!("age.key");
const PLAINTEXT: &[u8] = b"hunter2\nuser: bob\n";

fuzz_target!(|data: &[u8]| match data {
    [b'I', text @ ..] => age_identities(text),
    file => assert_eq!(age_file(file, IDENTITY, PLAINTEXT), theirs(file)),
});

/// Whether the age crate can read `file`, as it is or armored.
fn theirs(file: &[u8]) -> bool {
    let identity = std::str::from_utf8(IDENTITY).expect("text");
    let identity: age::x25519::Identity = identity.trim().parse().expect("an identity");
    let mut plain = Vec::new();
    age::Decryptor::new_buffered(ArmoredReader::new(file))
        .and_then(|file| file.decrypt(std::iter::once(&identity as &dyn age::Identity)))
        .is_ok_and(|mut text| text.read_to_end(&mut plain).is_ok())
}
