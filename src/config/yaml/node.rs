//! The nodes of a tree, and what may be wrong with one.

use super::scalar::Scalar;

/// Where something stands.
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
    /// A mapping, in the file's order; no key stands in it twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping. Keys that are no texts (`1`, `yes`) are kept apart from texts that look alike.
#[derive(Clone, Debug)]
pub struct Key {
    /// As it is written.
    pub text: String,
    /// Whether it is a text.
    pub is_text: bool,
    /// Where it stands.
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
    /// The value of the key `name`, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.data {
            Data::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.is_text && key.text == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// Whether it is nothing: `null`, `~`, or no text at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(scalar) if scalar.is_null())
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
#[derive(Debug, PartialEq, Eq)]
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
