//! The recipes: sections for programs that people have, each tried with the real program or written from its documentation.
//! Data only. `recipe: NAME` in a section stands for all that a recipe says, and every key that the section gives wins.
//!
//! A `miss` needs a status or words that the program has for "there is none" and for nothing else: tests/recipes shows,
//! for every recipe, what the program says when it is locked, forbidden, unreachable or misconfigured.

use crate::schema::{Key, Kind, Rule};

/// One recipe.
pub struct Recipe {
    /// The name by which a section asks for it.
    pub name: &'static str,
    /// One line for people: what it reads, and where the secret `prod/api-key` is.
    pub about: &'static str,
    /// The program and the version that it was tried with; empty: it is written from the program's documentation.
    pub tried: &'static str,
    /// The parameters that its section must give.
    pub needs: &'static [Key],
    /// The other parameters. A word of the command with an empty one is left out.
    pub takes: &'static [Key],
    /// The program and its arguments, with `{PARAMETER}` beside the placeholders for the name.
    pub command: &'static [&'static str],
    /// What means that it has no such secret.
    pub miss: &'static [End],
    /// What means that it is not set up.
    pub unavailable: &'static [End],
    /// Keys that take one text, and their values.
    pub keys: &'static [(&'static str, &'static str)],
    /// A command without which no `miss` counts, with the same placeholders, and what it must print: the store is open.
    pub confirm: Option<(&'static [&'static str], &'static str)>,
    /// What is set in the program's environment when no person is there.
    pub unattended: &'static [&'static str],
}

/// An exit status (0: and no output; none: any but 0), and what the program says on standard error (empty: nothing).
pub type End = (Option<u8>, Option<&'static str>);

impl Recipe {
    /// What it was tried with.
    pub fn tried_with(&self) -> &'static str {
        match self.tried {
            "" => "its documentation",
            tried => tried,
        }
    }
}

impl From<End> for Rule {
    fn from((status, says): End) -> Rule {
        Rule {
            status,
            says: says.map(str::to_owned),
        }
    }
}

/// Without what most recipes do not have.
const PLAIN: Recipe = Recipe {
    name: "",
    about: "",
    tried: "",
    needs: &[],
    takes: &[],
    command: &[],
    miss: &[],
    unavailable: &[],
    keys: &[],
    confirm: None,
    unattended: &[],
};

/// Status 0 and no output: the value is there, and empty.
const EMPTY: End = (Some(0), None);

const DROP: (&str, &str) = ("newline", "drop");

const fn text(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key {
        name,
        kind: Kind::Text,
        default,
        variable: None,
        about,
    }
}

const fn file(name: &'static str, about: &'static str) -> Key {
    Key {
        kind: Kind::Path,
        ..text(name, "", about)
    }
}

const REGION: Key = text(
    "region",
    "",
    "the region, if the profile has another or none",
);
const PROFILE: Key = text("profile", "", "the profile of the AWS CLI");

/// Prints a collection that is locked, or else which items there are, open and locked: secret-tool searches all collections,
/// KeePassXC finds nothing in one that is locked, and without a default collection there may be none at all.
const SEARCH: &str = r#"s=org.freedesktop.secrets p=/org/freedesktop/secrets i=org.freedesktop.Secret
all=$(busctl --user get-property $s $p $i.Service Collections) || exit
for one in $all $p/aliases/default; do
  one=${one#\"}
  one=${one%\"}
  case $one in /*) ;; *) continue ;; esac
  locked=$(busctl --user get-property $s "$one" $i.Collection Locked) || exit
  [ "$locked" = "b false" ] || { echo "$one"; exit; }
done
exec busctl --user call $s $p $i.Service SearchItems 'a{ss}' 2 service "$1" username "$2""#;

/// Every recipe, in the order in which they are listed.
pub const RECIPES: &[Recipe] = &[
    Recipe {
        name: "aws-secretsmanager",
        about: "AWS Secrets Manager: the text of the secret prod/api-key",
        tried: "aws-cli 1.46.3, moto 5.2.5",
        takes: &[REGION, PROFILE],
        // For a secret that is not text, SecretString is null, which would be printed as None; join refuses it.
        command: &[
            "aws",
            "secretsmanager",
            "get-secret-value",
            "--secret-id={name}",
            "--query=join('', [SecretString])",
            "--output=text",
            "--region={region}",
            "--profile={profile}",
        ],
        miss: &[(
            None,
            Some("(ResourceNotFoundException) when calling the GetSecretValue operation"),
        )],
        keys: &[DROP],
        ..PLAIN
    },
    Recipe {
        name: "aws-ssm",
        about: "AWS Systems Manager Parameter Store: the parameter /prod/api-key",
        tried: "aws-cli 1.46.3, moto 5.2.5",
        takes: &[text("prefix", "/", "put before the name"), REGION, PROFILE],
        command: &[
            "aws",
            "ssm",
            "get-parameter",
            "--with-decryption",
            "--name={prefix}{name}",
            "--query=Parameter.Value",
            "--output=text",
            "--region={region}",
            "--profile={profile}",
        ],
        miss: &[(
            None,
            Some("(ParameterNotFound) when calling the GetParameter operation"),
        )],
        keys: &[DROP],
        ..PLAIN
    },
    Recipe {
        name: "sops",
        about: "a file of sops: the key api-key in the mapping prod",
        tried: "sops 3.13.3",
        needs: &[file("file", "the encrypted file")],
        command: &["sops", "decrypt", "--extract", "[\"{name}\"]", "{file}"],
        // A value that is an empty text gives no output.
        miss: &[
            (Some(1), Some("error truncating tree: component ['")),
            EMPTY,
        ],
        keys: &[("separator", "\"][\"")],
        ..PLAIN
    },
    Recipe {
        name: "secret-service",
        about: "GNOME Keyring, KWallet or KeePassXC: the item with the attributes service mxm and username prod/api-key",
        tried: "secret-tool 0.20.5, gnome-keyring 42.1",
        takes: &[text("service", "mxm", "the attribute service of the items")],
        command: &[
            "secret-tool",
            "lookup",
            "service",
            "{service}",
            "username",
            "{name}",
        ],
        // It says nothing and ends with 1 where there is none, and where nobody unlocks what there is.
        miss: &[(Some(1), Some(""))],
        confirm: Some((
            &["sh", "-c", SEARCH, "sh", "{service}", "{name}"],
            "aoao 0 0",
        )),
        ..PLAIN
    },
    Recipe {
        name: "keepassxc",
        about: "a database of KeePassXC with a key file and no password: the password of the entry /prod/api-key, or the attribute that the field names",
        tried: "keepassxc-cli 2.7.4",
        needs: &[
            file("file", "the database"),
            file("key_file", "the key file"),
        ],
        // Without the slash it takes the first entry with that title, from the recycle bin too.
        command: &[
            "keepassxc-cli",
            "show",
            "--quiet",
            "--no-password",
            "--key-file={key_file}",
            "--show-protected",
            "--attributes={field}",
            "{file}",
            "/{name}",
        ],
        miss: &[
            (Some(1), Some("Could not find entry with path /")),
            (Some(1), Some("ERROR: unknown attribute ")),
            EMPTY,
        ],
        keys: &[DROP, ("field", "Password")],
        ..PLAIN
    },
    Recipe {
        name: "kubernetes",
        about: "a Secret of Kubernetes: prod/db#password is the key password in the Secret prod-db; in a namespace that does not exist, all are missing",
        tried: "kubectl 1.32.4",
        takes: &[
            text("namespace", "", "the namespace, if not that of the context"),
            text("context", "", "the context, if not the current one"),
        ],
        command: &[
            "kubectl",
            "get",
            "secret",
            "{name}",
            "--output=go-template={{with index .data \"{field}\"}}{{. | base64decode}}{{end}}",
            "--namespace={namespace}",
            "--context={context}",
        ],
        // A Secret without the key, or with an empty one, gives no output.
        miss: &[
            (Some(1), Some("Error from server (NotFound): secrets \"")),
            EMPTY,
        ],
        keys: &[("separator", "-"), ("field", "value")],
        ..PLAIN
    },
    Recipe {
        name: "gcloud",
        about: "Google Secret Manager: the secret prod-api-key",
        tried: "gcloud 528.0.0",
        takes: &[
            text(
                "project",
                "",
                "the project, if not that of the configuration",
            ),
            text("version", "latest", "the version of the secret"),
        ],
        command: &[
            "gcloud",
            "secrets",
            "versions",
            "access",
            "{version}",
            "--secret={name}",
            "--project={project}",
        ],
        miss: &[(Some(1), Some(") NOT_FOUND: Secret [projects/"))],
        keys: &[("separator", "-")],
        unattended: &["CLOUDSDK_CORE_DISABLE_PROMPTS=1"],
        ..PLAIN
    },
    Recipe {
        name: "azure-keyvault",
        about: "Azure Key Vault: the secret prod-api-key",
        needs: &[text("vault", "", "the name of the vault")],
        command: &[
            "az",
            "keyvault",
            "secret",
            "show",
            "--vault-name={vault}",
            "--name={name}",
            "--query=value",
            "--output=tsv",
        ],
        miss: &[(Some(3), Some("(SecretNotFound) "))],
        keys: &[("separator", "-"), DROP],
        ..PLAIN
    },
    Recipe {
        name: "1password",
        about: "1Password: the field password, or the one that is asked for, of the item api-key",
        needs: &[text("vault", "", "the vault")],
        takes: &[text("account", "", "the account, if there are several")],
        command: &[
            "op",
            "read",
            "--no-newline",
            "--account={account}",
            "op://{vault}/{name}/{field}",
        ],
        miss: &[(Some(1), Some("\" isn't an item in the \""))],
        keys: &[("field", "password")],
        // Without it, the desktop program asks for a fingerprint.
        unattended: &["OP_BIOMETRIC_UNLOCK_ENABLED=false"],
        ..PLAIN
    },
    Recipe {
        name: "bitwarden",
        about: "Bitwarden, by bw: the password, or the field that is asked for, of the item with this id",
        command: &["bw", "get", "{field}", "{name}", "--nointeraction", "--raw"],
        miss: &[(Some(1), Some("Not found."))],
        // By anything but an id it searches, and gives the one item that is only like it.
        keys: &[("names", "id"), ("field", "password")],
        ..PLAIN
    },
    Recipe {
        name: "rbw",
        about: "Bitwarden, by rbw: the password, or the field that is asked for, of the item with this id",
        command: &["rbw", "get", "--field={field}", "{name}"],
        miss: &[(Some(1), Some(": no entry found"))],
        keys: &[("names", "id"), ("field", "password"), DROP],
        confirm: Some((&["rbw", "unlocked"], "")),
        ..PLAIN
    },
    Recipe {
        name: "doppler",
        about: "Doppler: the secret PROD_API_KEY",
        tried: "doppler 3.77.1",
        takes: &[
            text("project", "", "the project, if the token is not for one"),
            text("config", "", "the config, if the token is not for one"),
        ],
        command: &[
            "doppler",
            "secrets",
            "get",
            "{variable}",
            "--plain",
            "--no-check-version",
            "--project={project}",
            "--config={config}",
        ],
        miss: &[(Some(1), Some("Could not find requested secret: "))],
        keys: &[DROP],
        ..PLAIN
    },
    Recipe {
        name: "infisical",
        about: "Infisical: the secret PROD_API_KEY; what is not there has failed, since infisical does not say so",
        needs: &[text("environment", "", "the environment, such as prod")],
        takes: &[
            text(
                "project",
                "",
                "the id of the project, if the directory has none",
            ),
            text("path", "/", "the folder"),
        ],
        command: &[
            "infisical",
            "secrets",
            "get",
            "{variable}",
            "--plain",
            "--silent",
            "--env={environment}",
            "--path={path}",
            "--projectId={project}",
        ],
        keys: &[DROP],
        ..PLAIN
    },
    Recipe {
        name: "macos-keychain",
        about: "the keychain of macOS: the password of the service mxm and the account prod/api-key; what is not printable ASCII is in hexadecimal",
        takes: &[
            text("service", "mxm", "the service of the items"),
            file("keychain", "the keychain, if not those that are searched"),
        ],
        command: &[
            "security",
            "find-generic-password",
            "-w",
            "-s",
            "{service}",
            "-a",
            "{name}",
            "{keychain}",
        ],
        miss: &[(Some(44), Some("could not be found in the keychain"))],
        keys: &[DROP],
        ..PLAIN
    },
    Recipe {
        name: "vals",
        about: "what vals reads, by an expression such as sops://secrets.yaml#/{name}",
        tried: "vals 0.46.1",
        needs: &[text(
            "ref",
            "",
            "the expression, without ref+, and with {name} in it",
        )],
        command: &["vals", "get", "ref+{ref}"],
        miss: &[EMPTY],
        keys: &[("none", "<nil>")],
        ..PLAIN
    },
    Recipe {
        name: "mxm",
        about: "another mxm-secrets, over ssh: prod/api-key there",
        tried: "mxm-secrets itself",
        needs: &[text("host", "", "the host, as for ssh")],
        command: &[
            "ssh",
            "-oBatchMode=yes",
            "{host}",
            "mxm-secrets",
            "get",
            "--raw",
            "{reference}",
        ],
        ..PLAIN
    },
    Recipe {
        name: "podman",
        about: "another mxm-secrets, in a container: prod/api-key there",
        needs: &[text("container", "", "the container")],
        command: &[
            "podman",
            "exec",
            "{container}",
            "mxm-secrets",
            "get",
            "--raw",
            "{reference}",
        ],
        ..PLAIN
    },
    Recipe {
        name: "docker",
        about: "another mxm-secrets, in a container: prod/api-key there",
        needs: &[text("container", "", "the container")],
        command: &[
            "docker",
            "exec",
            "{container}",
            "mxm-secrets",
            "get",
            "--raw",
            "{reference}",
        ],
        ..PLAIN
    },
];

/// The recipe called `name`.
pub fn recipe(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::schema::REQUIRED;
    use crate::text;

    #[test]
    fn every_recipe_is_whole() {
        for recipe in RECIPES {
            let name = recipe.name;
            let own = super::super::OWN.map_or(&[] as &[Key], |entry| entry.keys);
            let parameters: Vec<&Key> = recipe.needs.iter().chain(recipe.takes).collect();
            for key in &parameters {
                let mut taken = own.iter().chain([&REQUIRED]);
                assert!(
                    taken.all(|own| own.name != key.name),
                    "{name}: {}",
                    key.name
                );
                let is_used = |word: &&str| word.contains(&format!("{{{}}}", key.name));
                assert!(recipe.command.iter().any(is_used), "{name}: {}", key.name);
            }
            // What looks like a placeholder is one, and the name is among them.
            let found = RefCell::new(Vec::new());
            for word in recipe.command {
                text::fill(word, |placeholder| {
                    found.borrow_mut().push(placeholder.to_owned());
                    None
                });
            }
            let found = found.into_inner();
            let names = ["name", "reference", "variable"];
            assert!(found.iter().any(|it| names.contains(&it.as_str())) || name == "vals");
            for word in found
                .iter()
                .filter(|word| word.chars().all(char::is_alphabetic))
            {
                let known =
                    names.contains(&word.as_str()) || ["field", "end"].contains(&word.as_str());
                assert!(
                    known || parameters.iter().any(|key| key.name == word),
                    "{name}: {word}"
                );
            }
            for (key, value) in recipe.keys {
                let key = own.iter().find(|own| own.name == *key).unwrap();
                if let Kind::Choice(words) = key.kind {
                    assert!(words.contains(value), "{name}: {value}");
                }
            }
            assert_eq!(RECIPES.iter().filter(|it| it.name == name).count(), 1);
            assert!(recipe.unattended.iter().all(|pair| pair.contains('=')));
            // A status alone proves nothing, unless it is that of an empty value.
            let proves = |end: &End| end.0 == Some(0) || end.1.is_some();
            assert!(recipe.miss.iter().all(proves), "{name}");
        }
    }
}
