//! Sets: what a service needs, in the configuration or in a file of its own.

use super::{Checker, Way};
use crate::compose::Text;
use crate::config::interpolation::Found;
use crate::config::yaml::{Data, Key as YamlKey, Node, Place};
use crate::name::Name;
use crate::refs::Refs;
use crate::request::{Content, Request, Set, Target, check_variable};
use crate::schema::{Key, Kind, Value};

/// The keys of an entry that is more than the name of a secret.
const KEYS: &[Key] = &[
    // The secret.
    Key::new("name", Kind::Strict),
    // A text with secrets for {{NAME}}.
    Key::new("value", Kind::Text),
    // A file with such a text.
    Key::new("template", Kind::Path),
    // Whether the variable is the path of a file.
    Key::new("file", Kind::Bool),
    // Whether it may be missing.
    Key::new("optional", Kind::Bool),
];

impl<'c> Checker<'c> {
    /// The sets of the configuration.
    pub(super) fn sets(&mut self, node: &'c Node, way: &Way, refs: &Refs) -> Vec<Set> {
        let mut sets = Vec::new();
        let Some(here) = self.mapping(node, way) else {
            return sets;
        };
        for (key, node) in here.entries() {
            let known = self.wrong.len();
            let requests = self.set(node, &way.to(&key.text), refs);
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
        for (key, node) in top.entries() {
            let way = Way {
                above: None,
                name: &key.text,
            };
            match key.text.as_str() {
                "secrets" => {
                    secrets = Some((key.place, self.set(node, &way, &Refs::default())));
                }
                _ => self.mistake(key.place, way, "unknown key; this file only has secrets"),
            }
        }
        match secrets {
            None => self.mistake(top.place, "secrets", "this key is missing"),
            Some((place, None)) if self.wrong.is_empty() => {
                let text = "expected a mapping, found null; write {} for no secrets";
                self.mistake(place, "secrets", text);
            }
            Some((_, requests)) => return requests.unwrap_or_default(),
        }
        Vec::new()
    }

    /// The entries of a set; `None`: it is nothing, or wrong.
    fn set(&mut self, node: &'c Node, way: &Way, refs: &Refs) -> Option<Vec<Request>> {
        let mut requests = Vec::new();
        let here = self.mapping(node, way)?;
        for (key, node) in here.entries() {
            let way = way.to(&key.text);
            if let Err(why) = check_variable(&key.text) {
                self.mistake(key.place, way, why);
            } else if let Some(mut request) = self.request(node, key, &way) {
                if self.thorough {
                    self.check_request(&mut request, key.place, &way, refs);
                }
                requests.push(request);
            }
        }
        Some(requests)
    }

    /// What only a check looks at: the template, which may be on another machine, and the names in it.
    fn check_request(&mut self, request: &mut Request, place: Place, way: &Way, refs: &Refs) {
        if self.elsewhere.is_none()
            && let Err(error) = request.load()
        {
            self.mistake(place, way, error);
        }
        for why in request.names().filter_map(|name| refs.refuses(name)) {
            self.mistake(place, way, why);
        }
    }

    /// Whether it is null, or a text without a character.
    fn is_nothing(&self, node: &'c Node) -> bool {
        let is_empty = |found: &Node| found.scalar().is_some_and(|text| text.text().is_empty());
        let found = self.tree.follow(node);
        found.is_ok_and(|found| found.is_null() || is_empty(&found))
    }

    /// An entry: the name of a secret, or a mapping; `None`: it is nothing, or wrong.
    fn request(&mut self, whole: &'c Node, key: &YamlKey, path: &Way) -> Option<Request> {
        const NAME: &Key = &Key::new("name", Kind::Strict);
        const CONTENTS: [&str; 3] = ["name", "value", "template"];
        let mut given = Vec::new();
        // One that comes to nothing good was told of, or is for another layer to tell.
        let mut has_content = false;
        match self.follow(whole, path)? {
            Found::Borrowed(here) if matches!(here.data, Data::Map(_)) => {
                self.keys(here, path, "", &[KEYS], &mut given);
                let mut contents = CONTENTS.iter().filter_map(|name| here.get(name));
                has_content = contents.any(|node| !self.is_nothing(node));
            }
            _ => given.push(self.value(whole, path, NAME)?),
        }
        let place = key.place;
        // What a variable has may be a secret, and is in no message.
        if given.iter().any(|given| given.written.is_some()) {
            self.from_variables.push(place);
        }
        let flag = |name: &str| {
            let mut flags = given.iter().filter(|given| given.key == name);
            flags.any(|given| given.value == Value::Bool(true))
        };
        let mut contents = given.iter().filter(|given| CONTENTS.contains(&given.key));
        let Some(content) = contents.next() else {
            let is_elsewhere = |key: &&str| self.is_elsewhere(path.to(key));
            if !has_content && !CONTENTS.iter().any(is_elsewhere) {
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
            Err(text) => {
                self.mistake(place, path, text);
                None
            }
        }
    }
}
