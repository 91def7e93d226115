//! The text form of age files.

use std::io::Read;

use super::format::{Damage, in_time};
use crate::deadline::Deadline;

/// With this line an armored file begins.
pub const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Whether `file` means to be armored.
pub fn is_armored(file: &[u8]) -> bool {
    after_blank_lines(file).starts_with(BEGIN)
}

/// Whether an armor begins below the first line of `file`.
pub fn is_below_text(file: &[u8]) -> bool {
    let mut lines = file.split(|&byte| byte == b'\n');
    lines.any(|line| line.starts_with(BEGIN) || line.ends_with(BEGIN))
}

/// Lines of nothing but spaces may stand before the armor.
fn after_blank_lines(file: &[u8]) -> &[u8] {
    let text = file.trim_ascii_start();
    match file.strip_suffix(text) {
        Some(blanks) if blanks.is_empty() || blanks.ends_with(b"\n") => text,
        _ => file,
    }
}

/// The binary form, which is no secret.
pub fn decode(file: &[u8], deadline: Deadline) -> Result<Vec<u8>, Damage> {
    let mut decoded = Vec::with_capacity(file.len() / 4 * 3);
    let mut reader = age::armor::ArmoredReader::new(after_blank_lines(file)).take(0);
    loop {
        in_time(deadline)?;
        reader.set_limit(64 << 10);
        match reader.read_to_end(&mut decoded) {
            Ok(0) => return Ok(decoded),
            Ok(_) => {}
            Err(_) => return Err("has a damaged armor".into()),
        }
    }
}
