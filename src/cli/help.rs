//! `-h`, `--help` and `--version`, drawn from the table.

use std::fmt::Write as _;

use crate::backend::BACKENDS;

use super::table::{COMMANDS, Command, FLAGS, Flag};

/// Where to read on.
pub const POINTER: &str = "try mxm-secrets --help";

const ABOUT: &str = "reads one secret by name from the first backend that has it";

/// The widest line.
const WIDTH: usize = 80;

/// The version, and the backends built in.
pub fn version() -> String {
    let built_in: Vec<&str> = BACKENDS
        .iter()
        .filter(|entry| entry.open.is_some())
        .map(|entry| entry.name)
        .collect();
    format!(
        "mxm-secrets {} (backends: {})\n",
        env!("CARGO_PKG_VERSION"),
        built_in.join(", ")
    )
}

/// The help of `command`, or of the program; the `whole` of it, or one line for each thing.
pub fn help(command: Option<&Command>, whole: bool) -> String {
    let mut text = String::new();
    match command {
        Some(command) => {
            let _ = writeln!(
                text,
                "Usage: mxm-secrets {} {}\n",
                command.name, command.usage
            );
            text += &fill(
                if whole {
                    command.description
                } else {
                    command.about
                },
                0,
            );
        }
        None => {
            let _ = writeln!(
                text,
                "mxm-secrets {}: {ABOUT}\n\nUsage:",
                env!("CARGO_PKG_VERSION")
            );
            for command in COMMANDS {
                let _ = writeln!(text, "  mxm-secrets {} {}", command.name, command.usage);
            }
            text.push_str("\nCommands:\n");
            for command in COMMANDS {
                let _ = writeln!(text, "  {:15} {}", command.name, command.about);
            }
        }
    }
    text.push_str("\nOptions:\n");
    let flags: Vec<&Flag> = FLAGS
        .iter()
        .filter(|flag| command.is_none_or(|command| flag.applies_to(command)))
        .collect();
    let width = flags
        .iter()
        .map(|flag| spelled(flag).len())
        .max()
        .unwrap_or(0);
    for flag in flags {
        if whole {
            let _ = writeln!(text, "  {}", spelled(flag));
            text += &fill(&format!("{}. {}", flag.about, flag.more), 10);
        } else {
            let _ = writeln!(text, "  {:width$}  {}", spelled(flag), flag.about);
        }
    }
    text
}

/// `-v, --verbose`, `    --default V`.
pub fn spelled(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = flag
        .takes
        .value()
        .map_or(String::new(), |value| format!(" {value}"));
    format!("{short}--{}{value}", flag.long)
}

/// `text` in lines of at most [`WIDTH`] columns, each after `indent` blanks.
fn fill(text: &str, indent: usize) -> String {
    let mut filled = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column == 0 || column + 1 + width > WIDTH {
            if column > 0 {
                filled.push('\n');
            }
            filled.extend(std::iter::repeat_n(' ', indent));
            column = indent + width;
        } else {
            filled.push(' ');
            column += 1 + width;
        }
        filled.push_str(word);
    }
    filled.push('\n');
    filled
}
