//! What systemd asks for at a socket (systemd.exec(5), `LoadCredential=`), and which unit may have it. It owns the form
//! of the question and the allow list; it asks nobody.

use crate::name::Name;
use crate::schema::UsageError;
use crate::text;

/// What systemd has for a unit in all: the credentials with their names.
pub const LIMIT: usize = 1 << 20;

/// The kinds of units that have credentials.
const KINDS: [&str; 4] = [".service", ".socket", ".mount", ".swap"];

/// What a unit is to have, as systemd asks for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// The unit.
    pub unit: String,
    /// What it calls the credential.
    pub id: String,
}

impl Asked {
    /// Takes the abstract name of systemd's end of the socket apart: `RANDOM/unit/UNIT/ID`, RANDOM in hexadecimal.
    pub fn parse(peer: &[u8]) -> Option<Asked> {
        let mut parts = std::str::from_utf8(peer).ok()?.split('/');
        let (random, unit) = (parts.next()?, parts.next()?);
        let asked = Asked {
            unit: parts.next()?.to_owned(),
            id: parts.next()?.to_owned(),
        };
        let hexadecimal =
            (1..=16).contains(&random.len()) && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let whole = parts.next().is_none() && hexadecimal && unit == "unit";
        (whole && is_unit(&asked.unit) && is_id(&asked.id)).then_some(asked)
    }
}

/// Whether systemd may have a unit of that name.
fn is_unit(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    text.bytes().all(good)
        && text.len() <= 255
        && KINDS
            .iter()
            .any(|kind| text.strip_suffix(kind).is_some_and(|name| !name.is_empty()))
}

/// Whether systemd may have a credential of that name.
fn is_id(text: &str) -> bool {
    let good = |byte: u8| matches!(byte, b' '..=b'~') && !b"/:".contains(&byte);
    text.bytes().all(good) && (1..=255).contains(&text.len()) && !["", ".", ".."].contains(&text)
}

/// Checks what may stand for units in an allow list.
///
/// # Errors
/// The rule.
pub fn check_units(pattern: &str) -> Result<(), String> {
    match is_unit(&pattern.replace('*', "x")) {
        true => Ok(()),
        false => Err(format!(
            "expected a unit such as trader.service or report@*.service, found {}",
            text::quoted(pattern)
        )),
    }
}

/// Checks what may stand for a secret in an allow list.
///
/// # Errors
/// The rule.
pub fn check_secret(entry: &str) -> Result<(), String> {
    if !is_id(&id_of(entry)) {
        return Err(format!(
            "{}: the name of a credential must be ASCII, without ':', and at most 255 bytes",
            text::quoted(entry)
        ));
    }
    name_of(entry)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// What a unit calls the secret `entry`: `_` for each `/`, as the credentials backend has it.
pub fn id_of(entry: &str) -> String {
    let (path, field) = entry.split_at(entry.find('#').unwrap_or(entry.len()));
    path.replace('/', "_") + field
}

/// The secret that `entry` names: what is no path already has `/` for each `_`.
///
/// # Errors
/// The rule that the name breaks.
pub fn name_of(entry: &str) -> Result<Name, UsageError> {
    let (path, field) = entry.split_at(entry.find('#').unwrap_or(entry.len()));
    match path.contains('/') {
        true => Name::parse(entry),
        false => Name::parse(path.replace('_', "/") + field),
    }
}

/// What `lists`, of units and of what they may have, allow for this question.
///
/// # Errors
/// It allows nothing of the kind, or several secrets of that name.
pub fn entry<'a>(
    lists: impl Iterator<Item = (&'a str, &'a [String])>,
    asked: &Asked,
) -> Result<&'a str, String> {
    let Asked { unit, id } = asked;
    let lists = lists.filter(|(units, _)| matches(units, unit));
    let mut entries = lists
        .flat_map(|(_, secrets)| secrets)
        .filter(|entry| id_of(entry) == *id);
    let first = entries.next().ok_or_else(|| {
        format!("{unit}: denied: credentials_for does not allow it the credential {id}")
    })?;
    match entries.find(|entry| *entry != first) {
        None => Ok(first),
        Some(other) => Err(format!(
            "{unit}: credentials_for allows it both {first} and {other} as the credential {id}"
        )),
    }
}

/// Whether the unit is one of those that the pattern stands for.
fn matches(pattern: &str, unit: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = unit.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(unit: &str, id: &str) -> Asked {
        Asked {
            unit: unit.to_owned(),
            id: id.to_owned(),
        }
    }

    #[test]
    fn the_peer_of_systemd_says_who_asks_for_what() {
        for (peer, unit, id) in [
            (
                "1b2c/unit/trader.service/prod_api-key",
                "trader.service",
                "prod_api-key",
            ),
            (
                "0/unit/a@b\\x2dc.service/db#pass word",
                "a@b\\x2dc.service",
                "db#pass word",
            ),
            (
                "0123456789abcdef/unit/x:y.socket/SET.VAR",
                "x:y.socket",
                "SET.VAR",
            ),
        ] {
            assert_eq!(
                Asked::parse(peer.as_bytes()),
                Some(asked(unit, id)),
                "{peer}"
            );
        }
        for peer in [
            &b""[..],
            b"unit/a.service/x",
            b"/unit/a.service/x",
            b"g/unit/a.service/x",
            b"01234567890abcdef/unit/a.service/x",
            b"1/Unit/a.service/x",
            b"1/unit/a/x",
            b"1/unit/.service/x",
            b"1/unit/a.timer/x",
            b"1/unit/a b.service/x",
            b"1/unit/a*.service/x",
            b"1/unit/a.service/",
            b"1/unit/a.service/.",
            b"1/unit/a.service/..",
            b"1/unit/a.service/x/y",
            b"1/unit/a.service/x:y",
            b"1/unit/a.service/x\n",
            b"1/unit/a.service/x\0",
            b"1/unit/a.service/\xc3\xa9",
            b"1/unit/a.service/\xff",
            b"\x001/unit/a.service/x",
        ] {
            assert_eq!(Asked::parse(peer), None, "{}", peer.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn whatever_a_peer_is_called_nothing_odd_comes_of_it(peer in prop::collection::vec(any::<u8>(), 0..108)) {
            prop_assert_eq!(Asked::parse(&peer), None);
        }

        #[test]
        fn an_id_is_what_the_credentials_backend_calls_its_name(name in "[a-z]{1,3}(/[a-z-]{1,3}){0,3}(#[a-z_]{0,3})?") {
            let back = name_of(&id_of(&name)).unwrap();
            prop_assert_eq!(back.as_str(), &name);
        }

        #[test]
        fn a_star_is_any_text(parts in prop::collection::vec("[ab.]{0,3}", 2..5), gap in "[ab.]{0,3}") {
            let pattern = parts.join("*");
            prop_assert!(matches(&pattern, &parts.join(&gap)));
            let other = format!("x{}", parts.join(&gap));
            prop_assert_eq!(matches(&pattern, &other), parts[0].is_empty());
        }
    }

    #[test]
    fn a_pattern_without_a_star_is_the_unit_alone() {
        for (pattern, unit, same) in [
            ("a.service", "a.service", true),
            ("a.service", "a.service.service", false),
            ("a.service", "ba.service", false),
            ("r@*.service", "r@.service", true),
            ("r@*.service", "r@x.service", true),
            ("r@*.service", "r@.servic", false),
            ("r@*.service", "xr@a.service", false),
            ("a*a.service", "a.service", false),
            ("*.service", "a.service", true),
        ] {
            assert_eq!(matches(pattern, unit), same, "{pattern} {unit}");
        }
        for pattern in [
            "trader",
            "",
            "*",
            "a b.service",
            "a/b.service",
            "a.service\n",
            "a?.timer",
        ] {
            assert!(check_units(pattern).is_err(), "{pattern}");
        }
        for pattern in [
            "trader.service",
            "report@*.service",
            "*.service",
            "*.socket",
        ] {
            assert_eq!(check_units(pattern), Ok(()));
        }
    }

    #[test]
    fn a_secret_is_called_by_its_name_or_its_credential() {
        for (entry, name) in [
            ("prod_api-key", "prod/api-key"),
            ("prod/api-key", "prod/api-key"),
            ("prod/my_key", "prod/my_key"),
            ("prod_db#pass_word", "prod/db#pass_word"),
            ("key", "key"),
        ] {
            assert_eq!(name_of(entry).unwrap().as_str(), name);
            assert_eq!(check_secret(entry), Ok(()));
        }
        for entry in [
            "", "_a", "a_", "a__b", "a:b", "/a", "é", "a/../b", "..", "a\nb", "a#b#c",
        ] {
            assert!(check_secret(entry).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn the_list_says_which_of_two_names_is_meant() {
        let owned = |secrets: &[&str]| -> Vec<String> {
            secrets.iter().map(|&secret| secret.to_owned()).collect()
        };
        let lists = [
            ("trader.service", owned(&["prod_api-key", "prod/my_key"])),
            ("t*.service", owned(&["prod/my_key", "prod/my/key2"])),
            ("u.service", owned(&["prod/my_key", "prod_my_key"])),
        ];
        let lists = || lists.iter().map(|(units, secrets)| (*units, &secrets[..]));
        let find = |unit, id| entry(lists(), &asked(unit, id));
        assert_eq!(find("trader.service", "prod_api-key"), Ok("prod_api-key"));
        assert_eq!(find("trader.service", "prod_my_key"), Ok("prod/my_key"));
        assert_eq!(find("t.service", "prod_my_key2"), Ok("prod/my/key2"));
        let two = find("u.service", "prod_my_key").unwrap_err();
        assert!(two.contains("both prod/my_key and prod_my_key"), "{two}");
        for (unit, id) in [
            ("t.service", "prod_api-key"),
            ("x.service", "prod_my_key"),
            ("trader.service", "*"),
        ] {
            assert!(find(unit, id).unwrap_err().contains(": denied: "), "{unit}");
        }
        assert!(entry([].into_iter(), &asked("trader.service", "a")).is_err());
    }
}
