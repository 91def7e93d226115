//! The sections of the backends: those of the table, and those of the user's own.

use std::slice;

use super::refs::KINDS;
use super::{Checker, TOP, Way, entries};
use crate::backend::{self, BACKENDS, RECIPES, Recipe};
use crate::config::interpolation::{Found, Location};
use crate::config::yaml::{Data, Key as YamlKey, Place};
use crate::nearest::{advice, did_you_mean, nearest};
use crate::schema::{Command, Given, Key, Kind, REQUIRED, Rule, Section, Value};
use crate::text;

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

/// What a section that is no backend's of the table lacks.
const NO_COMMAND: &str = "a custom backend needs a `command` or a `recipe`";

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
            Ok(Found::At(location)) => Some(location),
            _ => None,
        };
        let node = |key: &str| here.as_ref()?.node.get(key);
        let [command, miss, by_recipe] =
            ["command", "miss", "recipe"].map(|key| Some(node(key)?.place));
        let elsewhere = self
            .elsewhere
            .is_some_and(|has| has(&format!("{path}.command")) || has(&format!("{path}.recipe")));
        if command.or(by_recipe).is_none() && !elsewhere {
            let text = match near {
                _ if SECRETS.contains(&name) => SECRET.to_owned(),
                Some(near) => format!("unknown key: {}", did_you_mean(near)),
                None => format!("unknown key; {NO_COMMAND}"),
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
        let mistakes = self.wrong.len();
        let recipe = here.as_ref().and_then(|here| self.recipe_of(here, path));
        if self.wrong.len() > mistakes {
            // What its parameters are cannot be said.
            return Some(Section {
                name: name.to_owned(),
                ..Section::default()
            });
        }
        let [needs, takes] = recipe.map_or([&[] as &[Key]; 2], |it| [it.needs, it.takes]);
        let variables = self.from_variables.len();
        let values = self.backend(at, path, &[keys, needs, takes]);
        let mut section = Section {
            name: name.to_owned(),
            values,
        };
        if let (Some(recipe), Some(place)) = (recipe, by_recipe) {
            self.follow_recipe(recipe, &mut section, path, place);
        }
        if let (Some(words), Some(place)) = (section.command("command"), command.or(by_recipe)) {
            let named = |word: &String| {
                ["{name}", "{reference}", "{variable}"]
                    .iter()
                    .any(|part| word.contains(part))
            };
            if !words.words.iter().skip(1).any(named) {
                let advice = near.map_or(String::new(), |near| format!("; {}", did_you_mean(near)));
                let text = format!(
                    "its arguments must contain {{name}}, the secret's name, {{reference}} or {{variable}}{advice}"
                );
                self.mistake(place, path.to("command"), text);
            }
        }
        if section.command("command").is_none() && self.wrong.len() == mistakes && !elsewhere {
            self.mistake(place, path, NO_COMMAND);
        }
        if let (Some(pairs), Some(node)) = (section.texts("unattended"), node("unattended"))
            && pairs.iter().any(|pair| !pair.contains('='))
        {
            self.mistake(node.place, path.to("unattended"), "expected NAME=VALUE");
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

    /// The recipe that the section at `here` names.
    fn recipe_of(&mut self, here: &Location<'c>, path: &Way) -> Option<&'static Recipe> {
        let node = here.node.get("recipe")?;
        let name = match self.tree.follow(here.child(node)).ok()? {
            Found::At(location) => match &location.node.data {
                Data::Scalar(scalar) if scalar.is_null() => return None,
                Data::Scalar(scalar) => scalar.text().to_owned(),
                _ => String::new(),
            },
            Found::Text(text) => text,
            Found::Null => return None,
        };
        let recipe = backend::recipe(&name);
        if recipe.is_none() {
            let near = nearest(&name, RECIPES.iter().map(|recipe| recipe.name));
            let all = "mxm-secrets list-backends --recipes lists them".to_owned();
            let advice = near.map_or(all, did_you_mean);
            let text = format!("unknown recipe: {advice}");
            self.mistake(node.place, path.to("recipe"), text);
        }
        recipe
    }

    /// Gives a section what `recipe`, named at `place`, says and the section does not.
    fn follow_recipe(
        &mut self,
        recipe: &'static Recipe,
        section: &mut Section,
        path: &Way,
        place: Place,
    ) {
        let shown = |value: Option<&Value>, default: &str| match value {
            Some(Value::Path(path)) => path.display().to_string(),
            Some(Value::Text(text)) => text.clone(),
            _ => default.to_owned(),
        };
        let mut parameters = Vec::new();
        for key in recipe.needs.iter().chain(recipe.takes) {
            let given = section.given(key.name);
            let needed = recipe.needs.iter().any(|needed| needed.name == key.name);
            let elsewhere = self
                .elsewhere
                .is_some_and(|has| has(&path.to(key.name).to_string()));
            if given.is_none() && needed && !elsewhere {
                let text = format!("{} is missing: {}", key.name, key.about);
                self.mistake(place, path.to("recipe"), text);
            }
            parameters.push((
                key.name,
                shown(given.map(|given| &given.value), key.default),
            ));
        }
        let source = self.source(place);
        let mut give = |key: &'static str, value: Value| {
            if section.given(key).is_none() {
                let source = source.clone();
                section.values.push(Given { key, value, source });
            }
        };
        let mut words = Vec::new();
        for word in recipe.command {
            let mut is_left_out = false;
            let filled = text::fill(word, |name| {
                let (_, value) = parameters
                    .iter()
                    .find(|(parameter, _)| *parameter == name)?;
                is_left_out |= value.is_empty();
                Some(value.clone())
            });
            words.extend(Some(filled).filter(|_| !is_left_out));
        }
        let shown = words.clone();
        give("command", Value::Command(Command { words, shown }));
        for (key, ends) in [("miss", recipe.miss), ("unavailable", recipe.unavailable)] {
            let rules = ends.iter().map(|&end| Rule::from(end));
            give(key, Value::Rules(rules.collect()));
        }
        for &(key, value) in recipe.keys {
            give(key, Value::Text(value.to_owned()));
        }
        if let Some((words, says)) = recipe.confirm {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            let shown = words.clone();
            give("confirm", Value::Command(Command { words, shown }));
            give("confirmed", Value::Text(says.to_owned()));
        }
        let unattended = recipe.unattended.iter().map(|&pair| pair.to_owned());
        give("unattended", Value::Texts(unattended.collect()));
    }

    /// The section of a backend with the keys of these tables.
    pub(super) fn backend(
        &mut self,
        at: Location<'c>,
        path: &Way,
        tables: &[&'static [Key]],
    ) -> Vec<Given> {
        let mut values = Vec::new();
        if let Some(here) = self.mapping(at, path) {
            let tables = [tables, &[slice::from_ref(&REQUIRED)]].concat();
            self.keys(&here, path, "", &tables, &mut values);
        }
        values
    }

    /// The keys at `here`, whose names in the tables begin with `prefix`.
    pub(super) fn keys(
        &mut self,
        here: &Location<'c>,
        path: &Way,
        prefix: &str,
        tables: &[&'static [Key]],
        values: &mut Vec<Given>,
    ) {
        let keys = || tables.iter().flat_map(|keys| keys.iter());
        for (key, node) in entries(here.node) {
            let path = path.to(&key.text);
            let at = here.child(node);
            let name = format!("{prefix}{}", key.text);
            let known = keys().find(|key| key.name == name);
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
            if keys().any(|key| key.name.starts_with(&inner)) {
                if let Some(here) = self.mapping(at, &path) {
                    self.keys(&here, &path, &inner, tables, values);
                }
                continue;
            }
            let last = |key: &'static Key| key.name.rsplit('.').next().unwrap_or_default();
            let file = format!("{}_file", key.text);
            if let Some(takes_file) = keys().find(|key| last(key) == file) {
                let text = format!(
                    "{SECRET}: {} takes the path of a file that contains it",
                    takes_file.name
                );
                self.mistake(key.place, path, text);
            } else if SECRETS.contains(&key.text.as_str()) {
                let files = keys().filter(|key| matches!(key.kind, Kind::Path | Kind::Paths));
                let advice = nearest(&file, files.clone().map(|key| key.name))
                    .or_else(|| nearest(&key.text, files.map(|key| key.name)))
                    .map_or(String::new(), |near| {
                        format!(": {near} takes the path of a file")
                    });
                self.mistake(key.place, path, format!("{SECRET}{advice}"));
            } else {
                let known =
                    keys().filter_map(|key| key.name.strip_prefix(prefix)?.split('.').next());
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
            &[KEYS],
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
