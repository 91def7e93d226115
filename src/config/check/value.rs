//! The value of a key: what its node comes to, made into the type that the key takes.

use std::path::{Path, PathBuf};

use super::{Checker, Way};
use crate::config::interpolation::{Found, Location, Tree};
use crate::config::mask::masked;
use crate::config::yaml::{Data, Meaning, Node, Scalar, boolean};
use crate::nearest::{advice, did_you_mean, nearest};
use crate::schema::{Command, Kind, Rule, Source, Value, seconds};
use crate::sys;

impl<'c> Checker<'c> {
    /// The value of a key that takes `kind`; `None`: it is not given, or wrong.
    pub(super) fn value(
        &mut self,
        at: Location<'c>,
        key: &Way,
        kind: Kind,
    ) -> Option<(Value, Source)> {
        let place = at.node.place;
        let node = at.node;
        if matches!(kind, Kind::Rules) {
            return Some((self.rules(at, key)?, self.source(place)));
        }
        let mut words = Vec::new();
        let mut shape = "a string";
        match self.follow(at, key)? {
            Found::Null => return None,
            Found::Text(text) => words.push(Word::text(text).written(node, &self.tree)),
            Found::At(location) => match &location.node.data {
                Data::Scalar(scalar) => match Word::of(scalar) {
                    Ok(Some(word)) => {
                        shape = scalar.kind();
                        words.push(word);
                    }
                    Ok(None) => return None,
                    Err(text) => {
                        self.mistake(place, key, text);
                        return None;
                    }
                },
                Data::List(items) => {
                    shape = "a list";
                    for item in items {
                        words.push(self.item(location.child(item), key)?);
                    }
                }
                Data::Map(_) => {
                    self.mistake(
                        place,
                        key,
                        format!("expected {}, found a mapping", takes(kind)),
                    );
                    return None;
                }
            },
        }
        let file = self
            .raw
            .files
            .get(place.file)
            .and_then(|file| file.parent());
        match typed(&words, shape, kind, file.unwrap_or(Path::new("/"))) {
            Ok(value) => {
                if words.iter().any(|word| word.written.is_some()) {
                    self.from_variables.push(place);
                }
                Some((value?, self.source(place)))
            }
            Err(text) => {
                self.mistake(place, key, text);
                None
            }
        }
    }

    /// An item of a list.
    fn item(&mut self, at: Location<'c>, key: &Way) -> Option<Word> {
        let place = at.node.place;
        let node = at.node;
        let word = match self.follow(at, key)? {
            Found::Text(text) => Ok(Some(Word::text(text).written(node, &self.tree))),
            Found::Null => Ok(None),
            Found::At(location) => match &location.node.data {
                Data::Scalar(scalar) => Word::of(scalar),
                _ => Err(format!(
                    "expected a string in this list, found {}",
                    location.node.kind()
                )),
            },
        };
        match word {
            Ok(Some(word)) => return Some(word),
            Ok(None) => self.mistake(place, key, "list items must not be null"),
            Err(text) => self.mistake(place, key, text),
        }
        None
    }

    /// A list of rules, or one of them alone.
    fn rules(&mut self, at: Location<'c>, key: &Way) -> Option<Value> {
        let place = at.node.place;
        let mut rules = Vec::new();
        match self.follow(at, key)? {
            Found::At(location) => match &location.node.data {
                Data::List(items) => {
                    for item in items {
                        rules.push(self.rule(location.child(item), key)?);
                    }
                }
                Data::Scalar(scalar) if scalar.is_null() => return None,
                _ => rules.push(self.rule(location, key)?),
            },
            Found::Null => return None,
            Found::Text(_) => {
                self.mistake(place, key, format!("expected {}", takes(Kind::Rules)));
                return None;
            }
        }
        Some(Value::Rules(rules))
    }

    fn rule(&mut self, at: Location<'c>, key: &Way) -> Option<Rule> {
        let place = at.node.place;
        let mut rule = Rule {
            status: None,
            says: None,
        };
        let status = |location: &Location| match &location.node.data {
            Data::Scalar(scalar) => Word::of(scalar).ok().flatten()?.status(),
            _ => None,
        };
        let here = match self.follow(at, key)? {
            Found::At(location) => location,
            found => {
                let word = match found {
                    Found::Text(text) => Word::text(text).status(),
                    _ => None,
                };
                if word.is_none() {
                    self.mistake(place, key, format!("expected {}", takes(Kind::Rules)));
                }
                rule.status = Some(word?);
                return Some(rule);
            }
        };
        if !matches!(here.node.data, Data::Map(_)) {
            rule.status = status(&here);
        }
        for (name, node) in super::entries(here.node) {
            let path = key.to(&name.text);
            let found = self.follow(here.child(node), &path)?;
            let good = match (name.text.as_str(), found) {
                ("status", Found::At(location)) => {
                    rule.status = status(&location);
                    rule.status.is_some()
                }
                ("says", Found::At(location)) => {
                    if let Data::Scalar(scalar) = &location.node.data {
                        rule.says = Some(scalar.text().to_owned()).filter(|text| !text.is_empty());
                    }
                    rule.says.is_some()
                }
                ("says", Found::Text(text)) if !text.is_empty() => {
                    if self.tree.is_from_environment() {
                        self.from_variables.push(node.place);
                    }
                    rule.says = Some(text);
                    true
                }
                ("status" | "says", _) => false,
                (name_of_none, _) => {
                    let advice = advice(name_of_none, &["status", "says"]);
                    self.mistake(name.place, path, format!("unknown key: {advice}"));
                    return None;
                }
            };
            if !good {
                let takes = match name.text.as_str() {
                    "status" => "a number from 1 to 255, or empty",
                    _ => "a string that is not empty",
                };
                self.mistake(node.place, path, format!("expected {takes}"));
                return None;
            }
        }
        if rule.status.is_none() && rule.says.is_none() {
            self.mistake(place, key, format!("expected {}", takes(Kind::Rules)));
            return None;
        }
        Some(rule)
    }
}

/// A scalar, interpolations resolved.
struct Word {
    text: String,
    /// As it is written, if an environment variable is in it: what is shown.
    written: Option<String>,
    meaning: What,
}

/// What Python takes a word for.
enum What {
    Bool(bool),
    Int(i128),
    Float(f64),
    Text,
}

impl Word {
    fn text(text: String) -> Word {
        Word {
            text,
            written: None,
            meaning: What::Text,
        }
    }

    /// The same, found at `node`.
    fn written(mut self, node: &Node, tree: &Tree) -> Word {
        if let (Data::Scalar(scalar), true) = (&node.data, tree.is_from_environment()) {
            self.written = Some(scalar.text().to_owned());
        }
        self
    }

    /// `None`: it is nothing.
    fn of(scalar: &Scalar) -> Result<Option<Word>, String> {
        if scalar.is_missing() {
            return Err("??? marks a value that must still be set".to_owned());
        }
        let meaning = match scalar.meaning()? {
            Meaning::Null => return Ok(None),
            Meaning::Bool(value) => What::Bool(value),
            Meaning::Int(number) => What::Int(number),
            Meaning::Float(number) => What::Float(number),
            Meaning::Text(_) => What::Text,
        };
        Ok(Some(Word {
            text: scalar.text().to_owned(),
            written: None,
            meaning,
        }))
    }

    fn is_text(&self) -> bool {
        matches!(self.meaning, What::Text)
    }

    fn status(&self) -> Option<u8> {
        let number = match self.meaning {
            What::Int(number) => u8::try_from(number).ok(),
            What::Text if self.text == "empty" => return Some(0),
            What::Text => self.text.parse().ok(),
            _ => None,
        };
        number.filter(|&number| number > 0)
    }
}

/// What a key takes, for messages.
fn takes(kind: Kind) -> String {
    match kind {
        Kind::Text => "a string".to_owned(),
        Kind::Address(_) => {
            "an address: https://HOST:PORT, http://HOST:PORT or unix:///PATH".to_owned()
        }
        Kind::Texts => "a list of strings".to_owned(),
        Kind::Strict => "a string".to_owned(),
        Kind::StrictList => "a list of strings".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::Paths => "a list of paths".to_owned(),
        Kind::Choice(words) => words.join(" or "),
        Kind::Bool => "yes or no".to_owned(),
        Kind::Rules => {
            "a status from 1 to 255, empty, {status: 1, says: TEXT}, or a list of these".to_owned()
        }
        Kind::Program => "a program".to_owned(),
        Kind::Command => "a list of a program and its arguments".to_owned(),
        Kind::Seconds => "a number of seconds from 0.001 to 86400".to_owned(),
    }
}

/// The value that the words are; `None`: an empty path, which is none. Relative paths are relative to `directory`.
fn typed(
    words: &[Word],
    shape: &str,
    kind: Kind,
    directory: &Path,
) -> Result<Option<Value>, String> {
    let texts = || {
        words
            .iter()
            .map(|word| word.text.clone())
            .collect::<Vec<_>>()
    };
    let refused = || format!("expected {}, found {shape}", takes(kind));
    Ok(Some(match (kind, words) {
        (Kind::Texts, _) => Value::Texts(texts()),
        (Kind::StrictList, _) if shape == "a list" && words.iter().all(Word::is_text) => {
            Value::Texts(texts())
        }
        (Kind::Paths, _) => {
            let paths: Result<Vec<PathBuf>, String> = words
                .iter()
                .map(|word| path(&word.text, directory))
                .collect();
            Value::Paths(paths?)
        }
        (Kind::Command, _) => Value::Command(command(words, shape, directory)?),
        (_, [word]) if shape != "a list" => match (kind, &word.meaning) {
            (Kind::Text, _) | (Kind::Strict, What::Text) => Value::Text(word.text.clone()),
            (Kind::Address(is_address), _) => {
                if !word.text.is_empty() && !is_address(&word.text) {
                    return Err(format!("expected {}", takes(kind)));
                }
                Value::Text(word.text.clone())
            }
            (Kind::Program, _) => Value::Text(program(&word.text, directory)?),
            (Kind::Path, _) if word.text.is_empty() => return Ok(None),
            (Kind::Path, _) => Value::Path(path(&word.text, directory)?),
            (Kind::Choice(choices), _) if choices.contains(&word.text.as_str()) => {
                Value::Text(word.text.clone())
            }
            (Kind::Choice(choices), _) => {
                let near = nearest(&word.text, choices.iter().copied());
                let advice = near.map_or(String::new(), |near| format!(": {}", did_you_mean(near)));
                return Err(format!("expected {}{advice}", takes(kind)));
            }
            (Kind::Bool, What::Bool(value)) => Value::Bool(*value),
            (Kind::Bool, What::Text) => Value::Bool(boolean(&word.text).ok_or_else(refused)?),
            (Kind::Seconds, meaning) => {
                let text = match meaning {
                    What::Int(number) => number.to_string(),
                    What::Float(number) => number.to_string(),
                    _ => word.text.clone(),
                };
                let seconds = seconds(&text, "").map_err(|_| format!("expected {}", takes(kind)));
                Value::Seconds(seconds?)
            }
            _ => return Err(refused()),
        },
        _ => return Err(refused()),
    }))
}

/// A path of the configuration: `~/` is the home directory, a relative one is relative to `directory`.
fn path(text: &str, directory: &Path) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("a path must not be empty".to_owned());
    }
    if text == "~" || text.starts_with("~/") {
        let home = sys::home().ok_or("the path starts with ~, but there is no home directory")?;
        return Ok(home.join(text.trim_start_matches('~').trim_start_matches('/')));
    }
    // Its components, so that no ./ is left in the middle.
    Ok(directory.join(text).components().collect())
}

/// A program and its arguments.
fn command(words: &[Word], shape: &str, directory: &Path) -> Result<Command, String> {
    let first = words.first().map_or("", |word| word.text.as_str());
    if shape != "a list" && first.contains(char::is_whitespace) {
        return Err(
            "expected a list, since no shell splits it: [program, argument, argument]".to_owned(),
        );
    }
    let program = program(first, directory)?;
    let with_program = |words: &mut dyn Iterator<Item = &Word>, shown: bool| {
        let text = |word: &Word| match &word.written {
            Some(written) if shown => written.clone(),
            _ => word.text.clone(),
        };
        let mut words: Vec<String> = words.map(text).collect();
        if let Some(word) = words.first_mut().filter(|word| *word == first) {
            word.clone_from(&program);
        }
        words
    };
    Ok(Command {
        words: with_program(&mut words.iter(), false),
        shown: masked(&with_program(&mut words.iter(), true)),
    })
}

/// A program: a path has a slash in it.
fn program(text: &str, directory: &Path) -> Result<String, String> {
    if text.is_empty() {
        return Err("must name a program".to_owned());
    }
    if !text.contains('/') {
        return Ok(text.to_owned());
    }
    let path = path(text, directory)?.into_os_string().into_string();
    path.map_err(|_| "the program's path must be valid UTF-8".to_owned())
}
