//! Reports on standard output: tables for eyes, JSON for programs.

use std::fmt::Write as _;

use crate::backend::Reason;
use crate::sys;

use crate::text::{escaped, json};

/// The colour of a row's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As it is.
    Plain,
    /// Good.
    Green,
    /// To be noticed.
    Yellow,
    /// Bad.
    Red,
    /// Of less interest.
    Dim,
}

/// The columns of a terminal.
const WIDTH: usize = 80;
/// How far what is told of a row is indented.
const INDENT: usize = 6;

/// Rows in aligned columns; in colour on a terminal, unless NO_COLOR is set (no-color.org).
pub struct Table {
    rows: Vec<Row>,
    coloured: bool,
}

enum Row {
    Cells(Colour, Vec<String>),
    Note(String),
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str], terminal: bool) -> Table {
        let coloured = terminal
            && sys::variable("NO_COLOR").is_none()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Table {
            rows: vec![Row::Cells(
                Colour::Dim,
                headings.iter().map(|&heading| heading.to_owned()).collect(),
            )],
            coloured,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, colour: Colour, cells: &[&str]) {
        self.rows.push(Row::Cells(
            colour,
            cells.iter().map(|cell| escaped(cell)).collect(),
        ));
    }

    /// Adds the hint of the row before it, if there is one.
    pub fn hint(&mut self, reason: Option<&Reason>) {
        if let Some(hint) = reason.and_then(|reason| reason.hint.as_ref()) {
            self.rows.push(Row::Note(escaped(&format!("hint: {hint}"))));
        }
    }

    /// Adds a fact about the row before it, in lines of at most [`WIDTH`] columns where it has blanks; nothing, if empty.
    pub fn fact(&mut self, label: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut line = format!("{label}:");
        for word in escaped(text).split(' ') {
            if INDENT + line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.rows
                    .push(Row::Note(std::mem::replace(&mut line, " ".to_owned())));
            }
            line.push(' ');
            line.push_str(word);
        }
        self.rows.push(Row::Note(line));
    }

    /// The whole table: two blanks before and between the columns, none at the end of a line.
    pub fn draw(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            // A cell alone is a line of its own.
            if let Row::Cells(_, cells) = row
                && cells.len() > 1
            {
                widths.resize(widths.len().max(cells.len()), 0);
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = (*width).max(cell.chars().count());
                }
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            match row {
                Row::Note(note) => {
                    let _ = writeln!(text, "{:INDENT$}{note}", "");
                }
                Row::Cells(colour, cells) => {
                    let mut line = String::new();
                    for (cell, width) in cells.iter().zip(&widths) {
                        let _ = write!(line, "  {cell:width$}");
                    }
                    let line = line.trim_end();
                    let code = match colour {
                        Colour::Green => "32",
                        Colour::Yellow => "33",
                        Colour::Red => "31",
                        Colour::Dim => "2",
                        Colour::Plain => "",
                    };
                    let _ = match self.coloured && !code.is_empty() {
                        true => writeln!(text, "\x1b[{code}m{line}\x1b[0m"),
                        false => writeln!(text, "{line}"),
                    };
                }
            }
        }
        text
    }
}

/// A JSON object, member by member.
#[derive(Default)]
pub struct Object {
    text: String,
}

impl Object {
    /// A string.
    pub fn text(self, name: &str, value: &str) -> Object {
        self.number(name, &json(value))
    }

    /// A string or null.
    pub fn optional(self, name: &str, value: Option<&str>) -> Object {
        self.number(name, &value.map_or("null".to_owned(), json))
    }

    /// A number or boolean, as it is written.
    pub fn number(mut self, name: &str, value: &str) -> Object {
        let comma = if self.text.is_empty() { "" } else { "," };
        let _ = write!(self.text, "{comma}{}:{value}", json(name));
        self
    }

    /// A list of values, as they are written.
    pub fn list(self, name: &str, values: &[String]) -> Object {
        self.number(name, &format!("[{}]", values.join(",")))
    }

    /// The whole object.
    pub fn end(self) -> String {
        format!("{{{}}}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_json() {
        assert_eq!(json("a\"b\\c\n\u{85}é"), r#""a\"b\\c\u000a\u0085é""#);
        assert_eq!(
            Object::default()
                .text("a", "b")
                .optional("c", None)
                .list("d", &[])
                .end(),
            r#"{"a":"b","c":null,"d":[]}"#
        );
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["A", "LONG"], false);
        table.row(Colour::Red, &["wider", "x"]);
        table.hint(None);
        table.hint(Some(&Reason::from("x").hint("why")));
        assert_eq!(table.draw(), "  A      LONG\n  wider  x\n      hint: why\n");
    }
}
