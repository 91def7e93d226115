//! A backend of the user's own: a program that the configuration names.
//!
//! ```yaml
//! bridge: {command: [ssh, bridge, mxm-secrets, get, --raw, "{reference}"]}
//! ```
//!
//! Only its section says which ends of it mean "no such secret" or "not set up", for a program that dies of any error ends
//! with 1, too, and a pipeline whose first program dies ends with 0 and no output. The exception is an mxm-secrets at the
//! other end, which says by name what is missing.

use std::path::Path;
use std::process::Command;

use super::env::WITHHELD;
use super::{
    Answer, Backend, Context, Declaration, LET_THROUGH, NoSecret, NoStore, Reason, Status,
};
use crate::name::Name;
use crate::process::{self, Output, Problem};
use crate::schema::{Command as Words, Key, Kind, Rule, Section};
use crate::secret::{self, Secret};
use crate::text;
use crate::trust;

pub const DECLARATION: Declaration = Declaration {
    keys: &[
        Key {
            name: "command",
            kind: Kind::Command,
            default: "",
            variable: None,
            about: "the program and its arguments, with {name}, {field} or {reference} in them",
        },
        Key {
            name: "miss",
            kind: Kind::Rules,
            default: "",
            variable: None,
            about: "what means that it has no such secret: statuses, empty, or texts on its standard error",
        },
        Key {
            name: "unavailable",
            kind: Kind::Rules,
            default: "",
            variable: None,
            about: "what means that it is not set up, in the same form",
        },
        Key {
            name: "names",
            kind: Kind::Choice(&["plain", "any", "id"]),
            default: "plain",
            variable: None,
            about: "any: names may have every character, since no shell sees them; id: they must be UUIDs",
        },
        Key {
            name: "recipe",
            kind: Kind::Text,
            default: "",
            variable: None,
            about: "the recipe that gives the keys that this section does not",
        },
        Key {
            name: "newline",
            kind: Kind::Choice(&["keep", "drop"]),
            default: "keep",
            variable: None,
            about: "drop: the program adds one newline to the value, which is removed",
        },
        Key {
            name: "none",
            kind: Kind::Text,
            default: "",
            variable: None,
            about: "what it prints, with status 0, in place of a value that is not there; a newline may follow",
        },
        Key {
            name: "separator",
            kind: Kind::Text,
            default: "/",
            variable: None,
            about: "what stands for a slash of the name in {name}",
        },
        Key {
            name: "field",
            kind: Kind::Text,
            default: "",
            variable: None,
            about: "what {field} is for a name without a field",
        },
        Key {
            name: "fields",
            kind: Kind::Texts,
            default: "",
            variable: None,
            about: "the fields that may be asked for, since by any other the program finds what is only similar",
        },
        Key {
            name: "confirm",
            kind: Kind::Command,
            default: "",
            variable: None,
            about: "a command that must end with status 0 for a miss to count",
        },
        Key {
            name: "confirmed",
            kind: Kind::Text,
            default: "",
            variable: None,
            about: "what that command must print",
        },
        Key {
            name: "unattended",
            kind: Kind::Texts,
            default: "",
            variable: None,
            about: "what is set in its environment when nobody is there: NAME=VALUE",
        },
        LET_THROUGH,
    ],
    variables: &[],
    open: |section| Box::new(Own::open(section)),
};

struct Own {
    name: String,
    command: Words,
    miss: Vec<Rule>,
    unavailable: Vec<Rule>,
    names: Names,
    confirm: Option<Words>,
    confirmed: String,
    none: Option<String>,
    drop_newline: bool,
    separator: String,
    field: Option<String>,
    fields: Vec<String>,
    unattended: Vec<String>,
    let_through: Vec<String>,
}

/// Which names a program is given.
#[derive(PartialEq, Eq)]
enum Names {
    /// Those that a shell takes as they are.
    Plain,
    /// All.
    Any,
    /// UUIDs: by anything else the program searches, and gives what is only like it.
    Id,
}

impl Own {
    fn open(section: &Section) -> Own {
        let rules = |key| section.rules(key).unwrap_or_default().to_vec();
        Own {
            name: section.name.clone(),
            command: section.command("command").cloned().unwrap_or(Words {
                words: Vec::new(),
                shown: Vec::new(),
            }),
            miss: rules("miss"),
            unavailable: rules("unavailable"),
            names: match section.text("names") {
                Some("any") => Names::Any,
                Some("id") => Names::Id,
                _ => Names::Plain,
            },
            confirm: section.command("confirm").cloned(),
            confirmed: section.text("confirmed").unwrap_or_default().to_owned(),
            none: section.text("none").map(str::to_owned),
            drop_newline: section.text("newline") == Some("drop"),
            separator: section.text("separator").unwrap_or("/").to_owned(),
            field: section
                .text("field")
                .map(str::to_owned)
                .filter(|field| !field.is_empty()),
            fields: section.texts("fields").unwrap_or_default().to_vec(),
            unattended: section.texts("unattended").unwrap_or_default().to_vec(),
            let_through: section.texts(LET_THROUGH.name).unwrap_or_default().to_vec(),
        }
    }

    fn program(&self) -> &str {
        self.command.words.first().map_or("", String::as_str)
    }

    /// The program as it may be shown.
    fn shown_program(&self) -> &str {
        self.command.shown.first().map_or("", String::as_str)
    }

    /// What starts a program and its arguments, `words`, for `name`.
    fn prepared(&self, words: &[String], name: &Name, context: &Context) -> Command {
        let mut command = Command::new(words.first().map_or("", String::as_str));
        command.args(self.arguments(words, name));
        // What is searched for in its messages is English, whatever the language of the user is.
        command.env("LANGUAGE", "en");
        let unattended = self.unattended.iter().filter(|_| context.unattended);
        command.envs(unattended.filter_map(|pair| pair.split_once('=')));
        process::let_through(&mut command, &self.let_through);
        command
    }

    /// The arguments among `words` for `name`.
    fn arguments(&self, words: &[String], name: &Name) -> impl Iterator<Item = String> {
        let arguments = words.iter().skip(1);
        arguments.map(|argument| self.fill_in(argument, name))
    }

    /// `argument` with the parts of `name` in their places.
    fn fill_in(&self, argument: &str, name: &Name) -> String {
        text::fill(argument, |placeholder| match placeholder {
            "name" => Some(name.path().replace('/', &self.separator)),
            "field" => {
                let field = name.field().or(self.field.as_deref());
                Some(field.unwrap_or_default().to_owned())
            }
            "reference" => Some(name.as_str().to_owned()),
            "variable" => Some(name.variable("")),
            _ => None,
        })
    }

    fn has(&self, placeholder: &str) -> bool {
        self.command
            .words
            .iter()
            .any(|word| word.contains(placeholder))
    }

    /// Why its program is not given such a name.
    fn refused(&self, name: &Name, field: Option<&str>) -> Option<Reason> {
        let (why, hint) = match self.names {
            Names::Plain if !(is_plain(name.path()) && field.is_none_or(is_plain)) => (
                "contains a character that a shell might interpret",
                format!(
                    "if no shell is involved, set `names: any` in the section {}",
                    self.name
                ),
            ),
            Names::Id if !is_uuid(name.path()) => (
                "is not a UUID, and by anything else its program finds what is only similar",
                format!(
                    "ask for the item by its id, or give it a name in refs, with a store of {}",
                    self.name
                ),
            ),
            _ => return None,
        };
        Some(Reason::from(format!("the name {name} {why}")).hint(hint))
    }

    /// Why its program is not asked for such a field.
    fn unknown(&self, field: &str) -> Option<Reason> {
        if self.fields.is_empty() || self.fields.iter().any(|known| known == field) {
            return None;
        }
        let reason = format!(
            "{} finds what is only similar by the field {field}",
            self.shown_program()
        );
        let hint = format!(
            "ask for {}, or set `fields: []` in the section {}",
            text::list(&self.fields),
            self.name
        );
        Some(Reason::from(reason).hint(hint))
    }

    /// Why a miss does not count: the command that is to confirm it does not.
    fn unconfirmed(&self, name: &Name, context: &Context) -> Option<Reason> {
        let words = self.confirm.as_ref()?.words.as_slice();
        let program = words.first()?;
        if let Err(doubt) = trust::named_program(program) {
            return Some(doubt);
        }
        let why = match process::run(&mut self.prepared(words, name, context), context) {
            Ok(output) if !output.status.success() => {
                Reason::from(format!("ended with {}", output.ending()))
            }
            Ok(output) => {
                if self.confirmed.is_empty() || only(&output.stdout, &self.confirmed) {
                    return None;
                }
                "says that the store is not open".into()
            }
            Err(problem) => problem.into(),
        };
        let start = format!(
            "{} did not find {name}, but that proves nothing: {program}",
            self.shown_program()
        );
        Some(why.after(start).hint("unlock the store, and try again"))
    }

    /// Whether nobody else can change a program that is named by its path.
    fn trusted(&self) -> Result<(), Reason> {
        trust::named_program(self.program())
    }

    /// The answer when there is no program: one that is named by its path has to be there.
    fn absent(&self) -> Answer {
        let program = self.shown_program();
        if self.program().contains('/') {
            let hint = format!("install it, or fix command in the section {}", self.name);
            return Answer::Failed(Reason::from(format!("{program} does not exist")).hint(hint));
        }
        Answer::unavailable(NoStore::NoTrace, format!("{program} is not on PATH"))
    }

    /// The command as one would type it, without what may be a secret.
    fn shown(&self, name: &Name) -> String {
        let program = Path::new(self.shown_program())
            .file_name()
            .unwrap_or_default();
        let arguments = self.arguments(&self.command.shown, name);
        let words = std::iter::once(program.to_string_lossy().into_owned()).chain(arguments);
        words.collect::<Vec<_>>().join(" ")
    }

    /// How to see what it says: the command to paste into a shell, if all of it may be shown.
    fn to_run(&self, name: &Name) -> String {
        if self.command.shown != self.command.words {
            return "run its command by hand".to_owned();
        }
        let arguments = self.arguments(&self.command.shown, name);
        let words = std::iter::once(self.shown_program().to_owned()).chain(arguments);
        format!("run: {}", text::command(words))
    }

    /// Whether an mxm-secrets at the other end says that it has no `name`: in a line of its own, by a name that it was given,
    /// and nothing but hints has been said after it. What a wrapper has asked it for before, another name, does not count.
    fn says_missing(&self, name: &Name, output: &Output) -> bool {
        let arguments = self.command.words.iter().skip(1);
        let arguments = arguments.filter(|argument| {
            ["{name}", "{reference}"]
                .iter()
                .any(|part| argument.contains(part))
        });
        let arguments: Vec<String> = arguments
            .map(|argument| self.fill_in(argument, name))
            .collect();
        let asked = |text: &str| {
            let words = |argument: &String| {
                argument == text || argument.split([' ', '\'', '"']).any(|word| word == text)
            };
            arguments.iter().any(words)
        };
        let text = String::from_utf8_lossy(output.stderr.expose());
        let mut ours = text
            .lines()
            .rev()
            .map(|line| line.strip_prefix("mxm-secrets: "));
        ours.by_ref()
            .take_while(|line| line.is_some_and(|line| !line.contains(": failed: ")))
            .flatten()
            .any(|line| {
                let told = line
                    .split_once(" is missing")
                    .or(line.split_once(": missing"));
                told.is_some_and(|(name, _)| asked(name))
            })
    }
}

/// Whether `text` is all that a program has written, with or without one newline at the end.
fn only(written: &Secret, text: &str) -> bool {
    let written = written.expose();
    written == text.as_bytes() || written.strip_suffix(b"\n") == Some(text.as_bytes())
}

/// What a shell at the other end (ssh passes it its arguments) takes as it is, and no program takes for an option: zsh runs
/// `=word`, and fish expands `%self`.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._@%+=:,-".contains(&byte);
    !text.starts_with(['-', '=', '%']) && text.bytes().all(plain)
}

/// Whether it is 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

impl Backend for Own {
    fn locator(&self, name: &Name) -> String {
        self.shown(name)
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        let needs_field = self.has("{field}");
        // What its program picks from the name is not picked from its output again.
        let takes_field = needs_field || self.has("{reference}") || self.has("{variable}");
        let field = name.field().filter(|_| takes_field);
        if needs_field && field.is_none() && self.field.is_none() {
            return Answer::failed(format!(
                "{name} has no field, but the command needs one: end the name with #FIELD"
            ));
        }
        if let Some(reason) = self.refused(name, field) {
            return Answer::Failed(reason);
        }
        if let Some(reason) = field.and_then(|field| self.unknown(field)) {
            return Answer::Failed(reason);
        }
        if let Err(reason) = self.trusted() {
            return Answer::Failed(reason);
        }
        let mut command = self.prepared(&self.command.words, name, context);
        let program = self.shown_program();
        // The newline that is dropped is none of the value.
        let most = secret::LIMIT + usize::from(self.drop_newline);
        let output = match process::run_up_to(most, &mut command, context) {
            Ok(output) => output,
            Err(Problem::NotInstalled) => return self.absent(),
            Err(problem) => {
                let reason = Reason::from(problem);
                let text = format!("{program} {reason} ({name})");
                return Answer::Failed(Reason { text, ..reason });
            }
        };
        let none = self.none.as_deref().filter(|none| !none.is_empty());
        if none.is_some_and(|none| only(&output.stdout, none)) && output.status.success() {
            let words = format!("{name} not found: {program} printed what stands for no value");
            return Answer::miss(NoSecret::Said, words);
        }
        let dropped = output.stdout.expose().strip_suffix(b"\n");
        let dropped = dropped.filter(|_| self.drop_newline).map(Secret::copy_of);
        let output = match dropped {
            Some(stdout) => Output { stdout, ..output },
            None => output,
        };
        if output.stdout.len() > secret::LIMIT {
            return Answer::failed(format!("{program} wrote more than 16 MiB ({name})"));
        }
        // A newline that is not dropped may be all that the program has added to nothing.
        let is_bare = matches!(output.stdout.expose(), b"\n" | b"\r\n") && !self.drop_newline;
        if output.status.success() && !output.stdout.is_empty() && !is_bare {
            return match field {
                Some(_) => Answer::Hit {
                    secret: output.stdout,
                    locator: self.shown(name),
                },
                None => Answer::text(output.stdout, name, self.shown(name), context.deadline),
            };
        }
        let ending = match output.status.success() {
            true if is_bare => "no output but a newline and status 0".to_owned(),
            true => "no output and status 0".to_owned(),
            false => output.ending(),
        };
        let matches = |rule: &&Rule| {
            let code = output.status.code();
            let status = match rule.status {
                Some(status) => code == Some(status.into()),
                None => code.is_some_and(|code| code != 0),
            };
            let says = |text: &str| match text {
                "" => output.stderr.is_empty(),
                text => output.stderr_has(text),
            };
            let says_only = |text: &str| only(&output.stderr, &self.fill_in(text, name));
            status
                && rule.says.as_deref().is_none_or(says)
                && rule.says_only.as_deref().is_none_or(says_only)
        };
        let recognized = self.miss.is_empty() && output.status.code() == Some(1);
        match (
            self.miss.iter().find(matches),
            self.unavailable.iter().find(matches),
        ) {
            (Some(_), None) => match self.unconfirmed(name, context) {
                Some(reason) => Answer::Failed(reason),
                None => Answer::miss(
                    NoSecret::Said,
                    format!("{name} not found: {program} ended with {ending}"),
                ),
            },
            (None, Some(_)) => {
                Answer::unavailable(NoStore::Said, format!("{program} is not set up: {ending}"))
            }
            (None, None) if recognized && self.says_missing(name, &output) => Answer::miss(
                NoSecret::Said,
                format!("{name} not found by the mxm-secrets that {program} runs"),
            ),
            (None, None) if output.stderr_has(WITHHELD) => {
                let is_set = |variable: &&String| std::env::var_os(variable).is_some();
                let names = text::list(context.withheld.iter().filter(is_set));
                let reason = format!("the mxm-secrets that {program} runs does not get ${names}");
                let hint = format!("add `env: [{names}]` to the section {}", self.name);
                Answer::Failed(Reason::from(reason).hint(hint))
            }
            (both, _) => {
                let why = match both {
                    Some(_) => ", which `miss` and `unavailable` both match",
                    None => "",
                };
                let reason = format!("{program} ended with {ending} for {name}{why}");
                let status = match output.status.code() {
                    Some(1) if recognized => format!(
                        "any error of a program can be status 1; if it means \"not found\", add `miss: [1]` to the section {}, or `miss: {{status: 1, says: TEXT}}`; ",
                        self.name
                    ),
                    // What has rules for that has been thought of.
                    Some(0) if self.miss.iter().all(|rule| rule.status != Some(0)) => format!(
                        "if no output means \"not found\", add `empty` to `miss` in the section {}; ",
                        self.name
                    ),
                    _ => String::new(),
                };
                let hint = format!("{status}to see its error output, {}", self.to_run(name));
                Answer::Failed(Reason::from(reason).hint(hint))
            }
        }
    }

    fn status(&self, _: &Context) -> Status {
        if let Err(reason) = self.trusted() {
            return Status::failed(self.shown_program(), reason);
        }
        match process::find_program(self.program().as_ref()) {
            Some(_) if self.program() != self.shown_program() => {
                Status::ready(self.shown_program())
            }
            Some(path) => Status::ready(path.display().to_string()),
            None => Status::of(self.shown_program(), self.absent()),
        }
    }

    fn may_prompt(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Source, Value};

    #[test]
    fn names_are_put_in_once() {
        let section = |separator: &str| {
            let mut section = Section::named("own");
            let value = Value::Text(separator.to_owned());
            section.put("separator", value, Source::BuiltIn);
            section
        };
        let name = Name::parse("a/{field}#{name}").unwrap();
        let own = Own::open(&section("/"));
        for (argument, filled) in [
            ("{name}", "a/{field}"),
            ("op://{name}/{field}!", "op://a/{field}/{name}!"),
            ("{{.x}} {", "{{.x}} {"),
            ("{{name}}", "{a/{field}}"),
            ("get {reference}", "get a/{field}#{name}"),
            ("{variable}", "A__FIELD___NAME_"),
            ("", ""),
        ] {
            assert_eq!(own.fill_in(argument, &name), filled);
        }
        assert_eq!(
            Own::open(&section("-")).fill_in("{name}", &name),
            "a-{field}"
        );
    }

    #[test]
    fn an_id_is_a_uuid() {
        assert!(is_uuid("0f5fb5d2-6a9e-4c44-B1C7-0d6ae1d6a2c5"));
        for other in [
            "",
            "api-key",
            "0f5fb5d26a9e4c44b1c70d6ae1d6a2c5",
            "0f5fb5d2-6a9e-4c44-b1c7-0d6ae1d6a2cg",
            "0f5fb5d2-6a9e-4c44-b1c70-d6ae1d6a2c5",
        ] {
            assert!(!is_uuid(other), "{other}");
        }
    }

    #[test]
    fn what_a_shell_could_take_for_its_own_is_not_plain() {
        for plain in ["a/b", "prod/api-key", "a.b_c@d%e+f=g:h,i"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "-a", "=ls", "%self", "a b", "$a", "a;b", "a`b", "a'b", "ü", "a*", "~a", "a#b",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
