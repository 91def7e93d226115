//! The nodes of a tree, and what may be wrong with one.

use super::scalar::{Scalar, Style};

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, by its number among those read.
    pub file: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub data: Data,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Data {
    /// A text, a number, a boolean, nothing.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order, each key once.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping. Keys that are no texts (`1`, `yes`) are kept apart from texts that look alike.
#[derive(Clone, Debug)]
pub struct Key {
    /// As it is written.
    pub text: String,
    /// Whether it is a text.
    pub is_text: bool,
    /// Where it is.
    pub place: Place,
}

impl Key {
    /// What tells it apart from the other keys of a mapping.
    pub fn identity(&self) -> (&str, bool) {
        (&self.text, self.is_text)
    }
}

impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.identity() == other.identity()
    }
}

impl Node {
    /// A scalar that was made here.
    pub fn made(text: impl Into<String>, style: Style, place: Place) -> Node {
        Node {
            place,
            data: Data::Scalar(Scalar::new(text.into(), style)),
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether it is a list or a mapping, which nodes are in.
    pub fn is_container(&self) -> bool {
        !matches!(self.data, Data::Scalar(_))
    }

    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The nodes right inside.
    pub fn children(&self) -> impl Iterator<Item = &Node> {
        let items = match &self.data {
            Data::List(items) => items.as_slice(),
            _ => &[],
        };
        let values = self.entries().iter().map(|(_, node)| node);
        items.iter().chain(values)
    }

    /// The value of the key `name`, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let mut entries = self.entries().iter();
        let entry = entries.find(|(key, _)| key.is_text && key.text == name);
        entry.map(|(_, value)| value)
    }

    /// The same, or the item of a list with the number `name`.
    pub fn child(&self, name: &str) -> Option<&Node> {
        match &self.data {
            Data::List(items) => items.get(name.parse::<usize>().ok()?),
            _ => self.get(name),
        }
    }

    /// Whether it is nothing: `null`, `~`, or no text at all.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Scalar(scalar) => scalar.kind(),
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// How many nodes it consists of; a long text counts as several.
    pub fn size(&self) -> usize {
        let long = |text: &str| text.len() / 32;
        1 + match &self.data {
            Data::Scalar(scalar) => long(scalar.text()),
            Data::List(items) => items.iter().map(Node::size).sum(),
            Data::Map(entries) => {
                let sizes = entries
                    .iter()
                    .map(|(key, node)| long(&key.text) + node.size());
                sizes.sum()
            }
        }
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrong {
    pub place: Place,
    pub text: String,
}

/// What is wrong at `place`.
pub fn wrong(place: Place, text: impl Into<String>) -> Wrong {
    Wrong {
        place,
        text: text.into(),
    }
}
