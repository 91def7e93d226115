//! The recipes of `recipes.yaml`, which says what they are.

use crate::schema::{Key, Section};
#[cfg(feature = "config")]
use {
    super::yaml::{self, Data, Node},
    crate::backend,
    crate::schema::{Command, Kind, Rule, Source, Value},
    std::sync::OnceLock,
};

/// One recipe.
pub struct Recipe {
    /// The name by which a section asks for it.
    pub name: &'static str,
    /// One line for people: what it reads, and where the secret `prod/api-key` is.
    pub reads: &'static str,
    /// The program and the version that it was tried with.
    pub tried_with: &'static str,
    /// The parameters that its section must give.
    pub needs: Vec<Key>,
    /// The other parameters.
    pub takes: Vec<Key>,
    /// What it says, with `{PARAMETER}` beside the placeholders for the name.
    pub section: Section,
}

/// Every recipe, in the order in which they are listed.
pub fn recipes() -> &'static [Recipe] {
    #[cfg(not(feature = "config"))]
    return &[];
    #[cfg(feature = "config")]
    {
        static RECIPES: OnceLock<Vec<Recipe>> = OnceLock::new();
        RECIPES.get_or_init(|| {
            let root = yaml::parse(include_bytes!("recipes.yaml"), 0);
            let all = root.as_ref().map_or(&[][..], Node::entries).iter();
            all.map(|(name, node)| Recipe::read(&name.text, node))
                .collect()
        })
    }
}

/// The parameters of a section with or without a recipe: those that it must give, and the others.
pub fn parameters(recipe: Option<&'static Recipe>) -> [&'static [Key]; 2] {
    recipe.map_or([&[], &[]], |it| [&it.needs, &it.takes])
}

/// The recipe called `name`.
pub fn recipe(name: &str) -> Option<&'static Recipe> {
    recipes().iter().find(|recipe| recipe.name == name)
}

#[cfg(feature = "config")]
impl Recipe {
    /// A test shows that nothing of the file is passed over.
    fn read(name: &str, node: &Node) -> Recipe {
        let keys = |what| {
            node.get(what)
                .map_or(&[][..], Node::entries)
                .iter()
                .map(key)
        };
        let mut section = Section::named(name);
        for (key, node) in node.entries() {
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
            name: name.to_owned().leak(),
            reads: node.get("reads").map_or("", |node| text(node).leak()),
            tried_with: match node.get("tried with") {
                Some(tried) => text(tried).leak(),
                None => "its documentation",
            },
            needs: keys("needs").collect(),
            takes: keys("takes").collect(),
            section,
        }
    }
}

#[cfg(feature = "config")]
fn text(node: &Node) -> String {
    let text = node.scalar().map_or("", |scalar| scalar.text());
    text.to_owned()
}

#[cfg(feature = "config")]
fn texts(node: &Node) -> Vec<String> {
    node.children().map(text).collect()
}

/// A parameter. What a table of keys names lives as long as the program.
#[cfg(feature = "config")]
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
#[cfg(feature = "config")]
fn rule(node: &Node) -> Rule {
    match &node.data {
        Data::Map(_) => Rule {
            status: node.get("status").and_then(|node| text(node).parse().ok()),
            says: node.get("says").map(text),
        },
        _ => Rule {
            status: Some(0),
            says: None,
        },
    }
}

#[cfg(all(test, feature = "config"))]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::schema::REQUIRED;
    use crate::text::fill;

    #[test]
    fn every_recipe_is_whole() {
        let root = yaml::parse(include_bytes!("recipes.yaml"), 0).unwrap();
        assert_eq!(recipes().len(), root.entries().len());
        let own = backend::OWN.map_or(&[][..], |entry| entry.keys);
        for (recipe, (_, node)) in recipes().iter().zip(root.entries()) {
            let name = recipe.name;
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
            assert_eq!(recipes().iter().filter(|it| it.name == name).count(), 1);
            let mut unattended = recipe
                .section
                .texts("unattended")
                .unwrap_or_default()
                .iter();
            assert!(unattended.all(|pair| pair.contains('=')));
            // A status alone proves nothing, unless it is that of an empty value.
            let proves = |rule: &Rule| rule.status == Some(0) || rule.says.is_some();
            let mut rules = recipe.section.rules("miss").unwrap_or_default().iter();
            assert!(rules.all(proves), "{name}");
        }
    }
}
