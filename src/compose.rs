//! Texts put together with secrets: `{{NAME}}`, and `{{NAME|url}}` and the like for a value in an encoding. It is no
//! template engine: one pass, so that what a value contains is never read again; no conditions, defaults or functions.

use crate::name::Name;
use crate::nearest::advice;
use crate::secret::{LIMIT, Secret, SecretBuffer};
use crate::text::{quoted, write_json};

/// A text with secrets in it, in pieces. What it comes to goes into memory that is wiped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(Vec<u8>),
    Secret(Name, Encoder),
}

/// What is wrong in a text, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What.
    pub text: String,
}

const OPEN: &[u8] = b"{{";
const CLOSE: &[u8] = b"}}";

impl Text {
    /// Reads a text: bytes, with names in UTF-8. `{{{{` stands for `{{`; of three braces, the last two begin a secret.
    ///
    /// # Errors
    /// The first mistake: `{{` without `}}` on its line, a bad name, an unknown encoder; or no secret at all.
    pub fn parse(text: &[u8]) -> Result<Text, Wrong> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let braces = rest.iter().take(4).take_while(|&&byte| byte == b'{');
            match braces.count() {
                0 | 1 | 3 => {
                    plain.push(rest[0]);
                    at += 1;
                }
                2 => {
                    let wrong = |words: String| wrong(text, at, words);
                    let inside = inside(&rest[2..]).ok_or_else(|| {
                        wrong(
                            "'{{' is not closed by '}}' on its line ('{{{{' stands for '{{')"
                                .to_owned(),
                        )
                    })?;
                    let (name, encoder) = secret(inside).map_err(wrong)?;
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                    pieces.push(Piece::Secret(name, encoder));
                    at += 2 + inside.len() + 2;
                }
                _ => {
                    plain.extend(OPEN);
                    at += 4;
                }
            }
        }
        if pieces.is_empty() {
            return Err(wrong(text, 0, "no {{NAME}} in it".to_owned()));
        }
        pieces.push(Piece::Plain(plain));
        Ok(Text(pieces))
    }

    /// The secrets in it, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret(name, _) => Some(name),
            Piece::Plain(_) => None,
        })
    }

    /// The whole text; `value` gives the secrets, of which one newline at the end is left out.
    ///
    /// # Errors
    /// Which value cannot stand where it should, and why; or that the text becomes too large.
    pub fn fill<'s>(&self, value: impl Fn(&Name) -> &'s [u8]) -> Result<Secret, String> {
        let mut text = SecretBuffer::new(LIMIT);
        for piece in &self.0 {
            match piece {
                Piece::Plain(bytes) if text.extend(bytes) => {}
                Piece::Plain(_) => return Err("is larger than 16 MiB".to_owned()),
                Piece::Secret(name, encoder) => {
                    let value = value(name);
                    let value = value.strip_suffix(b"\n").unwrap_or(value);
                    let encoded = encoder.append(value, &mut text);
                    encoded.map_err(|why| format!("{name} {why}"))?;
                }
            }
        }
        Ok(text.finish())
    }
}

/// What stands between `{{` and the `}}` on the same line. With another `{{` in it, it is not closed.
fn inside(rest: &[u8]) -> Option<&[u8]> {
    let line = rest.split(|&byte| byte == b'\n').next()?;
    let end = line
        .windows(2)
        .position(|two| two == CLOSE || two == OPEN)?;
    Some(&line[..end]).filter(|_| line[end..].starts_with(CLOSE))
}

/// Reads `NAME` or `NAME|ENCODER`.
fn secret(inside: &[u8]) -> Result<(Name, Encoder), String> {
    let text = std::str::from_utf8(inside).map_err(|_| "a name must be valid UTF-8".to_owned())?;
    let parts = text.split_once('|').map(|(name, word)| (name, Some(word)));
    let (name, word) = parts.unwrap_or((text, None));
    // A name may have spaces around it, but in a text nobody means them.
    if [Some(name), word]
        .into_iter()
        .flatten()
        .any(|part| part.trim() != part)
    {
        return Err("write {{NAME}} or {{NAME|ENCODER}}, without spaces".to_owned());
    }
    let encoder = match word {
        Some(word) => {
            let known = Encoder::WORDS.iter().find(|(known, _)| *known == word);
            let unknown = || {
                let known = Encoder::WORDS.map(|(word, _)| word);
                format!("unknown encoder {}: {}", quoted(word), advice(word, &known))
            };
            known.ok_or_else(unknown)?.1
        }
        None => Encoder::Plain,
    };
    let name = Name::parse(name).map_err(|error| error.to_string())?;
    Ok((name, encoder))
}

fn wrong(text: &[u8], at: usize, words: String) -> Wrong {
    let before = String::from_utf8_lossy(&text[..at]);
    let line = before.rsplit('\n').next().unwrap_or_default();
    Wrong {
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
        text: words,
    }
}

/// How a value stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoder {
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
    /// Those that have a word.
    const WORDS: [(&'static str, Encoder); 4] = [
        ("url", Encoder::Url),
        ("json", Encoder::Json),
        ("sh", Encoder::Sh),
        ("base64", Encoder::Base64),
    ];

    /// Appends `value`, encoded, to `text`.
    ///
    /// # Errors
    /// Why it cannot be encoded.
    fn append(self, value: &[u8], text: &mut SecretBuffer) -> Result<(), &'static str> {
        let fits = match self {
            Encoder::Plain => text.extend(value),
            Encoder::Url => value.iter().all(|&byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.extend(&[byte])
                }
                _ => text.extend(&[b'%', hex(byte >> 4), hex(byte & 15)]),
            }),
            Encoder::Json => {
                let value = std::str::from_utf8(value)
                    .map_err(|_| "is not UTF-8, which a JSON string must be")?;
                write_json(value, |part| text.extend(part.as_bytes()))
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
        fits.then_some(())
            .ok_or("makes the text larger than 16 MiB")
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

    fn filled(text: &[u8]) -> Result<Vec<u8>, String> {
        let text = Text::parse(text).map_err(|wrong| {
            let Wrong { line, column, text } = wrong;
            format!("{line}:{column}: {text}")
        })?;
        let value = |name: &Name| match name.as_str() {
            "nl" => &b"v\n\n"[..],
            "odd" => b"\xff",
            "again" => b"{{a}}",
            _ => b"v/1\n",
        };
        text.fill(value).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn a_text_is_read_once() {
        for (text, whole) in [
            (&b"{{a}}"[..], &b"v/1"[..]),
            (b"x{{a|url}}y\n{{a#f}}\n", b"xv%2F1y\nv/1\n"),
            (b"{{nl}}", b"v\n"),
            (b"{{again}}{{a}}", b"{{a}}v/1"),
            (b"{{{{a}} {{a}}", b"{{a}} v/1"),
            (b"{\"a\":{{{a}}}}", b"{\"a\":{v/1}}"),
            (b"{{{{{{a}}", b"{{v/1"),
            (b"{{{{{a}} {{a}}", b"{{{a}} v/1"),
            (b"\xff{ } }} {{odd}}", b"\xff{ } }} \xff"),
            (b"{{a b}}", b"v/1"),
        ] {
            assert_eq!(
                filled(text).as_deref(),
                Ok(whole),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, wrong) in [
            (&b"x {{a"[..], "1:3: '{{' is not closed by '}}' on its line"),
            ("é\né{{a\n}}".as_bytes(), "2:2: '{{' is not closed"),
            (b"x{{u:{{a}}@h", "1:2: '{{' is not closed"),
            (b"{{a} {{{a}}}", "1:1: '{{' is not closed"),
            (b"{{a}}{{a}{{{{a}}", "1:6: '{{' is not closed"),
            (
                b"{{a}}\n\n {{a|uri}}",
                "3:2: unknown encoder \"uri\": did you mean url?",
            ),
            (b"{{a|url|json}}", "1:1: unknown encoder \"url|json\": "),
            (b"{{a|}}", "1:1: unknown encoder \"\": "),
            (b"{{ a }}", "1:1: write {{NAME}}"),
            (b"{{a |url}}", "1:1: write {{NAME}}"),
            (
                b"{{ v | url }}",
                "1:1: write {{NAME}} or {{NAME|ENCODER}}, without spaces",
            ),
            (b"{{a| url}}", "1:1: write {{NAME}}"),
            (b"{{a|\t}}", "1:1: write {{NAME}}"),
            (b"{{../a}}", "1:1: bad name \"../a\""),
            (b"{{}}", "1:1: bad name \"\""),
            (b"{{\xff}}", "1:1: a name must be valid UTF-8"),
            (b"{a}", "1:1: no {{NAME}} in it"),
            (b"{{{{a}}", "1:1: no {{NAME}} in it"),
            (b"", "1:1: no {{NAME}} in it"),
            (b"{{odd|json}}", "odd is not UTF-8"),
        ] {
            let seen = filled(text).unwrap_err();
            assert!(seen.starts_with(wrong), "{seen}");
        }
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
                "a\\\"b\\\\c\\u000a\\u007fé",
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

    /// Python decodes what is encoded to the same bytes, whatever they are.
    #[test]
    fn another_implementation_decodes_every_value() {
        use proptest::strategy::{Strategy, ValueTree};
        use std::io::Write;
        use std::process::{Command, Stdio};

        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let bytes = proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..40);
        let texts =
            "[ -~\u{0}-\u{ff}\u{2028}\u{1f600}'\"\\\\$`]{0,20}".prop_map(String::into_bytes);
        let values = proptest::prop_oneof![bytes, texts];
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|it| format!("{it:02x}")).collect() };
        let mut lines = String::new();
        for _ in 0..2000 {
            let value = values.new_tree(&mut runner).unwrap().current();
            lines += &format!("{},", hex(&value));
            for (_, encoder) in Encoder::WORDS {
                let mut text = SecretBuffer::new(LIMIT);
                lines += &match encoder.append(&value, &mut text) {
                    Ok(()) => format!("{},", hex(text.expose())),
                    Err(_) => "-,".to_owned(),
                };
            }
            lines.push('\n');
        }
        let script = "import sys, json, shlex, base64, urllib.parse
for line in sys.stdin:
    value, url, js, sh, b64 = [None if it == '-' else bytes.fromhex(it) for it in line.strip().split(',')[:5]]
    assert urllib.parse.unquote_to_bytes(url) == value and url.isascii()
    assert base64.b64decode(b64, validate=True) == value
    if js is None:
        try: value.decode(); assert False, value
        except UnicodeDecodeError: pass
    else: assert json.loads('\"' + js.decode() + '\"').encode() == value
    if sh is None: assert b'\\0' in value
    else: assert [it.encode('utf-8', 'surrogateescape') for it in shlex.split(sh.decode('utf-8', 'surrogateescape'))] == [value]
print('done')";
        let python = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        // Where Python is not installed, tests/exec/texts.rs says so.
        let Ok(mut python) = python else { return };
        python
            .stdin
            .take()
            .unwrap()
            .write_all(lines.as_bytes())
            .unwrap();
        assert_eq!(python.wait_with_output().unwrap().stdout, b"done\n");
    }
}
