//! Where the configuration is, and the layers of the MXM configuration store, put together as mxm-config does it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::interpolation::{Found, Tree, split_key};
use super::yaml::{self, Data, Key, Node, Place, Wrong};
use super::{UsageError, home, variable};
use crate::Options;
use crate::nearest::nearest;
use crate::sys;

/// The largest file, in bytes.
const LIMIT: u64 = 1 << 20;

/// Our name in the store when MXM_APP does not say otherwise.
const APP: &str = "mxm-secrets";

/// The configuration as it was found: nothing in it is resolved yet.
#[derive(Default)]
pub struct Raw {
    /// The files that have been read; [`Place::file`] is a number among them.
    pub files: Vec<Arc<Path>>,
    /// The file, or the store's `default.yaml`; `None`: there is no configuration.
    pub base: Option<Node>,
    /// Whether it is the store, where other programs may have sections of their own.
    pub is_store: bool,
    /// The store's further files, in the order of their effect.
    pub layers: Vec<Layer>,
}

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

/// Finds the configuration and reads it, all of its files.
///
/// # Errors
/// Files that cannot be read, and files that are not YAML.
pub fn read(options: &Options) -> Result<Raw, UsageError> {
    let mut raw = Raw::default();
    let mut wrong = Vec::new();
    let given = match &options.config_file {
        Some(path) => Some((path.clone(), "--config")),
        None => {
            variable("MXM_SECRETS_CONFIG")?.map(|path| (PathBuf::from(path), "MXM_SECRETS_CONFIG"))
        }
    };
    if let Some((path, source)) = given {
        // What the file names is relative to it, and must not depend on where we go.
        let path = std::path::absolute(&path).unwrap_or(path);
        match raw.take(&path, &mut wrong)? {
            Some(tree) => raw.base = Some(tree),
            None => {
                return Err(UsageError(format!(
                    "{source}: {} does not exist",
                    path.display()
                )));
            }
        }
    } else if let Some(root) = raw.store(&mut wrong)? {
        raw.is_store = true;
        for dimension in &DIMENSIONS {
            let path = root.join(dimension.name).with_extension("yaml");
            let file = raw.files.len();
            if let Some(tree) = raw.take(&path, &mut wrong)? {
                raw.layers.push(Layer {
                    dimension,
                    file,
                    tree,
                });
            }
        }
    } else if let Some(path) = user_file() {
        raw.base = raw.take(&path, &mut wrong)?;
    }
    if wrong.is_empty() {
        Ok(raw)
    } else {
        Err(raw.report(&wrong))
    }
}

/// The user's own file.
fn user_file() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(home()?.join(".config")))?;
    Some(base.join("mxm-secrets/config.yaml"))
}

/// Opens a file or directory; `None`: it does not exist.
fn open(path: &Path) -> Result<Option<File>, UsageError> {
    match sys::open_to_read(path) {
        Ok(file) => Ok(Some(file)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(UsageError(format!(
            "{} cannot be read: {error}",
            path.display()
        ))),
    }
}

impl Raw {
    /// Reads the default of the MXM configuration store, and gives our directory there; `None`: there is none.
    fn store(&mut self, wrong: &mut Vec<Wrong>) -> Result<Option<PathBuf>, UsageError> {
        let given = variable("MXM_CONFIG_STORE")?;
        let app = variable("MXM_APP")?;
        let store = match (&given, home()) {
            (Some(store), _) => std::path::absolute(store).unwrap_or_else(|_| store.into()),
            (None, Some(home)) => home.join("mxm-config-store"),
            (None, None) if app.is_none() => return Ok(None),
            (None, None) => {
                return Err(UsageError(
                "MXM_APP is set, and neither MXM_CONFIG_STORE nor HOME tells where its store is"
                    .to_owned(),
            ));
            }
        };
        let name = app.as_deref().unwrap_or(APP);
        if name.contains('/') || name == "." || name == ".." {
            return Err(UsageError(format!(
                "MXM_APP is {name:?}: it takes the name of a program"
            )));
        }
        let root = store.join("apps").join(name);
        let default = root.join("default.yaml");
        self.base = self.take(&default, wrong)?;
        if self.base.is_some() {
            return Ok(Some(root));
        }
        // Opened, not looked at: with the user's own file, this is all that a program without a configuration costs.
        if open(&root)?.is_some() {
            return Err(UsageError(format!(
                "{} does not exist: a configuration store has one for each program",
                default.display()
            )));
        }
        if app.is_some() {
            return Err(UsageError(format!(
                "MXM_APP: {} does not exist",
                root.display()
            )));
        }
        if given.is_some() && open(&store)?.is_none() {
            return Err(UsageError(format!(
                "MXM_CONFIG_STORE: {} does not exist",
                store.display()
            )));
        }
        Ok(None)
    }

    /// Reads one more file; `None`: it does not exist. What is wrong in it goes to `wrong`.
    fn take(&mut self, path: &Path, wrong: &mut Vec<Wrong>) -> Result<Option<Node>, UsageError> {
        let refuse = |why: &str| Err(UsageError(format!("{} {why}", path.display())));
        let Some(mut file) = open(path)? else {
            return Ok(None);
        };
        let unreadable =
            |error: io::Error| UsageError(format!("{} cannot be read: {error}", path.display()));
        let data = file.metadata().map_err(unreadable)?;
        if !data.is_file() {
            return refuse("is no regular file");
        }
        if data.mode() & 0o002 != 0 {
            return refuse(
                "may be written by others, and it names programs to start: take that away with chmod o-w",
            );
        }
        if data.len() > LIMIT {
            return refuse("is larger than 1 MiB");
        }
        // One byte more than there should be, so that one call reads all and says that it is all.
        let mut text = vec![0; usize::try_from(data.len()).unwrap_or(0) + 1];
        let mut filled = 0;
        while let Some(room) = text.get_mut(filled..).filter(|room| room.len() > 1) {
            match file.read(room) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        if filled == text.len() {
            return refuse("grows while it is read");
        }
        text.truncate(filled);
        let number = self.files.len();
        self.files.push(path.into());
        let tree = yaml::parse(&text, number).and_then(|tree| match tree.data {
            Data::Map(_) => Ok(tree),
            _ => Err(Wrong {
                place: tree.place,
                text: format!("a configuration is a mapping, and this is {}", tree.kind()),
            }),
        });
        Ok(Some(tree.unwrap_or_else(|error| {
            let place = error.place;
            wrong.push(error);
            Node {
                place,
                data: Data::Map(Vec::new()),
            }
        })))
    }

    /// `file:line:column`.
    pub fn place(&self, place: Place) -> String {
        let file = self
            .files
            .get(place.file)
            .map(|file| file.display().to_string());
        format!(
            "{}:{}:{}",
            file.unwrap_or_default(),
            place.line,
            place.column
        )
    }

    /// All that is wrong, one line each.
    pub fn report(&self, wrong: &[Wrong]) -> UsageError {
        let lines: Vec<String> = wrong
            .iter()
            .map(|wrong| format!("{}: {}", self.place(wrong.place), wrong.text))
            .collect();
        UsageError(lines.join("\n"))
    }

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
            merge(&mut root, block).map_err(|wrong| self.report(&[wrong]))?;
        }
        Ok(Some(root))
    }

    /// Whether every layer has a block for this machine and its environment, so that there is something in effect.
    ///
    /// # Errors
    /// A variable that selects what is not there.
    pub fn is_selected(&self) -> Result<bool, UsageError> {
        for layer in &self.layers {
            match variable(layer.dimension.variable)? {
                Some(_) => drop(self.selector(layer)?),
                None => match (layer.dimension.found)() {
                    Some(value) if layer.selectors().contains(&value.as_str()) => {}
                    _ => return Ok(false),
                },
            }
        }
        Ok(true)
    }

    /// The block of `layer` that is in effect here.
    fn selected(&self, layer: Layer) -> Result<Node, UsageError> {
        let value = self.selector(&layer)?;
        layer
            .into_block(&value)
            .map_err(|wrong| self.report(&[wrong]))
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
        let there_are = || match layer.selectors().as_slice() {
            [] => "there is none".to_owned(),
            all => format!("there are {}", all.join(", ")),
        };
        let given = variable(selector)?;
        let Some(value) = given.clone().or_else(found) else {
            return Err(UsageError(format!(
                "{} has a layer for each {name}, and {selector} is not set: {}",
                file(),
                there_are()
            )));
        };
        if layer.tree.get(&value).is_none() {
            let advice = nearest(&value, layer.selectors())
                .map_or_else(there_are, |near| format!("did you mean {near}?"));
            let how = match given {
                Some(_) => format!("{selector} is {value:?}"),
                None => format!("this {name} is {value:?} ({selector} says otherwise)"),
            };
            return Err(UsageError(format!(
                "{} has no layer for it: {how}: {advice}",
                file()
            )));
        }
        Ok(value)
    }
}

impl Layer {
    /// The values that select something here.
    pub fn selectors(&self) -> Vec<&str> {
        self.entries()
            .iter()
            .filter(|(key, _)| key.is_text)
            .map(|(key, _)| key.text.as_str())
            .collect()
    }

    /// The keys that can select nothing, since they are no texts, with their places.
    pub fn selectors_of_no_use(&self) -> impl Iterator<Item = (&str, Place)> {
        self.entries()
            .iter()
            .filter(|(key, _)| !key.is_text)
            .map(|(key, _)| (key.text.as_str(), key.place))
    }

    fn entries(&self) -> &[(Key, Node)] {
        match &self.tree.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The block that `value` selects.
    pub fn block(&self, value: &str) -> Result<Node, Wrong> {
        let tree = Tree::new(&self.tree);
        let wrong = |place, text| Wrong {
            place,
            text: format!("{value}: {text}"),
        };
        let Some(block) = self.tree.get(value) else {
            return Err(wrong(self.tree.place, "there is no such layer".to_owned()));
        };
        // The block of one value may be an interpolation that leads to another's.
        match tree.follow(tree.root().child(block)) {
            Ok(Found::At(location)) if matches!(location.node.data, Data::Map(_)) => {
                Ok(location.node.clone())
            }
            Ok(_) => Err(wrong(
                block.place,
                format!("a layer is a mapping, and this is {}", block.kind()),
            )),
            Err(trouble) => Err(wrong(block.place, trouble.text)),
        }
    }

    /// The same, where the layer is of no further use.
    fn into_block(mut self, value: &str) -> Result<Node, Wrong> {
        if let Data::Map(entries) = &mut self.tree.data
            && let Some(index) = entries
                .iter()
                .position(|(key, _)| key.is_text && key.text == value)
            && let Some((_, block)) = entries.get(index)
            && matches!(block.data, Data::Map(_))
        {
            return Ok(entries.swap_remove(index).1);
        }
        self.block(value)
    }

    /// Whether a block has something at `path` (`a.b[0]`).
    pub fn has(&self, path: &str) -> bool {
        let Some(parts) = split_key(path) else {
            return false;
        };
        self.selectors().into_iter().any(|selector| {
            let mut node = self.tree.get(selector);
            for part in &parts {
                node = match node {
                    Some(Node {
                        data: Data::List(items),
                        ..
                    }) => part
                        .parse::<usize>()
                        .ok()
                        .and_then(|index| items.get(index)),
                    node => node.and_then(|node| node.get(part)),
                };
            }
            node.is_some()
        })
    }
}

/// Puts `over` over `root` as OmegaConf does it: mappings are merged, everything else is replaced, and a mapping that
/// an interpolation of `root` leads to is copied to where something is put over it.
///
/// # Errors
/// A list over a mapping, and a mapping over a list, in our own section.
pub fn merge(root: &mut Node, over: Node) -> Result<(), Wrong> {
    merge_at(root, &mut Vec::new(), over)
}

fn merge_at(root: &mut Node, path: &mut Vec<Key>, over: Node) -> Result<(), Wrong> {
    let Data::Map(entries) = over.data else {
        return Ok(());
    };
    for (key, node) in entries {
        path.push(key);
        expand(root, path);
        let ours = path
            .first()
            .is_some_and(|key| key.text == super::check::SECTION);
        // The node that is there, or the mapping in which it is to be.
        match node_at(root, path) {
            Some(there) => match (&there.data, &node.data) {
                (_, Data::Scalar(scalar)) if scalar.is_missing() => {}
                (Data::Map(_), Data::Map(_)) => merge_at(root, path, node)?,
                (Data::Map(_), Data::List(_)) | (Data::List(_), Data::Map(_)) if ours => {
                    let names: Vec<&str> = path.iter().map(|key| key.text.as_str()).collect();
                    return Err(Wrong {
                        place: node.place,
                        text: format!(
                            "{}: {} cannot take the place of {}",
                            names.join("."),
                            node.kind(),
                            there.kind()
                        ),
                    });
                }
                _ => *there = node,
            },
            None => {
                if let Some((key, above)) = path.split_last()
                    && let Some(Node {
                        data: Data::Map(entries),
                        ..
                    }) = node_at(root, above)
                {
                    entries.push((key.clone(), node));
                }
            }
        }
        path.pop();
    }
    Ok(())
}

/// The node that the keys lead to.
fn node_at<'n>(root: &'n mut Node, path: &[Key]) -> Option<&'n mut Node> {
    let mut node = root;
    for key in path {
        match &mut node.data {
            Data::Map(entries) => {
                node = entries
                    .iter_mut()
                    .find(|(there, _)| there == key)
                    .map(|(_, value)| value)?;
            }
            _ => return None,
        }
    }
    Some(node)
}

/// Replaces the node at `path` by a copy of the list or mapping that its interpolation leads to, if it does.
fn expand(root: &mut Node, path: &[Key]) {
    let interpolated = node_at(root, path)
        .is_some_and(|node| matches!(&node.data, Data::Scalar(scalar) if scalar.is_interpolated()));
    if !interpolated || path.iter().any(|key| !key.is_text) {
        return;
    }
    let copy = {
        let tree = Tree::new(root);
        let names: Vec<&str> = path.iter().map(|key| key.text.as_str()).collect();
        let Some(location) = tree.root().descend(&names) else {
            return;
        };
        match tree.follow(location) {
            Ok(Found::At(location)) if !matches!(location.node.data, Data::Scalar(_)) => {
                location.node.clone()
            }
            _ => return,
        }
    };
    if let Some(node) = node_at(root, path) {
        *node = copy;
    }
}
