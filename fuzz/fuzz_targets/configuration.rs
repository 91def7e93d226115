//! The files of a configuration, with lines of `%%` between them: the default, then the layers in their order.
#![no_main]

mod parts;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mxm_secrets::fuzzing::configuration(&parts::of(data)));
