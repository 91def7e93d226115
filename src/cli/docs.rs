//! The man page, the completions and the README's synopsis, drawn from the table. The committed files are compared
//! with them; `make docs` (MXM_SECRETS_DOCS=write) rewrites them.

mod bash;
mod fish;
mod manual;
mod zsh;

use std::path::Path;

use crate::backend::BACKENDS;
use crate::config::recipes as all_recipes;

use super::help;
use super::table::{COMMANDS, Command, FLAGS, Flag, Takes};

/// Compares a committed file with what it should be, or rewrites it.
fn drawn(file: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("MXM_SECRETS_DOCS").is_some_and(|what| what == "write") {
        std::fs::write(path, content).unwrap();
    } else {
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == content, "{file} is stale: run make docs");
    }
}

#[test]
fn the_man_page_is_fresh() {
    // Of a backend that is not built in, the keys and variables are not known.
    if BACKENDS.iter().any(|entry| entry.open.is_none()) {
        return;
    }
    drawn("man/mxm-secrets.1", &manual::draw());
}

#[test]
fn the_completions_are_fresh() {
    drawn("completions/mxm-secrets.bash", &bash::draw());
    drawn("completions/_mxm-secrets", &zsh::draw());
    drawn("completions/mxm-secrets.fish", &fish::draw());
}

#[test]
fn the_synopsis_and_the_recipes_in_the_readme_are_fresh() {
    let readme = include_str!("../../README.md");
    let (before, rest) = readme.split_once("<!-- synopsis -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of synopsis -->").unwrap();
    let help = help::help(None, false);
    let commands = help.find("Commands:\n").unwrap();
    let help = &help[commands..help.find("\nOptions:\n").unwrap()];
    let block = format!("```text\n{help}```\n");
    let readme = format!("{before}<!-- synopsis -->\n{block}<!-- end of synopsis -->{after}");
    let (before, rest) = readme.split_once("<!-- recipes -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of recipes -->").unwrap();
    drawn(
        "README.md",
        &format!(
            "{before}<!-- recipes -->\n{}<!-- end of recipes -->{after}",
            recipes()
        ),
    );
}

/// The table of recipes, two in a row.
fn recipes() -> String {
    let mut table =
        String::from("| recipe | tried with | recipe | tried with |\n| --- | --- | --- | --- |\n");
    for pair in all_recipes().collect::<Vec<_>>().chunks(2) {
        let cells = pair
            .iter()
            .map(|recipe| format!("| `{}` | {} ", recipe.name, recipe.tried_with));
        table.extend(cells);
        table.push_str("|\n");
    }
    table
}

#[test]
fn the_short_help_fits_on_a_screen() {
    let commands = COMMANDS.iter().map(Some).chain([None]);
    for help in commands.map(|command| help::help(command, false)) {
        assert!(help.lines().count() <= 40, "{help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
    }
}

/// The names of all backends.
fn backends() -> String {
    BACKENDS
        .iter()
        .map(|entry| entry.name)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The flags that `command` knows.
fn flags(command: &Command) -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| flag.applies_to(command))
}

/// `-v --verbose`, as the completions list a flag.
fn spellings(flag: &Flag) -> Vec<String> {
    let short = flag.short.map(|short| format!("-{short}"));
    short
        .into_iter()
        .chain([format!("--{}", flag.long)])
        .collect()
}

/// What the program says of its configuration, of which a completion keeps the names in `refs`.
const REFS: &str = r#"s/^{"schema":1,"key":"refs\.\([a-z0-9_]*\)\.store".*/\1/p"#;

/// The same for the user's own backends, which alone have the key `names`; a set has any.
const OWN: &str = r#"/"key":"sets\./d; s/^{"schema":1,"key":"\([a-z0-9_-]*\)\.names".*/\1/p"#;

/// Whether `flag` takes the name of a secret, and then what must stand before the name (`""`: nothing).
fn takes_name(flag: &Flag) -> Option<&'static str> {
    match flag.takes {
        Takes::Text(value) => value.strip_suffix("NAME"),
        _ => None,
    }
}

/// Whether the operands of `command` are names of secrets.
fn names_secrets(command: &Command) -> bool {
    command.usage.contains("NAME") && !command.runs_another
}
