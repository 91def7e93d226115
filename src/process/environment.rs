//! What variables mean to the programs that inherit them.

use std::ffi::OsStr;
use std::process::Command;

/// What stands before the names of Vault's variables, and of ours.
const PREFIXES: [&str; 3] = ["VAULT_", "BAO_", "MXM_SECRETS_"];

/// What such a name has in it that holds a credential.
const WORDS: [&str; 7] = [
    "TOKEN",
    "SECRET",
    "ROLE_ID",
    "JWT",
    "PASS",
    "CLIENT_KEY",
    "HEADERS",
];

/// The other credentials of backends.
const OTHERS: [&str; 2] = ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GOPASS_AGE_PASSWORD"];

/// Whether a variable holds a credential by which mxm-secrets, or one of its backends, opens a store. One that ends in
/// `_FILE` names a file, and one that ends in `_WRAPPED` says yes or no.
pub fn is_credential(variable: &str) -> bool {
    let rest = PREFIXES
        .iter()
        .find_map(|prefix| variable.strip_prefix(prefix));
    OTHERS.contains(&variable)
        || rest.is_some_and(|rest| {
            WORDS.iter().any(|word| rest.contains(word))
                && !rest.ends_with("_FILE")
                && !rest.ends_with("_WRAPPED")
        })
}

/// What is obeyed. From sudo's table (plugins/sudoers/env.c, initial_badenv_table),
/// glibc's (sysdeps/generic/unsecvars.h), and the manuals of bash, zsh, Perl, Python, Ruby, Node.js, Java, Lua, PHP, .NET,
/// Git, make, less and OpenSSL.
const OBEYED: &str = "
    PATH HOME SHELL PWD OLDPWD IFS CDPATH ENV BASH* SHELLOPTS GLOBIGNORE FIGNORE PROMPT_COMMAND PS0 PS1 PS2 PS3
    PS4 OPTIND POSIXLY_CORRECT TMOUT INPUTRC HISTFILE MAIL MAILPATH ZDOTDIR FPATH NULLCMD READNULLCMD TMPPREFIX
    MODULE_PATH EDITOR VISUAL FCEDIT PAGER BROWSER LD_* _RLD* LDR_* DYLD_* SHLIB_PATH LIBPATH AUTHSTATE
    GCONV_PATH GETCONF_DIR GLIBC_TUNABLES HOSTALIASES LOCALDOMAIN LOCPATH PATH_LOCALE MALLOC_* NIS_PATH NLSPATH
    RESOLV_HOST_CONF RES_OPTIONS TMPDIR TZDIR KRB5_CONFIG* KRB5_KTNAME VAR_ACE USR_ACE DLC_ACE TERMINFO*
    TERMPATH TERMCAP PERL* PYTHON* RUBY* GEM_* BUNDLE_* NODE_* NPM_CONFIG_* ELECTRON_RUN_AS_NODE
    JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS CLASSPATH LUA_* PHPRC PHP_INI_SCAN_DIR DOTNET_* CORECLR_*
    R_PROFILE* R_ENVIRON* GIT_* MAKEFLAGS MFLAGS GNUMAKEFLAGS LESSOPEN LESSCLOSE OPENSSL_* SSLKEYLOGFILE MXM_*";

/// Whether loaders, shells and interpreters, or mxm-secrets, obey a variable: what it holds is run, or says what is run.
pub fn is_obeyed(variable: &str) -> bool {
    is_one_of(OBEYED, variable)
}

/// Whether `names` has it; a `*` at the end of one stands for any end.
fn is_one_of(names: &str, variable: &str) -> bool {
    let mut names = names.split_ascii_whitespace();
    names.any(|name| match name.strip_suffix('*') {
        Some(start) => variable.starts_with(start),
        None => variable == name,
    })
}

/// What says to programs where and in which language they run, and to those of backends where their stores are.
const SETTINGS: &str = "
    USER LOGNAME LANG* LC_* TZ TERM DISPLAY WAYLAND_DISPLAY XDG_* DBUS_* SSH_* GNUPGHOME GPG_* GOPASS_*
    PASSWORD_STORE_* PASSAGE_* VAULT_ADDR BAO_ADDR SSL_CERT_*";

/// Whether a variable that a secret's name stands for may be taken from programs: without one of these they would look
/// elsewhere, and what they say would not be about the store that is meant.
pub fn can_be_withheld(variable: &str) -> bool {
    !is_obeyed(variable) && !is_one_of(SETTINGS, variable)
}

/// Tells an mxm-secrets that is started for a backend which variables it did not get: it must not take them for unset.
pub const WITHHELD: &str = "MXM_SECRETS_WITHHELD";

/// Whether the mxm-secrets that has started this one for a backend has withheld `variable` from it.
pub fn is_withheld(variable: &str) -> bool {
    let all = std::env::var(WITHHELD).unwrap_or_default();
    all.split(' ').any(|one| one == variable)
}

/// Takes from what `command` starts the credentials that are not its own, and the variables `withheld`. What its
/// backend has said of a variable stands.
pub fn withhold(command: &mut Command, withheld: &[String]) {
    let said: Vec<_> = command
        .get_envs()
        .map(|(name, _)| name.to_owned())
        .collect();
    let mut taken = std::env::var(WITHHELD).unwrap_or_default();
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        let of_a_name = || withheld.iter().any(|one| *one == name) && can_be_withheld(&name);
        if (is_credential(&name) || of_a_name()) && !said.contains(&variable) {
            command.env_remove(&variable);
            taken = format!("{taken} {name}");
        }
    }
    if !taken.is_empty() {
        command.env(WITHHELD, taken.trim_start());
    }
}

/// Lets what `command` starts have `variables` all the same.
pub fn let_through(command: &mut Command, variables: &[impl AsRef<OsStr>]) {
    for variable in variables {
        if let Some(value) = std::env::var_os(variable) {
            command.env(variable, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_settings() {
        for credential in [
            "VAULT_TOKEN",
            "BAO_TOKEN",
            "VAULT_CLIENT_KEY",
            "VAULT_SECRET_ID",
            "VAULT_HEADERS",
            "MXM_SECRETS_VAULT_JWT",
            "MXM_SECRETS_VAULT_ROLE_ID",
            "MXM_SECRETS_VAULT_SECRET_ID",
            "GOPASS_AGE_PASSWORD",
        ] {
            assert!(is_credential(credential), "{credential}");
        }
        for setting in [
            "PATH",
            "VAULT_ADDR",
            "VAULT_CACERT",
            "MXM_SECRETS_CONFIG",
            "MXM_SECRETS_VAULT_SECRET_ID_FILE",
            "MXM_SECRETS_VAULT_SECRET_ID_WRAPPED",
            "MXM_SECRETS_DEPTH",
            "MY_TOKEN",
        ] {
            assert!(!is_credential(setting), "{setting}");
        }
    }

    #[test]
    fn what_is_obeyed_is_known() {
        for obeyed in [
            "LD_PRELOAD",
            "PATH",
            "BASH_ENV",
            "PYTHONPATH",
            "GIT_SSH_COMMAND",
            "IFS",
            "MXM_ROLE",
        ] {
            assert!(is_obeyed(obeyed), "{obeyed}");
        }
        for other in [
            "PROD_API_KEY",
            "PATHS",
            "AWS_ACCESS_KEY_ID",
            "GITHUB_TOKEN",
            "ENVIRONMENT",
            "LDAP_PASSWORD",
        ] {
            assert!(!is_obeyed(other), "{other}");
        }
    }
}
