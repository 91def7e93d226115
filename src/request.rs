//! What a command is to have: variables, files in memory, a standard input, each made of secrets. It owns which requests
//! fit together, which names they need, and what the answers make of them; it asks nobody.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use crate::chain::{Lookup, Outcome};
use crate::compose::Text;
use crate::name::Name;
use crate::schema::{Reason, Source, UsageError};
use crate::secret::Secret;
use crate::trust::Trust;
use crate::{sys, text};

/// The longest `VAR=value` that Linux takes, its final NUL included (MAX_ARG_STRLEN, execve(2)).
const LONGEST_ENTRY: usize = 131_072;

/// Why the file of a set or of a template must be trusted.
pub const SECRETS: &str = "it says which secrets a command gets";

/// What a variable's name is made of, for messages.
pub const VARIABLE: &str = "A-Z, a-z, 0-9 and _, no digit first";

/// One thing that a command is to have.
#[derive(Clone, Debug)]
pub struct Request {
    /// As what it gets it.
    pub target: Target,
    /// What it gets.
    pub content: Content,
    /// Whether it may be missing.
    pub optional: bool,
    /// Where it was given, for messages.
    pub place: String,
}

/// As what a command gets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The value of this variable.
    Variable(String),
    /// A file in memory; its path is the value of this variable.
    File(String),
    /// The standard input.
    Stdin,
}

/// What a command gets.
#[derive(Clone, Debug)]
pub enum Content {
    /// A secret.
    Secret(Name),
    /// A text with secrets in it.
    Text(Text),
    /// Such a text, in a file that [`Request::load`] reads.
    Template(PathBuf),
}

/// What a service needs, said once in the configuration.
#[derive(Clone, Debug)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// What is in it.
    pub requests: Vec<Request>,
}

/// What the answers make of a request.
pub enum Made {
    /// The bytes.
    Value(Secret),
    /// Nothing, which is allowed: the variable is to be unset.
    Unset,
    /// Nothing: the lookups tell why.
    NoSecret,
    /// What cannot be handed over, and why.
    Unfit(Reason),
}

/// Lookups by their names.
pub struct Answers<'l>(HashMap<&'l Name, &'l Lookup>);

impl<'l> Answers<'l> {
    /// Of these lookups.
    pub fn of(lookups: &'l [Lookup]) -> Answers<'l> {
        let named = lookups.iter().map(|lookup| (&lookup.report.name, lookup));
        Answers(named.collect())
    }

    /// The lookups that a request needs and that are `told` of for the first time; a secret that may be missing and is
    /// has nothing to tell.
    pub fn news(&self, request: &Request, told: &mut HashSet<&'l Name>) -> Vec<&'l Lookup> {
        let lookups = request.names().filter_map(|name| self.0.get(name).copied());
        lookups
            .filter(|lookup| !(request.optional && matches!(lookup.outcome, Outcome::Missing)))
            .filter(|lookup| told.insert(&lookup.report.name))
            .collect()
    }

    /// What becomes of a request.
    pub fn make(&self, request: &Request) -> Made {
        let mut missing = false;
        for name in request.names() {
            match self.0.get(name).map(|lookup| &lookup.outcome) {
                Some(Outcome::Found(_) | Outcome::Defaulted(_)) => {}
                Some(Outcome::Missing) => missing = true,
                Some(Outcome::Failed) | None => return Made::NoSecret,
            }
        }
        if missing {
            return match request.optional {
                true => Made::Unset,
                false => Made::NoSecret,
            };
        }
        let value = |name: &Name| {
            let secret = self.0.get(name).and_then(|lookup| lookup.outcome.secret());
            secret.map_or(&b""[..], Secret::expose)
        };
        let made = match &request.content {
            Content::Secret(name) => {
                let exact = value(name);
                // A variable holds what `$(...)` would give.
                let line = exact.strip_suffix(b"\n").unwrap_or(exact);
                let variable = matches!(request.target, Target::Variable(_));
                Ok(Secret::copy_of(if variable { line } else { exact }))
            }
            Content::Text(text) => text.fill(value).map_err(Reason::from),
            Content::Template(_) => return Made::NoSecret,
        };
        let made = made.and_then(|value| match &request.target {
            Target::Variable(variable) => fits(variable, value.expose())
                .map(|()| value)
                .map_err(|why| Reason::from(why).hint(request.as_a_file(variable))),
            Target::File(_) | Target::Stdin => Ok(value),
        });
        made.map_or_else(
            |why| {
                let text = format!("{}: failed: {}", request.shown(), why.text);
                Made::Unfit(Reason { text, ..why })
            },
            Made::Value,
        )
    }
}

/// Whether a variable can hold the value.
fn fits(variable: &str, value: &[u8]) -> Result<(), String> {
    if value.contains(&0) {
        return Err("contains a NUL byte, which a variable cannot hold".to_owned());
    }
    if variable.len() + 1 + value.len() + 1 > LONGEST_ENTRY {
        let count = value.len();
        return Err(format!("is too long for a variable ({count} bytes)"));
    }
    Ok(())
}

impl Request {
    /// The variable that it sets.
    pub fn variable(&self) -> Option<&str> {
        match &self.target {
            Target::Variable(variable) | Target::File(variable) => Some(variable),
            Target::Stdin => None,
        }
    }

    /// The secrets that it needs; those of a template once it is loaded.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let (one, several) = match &self.content {
            Content::Secret(name) => (Some(name), None),
            Content::Text(text) => (None, Some(text.names())),
            Content::Template(_) => (None, None),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    /// The secret, if it is one alone.
    pub fn secret(&self) -> Option<&Name> {
        match &self.content {
            Content::Secret(name) => Some(name),
            Content::Text(_) | Content::Template(_) => None,
        }
    }

    /// What messages call it: the secret, or where the text was given and for which variable; a flag's place names that.
    pub fn shown(&self) -> String {
        let place = &self.place;
        match (self.secret(), self.variable()) {
            (Some(name), _) => name.to_string(),
            (None, Some(variable)) if !place.ends_with(variable) => format!("{place}: {variable}"),
            (None, _) => place.clone(),
        }
    }

    /// What gives the same as a file.
    fn as_a_file(&self, variable: &str) -> String {
        match self.secret().map(Name::as_str).map(text::shell) {
            Some(name) => format!("give it as a file: --file {variable}={name}"),
            None => format!("give it as a file: --template {variable}=FILE"),
        }
    }

    /// Reads its template, if it has one.
    ///
    /// # Errors
    /// A file that cannot be read, or that has a mistake, with line and column.
    pub fn load(&mut self) -> Result<(), UsageError> {
        if let Content::Template(path) = &self.content {
            let shown = path.display();
            let file = sys::open_to_read(path)
                .map_err(|error| UsageError::new(format!("{shown} cannot be read: {error}")))?;
            let text = Trust::of_any_owner().read(path, file.into(), SECRETS);
            let text = text.map_err(|why| UsageError::new(format!("{shown} {why}")))?;
            let text = Text::parse(&text).map_err(|wrong| {
                let (line, column) = (wrong.line, wrong.column);
                UsageError::new(format!("{shown}:{line}:{column}: {}", wrong.text))
            });
            self.content = Content::Text(text?);
        }
        Ok(())
    }
}

/// The names that the requests need, each once, behind `first`.
pub fn names(mut first: Vec<Name>, requests: &[Request]) -> Vec<Name> {
    let mut seen: HashSet<Name> = first.iter().cloned().collect();
    let needed = requests.iter().flat_map(Request::names);
    first.extend(needed.filter(|name| seen.insert((*name).clone())).cloned());
    first
}

/// Each variable that is given more than once, and the standard input, with both places.
pub fn given_twice(requests: &[Request]) -> Vec<String> {
    let mut seen: HashMap<Option<&str>, &str> = HashMap::new();
    let twice = requests.iter().filter_map(|request| {
        let place = seen.insert(request.variable(), &request.place)?;
        let what = match request.variable() {
            Some(variable) => format!("the variable {variable}"),
            None => "the standard input".to_owned(),
        };
        Some(format!(
            "{what} is given twice: {place} and {}",
            request.place
        ))
    });
    twice.collect()
}

/// Whether a variable can have this name.
///
/// # Errors
/// The rule.
pub fn check_variable(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let letter = name
        .bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit());
    match letter && name.bytes().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "{} is not the name of a variable ({VARIABLE})",
            text::quoted(name)
        )),
    }
}
