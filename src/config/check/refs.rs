//! `refs`, `stores` and `policies`: names that are not places.

use super::{Checker, Way, entries};
use crate::backend;
use crate::config::interpolation::Location;
use crate::config::yaml::Place;
use crate::refs::{IDENTIFIER, Policy, Ref, Refs, Store, is_identifier};
use crate::schema::{Key, Kind, Section};
use crate::text::quoted;

/// The keys of our section that hold them.
pub const KINDS: [&str; 3] = ["refs", "stores", "policies"];

const fn key(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        default: "",
        variable: None,
        about: "",
    }
}

/// The keys of each entry of `refs`, `stores` and `policies`, all of them required.
const KEYS: [&[Key]; 3] = [
    &[
        key("store", Kind::Strict),
        key("path", Kind::Strict),
        key("policy", Kind::Strict),
    ],
    &[key("backend", Kind::Strict), key("root", Kind::Strict)],
    &[key("allowed_principals", Kind::StrictList)],
];

/// An entry that has all of its keys, and where it stands.
pub struct Entry {
    kind: usize,
    name: String,
    place: Place,
    section: Section,
}

impl<'c> Checker<'c> {
    /// The entries of `refs` (kind 0), `stores` (1) or `policies` (2).
    pub(super) fn entries_of(&mut self, kind: usize, at: Location<'c>, path: &Way) -> Vec<Entry> {
        let mut all = Vec::new();
        let Some(here) = self.mapping(at, path) else {
            return all;
        };
        let keys: &'static [Key] = KEYS.get(kind).copied().unwrap_or_default();
        for (key, node) in entries(here.node) {
            let path = path.to(&key.text);
            if !key.is_text || !is_identifier(&key.text) {
                self.mistake(key.place, path, format!("bad name: {IDENTIFIER}"));
                continue;
            }
            let mistakes = self.wrong.len();
            let mut values = Vec::new();
            if let Some(inner) = self.mapping(here.child(node), &path) {
                self.keys(&inner, &path, "", &[keys], &mut values);
            }
            let section = Section {
                name: format!("{}.{}", KINDS.get(kind).unwrap_or(&""), key.text),
                values,
            };
            let mut whole = self.wrong.len() == mistakes;
            for needed in keys.iter().filter(|key| section.given(key.name).is_none()) {
                let way = path.to(needed.name).to_string();
                let excused = self.elsewhere.is_some_and(|has| has(&way));
                if whole && !excused {
                    self.mistake(key.place, path, format!("{} is missing", needed.name));
                }
                whole &= !excused;
            }
            if whole && self.wrong.len() == mistakes {
                all.push(Entry {
                    kind,
                    name: key.text.clone(),
                    place: key.place,
                    section,
                });
            }
        }
        all
    }

    /// What the entries say, after all of our section has been read: `own` are the user's own backends.
    pub(super) fn refs(
        &mut self,
        all: Vec<Entry>,
        own: &[&str],
        only: bool,
    ) -> (Refs, Vec<Section>) {
        let mut refs = Refs {
            only,
            ..Refs::default()
        };
        for entry in &all {
            let text = |key: &str| entry.section.text(key).unwrap_or_default().to_owned();
            let name = entry.name.clone();
            match entry.kind {
                0 => {
                    refs.refs.push(Ref {
                        name,
                        store: text("store"),
                        path: text("path"),
                        policy: text("policy"),
                    });
                }
                1 => refs.stores.push(Store {
                    name,
                    backend: text("backend"),
                    root: text("root"),
                }),
                _ => refs.policies.push(Policy {
                    name,
                    allowed: entry
                        .section
                        .texts("allowed_principals")
                        .unwrap_or_default()
                        .to_vec(),
                }),
            }
        }
        let elsewhere = self.elsewhere;
        let has =
            |way: String| elsewhere.is_some_and(|has| has(&format!("{}.{way}", super::SECTION)));
        for entry in &all {
            let mut wrong = Vec::new();
            let mut check = |good: bool, key: &str, why: &dyn std::fmt::Display| {
                if !good {
                    wrong.push((key.to_owned(), why.to_string()));
                }
            };
            let text = |key: &str| entry.section.text(key).unwrap_or_default();
            match entry.kind {
                0 => {
                    let (store, policy, path) = (text("store"), text("policy"), text("path"));
                    check(is_identifier(store), "store", &IDENTIFIER);
                    check(is_identifier(policy), "policy", &IDENTIFIER);
                    check(
                        is_trimmed(path),
                        "path",
                        &"expected a string without spaces at its ends",
                    );
                    check(
                        !path.starts_with('/'),
                        "path",
                        &"must not begin with '/': it is below the root of its store",
                    );
                    let known = refs.policies.iter().any(|known| known.name == policy);
                    check(
                        known
                            || !is_identifier(policy)
                            || has(format!("policies.{policy}.allowed_principals")),
                        "policy",
                        &format_args!("the policy {policy} does not exist"),
                    );
                    let there = refs.stores.iter().find(|known| known.name == store);
                    // Where this machine lacks the store, any root shows whether the path is good.
                    let any = Store {
                        name: store.to_owned(),
                        backend: String::new(),
                        root: "r".to_owned(),
                    };
                    if let Err(why) = there.unwrap_or(&any).name_of(path)
                        && is_trimmed(path)
                    {
                        let root = all.iter().find(|it| it.kind == 1 && it.name == store);
                        let root =
                            root.and_then(|it| super::place_of(self.raw, &it.section, "root"));
                        let quotes = root.is_some_and(|root| self.from_variables.contains(&root));
                        let why = if quotes { super::NOT_VALID } else { &why };
                        check(path.starts_with('/'), "path", &why);
                    }
                }
                1 => {
                    let (name, root) = (text("backend"), text("root"));
                    let known = match backend::entry(name) {
                        Some(entry) if entry.open.is_none() => {
                            Err(format!("the backend {name} is not built into this program"))
                        }
                        Some(_) => Ok(()),
                        None if own.contains(&name) || has(format!("{name}.command")) => Ok(()),
                        None => Err(format!("unknown backend {}", quoted(name))),
                    };
                    if let Err(why) = known {
                        check(false, "backend", &why);
                    }
                    check(
                        is_trimmed(root),
                        "root",
                        &"expected a string without spaces at its ends",
                    );
                }
                _ => {
                    let roles = entry
                        .section
                        .texts("allowed_principals")
                        .unwrap_or_default();
                    for (index, role) in roles.iter().enumerate() {
                        let key = "allowed_principals";
                        check(
                            is_identifier(role),
                            key,
                            &format!("{}: {IDENTIFIER}", quoted(role)),
                        );
                        check(
                            !roles[..index].contains(role),
                            key,
                            &format_args!("{role} is named twice"),
                        );
                    }
                }
            }
            let above = Way {
                above: Some(&super::TOP_WAY),
                name: &entry.section.name,
            };
            for (key, why) in wrong {
                let place = super::place_of(self.raw, &entry.section, &key).unwrap_or(entry.place);
                self.mistake(place, above.to(&key), why);
            }
        }
        (refs, all.into_iter().map(|entry| entry.section).collect())
    }
}

/// Whether `text` is something, without blanks at its ends.
fn is_trimmed(text: &str) -> bool {
    !text.is_empty() && text.trim() == text
}
