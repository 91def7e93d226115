//! Sets: what a service needs, in the configuration or in a file of its own.

use super::{Checker, Way, entries};
use crate::compose::Text;
use crate::config::interpolation::{Found, Location};
use crate::config::yaml::{Data, Key as YamlKey};
use crate::name::Name;
use crate::request::{Content, Request, Set, Target, check_variable};
use crate::schema::{Given, Key, Kind, Value};

/// The keys of an entry that is more than the name of a secret.
const KEYS: &[Key] = &[
    key("name", Kind::Strict, "the secret"),
    key("value", Kind::Text, "a text with secrets for {{NAME}}"),
    key("template", Kind::Path, "a file with such a text"),
    key(
        "file",
        Kind::Bool,
        "whether the variable is the path of a file",
    ),
    key("optional", Kind::Bool, "whether it may be missing"),
];

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        default: "",
        variable: None,
        about,
    }
}

impl<'c> Checker<'c> {
    /// The sets of the configuration.
    pub(super) fn sets(&mut self, at: Location<'c>, path: &Way) -> Vec<Set> {
        let mut sets = Vec::new();
        let Some(here) = self.mapping(at, path) else {
            return sets;
        };
        for (key, node) in entries(here.node) {
            let known = self.wrong.len();
            let requests = self.set(here.child(node), &path.to(&key.text));
            // Nothing at all is no set; a mistake has been told.
            if requests.is_none() && self.wrong.len() == known {
                continue;
            }
            sets.push(Set {
                name: key.text.clone(),
                source: self.source(key.place),
                requests: requests.unwrap_or_default(),
            });
        }
        sets
    }

    /// The root of a file that has one set and nothing else.
    pub(super) fn set_file(&mut self) -> Vec<Request> {
        let top = self.tree.root();
        let mut secrets = None;
        for (key, node) in entries(top.node) {
            let path = Way {
                above: None,
                name: &key.text,
            };
            match key.text.as_str() {
                "secrets" => secrets = Some((key.place, self.set(top.child(node), &path))),
                _ => self.mistake(key.place, path, "unknown key; this file only has secrets"),
            }
        }
        match secrets {
            None => self.mistake(top.node.place, "secrets", "this key is missing"),
            Some((place, None)) if self.wrong.is_empty() => {
                let text = "expected a mapping, found nothing; {} stands for no secrets";
                self.mistake(place, "secrets", text);
            }
            Some((_, requests)) => return requests.unwrap_or_default(),
        }
        Vec::new()
    }

    /// The entries of a set; `None`: it is nothing, or wrong.
    fn set(&mut self, at: Location<'c>, path: &Way) -> Option<Vec<Request>> {
        let mut requests = Vec::new();
        let here = self.mapping(at, path)?;
        for (key, node) in entries(here.node) {
            let path = path.to(&key.text);
            if let Err(why) = check_variable(&key.text) {
                self.mistake(key.place, path, why);
            } else {
                requests.extend(self.request(here.child(node), key, &path));
            }
        }
        Some(requests)
    }

    /// An entry: the name of a secret, or a mapping; `None`: it is nothing, or wrong.
    fn request(&mut self, at: Location<'c>, key: &YamlKey, path: &Way) -> Option<Request> {
        let whole = at.node;
        let mut given = Vec::new();
        match self.follow(at.clone(), path)? {
            Found::At(here) if matches!(here.node.data, Data::Map(_)) => {
                self.keys(&here, path, "", &[KEYS], &mut given);
            }
            _ => {
                let (value, source) = self.value(at, path, Kind::Strict)?;
                let key = "name";
                given.push(Given { key, value, source });
            }
        }
        let flag = |name: &str| {
            let mut flags = given.iter().filter(|given| given.key == name);
            flags.any(|given| given.value == Value::Bool(true))
        };
        let mut contents = given.iter().filter(|given| {
            let names = ["name", "value", "template"];
            names.contains(&given.key)
        });
        let place = key.place;
        let Some(content) = contents.next() else {
            let inside = |has: &dyn Fn(&str) -> bool, key| has(&format!("{path}.{key}"));
            let elsewhere = self.elsewhere.is_some_and(|has| {
                let mut keys = ["name", "value", "template"].into_iter();
                keys.any(|key| inside(has, key))
            });
            if !elsewhere {
                self.mistake(place, path, "expected one of name, value and template");
            }
            return None;
        };
        if let Some(second) = contents.next() {
            let text = format!("{} and {} exclude each other", content.key, second.key);
            self.mistake(place, path, text);
            return None;
        }
        let is_file = flag("file");
        if is_file && content.key != "name" {
            self.mistake(
                place,
                path,
                "file requires name; a template is always a file",
            );
            return None;
        }
        let variable = key.text.clone();
        // What a variable has may be a secret, and is in no message.
        let node = whole.get(content.key).unwrap_or(whole);
        let is_literal =
            !matches!(&node.data, Data::Scalar(scalar) if scalar.text().contains("${"));
        let content = match (content.key, &content.value) {
            ("template", Value::Path(file)) => Ok(Content::Template(file.clone())),
            ("value", Value::Text(text)) => Text::parse(text.as_bytes())
                .map(Content::Text)
                .map_err(|wrong| {
                    let (line, column) = (wrong.line, wrong.column);
                    format!("line {line}, column {column} of the value: {}", wrong.text)
                }),
            (_, Value::Text(name)) => Name::parse(name)
                .map(Content::Secret)
                .map_err(|error| error.to_string()),
            _ => return None,
        };
        match content {
            Ok(content) => Some(Request {
                target: match content {
                    Content::Template(_) => Target::File(variable),
                    _ if is_file => Target::File(variable),
                    _ => Target::Variable(variable),
                },
                content,
                optional: flag("optional"),
                place: self.source(place).to_string(),
            }),
            Err(text) if is_literal => {
                self.mistake(place, path, text);
                None
            }
            Err(_) => {
                self.mistake(place, path, super::NOT_VALID);
                None
            }
        }
    }
}
