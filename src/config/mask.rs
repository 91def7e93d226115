//! What is shown of a command that the configuration names: `***` in the place of whatever looks like a credential.

/// Words that name a credential, as a whole or as a part of a name: `--api-key`, `X-Vault-Token`, `DB_PASSWORD`.
const NAMES: &[&str] = &[
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "credential",
    "credentials",
    "key",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pat",
    "pin",
    "pwd",
    "secret",
    "sig",
    "signature",
    "token",
];

/// Names of files, users and the like, whose values are no credentials: `--key-file`, `KEY_ID`.
const HARMLESS: &[&str] = &["dir", "file", "format", "id", "name", "path", "type", "url"];

/// Options that take `USER:PASSWORD`.
const LOGINS: &[&str] = &["-u", "-U", "--user", "--userpwd", "--proxy-user"];

/// The first letters of well-known tokens.
const TOKENS: &[&str] = &[
    "AKIA",
    "ASIA",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hvb.",
    "hvr.",
    "hvs.",
    "ops_",
    "sk-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
    "AGE-SECRET-KEY-",
];

/// The words of a command as they may be shown.
pub fn masked(words: &[String]) -> Vec<String> {
    let mut masked: Vec<String> = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| words.get(index));
        let before = before.map_or("", String::as_str);
        let is_value =
            !word.starts_with('-') && !word.contains("{name}") && !word.contains("{reference}");
        masked.push(
            if is_value && before.starts_with('-') && names_a_credential(before) {
                "***".to_owned()
            } else if is_value && LOGINS.contains(&before) {
                hide_password(word)
            } else {
                word_masked(word)
            },
        );
    }
    masked
}

fn word_masked(word: &str) -> String {
    pairs(&tokens(&addresses(word)))
}

/// `user:***` of `user:password`.
fn hide_password(login: &str) -> String {
    match login.split_once(':') {
        Some((user, _)) => format!("{user}:***"),
        None => login.to_owned(),
    }
}

/// Hides the password, or a lone token, in every `scheme://user:password@host`.
fn addresses(word: &str) -> String {
    let mut shown = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| "/?#'\"".contains(c) || c.is_whitespace());
        let (authority, next) = after.split_at(end.unwrap_or(after.len()));
        // A password may have an @ in it, and, unescaped, even a slash.
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') || user.len() > 16 => {
                let user = user.split_once(':').map_or("", |(user, _)| user);
                let colon = if user.is_empty() { "" } else { ":" };
                shown.push_str(&format!("{user}{colon}***@{host}"));
            }
            _ => shown.push_str(authority),
        }
        rest = next;
    }
    shown + rest
}

/// Hides what begins as a well-known token does.
fn tokens(word: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut shown = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(start) = rest.find(is_part) {
        let (before, here) = rest.split_at(start);
        shown.push_str(before);
        let (part, next) = here.split_at(here.find(|c| !is_part(c)).unwrap_or(here.len()));
        let known = part.len() > 16 && TOKENS.iter().any(|token| part.starts_with(token));
        shown.push_str(if known { "***" } else { part });
        rest = next;
    }
    shown + rest
}

/// Hides the value in every `name=value` and `name: value` whose name is that of a credential.
fn pairs(word: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut shown = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        shown.push_str(before);
        rest = after;
        let name = before[..at].trim_end().trim_end_matches(['"', '\'']);
        let name = name.rsplit(|c| !is_part(c)).next().unwrap_or_default();
        if after.starts_with("//") || !names_a_credential(name) {
            continue;
        }
        let value = after.trim_start_matches([' ', '"', '\'']);
        shown.push_str(&after[..after.len() - value.len()]);
        // A header's value has blanks in it; that of a query ends at the next one.
        let end = match before.ends_with(':') {
            true => value.find(['"', '\'', '\n', ',']),
            false => value.find(|c: char| "&;,\"'".contains(c) || c.is_whitespace()),
        };
        let (value, next) = value.split_at(end.unwrap_or(value.len()));
        let harmless = value.is_empty() || value.starts_with('{') && value.ends_with('}');
        shown.push_str(if harmless { value } else { "***" });
        rest = next;
    }
    shown + rest
}

/// Whether a name (of an option, a variable, a header, a parameter) is that of a credential.
fn names_a_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(['-', '_', '.']);
    words.clone().any(|word| NAMES.contains(&word)) && !words.any(|word| HARMLESS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_in_every_form() {
        for (command, shown) in [
            (
                "curl https://u:canary@h/{name}",
                "curl https://u:***@h/{name}",
            ),
            (
                "curl https://u:can@ary@h/a http://x:canary@h",
                "curl https://u:***@h/a http://x:***@h",
            ),
            (
                "curl --url=https://canarycanarycanary@h/{name}",
                "curl --url=https://***@h/{name}",
            ),
            ("git https://u@h/a:b@c", "git https://u@h/a:b@c"),
            ("curl -u me:canary {name}", "curl -u me:*** {name}"),
            ("tool --token canary {name}", "tool --token *** {name}"),
            ("tool --api-key=canary {name}", "tool --api-key=*** {name}"),
            (
                "tool --key-file /k --token-file=/t {name}",
                "tool --key-file /k --token-file=/t {name}",
            ),
            (
                "env DB_PASSWORD=canary tool {name}",
                "env DB_PASSWORD=*** tool {name}",
            ),
            (
                "env GH_PAT=canary AWS_ACCESS_KEY_ID=x tool",
                "env GH_PAT=*** AWS_ACCESS_KEY_ID=x tool",
            ),
            (
                "curl https://h/?access_token=canary&a={name}",
                "curl https://h/?access_token=***&a={name}",
            ),
            ("tool hvs.CANARYCANARYCANARY {name}", "tool *** {name}"),
            (
                "tool x=ghp_canarycanarycanary, {name}",
                "tool x=***, {name}",
            ),
            (
                "ssh host mxm-secrets get {name}",
                "ssh host mxm-secrets get {name}",
            ),
            ("tool --secret {name}", "tool --secret {name}"),
            (
                "tool secret={name} key:{reference}",
                "tool secret={name} key:{reference}",
            ),
        ] {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(masked(&words).join(" "), shown);
        }
        for (word, shown) in [
            ("Authorization: Bearer canary", "Authorization: ***"),
            ("X-Vault-Token:canary", "X-Vault-Token:***"),
            (
                "{\"password\": \"canary\", \"a\": 1}",
                "{\"password\": \"***\", \"a\": 1}",
            ),
            ("a 'token=canary' b", "a 'token=***' b"),
            ("é=\u{202e}: ü", "é=\u{202e}: ü"),
        ] {
            assert_eq!(masked(&[word.to_owned()]), [shown]);
        }
    }
}
