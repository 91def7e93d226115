//! Interpolations as OmegaConf resolves them: `${a.b}`, `${.sibling}`, `${a[0]}`, `${oc.env:VARIABLE,default}`, nested
//! and inside texts. Only what is asked for is resolved; loops, depth and length are bounded.
//!
//! Reading them and following them is one: where one leads decides how the next is read.

mod reader;
mod resolver;

use std::borrow::Cow;
use std::cell::Cell;
use std::ptr;

use reader::Reader;

use super::yaml::{Meaning, Node, Style};
use crate::deadline::Deadline;
use crate::nearest::{did_you_mean, nearest};

/// How deep interpolations may be nested, or lead from one to the next.
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

/// What a node comes to: itself or another node of the tree, or a scalar that was put together. It has no interpolation
/// of its own.
pub type Found<'t> = Cow<'t, Node>;

/// The nodes that have led to the one under work.
type Trail<'t> = Vec<&'t Node>;

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

    pub fn root(&self) -> &'t Node {
        self.root
    }

    /// Resolves a node of the tree, not what is in it.
    pub fn follow(&self, node: &'t Node) -> Result<Found<'t>, Trouble> {
        self.depth.set(0);
        self.variable.set(false);
        self.follow_on(node, &mut Vec::new())
    }

    /// Whether what [`Tree::follow`] has found last has an environment variable in it.
    pub fn is_from_environment(&self) -> bool {
        self.variable.get()
    }

    /// The same; `trail` is what leads here.
    fn follow_on(&self, node: &'t Node, trail: &mut Trail<'t>) -> Result<Found<'t>, Trouble> {
        let Some(scalar) = node.scalar().filter(|scalar| scalar.is_interpolated()) else {
            return Ok(Cow::Borrowed(node));
        };
        if trail.iter().any(|before| ptr::eq(*before, node)) {
            return Err(mistake("the interpolation refers to itself"));
        }
        trail.push(node);
        let mut reader = Reader {
            rest: scalar.text(),
        };
        let found = self.whole(&mut reader, node, trail);
        trail.pop();
        found
    }

    /// All of a scalar: one interpolation gives what it leads to, whatever that is; anything else gives a text.
    fn whole(
        &self,
        reader: &mut Reader,
        at: &'t Node,
        trail: &mut Trail<'t>,
    ) -> Result<Found<'t>, Trouble> {
        let mut text = String::new();
        if reader.rest.starts_with("${") {
            let found = self.interpolation(reader, at, trail)?;
            if reader.rest.is_empty() {
                return Ok(found);
            }
            append(&mut text, &found)?;
        }
        self.mixed(&mut text, reader, None, at, trail)?;
        Ok(Cow::Owned(Node::made(text, Style::Text, at.place)))
    }

    /// Puts to `text` what comes, interpolations resolved, up to the end or to the closing `quote`.
    fn mixed(
        &self,
        text: &mut String,
        reader: &mut Reader,
        quote: Option<char>,
        at: &'t Node,
        trail: &mut Trail<'t>,
    ) -> Result<(), Trouble> {
        loop {
            let backslashes = reader.run('\\');
            if backslashes > 0 {
                // Halved before an interpolation and before the quote: an odd one takes their meaning away.
                let special = match quote {
                    _ if reader.rest.starts_with("${") => "${",
                    Some('"') if reader.rest.starts_with('"') => "\"",
                    Some('\'') if reader.rest.starts_with('\'') => "'",
                    _ => "",
                };
                let halves = if special.is_empty() { 1 } else { 2 };
                text.extend(std::iter::repeat_n('\\', backslashes / halves));
                if backslashes % 2 == 1 {
                    text.push_str(special);
                    reader.skip(special.len());
                }
            } else if reader.rest.starts_with("${") {
                append(text, self.interpolation(reader, at, trail)?.as_ref())?;
            } else {
                match reader.next() {
                    None if quote.is_some() => {
                        return Err(mistake("unclosed interpolation: a quote is missing"));
                    }
                    c if c == quote => return Ok(()),
                    c => text.extend(c),
                }
            }
            check_length(text)?;
        }
    }

    /// One interpolation, from its `${` to its `}`.
    fn interpolation(
        &self,
        reader: &mut Reader,
        at: &'t Node,
        trail: &mut Trail<'t>,
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
                match text_of(self.interpolation(reader, at, trail)?.as_ref()) {
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
    fn select(&self, key: &str, at: &'t Node, trail: &mut Trail<'t>) -> Result<Found<'t>, Trouble> {
        let path = key.trim_start_matches('.');
        let up = key.len() - path.len();
        let parts = split_key(path).ok_or_else(|| {
            mistake(format!(
                "${{{key}}} is not an interpolation: expected the names of keys, separated by dots"
            ))
        })?;
        let mut here = self.root;
        if up > 0 {
            let mut above = Vec::new();
            find(self.root, at, &mut above);
            let outer = above.len().checked_sub(up);
            here = outer
                .and_then(|outer| above.get(outer).copied())
                .ok_or_else(|| mistake(format!("${{{key}}} points outside the file")))?;
        }
        let last = parts.len() - 1;
        for (index, part) in parts.iter().enumerate() {
            let child = here.child(part).ok_or_else(|| no_key(key, part, here))?;
            match self.follow_on(child, trail)? {
                Cow::Borrowed(node) => here = node,
                found if index == last => return Ok(found),
                _ => return Err(no_key(key, part, here)),
            }
        }
        if here.is_container() && find(here, at, &mut Vec::new()) {
            return Err(mistake(format!(
                "${{{key}}} refers to a value that contains it"
            )));
        }
        match here.scalar() {
            Some(scalar) if scalar.is_missing() => Err(mistake(format!(
                "${{{key}}} is ???, a value that must still be set"
            ))),
            _ => Ok(Cow::Borrowed(here)),
        }
    }
}

/// Whether `node` is in `tree`; `above` are the lists and mappings that it is in, the outermost first.
fn find<'t>(tree: &'t Node, node: &Node, above: &mut Vec<&'t Node>) -> bool {
    above.push(tree);
    let inside = |child: &'t Node, above: &mut Vec<&'t Node>| {
        ptr::eq(child, node) || child.is_container() && find(child, node, above)
    };
    if tree.children().any(|child| inside(child, above)) {
        return true;
    }
    above.pop();
    false
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
    let keys = container.entries().iter().take(CANDIDATES);
    let near = nearest(part, keys.map(|(key, _)| key.text.as_str()));
    let advice = near.map_or(String::new(), |near| format!(": {}", did_you_mean(near)));
    Trouble {
        text: format!("${{{key}}} not found: there is no key {part}{advice}"),
        cause: Cause::NoKey(key.to_owned()),
    }
}

/// The text that it is, if it is one.
fn text_of(found: &Node) -> Option<&str> {
    let scalar = found.scalar()?;
    (scalar.meaning() == Ok(Meaning::Text)).then(|| scalar.text())
}

/// Appends it as Python's `str` writes it.
fn append(text: &mut String, found: &Node) -> Result<(), Trouble> {
    let Some(scalar) = found.scalar() else {
        let kind = found.kind();
        return Err(mistake(format!("cannot insert {kind} into a string")));
    };
    text.push_str(&scalar.python().map_err(mistake)?);
    check_length(text)
}

fn check_length(text: &str) -> Result<(), Trouble> {
    match text.len() > LENGTH {
        true => Err(mistake("the interpolated string is longer than 64 KiB")),
        false => Ok(()),
    }
}
