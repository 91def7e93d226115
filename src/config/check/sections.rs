//! The sections of the backends: those of the table, and those of the user's own.

use super::refs::KINDS;
use super::{Checker, TOP, Way, entries};
use crate::backend::{self, BACKENDS};
use crate::config::interpolation::{Found, Location};
use crate::config::yaml::Key as YamlKey;
use crate::nearest::{advice, did_you_mean, nearest};
use crate::schema::{Given, Key, Kind, REQUIRED, Section};

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

/// Why a value is refused.
const SECRET: &str = "a secret must not be in the configuration";

impl<'c> Checker<'c> {
    /// The section of a backend of the user's own.
    pub(super) fn own_backend(
        &mut self,
        at: Location<'c>,
        key: &YamlKey,
        path: &Way,
    ) -> Option<Section> {
        let name = key.text.as_str();
        let place = key.place;
        let known = BACKENDS.iter().map(|entry| entry.name);
        let near = nearest(name, TOP.into_iter().chain(KINDS).chain(known));
        let here = match self.tree.follow(at.clone()) {
            Ok(Found::At(location)) => Some(location.node),
            _ => None,
        };
        let [command, miss] = ["command", "miss"].map(|key| Some(here?.get(key)?.place));
        let elsewhere = self
            .elsewhere
            .is_some_and(|has| has(&format!("{path}.command")));
        if command.is_none() && !elsewhere {
            let text = match near {
                _ if SECRETS.contains(&name) => SECRET.to_owned(),
                Some(near) => format!("unknown key: {}", did_you_mean(near)),
                None => "unknown key; a custom backend needs a `command`".to_owned(),
            };
            self.mistake(place, path, text);
            return None;
        }
        let good = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        };
        let letter = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !letter || !name.bytes().all(good) {
            let rule =
                "the name of a backend must start with a letter and contain only a-z, 0-9, _ and -";
            self.mistake(place, path, rule);
        }
        let keys = backend::OWN.map_or(&[] as &[Key], |entry| entry.keys);
        let variables = self.from_variables.len();
        let values = self.backend(at, path, keys);
        let section = Section {
            name: name.to_owned(),
            values,
        };
        if let (Some(words), Some(place)) = (section.command("command"), command) {
            let named = |word: &String| word.contains("{name}") || word.contains("{reference}");
            if !words.words.iter().skip(1).any(named) {
                let advice = near.map_or(String::new(), |near| format!("; {}", did_you_mean(near)));
                let text = format!(
                    "its arguments must contain {{name}}, the secret's name, or {{reference}}{advice}"
                );
                self.mistake(place, path.to("command"), text);
            }
        }
        let [misses, absences] =
            ["miss", "unavailable"].map(|key| section.rules(key).unwrap_or(&[]));
        let overlap = misses.iter().find_map(|rule| {
            let other = absences
                .iter()
                .find(|other| rule.covers(other) || other.covers(rule));
            other.map(|other| (rule, other))
        });
        if let Some((rule, other)) = overlap {
            if self.from_variables.len() > variables {
                self.from_variables.extend(miss);
            }
            let text = format!("{rule} overlaps with {other} in unavailable: give each its own");
            self.mistake(miss.unwrap_or(place), path.to("miss"), text);
        }
        Some(section)
    }

    /// The section of a backend with these keys.
    pub(super) fn backend(
        &mut self,
        at: Location<'c>,
        path: &Way,
        keys: &'static [Key],
    ) -> Vec<Given> {
        let mut values = Vec::new();
        if let Some(here) = self.mapping(at, path) {
            self.keys(&here, path, "", (keys, Some(&REQUIRED)), &mut values);
        }
        values
    }

    /// The keys at `here`, whose names in the table begin with `prefix`, and one more.
    pub(super) fn keys(
        &mut self,
        here: &Location<'c>,
        path: &Way,
        prefix: &str,
        (keys, more): (&'static [Key], Option<&'static Key>),
        values: &mut Vec<Given>,
    ) {
        for (key, node) in entries(here.node) {
            let path = path.to(&key.text);
            let at = here.child(node);
            let name = format!("{prefix}{}", key.text);
            let known = keys.iter().chain(more).find(|key| key.name == name);
            if let Some((outer, inner)) = known.and(key.text.rsplit_once('.')) {
                let advice = format!("write it as {inner} in the section {outer}");
                self.mistake(key.place, path, format!("unknown key: {advice}"));
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
                    self.keys(&here, &path, &inner, (keys, more), values);
                }
                continue;
            }
            let last = |key: &'static Key| key.name.rsplit('.').next().unwrap_or_default();
            let file = format!("{}_file", key.text);
            if let Some(takes_file) = keys.iter().find(|key| last(key) == file) {
                let text = format!(
                    "{SECRET}: {} takes the path of a file that contains it",
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
                        format!(": {near} takes the path of a file")
                    });
                self.mistake(key.place, path, format!("{SECRET}{advice}"));
            } else {
                let known = keys
                    .iter()
                    .chain(more)
                    .filter_map(|key| key.name.strip_prefix(prefix)?.split('.').next());
                let mut known: Vec<&str> = known.collect();
                known.dedup();
                let advice = advice(&key.text, &known);
                self.mistake(key.place, path, format!("unknown key: {advice}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::files::Raw;
    use crate::config::interpolation::Tree;
    use crate::config::yaml;
    use crate::schema::Value;

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
            tree: Tree::new(&root, raw.deadline),
            elsewhere: None,
            wrong: Vec::new(),
            from_variables: Vec::new(),
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
                "v.auth.secret_id: a secret must not be in the configuration: auth.secret_id_file takes the path of a file that contains it",
            ),
            (
                "role_id: x",
                "v.role_id: a secret must not be in the configuration: auth.role_id_file takes the path of a file that contains it",
            ),
            (
                "token: x",
                "v.token: a secret must not be in the configuration",
            ),
            (
                "auth.method: x",
                "v.auth.method: unknown key: write it as method in the section auth",
            ),
            (
                "auth: {mehtod: x}",
                "v.auth.mehtod: unknown key: did you mean method?",
            ),
            ("auth: x", "v.auth: expected a mapping, found a string"),
        ] {
            assert_eq!(read(text).unwrap_err(), [wrong], "{text}");
        }
    }
}
