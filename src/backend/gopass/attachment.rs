//! What `gopass fscopy` and `gopass cat` have stored: base64 below the headers of a mail. `gopass cat` would give the
//! bytes; but where its standard input is no terminal device, it writes.

use crate::secret::Secret;

/// The bytes of the secret `text`, if its base64 is whole; `None`: it is no attachment.
pub fn decode(text: &Secret) -> Option<Option<Secret>> {
    let text = text.expose().strip_prefix(b"\n")?;
    let text = header(text, "content-disposition: attachment; filename=")?;
    let text = header(text, "content-transfer-encoding: base64")?;
    Some(base64(text))
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
        ] {
            let seen = decoded(format!("{HEADERS}{base64}")).unwrap();
            assert_eq!(seen.as_ref().map(Secret::expose), bytes, "{base64:?}");
        }
        for text in [
            "",
            "\n",
            "pw\nContent-Transfer-Encoding: Base64\nYQ==\n",
            &HEADERS[1..],
            &HEADERS[..60],
        ] {
            assert!(decoded(text.to_owned()).is_none(), "{text:?}");
        }
    }
}
