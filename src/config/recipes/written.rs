//! The recipes as they are written. To parse all of them would cost half a millisecond where one is asked for.

use std::sync::OnceLock;

use super::Recipe;
use crate::backend;
use crate::config::yaml::{self, Data, Node};
use crate::schema::{Command, Key, Kind, Rule, Section, Source, Value};

const FILE: &str = include_str!("../recipes.yaml");

/// A recipe, and what it was parsed to.
pub struct Written {
    text: &'static str,
    recipe: OnceLock<Recipe>,
}

/// Every one: the paragraphs of the file, without the first, which is a comment.
pub fn all() -> &'static [Written] {
    static ALL: OnceLock<Vec<Written>> = OnceLock::new();
    ALL.get_or_init(|| {
        let texts = FILE.split("\n\n").skip(1);
        let all = texts.map(|text| Written {
            text,
            recipe: OnceLock::new(),
        });
        all.collect()
    })
}

/// The one called `name`.
pub fn called(name: &str) -> Option<&'static Written> {
    all().iter().find(|written| written.name() == name)
}

impl Written {
    fn name(&self) -> &'static str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// Parsed by the first who asks.
    pub fn recipe(&self) -> &Recipe {
        self.recipe.get_or_init(|| {
            let root = yaml::parse(self.text.as_bytes(), 0).ok();
            let node = root.as_ref().and_then(|root| root.get(self.name()));
            Recipe::read(self.name(), node)
        })
    }
}

impl Recipe {
    /// A test shows that nothing of the file is passed over.
    fn read(name: &'static str, node: Option<&Node>) -> Recipe {
        let said = |what| node?.get(what);
        let mut section = Section::named(name);
        for (key, node) in entries(node) {
            let own = backend::OWN.map_or(&[][..], |entry| entry.keys).iter();
            for known in own.filter(|known| known.name == key.text) {
                let value = match known.kind {
                    Kind::Command => Value::Command(Command {
                        words: texts(node),
                        shown: texts(node),
                    }),
                    Kind::Rules => Value::Rules(node.children().map(rule).collect()),
                    Kind::Texts => Value::Texts(texts(node)),
                    _ => Value::Text(text(node)),
                };
                section.put(known.name, value, Source::BuiltIn);
            }
        }
        Recipe {
            name,
            reads: said("reads").map_or("", |node| text(node).leak()),
            tried_with: said("tried with").map_or("its documentation", |node| text(node).leak()),
            needs: entries(said("needs")).iter().map(key).collect(),
            takes: entries(said("takes")).iter().map(key).collect(),
            section,
        }
    }
}

fn entries(node: Option<&Node>) -> &[(yaml::Key, Node)] {
    node.map_or(&[], Node::entries)
}

fn text(node: &Node) -> String {
    let text = node.scalar().map_or("", |scalar| scalar.text());
    text.to_owned()
}

fn texts(node: &Node) -> Vec<String> {
    node.children().map(text).collect()
}

/// A parameter. What a table of keys names lives as long as the program.
fn key((name, node): &(yaml::Key, Node)) -> Key {
    let said = |what| node.get(what).map_or("", |node| text(node).leak());
    Key {
        name: name.text.clone().leak(),
        kind: match said("kind") {
            "path" => Kind::Path,
            _ => Kind::Text,
        },
        default: said("default"),
        variable: None,
        about: said("about"),
    }
}

/// How a program may end: `empty`, or a status, what it says, or both.
fn rule(node: &Node) -> Rule {
    match &node.data {
        Data::Map(_) => Rule {
            status: node
                .get("status")
                .and_then(|node| match text(node).as_str() {
                    "empty" => Some(0),
                    number => number.parse().ok(),
                }),
            says: node.get("says").map(text),
            says_only: node.get("says_only").map(text),
        },
        _ => Rule {
            status: Some(0),
            says: None,
            says_only: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::recipes;
    use super::*;
    use crate::schema::REQUIRED;
    use crate::text::fill;

    #[test]
    fn every_recipe_is_whole() {
        let root = yaml::parse(FILE.as_bytes(), 0).unwrap();
        assert_eq!(all().len(), root.entries().len());
        let own = backend::OWN.map_or(&[][..], |entry| entry.keys);
        for (recipe, (key, node)) in recipes().zip(root.entries()) {
            let name = recipe.name;
            assert_eq!(name, key.text);
            let of_recipes = ["reads", "tried with", "needs", "takes"];
            for (key, _) in node.entries() {
                let known = own.iter().any(|own| own.name == key.text);
                assert!(known || of_recipes.contains(&key.text.as_str()), "{name}");
            }
            let parameters: Vec<&Key> = recipe.needs.iter().chain(&recipe.takes).collect();
            let command = &recipe.section.command("command").unwrap().words;
            for key in &parameters {
                let mut taken = own.iter().chain([&REQUIRED]);
                let key = key.name;
                assert!(taken.all(|own| own.name != key), "{name}: {key}");
                let is_used = |word: &String| word.contains(&format!("{{{key}}}"));
                assert!(command.iter().any(is_used), "{name}: {key}");
            }
            // What looks like a placeholder is one, and the name is among them.
            let found = RefCell::new(Vec::new());
            for word in command {
                fill(word, |placeholder| {
                    found.borrow_mut().push(placeholder.to_owned());
                    None
                });
            }
            let found = found.into_inner();
            let names = ["name", "reference", "variable"];
            assert!(found.iter().any(|it| names.contains(&it.as_str())) || name == "vals");
            let words = found.iter().map(String::as_str);
            for word in words.filter(|word| word.chars().all(char::is_alphabetic)) {
                let known = names.contains(&word) || ["field", "end"].contains(&word);
                let is_parameter = parameters.iter().any(|key| key.name == word);
                assert!(known || is_parameter, "{name}: {word}");
            }
            for given in &recipe.section.values {
                let key = own.iter().find(|own| own.name == given.key).unwrap();
                if let (Kind::Choice(words), Value::Text(value)) = (key.kind, &given.value) {
                    assert!(words.contains(&value.as_str()), "{name}: {value}");
                }
            }
            assert_eq!(recipes().filter(|it| it.name == name).count(), 1);
            let mut unattended = recipe
                .section
                .texts("unattended")
                .unwrap_or_default()
                .iter();
            assert!(unattended.all(|pair| pair.contains('=')));
            // A status alone proves nothing, unless it is that of an empty value.
            let proves = |rule: &Rule| {
                rule.status == Some(0) || rule.says.is_some() || rule.says_only.is_some()
            };
            let mut rules = recipe.section.rules("miss").unwrap_or_default().iter();
            assert!(rules.all(proves), "{name}");
        }
    }
}
