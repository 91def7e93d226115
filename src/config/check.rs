//! Our section of the configuration, checked against the tables of keys: every value gets the type of its key, and
//! every mistake is found, not the first alone.
//!
//! `sections` checks the section of a backend, `refs` the names that are not places, `sets` what a service needs,
//! `credentials` which unit may have what, `value` what a key is given; `layers` checks all blocks of a store, and names
//! the one that causes a mistake.

mod credentials;
mod layers;
mod refs;
mod sections;
mod sets;
mod value;

pub use layers::{all, name_causes};

use super::files::Raw;
use super::interpolation::{Cause, Found, Tree, Trouble};
use super::yaml::{Data, Node, Place, Wrong, wrong};
use super::{CREDENTIALS_FOR, Configured, KEYS, check_chain, own_names};
use crate::backend;
use crate::nearest::{did_you_mean, nearest};
use crate::refs::KINDS;
use crate::request::Request;
use crate::schema::{Section, Source};
use crate::text::quoted;

/// The name of our section.
pub const SECTION: &str = "mxm_secrets";

/// The key of what services need.
const SETS: &str = "sets";

/// What is wrong with a value that is not to be quoted.
const NOT_VALID: &str = "the value of ${...} is not valid here";

/// Whether a path is there in some layer that may be in effect on another machine.
type Elsewhere<'r> = Option<&'r dyn Fn(&str) -> bool>;

/// What our section in `root` says, as far as it is right; all that is wrong in it, in the order of the files; and whether
/// some of that is not in a set, so that it hinders more than what uses sets. With `elsewhere`, what another layer gives
/// is not missed, nor is a variable that is not set here. If `thorough`, the templates of sets are read, and sets must
/// not ask for what `refs_only` refuses.
pub fn section(
    raw: &Raw,
    root: &Node,
    elsewhere: Elsewhere,
    thorough: bool,
) -> (Configured, Vec<Wrong>, bool) {
    let mut checker = Checker::new(raw, root, elsewhere, thorough);
    let configured = checker.root();
    let beyond_sets = checker.wrong.len() > checker.of_sets;
    let (configured, wrong) = checker.done(configured);
    (configured, wrong, beyond_sets)
}

/// What a file that has one set asks for, as far as it is right, and all that is wrong in it, in its order.
pub fn set_file(raw: &Raw, root: &Node) -> (Vec<Request>, Vec<Wrong>) {
    let mut checker = Checker::new(raw, root, None, false);
    let requests = checker.set_file();
    checker.done(requests)
}

/// Where the value of a key is.
fn place_of(raw: &Raw, section: &Section, key: &str) -> Option<Place> {
    let Some(Source::File { path, line, column }) = section.given(key).map(|given| &given.source)
    else {
        return None;
    };
    let file = raw.files.iter().position(|file| file == path)?;
    Some(Place {
        file,
        line: *line,
        column: *column,
    })
}

/// The keys of our section that are no backend's.
fn own_keys() -> impl Iterator<Item = &'static str> {
    let keys = KEYS.iter().map(|key| key.name);
    keys.chain([SETS, CREDENTIALS_FOR]).chain(KINDS)
}

/// Whether our section has, or may have, such a key.
fn is_ours(name: &str) -> bool {
    own_keys().any(|key| key == name) || backend::entry(name).is_some()
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
    thorough: bool,
    wrong: Vec<Wrong>,
    /// How many of those are in sets.
    of_sets: usize,
    /// Where values are that have an environment variable in them: no message quotes them.
    from_variables: Vec<Place>,
}

impl<'c> Checker<'c> {
    fn new(raw: &'c Raw, root: &'c Node, elsewhere: Elsewhere<'c>, thorough: bool) -> Checker<'c> {
        Checker {
            raw,
            tree: Tree::new(root, raw.deadline),
            elsewhere,
            thorough,
            wrong: Vec::new(),
            of_sets: 0,
            from_variables: Vec::new(),
        }
    }

    /// `result`, and what was wrong, in order.
    fn done<T>(mut self, result: T) -> (T, Vec<Wrong>) {
        self.wrong.sort_by_key(|wrong| wrong.place);
        (result, self.wrong)
    }

    fn mistake(&mut self, place: Place, key: impl std::fmt::Display, text: impl std::fmt::Display) {
        let text = match self.from_variables.contains(&place) {
            true => format!("{key}: {NOT_VALID}"),
            false => format!("{key}: {text}"),
        };
        self.wrong.push(wrong(place, text));
    }

    /// Whether another layer has the key.
    fn is_elsewhere(&self, key: impl std::fmt::Display) -> bool {
        self.elsewhere.is_some_and(|has| has(&key.to_string()))
    }

    /// Whether another layer has a backend of the user's own with this name.
    fn is_backend_elsewhere(&self, name: &str) -> bool {
        let mut keys = ["command", "recipe"].into_iter();
        keys.any(|key| self.is_elsewhere(format_args!("{SECTION}.{name}.{key}")))
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
    fn follow(&mut self, node: &'c Node, key: &Way) -> Option<Found<'c>> {
        let Trouble { text, cause } = match self.tree.follow(node) {
            Ok(found) => return Some(found),
            Err(trouble) => trouble,
        };
        let excused = match &cause {
            Cause::NoKey(path) => self.is_elsewhere(path),
            Cause::NotSet => self.elsewhere.is_some(),
            Cause::Mistake => false,
        };
        if !excused {
            // Its words may have what the variable has.
            let text = match self.tree.is_from_environment() {
                true => {
                    let written = node.scalar().map_or("", |scalar| scalar.text());
                    let written = quoted(written);
                    format!(
                        "{written} cannot be resolved: a variable in it does not lead to a value"
                    )
                }
                false => text,
            };
            self.mistake(node.place, key, text);
        }
        None
    }

    /// The mapping that the node comes to. Nothing at all is an empty one.
    fn mapping(&mut self, node: &'c Node, key: &Way) -> Option<&'c Node> {
        let found = self.follow(node, key)?;
        match found {
            Found::Borrowed(found) if matches!(found.data, Data::Map(_)) => return Some(found),
            found if found.is_null() => {}
            found => {
                let text = format!("expected a mapping, found {}", found.kind());
                self.mistake(node.place, key, text);
            }
        }
        None
    }

    /// Finds our section, or says that it is not where it should be.
    fn root(&mut self) -> Configured {
        let top = self.tree.root();
        if let Some(node) = top.get(SECTION) {
            return self.section(node);
        }
        let near = |key: &str| nearest(key, [SECTION]).is_some();
        // In a store, the program may be one that has no section of ours; what is meant for us must not be lost.
        let keys = || top.entries().iter().map(|(key, _)| key);
        let lost = keys()
            .find(|key| near(&key.text))
            .or_else(|| keys().find(|key| is_ours(&key.text)))
            .or_else(|| keys().next().filter(|_| !self.raw.is_store));
        if let Some(key) = lost {
            let advice = match near(&key.text) {
                true => did_you_mean(SECTION),
                false => format!("settings of mxm-secrets belong under {SECTION}"),
            };
            let text = format!("unknown top-level key: {advice}");
            self.mistake(key.place, &key.text, text);
        }
        Configured::default()
    }

    fn section(&mut self, node: &'c Node) -> Configured {
        let mut configured = Configured::default();
        let Some(here) = self.mapping(node, &TOP_WAY) else {
            return configured;
        };
        let (mut sets, mut lists) = (None, None);
        for (key, node) in here.entries() {
            let name = key.text.as_str();
            let way = TOP_WAY.to(name);
            if let Some(key) = KEYS.iter().find(|key| key.name == name) {
                let given = self.value(node, &way, key);
                configured.top.values.extend(given);
            } else if name == SETS {
                sets = Some(node);
            } else if name == CREDENTIALS_FOR {
                lists = Some(node);
            } else if let Some(kind) = KINDS.iter().position(|kind| *kind == name) {
                self.entries_of(kind, node, &way, &mut configured.refs.entries);
            } else if let Some(entry) = backend::entry(name) {
                // We do not know the keys of a backend that is not built in.
                if entry.open.is_some() {
                    let section = self.backend(node, &way, &[entry.keys]);
                    configured.sections.push(section);
                }
            } else {
                let section = self.own_backend(node, key, &way);
                configured.sections.extend(section);
            }
        }
        configured.refs.only = configured.top.flag("refs_only") == Some(true);
        let own = own_names(&configured.sections);
        self.check_refs(&configured.refs, &own);
        let known = self.wrong.len();
        if let Some(sets) = sets {
            configured.sets = self.sets(sets, &TOP_WAY.to(SETS), &configured.refs);
            self.of_sets = self.wrong.len() - known;
        }
        if let Some(lists) = lists {
            let way = TOP_WAY.to(CREDENTIALS_FOR);
            // A set with a mistake may lack what it should have.
            let sets = configured.sets.as_slice();
            let sets = if self.of_sets == 0 { sets } else { &[] };
            configured.credentials_for = self.credentials(lists, &way, sets);
        }
        if let Some(names) = configured.top.texts("backends") {
            let elsewhere = names
                .iter()
                .map(String::as_str)
                .filter(|name| !own.contains(name) && self.is_backend_elsewhere(name));
            let own: Vec<&str> = own.iter().copied().chain(elsewhere).collect();
            let checked = match names {
                [] => Err("must name at least one backend".to_owned()),
                names => check_chain(names, &own),
            };
            if let Err(text) = checked {
                let place = here.get("backends").unwrap_or(here).place;
                self.mistake(place, TOP_WAY.to("backends"), text);
            }
        }
        configured
    }
}
