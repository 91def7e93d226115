//! The answers of a Vault server: a byte for what is asked, one for how many bytes come at once, then the answers with
//! lines of `%%` between them. Or, after a byte `@`, an address.
#![no_main]

mod parts;

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: {
        // SAFETY: there is no other thread yet.
        unsafe {
            std::env::set_var("VAULT_ADDR", "unix:///dev/null/nowhere");
            std::env::set_var("VAULT_TOKEN", mxm_secrets::fuzzing::TOKEN);
        }
    },
    |data: &[u8]| match data {
        [b'@', text @ ..] => {
            if let Ok(text) = std::str::from_utf8(text) {
                mxm_secrets::fuzzing::vault_address(text);
            }
        }
        [flags, piece, rest @ ..] => {
            mxm_secrets::fuzzing::vault_answers(*flags, usize::from(*piece) * 8, &parts::of(rest));
        }
        _ => {}
    }
);
