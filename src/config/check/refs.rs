//! `refs`, `stores` and `policies`: names that are not places.

use super::{Checker, NOT_VALID, SECTION, TOP_WAY, Way, place_of};
use crate::backend;
use crate::config::yaml::Node;
use crate::refs::{IDENTIFIER, KINDS, Refs, inside, is_identifier};
use crate::schema::{Key, Kind, Section};
use crate::text::quoted;

/// The keys of each entry of `refs`, `stores` and `policies`, all of them required.
const KEYS: [&[Key]; 3] = [
    &[
        Key::new("store", Kind::Strict),
        Key::new("path", Kind::Strict),
        Key::new("policy", Kind::Strict),
    ],
    &[
        Key::new("backend", Kind::Strict),
        Key::new("root", Kind::Strict),
    ],
    &[Key::new("allowed_principals", Kind::StrictList)],
];

/// What a path and a root must be.
const TRIMMED: &str = "expected a string without spaces at its ends";

impl<'c> Checker<'c> {
    /// The entries of `refs` (kind 0), `stores` (1) or `policies` (2) that have all of their keys.
    pub(super) fn entries_of(
        &mut self,
        kind: usize,
        node: &'c Node,
        way: &Way,
        all: &mut Vec<Section>,
    ) {
        let Some(here) = self.mapping(node, way) else {
            return;
        };
        for (key, node) in here.entries() {
            let way = way.to(&key.text);
            if !key.is_text || !is_identifier(&key.text) {
                self.mistake(key.place, way, format!("bad name: {IDENTIFIER}"));
                continue;
            }
            let mistakes = self.wrong.len();
            let mut section = Section::named(format!("{}.{}", KINDS[kind], key.text));
            if let Some(inner) = self.mapping(node, &way) {
                self.keys(inner, &way, "", &[KEYS[kind]], &mut section.values);
            }
            let mut whole = self.wrong.len() == mistakes;
            for needed in KEYS[kind] {
                if section.given(needed.name).is_some() {
                    continue;
                }
                let excused = self.is_elsewhere(way.to(needed.name));
                if whole && !excused {
                    self.mistake(key.place, way, format!("{} is missing", needed.name));
                }
                whole &= !excused;
            }
            if whole && self.wrong.len() == mistakes {
                all.push(section);
            }
        }
    }

    /// Checks what the entries say, after all of our section has been read: `own` are the user's own backends.
    pub(super) fn check_refs(&mut self, refs: &Refs, own: &[&str]) {
        for (_, entry) in refs.of("refs") {
            self.check_ref(refs, entry);
        }
        for (_, entry) in refs.of("stores") {
            let [name, root] = ["backend", "root"].map(|key| entry.text(key).unwrap_or_default());
            let known = || {
                let elsewhere = || self.is_elsewhere(format_args!("{SECTION}.{name}.command"));
                own.contains(&name) || elsewhere()
            };
            match backend::entry(name) {
                Some(known) if known.open.is_none() => {
                    let why = format!("the backend {name} is not built into this program");
                    self.wrong_in(entry, "backend", why);
                }
                None if !known() => {
                    let why = format!("unknown backend {}", quoted(name));
                    self.wrong_in(entry, "backend", why);
                }
                _ => {}
            }
            if !is_trimmed(root) {
                self.wrong_in(entry, "root", TRIMMED);
            }
        }
        for (_, entry) in refs.of("policies") {
            let key = "allowed_principals";
            let roles = entry.texts(key).unwrap_or_default();
            for (index, role) in roles.iter().enumerate() {
                if !is_identifier(role) {
                    self.wrong_in(entry, key, format!("{}: {IDENTIFIER}", quoted(role)));
                }
                if roles[..index].contains(role) {
                    self.wrong_in(entry, key, format!("{role} is named twice"));
                }
            }
        }
    }

    fn check_ref(&mut self, refs: &Refs, entry: &Section) {
        let [store, path, policy] =
            ["store", "path", "policy"].map(|key| entry.text(key).unwrap_or_default());
        if !is_identifier(store) {
            self.wrong_in(entry, "store", IDENTIFIER);
        }
        if !is_identifier(policy) {
            self.wrong_in(entry, "policy", IDENTIFIER);
        } else if refs.entry("policies", policy).is_none()
            && !self.is_elsewhere(format_args!(
                "{SECTION}.policies.{policy}.allowed_principals"
            ))
        {
            let why = format!("the policy {policy} does not exist");
            self.wrong_in(entry, "policy", why);
        }
        if !is_trimmed(path) {
            return self.wrong_in(entry, "path", TRIMMED);
        }
        if path.starts_with('/') {
            let why = "must not begin with '/': it is below the root of its store";
            return self.wrong_in(entry, "path", why);
        }
        // Where this machine lacks the store, any root shows whether the path is good.
        let there = refs.entry("stores", store);
        let root = there.and_then(|store| store.text("root")).unwrap_or("r");
        if let Err(why) = inside(store, root, path) {
            let root = there.and_then(|store| place_of(self.raw, store, "root"));
            let quotes = root.is_some_and(|root| self.from_variables.contains(&root));
            self.wrong_in(entry, "path", if quotes { NOT_VALID } else { &why });
        }
    }

    /// A mistake in the value of a key of an entry.
    fn wrong_in(&mut self, entry: &Section, key: &str, why: impl std::fmt::Display) {
        let above = Way {
            above: Some(&TOP_WAY),
            name: &entry.name,
        };
        if let Some(place) = place_of(self.raw, entry, key) {
            self.mistake(place, above.to(key), why);
        }
    }
}

/// Whether `text` is something, without spaces at its ends.
fn is_trimmed(text: &str) -> bool {
    !text.is_empty() && text.trim() == text
}
