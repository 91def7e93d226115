//! The value of a key: what its node comes to, made into the type that the key takes.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{Checker, Way};
use crate::config::interpolation::Found;
use crate::config::mask::masked;
use crate::config::yaml::{Data, Meaning, Node, Scalar, boolean};
use crate::nearest::{advice, did_you_mean, nearest};
use crate::schema::{Command, Given, Key, Kind, Rule, Value, seconds};
use crate::sys;

impl<'c> Checker<'c> {
    /// The value of `key`; `None`: it is not given, or wrong.
    pub(super) fn value(&mut self, node: &'c Node, way: &Way, key: &'static Key) -> Option<Given> {
        let place = node.place;
        let read = match key.kind {
            Kind::Rules => self.rules(node, way)?,
            kind => self.plain(node, way, kind)?,
        };
        let (value, written) = read;
        if written.is_some() {
            self.from_variables.push(place);
        }
        Some(Given {
            key: key.name,
            value,
            written,
            source: self.source(place),
        })
    }

    /// A value that is a scalar or a list of scalars; and as it is written, if an environment variable is in it.
    fn plain(&mut self, node: &'c Node, way: &Way, kind: Kind) -> Option<(Value, Option<Value>)> {
        let place = node.place;
        let found = self.follow(node, way)?;
        let mut words = Vec::new();
        let shape = found.kind();
        match found {
            Found::Borrowed(Node {
                data: Data::List(items),
                ..
            }) => {
                for item in items {
                    words.push(self.item(item, way)?);
                }
            }
            found => match self.word(node, found) {
                Ok(word) => words.push(word?),
                Err(text) if shape == "a mapping" => {
                    let text = format!("expected {}, found {text}", takes(kind));
                    self.mistake(place, way, text);
                    return None;
                }
                Err(text) => {
                    self.mistake(place, way, text);
                    return None;
                }
            },
        }
        let file = self.raw.files.get(place.file);
        match typed(
            &words,
            shape,
            kind,
            file.map_or(Path::new("/"), AsRef::as_ref),
        ) {
            Ok(value) => {
                let value = value?;
                let written = written(&words, &value);
                Some((value, written))
            }
            Err(text) => {
                self.mistake(place, way, text);
                None
            }
        }
    }

    /// What `node` comes to, which is `found`, as a word; `None`: null.
    ///
    /// # Errors
    /// Why it is none.
    fn word(&self, node: &'c Node, found: Found<'c>) -> Result<Option<Word<'c>>, String> {
        let Some(scalar) = found.scalar() else {
            return Err(found.kind().to_owned());
        };
        if scalar.is_missing() && matches!(found, Cow::Borrowed(_)) {
            return Err("??? marks a value that must still be set".to_owned());
        }
        let meaning = scalar.meaning()?;
        let text = match &found {
            Cow::Borrowed(node) => Cow::Borrowed(node.scalar().map_or("", Scalar::text)),
            Cow::Owned(_) => Cow::Owned(scalar.text().to_owned()),
        };
        let written = node.scalar().filter(|_| self.tree.is_from_environment());
        Ok((meaning != Meaning::Null).then(|| Word {
            text,
            meaning,
            written: written.map(Scalar::text),
        }))
    }

    /// An item of a list.
    fn item(&mut self, node: &'c Node, way: &Way) -> Option<Word<'c>> {
        let found = self.follow(node, way)?;
        let is_container = found.is_container();
        let text = match self.word(node, found) {
            Ok(Some(word)) => return Some(word),
            Ok(None) => "list items must not be null".to_owned(),
            Err(kind) if is_container => format!("expected a string in this list, found {kind}"),
            Err(text) => text,
        };
        self.mistake(node.place, way, text);
        None
    }

    /// A list of rules, or one of them alone; and as they are written, if an environment variable is in one.
    fn rules(&mut self, node: &'c Node, way: &Way) -> Option<(Value, Option<Value>)> {
        let found = self.follow(node, way)?;
        if found.is_null() {
            return None;
        }
        let rules = match found {
            Found::Borrowed(Node {
                data: Data::List(items),
                ..
            }) => {
                let rules = items.iter().map(|item| self.rule(item, way));
                rules.collect::<Option<Vec<_>>>()?
            }
            _ => vec![self.rule(node, way)?],
        };
        let shown = |(rule, written): &(Rule, Option<String>)| {
            written.clone().unwrap_or_else(|| rule.to_string())
        };
        let written = rules.iter().any(|(_, written)| written.is_some());
        let written = written.then(|| Value::Texts(rules.iter().map(shown).collect()));
        let rules = rules.into_iter().map(|(rule, _)| rule);
        Some((Value::Rules(rules.collect()), written))
    }

    fn rule(&mut self, node: &'c Node, way: &Way) -> Option<(Rule, Option<String>)> {
        let mut rule = Rule {
            status: None,
            says: None,
            says_only: None,
        };
        let mut written = Vec::new();
        let found = self.follow(node, way)?;
        if found.is_container() && !matches!(found.data, Data::Map(_)) {
            self.mistake(node.place, way, format!("expected {}", takes(Kind::Rules)));
            return None;
        }
        let Some(entries) = entries(&found) else {
            let word = self.word(node, found).ok().flatten();
            let written = word.as_ref().and_then(|word| word.written);
            rule.status = word.and_then(|word| word.status());
            if rule.status.is_none() {
                self.mistake(node.place, way, format!("expected {}", takes(Kind::Rules)));
                return None;
            }
            return Some((rule, written.map(str::to_owned)));
        };
        for (name, node) in entries {
            let way = way.to(&name.text);
            let found = self.follow(node, &way)?;
            let word = self.word(node, found).ok().flatten();
            let from_variable = word.as_ref().and_then(|word| word.written);
            if let Some(text) = from_variable {
                self.from_variables.push(node.place);
                written.push(format!("{}: {text}", name.text));
            }
            let takes = match name.text.as_str() {
                "status" => {
                    rule.status = word.and_then(|word| word.status());
                    rule.status
                        .is_none()
                        .then_some("a number from 1 to 255, or empty")
                }
                key @ ("says" | "says_only") => {
                    let text = word.map(|word| word.text.into_owned());
                    // A variable that is empty is a mistake; what is written as empty is silence.
                    let text = text.filter(|text| from_variable.is_none() || !text.is_empty());
                    let is_none = text.is_none();
                    match key {
                        "says" => rule.says = text,
                        _ => rule.says_only = text,
                    }
                    is_none.then_some("a string")
                }
                unknown => {
                    let advice = advice(unknown, &["status", "says", "says_only"]);
                    self.mistake(name.place, way, format!("unknown key: {advice}"));
                    return None;
                }
            };
            if let Some(takes) = takes {
                self.mistake(node.place, way, format!("expected {takes}"));
                return None;
            }
        }
        if (rule.status, &rule.says, &rule.says_only) == (None, &None, &None) {
            self.mistake(node.place, way, format!("expected {}", takes(Kind::Rules)));
            return None;
        }
        let written = (!written.is_empty()).then(|| format!("{{{}}}", written.join(", ")));
        Some((rule, written))
    }
}

/// The entries of a mapping of the tree.
fn entries<'c>(found: &Found<'c>) -> Option<&'c [(crate::config::yaml::Key, Node)]> {
    match found {
        Cow::Borrowed(Node {
            data: Data::Map(entries),
            ..
        }) => Some(entries),
        _ => None,
    }
}

/// A scalar, interpolations resolved.
struct Word<'c> {
    text: Cow<'c, str>,
    /// What Python takes it for.
    meaning: Meaning,
    /// As it is written, if an environment variable is in it: what is shown.
    written: Option<&'c str>,
}

impl Word<'_> {
    fn is_text(&self) -> bool {
        self.meaning == Meaning::Text
    }

    fn status(&self) -> Option<u8> {
        let number = match self.meaning {
            Meaning::Int(number) => u8::try_from(number).ok(),
            Meaning::Text if self.text == "empty" => return Some(0),
            Meaning::Text => self.text.parse().ok(),
            _ => None,
        };
        number.filter(|&number| number > 0)
    }
}

/// What is shown of the value that the words are, if an environment variable is in one. A command has its own.
fn written(words: &[Word], value: &Value) -> Option<Value> {
    if words.iter().all(|word| word.written.is_none()) {
        return None;
    }
    let or = |(word, text): (&Word, String)| word.written.map_or(text, str::to_owned);
    Some(match value {
        Value::Command(_) => value.clone(),
        Value::Texts(texts) => {
            let texts = words.iter().zip(texts.iter().cloned());
            Value::Texts(texts.map(or).collect())
        }
        Value::Paths(paths) => {
            let texts = paths.iter().map(|path| path.display().to_string());
            Value::Texts(words.iter().zip(texts).map(or).collect())
        }
        _ => Value::Text(words.iter().filter_map(|word| word.written).collect()),
    })
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

/// The value that the words are; `None`: an empty path, which is none. Relative paths are relative to `file`.
fn typed(words: &[Word], shape: &str, kind: Kind, file: &Path) -> Result<Option<Value>, String> {
    let texts = || words.iter().map(|word| word.text.to_string()).collect();
    let refused = || format!("expected {}, found {shape}", takes(kind));
    Ok(Some(match (kind, words) {
        (Kind::Texts, _) => Value::Texts(texts()),
        (Kind::StrictList, _) if shape == "a list" && words.iter().all(Word::is_text) => {
            Value::Texts(texts())
        }
        (Kind::Paths, _) => {
            let paths: Result<Vec<PathBuf>, String> =
                words.iter().map(|word| path(&word.text, file)).collect();
            Value::Paths(paths?)
        }
        (Kind::Command, _) => Value::Command(command(words, shape, file)?),
        (_, [word]) if shape != "a list" => match (kind, &word.meaning) {
            (Kind::Text, _) | (Kind::Strict, Meaning::Text) => Value::Text(word.text.to_string()),
            (Kind::Address(is_address), _) => {
                if !word.text.is_empty() && !is_address(&word.text) {
                    return Err(format!("expected {}", takes(kind)));
                }
                Value::Text(word.text.to_string())
            }
            (Kind::Program, _) => Value::Text(program(&word.text, file)?),
            (Kind::Path, _) if word.text.is_empty() => return Ok(None),
            (Kind::Path, _) => Value::Path(path(&word.text, file)?),
            (Kind::Choice(choices), _) if choices.contains(&&*word.text) => {
                Value::Text(word.text.to_string())
            }
            (Kind::Choice(choices), _) => {
                let near = nearest(&word.text, choices.iter().copied());
                let advice = near.map_or(String::new(), |near| format!(": {}", did_you_mean(near)));
                return Err(format!("expected {}{advice}", takes(kind)));
            }
            (Kind::Bool, Meaning::Bool(value)) => Value::Bool(*value),
            (Kind::Bool, Meaning::Text) => Value::Bool(boolean(&word.text).ok_or_else(refused)?),
            (Kind::Seconds, meaning) => {
                let text = match meaning {
                    Meaning::Int(number) => number.to_string(),
                    Meaning::Float(number) => number.to_string(),
                    _ => word.text.to_string(),
                };
                let seconds = seconds(&text, "").map_err(|_| format!("expected {}", takes(kind)));
                Value::Seconds(seconds?)
            }
            _ => return Err(refused()),
        },
        _ => return Err(refused()),
    }))
}

/// A path of the configuration: `~/` is the home directory, a relative one is relative to `file`.
fn path(text: &str, file: &Path) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("a path must not be empty".to_owned());
    }
    if text == "~" || text.starts_with("~/") {
        let home = sys::home().ok_or("the path starts with ~, but there is no home directory")?;
        return Ok(home.join(text.trim_start_matches('~').trim_start_matches('/')));
    }
    // Its components, so that no ./ is left in the middle.
    let directory = file.parent().unwrap_or(file);
    Ok(directory.join(text).components().collect())
}

/// A program and its arguments.
fn command(words: &[Word], shape: &str, file: &Path) -> Result<Command, String> {
    let first = words.first().map_or("", |word| &*word.text);
    if shape != "a list" && first.contains(char::is_whitespace) {
        return Err(
            "expected a list, since no shell splits it: [program, argument, argument]".to_owned(),
        );
    }
    let program = program(first, file)?;
    let with_program = |words: &mut dyn Iterator<Item = &Word>, shown: bool| {
        let text = |word: &Word| match word.written {
            Some(written) if shown => written.to_owned(),
            _ => word.text.to_string(),
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
fn program(text: &str, file: &Path) -> Result<String, String> {
    if text.is_empty() {
        return Err("must name a program".to_owned());
    }
    if !text.contains('/') {
        return Ok(text.to_owned());
    }
    let path = path(text, file)?.into_os_string().into_string();
    path.map_err(|_| "the program's path must be valid UTF-8".to_owned())
}
