//! Our section of the configuration, checked against the tables of keys: every value gets the type of its key, and
//! every mistake is found, not the first alone.
//!
//! `sections` checks the section of a backend, `refs` the names that are not places, `sets` what a service needs, `value`
//! what a key is given.

mod refs;
mod sections;
mod sets;
mod value;

use refs::KINDS;

use super::files::{Raw, late};
use super::interpolation::{Cause, Found, Location, Tree, Trouble};
use super::layers::{self, Layer};
use super::yaml::{Data, Key as YamlKey, Node, Place, Wrong};
use super::{Checked, Configured};
use crate::backend;
use crate::chain::OnError;
use crate::nearest::{did_you_mean, nearest};
use crate::refs::Ref;
use crate::request::Request;
use crate::schema::{Kind, Section, Source, UsageError, Value};
use crate::text::{clipped, quoted};

/// The name of our section.
pub const SECTION: &str = "mxm_secrets";

/// The keys of our section that are no backend's.
const TOP: [&str; 5] = ["backends", "on_error", "refs_only", "timeout", "sets"];

/// What is wrong with a value that is not to be quoted.
const NOT_VALID: &str = "the value of ${...} is not valid here";

/// Whether a path is there in some layer that may be in effect on another machine.
type Elsewhere<'r> = Option<&'r dyn Fn(&str) -> bool>;

/// What our section in `root` says, as far as it is right, and all that is wrong in it, in the order of the files. With
/// `elsewhere`, what another layer gives is not missed, nor is a variable that is not set here.
pub fn section(raw: &Raw, root: &Node, elsewhere: Elsewhere) -> (Configured, Vec<Wrong>) {
    let mut checker = Checker {
        raw,
        tree: Tree::new(root, raw.deadline),
        elsewhere,
        wrong: Vec::new(),
        from_variables: Vec::new(),
    };
    let configured = checker.root();
    checker.done(configured)
}

/// Whether a mistake is one of a set, which hinders only what uses sets.
pub fn is_of_a_set(wrong: &Wrong) -> bool {
    wrong.text.starts_with(&format!("{SECTION}.sets"))
}

/// What a file that has one set asks for, as far as it is right, and all that is wrong in it, in its order.
pub fn set_file(raw: &Raw, root: &Node) -> (Vec<Request>, Vec<Wrong>) {
    let mut checker = Checker {
        raw,
        tree: Tree::new(root, raw.deadline),
        elsewhere: None,
        wrong: Vec::new(),
        from_variables: Vec::new(),
    };
    let requests = checker.set_file();
    checker.done(requests)
}

/// How many combinations of layers are checked.
const COMBINATIONS: usize = 10_000;

/// Checks the default by itself, and with each layer, and the refs in every combination of layers.
///
/// # Errors
/// Everything that is wrong.
pub fn all(mut raw: Raw) -> Result<Checked, UsageError> {
    let layers = std::mem::take(&mut raw.layers);
    let Some(base) = raw.base.take() else {
        return Ok(Checked::default());
    };
    let has = |path: &str| layers.iter().any(|layer| layer.has(path));
    let elsewhere: Elsewhere = if layers.is_empty() { None } else { Some(&has) };
    let (_, mut wrong) = section(&raw, &base, elsewhere);
    for layer in &layers {
        for (key, place) in layer.selectors_of_no_use() {
            wrong.push(Wrong {
                place,
                text: format!("{key}: YAML does not read this as a string: put it in quotes"),
            });
        }
        for selector in layer.selectors() {
            raw.deadline.go_on().map_err(late)?;
            let mut root = base.clone();
            wrong.extend(match layer.block(selector, raw.deadline) {
                Ok(block) => {
                    let found = match layers::merge(&mut root, block, raw.deadline) {
                        Ok(()) => section(&raw, &root, elsewhere).1,
                        Err(error) => vec![error],
                    };
                    in_block(found, layer.file, selector)
                }
                Err(error) => vec![error],
            });
        }
    }
    let mut lacking = Vec::new();
    // A section that an interpolation leads to may have refs.
    let may_have =
        |ours: &Node| ours.get(KINDS[0]).is_some() || matches!(ours.data, Data::Scalar(_));
    if wrong.is_empty() && (base.get(SECTION).is_some_and(may_have) || has("mxm_secrets.refs")) {
        (wrong, lacking) = combinations(&raw, &base, &layers)?;
    }
    wrong.sort_by(|a, b| (a.place, &a.text).cmp(&(b.place, &b.text)));
    wrong.dedup();
    if wrong.is_empty() {
        Ok(Checked {
            files: raw.files.iter().map(|file| file.to_path_buf()).collect(),
            lacking,
            not_here: None,
        })
    } else {
        Err(raw.report(&wrong))
    }
}

/// What is wrong in a layer's file, with the name of the block.
fn in_block(mut wrong: Vec<Wrong>, file: usize, selector: &str) -> Vec<Wrong> {
    for wrong in wrong.iter_mut().filter(|wrong| wrong.place.file == file) {
        wrong.text = format!("{}: {}", clipped(selector), wrong.text);
    }
    wrong
}

/// What is wrong with refs in any combination of layers; and, a line each, which refs cannot be had where.
fn combinations(
    raw: &Raw,
    base: &Node,
    layers: &[Layer],
) -> Result<(Vec<Wrong>, Vec<String>), UsageError> {
    let choices: Vec<Vec<&str>> = layers.iter().map(Layer::selectors).collect();
    let count = choices
        .iter()
        .try_fold(1_usize, |count, choice| count.checked_mul(choice.len()));
    if count.is_none_or(|count| count > COMBINATIONS) {
        let text = format!(
            "more than {COMBINATIONS} combinations of layers: cannot check the refs in all of them"
        );
        return Err(UsageError::new(text));
    }
    let (mut wrong, mut seen) = (Vec::new(), Seen::default());
    combine(
        raw,
        base.clone(),
        layers,
        &mut Vec::new(),
        &mut wrong,
        &mut seen,
    )?;
    let mut lacking = Vec::new();
    for (it, place, combinations) in seen.lacking {
        if combinations.len() == seen.count {
            wrong.push(Wrong {
                place,
                text: format!(
                    "{SECTION}.refs.{}.store: no layer has the store {}",
                    it.name, it.store
                ),
            });
            continue;
        }
        // A block that lacks it whatever the others are says it alone.
        let mut rest = combinations;
        for (dimension, choice) in choices.iter().enumerate() {
            let others = seen.count / choice.len().max(1);
            for selector in choice {
                let here = |combination: &&Vec<&str>| combination.get(dimension) == Some(selector);
                if rest.iter().filter(here).count() == others {
                    lacking.push(format!(
                        "{}: {} (store {})",
                        clipped(selector),
                        it.name,
                        it.store
                    ));
                    rest.retain(|combination| !here(&combination));
                }
            }
        }
        for combination in rest {
            let blocks = combination.join(", ");
            lacking.push(format!(
                "{}: {} (store {})",
                clipped(&blocks),
                it.name,
                it.store
            ));
        }
    }
    Ok((wrong, lacking))
}

/// What combinations of layers have shown.
#[derive(Default)]
struct Seen<'l> {
    count: usize,
    /// A ref, where it names its store, and the combinations that lack the store.
    lacking: Vec<(Ref, Place, Vec<Vec<&'l str>>)>,
}

/// Puts the blocks of the layers over `root` in every combination.
fn combine<'l>(
    raw: &Raw,
    root: Node,
    layers: &'l [Layer],
    chosen: &mut Vec<&'l str>,
    wrong: &mut Vec<Wrong>,
    seen: &mut Seen<'l>,
) -> Result<(), UsageError> {
    if let Some(layer) = layers.get(chosen.len()) {
        for selector in layer.selectors() {
            let mut root = root.clone();
            match layer
                .block(selector, raw.deadline)
                .and_then(|block| layers::merge(&mut root, block, raw.deadline))
            {
                Ok(()) => {
                    chosen.push(selector);
                    combine(raw, root, layers, chosen, wrong, seen)?;
                    chosen.pop();
                }
                Err(error) => wrong.push(error),
            }
        }
        return Ok(());
    }
    seen.count += 1;
    raw.deadline.go_on().map_err(late)?;
    // Only variables are for other machines to tell.
    let nothing = |_: &str| false;
    let (configured, mut found) = section(raw, &root, Some(&nothing));
    if !found.is_empty() {
        for (layer, selector) in layers.iter().zip(chosen.iter()) {
            found = in_block(found, layer.file, selector);
        }
        let of_refs = |wrong: &Wrong| {
            KINDS
                .iter()
                .any(|kind| wrong.text.contains(&format!("{SECTION}.{kind}.")))
        };
        wrong.extend(found.into_iter().filter(of_refs));
        return Ok(());
    }
    for it in configured.refs.out_of_reach() {
        let section = format!("{}.{}", KINDS[0], it.name);
        let mut entries = configured.entries.iter();
        let source = entries.find(|entry| entry.name == section);
        let place = source.and_then(|entry| place_of(raw, entry, "store"));
        let place = place.unwrap_or(root.place);
        let known = seen.lacking.iter_mut().find(|(known, at, _)| {
            (&known.name, &known.store, *at) == (&it.name, &it.store, place)
        });
        match known {
            Some((_, _, combinations)) => combinations.push(chosen.clone()),
            None => seen.lacking.push((it.clone(), place, vec![chosen.clone()])),
        }
    }
    Ok(())
}

/// Where the value of a key stands.
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

/// Whether our section has, or may have, such a key.
fn is_ours(name: &str) -> bool {
    TOP.contains(&name) || KINDS.contains(&name) || backend::entry(name).is_some()
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
    /// Where values stand that have an environment variable in them: no message quotes them.
    from_variables: Vec<Place>,
}

impl<'c> Checker<'c> {
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
        self.wrong.push(Wrong { place, text });
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
        let written = match &at.node.data {
            Data::Scalar(scalar) => scalar.text(),
            _ => "",
        };
        let Trouble { text, cause } = match self.tree.follow(at) {
            Ok(found) => return Some(found),
            Err(trouble) => trouble,
        };
        // Its words may have what the variable has.
        let text = match self.tree.is_from_environment() {
            true => format!(
                "{} cannot be resolved: a variable in it does not lead to a value",
                quoted(written)
            ),
            false => text,
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
            Found::Text(_) => "a string",
            Found::Null => return None,
        };
        self.mistake(place, key, format!("expected a mapping, found {kind}"));
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
                format!("settings of mxm-secrets belong under {SECTION}")
            };
            self.mistake(
                key.place,
                &key.text,
                format!("unknown top-level key: {advice}"),
            );
        }
        Configured::default()
    }

    fn section(&mut self, at: Location<'c>) -> Configured {
        let mut configured = Configured::default();
        let Some(here) = self.mapping(at, &TOP_WAY) else {
            return configured;
        };
        let (mut chain, mut refs, mut only) = (None, Vec::new(), false);
        for (key, node) in entries(here.node) {
            let name = key.text.as_str();
            let path = TOP_WAY.to(name);
            let at = here.child(node);
            match name {
                "refs_only" => {
                    let given = self.value(at, &path, Kind::Bool);
                    only = matches!(given, Some((Value::Bool(true), _)));
                }
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
                _ if KINDS.contains(&name) => {
                    let kind = KINDS.iter().position(|kind| *kind == name);
                    refs.extend(self.entries_of(kind.unwrap_or(0), at, &path));
                }
                _ => match backend::entry(name) {
                    // We do not know the keys of a backend that is not built in.
                    Some(entry) if entry.open.is_none() => {}
                    Some(entry) => {
                        let values = self.backend(at, &path, &[entry.keys]);
                        configured.sections.push(Section {
                            name: name.to_owned(),
                            values,
                        });
                    }
                    None => configured.sections.extend(self.own_backend(at, key, &path)),
                },
            }
        }
        let own = super::own_names(&configured.sections);
        (configured.refs, configured.entries) = self.refs(refs, &own, only);
        if let Some((Value::Texts(names), source)) = chain {
            let has = |name: &str| {
                let path = format!("{SECTION}.{name}.command");
                self.elsewhere.is_some_and(|has| has(&path))
            };
            let elsewhere = names.iter().map(String::as_str);
            let elsewhere = elsewhere.filter(|name| has(name) && !own.contains(name));
            let own: Vec<&str> = own.iter().copied().chain(elsewhere).collect();
            let names = match names.as_slice() {
                [] => Err("must name at least one backend".to_owned()),
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
