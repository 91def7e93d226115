//! The layers of the MXM configuration store: selected and put together as mxm-config does it.

mod merge;

pub use merge::merge;

use std::path::Path;

use super::files::Raw;
use super::interpolation::{Tree, split_key};
use super::variable;
use super::yaml::{Data, Node, Place, Wrong, wrong};
use crate::deadline::Deadline;
use crate::nearest::{did_you_mean, nearest};
use crate::schema::UsageError;
use crate::sys;
use crate::text::{list, quoted};

/// One of the store's files that have a block for each value of a selector.
pub struct Layer {
    pub dimension: &'static Dimension,
    /// The number of the file.
    pub file: usize,
    pub tree: Node,
}

/// What selects a block in one of the store's files.
pub struct Dimension {
    /// `environment`, `machine`, and so forth.
    pub name: &'static str,
    variable: &'static str,
    /// What the value is when the variable is not set.
    found: fn() -> Option<String>,
}

/// In the order of their effect: the later ones win.
pub const DIMENSIONS: [Dimension; 4] = [
    Dimension {
        name: "environment",
        variable: "MXM_ENVIRONMENT",
        found: || None,
    },
    Dimension {
        name: "machine",
        variable: "MXM_MACHINE",
        found: || {
            let host = sys::host_name().into_string().ok()?;
            let machine = host.split('.').next().unwrap_or_default().to_owned();
            Some(machine).filter(|machine| !machine.is_empty())
        },
    },
    Dimension {
        name: "substrate",
        variable: "MXM_SUBSTRATE",
        found: || {
            let container = Path::new("/.dockerenv").exists();
            Some(
                if container {
                    "docker-container"
                } else {
                    "local-process"
                }
                .to_owned(),
            )
        },
    },
    Dimension {
        name: "role",
        variable: "MXM_ROLE",
        found: || None,
    },
];

impl Raw {
    /// The tree with the layers that this machine and its environment select.
    ///
    /// # Errors
    /// A layer without its selector, and a selector that the layer does not have.
    pub fn merged(&mut self) -> Result<Option<Node>, UsageError> {
        let Some(mut root) = self.base.take() else {
            return Ok(None);
        };
        for layer in std::mem::take(&mut self.layers) {
            let block = self.selected(layer)?;
            merge(&mut root, block, self.deadline).map_err(|wrong| self.report(&[wrong]))?;
        }
        Ok(Some(root))
    }

    /// Why nothing is in effect here: a layer has no block for this machine, or the environment does not say which. `None`: it
    /// is.
    ///
    /// # Errors
    /// A variable that selects what is not there.
    pub fn unselected(&self) -> Result<Option<String>, UsageError> {
        for layer in &self.layers {
            let given = variable(layer.dimension.variable)?.is_some();
            match self.selector(layer) {
                Err(error) if given => return Err(error),
                Err(error) => return Ok(Some(error.to_string())),
                Ok(_) => {}
            }
        }
        Ok(None)
    }

    /// The block of `layer` that is in effect here.
    fn selected(&mut self, layer: Layer) -> Result<Node, UsageError> {
        let value = self.selector(&layer)?;
        self.blocks.push((layer.file, value.clone()));
        let block = layer.into_block(&value, self.deadline);
        block.map_err(|wrong| self.report(&[wrong]))
    }

    /// The value that selects something in `layer` here; it is there.
    fn selector(&self, layer: &Layer) -> Result<String, UsageError> {
        let Dimension {
            name,
            variable: selector,
            found,
        } = layer.dimension;
        let file = || match self.files.get(layer.file) {
            Some(file) => file.display().to_string(),
            None => String::new(),
        };
        let given = variable(selector)?;
        let Some(value) = given.clone().or_else(found) else {
            return Err(UsageError::new(format!(
                "{selector} is not set, but {} needs it{}",
                file(),
                it_has(&layer.selectors())
            )));
        };
        if layer.tree.get(&value).is_none() {
            let near = nearest(&value, layer.selectors());
            let (file, value) = (file(), quoted(&value));
            let advice = match near {
                Some(near) => format!(": {}", did_you_mean(near)),
                None => it_has(&layer.selectors()),
            };
            let text = match given {
                Some(_) => format!("{selector} is {value}, but {file} has no block for it{advice}"),
                None => format!(
                    "{file} has no block for this {name}, {value} (set {selector} to choose another){advice}"
                ),
            };
            return Err(UsageError::new(text));
        }
        Ok(value)
    }
}

/// What there is to choose from.
fn it_has(blocks: &[&str]) -> String {
    match blocks {
        [] => "; it has none".to_owned(),
        blocks => format!("; it has: {}", list(blocks)),
    }
}

impl Layer {
    /// The values that select something here.
    pub fn selectors(&self) -> Vec<&str> {
        let keys = self.tree.entries().iter().map(|(key, _)| key);
        keys.filter(|key| key.is_text)
            .map(|key| key.text.as_str())
            .collect()
    }

    /// The keys that can select nothing, since they are no texts, with their places.
    pub fn selectors_of_no_use(&self) -> impl Iterator<Item = (&str, Place)> {
        let keys = self.tree.entries().iter().map(|(key, _)| key);
        keys.filter(|key| !key.is_text)
            .map(|key| (key.text.as_str(), key.place))
    }

    /// Where the key of a block is.
    pub fn place(&self, selector: &str) -> Option<Place> {
        let mut keys = self.tree.entries().iter().map(|(key, _)| key);
        let key = keys.find(|key| key.is_text && key.text == selector);
        key.map(|key| key.place)
    }

    /// The block that `value` selects.
    pub fn block(&self, value: &str, deadline: Deadline) -> Result<Node, Wrong> {
        let tree = Tree::new(&self.tree, deadline);
        let Some(block) = self.tree.get(value) else {
            return Err(wrong(self.tree.place, "there is no such block"));
        };
        // The block of one value may be an interpolation that leads to another's.
        let text = match tree.follow(block) {
            Ok(found) if matches!(found.data, Data::Map(_)) => return Ok(found.into_owned()),
            Ok(_) => format!("a block must be a mapping, found {}", block.kind()),
            Err(trouble) => trouble.text,
        };
        Err(wrong(block.place, text))
    }

    /// The same, where the layer is of no further use.
    fn into_block(mut self, value: &str, deadline: Deadline) -> Result<Node, Wrong> {
        if let Data::Map(entries) = &mut self.tree.data
            && let Some(index) = entries
                .iter()
                .position(|(key, _)| key.is_text && key.text == value)
            && let Some((_, block)) = entries.get(index)
            && matches!(block.data, Data::Map(_))
        {
            return Ok(entries.swap_remove(index).1);
        }
        self.block(value, deadline)
    }

    /// Whether a block has something at `path` (`a.b[0]`).
    pub fn has(&self, path: &str) -> bool {
        let Some(parts) = split_key(path) else {
            return false;
        };
        self.selectors().into_iter().any(|selector| {
            let block = self.tree.get(selector);
            let mut parts = parts.iter();
            block.is_some_and(|block| {
                parts
                    .try_fold(block, |node, part| node.child(part))
                    .is_some()
            })
        })
    }
}
