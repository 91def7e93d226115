//! A YAML file as a tree of nodes that know where they are.
//!
//! It takes what PyYAML takes, since other programs read the same store with it, but for what nobody means to write:
//! keys given twice, several documents, a byte-order mark. Depth and the expansion of aliases are bounded.
//!
//! `node` is the tree, `scalar` says what the texts in it mean, `characters` which ones must not be in a file.

mod characters;
mod node;
mod scalar;

pub use node::{Data, Key, Node, Place, Wrong, wrong};
pub use scalar::{Meaning, Scalar, Style, boolean, python_float};

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use characters::{check_characters, check_tabs, end_of, indented_with_a_tab};

/// How deep lists and mappings may be nested.
const DEPTH: usize = 100;

/// How many nodes a file may have, aliases expanded.
pub const NODES: usize = 100_000;

/// The tree of the YAML text `bytes`, the file number `file`; an empty text is an empty mapping.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(bytes: &[u8], file: usize) -> Result<Node, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        wrong(end_of(&good, file), "not valid UTF-8")
    })?;
    check_characters(text, file)?;
    let mut builder = Builder {
        file,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
    };
    // Where tabs are allowed matters only if there are any.
    let mut quoted = text.contains('\t').then(Vec::new);
    let mut documents = 0;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let place = place(file, error.marker());
            if error.info().contains("recursion limit") {
                return too_deep(place);
            }
            indented_with_a_tab(text, place)
                .unwrap_or_else(|| wrong(place, format!("not valid YAML: {}", error.info())))
        })?;
        if let (Some(quoted), Event::Scalar(_, style, _, _)) = (&mut quoted, &event)
            && *style != ScalarStyle::Plain
        {
            quoted.push(span.start.index()..span.end.index());
        }
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                return Err(wrong(
                    place(file, &span.start),
                    "unexpected second document: a configuration file must contain only one",
                ));
            }
        }
        builder.take(event, span)?;
    }
    if let Some(quoted) = quoted {
        check_tabs(text, file, &quoted)?;
    }
    let empty = || Node {
        place: Place {
            file,
            line: 1,
            column: 1,
        },
        data: Data::Map(Vec::new()),
    };
    Ok(match builder.root {
        Some(root) if !root.is_null() => root,
        _ => empty(),
    })
}

fn place(file: usize, marker: &Marker) -> Place {
    Place {
        file,
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// Puts the events of a parser together.
struct Builder {
    file: usize,
    stack: Vec<Frame>,
    /// Not a HashMap, whose first one asks the system for random bytes.
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or mapping that is not complete yet.
struct Frame {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        /// What `<<` brings in, in the order of its effect.
        merged: Vec<(Key, Node)>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

impl Builder {
    fn take(&mut self, event: Event, span: Span) -> Result<(), Wrong> {
        let place = place(self.file, &span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = scalar_style(style, tag.as_deref())
                    .ok_or_else(|| unknown_tag(place, tag.as_deref()))?;
                let scalar = Scalar::new(text.into_owned(), style);
                self.add(
                    Node {
                        place,
                        data: Data::Scalar(scalar),
                    },
                    anchor,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                if tag.as_deref().is_some_and(|tag| tag_name(tag) != "seq") {
                    return Err(unknown_tag(place, tag.as_deref()));
                }
                self.begin(place, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                if tag.as_deref().is_some_and(|tag| tag_name(tag) != "map") {
                    return Err(unknown_tag(place, tag.as_deref()));
                }
                self.begin(
                    place,
                    anchor,
                    Content::Map {
                        entries: Vec::new(),
                        merged: Vec::new(),
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    self.nodes += node.size();
                    if self.nodes > NODES {
                        return Err(too_many(place));
                    }
                    let mut node = node.clone();
                    node.place = place;
                    self.add(node, 0)
                }
                None => Err(wrong(
                    place,
                    "an alias must not refer to a value that contains it",
                )),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), Wrong> {
        if self.stack.len() >= DEPTH {
            return Err(too_deep(place));
        }
        self.stack.push(Frame {
            place,
            anchor,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Wrong> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let data = match frame.content {
            Content::List(items) => Data::List(items),
            Content::Map {
                entries, merged, ..
            } => {
                refuse_duplicates(&entries)?;
                Data::Map(if merged.is_empty() {
                    entries
                } else {
                    overlay(merged.into_iter().chain(entries))
                })
            }
        };
        self.add(
            Node {
                place: frame.place,
                data,
            },
            frame.anchor,
        )
    }

    /// Puts a complete node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Wrong> {
        self.nodes += 1;
        if anchor != 0 {
            self.nodes += node.size();
            if self.nodes > NODES {
                return Err(too_many(node.place));
            }
            self.anchors.insert(anchor, node.clone());
        }
        if self.nodes > NODES {
            return Err(too_many(node.place));
        }
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map {
                entries,
                merged,
                key,
            }) => match key.take() {
                None => match node.data {
                    Data::Scalar(scalar) => *key = Some(scalar.into_key(node.place)),
                    _ => {
                        let text = format!("a key must be a string, found {}", node.kind());
                        return Err(wrong(node.place, text));
                    }
                },
                Some(key) if key.text == "<<" && !key.is_text => {
                    merged.extend(merge_key(node)?);
                }
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }
}

fn too_deep(place: Place) -> Wrong {
    wrong(place, format!("nested more than {DEPTH} levels deep"))
}

fn too_many(place: Place) -> Wrong {
    wrong(
        place,
        format!("more than {NODES} values once aliases are expanded"),
    )
}

/// What the value of the merge key `<<` brings in, in the order of its effect: of several mappings the first wins.
fn merge_key(node: Node) -> Result<Vec<(Key, Node)>, Wrong> {
    let refuse = |node: &Node| {
        let text = format!(
            "<<: expected a mapping or a list of mappings, found {}",
            node.kind()
        );
        Err(wrong(node.place, text))
    };
    match node.data {
        Data::Map(entries) => Ok(entries),
        Data::List(items) => {
            let mut all = Vec::new();
            for item in items.into_iter().rev() {
                match item.data {
                    Data::Map(entries) => all.extend(entries),
                    _ => return refuse(&item),
                }
            }
            Ok(all)
        }
        Data::Scalar(_) => refuse(&node),
    }
}

/// The entries, each key once: with its last value.
fn overlay(all: impl Iterator<Item = (Key, Node)>) -> Vec<(Key, Node)> {
    let mut entries: Vec<(Key, Node)> = Vec::new();
    let mut known: HashMap<(String, bool), usize> = HashMap::new();
    for (key, node) in all {
        let identity = (key.text.clone(), key.is_text);
        match known
            .get(&identity)
            .and_then(|&index| entries.get_mut(index))
        {
            Some(entry) => *entry = (key, node),
            None => {
                known.insert(identity, entries.len());
                entries.push((key, node));
            }
        }
    }
    entries
}

fn refuse_duplicates(entries: &[(Key, Node)]) -> Result<(), Wrong> {
    if entries.len() < 2 {
        return Ok(());
    }
    let mut keys: Vec<&Key> = entries.iter().map(|(key, _)| key).collect();
    keys.sort_unstable_by_key(|key| (key.identity(), key.place));
    let twice = keys.windows(2).filter_map(|pair| match pair {
        [first, second] if first == second => Some((first, second)),
        _ => None,
    });
    match twice.min_by_key(|(_, second)| second.place) {
        None => Ok(()),
        Some((first, second)) => Err(wrong(
            second.place,
            format!(
                "duplicate key {} (first defined on line {})",
                first.text, first.place.line
            ),
        )),
    }
}

/// The name of a tag of YAML's own, else the whole tag.
fn tag_name(tag: &Tag) -> String {
    let whole = format!("{}{}", tag.handle, tag.suffix);
    match whole.strip_prefix("tag:yaml.org,2002:") {
        Some(name) => name.to_owned(),
        None => whole,
    }
}

fn unknown_tag(place: Place, tag: Option<&Tag>) -> Wrong {
    let name = tag.map(tag_name).unwrap_or_default();
    wrong(place, format!("unknown tag {name}"))
}

/// How the text of a scalar is to be read.
fn scalar_style(style: ScalarStyle, tag: Option<&Tag>) -> Option<Style> {
    Some(match tag.map(tag_name).as_deref() {
        None if style == ScalarStyle::Plain => Style::Plain,
        None | Some("str" | "!") => Style::Text,
        Some("bool") => Style::Bool,
        Some("int") => Style::Int,
        Some("float") => Style::Float,
        Some("null") => Style::Null,
        Some(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Small random numbers, the same in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((self.0 >> 33) % sides as u64).unwrap()
        }
    }

    const PIECES: &[&str] = &[
        "a",
        "key",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "- ",
        "-",
        "[",
        "]",
        "{",
        "}",
        ",",
        ", ",
        "'",
        "\"",
        "\\",
        "#",
        " #",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        "| ",
        "|\n",
        ">\n",
        "!",
        "!!str ",
        "!!int ",
        "---",
        "\n---\n",
        "...",
        "%",
        "%YAML 1.1\n",
        "@",
        "`",
        "~",
        "10",
        "1:30",
        "0x",
        "${",
        "}",
        "é",
        "\t",
        "\r\n",
        "\r",
        "\u{feff}",
        "\0",
        "=",
        "<<",
        "mxm_secrets:\n",
        "\u{2028}",
    ];

    #[test]
    fn no_text_makes_it_panic_or_point_outside_of_itself() {
        let mut dice = Dice(1);
        let mut good = 0;
        for _ in 0..20_000 {
            let text: String = (0..dice.roll(24))
                .map(|_| PIECES[dice.roll(PIECES.len())])
                .collect();
            match parse(text.as_bytes(), 3) {
                Ok(node) => {
                    assert!(node.size() <= NODES);
                    good += 1;
                }
                Err(Wrong { place, text: why }) => {
                    let lines = text.split(['\n', '\r']).count();
                    assert!(
                        place.file == 3 && place.line >= 1 && place.column >= 1,
                        "{text:?}"
                    );
                    assert!(place.line <= lines + 1, "{text:?}: {place:?} {why}");
                    assert!(!why.contains('\n'), "{text:?}");
                }
            }
        }
        assert!(good > 1000, "{good}");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut dice = Dice(2);
        let whole = b"mxm_secrets:\n  backends: [env, gopass]\n  own: {command: ['a', \"{name}\"]}\n  x: |\n    y\n";
        for _ in 0..5_000 {
            let mut bytes = whole.to_vec();
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(bytes.len());
                match dice.roll(3) {
                    0 => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b" \n:{}[]'\"&*!|>#-"[dice.roll(16)]),
                }
            }
            let _ = parse(&bytes, 0);
        }
    }

    /// A random tree, written as flow YAML with every text in double quotes.
    fn tree(dice: &mut Dice, depth: usize, written: &mut String) -> String {
        match dice.roll(if depth > 4 { 1 } else { 4 }) {
            0 | 1 => {
                let text: String = (0..dice.roll(6))
                    .map(|_| ['a', '"', '\\', '\n', 'é', ' ', '#', ':', '\t', '😀'][dice.roll(10)])
                    .collect();
                written.push('"');
                for c in text.chars() {
                    match c {
                        '"' | '\\' => written.extend(['\\', c]),
                        '\n' => written.push_str("\\n"),
                        '\t' => written.push_str("\\t"),
                        c => written.push(c),
                    }
                }
                written.push('"');
                format!("{text:?}")
            }
            2 => {
                written.push('[');
                let items: Vec<String> = (0..dice.roll(4))
                    .map(|_| {
                        let item = tree(dice, depth + 1, written);
                        written.push_str(", ");
                        item
                    })
                    .collect();
                written.push(']');
                format!("[{}]", items.join(","))
            }
            _ => {
                written.push('{');
                let items: Vec<String> = (0..dice.roll(4))
                    .map(|n| {
                        written.push_str(&format!("k{n}: "));
                        let item = tree(dice, depth + 1, written);
                        written.push_str(", ");
                        format!("k{n}={item}")
                    })
                    .collect();
                written.push('}');
                format!("{{{}}}", items.join(","))
            }
        }
    }

    fn shown(node: &Node) -> String {
        match &node.data {
            Data::Scalar(scalar) => match scalar.meaning() {
                Ok(Meaning::Text) => format!("{:?}", scalar.text()),
                other => format!("{other:?}"),
            },
            Data::List(items) => {
                format!(
                    "[{}]",
                    items.iter().map(shown).collect::<Vec<_>>().join(",")
                )
            }
            Data::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, node)| format!("{}={}", key.text, shown(node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut dice = Dice(3);
        for _ in 0..3_000 {
            let mut written = "root: ".to_owned();
            let expected = tree(&mut dice, 0, &mut written);
            let node =
                parse(written.as_bytes(), 0).unwrap_or_else(|wrong| panic!("{written}: {wrong:?}"));
            assert_eq!(shown(node.get("root").unwrap()), expected, "{written}");
        }
    }

    #[test]
    fn places_are_those_of_an_editor() {
        let node = parse("a: 1\nü: {b: [x, 'y']}\n".as_bytes(), 7).unwrap();
        let Data::Map(entries) = &node.data else {
            panic!("a mapping");
        };
        assert_eq!(
            entries[1].0.place,
            Place {
                file: 7,
                line: 2,
                column: 1
            }
        );
        let Some(Data::List(items)) = node
            .get("ü")
            .and_then(|node| node.get("b"))
            .map(|node| &node.data)
        else {
            panic!("a list");
        };
        assert_eq!(
            items[1].place,
            Place {
                file: 7,
                line: 2,
                column: 12
            }
        );
    }

    #[test]
    fn merge_keys_are_merged() {
        let text =
            "b: &b {x: 1, y: 2}\nc: &c {y: 3, z: 4}\nd: {y: 9, <<: [*b, *c]}\ne: {<<: *b, x: 5}\n";
        let node = parse(text.as_bytes(), 0).unwrap();
        assert_eq!(
            shown(node.get("d").unwrap()),
            "{y=Ok(Int(9)),z=Ok(Int(4)),x=Ok(Int(1))}"
        );
        assert_eq!(shown(node.get("e").unwrap()), "{x=Ok(Int(5)),y=Ok(Int(2))}");
    }
}
