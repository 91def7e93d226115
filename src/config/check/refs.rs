//! `refs`, `stores` and `policies`: names that are not places.

use super::{Checker, NOT_VALID, SECTION, TOP_WAY, Way, place_of};
use crate::backend;
use crate::config::yaml::Node;
use crate::name::Name;
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
    /// The entries of `refs` (kind 0), `stores` (1) or `policies` (2), those with mistakes as far as they are right.
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
            let mut section = Section::named(format!("{}.{}", KINDS[kind], key.text));
            let inner = self.mapping(node, &way);
            if let Some(inner) = inner {
                self.keys(inner, &way, "", &[KEYS[kind]], &mut section.values);
            }
            all.push(section);
            // Where one layer has the entry, another may have null for all of it, or for a key.
            let place = match inner {
                Some(_) => key.place,
                None if self.is_null(node) => node.place,
                None => continue,
            };
            for needed in KEYS[kind] {
                let given = inner.and_then(|inner| inner.get(needed.name));
                let is_missing = given.is_none_or(|given| self.is_null(given));
                if is_missing && !self.is_elsewhere(way.to(needed.name)) {
                    let place = given.map_or(place, |given| given.place);
                    self.mistake(place, way, format!("{} is missing", needed.name));
                }
            }
        }
    }

    fn is_null(&self, node: &'c Node) -> bool {
        self.tree.follow(node).is_ok_and(|found| found.is_null())
    }

    /// Checks what the entries say, after all of our section has been read: `own` are the user's own backends.
    pub(super) fn check_refs(&mut self, refs: &Refs, own: &[&str]) {
        for (_, entry) in refs.of("refs") {
            self.check_ref(refs, entry);
        }
        for (_, entry) in refs.of("stores") {
            let [name, root] = ["backend", "root"].map(|key| entry.text(key));
            match name.map(|name| (name, backend::entry(name))) {
                Some((name, Some(known))) if known.open.is_none() => {
                    let why = format!("the backend {name} is not built into this program");
                    self.wrong_in(entry, "backend", why);
                }
                Some((name, None)) if !own.contains(&name) && !self.is_backend_elsewhere(name) => {
                    let why = format!("unknown backend {}", quoted(name));
                    self.wrong_in(entry, "backend", why);
                }
                _ => {}
            }
            if let Some(Err(why)) = root.map(check_root) {
                self.wrong_in(entry, "root", why);
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
        let [store, path, policy] = ["store", "path", "policy"].map(|key| entry.text(key));
        if store.is_some_and(|store| !is_identifier(store)) {
            self.wrong_in(entry, "store", IDENTIFIER);
        }
        if policy.is_some_and(|policy| !is_identifier(policy)) {
            self.wrong_in(entry, "policy", IDENTIFIER);
        } else if let Some(policy) = policy
            && refs.entry("policies", policy).is_none()
            && !self.is_elsewhere(format_args!("{SECTION}.policies.{policy}"))
        {
            let why = format!("the policy {policy} does not exist");
            self.wrong_in(entry, "policy", why);
        }
        let Some(path) = path else {
            return;
        };
        if !is_trimmed(path) {
            return self.wrong_in(entry, "path", TRIMMED);
        }
        if path.starts_with('/') {
            let why = "must not begin with '/': it is below the root of its store";
            return self.wrong_in(entry, "path", why);
        }
        // Without the store or with a bad root, any root shows whether the path is good.
        let there = store.and_then(|store| refs.entry("stores", store));
        let root = there.and_then(|store| store.text("root"));
        let root = root.filter(|root| check_root(root).is_ok()).unwrap_or("r");
        if let Err(why) = inside(root, path) {
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

/// Whether a name can begin with this root of a store.
fn check_root(root: &str) -> Result<(), String> {
    match root.trim_end_matches('/') {
        _ if !is_trimmed(root) => Err(TRIMMED.to_owned()),
        _ if root.contains('#') => Err("must not contain '#'".to_owned()),
        "" => Err("must not be only slashes".to_owned()),
        root => Name::parse(root).map(drop).map_err(|it| it.to_string()),
    }
}

/// Whether `text` is something, without spaces at its ends.
fn is_trimmed(text: &str) -> bool {
    !text.is_empty() && text.trim() == text
}
