//! YAML 1.1 scalars as Python reads them: PyYAML's rules, with OmegaConf's changes (more floats, no dates).

use std::borrow::Cow;

use super::node::{Key, Place};

/// A scalar: its text, and how the text is to be read.
#[derive(Clone, Debug)]
pub struct Scalar {
    text: String,
    style: Style,
}

/// How the text of a scalar is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By its looks.
    Plain,
    /// As text: it was quoted, or has the tag `!!str`.
    Text,
    /// By the tag `!!bool`.
    Bool,
    /// By the tag `!!int`.
    Int,
    /// By the tag `!!float`.
    Float,
    /// By the tag `!!null`.
    Null,
}

/// What a scalar means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// Its text.
    Text,
}

impl Scalar {
    pub fn new(text: String, style: Style) -> Scalar {
        Scalar { text, style }
    }

    /// As it is written, without quotes.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_null(&self) -> bool {
        self.meaning() == Ok(Meaning::Null)
    }

    /// Whether it has interpolations to be resolved.
    pub fn is_interpolated(&self) -> bool {
        matches!(self.style, Style::Plain | Style::Text) && self.text.contains("${")
    }

    /// Whether it says that a value is still to be given.
    pub fn is_missing(&self) -> bool {
        self.text == "???"
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.meaning() {
            Ok(Meaning::Null) => "null",
            Ok(Meaning::Bool(_)) => "a boolean",
            Ok(Meaning::Int(_) | Meaning::Float(_)) => "a number",
            Ok(Meaning::Text) | Err(_) => "a string",
        }
    }

    /// What it means.
    ///
    /// # Errors
    /// Why it means nothing.
    pub fn meaning(&self) -> Result<Meaning, &'static str> {
        let text = self.text.as_str();
        match self.style {
            Style::Plain => plain(text),
            Style::Text => Ok(Meaning::Text),
            Style::Null => Ok(Meaning::Null),
            Style::Bool => boolean(&text.to_lowercase())
                .map(Meaning::Bool)
                .ok_or("not a boolean"),
            Style::Int => int(text),
            Style::Float => float(text),
        }
    }

    /// As Python's `str` writes it.
    ///
    /// # Errors
    /// Why it means nothing.
    pub fn python(&self) -> Result<Cow<'_, str>, &'static str> {
        Ok(match self.meaning()? {
            Meaning::Null => "None".into(),
            Meaning::Bool(true) => "True".into(),
            Meaning::Bool(false) => "False".into(),
            Meaning::Int(number) => number.to_string().into(),
            Meaning::Float(number) => python_float(number).into(),
            Meaning::Text => self.text().into(),
        })
    }

    /// The same as a mapping's key at `place`.
    pub fn into_key(self, place: Place) -> Key {
        let is_text = match self.style {
            Style::Plain => matches!(plain(&self.text), Ok(Meaning::Text)),
            style => style == Style::Text,
        };
        Key {
            text: self.text,
            is_text,
            place,
        }
    }
}

/// `yes`, `true`, `on`, and so forth.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// The meaning of a plain scalar.
fn plain(text: &str) -> Result<Meaning, &'static str> {
    let Some(&first) = text.as_bytes().first() else {
        return Ok(Meaning::Null);
    };
    match first {
        b'~' | b'n' | b'N' if matches!(text, "~" | "null" | "Null" | "NULL") => Ok(Meaning::Null),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => {
            Ok(boolean(text).map_or(Meaning::Text, Meaning::Bool))
        }
        b'=' | b'<' if matches!(text, "=" | "<<") => {
            Err("YAML gives this a special meaning: put it in quotes")
        }
        b'0'..=b'9' | b'-' | b'+' | b'.' if is_float(text) => float(text),
        b'0'..=b'9' | b'-' | b'+' if is_int(text) => int(text),
        _ => Ok(Meaning::Text),
    }
}

/// The text without its sign, and whether that is a minus.
fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Whether every byte of `text` is one that `good` takes, and there is one at least.
fn all(text: &str, good: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(good)
}

fn digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn digit_(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

fn is_int(text: &str) -> bool {
    let text = sign(text).1;
    if let Some(bits) = text.strip_prefix("0b") {
        return all(bits, |byte| matches!(byte, b'0' | b'1' | b'_'));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, |byte| byte.is_ascii_hexdigit() || byte == b'_');
    }
    if let Some(digits) = text.strip_prefix('0') {
        return digits.is_empty() || all(digits, |byte| matches!(byte, b'0'..=b'7' | b'_'));
    }
    let mut parts = text.split(':');
    let whole = parts.next().unwrap_or_default();
    whole.starts_with(|c: char| c.is_ascii_digit()) && all(whole, digit_) && parts.all(sixtieths)
}

/// One of the parts of `1:30:00` after the first.
fn sixtieths(part: &str) -> bool {
    match part.as_bytes() {
        [one] => digit(*one),
        [tens, ones] => matches!(tens, b'0'..=b'5') && digit(*ones),
        _ => false,
    }
}

fn is_float(text: &str) -> bool {
    let (_, unsigned) = sign(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (number, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let exponent_signed = exponent.is_none_or(|exponent| exponent.starts_with(['+', '-']));
    if !exponent.is_none_or(|exponent| all(sign(exponent).1, digit)) {
        return false;
    }
    match number.split_once('.') {
        // PyYAML takes any underscores before the point, OmegaConf single ones between digits; the first wants a
        // sign in the exponent, the second does not.
        Some((whole, fraction)) if !whole.is_empty() && !whole.contains(':') => {
            (fraction.is_empty() || all(fraction, digit_))
                && (grouped(whole)
                    || exponent_signed
                        && all(whole, digit_)
                        && whole.starts_with(|c: char| c.is_ascii_digit()))
        }
        Some(("", fraction)) => {
            unsigned.len() == text.len()
                && exponent_signed
                && fraction.starts_with(|c: char| c.is_ascii_digit())
                && all(fraction, digit_)
        }
        Some((whole, fraction)) => {
            let mut parts = whole.split(':');
            let first = parts.next().unwrap_or_default();
            exponent.is_none()
                && (fraction.is_empty() || all(fraction, digit_))
                && first.starts_with(|c: char| c.is_ascii_digit())
                && all(first, digit_)
                && parts.all(sixtieths)
        }
        None => exponent.is_some() && grouped(number),
    }
}

/// Digits with single underscores between them.
fn grouped(text: &str) -> bool {
    text.split('_').all(|group| all(group, digit))
}

fn int(text: &str) -> Result<Meaning, &'static str> {
    const BAD: &str = "not an integer, or too large";
    let digits = text.replace('_', "");
    let (negative, digits) = sign(&digits);
    let radix = |digits: &str, radix| {
        if digits.starts_with(['+', '-']) {
            return Err(BAD);
        }
        i128::from_str_radix(digits, radix).map_err(|_| BAD)
    };
    let number = if digits == "0" {
        0
    } else if let Some(bits) = digits.strip_prefix("0b") {
        radix(bits, 2)?
    } else if let Some(digits) = digits.strip_prefix("0x") {
        radix(digits, 16)?
    } else if digits.starts_with('0') {
        radix(digits, 8)?
    } else {
        digits.split(':').try_fold(0_i128, |sum, part| {
            sum.checked_mul(60)
                .and_then(|sum| sum.checked_add(radix(part, 10).ok()?))
                .ok_or(BAD)
        })?
    };
    Ok(Meaning::Int(if negative { -number } else { number }))
}

fn float(text: &str) -> Result<Meaning, &'static str> {
    let digits = text.replace('_', "").to_lowercase();
    let (negative, digits) = sign(&digits);
    let number = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ => digits
            .split(':')
            .try_fold(0.0, |sum, part| {
                let good = all(part, |byte| {
                    digit(byte) || matches!(byte, b'.' | b'e' | b'+' | b'-')
                });
                let part: f64 = part.parse().ok().filter(|_| good)?;
                Some(sum * 60.0 + part)
            })
            .ok_or("not a number")?,
    };
    Ok(Meaning::Float(if negative { -number } else { number }))
}

/// A float as Python's `str` writes it.
pub fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // The shortest digits that read back as the same number, as Python's.
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => {
            let plain = format!("{number}");
            if plain.contains('.') {
                plain
            } else {
                plain + ".0"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_python_says() {
        use Meaning::{Bool, Float, Int, Null, Text};
        for (text, meaning) in [
            ("", Null),
            ("~", Null),
            ("Null", Null),
            ("nULL", Text),
            ("on", Bool(true)),
            ("No", Bool(false)),
            ("y", Text),
            ("tRue", Text),
            ("0", Int(0)),
            ("-0", Int(0)),
            ("+12", Int(12)),
            ("1_000", Int(1000)),
            ("010", Int(8)),
            ("08", Text),
            ("0x1F", Int(31)),
            ("-0b1_01", Int(-5)),
            ("1:30", Int(90)),
            ("1:60", Text),
            ("190:20:30", Int(685_230)),
            ("1.5", Float(1.5)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            ("-.5", Text),
            ("1e3", Float(1000.0)),
            ("1E-3", Float(0.001)),
            (".5e3", Text),
            (".5e+3", Float(500.0)),
            ("1__0.5", Float(10.5)),
            ("1__0e5", Text),
            ("1:30.5", Float(90.5)),
            ("-.inf", Float(f64::NEG_INFINITY)),
            ("2026-11-24", Text),
            ("1.2.3", Text),
            (".", Text),
            ("-", Text),
            ("...", Text),
            ("e5", Text),
        ] {
            assert_eq!(plain(text), Ok(meaning), "{text:?}");
        }
        assert!(matches!(plain(".nan"), Ok(Float(nan)) if nan.is_nan()));
        for bad in ["=", "<<", "0b_", "0x_", "9".repeat(60).as_str()] {
            assert!(plain(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn floats_are_written_as_python_does() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(python_float(number), text);
        }
    }
}
