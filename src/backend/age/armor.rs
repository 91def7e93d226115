//! The text form of age files.

use std::io::Read;

/// Whether `file` means to be armored.
pub fn is_armored(file: &[u8]) -> bool {
    after_blank_lines(file).starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

/// Lines of nothing but blanks may stand before the armor.
fn after_blank_lines(file: &[u8]) -> &[u8] {
    let text = file.trim_ascii_start();
    match file.strip_suffix(text) {
        Some(blanks) if blanks.is_empty() || blanks.ends_with(b"\n") => text,
        _ => file,
    }
}

/// The binary form, which is no secret.
pub fn decode(file: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut decoded = Vec::with_capacity(file.len());
    age::armor::ArmoredReader::new(after_blank_lines(file))
        .read_to_end(&mut decoded)
        .map(|_| decoded)
        .map_err(|_| "has a damaged armor")
}
