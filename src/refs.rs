//! Names that are not places: a name that the configuration has as a ref is looked up in one store alone, if its policy
//! allows the role of the caller. A guard against mistakes, no boundary: who can run the backend can read the secret.

use crate::name::Name;
use crate::schema::Section;
use crate::sys;
use crate::text::{list, quoted};

/// The keys of the configuration that hold the entries.
pub const KINDS: [&str; 3] = ["refs", "stores", "policies"];

/// What the configuration says of names.
#[derive(Debug, Default)]
pub struct Refs {
    /// Whether other names are refused.
    pub only: bool,
    /// The backends that the caller has named for this call: no others are asked.
    pub among: Option<Vec<String>>,
    /// The refs, the stores of this machine and the policies, each under its whole name: `refs.NAME`.
    pub entries: Vec<Section>,
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

/// The role of the caller, which refs are asked for with.
///
/// # Errors
/// It cannot be the name of one.
pub fn role() -> Result<Option<String>, String> {
    let role = sys::variable("MXM_ROLE").map(|role| role.to_string_lossy().into_owned());
    match role {
        Some(role) if !is_identifier(&role) => {
            Err(format!("MXM_ROLE is {}: {IDENTIFIER}", quoted(&role)))
        }
        role => Ok(role),
    }
}

/// The name of `path` in a store whose root is `root`.
///
/// # Errors
/// Why it has none.
pub fn inside(root: &str, path: &str) -> Result<Name, String> {
    let name = format!("{}/{path}", root.trim_end_matches('/'));
    Name::parse(&name).map_err(|error| error.to_string())
}

/// Whether `text` can name a ref, a store, a policy or a role.
pub fn is_identifier(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(good)
}

/// The rule that [`is_identifier`] checks.
pub const IDENTIFIER: &str = "expected a lower-case letter and then a-z, 0-9 and _";

impl Refs {
    /// The names and entries of `kind`, which is one of [`KINDS`].
    pub fn of(&self, kind: &str) -> impl Iterator<Item = (&str, &Section)> {
        self.entries.iter().filter_map(move |entry| {
            let name = entry.name.strip_prefix(kind)?.strip_prefix('.')?;
            Some((name, entry))
        })
    }

    /// The entry of `kind` with this name.
    pub fn entry(&self, kind: &str, name: &str) -> Option<&Section> {
        let mut entries = self.of(kind);
        entries.find_map(|(known, entry)| (known == name).then_some(entry))
    }

    /// Why `name` must not be asked for, whatever the role.
    pub fn refuses(&self, name: &Name) -> Option<String> {
        let refused = self.only && self.entry("refs", name.path()).is_none();
        refused.then(|| format!("{name} is not in refs, and refs_only allows no other name"))
    }

    /// Where `name` leads to; `None`: it is no ref, so the chain is asked.
    ///
    /// # Errors
    /// Why it must not be asked for, or cannot be had here: nothing is asked then.
    pub fn target(&self, name: &Name) -> Result<Option<Target>, String> {
        if let Some(why) = self.refuses(name) {
            return Err(why);
        }
        let known = name.path();
        let Some(entry) = self.entry("refs", known) else {
            return Ok(None);
        };
        let [store, path, policy] =
            ["store", "path", "policy"].map(|key| entry.text(key).unwrap_or_default());
        let Some(role) = role()? else {
            return Err(format!(
                "MXM_ROLE is not set, but the policy {policy} of {known} needs a role"
            ));
        };
        let allowed = self.entry("policies", policy);
        let Some(allowed) = allowed.and_then(|policy| policy.texts("allowed_principals")) else {
            return Err(format!("the policy {policy} of {known} does not exist"));
        };
        if !allowed.contains(&role) {
            return Err(format!(
                "{name}: denied: the policy {policy} does not allow the role {role}"
            ));
        }
        let Some(place) = self.entry("stores", store) else {
            let stores = list(self.of("stores").map(|(name, _)| name));
            let stores = if stores.is_empty() { "none" } else { &stores };
            return Err(format!(
                "{known} is in the store {store}, which this machine does not have; it has: {stores}"
            ));
        };
        let [backend, root] = ["backend", "root"].map(|key| place.text(key).unwrap_or_default());
        if let Some(named) = &self.among
            && !named.iter().any(|name| name == backend)
        {
            return Err(format!(
                "{known} is in the store {store} of the backend {backend}, but --backend names only {}",
                list(named)
            ));
        }
        let field = Some("").filter(|_| name.is_first_line()).or(name.field());
        let there = match (field, path.contains('#')) {
            (Some(_), true) => {
                return Err(format!("{name}: the path of {known} already names a field"));
            }
            (Some(field), false) => inside(root, &format!("{path}#{field}")),
            (None, _) => inside(root, path),
        };
        Ok(Some(Target {
            name: known.to_owned(),
            store: store.to_owned(),
            policy: policy.to_owned(),
            role,
            backend: backend.to_owned(),
            there: there.map_err(|why| format!("{known}: {why}"))?,
        }))
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
        let there =
            |root: &str, path: &str| inside(root, path).ok().map(|name| name.as_str().to_owned());
        assert_eq!(there("mxm/red/", "a/b").as_deref(), Some("mxm/red/a/b"));
        assert_eq!(there("mxm//", "a#f").as_deref(), Some("mxm/a#f"));
        for (root, path) in [
            ("/", "a"),
            ("m", "/a"),
            ("m", "../a"),
            ("m", "a\n"),
            ("m#x", "a#b"),
            ("m", "a#b#c"),
            ("/m", "a"),
            ("m", "a/"),
        ] {
            assert_eq!(there(root, path), None, "{root} {path}");
        }
    }
}
