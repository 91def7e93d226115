//! `credentials_for`: which unit may have which secrets, when systemd asks for them.

use super::{CREDENTIALS_FOR, Checker, Way};
use crate::config::yaml::{Data, Node};
use crate::credential::{check_secret, check_units, id_of};
use crate::nearest::advice;
use crate::request::{Request, Set};
use crate::schema::{Key, Kind, Section};

/// The list of a unit.
const LIST: &Key = &Key::new("", Kind::StrictList);

impl<'c> Checker<'c> {
    /// The allow list.
    pub(super) fn credentials(&mut self, node: &'c Node, way: &Way, sets: &[Set]) -> Vec<Section> {
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
                let fits = check_secret(secret).and_then(|()| check_variable(secret, sets));
                if let Err(why) = fits {
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

/// Checks that SET.VAR, of a set that is there, is in it: as the name of a secret it would lead elsewhere.
fn check_variable(entry: &str, sets: &[Set]) -> Result<(), String> {
    let Some((set, variable)) = entry.rsplit_once('.') else {
        return Ok(());
    };
    let Some(set) = sets.iter().find(|known| known.name == set) else {
        return Ok(());
    };
    let known: Vec<&str> = set.requests.iter().filter_map(Request::variable).collect();
    match known.contains(&variable) {
        true => Ok(()),
        false => Err(format!(
            "{entry}: the set {} has no variable {variable}: {}",
            set.name,
            advice(variable, &known)
        )),
    }
}
