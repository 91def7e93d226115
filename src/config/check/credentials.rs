//! `credentials_for`: which unit may have which secrets, when systemd asks for them.

use super::{CREDENTIALS_FOR, Checker, Way};
use crate::config::yaml::{Data, Node};
use crate::credential::{check_secret, check_units, id_of};
use crate::schema::{Key, Kind, Section};

/// The list of a unit.
const LIST: &Key = &Key::new("", Kind::StrictList);

impl<'c> Checker<'c> {
    /// The allow list.
    pub(super) fn credentials(&mut self, node: &'c Node, way: &Way) -> Vec<Section> {
        let mut all = Vec::new();
        let Some(here) = self.mapping(node, way) else {
            return all;
        };
        for (key, node) in here.entries() {
            let way = way.to(&key.text);
            if let Err(why) = check_units(&key.text) {
                self.mistake(key.place, way, why);
            }
            let mut list = Section::named(format!("{CREDENTIALS_FOR}.{}", key.text));
            list.values.extend(self.value(node, &way, LIST));
            let secrets = list.texts("").unwrap_or_default();
            for (index, secret) in secrets.iter().enumerate() {
                // An item has a place of its own, unless an interpolation has given the list.
                let item = match &node.data {
                    Data::List(items) => items.get(index),
                    _ => None,
                };
                let place = item.unwrap_or(node).place;
                let id = id_of(secret);
                let other = secrets.iter().take(index).find(|it| id_of(it) == id);
                if let Err(why) = check_secret(secret) {
                    self.mistake(place, way, why);
                } else if let Some(other) = other {
                    let text = format!("{secret} and {other} are both the credential {id}");
                    self.mistake(place, way, text);
                }
            }
            all.push(list);
        }
        all
    }
}
