//! The sections of the backends: those of the table, and those of the user's own.

use std::slice;

use super::{Checker, Way, own_keys, place_of};
use crate::backend::{self, BACKENDS};
use crate::config::interpolation::Found;
use crate::config::recipes::{Recipe, parameters, recipe, recipes};
use crate::config::yaml::{Key as YamlKey, Node, Place};
use crate::nearest::{advice, did_you_mean, nearest};
use crate::schema::{Command, Given, Key, Kind, REQUIRED, Section, Value};
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
        node: &'c Node,
        key: &YamlKey,
        path: &Way,
    ) -> Option<Section> {
        let name = key.text.as_str();
        let place = key.place;
        let known = BACKENDS.iter().map(|entry| entry.name);
        let near = nearest(name, own_keys().chain(known));
        let here = match self.tree.follow(node) {
            Ok(Found::Borrowed(here)) => Some(here),
            _ => None,
        };
        let inner = |key: &str| here?.get(key);
        let [command, miss, by_recipe] =
            ["command", "miss", "recipe"].map(|key| Some(inner(key)?.place));
        let elsewhere = self.is_backend_elsewhere(name);
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
        let recipe = here.and_then(|here| self.recipe_of(here, path));
        if self.wrong.len() > mistakes {
            // What its parameters are cannot be said.
            return Some(Section::named(name));
        }
        let [needs, takes] = parameters(recipe);
        let variables = self.from_variables.len();
        let mut section = self.backend(node, path, &[keys, needs, takes]);
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
        if let (Some(pairs), Some(node)) = (section.texts("unattended"), inner("unattended"))
            && pairs.iter().any(|pair| !pair.contains('='))
        {
            self.mistake(node.place, path.to("unattended"), "expected NAME=VALUE");
        }
        if section
            .text("confirmed")
            .is_some_and(|text| !text.is_empty())
            && section.command("confirm").is_none()
            && self.wrong.len() == mistakes
            && !self.is_elsewhere(path.to("confirm"))
        {
            let at = place_of(self.raw, &section, "confirmed").unwrap_or(place);
            let text = "nothing prints it: add `confirm`, the command that does";
            self.mistake(at, path.to("confirmed"), text);
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
    fn recipe_of(&mut self, here: &'c Node, path: &Way) -> Option<&'static Recipe> {
        let node = here.get("recipe")?;
        let found = self.tree.follow(node).ok()?;
        if found.is_null() {
            return None;
        }
        let name = found.scalar().map_or("", |scalar| scalar.text());
        let recipe = recipe(name);
        if recipe.is_none() {
            let near = nearest(name, recipes().map(|recipe| recipe.name));
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
        let text = |value: &Value| match value {
            Value::Path(path) => path.display().to_string(),
            Value::Text(text) => text.clone(),
            _ => String::new(),
        };
        let mut parameters = Vec::new();
        for key in recipe.needs.iter().chain(&recipe.takes) {
            let given = section.given(key.name);
            let needed = recipe.needs.iter().any(|needed| needed.name == key.name);
            if given.is_none() && needed && !self.is_elsewhere(path.to(key.name)) {
                let text = format!("{} is missing: {}", key.name, key.about);
                self.mistake(place, path.to("recipe"), text);
            }
            let value = given.map_or(key.default.to_owned(), |given| text(&given.value));
            let at = place_of(self.raw, section, key.name).unwrap_or(place);
            let must_be = needed || !key.default.is_empty();
            if given.is_some() && value.is_empty() && must_be {
                let text = format!("must not be empty: {}", key.about);
                self.mistake(at, path.to(key.name), text);
            } else if value.starts_with('-') {
                let placeholder = format!("{{{}}}", key.name);
                let command = recipe.section.command("command");
                let words = command.map_or(&[][..], |command| &command.words);
                if let Some(program) = words.first()
                    && words.iter().any(|word| word.starts_with(&placeholder))
                {
                    let text =
                        format!("must not begin with -: {program} would take it for an option");
                    self.mistake(at, path.to(key.name), text);
                }
            }
            let shown = given.map_or(value.clone(), |given| text(&given.shown()));
            parameters.push((key.name, value, shown));
        }
        let filled = |template: &Command| {
            let (mut words, mut shown) = (Vec::new(), Vec::new());
            for (word, as_shown) in template.words.iter().zip(&template.shown) {
                let find = |name: &str| parameters.iter().find(|(known, ..)| *known == name);
                let mut is_left_out = false;
                let filled = text::fill(word, |name| {
                    let (_, value, _) = find(name)?;
                    is_left_out |= value.is_empty();
                    Some(value.clone())
                });
                if !is_left_out {
                    words.push(filled);
                    shown.push(text::fill(as_shown, |name| Some(find(name)?.2.clone())));
                }
            }
            Value::Command(Command { words, shown })
        };
        for own in &mut section.values {
            if let Value::Command(template) = &own.value {
                own.value = filled(template);
            }
        }
        for said in &recipe.section.values {
            if section.given(said.key).is_none() {
                let value = match &said.value {
                    Value::Command(template) => filled(template),
                    value => value.clone(),
                };
                section.put(said.key, value, self.source(place));
            }
        }
    }

    /// The section of a backend with the keys of these tables.
    pub(super) fn backend(
        &mut self,
        node: &'c Node,
        way: &Way,
        tables: &[&'static [Key]],
    ) -> Section {
        let mut section = Section::named(way.name);
        if let Some(here) = self.mapping(node, way) {
            let tables = [tables, &[slice::from_ref(&REQUIRED)]].concat();
            self.keys(here, way, "", &tables, &mut section.values);
        }
        section
    }

    /// The keys at `here`, whose names in the tables begin with `prefix`.
    pub(super) fn keys(
        &mut self,
        here: &'c Node,
        way: &Way,
        prefix: &str,
        tables: &[&'static [Key]],
        values: &mut Vec<Given>,
    ) {
        let keys = || tables.iter().flat_map(|keys| keys.iter());
        for (key, node) in here.entries() {
            let way = way.to(&key.text);
            let rest = |known: &Key| known.name.strip_prefix(prefix)?.strip_prefix(&*key.text);
            let known = keys().find(|key| rest(key) == Some(""));
            if let Some((outer, inner)) = known.and(key.text.rsplit_once('.')) {
                let advice = format!("write it as {inner} in the section {outer}");
                self.mistake(key.place, way, format!("unknown key: {advice}"));
                continue;
            }
            if let Some(known) = known {
                values.extend(self.value(node, &way, known));
                continue;
            }
            if keys().any(|key| rest(key).is_some_and(|rest| rest.starts_with('.'))) {
                if let Some(here) = self.mapping(node, &way) {
                    let inner = format!("{prefix}{}.", key.text);
                    self.keys(here, &way, &inner, tables, values);
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
                self.mistake(key.place, way, text);
            } else if SECRETS.contains(&key.text.as_str()) {
                let files = keys().filter(|key| matches!(key.kind, Kind::Path | Kind::Paths));
                let advice = nearest(&file, files.clone().map(|key| key.name))
                    .or_else(|| nearest(&key.text, files.map(|key| key.name)))
                    .map_or(String::new(), |near| {
                        format!(": {near} takes the path of a file")
                    });
                self.mistake(key.place, way, format!("{SECRET}{advice}"));
            } else {
                let known =
                    keys().filter_map(|key| key.name.strip_prefix(prefix)?.split('.').next());
                let mut known: Vec<&str> = known.collect();
                known.dedup();
                let advice = advice(&key.text, &known);
                self.mistake(key.place, way, format!("unknown key: {advice}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::files::Raw;
    use crate::config::yaml;
    use crate::schema::Value;

    const KEYS: &[Key] = &[
        Key::new("address", Kind::Text),
        Key::new("ca_cert", Kind::Path),
        Key::new("directories", Kind::Paths),
        Key::new("kv_version", Kind::Choice(&["auto", "1", "2"])),
        Key::new("auth.method", Kind::Text),
        Key::new("auth.role_id_file", Kind::Path),
        Key::new("auth.secret_id_file", Kind::Path),
    ];

    /// The values of a section with [`KEYS`] in /conf/c.yaml, or what is wrong in it.
    fn read(text: &str) -> Result<Vec<(&'static str, Value)>, Vec<String>> {
        let raw = Raw {
            files: vec![Path::new("/conf/c.yaml").into()],
            ..Raw::default()
        };
        let root = yaml::parse(text.as_bytes(), 0).unwrap();
        let mut checker = Checker::new(&raw, &root, None, false);
        let way = Way {
            above: None,
            name: "v",
        };
        let values = checker.backend(&root, &way, &[KEYS]).values;
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
