//! What gopass has stored in the form of a mail: headers, and what is below them.
//!
//! `gopass fscopy` and `gopass cat` do so with base64. `gopass cat` would give the bytes; but where its standard input is
//! no terminal device, it writes. gopass 1.10 and 1.11 did so with every secret.

use crate::secret::Secret;

/// The bytes of the secret `text`, if its base64 is whole; `None`: it is no attachment.
pub fn decode(text: &Secret) -> Option<Option<Secret>> {
    let text = text.expose();
    // Today's form has an empty password before it, that of 1.10 and 1.11 none.
    let text = text.strip_prefix(b"\n").unwrap_or(text);
    let text = header(text, "content-disposition: attachment; filename=")?;
    let text = header(text, "content-transfer-encoding: base64")?;
    Some(base64(text))
}

/// The key, if the line is a header as gopass 1.10 and 1.11 wrote them.
pub fn key(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|&byte| byte == b':')?;
    let (key, value) = line.split_at(end);
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_header = end > 0 && key.iter().all(is_key) && matches!(value, b":" | [_, b' ', ..]);
    is_header.then_some(key)
}

/// What is below the line that begins so.
fn header<'a>(text: &'a [u8], begin: &str) -> Option<&'a [u8]> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let (line, below) = text.split_at(end);
    let same = line
        .get(..begin.len())?
        .eq_ignore_ascii_case(begin.as_bytes());
    same.then_some(&below[1..])
}

/// The bytes that `text` encodes, with newlines in it or without.
fn base64(text: &[u8]) -> Option<Secret> {
    // All the room that it can need: a vector that grows leaves what it held behind.
    let mut bytes = Vec::with_capacity(text.len());
    let (mut word, mut digits, mut padding) = (0_u32, 0_usize, 0_usize);
    for byte in text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
        padding += usize::from(*byte == b'=');
        let digit = match byte {
            b'=' => 0,
            _ if padding > 0 => return None,
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(digit);
        digits += 1;
        if digits % 4 == 0 {
            bytes.extend_from_slice(&word.to_be_bytes()[1..4 - padding.min(2)]);
        }
    }
    let secret = Secret::take(bytes);
    (digits % 4 == 0 && padding <= 2).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str =
        "\nContent-Disposition: attachment; filename=\"f\"\nContent-Transfer-Encoding: Base64\n";

    #[test]
    fn a_header_is_told_from_a_password() {
        for (line, found) in [
            ("Password: p", Some("Password")),
            ("X-Y:", Some("X-Y")),
            ("a_b: ", Some("a_b")),
            ("https://x", None),
            (": p", None),
            ("a b: c", None),
            ("{\"a\": 1}", None),
            ("pw", None),
            ("", None),
        ] {
            assert_eq!(key(line.as_bytes()), found.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn an_attachment_is_decoded_and_nothing_else_is() {
        let decoded = |text: String| decode(&Secret::copy_of(text.as_bytes()));
        for (base64, bytes) in [
            ("", Some(&b""[..])),
            ("\n", Some(b"")),
            ("AAECYmluYXJ5\n", Some(b"\0\x01\x02binary")),
            ("YQ==", Some(b"a")),
            ("Y\nWI=\r\n", Some(b"ab")),
            ("+/+/", Some(b"\xfb\xff\xbf")),
            ("YQ", None),
            ("YQ=", None),
            ("Y===", None),
            ("YQ==YQ==", None),
            ("====", None),
            ("Y Q=", None),
            ("\nYQ==\n", Some(b"a")),
        ] {
            for headers in [HEADERS, &HEADERS[1..]] {
                let seen = decoded(format!("{headers}{base64}")).unwrap();
                assert_eq!(seen.as_ref().map(Secret::expose), bytes, "{base64:?}");
            }
        }
        for text in [
            "",
            "\n",
            "pw\nContent-Transfer-Encoding: Base64\nYQ==\n",
            &HEADERS[2..],
            &HEADERS[..60],
        ] {
            assert!(decoded(text.to_owned()).is_none(), "{text:?}");
        }
    }
}
