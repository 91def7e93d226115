//! Names that are not places: a name that the configuration has as a ref is looked up in one store alone, if its policy
//! allows the role of the caller. A guard against mistakes, no boundary: who can run the backend can read the secret.

use crate::name::Name;
use crate::sys;
use crate::text::{list, quoted};

/// What the configuration says of names.
#[derive(Clone, Debug, Default)]
pub struct Refs {
    /// Whether other names are refused.
    pub only: bool,
    /// The backends that the caller has named for this call: no others are asked.
    pub among: Option<Vec<String>>,
    /// The names, where each is, and who may ask.
    pub refs: Vec<Ref>,
    /// The stores of this machine.
    pub stores: Vec<Store>,
    /// The policies.
    pub policies: Vec<Policy>,
}

/// A name.
#[derive(Clone, Debug)]
pub struct Ref {
    /// The name.
    pub name: String,
    /// The store that has it.
    pub store: String,
    /// Where in the store.
    pub path: String,
    /// Who may ask for it.
    pub policy: String,
}

/// A place that a backend has.
#[derive(Clone, Debug)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// The backend.
    pub backend: String,
    /// What stands before every path.
    pub root: String,
}

/// Who may ask.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Their roles.
    pub allowed: Vec<String>,
}

/// Where a ref leads to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The ref.
    pub name: String,
    /// Its store.
    pub store: String,
    /// Its policy.
    pub policy: String,
    /// The role that the policy allows.
    pub role: String,
    /// The store's backend.
    pub backend: String,
    /// What the backend is asked for.
    pub there: Name,
}

impl Store {
    /// The name of `path` in this store.
    ///
    /// # Errors
    /// Why it has none.
    pub fn name_of(&self, path: &str) -> Result<Name, String> {
        if self.root.contains('#') {
            return Err(format!(
                "the root of the store {} must not contain '#'",
                self.name
            ));
        }
        let name = format!("{}/{path}", self.root.trim_end_matches('/'));
        Name::parse(&name).map_err(|error| error.to_string())
    }
}

/// Whether `text` can name a ref, a store, a policy or a role.
pub fn is_identifier(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(good)
}

/// The rule that [`is_identifier`] checks.
pub const IDENTIFIER: &str = "expected a lower-case letter and then a-z, 0-9 and _";

impl Refs {
    /// Whether `name` may be asked for at all, whatever the role.
    pub fn has_room_for(&self, name: &Name) -> bool {
        !self.only || self.refs.iter().any(|it| it.name == name.path())
    }

    /// Where `name` leads to; `None`: it is no ref, so the chain is asked.
    ///
    /// # Errors
    /// Why it must not be asked for, or cannot be had here: nothing is asked then.
    pub fn target(&self, name: &Name) -> Result<Option<Target>, String> {
        let Some(it) = self.refs.iter().find(|it| it.name == name.path()) else {
            return match self.only {
                true => Err(format!(
                    "{name} is not in refs, and refs_only allows no other name"
                )),
                false => Ok(None),
            };
        };
        let Ref {
            name: known,
            store,
            policy,
            ..
        } = it;
        let Some(role) = sys::variable("MXM_ROLE") else {
            return Err(format!(
                "MXM_ROLE is not set, but the policy {policy} of {known} needs a role"
            ));
        };
        let role = role.to_string_lossy().into_owned();
        if !is_identifier(&role) {
            return Err(format!("MXM_ROLE is {}: {IDENTIFIER}", quoted(&role)));
        }
        let allowed = self.policies.iter().find(|known| known.name == *policy);
        let Some(allowed) = allowed.map(|policy| &policy.allowed) else {
            return Err(format!("the policy {policy} of {known} does not exist"));
        };
        if !allowed.contains(&role) {
            return Err(format!(
                "{name}: denied: the policy {policy} does not allow the role {role}"
            ));
        }
        let Some(place) = self.stores.iter().find(|known| known.name == *store) else {
            let stores = list(self.stores.iter().map(|store| &store.name));
            let stores = if stores.is_empty() { "none" } else { &stores };
            return Err(format!(
                "{known} is in the store {store}, which this machine does not have; it has: {stores}"
            ));
        };
        let backend = &place.backend;
        if let Some(named) = self.among.as_ref().filter(|named| !named.contains(backend)) {
            return Err(format!(
                "{known} is in the store {store} of the backend {backend}, but --backend names only {}",
                list(named)
            ));
        }
        let field = Some("").filter(|_| name.is_first_line()).or(name.field());
        let path = match (field, it.path.contains('#')) {
            (Some(_), true) => {
                return Err(format!("{name}: the path of {known} already names a field"));
            }
            (Some(field), false) => format!("{}#{field}", it.path),
            (None, _) => it.path.clone(),
        };
        let there = place
            .name_of(&path)
            .map_err(|why| format!("{known}: {why}"))?;
        Ok(Some(Target {
            name: known.clone(),
            store: store.clone(),
            policy: policy.clone(),
            role,
            backend: place.backend.clone(),
            there,
        }))
    }

    /// The refs whose store this machine does not have.
    pub fn out_of_reach(&self) -> impl Iterator<Item = &Ref> {
        let has = |it: &&Ref| self.stores.iter().any(|store| store.name == it.store);
        self.refs.iter().filter(move |it| !has(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_small_letters_digits_and_underscores() {
        for good in ["a", "a_1", "databento_api_key"] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in ["", "1a", "_a", "A", "a-b", "a.b", "a b", "é", "a\n"] {
            assert!(!is_identifier(bad), "{bad}");
        }
    }

    #[test]
    fn a_root_ends_where_its_slashes_begin() {
        let there = |root: &str, path: &str| {
            let store = Store {
                name: "s".to_owned(),
                backend: "env".to_owned(),
                root: root.to_owned(),
            };
            store
                .name_of(path)
                .ok()
                .map(|name| name.as_str().to_owned())
        };
        assert_eq!(there("mxm/red/", "a/b").as_deref(), Some("mxm/red/a/b"));
        assert_eq!(there("mxm//", "a#f").as_deref(), Some("mxm/a#f"));
        for (root, path) in [
            ("/", "a"),
            ("m", "/a"),
            ("m", "../a"),
            ("m", "a\n"),
            ("m#x", "a"),
            ("m", "a#b#c"),
            ("/m", "a"),
            ("m", "a/"),
        ] {
            assert_eq!(there(root, path), None, "{root} {path}");
        }
    }
}
