//! Interpolations as OmegaConf resolves them: `${a.b}`, `${.sibling}`, `${a[0]}`, `${oc.env:VARIABLE,default}`, nested
//! and inside texts. Only what is asked for is resolved; loops, depth and length are bounded.

use std::cell::Cell;

use super::yaml::{Data, Meaning, Node, python_float};
use crate::nearest::nearest;

/// How deep interpolations may lead to, or stand in, each other.
const DEPTH: usize = 100;

/// How many may be resolved for one configuration.
const STEPS: usize = 10_000;

/// The longest text that they may make, in bytes.
const LENGTH: usize = 64 << 10;

/// A tree in which interpolations lead from one place to another.
pub struct Tree<'t> {
    root: &'t Node,
    steps: Cell<usize>,
    depth: Cell<usize>,
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

    /// The node below that the keys lead to, with the mappings between.
    pub fn descend(mut self, keys: &[&str]) -> Option<Location<'t>> {
        for key in keys {
            let node = self.node.get(key)?;
            self.above.push(self.node);
            self.node = node;
        }
        Some(self)
    }
}

impl<'t> Tree<'t> {
    pub fn new(root: &'t Node) -> Tree<'t> {
        Tree {
            root,
            steps: Cell::new(0),
            depth: Cell::new(0),
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
        self.follow_on(at, &mut Vec::new())
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
            return Err(mistake("its interpolation leads back to itself"));
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
                    return Err(mistake(
                        "an interpolation is not closed: a quote is missing",
                    ));
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
                return Err(mistake(
                    "its interpolations make a text of more than 64 KiB",
                ));
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
        self.steps.set(self.steps.get() + 1);
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > DEPTH {
            return Err(mistake(format!(
                "interpolations lead on more than {DEPTH} deep"
            )));
        }
        if self.steps.get() > STEPS {
            return Err(mistake(format!(
                "there are more than {STEPS} interpolations to resolve"
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
                            "an interpolation inside another one must come to a text",
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
                        "{c:?} cannot stand in an interpolation's key"
                    )));
                }
                Some(c) => key.push(c),
                None => return Err(mistake("an interpolation is not closed: } is missing")),
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
                "${{{key}}} is no interpolation: it takes the names of keys, with dots between them"
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
                None => return Err(mistake(format!("${{{key}}} leads out of the file"))),
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
            return Err(mistake(format!("${{{key}}} leads to what it stands in")));
        }
        match &here.node.data {
            Data::Scalar(scalar) if scalar.is_missing() => Err(mistake(format!(
                "${{{key}}} is ???, a value that is still to be given"
            ))),
            _ => Ok(Found::At(here)),
        }
    }

    /// What the resolver `name` makes of its arguments, which come next. There is one: `oc.env`.
    fn resolver(
        &self,
        name: &str,
        reader: &mut Reader,
        at: &Location<'t>,
        trail: &mut Vec<*const Node>,
    ) -> Result<Found<'t>, Trouble> {
        if name != "oc.env" {
            return Err(mistake(format!(
                "${{{name}:…}} is not known here: there is ${{oc.env:VARIABLE,default}}"
            )));
        }
        let mut arguments = Vec::new();
        loop {
            reader.blanks();
            let (argument, end) = self.argument(reader, at, trail)?;
            arguments.push(argument);
            if end == '}' {
                break;
            }
        }
        let mut arguments = arguments.into_iter();
        let (variable, default) = match (arguments.next(), arguments.next(), arguments.next()) {
            (Some(Argument::Text(variable)), default, None) if !variable.is_empty() => {
                (variable, default)
            }
            _ => {
                return Err(mistake(
                    "${oc.env:…} takes the name of a variable, and may take a default",
                ));
            }
        };
        if may_be_secret(&variable) {
            return Err(mistake(format!(
                "the variable {variable} may hold a secret, which cannot stand in the configuration"
            )));
        }
        match (std::env::var_os(&variable), default) {
            (Some(value), _) => match value.into_string() {
                Ok(value) => Ok(Found::Text(value)),
                Err(_) => Err(mistake(format!("the variable {variable} is not UTF-8"))),
            },
            (None, Some(Argument::Null)) => Ok(Found::Null),
            (None, Some(Argument::Text(text) | Argument::Other(text))) => Ok(Found::Text(text)),
            (None, None) => Err(Trouble {
                text: format!(
                    "the variable {variable} is not set, and ${{oc.env:{variable}}} has no default"
                ),
                cause: Cause::NotSet,
            }),
        }
    }

    /// One argument of a resolver, and the character behind it.
    fn argument(
        &self,
        reader: &mut Reader,
        at: &Location<'t>,
        trail: &mut Vec<*const Node>,
    ) -> Result<(Argument, char), Trouble> {
        if let Some(quote) = reader
            .rest
            .chars()
            .next()
            .filter(|c| matches!(c, '\'' | '"'))
        {
            reader.skip(1);
            let found = self.mixed(reader, Some(quote), at, trail)?;
            reader.blanks();
            let end = reader.next().filter(|c| matches!(c, ',' | '}'));
            let end = end.ok_or_else(|| mistake("after a quoted default stands }"))?;
            return Ok((
                Argument::Text(text_of(&found).unwrap_or_default().to_owned()),
                end,
            ));
        }
        let mut text = String::new();
        // How much of the text is not to be trimmed.
        let mut solid = 0;
        let (mut only, mut parts) = (None, 0);
        let mut as_written = true;
        loop {
            if reader.rest.starts_with("${") {
                let found = self.interpolation(reader, at, trail)?;
                parts += 1;
                as_written = false;
                append(&mut text, &found)?;
                solid = text.len();
                only = Some(found).filter(|_| parts == 1);
                continue;
            }
            match reader.next() {
                Some(c @ (',' | '}')) => {
                    text.truncate(solid);
                    let argument = match only {
                        Some(found) => Argument::of(&found)?,
                        None if as_written => Argument::written(text),
                        None => Argument::Text(text),
                    };
                    return Ok((argument, c));
                }
                Some(c @ (' ' | '\t')) => text.push(c),
                Some('\\') if reader.rest.starts_with(|c| r"\()[]{}:=, 	".contains(c)) => {
                    text.extend(reader.next());
                    solid = text.len();
                    (parts, only, as_written) = (parts + 1, None, false);
                }
                Some(c) if c.is_ascii_alphanumeric() || r"_/-\+.$%*@?|:".contains(c) => {
                    text.push(c);
                    solid = text.len();
                    (parts, only) = (parts + 1, None);
                }
                Some(c) => {
                    return Err(mistake(format!(
                        "{c:?} cannot stand in a default without quotes around it"
                    )));
                }
                None => return Err(mistake("an interpolation is not closed: } is missing")),
            }
        }
    }
}

/// Whether the name of a variable says that it holds a secret: `VAULT_TOKEN`, not `VAULT_TOKEN_FILE`.
fn may_be_secret(variable: &str) -> bool {
    const WORDS: [&str; 5] = ["PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];
    let upper = variable.to_ascii_uppercase();
    let mut words = upper.split('_');
    words.clone().any(|word| WORDS.contains(&word))
        && !words.any(|word| matches!(word, "DIR" | "FILE" | "PATH"))
}

/// An argument of a resolver, by what Python makes of it.
enum Argument {
    Text(String),
    /// A number or a boolean, as Python's `str` writes it.
    Other(String),
    Null,
}

impl Argument {
    fn of(found: &Found) -> Result<Argument, Trouble> {
        Ok(match found {
            Found::Null => Argument::Null,
            Found::Text(text) => Argument::Text(text.clone()),
            Found::At(location) => match &location.node.data {
                Data::Scalar(scalar) => match scalar.meaning().map_err(mistake)? {
                    Meaning::Null => Argument::Null,
                    Meaning::Text(text) => Argument::Text(text.to_owned()),
                    other => Argument::Other(python_str(&other)),
                },
                _ => {
                    return Err(mistake(format!(
                        "{} cannot be a default",
                        location.node.kind()
                    )));
                }
            },
        })
    }

    /// What stands there without quotes: OmegaConf knows numbers, `true`, `false` and `null` among them.
    fn written(text: String) -> Argument {
        let digits = text.replace('_', "");
        let unsigned = digits.trim_start_matches(['+', '-']);
        let one_sign = digits.len() - unsigned.len() <= 1;
        let whole = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit())
                && (text == "0" || !text.is_empty() && !text.starts_with('0'))
        };
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "null" => return Argument::Null,
            "true" => return Argument::Other("True".to_owned()),
            "false" => return Argument::Other("False".to_owned()),
            _ => {}
        }
        let grouped = !text.contains("__") && !text.starts_with('_') && !text.ends_with('_');
        if one_sign && grouped && whole(unsigned) {
            let sign = if digits.starts_with('-') && unsigned != "0" {
                "-"
            } else {
                ""
            };
            return Argument::Other(format!("{sign}{unsigned}"));
        }
        let lower = lower.replace('_', "");
        let number = lower.trim_start_matches(['+', '-']);
        let mantissa = number.split('e').next().unwrap_or_default();
        let before = mantissa.split('.').next().unwrap_or_default();
        let float = one_sign
            && grouped
            && (matches!(number, "inf" | "nan")
                || number
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte))
                    && (before.is_empty() || whole(before)));
        match lower.parse::<f64>() {
            Ok(number) if float => Argument::Other(python_float(number)),
            _ => Argument::Text(text),
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
        Data::Map(entries) => nearest(part, entries.iter().map(|(key, _)| key.text.as_str()))
            .map_or(String::new(), |near| format!(": did you mean {near}?")),
        _ => String::new(),
    };
    Trouble {
        text: format!("${{{key}}} leads nowhere: there is no key {part}{advice}"),
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
                    "{} cannot stand inside a text",
                    location.node.kind()
                )));
            }
        },
    }
    if text.len() > LENGTH {
        return Err(mistake(
            "its interpolations make a text of more than 64 KiB",
        ));
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

/// A text that is being read.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    /// Passes over `count` bytes of ASCII.
    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Passes over as many `c` as there are, and says how many.
    fn run(&mut self, c: char) -> usize {
        let rest = self.rest.trim_start_matches(c);
        let count = self.rest.len() - rest.len();
        self.rest = rest;
        count
    }

    /// Passes over blanks, and says whether there were any.
    fn blanks(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        let any = rest.len() < self.rest.len();
        self.rest = rest;
        any
    }
}
