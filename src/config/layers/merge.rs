//! One tree put over another.

use std::collections::HashMap;

use crate::config::check::SECTION;
use crate::config::interpolation::Tree;
use crate::config::yaml::{Data, Key, NODES, Node, Wrong, wrong};
use crate::deadline::Deadline;

/// How many pairs of keys are compared one by one, rather than looked up.
const PAIRS: usize = 1000;

/// Puts `over` over `root` as OmegaConf does it: mappings are merged, everything else is replaced, and a mapping that
/// an interpolation of `root` leads to is copied to where something is put over it.
///
/// # Errors
/// A list over a mapping, and a mapping over a list, in our own section; copies without measure.
pub fn merge(root: &mut Node, over: Node, deadline: Deadline) -> Result<(), Wrong> {
    let mut merge = Merge {
        root,
        keys: Vec::new(),
        way: Vec::new(),
        copied: 0,
        deadline,
    };
    merge.put(over)
}

struct Merge<'r> {
    root: &'r mut Node,
    /// The keys that lead to the mapping under work, and their places in the mappings that they are in.
    keys: Vec<Key>,
    way: Vec<usize>,
    /// How much has been copied.
    copied: usize,
    deadline: Deadline,
}

impl Merge<'_> {
    fn put(&mut self, over: Node) -> Result<(), Wrong> {
        let Data::Map(entries) = over.data else {
            return Ok(());
        };
        let Some(here) = self.here() else {
            return Ok(());
        };
        let places = places(&entries, here.entries());
        for ((key, node), at) in entries.into_iter().zip(places) {
            let Some(at) = at else {
                if let Some(Data::Map(there)) = self.here().map(|node| &mut node.data) {
                    there.push((key, node));
                }
                continue;
            };
            self.keys.push(key);
            self.way.push(at);
            self.put_here(node)?;
            self.way.pop();
            self.keys.pop();
        }
        Ok(())
    }

    /// Puts `node` over the one that is here.
    fn put_here(&mut self, node: Node) -> Result<(), Wrong> {
        let ours = self.keys.first().is_some_and(|key| key.text == SECTION);
        // A scalar takes the place of whatever is there, wherever that leads.
        if matches!(node.data, Data::Map(_)) || ours && matches!(node.data, Data::List(_)) {
            self.expand(&node)?;
        }
        let Some(there) = self.here() else {
            return Ok(());
        };
        match (&there.data, &node.data) {
            (_, Data::Scalar(scalar)) if scalar.is_missing() => {}
            (Data::Map(_), Data::Map(_)) => self.put(node)?,
            (Data::Map(_), Data::List(_)) | (Data::List(_), Data::Map(_)) if ours => {
                let (over, under) = (node.kind(), there.kind());
                let names: Vec<&str> = self.keys.iter().map(|key| key.text.as_str()).collect();
                let names = names.join(".");
                let text = format!("{names}: {over} must not replace {under}");
                return Err(wrong(node.place, text));
            }
            _ => *there = node,
        }
        Ok(())
    }

    /// The node that is under work.
    fn here(&mut self) -> Option<&mut Node> {
        let mut node = &mut *self.root;
        for &at in &self.way {
            let Data::Map(entries) = &mut node.data else {
                return None;
            };
            node = entries.get_mut(at).map(|(_, node)| node)?;
        }
        Some(node)
    }

    /// Replaces the node here by a copy of the list or mapping that its interpolation leads to, if it does.
    fn expand(&mut self, over: &Node) -> Result<(), Wrong> {
        let tree = Tree::new(self.root, self.deadline);
        let mut way = self.way.iter();
        let here = way.try_fold(tree.root(), |node, &at| {
            node.entries().get(at).map(|(_, node)| node)
        });
        let interpolated = |node: &&Node| node.scalar().is_some_and(|it| it.is_interpolated());
        let Some(here) = here.filter(interpolated) else {
            return Ok(());
        };
        if self.keys.iter().any(|key| !key.is_text) {
            return Ok(());
        }
        let copy = match tree.follow(here) {
            Ok(found) if found.is_container() => {
                self.copied += found.size();
                if self.copied > NODES {
                    let text =
                        format!("the layers copy more than {NODES} values through interpolations");
                    return Err(wrong(over.place, text));
                }
                found.into_owned()
            }
            Err(trouble) if self.deadline.go_on().is_err() => {
                return Err(wrong(over.place, trouble.text));
            }
            _ => return Ok(()),
        };
        if let Some(node) = self.here() {
            *node = copy;
        }
        Ok(())
    }
}

/// Where `there` has the keys of `entries`.
fn places(entries: &[(Key, Node)], there: &[(Key, Node)]) -> Vec<Option<usize>> {
    let keys = entries.iter().map(|(key, _)| key);
    if entries.len().saturating_mul(there.len()) <= PAIRS {
        return keys
            .map(|key| there.iter().position(|(known, _)| known == key))
            .collect();
    }
    let known = there.iter().map(|(key, _)| key);
    let known: HashMap<&Key, usize> = known.zip(0..).collect();
    keys.map(|key| known.get(key).copied()).collect()
}
