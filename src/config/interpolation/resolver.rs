//! Resolvers and their arguments. There is one: `oc.env`.

use super::reader::Reader;
use super::{Cause, Found, Trail, Tree, Trouble, append, mistake};
use crate::config::yaml::{Meaning, Node, Style, python_float};
use crate::process;

impl<'t> Tree<'t> {
    /// What the resolver `name` makes of its arguments, which come next. There is one: `oc.env`.
    pub(super) fn resolver(
        &self,
        name: &str,
        reader: &mut Reader,
        at: &'t Node,
        trail: &mut Trail<'t>,
    ) -> Result<Found<'t>, Trouble> {
        if name != "oc.env" {
            return Err(mistake(format!(
                "${{{name}:…}} is not supported: use ${{oc.env:VARIABLE,default}}"
            )));
        }
        let mut arguments = Vec::new();
        loop {
            reader.blanks();
            let (argument, end) = self.argument(reader, at, trail)?;
            arguments.push(argument);
            if end == '}' {
                break;
            }
        }
        let mut arguments = arguments.into_iter();
        let (variable, default) = match (arguments.next(), arguments.next(), arguments.next()) {
            (Some(Argument::Text(variable)), default, None) if !variable.is_empty() => {
                (variable, default)
            }
            _ => {
                return Err(mistake(
                    "${oc.env:…} needs the name of a variable and at most one default",
                ));
            }
        };
        let refused = || {
            mistake(format!(
                "the variable {variable} may hold a secret, which must not be in the configuration"
            ))
        };
        if may_be_secret(&variable) || process::is_credential(&variable) {
            return Err(refused());
        }
        let made = |text, style| Ok(Found::Owned(Node::made(text, style, at.place)));
        match (std::env::var_os(&variable), default) {
            (Some(value), _) => match value.into_string() {
                Ok(value) if has_login(&variable, &value) => Err(refused()),
                Ok(value) => {
                    self.variable.set(true);
                    made(value, Style::Text)
                }
                Err(_) => Err(mistake(format!("the variable {variable} is not UTF-8"))),
            },
            (None, Some(Argument::Null)) => made(String::new(), Style::Null),
            (None, Some(Argument::Text(text) | Argument::Other(text))) => made(text, Style::Text),
            (None, None) => Err(Trouble {
                text: format!(
                    "the variable {variable} is not set, and ${{oc.env:{variable}}} has no default"
                ),
                cause: Cause::NotSet,
            }),
        }
    }

    /// One argument of a resolver, and the character behind it.
    fn argument(
        &self,
        reader: &mut Reader,
        at: &'t Node,
        trail: &mut Trail<'t>,
    ) -> Result<(Argument, char), Trouble> {
        let mut text = String::new();
        let first = reader.rest.chars().next();
        if let Some(quote) = first.filter(|c| matches!(c, '\'' | '"')) {
            reader.skip(1);
            self.mixed(&mut text, reader, Some(quote), at, trail)?;
            reader.blanks();
            let end = reader.next().filter(|c| matches!(c, ',' | '}'));
            let end = end.ok_or_else(|| mistake("expected } after the quoted default"))?;
            return Ok((Argument::Text(text), end));
        }
        // How much of the text is not to be trimmed.
        let mut solid = 0;
        let (mut only, mut parts) = (None, 0);
        let mut as_written = true;
        loop {
            if reader.rest.starts_with("${") {
                let found = self.interpolation(reader, at, trail)?;
                parts += 1;
                as_written = false;
                append(&mut text, &found)?;
                solid = text.len();
                only = Some(found).filter(|_| parts == 1);
                continue;
            }
            match reader.next() {
                Some(c @ (',' | '}')) => {
                    text.truncate(solid);
                    let argument = match only {
                        Some(found) => Argument::of(&found)?,
                        None if as_written => Argument::written(text),
                        None => Argument::Text(text),
                    };
                    return Ok((argument, c));
                }
                Some(c @ (' ' | '\t')) => text.push(c),
                Some('\\') if reader.rest.starts_with(|c| r"\()[]{}:=, 	".contains(c)) => {
                    text.extend(reader.next());
                    solid = text.len();
                    (parts, only, as_written) = (parts + 1, None, false);
                }
                Some(c) if c.is_ascii_alphanumeric() || r"_/-\+.$%*@?|:".contains(c) => {
                    text.push(c);
                    solid = text.len();
                    (parts, only) = (parts + 1, None);
                }
                Some(c) => {
                    return Err(mistake(format!(
                        "{c:?} is not allowed in a default without quotes"
                    )));
                }
                None => return Err(mistake("unclosed interpolation: } is missing")),
            }
        }
    }
}

/// Names of secrets, wherever they are in a word of a variable's name: `PGPASSWORD`.
const INSIDE: &[&str] = &[
    "COOKIE",
    "CREDENTIAL",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PRIVATE",
    "SECRET",
    "SESSION",
    "SIGNATURE",
    "TOKEN",
];

/// Those that are a word or the end of one: `APIKEY`, but not `PATH`.
const AT_THE_END: &[&str] = &[
    "AUTH", "CERT", "CONN", "CRED", "DSN", "KEY", "PASS", "PAT", "PIN", "PW", "PWD", "SALT",
];

/// Whether the name of a variable says that it holds a secret: `VAULT_TOKEN`, not `VAULT_TOKEN_FILE`.
fn may_be_secret(variable: &str) -> bool {
    let upper = variable.to_ascii_uppercase();
    // The working directory, which every shell sets.
    if matches!(upper.as_str(), "PWD" | "OLDPWD") {
        return false;
    }
    let mut words = upper.split(|c: char| !c.is_ascii_alphabetic());
    let of_path = |word: &str| matches!(word, "DIR" | "FILE" | "PATH" | "SOCK");
    let secret = |word: &str| {
        let one = word.strip_suffix('S').unwrap_or(word);
        let ends = |name: &&str| word.ends_with(*name) || one.ends_with(*name);
        INSIDE.iter().any(|name| word.contains(name)) || AT_THE_END.iter().any(ends)
    };
    !words.clone().next_back().is_some_and(of_path) && words.any(secret)
}

/// Whether the address that a variable has may have a login, or a key in its query.
fn has_login(variable: &str, value: &str) -> bool {
    let upper = variable.to_ascii_uppercase();
    let is_address = value.contains("//") || upper.contains("URL") || upper.contains("URI");
    is_address && value.contains(['@', '?'])
}

/// An argument of a resolver, by what Python makes of it.
enum Argument {
    Text(String),
    /// A number or a boolean, as Python's `str` writes it.
    Other(String),
    Null,
}

impl Argument {
    fn of(found: &Node) -> Result<Argument, Trouble> {
        let Some(scalar) = found.scalar() else {
            return Err(mistake(format!("{} cannot be a default", found.kind())));
        };
        let text = || scalar.python().map(Into::into);
        Ok(match scalar.meaning().map_err(mistake)? {
            Meaning::Null => Argument::Null,
            Meaning::Text => Argument::Text(text().map_err(mistake)?),
            _ => Argument::Other(text().map_err(mistake)?),
        })
    }

    /// A default without quotes: OmegaConf knows numbers, `true`, `false` and `null` among them.
    fn written(text: String) -> Argument {
        let digits = text.replace('_', "");
        let unsigned = digits.trim_start_matches(['+', '-']);
        let one_sign = digits.len() - unsigned.len() <= 1;
        let whole = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit())
                && (text == "0" || !text.is_empty() && !text.starts_with('0'))
        };
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "null" => return Argument::Null,
            "true" => return Argument::Other("True".to_owned()),
            "false" => return Argument::Other("False".to_owned()),
            _ => {}
        }
        let grouped = !text.contains("__") && !text.starts_with('_') && !text.ends_with('_');
        if one_sign && grouped && whole(unsigned) {
            let sign = if digits.starts_with('-') && unsigned != "0" {
                "-"
            } else {
                ""
            };
            return Argument::Other(format!("{sign}{unsigned}"));
        }
        let lower = lower.replace('_', "");
        let number = lower.trim_start_matches(['+', '-']);
        let mantissa = number.split('e').next().unwrap_or_default();
        let before = mantissa.split('.').next().unwrap_or_default();
        let float = one_sign
            && grouped
            && (matches!(number, "inf" | "nan")
                || number
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte))
                    && (before.is_empty() || whole(before)));
        match lower.parse::<f64>() {
            Ok(number) if float => Argument::Other(python_float(number)),
            _ => Argument::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_secrets_are_known() {
        for secret in [
            "DB_PASS",
            "AWS_ACCESS_KEY_ID",
            "GH_PAT",
            "PROD_API_KEY",
            "PGPASSWORD",
            "APIKEY",
            "api_keys",
            "TOKEN2",
            "BASIC_AUTH",
            "AWS_CREDENTIALS",
            "SENTRY_DSN",
            "CARD_PIN",
            "PATH_TOKEN",
        ] {
            assert!(may_be_secret(secret), "{secret}");
        }
        for harmless in [
            "HOME",
            "USER",
            "PATH",
            "PWD",
            "AWS_REGION",
            "STAGE",
            "MXM_ENVIRONMENT",
            "MXM_MACHINE",
            "MXM_ROLE",
            "XDG_RUNTIME_DIR",
            "SSH_AUTH_SOCK",
            "VAULT_TOKEN_FILE",
            "VAULT_ADDR",
            "HOSTNAME",
            "AUTHOR",
            "PINNED",
        ] {
            assert!(!may_be_secret(harmless), "{harmless}");
        }
        for (variable, value, login) in [
            ("DB_URL", "postgres://u:p@h/x", true),
            ("DB_URI", "u:p@h/x", true),
            ("PLACE", "https://h/?sig=x", true),
            ("VAULT_ADDR", "https://token@h", true),
            ("VAULT_URL", "https://h:8200/a", false),
            ("MAIL", "a@b", false),
        ] {
            assert_eq!(has_login(variable, value), login, "{value}");
        }
    }
}
