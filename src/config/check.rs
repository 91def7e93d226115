//! Our section of the configuration, checked against the tables of keys: every value gets the type of its key, and
//! every mistake is found, not the first alone.
//!
//! `sections` checks what stands in the section of a backend, `sets` what a service needs, `value` what a key is given.

mod sections;
mod sets;
mod value;

use std::path::PathBuf;

use super::Configured;
use super::files::Raw;
use super::interpolation::{Cause, Found, Location, Tree, Trouble};
use super::layers;
use super::yaml::{Data, Key as YamlKey, Node, Place, Wrong};
use crate::backend;
use crate::chain::OnError;
use crate::nearest::{did_you_mean, nearest};
use crate::request::Request;
use crate::schema::{Kind, Section, Source, UsageError, Value};

/// The name of our section.
pub const SECTION: &str = "mxm_secrets";

/// The keys of our section that are no backend's.
const TOP: [&str; 4] = ["backends", "on_error", "timeout", "sets"];

/// What later versions of the Python package keep in the same section. It is for them: we neither read nor check it.
const OF_PYTHON: [&str; 3] = ["stores", "refs", "policies"];

/// Whether a path is there in some layer that may be in effect on another machine.
type Elsewhere<'r> = Option<&'r dyn Fn(&str) -> bool>;

/// What our section in `root` says. With `elsewhere`, what another layer gives is not missed, nor is a variable that
/// is not set here.
///
/// # Errors
/// All that is wrong in it, in the order of the files.
pub fn section(raw: &Raw, root: &Node, elsewhere: Elsewhere) -> Result<Configured, Vec<Wrong>> {
    let mut checker = Checker {
        raw,
        tree: Tree::new(root),
        elsewhere,
        wrong: Vec::new(),
    };
    let configured = checker.root();
    checker.done(configured)
}

/// What a file that has one set asks for.
///
/// # Errors
/// All that is wrong in it, in the order of the file.
pub fn set_file(raw: &Raw, root: &Node) -> Result<Vec<Request>, Vec<Wrong>> {
    let mut checker = Checker {
        raw,
        tree: Tree::new(root),
        elsewhere: None,
        wrong: Vec::new(),
    };
    let requests = checker.set_file();
    checker.done(requests)
}

/// Checks the default by itself, and with each layer.
///
/// # Errors
/// Everything that is wrong.
pub fn all(mut raw: Raw) -> Result<Vec<PathBuf>, UsageError> {
    let layers = std::mem::take(&mut raw.layers);
    let Some(base) = raw.base.take() else {
        return Ok(Vec::new());
    };
    let has = |path: &str| layers.iter().any(|layer| layer.has(path));
    let elsewhere: Elsewhere = if layers.is_empty() { None } else { Some(&has) };
    let mut wrong = section(&raw, &base, elsewhere).err().unwrap_or_default();
    for layer in &layers {
        for (key, place) in layer.selectors_of_no_use() {
            wrong.push(Wrong {
                place,
                text: format!("{key}: YAML reads this as no text: put it between quotes"),
            });
        }
        for selector in layer.selectors() {
            let mut root = base.clone();
            let merged = layer
                .block(selector)
                .and_then(|block| layers::merge(&mut root, block))
                .map_err(|error| vec![error]);
            let found = merged.and_then(|()| section(&raw, &root, elsewhere));
            wrong.extend(found.err().into_iter().flatten());
        }
    }
    wrong.sort_by(|a, b| (a.place, &a.text).cmp(&(b.place, &b.text)));
    wrong.dedup();
    if wrong.is_empty() {
        Ok(raw.files.iter().map(|file| file.to_path_buf()).collect())
    } else {
        Err(raw.report(&wrong))
    }
}

/// Whether our section has, or may have, such a key.
fn is_ours(name: &str) -> bool {
    TOP.contains(&name) || OF_PYTHON.contains(&name) || backend::entry(name).is_some()
}

/// The way to a key, written out only for a message.
#[derive(Clone, Copy)]
struct Way<'w> {
    above: Option<&'w Way<'w>>,
    name: &'w str,
}

/// The way to our section.
const TOP_WAY: Way = Way {
    above: None,
    name: SECTION,
};

impl<'w> Way<'w> {
    fn to(&'w self, name: &'w str) -> Way<'w> {
        Way {
            above: Some(self),
            name,
        }
    }
}

impl std::fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}.")?;
        }
        f.write_str(self.name)
    }
}

struct Checker<'c> {
    raw: &'c Raw,
    tree: Tree<'c>,
    elsewhere: Elsewhere<'c>,
    wrong: Vec<Wrong>,
}

impl<'c> Checker<'c> {
    /// `result`, if nothing was wrong.
    fn done<T>(mut self, result: T) -> Result<T, Vec<Wrong>> {
        self.wrong.sort_by_key(|wrong| wrong.place);
        match self.wrong.is_empty() {
            true => Ok(result),
            false => Err(self.wrong),
        }
    }

    fn mistake(&mut self, place: Place, key: impl std::fmt::Display, text: impl std::fmt::Display) {
        self.wrong.push(Wrong {
            place,
            text: format!("{key}: {text}"),
        });
    }

    fn source(&self, place: Place) -> Source {
        match self.raw.files.get(place.file) {
            Some(path) => Source::File {
                path: path.clone(),
                line: place.line,
                column: place.column,
            },
            None => Source::BuiltIn,
        }
    }

    /// What the node comes to; `None`: it is wrong, or it is for another machine to tell.
    fn follow(&mut self, at: Location<'c>, key: &Way) -> Option<Found<'c>> {
        let place = at.node.place;
        let Trouble { text, cause } = match self.tree.follow(at) {
            Ok(found) => return Some(found),
            Err(trouble) => trouble,
        };
        let excused = self.elsewhere.is_some_and(|has| match &cause {
            Cause::NoKey(path) => has(path),
            Cause::NotSet => true,
            Cause::Mistake => false,
        });
        if !excused {
            self.mistake(place, key, text);
        }
        None
    }

    /// The mapping that the node comes to. Nothing at all is an empty one.
    fn mapping(&mut self, at: Location<'c>, key: &Way) -> Option<Location<'c>> {
        let place = at.node.place;
        let kind = match self.follow(at, key)? {
            Found::At(location) => match &location.node.data {
                Data::Map(_) => return Some(location),
                Data::Scalar(scalar) if scalar.is_null() => return None,
                _ => location.node.kind(),
            },
            Found::Text(_) => "a text",
            Found::Null => return None,
        };
        self.mistake(
            place,
            key,
            format!("it takes a mapping, and this is {kind}"),
        );
        None
    }

    /// Finds our section, or says that it is not where it should be.
    fn root(&mut self) -> Configured {
        let top = self.tree.root();
        if let Some(node) = top.node.get(SECTION) {
            return self.section(top.child(node));
        }
        let near = |key: &str| nearest(key, [SECTION]).is_some();
        // In a store, the program may be one that has no section of ours; what is meant for us must not be lost.
        let entries = entries(top.node);
        let lost = entries
            .iter()
            .find(|(key, _)| near(&key.text))
            .or_else(|| entries.iter().find(|(key, _)| is_ours(&key.text)))
            .or_else(|| entries.first().filter(|_| !self.raw.is_store));
        if let Some((key, _)) = lost {
            let advice = if near(&key.text) {
                did_you_mean(SECTION)
            } else {
                format!("what is for mxm-secrets stands in the section {SECTION}")
            };
            self.mistake(
                key.place,
                &key.text,
                format!("there is no such section: {advice}"),
            );
        }
        Configured::default()
    }

    fn section(&mut self, at: Location<'c>) -> Configured {
        let mut configured = Configured::default();
        let Some(here) = self.mapping(at, &TOP_WAY) else {
            return configured;
        };
        let mut chain = None;
        for (key, node) in entries(here.node) {
            let name = key.text.as_str();
            let path = TOP_WAY.to(name);
            let at = here.child(node);
            match name {
                _ if OF_PYTHON.contains(&name) => {}
                "backends" => chain = self.value(at, &path, Kind::Texts),
                "sets" => configured.sets = self.sets(at, &path),
                "on_error" => {
                    if let Some((Value::Text(word), source)) =
                        self.value(at, &path, Kind::Choice(OnError::WORDS))
                    {
                        configured.on_error = OnError::parse(&word).map(|word| (word, source));
                    }
                }
                "timeout" => {
                    if let Some((Value::Seconds(timeout), source)) =
                        self.value(at, &path, Kind::Seconds)
                    {
                        configured.timeout = Some((timeout, source));
                    }
                }
                _ => match backend::entry(name) {
                    // We do not know the keys of a backend that is not built in.
                    Some(entry) if entry.open.is_none() => {}
                    Some(entry) => {
                        let values = self.backend(at, &path, entry.keys);
                        configured.sections.push(Section {
                            name: name.to_owned(),
                            values,
                        });
                    }
                    None => configured.sections.extend(self.own_backend(at, key, &path)),
                },
            }
        }
        if let Some((Value::Texts(names), source)) = chain {
            let own: Vec<&str> = configured
                .sections
                .iter()
                .map(|section| section.name.as_str())
                .collect();
            let has = |name: &str| {
                let path = format!("{SECTION}.{name}.command");
                self.elsewhere.is_some_and(|has| has(&path))
            };
            let elsewhere = names.iter().map(String::as_str).filter(|name| has(name));
            let own: Vec<&str> = own.into_iter().chain(elsewhere).collect();
            let names = match names.as_slice() {
                [] => Err("it names no backend".to_owned()),
                names => super::chain(names, &own),
            };
            match (names, here.node.get("backends")) {
                (Ok(names), _) => configured.backends = Some((names, source)),
                (Err(text), node) => {
                    let place = node.unwrap_or(here.node).place;
                    self.mistake(place, TOP_WAY.to("backends"), text);
                }
            }
        }
        configured
    }
}

/// The entries of a mapping.
fn entries(node: &Node) -> &[(YamlKey, Node)] {
    match &node.data {
        Data::Map(entries) => entries,
        _ => &[],
    }
}
