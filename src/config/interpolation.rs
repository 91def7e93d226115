//! Interpolations as OmegaConf resolves them: `${a.b}`, `${.sibling}`, `${a[0]}`, `${oc.env:VARIABLE,default}`, nested
//! and inside texts. Only what is asked for is resolved; loops, depth and length are bounded.
//!
//! Reading them and following them is one: where one leads decides how the next is read.

mod reader;
mod resolver;

use std::cell::Cell;

use reader::Reader;

use super::yaml::{Data, Meaning, Node, python_float};
use crate::deadline::Deadline;
use crate::nearest::{did_you_mean, nearest};

/// How deep interpolations may lead to, or stand in, each other.
const DEPTH: usize = 100;

/// How many may be resolved for one configuration.
const STEPS: usize = 10_000;

/// How many keys are looked through for what may have been meant.
const CANDIDATES: usize = 100;

/// The longest text that they may make, in bytes.
const LENGTH: usize = 64 << 10;

/// A tree in which interpolations lead from one place to another.
pub struct Tree<'t> {
    root: &'t Node,
    steps: Cell<usize>,
    depth: Cell<usize>,
    /// Whether an environment variable is in what was followed last.
    variable: Cell<bool>,
    deadline: Deadline,
}

/// A node, and the lists and mappings it stands in, the outermost first.
#[derive(Clone)]
pub struct Location<'t> {
    pub node: &'t Node,
    above: Vec<&'t Node>,
}

/// What a node comes to.
pub enum Found<'t> {
    /// A node without interpolations of its own: the same one, or where it leads to.
    At(Location<'t>),
    /// A text that was put together.
    Text(String),
    /// Nothing: the default `null` of a variable.
    Null,
}

/// Why a node comes to nothing.
#[derive(Debug)]
pub struct Trouble {
    pub text: String,
    pub cause: Cause,
}

/// What may be otherwise on another machine, and what may not.
#[derive(Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no such key.
    NoKey(String),
    /// The variable is not set.
    NotSet,
    /// It is wrong in itself.
    Mistake,
}

fn mistake(text: impl Into<String>) -> Trouble {
    Trouble {
        text: text.into(),
        cause: Cause::Mistake,
    }
}

impl<'t> Location<'t> {
    /// The location of `node`, which stands right in this one.
    pub fn child(&self, node: &'t Node) -> Location<'t> {
        let mut above = Vec::with_capacity(self.above.len() + 1);
        above.extend_from_slice(&self.above);
        above.push(self.node);
        Location { node, above }
    }

    /// The node below that these places in mappings lead to.
    pub fn descend(mut self, way: &[usize]) -> Option<Location<'t>> {
        for &at in way {
            let Data::Map(entries) = &self.node.data else {
                return None;
            };
            let (_, node) = entries.get(at)?;
            self.above.push(self.node);
            self.node = node;
        }
        Some(self)
    }
}

impl<'t> Tree<'t> {
    pub fn new(root: &'t Node, deadline: Deadline) -> Tree<'t> {
        Tree {
            root,
            steps: Cell::new(0),
            depth: Cell::new(0),
            variable: Cell::new(false),
            deadline,
        }
    }

    pub fn root(&self) -> Location<'t> {
        Location {
            node: self.root,
            above: Vec::new(),
        }
    }

    /// Resolves the node at `at`, not what stands in it.
    pub fn follow(&self, at: Location<'t>) -> Result<Found<'t>, Trouble> {
        self.depth.set(0);
        self.variable.set(false);
        self.follow_on(at, &mut Vec::new())
    }

    /// Whether what [`Tree::follow`] has found last has an environment variable in it.
    pub fn is_from_environment(&self) -> bool {
        self.variable.get()
    }

    /// The same; `trail` is what leads here.
    fn follow_on(
        &self,
        at: Location<'t>,
        trail: &mut Vec<*const Node>,
    ) -> Result<Found<'t>, Trouble> {
        let text = match &at.node.data {
            Data::Scalar(scalar) if scalar.is_interpolated() => scalar.text(),
            _ => return Ok(Found::At(at)),
        };
        if trail.contains(&std::ptr::from_ref(at.node)) {
            return Err(mistake("the interpolation refers to itself"));
        }
        trail.push(at.node);
        let mut reader = Reader { rest: text };
        let found = self.mixed(&mut reader, None, &at, trail);
        trail.pop();
        found
    }

    /// Text with interpolations in it, up to its end or to the closing `quote`.
    fn mixed(
        &self,
        reader: &mut Reader,
        quote: Option<char>,
        at: &Location<'t>,
        trail: &mut Vec<*const Node>,
    ) -> Result<Found<'t>, Trouble> {
        let mut text = String::new();
        let mut only = None;
        let mut parts = 0;
        loop {
            let backslashes = reader.run('\\');
            if backslashes > 0 {
                if let Some(first) = only.take() {
                    append(&mut text, &first)?;
                }
                // Halved before an interpolation and before the quote: an odd one takes their meaning away.
                let special = if reader.rest.starts_with("${") {
                    Some("${")
                } else {
                    quote
                        .filter(|quote| reader.rest.starts_with(*quote))
                        .map(|quote| if quote == '"' { "\"" } else { "'" })
                };
                let count = if special.is_some() {
                    backslashes / 2
                } else {
                    backslashes
                };
                text.extend(std::iter::repeat_n('\\', count));
                parts += 1;
                if let Some(special) = special.filter(|_| backslashes % 2 == 1) {
                    text.push_str(special);
                    reader.skip(special.len());
                }
                continue;
            }
            if reader.rest.starts_with("${") {
                let found = self.interpolation(reader, at, trail)?;
                parts += 1;
                if parts == 1 {
                    only = Some(found);
                    continue;
                }
                if let Some(first) = only.take() {
                    append(&mut text, &first)?;
                }
                append(&mut text, &found)?;
                continue;
            }
            match reader.next() {
                None if quote.is_some() => {
                    return Err(mistake("unclosed interpolation: a quote is missing"));
                }
                None => break,
                c if c == quote => break,
                Some(c) => {
                    parts += 1;
                    if let Some(first) = only.take() {
                        append(&mut text, &first)?;
                    }
                    text.push(c);
                }
            }
            if text.len() > LENGTH {
                return Err(mistake("the interpolated string is longer than 64 KiB"));
            }
        }
        match only {
            Some(found) if quote.is_none() => Ok(found),
            Some(found) => {
                append(&mut text, &found)?;
                Ok(Found::Text(text))
            }
            None => Ok(Found::Text(text)),
        }
    }

    /// One interpolation, from its `${` to its `}`.
    fn interpolation(
        &self,
        reader: &mut Reader,
        at: &Location<'t>,
        trail: &mut Vec<*const Node>,
    ) -> Result<Found<'t>, Trouble> {
        if let Err(ended) = self.deadline.go_on() {
            let late = ended.before_it_was("read");
            return Err(mistake(format!("the configuration {late}")));
        }
        self.steps.set(self.steps.get() + 1);
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > DEPTH {
            return Err(mistake(format!(
                "interpolations are nested more than {DEPTH} levels deep"
            )));
        }
        if self.steps.get() > STEPS {
            return Err(mistake(format!(
                "more than {STEPS} interpolations to resolve"
            )));
        }
        reader.skip(2);
        reader.blanks();
        let mut key = String::new();
        let found = loop {
            if reader.rest.starts_with("${") {
                match text_of(&self.interpolation(reader, at, trail)?) {
                    Some(part) => key.push_str(part),
                    None => {
                        return Err(mistake(
                            "an interpolation inside another one must give a string",
                        ));
                    }
                }
                continue;
            }
            let blanks = reader.blanks();
            match reader.next() {
                Some('}') => break self.select(&key, at, trail)?,
                Some(':') => break self.resolver(&key, reader, at, trail)?,
                Some(c) if blanks || matches!(c, '\\' | '{' | '(' | ')' | '\'' | '"') => {
                    return Err(mistake(format!(
                        "{c:?} is not allowed in the key of an interpolation"
                    )));
                }
                Some(c) => key.push(c),
                None => return Err(mistake("unclosed interpolation: } is missing")),
            }
        };
        self.depth.set(self.depth.get() - 1);
        Ok(found)
    }

    /// The node that `key` leads to: from the root, or with dots before it, from the mapping around `at`.
    fn select(
        &self,
        key: &str,
        at: &Location<'t>,
        trail: &mut Vec<*const Node>,
    ) -> Result<Found<'t>, Trouble> {
        let path = key.trim_start_matches('.');
        let up = key.len() - path.len();
        let parts = split_key(path).ok_or_else(|| {
            mistake(format!(
                "${{{key}}} is not an interpolation: expected the names of keys, separated by dots"
            ))
        })?;
        let mut here = if up == 0 {
            self.root()
        } else {
            let outer = at.above.len().checked_sub(up);
            match outer.and_then(|outer| Some((outer, at.above.get(outer)?))) {
                Some((outer, node)) => Location {
                    node,
                    above: at.above[..outer].to_vec(),
                },
                None => return Err(mistake(format!("${{{key}}} points outside the file"))),
            }
        };
        let last = parts.len() - 1;
        for (index, part) in parts.iter().enumerate() {
            let child = match &here.node.data {
                Data::Map(_) => here.node.get(part),
                Data::List(items) => part.parse::<usize>().ok().and_then(|n| items.get(n)),
                Data::Scalar(_) => None,
            };
            let Some(child) = child else {
                return Err(no_key(key, part, here.node));
            };
            match self.follow_on(here.child(child), trail)? {
                Found::At(location) => here = location,
                found if index == last => return Ok(found),
                _ => return Err(no_key(key, part, here.node)),
            }
        }
        if at.above.iter().any(|node| std::ptr::eq(*node, here.node)) {
            return Err(mistake(format!(
                "${{{key}}} refers to a value that contains it"
            )));
        }
        match &here.node.data {
            Data::Scalar(scalar) if scalar.is_missing() => Err(mistake(format!(
                "${{{key}}} is ???, a value that must still be set"
            ))),
            _ => Ok(Found::At(here)),
        }
    }
}

/// Splits `a.b[c]` into its names; `None` when it is not of that form.
pub fn split_key(key: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = key;
    let mut first = true;
    while first || !rest.is_empty() {
        let part;
        if let Some(inner) = rest.strip_prefix('[') {
            (part, rest) = inner.split_once(']')?;
        } else {
            if !first {
                rest = rest.strip_prefix('.')?;
            }
            (part, rest) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        }
        if part.is_empty() || part.contains(['[', ']']) {
            return None;
        }
        parts.push(part.to_owned());
        first = false;
    }
    Some(parts)
}

fn no_key(key: &str, part: &str, container: &Node) -> Trouble {
    let advice = match &container.data {
        Data::Map(entries) => nearest(
            part,
            entries
                .iter()
                .take(CANDIDATES)
                .map(|(key, _)| key.text.as_str()),
        )
        .map_or(String::new(), |near| format!(": {}", did_you_mean(near))),
        _ => String::new(),
    };
    Trouble {
        text: format!("${{{key}}} not found: there is no key {part}{advice}"),
        cause: Cause::NoKey(key.to_owned()),
    }
}

/// The text that it is, if it is one.
fn text_of<'f>(found: &'f Found) -> Option<&'f str> {
    match found {
        Found::Text(text) => Some(text),
        Found::Null => None,
        Found::At(location) => match &location.node.data {
            Data::Scalar(scalar) => match scalar.meaning() {
                Ok(Meaning::Text(text)) => Some(text),
                _ => None,
            },
            _ => None,
        },
    }
}

/// Appends it as Python's `str` writes it.
fn append(text: &mut String, found: &Found) -> Result<(), Trouble> {
    match found {
        Found::Text(part) => text.push_str(part),
        Found::Null => text.push_str("None"),
        Found::At(location) => match &location.node.data {
            Data::Scalar(scalar) => {
                text.push_str(&python_str(&scalar.meaning().map_err(mistake)?));
            }
            _ => {
                return Err(mistake(format!(
                    "cannot insert {} into a string",
                    location.node.kind()
                )));
            }
        },
    }
    if text.len() > LENGTH {
        return Err(mistake("the interpolated string is longer than 64 KiB"));
    }
    Ok(())
}

/// As Python's `str` writes it.
fn python_str(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Null => "None".to_owned(),
        Meaning::Bool(true) => "True".to_owned(),
        Meaning::Bool(false) => "False".to_owned(),
        Meaning::Int(number) => number.to_string(),
        Meaning::Float(number) => python_float(*number),
        Meaning::Text(text) => (*text).to_owned(),
    }
}
