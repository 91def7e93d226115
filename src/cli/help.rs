//! `-h`, `--help` and `--version`, drawn from the table.

use std::fmt::Write as _;

use crate::backend::BACKENDS;
use crate::schema::UsageError;

use super::parsed::find_command;
use super::table::{COMMANDS, Command, FLAGS, Flag};
use super::{Parsed, Status, write_out};

/// Where to read on.
pub const POINTER: &str = "try mxm-secrets --help";

const ABOUT: &str = "reads one secret by name from the first backend that has it";

/// The widest line.
const WIDTH: usize = 80;

/// `help`.
pub fn run(parsed: &Parsed) -> anyhow::Result<Status> {
    let command = match parsed.operands.as_slice() {
        [] => None,
        [name] => Some(find_command(name)?),
        _ => return Err(UsageError::new("help: give one command").into()),
    };
    write_out(&[help(command, true).as_bytes()]).map(|()| Status::Found)
}

/// `version`.
pub fn run_version(parsed: &Parsed) -> anyhow::Result<Status> {
    if !parsed.operands.is_empty() {
        return Err(UsageError::new("version takes no operand").into());
    }
    write_out(&[version().as_bytes()]).map(|()| Status::Found)
}

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
                "Usage: mxm-secrets {}\n",
                format!("{} {}", command.name, command.usage).trim_end()
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
                let line = format!("  mxm-secrets {} {}", command.name, command.usage);
                let _ = writeln!(text, "{}", line.trim_end());
            }
            text.push_str("\nCommands:\n");
            for command in COMMANDS {
                let _ = writeln!(text, "  {:15} {}", command.name, command.about);
            }
        }
    }
    // The short help of the program leaves what belongs to one command to that.
    let shown = |flag: &&Flag| match command {
        Some(command) => flag.applies_to(command),
        None => whole || flag.commands.len() != 1,
    };
    let flags: Vec<&Flag> = FLAGS.iter().filter(shown).collect();
    text.push_str("\nOptions:\n");
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
    if command.is_none() && !whole {
        text.push_str("\nMore options: mxm-secrets COMMAND -h\n");
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
