//! A backend of the user's own: any program that speaks our statuses, named by the configuration.
//!
//! ```yaml
//! bridge: {command: [ssh, bridge, mxm-secrets, get, --raw, "{name}"]}
//! ```

use std::path::Path;
use std::process::Command;

use super::{
    Answer, Backend, Context, DEPTH_VARIABLE, Declaration, NoSecret, NoStore, Reason, Status,
};
use crate::name::Name;
use crate::process::{self, Problem};
use crate::schema::{Key, Kind, Section};
use crate::trust;

pub const DECLARATION: Declaration = Declaration {
    keys: &[
        Key {
            name: "command",
            kind: Kind::Command,
            default: "",
            variable: None,
            about: "the program and its arguments, with {name} and {field} in them",
        },
        Key {
            name: "miss",
            kind: Kind::Statuses,
            default: "1",
            variable: None,
            about: "the exit statuses that mean that it has no such secret",
        },
        Key {
            name: "unavailable",
            kind: Kind::Statuses,
            default: "",
            variable: None,
            about: "the exit statuses that mean that it is not set up",
        },
        Key {
            name: "names",
            kind: Kind::Choice(&["plain", "any"]),
            default: "plain",
            variable: None,
            about: "any: names may have every character, since no shell sees them",
        },
    ],
    variables: &[],
    open: |section| Box::new(Own::open(section)),
};

/// How many times over we may be asked by ourselves.
const DEPTH: u32 = 8;

struct Own {
    program: String,
    arguments: Vec<String>,
    miss: Vec<u8>,
    unavailable: Vec<u8>,
    any_name: bool,
}

impl Own {
    fn open(section: &Section) -> Own {
        let (program, arguments) = match section.texts("command") {
            Some([program, arguments @ ..]) => (program.clone(), arguments.to_vec()),
            _ => (String::new(), Vec::new()),
        };
        Own {
            program,
            arguments,
            miss: section.statuses("miss").unwrap_or(&[1]).to_vec(),
            unavailable: section.statuses("unavailable").unwrap_or_default().to_vec(),
            any_name: section.text("names") == Some("any"),
        }
    }

    /// The arguments for `name`.
    fn arguments(&self, name: &Name) -> Vec<String> {
        self.arguments
            .iter()
            .map(|argument| fill_in(argument, name))
            .collect()
    }

    /// Whether the field goes into the arguments, so that it is not picked from the output.
    fn takes_field(&self) -> bool {
        self.arguments
            .iter()
            .any(|argument| argument.contains("{field}"))
    }

    /// Whether nobody else can change a program that is named by its path.
    fn trusted(&self) -> Result<(), Reason> {
        match self.program.contains('/') {
            true => trust::program(self.program.as_ref()).map_err(Reason::from),
            false => Ok(()),
        }
    }

    /// The command as one would type it.
    fn shown(&self, name: &Name) -> String {
        let program = Path::new(&self.program).file_name();
        let program = program.map_or(self.program.as_str().into(), |name| name.to_string_lossy());
        format!("{program} {}", self.arguments(name).join(" "))
    }
}

/// `argument` with the parts of `name` in their places.
fn fill_in(argument: &str, name: &Name) -> String {
    let mut filled = String::with_capacity(argument.len() + name.as_str().len());
    let mut rest = argument;
    while let Some(at) = rest.find('{') {
        let (before, here) = rest.split_at(at);
        filled.push_str(before);
        let (part, length) = if here.starts_with("{name}") {
            (name.path(), 6)
        } else if here.starts_with("{field}") {
            (name.field().unwrap_or_default(), 7)
        } else {
            ("{", 1)
        };
        filled.push_str(part);
        rest = &here[length..];
    }
    filled + rest
}

/// What a shell at the other end (ssh hands it its arguments) takes as it is, and no program takes for an option.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._@%+=:,-".contains(&byte);
    !text.starts_with('-') && text.bytes().all(plain)
}

impl Backend for Own {
    fn locator(&self, name: &Name) -> String {
        self.shown(name)
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        let field = name.field().filter(|_| self.takes_field());
        if self.takes_field() && field.is_none() {
            return Answer::failed(format!(
                "{name} names no field, and the command needs one: ask for {name}#FIELD"
            ));
        }
        let plain = is_plain(name.path()) && field.is_none_or(is_plain);
        if !(plain || self.any_name) {
            let reason = format!("{name} has a character that a shell could take for its own");
            let hint = "when no shell sees the name, say names: any in the backend's section";
            return Answer::Failed(Reason::from(reason).hint(hint));
        }
        let depth = std::env::var(DEPTH_VARIABLE)
            .ok()
            .and_then(|depth| depth.parse::<u32>().ok())
            .unwrap_or(0);
        if depth >= DEPTH {
            return Answer::failed(format!(
                "mxm-secrets has asked itself for {name} {DEPTH} times over: its command leads back to it"
            ));
        }
        if let Err(reason) = self.trusted() {
            return Answer::Failed(reason);
        }
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments(name))
            .env(DEPTH_VARIABLE, (depth + 1).to_string());
        let output = match process::run(&mut command, context) {
            Ok(output) => output,
            Err(Problem::NotInstalled) => {
                return Answer::unavailable(
                    NoStore::NoTrace,
                    format!("{} is not installed", self.program),
                );
            }
            Err(problem) => {
                return Answer::failed(format!("{} {problem} ({name})", self.program));
            }
        };
        let code = output
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok());
        match code {
            Some(0) if field.is_some() => Answer::Hit {
                secret: output.stdout,
                locator: self.shown(name),
            },
            Some(0) => Answer::text(output.stdout, name, self.shown(name)),
            Some(code) if self.miss.contains(&code) => Answer::miss(
                NoSecret::Said,
                format!("{name} is not there: status {code}"),
            ),
            Some(code) if self.unavailable.contains(&code) => Answer::unavailable(
                NoStore::Said,
                format!("{} is not set up: status {code}", self.program),
            ),
            _ => {
                let reason = format!("{} ended with {} for {name}", self.program, output.ending());
                let hint = format!(
                    "its own words show when it is run by hand: {}",
                    self.shown(name)
                );
                Answer::Failed(Reason::from(reason).hint(hint))
            }
        }
    }

    fn status(&self, _: &Context) -> Status {
        if let Err(reason) = self.trusted() {
            return Status::failed(&self.program, reason);
        }
        match process::find_program(self.program.as_ref()) {
            Some(path) => Status::ready(path.display().to_string()),
            None => Status::unavailable(
                &self.program,
                Reason::from(format!("{} is not installed", self.program)),
            ),
        }
    }

    fn may_prompt(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_in_once() {
        let name = Name::parse("a/{field}#{name}").unwrap();
        for (argument, filled) in [
            ("{name}", "a/{field}"),
            ("op://{name}/{field}!", "op://a/{field}/{name}!"),
            ("{{.x}} {", "{{.x}} {"),
            ("", ""),
        ] {
            assert_eq!(fill_in(argument, &name), filled);
        }
    }

    #[test]
    fn what_a_shell_could_take_for_its_own_is_not_plain() {
        for plain in ["a/b", "prod/api-key", "a.b_c@d%e+f=g:h,i"] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "-a", "a b", "$a", "a;b", "a`b", "a'b", "ü", "a*", "~a", "a#b",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
