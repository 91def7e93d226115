//! One tree put over another.

use crate::config::check::SECTION;
use crate::config::interpolation::{Found, Tree};
use crate::config::yaml::{Data, Key, Node, Wrong};

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
        let ours = path.first().is_some_and(|key| key.text == SECTION);
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
