//! Encodings of a value inside another text. What they write goes into memory that is wiped.

use crate::secret::{LIMIT, Secret, SecretBuffer};

/// How a value stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// As it is.
    Plain,
    /// Percent-encoded for any part of a URL: what RFC 3986 calls unreserved stays.
    Url,
    /// As the inside of a JSON string (RFC 8259).
    Json,
    /// As one word of a POSIX shell.
    Sh,
    /// In base64 (RFC 4648, with padding).
    Base64,
}

impl Encoder {
    /// Appends `value`, encoded, to `text`.
    ///
    /// # Errors
    /// Why it cannot be encoded.
    pub fn append(self, value: &[u8], text: &mut SecretBuffer) -> Result<(), &'static str> {
        let fits = match self {
            Encoder::Plain => text.extend(value),
            Encoder::Url => value.iter().all(|&byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.extend(&[byte])
                }
                _ => text.extend(&[b'%', hex(byte >> 4), hex(byte & 15)]),
            }),
            Encoder::Json => {
                std::str::from_utf8(value)
                    .map_err(|_| "is not UTF-8, which a JSON string must be")?;
                value.iter().all(|&byte| match byte {
                    b'"' | b'\\' => text.extend(&[b'\\', byte]),
                    0..0x20 | 0x7f => {
                        text.extend(b"\\u00") && text.extend(&[hex(byte >> 4), hex(byte & 15)])
                    }
                    _ => text.extend(&[byte]),
                })
            }
            Encoder::Sh if value.contains(&0) => {
                return Err("contains a NUL byte, which a shell's word cannot");
            }
            Encoder::Sh => {
                text.extend(b"'")
                    && value.iter().all(|&byte| match byte {
                        b'\'' => text.extend(b"'\\''"),
                        _ => text.extend(&[byte]),
                    })
                    && text.extend(b"'")
            }
            Encoder::Base64 => value.chunks(3).all(|bytes| {
                let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0));
                let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
                let mut digits = [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize]);
                digits[bytes.len() + 1..].fill(b'=');
                text.extend(&digits)
            }),
        };
        fits.then_some(()).ok_or("is too large")
    }
}

/// The digits of base64.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The digit of a number below 16, as RFC 3986 wants it.
fn hex(number: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(number & 15)]
}

/// `secret` in base64.
pub fn base64(secret: &Secret) -> Secret {
    let mut text = SecretBuffer::new(LIMIT * 2);
    // A secret has at most LIMIT bytes, so that its base64 fits.
    let _ = Encoder::Base64.append(secret.expose(), &mut text);
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encoder: Encoder, value: &[u8]) -> Result<String, &'static str> {
        let mut text = SecretBuffer::new(LIMIT);
        encoder.append(value, &mut text)?;
        Ok(String::from_utf8(text.expose().to_vec()).unwrap())
    }

    #[test]
    fn values_are_encoded() {
        for (encoder, value, text) in [
            (Encoder::Plain, "a'\"\\", "a'\"\\"),
            (
                Encoder::Url,
                "aZ09-._~ /?#@:é+%",
                "aZ09-._~%20%2F%3F%23%40%3A%C3%A9%2B%25",
            ),
            (
                Encoder::Json,
                "a\"b\\c\n\u{7f}é",
                "a\\\"b\\\\c\\u000A\\u007Fé",
            ),
            (Encoder::Sh, "it's $x", "'it'\\''s $x'"),
            (Encoder::Sh, "", "''"),
            (Encoder::Base64, "", ""),
            (Encoder::Base64, "f", "Zg=="),
            (Encoder::Base64, "fo", "Zm8="),
            (Encoder::Base64, "foo", "Zm9v"),
            (Encoder::Base64, "foob", "Zm9vYg=="),
        ] {
            assert_eq!(encoded(encoder, value.as_bytes()).as_deref(), Ok(text));
        }
        assert!(encoded(Encoder::Json, b"\xff").is_err());
        assert!(encoded(Encoder::Sh, b"a\0b").is_err());
    }
}
