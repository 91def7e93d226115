//! The characters of a YAML text: those that have no business in one, and tabs where PyYAML takes none.

use std::ops::Range;

use super::node::{Place, Wrong, wrong};

/// Refuses the characters that have no business in a YAML file.
pub fn check_characters(text: &str, file: usize) -> Result<(), Wrong> {
    // Most files are plain.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return Ok(());
    }
    for (at, c) in text.char_indices() {
        let what = match c {
            ' '..='~' | '\n' | '\t' | '\r' => continue,
            '\0' => "NUL byte".to_owned(),
            '\u{feff}' if at == 0 => {
                return Err(wrong(
                    end_of("", file),
                    "unexpected byte-order mark: save the file as UTF-8 without one",
                ));
            }
            '\0'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                format!("character U+{:04X}", u32::from(c))
            }
            _ => continue,
        };
        return Err(wrong(
            end_of(&text[..at], file),
            format!("unexpected {what}"),
        ));
    }
    Ok(())
}

/// The place behind `text`.
pub fn end_of(text: &str, file: usize) -> Place {
    let (line, column) = text.chars().fold((1, 1), |(line, column), c| match c {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    });
    Place { file, line, column }
}

const TAB: &str = "tabs are not allowed here: indent with spaces";

/// The first tab in the spaces before the text of the line of `place`.
pub fn indented_with_a_tab(text: &str, place: Place) -> Option<Wrong> {
    let line = text.lines().nth(place.line - 1)?;
    let blanks = line.len() - line.trim_start().len();
    let tab = line[..blanks].find('\t')?;
    Some(wrong(
        Place {
            column: tab + 1,
            ..place
        },
        TAB,
    ))
}

/// Refuses tabs outside of comments and of the scalars at `quoted`, in characters: PyYAML does not take them there.
pub fn check_tabs(text: &str, file: usize, quoted: &[Range<usize>]) -> Result<(), Wrong> {
    let mut spans = quoted.iter().peekable();
    let (mut line, mut column) = (1, 0);
    let (mut comment, mut before) = (false, '\n');
    for (index, c) in text.chars().enumerate() {
        column += 1;
        while spans.next_if(|span| span.end <= index).is_some() {}
        let inside = spans.peek().is_some_and(|span| span.start <= index);
        match c {
            '\n' => (line, column, comment) = (line + 1, 0, false),
            '#' if !inside && matches!(before, ' ' | '\t' | '\n') => comment = true,
            '\t' if !inside && !comment => {
                return Err(wrong(Place { file, line, column }, TAB));
            }
            _ => {}
        }
        before = c;
    }
    Ok(())
}
