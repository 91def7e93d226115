//! Reads JSON that may hold secrets: in place, without a tree, so that no value is copied but the one asked for.
//!
//! It takes what RFC 8259 takes, no more, to a depth of [`DEPTH`]. Every pass looks at the deadline and at signals, and
//! finds nothing more once it must end: who asks for it looks at both before believing that something is not there.

use crate::deadline::Deadline;
use crate::secret::{LIMIT, Secret, SecretBuffer};

/// How deep values may stand in each other.
pub const DEPTH: usize = 128;

/// How many bytes are read between two looks at the clock.
const STEP: usize = 1 << 20;

/// A valid value, as it is written.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    raw: &'a str,
    pace: Pace,
}

/// How long reading may go on.
#[derive(Clone, Copy)]
struct Pace {
    /// `None`: to the end, whatever comes.
    until: Option<Deadline>,
    /// Where the next look at the clock is due.
    due: usize,
}

impl Pace {
    fn from(self, at: usize) -> Pace {
        Pace {
            due: at + STEP,
            ..self
        }
    }

    /// Whether reading may go on at `at`.
    fn goes_on(&mut self, at: usize) -> Option<()> {
        if at >= self.due {
            *self = self.from(at);
            if let Some(deadline) = self.until {
                return deadline.go_on().ok();
            }
        }
        Some(())
    }
}

impl<'a> Value<'a> {
    /// The value that `bytes` are, if they are valid JSON from the first to the last. With a deadline, nothing is found
    /// after it or a signal.
    pub fn parse(bytes: &'a [u8], until: Option<Deadline>) -> Option<Value<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let start = skip_blanks(text.as_bytes(), 0);
        let pace = Pace { until, due: STEP };
        let end = skip_value(text.as_bytes(), start, DEPTH, pace)?;
        (skip_blanks(text.as_bytes(), end) == text.len()).then(|| Value {
            raw: &text[start..end],
            pace,
        })
    }

    /// The same of bytes that are known to be valid, without another look at all of them.
    pub fn of_valid(bytes: &'a [u8], until: Option<Deadline>) -> Option<Value<'a>> {
        let raw = std::str::from_utf8(bytes).ok()?;
        let raw = raw.trim_matches([' ', '\t', '\n', '\r']);
        let pace = Pace { until, due: STEP };
        Some(Value { raw, pace })
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.raw.starts_with('{')
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.raw == "null"
    }

    /// The member called `name` of an object; the last one when there are several.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members()
            .filter(|(key, _)| key.says(name))
            .last()
            .map(|(_, value)| value)
    }

    /// Whether it is a string that says `text`.
    pub fn says(self, text: &str) -> bool {
        match self.body() {
            Some(body) if !body.contains('\\') => body == text,
            _ => self
                .text()
                .is_some_and(|own| own.expose() == text.as_bytes()),
        }
    }

    /// What is written between the quotes of a string.
    fn body(self) -> Option<&'a str> {
        self.raw.strip_prefix('"')?.strip_suffix('"')
    }

    /// The names of an object's members, in order.
    pub fn names(self) -> Vec<String> {
        self.members()
            .filter_map(|(key, _)| Some(String::from_utf8_lossy(key.text()?.expose()).into_owned()))
            .collect()
    }

    /// Whether it is an array without elements.
    pub fn is_empty_array(self) -> bool {
        self.raw.starts_with('[') && self.elements().next().is_none()
    }

    /// The elements of an array, in order.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        let (mut at, mut pace) = (1, self.pace);
        std::iter::from_fn(move || {
            self.raw
                .starts_with('[')
                .then(|| self.next_value(&mut at, &mut pace))?
        })
    }

    /// What a string says; `None` for anything else.
    pub fn text(self) -> Option<Secret> {
        let mut rest = self.body()?;
        if !rest.contains('\\') && rest.len() <= LIMIT {
            return Some(Secret::copy_of(rest.as_bytes()));
        }
        let mut text = SecretBuffer::new(LIMIT);
        let (whole, mut pace) = (rest.len(), self.pace);
        while let Some(at) = rest.find('\\') {
            pace.goes_on(whole - rest.len())?;
            let (plain, escape) = rest.split_at(at);
            let (c, used) = unescape(escape.as_bytes())?;
            if !text.extend(plain.as_bytes()) || !text.extend(c.encode_utf8(&mut [0; 4]).as_bytes())
            {
                return None;
            }
            rest = &escape[used..];
        }
        text.extend(rest.as_bytes()).then(|| text.finish())
    }

    /// It as a field of a secret: a string as it is, a number or boolean as written, an object or array without
    /// blanks; `null` is no value.
    pub fn field(self) -> Option<Secret> {
        match self.raw.as_bytes().first()? {
            b'n' => None,
            b'"' => self.text(),
            b'{' | b'[' => {
                let mut compact = SecretBuffer::new(LIMIT);
                let (mut quoted, mut escaped, mut pace) = (false, false, self.pace);
                for (at, byte) in self.raw.bytes().enumerate() {
                    pace.goes_on(at)?;
                    if quoted || !byte.is_ascii_whitespace() {
                        let _ = compact.extend(&[byte]);
                    }
                    quoted ^= byte == b'"' && !escaped;
                    escaped = quoted && byte == b'\\' && !escaped;
                }
                Some(compact.finish())
            }
            _ => Some(Secret::copy_of(self.raw.as_bytes())),
        }
    }

    /// The members of an object, name and value, in order.
    pub fn members(self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> {
        let (mut at, mut pace) = (1, self.pace);
        std::iter::from_fn(move || {
            if !self.is_object() {
                return None;
            }
            let key = self.next_value(&mut at, &mut pace)?;
            Some((key, self.next_value(&mut at, &mut pace)?))
        })
    }

    /// The value at or after `at`, past blanks and separators.
    fn next_value(self, at: &mut usize, pace: &mut Pace) -> Option<Value<'a>> {
        let bytes = self.raw.as_bytes();
        while matches!(
            bytes.get(*at),
            Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')
        ) {
            *at += 1;
        }
        let start = *at;
        pace.goes_on(start)?;
        let end = skip_value(bytes, start, DEPTH, *pace)?;
        *at = end;
        Some(Value {
            raw: &self.raw[start..end],
            pace: self.pace,
        })
    }
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`, if there is a valid one.
fn skip_value(bytes: &[u8], at: usize, depth: usize, pace: Pace) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => skip_text(bytes, at, pace),
        b'{' => skip_list(bytes, at, b'}', pace, |at, pace| {
            let colon = skip_blanks(bytes, skip_text(bytes, at, pace)?);
            (bytes.get(colon)? == &b':').then_some(())?;
            let at = skip_blanks(bytes, colon + 1);
            skip_value(bytes, at, depth.checked_sub(1)?, pace)
        }),
        b'[' => skip_list(bytes, at, b']', pace, |at, pace| {
            skip_value(bytes, at, depth.checked_sub(1)?, pace)
        }),
        b'-' | b'0'..=b'9' => skip_number(bytes, at),
        _ => ["true", "false", "null"]
            .iter()
            .find(|word| bytes[at..].starts_with(word.as_bytes()))
            .map(|word| at + word.len()),
    }
}

/// The end of the list that begins at `at` and ends with `close`; `item` skips one of its items.
fn skip_list(
    bytes: &[u8],
    at: usize,
    close: u8,
    mut pace: Pace,
    item: impl Fn(usize, Pace) -> Option<usize>,
) -> Option<usize> {
    let mut at = skip_blanks(bytes, at + 1);
    if bytes.get(at)? == &close {
        return Some(at + 1);
    }
    loop {
        pace.goes_on(at)?;
        at = skip_blanks(bytes, item(at, pace)?);
        match bytes.get(at)? {
            b',' => at = skip_blanks(bytes, at + 1),
            byte if *byte == close => return Some(at + 1),
            _ => return None,
        }
    }
}

fn skip_text(bytes: &[u8], at: usize, mut pace: Pace) -> Option<usize> {
    (bytes.get(at)? == &b'"').then_some(())?;
    let mut at = at + 1;
    loop {
        pace.goes_on(at)?;
        let end = bytes.len().min(at + STEP);
        while at < end && !matches!(bytes[at], b'"' | b'\\' | 0..0x20) {
            at += 1;
        }
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += unescape(&bytes[at..])?.1,
            0..0x20 => return None,
            // One step of many.
            _ => {}
        }
    }
}

fn skip_number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let some_digits = |from: usize| Some(from + digits(from)).filter(|&end| end > from);
    let whole = at + usize::from(bytes[at] == b'-');
    let mut at = if bytes.get(whole)? == &b'0' {
        whole + 1
    } else {
        some_digits(whole)?
    };
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at = some_digits(at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-'))))?;
    }
    Some(at)
}

/// The character that an escape stands for, and the escape's length; half of a surrogate pair is none.
fn unescape(bytes: &[u8]) -> Option<(char, usize)> {
    let hex = |at: usize| -> Option<u32> {
        let digits = bytes.get(at..at + 4)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let c = match bytes.get(1)? {
        c @ (b'"' | b'\\' | b'/') => char::from(*c),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(2)?;
            if !(0xD800..0xDC00).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            let second = hex(8)
                .filter(|second| bytes[6..8] == *b"\\u" && (0xDC00..0xE000).contains(second))?;
            return Some((
                char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))?,
                12,
            ));
        }
        _ => return None,
    };
    Some((c, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(json: &str, name: &str) -> Option<Vec<u8>> {
        Some(
            Value::parse(json.as_bytes(), None)?
                .get(name)?
                .field()?
                .expose()
                .to_vec(),
        )
    }

    #[test]
    fn fields_are_as_written() {
        let json = r#" {"s":"a\"b\\\u00e9\ud83d\ude00\n", "n": 12345678901234567890.10e+2, "t":true, "z":null,
            "o" : { "a b" : [ 1 , "x \" y" ] }, "s2":"", "d":1, "d":2, "k\u0041":3} "#;
        for (name, value) in [
            ("s", Some("a\"b\\é😀\n")),
            ("n", Some("12345678901234567890.10e+2")),
            ("t", Some("true")),
            ("z", None),
            ("o", Some(r#"{"a b":[1,"x \" y"]}"#)),
            ("s2", Some("")),
            ("d", Some("2")),
            ("kA", Some("3")),
            ("none", None),
        ] {
            assert_eq!(
                field(json, name).as_deref(),
                value.map(str::as_bytes),
                "{name}"
            );
        }
        assert_eq!(
            Value::parse(json.as_bytes(), None).unwrap().names().len(),
            9
        );
        assert_eq!(
            Value::parse(b"[1, [2], {}]", None)
                .unwrap()
                .elements()
                .count(),
            3
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "}",
            "{]",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "tru",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\n\"",
            "{} x",
            "nul",
            "'a'",
            "\u{feff}{}",
        ] {
            assert!(Value::parse(bad.as_bytes(), None).is_none(), "{bad}");
        }
        assert!(Value::parse(b"\"\xff\"", None).is_none());
        assert!(Value::parse("[".repeat(200_000).as_bytes(), None).is_none());
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Value::parse(deep(DEPTH + 1).as_bytes(), None).is_some());
        assert!(Value::parse(deep(DEPTH + 2).as_bytes(), None).is_none());
    }

    #[test]
    fn every_pass_ends_at_the_deadline() {
        let late = Deadline::after(std::time::Duration::ZERO);
        let long = |piece: &str| piece.repeat(3 * STEP / piece.len());
        let members: String = (0..STEP / 4)
            .map(|number| format!("\"{number}\":0,"))
            .collect();
        for json in [
            format!("\"{}\"", long("a")),
            format!("\"{}\"", long("\\n")),
            format!("[{}0]", long("0,")),
            format!("[{}0]", long("[[0]],")),
            format!("{{{members}\"a\":1}}"),
        ] {
            let json = json.as_bytes();
            assert!(Value::parse(json, None).is_some());
            assert!(Value::parse(json, Some(late)).is_none());
            let valid = Value::of_valid(json, Some(late)).unwrap();
            let all = Value::of_valid(json, None).unwrap();
            assert!(valid.get("a").is_none());
            assert!(all.elements().count() == 0 || valid.elements().count() < STEP);
            assert!(!json.contains(&b'\\') || valid.text().is_none());
            assert!(all.text().is_some() || valid.field().is_none());
        }
    }
}
