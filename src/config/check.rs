//! Our section of the configuration, checked against the tables of keys: every value gets the type of its key, and
//! every mistake is found, not the first alone.

use std::path::{Path, PathBuf};

use super::interpolation::{Cause, Found, Location, Tree, Trouble};
use super::layers::{self, Raw};
use super::yaml::{self, Data, Key as YamlKey, Meaning, Node, Place, Scalar, Wrong};
use super::{
    Checked, Configured, Given, Key, Kind, OnError, REQUIRED, Section, Source, UsageError, Value,
    home, seconds,
};
use crate::backend::{self, BACKENDS};
use crate::nearest::nearest;

/// The name of our section.
pub const SECTION: &str = "mxm_secrets";

/// The keys of our section that are no backend's.
const TOP: [&str; 3] = ["backends", "on_error", "timeout"];

/// What later versions of the Python package keep in the same section. It is for them: we neither read nor check it.
const OF_PYTHON: [&str; 3] = ["stores", "refs", "policies"];

/// Keys whose values would be secrets.
const SECRETS: &[&str] = &[
    "access_key",
    "api_key",
    "client_secret",
    "identity",
    "jwt",
    "passphrase",
    "password",
    "pin",
    "private_key",
    "role_id",
    "secret",
    "secret_id",
    "secret_key",
    "token",
];

/// Whether a path is there in some layer that may be in effect on another machine.
type Elsewhere<'r> = Option<&'r dyn Fn(&str) -> bool>;

/// What our section in `root` says. With `elsewhere`, what another layer gives is not missed, nor is a variable that
/// is not set here.
///
/// # Errors
/// All that is wrong in it, in the order of the files.
pub fn section(raw: &Raw, root: &Node, elsewhere: Elsewhere) -> Result<Configured, Vec<Wrong>> {
    let mut checker = Checker {
        raw,
        tree: Tree::new(root),
        elsewhere,
        wrong: Vec::new(),
    };
    let configured = checker.root();
    if checker.wrong.is_empty() {
        Ok(configured)
    } else {
        checker.wrong.sort_by_key(|wrong| wrong.place);
        Err(checker.wrong)
    }
}

/// Checks the default by itself, and with each layer.
///
/// # Errors
/// Everything that is wrong.
pub fn all(mut raw: Raw) -> Result<Checked, UsageError> {
    let layers = std::mem::take(&mut raw.layers);
    let Some(base) = raw.base.take() else {
        return Ok(Checked {
            files: Vec::new(),
            layers: 0,
        });
    };
    let has = |path: &str| layers.iter().any(|layer| layer.has(path));
    let elsewhere: Elsewhere = if layers.is_empty() { None } else { Some(&has) };
    let mut wrong = section(&raw, &base, elsewhere).err().unwrap_or_default();
    let mut count = 0;
    for layer in &layers {
        for (key, place) in layer.selectors_of_no_use() {
            wrong.push(Wrong {
                place,
                text: format!("{key}: YAML reads this as no text: put it between quotes"),
            });
        }
        for selector in layer.selectors() {
            count += 1;
            let mut root = base.clone();
            let merged = layer
                .block(selector)
                .and_then(|block| layers::merge(&mut root, block))
                .map_err(|error| vec![error]);
            let found = merged.and_then(|()| section(&raw, &root, elsewhere));
            wrong.extend(found.err().into_iter().flatten());
        }
    }
    wrong.sort_by(|a, b| (a.place, &a.text).cmp(&(b.place, &b.text)));
    wrong.dedup();
    if wrong.is_empty() {
        Ok(Checked {
            files: raw.files.iter().map(|file| file.to_path_buf()).collect(),
            layers: count,
        })
    } else {
        Err(raw.report(&wrong))
    }
}

/// Whether our section has, or may have, such a key.
fn is_ours(name: &str) -> bool {
    TOP.contains(&name) || OF_PYTHON.contains(&name) || backend::entry(name).is_some()
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
}

impl<'c> Checker<'c> {
    fn mistake(&mut self, place: Place, key: impl std::fmt::Display, text: impl std::fmt::Display) {
        self.wrong.push(Wrong {
            place,
            text: format!("{key}: {text}"),
        });
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
        let Trouble { text, cause } = match self.tree.follow(at) {
            Ok(found) => return Some(found),
            Err(trouble) => trouble,
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
            Found::Text(_) => "a text",
            Found::Null => return None,
        };
        self.mistake(
            place,
            key,
            format!("it takes a mapping, and this is {kind}"),
        );
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
                format!("did you mean {SECTION}?")
            } else {
                format!("what is for mxm-secrets stands in the section {SECTION}")
            };
            self.mistake(
                key.place,
                &key.text,
                format!("there is no such section: {advice}"),
            );
        }
        Configured::default()
    }

    fn section(&mut self, at: Location<'c>) -> Configured {
        let mut configured = Configured::default();
        let Some(here) = self.mapping(at, &TOP_WAY) else {
            return configured;
        };
        let mut chain = None;
        for (key, node) in entries(here.node) {
            let name = key.text.as_str();
            let path = TOP_WAY.to(name);
            let at = here.child(node);
            match name {
                _ if OF_PYTHON.contains(&name) => {}
                "backends" => chain = self.value(at, &path, Kind::Texts),
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
                _ => match backend::entry(name) {
                    // We do not know the keys of a backend that is not built in.
                    Some(entry) if entry.open.is_none() => {}
                    Some(entry) => {
                        let values = self.backend(at, &path, entry.keys);
                        configured.sections.push(Section {
                            name: name.to_owned(),
                            values,
                        });
                    }
                    None => configured.sections.extend(self.own_backend(at, key, &path)),
                },
            }
        }
        if let Some((Value::Texts(names), source)) = chain {
            let own: Vec<&str> = configured
                .sections
                .iter()
                .map(|section| section.name.as_str())
                .collect();
            let has = |name: &str| {
                let path = format!("{SECTION}.{name}.command");
                self.elsewhere.is_some_and(|has| has(&path))
            };
            let elsewhere = names.iter().map(String::as_str).filter(|name| has(name));
            let own: Vec<&str> = own.into_iter().chain(elsewhere).collect();
            let names = match names.as_slice() {
                [] => Err("it names no backend".to_owned()),
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

    /// The section of a backend of the user's own.
    fn own_backend(&mut self, at: Location<'c>, key: &YamlKey, path: &Way) -> Option<Section> {
        let name = key.text.as_str();
        let place = key.place;
        let known = BACKENDS.iter().map(|entry| entry.name);
        let near = nearest(name, TOP.into_iter().chain(OF_PYTHON).chain(known));
        let command = match self.tree.follow(at.clone()) {
            Ok(Found::At(location)) => location.node.get("command").map(|node| node.place),
            _ => None,
        };
        let elsewhere = self
            .elsewhere
            .is_some_and(|has| has(&format!("{path}.command")));
        if command.is_none() && !elsewhere {
            let text = match near {
                _ if SECRETS.contains(&name) => SECRET.to_owned(),
                Some(near) => format!("there is no such key: did you mean {near}?"),
                None => "there is no such key, and a backend of your own has a command".to_owned(),
            };
            self.mistake(place, path, text);
            return None;
        }
        let good = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        };
        let letter = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !letter || !name.bytes().all(good) {
            let rule = "a backend's name is made of a-z, 0-9, _ and -, a letter first";
            self.mistake(place, path, rule);
        }
        let keys = backend::OWN.map_or(&[] as &[Key], |entry| entry.keys);
        let values = self.backend(at, path, keys);
        let words = values.iter().find(|given| given.key == "command");
        if let (Some(Value::Texts(words)), Some(place)) = (words.map(|given| &given.value), command)
            && !words.iter().skip(1).any(|word| word.contains("{name}"))
        {
            let advice = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            let text = format!("among its arguments must be {{name}}, the secret's name{advice}");
            self.mistake(place, path.to("command"), text);
        }
        Some(Section {
            name: name.to_owned(),
            values,
        })
    }

    /// The section of a backend with these keys.
    fn backend(&mut self, at: Location<'c>, path: &Way, keys: &'static [Key]) -> Vec<Given> {
        let mut values = Vec::new();
        if let Some(here) = self.mapping(at, path) {
            self.keys(&here, path, "", keys, &mut values);
        }
        values
    }

    /// The keys at `here`, whose names in the table begin with `prefix`.
    fn keys(
        &mut self,
        here: &Location<'c>,
        path: &Way,
        prefix: &str,
        keys: &'static [Key],
        values: &mut Vec<Given>,
    ) {
        for (key, node) in entries(here.node) {
            let path = path.to(&key.text);
            let at = here.child(node);
            let name = format!("{prefix}{}", key.text);
            let required = Some(&REQUIRED).filter(|key| key.name == name);
            let known = keys.iter().find(|key| key.name == name).or(required);
            if let Some((outer, inner)) = known.and(key.text.rsplit_once('.')) {
                let advice = format!("it is written as {inner} in the section {outer}");
                self.mistake(key.place, path, format!("there is no such key: {advice}"));
                continue;
            }
            if let Some(key) = known {
                if let Some((value, source)) = self.value(at, &path, key.kind) {
                    values.push(Given {
                        key: key.name,
                        value,
                        source,
                    });
                }
                continue;
            }
            let inner = format!("{name}.");
            if keys.iter().any(|key| key.name.starts_with(&inner)) {
                if let Some(here) = self.mapping(at, &path) {
                    self.keys(&here, &path, &inner, keys, values);
                }
                continue;
            }
            let last = |key: &'static Key| key.name.rsplit('.').next().unwrap_or_default();
            let file = format!("{}_file", key.text);
            if let Some(takes_file) = keys.iter().find(|key| last(key) == file) {
                let text = format!(
                    "{SECRET}: {} takes the name of a file that has it",
                    takes_file.name
                );
                self.mistake(key.place, path, text);
            } else if SECRETS.contains(&key.text.as_str()) {
                let files = keys
                    .iter()
                    .filter(|key| matches!(key.kind, Kind::Path | Kind::Paths));
                let advice = nearest(&file, files.clone().map(|key| key.name))
                    .or_else(|| nearest(&key.text, files.map(|key| key.name)))
                    .map_or(String::new(), |near| {
                        format!(": {near} takes the name of a file")
                    });
                self.mistake(key.place, path, format!("{SECRET}{advice}"));
            } else {
                let known = keys
                    .iter()
                    .chain([&REQUIRED])
                    .filter_map(|key| key.name.strip_prefix(prefix)?.split('.').next());
                let mut known: Vec<&str> = known.collect();
                known.dedup();
                let advice = match nearest(&key.text, known.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("there are {}", known.join(", ")),
                };
                self.mistake(key.place, path, format!("there is no such key: {advice}"));
            }
        }
    }

    /// The value of a key that takes `kind`; `None`: it is not given, or wrong.
    fn value(&mut self, at: Location<'c>, key: &Way, kind: Kind) -> Option<(Value, Source)> {
        let place = at.node.place;
        let mut words = Vec::new();
        let mut shape = "a text";
        match self.follow(at, key)? {
            Found::Null => return None,
            Found::Text(text) => words.push(Word::text(text)),
            Found::At(location) => match &location.node.data {
                Data::Scalar(scalar) => match Word::of(scalar) {
                    Ok(Some(word)) => {
                        shape = scalar.kind();
                        words.push(word);
                    }
                    Ok(None) => return None,
                    Err(text) => {
                        self.mistake(place, key, text);
                        return None;
                    }
                },
                Data::List(items) => {
                    shape = "a list";
                    for item in items {
                        words.push(self.item(location.child(item), key)?);
                    }
                }
                Data::Map(_) => {
                    self.mistake(
                        place,
                        key,
                        format!("it takes {}, and this is a mapping", takes(kind)),
                    );
                    return None;
                }
            },
        }
        let file = self
            .raw
            .files
            .get(place.file)
            .and_then(|file| file.parent());
        match typed(&words, shape, kind, file.unwrap_or(Path::new("/"))) {
            Ok(value) => Some((value?, self.source(place))),
            Err(text) => {
                self.mistake(place, key, text);
                None
            }
        }
    }

    /// An item of a list.
    fn item(&mut self, at: Location<'c>, key: &Way) -> Option<Word> {
        let place = at.node.place;
        let word = match self.follow(at, key)? {
            Found::Text(text) => Ok(Some(Word::text(text))),
            Found::Null => Ok(None),
            Found::At(location) => match &location.node.data {
                Data::Scalar(scalar) => Word::of(scalar),
                _ => Err(format!(
                    "{} cannot stand in this list",
                    location.node.kind()
                )),
            },
        };
        match word {
            Ok(Some(word)) => return Some(word),
            Ok(None) => self.mistake(place, key, "an item of this list is nothing"),
            Err(text) => self.mistake(place, key, text),
        }
        None
    }
}

/// The entries of a mapping.
fn entries(node: &Node) -> &[(YamlKey, Node)] {
    match &node.data {
        Data::Map(entries) => entries,
        _ => &[],
    }
}

/// Why a value is refused.
const SECRET: &str = "a secret cannot stand in the configuration";

/// A scalar, interpolations resolved.
struct Word {
    /// As it is written.
    text: String,
    meaning: What,
}

/// What Python takes a word for.
enum What {
    Bool(bool),
    Int(i128),
    Float(f64),
    Text,
}

impl Word {
    fn text(text: String) -> Word {
        Word {
            text,
            meaning: What::Text,
        }
    }

    /// `None`: it is nothing.
    fn of(scalar: &Scalar) -> Result<Option<Word>, String> {
        if scalar.is_missing() {
            return Err("it is ???, a value that is still to be given".to_owned());
        }
        let meaning = match scalar.meaning()? {
            Meaning::Null => return Ok(None),
            Meaning::Bool(value) => What::Bool(value),
            Meaning::Int(number) => What::Int(number),
            Meaning::Float(number) => What::Float(number),
            Meaning::Text(_) => What::Text,
        };
        Ok(Some(Word {
            text: scalar.text().to_owned(),
            meaning,
        }))
    }

    fn status(&self) -> Option<u8> {
        let number = match self.meaning {
            What::Int(number) => u8::try_from(number).ok(),
            What::Text => self.text.parse().ok(),
            _ => None,
        };
        number.filter(|&number| number > 0)
    }
}

/// What a key takes, for messages.
fn takes(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text".to_owned(),
        Kind::Texts => "a list of texts".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::Paths => "a list of paths".to_owned(),
        Kind::Choice(words) => words.join(" or "),
        Kind::Bool => "yes or no".to_owned(),
        Kind::Statuses => "a list of numbers from 1 to 255".to_owned(),
        Kind::Command => "a list of a program and its arguments".to_owned(),
        Kind::Seconds => "a number of seconds from 0.001 to 86400".to_owned(),
    }
}

/// The value that the words are; `None`: an empty path, which is none. Relative paths are relative to `directory`.
fn typed(
    words: &[Word],
    shape: &str,
    kind: Kind,
    directory: &Path,
) -> Result<Option<Value>, String> {
    let texts = || {
        words
            .iter()
            .map(|word| word.text.clone())
            .collect::<Vec<_>>()
    };
    let refused = || format!("it takes {}, and this is {shape}", takes(kind));
    Ok(Some(match (kind, words) {
        (Kind::Texts, _) => Value::Texts(texts()),
        (Kind::Paths, _) => {
            let paths: Result<Vec<PathBuf>, String> = words
                .iter()
                .map(|word| path(&word.text, directory))
                .collect();
            Value::Paths(paths?)
        }
        (Kind::Statuses, _) => {
            let numbers: Option<Vec<u8>> = words.iter().map(Word::status).collect();
            Value::Statuses(numbers.ok_or_else(|| format!("it takes {}", takes(kind)))?)
        }
        (Kind::Command, _) => Value::Texts(command(texts(), shape, directory)?),
        (_, [word]) if shape != "a list" => match (kind, &word.meaning) {
            (Kind::Text, _) => Value::Text(word.text.clone()),
            (Kind::Path, _) if word.text.is_empty() => return Ok(None),
            (Kind::Path, _) => Value::Path(path(&word.text, directory)?),
            (Kind::Choice(choices), _) if choices.contains(&word.text.as_str()) => {
                Value::Text(word.text.clone())
            }
            (Kind::Choice(choices), _) => {
                let near = nearest(&word.text, choices.iter().copied());
                let advice = near.map_or(String::new(), |near| format!(": did you mean {near}?"));
                return Err(format!("it takes {}{advice}", takes(kind)));
            }
            (Kind::Bool, What::Bool(value)) => Value::Bool(*value),
            (Kind::Bool, What::Text) => Value::Bool(yaml::boolean(&word.text).ok_or_else(refused)?),
            (Kind::Seconds, meaning) => {
                let text = match meaning {
                    What::Int(number) => number.to_string(),
                    What::Float(number) => number.to_string(),
                    _ => word.text.clone(),
                };
                let seconds = seconds(&text, "").map_err(|_| format!("it takes {}", takes(kind)));
                Value::Seconds(seconds?)
            }
            _ => return Err(refused()),
        },
        _ => return Err(refused()),
    }))
}

/// A path of the configuration: `~/` is the home directory, a relative one is relative to `directory`.
fn path(text: &str, directory: &Path) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("a path is empty".to_owned());
    }
    if text == "~" || text.starts_with("~/") {
        let home = home().ok_or("~ stands in a path, and HOME is not set")?;
        return Ok(home.join(text.trim_start_matches('~').trim_start_matches('/')));
    }
    // Its components, so that no ./ is left in the middle.
    Ok(directory.join(text).components().collect())
}

/// A program and its arguments.
fn command(mut words: Vec<String>, shape: &str, directory: &Path) -> Result<Vec<String>, String> {
    let Some(program) = words.first_mut().filter(|program| !program.is_empty()) else {
        return Err("it names no program".to_owned());
    };
    if shape != "a list" && program.contains(char::is_whitespace) {
        return Err(
            "it takes a list, since no shell splits it: [program, argument, argument]".to_owned(),
        );
    }
    if program.contains('/') {
        let path = path(program, directory)?.into_os_string().into_string();
        *program = path.map_err(|_| "the program's path is not UTF-8".to_owned())?;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(name: &'static str, kind: Kind) -> Key {
        Key {
            name,
            kind,
            default: "",
            variable: None,
            about: "",
        }
    }

    const KEYS: &[Key] = &[
        key("address", Kind::Text),
        key("ca_cert", Kind::Path),
        key("directories", Kind::Paths),
        key("kv_version", Kind::Choice(&["auto", "1", "2"])),
        key("auth.method", Kind::Text),
        key("auth.role_id_file", Kind::Path),
        key("auth.secret_id_file", Kind::Path),
    ];

    /// The values of a section with [`KEYS`] in /conf/c.yaml, or what is wrong in it.
    fn read(text: &str) -> Result<Vec<(&'static str, Value)>, Vec<String>> {
        let raw = Raw {
            files: vec![Path::new("/conf/c.yaml").into()],
            ..Raw::default()
        };
        let root = yaml::parse(text.as_bytes(), 0).unwrap();
        let mut checker = Checker {
            raw: &raw,
            tree: Tree::new(&root),
            elsewhere: None,
            wrong: Vec::new(),
        };
        let at = checker.tree.root();
        let values = checker.backend(
            at,
            &Way {
                above: None,
                name: "v",
            },
            KEYS,
        );
        if checker.wrong.is_empty() {
            Ok(values
                .into_iter()
                .map(|given| (given.key, given.value))
                .collect())
        } else {
            Err(checker.wrong.into_iter().map(|wrong| wrong.text).collect())
        }
    }

    #[test]
    fn values_have_the_type_of_their_key() {
        let text = "address: 10\nca_cert: ca/x.pem\ndirectories: [/run/a, ../b]\nkv_version: 2\nauth: {method: on}\n";
        let path = |path: &str| Path::new(path).to_owned();
        assert_eq!(
            read(text).unwrap(),
            [
                ("address", Value::Text("10".to_owned())),
                ("ca_cert", Value::Path(path("/conf/ca/x.pem"))),
                (
                    "directories",
                    Value::Paths(vec![path("/run/a"), path("/conf/../b")])
                ),
                ("kv_version", Value::Text("2".to_owned())),
                ("auth.method", Value::Text("on".to_owned())),
            ]
        );
        assert_eq!(read("ca_cert: ''\nauth:\naddress: ~\n").unwrap(), []);
    }

    #[test]
    fn a_secret_is_refused_with_the_key_that_takes_a_file() {
        for (text, wrong) in [
            (
                "auth: {secret_id: x}",
                "v.auth.secret_id: a secret cannot stand in the configuration: auth.secret_id_file takes the name of a file that has it",
            ),
            (
                "role_id: x",
                "v.role_id: a secret cannot stand in the configuration: auth.role_id_file takes the name of a file that has it",
            ),
            (
                "token: x",
                "v.token: a secret cannot stand in the configuration",
            ),
            (
                "auth.method: x",
                "v.auth.method: there is no such key: it is written as method in the section auth",
            ),
            (
                "auth: {mehtod: x}",
                "v.auth.mehtod: there is no such key: did you mean method?",
            ),
            ("auth: x", "v.auth: it takes a mapping, and this is a text"),
        ] {
            assert_eq!(read(text).unwrap_err(), [wrong], "{text}");
        }
    }
}
