//! The recipes whose programs cannot be had here: stand-ins say what the programs say, each with where that was read.

use super::stores::{failed, hit, home, miss};
use crate::support::{Home, program_under_test, transcript};

/// A home with a stand-in, whose script is given the name that it is asked for as `$name`.
fn stand_in(section: &str, program: &str, name: &str, cases: &str) -> Home {
    let home = home(section);
    home.fake(
        program,
        &format!("name={name}\ncase $name in\n{cases}\nesac"),
    );
    home
}

/// What a person would be asked is failed at once when nobody is there.
fn fails(home: &Home, program: &str, cases: &[(&str, i32)]) {
    for (name, status) in cases {
        failed(home, name, &format!("{program} ended with status {status}"));
    }
}

/// The message for no item is quoted in github.com/1Password/terraform-provider-onepassword (its tests of `op`) and in the
/// reference of the command at developer.1password.com/docs/cli/reference/commands/read, whose exit status is 1 for every
/// error; OP_BIOMETRIC_UNLOCK_ENABLED is in developer.1password.com/docs/cli/environment-variables.
#[test]
fn onepassword() {
    let cases = r#"
        *op://dev/api-key/password) printf s3cret ;;
        *op://dev/api-key/user) printf 'Zürich\n' ;;
        *op://dev/biometric/*) [ "$OP_BIOMETRIC_UNLOCK_ENABLED" = false ] || exec sleep 30; exit 1 ;;
        *op://dev/nothing/*) echo "[ERROR] 2026/11/26 01:02:03 could not read secret 'op://dev/nothing/password': \"nothing\" isn't an item in the \"dev\" vault. Specify the item with its UUID, name, or domain." >&2; exit 1 ;;
        *op://dev/signed-out/*) echo '[ERROR] 2026/11/26 01:02:03 could not read secret: error initializing client: You are not currently signed in. Please run `op signin --help` for instructions' >&2; exit 1 ;;
        *op://dev/no-vault/*) echo "[ERROR] 2026/11/26 01:02:03 could not read secret: \"dev\" isn't a vault in this account. Specify the vault with its ID or name." >&2; exit 1 ;;
        *op://dev/twice/*) echo "[ERROR] 2026/11/26 01:02:03 could not read secret: More than one item matches \"twice\"." >&2; exit 1 ;;
        *) echo '[ERROR] 2026/11/26 01:02:03 dial tcp: lookup my.1password.com: no such host' >&2; exit 1 ;;"#;
    let home = stand_in("recipe: 1password, vault: dev", "op", "\"$*\"", cases);
    home.link(&["sleep"]);
    hit(&home, "api-key", "s3cret");
    hit(&home, "api-key#user", "Zürich\n");
    miss(&home, "nothing");
    let names = ["biometric", "signed-out", "no-vault", "twice", "offline"];
    fails(&home, "op", &names.map(|name| (name, 1)));
}

/// github.com/Azure/azure-cli, src/azure-cli-core/azure/cli/core/util.py: handle_exception (status 3 for what is not found, 1
/// for the rest); the message of the service is quoted in github.com/Azure/azure-sdk-for-js, issue 25489.
#[test]
fn azure_keyvault() {
    let cases = r#"
        *--name=prod-api-key*) echo s3cret ;;
        *--name=prod-lines*) printf 'one\ntwo\n\n' ;;
        *--name=prod-nothing*) echo 'ERROR: (SecretNotFound) A secret with (name/id) prod-nothing was not found in this key vault.' >&2; exit 3 ;;
        *--name=prod-forbidden*) echo 'ERROR: (Forbidden) Caller is not authorized to perform action on resource.' >&2; exit 1 ;;
        *--name=no-vault*) echo 'ERROR: Max retries exceeded: Failed to resolve dev.vault.azure.net' >&2; exit 1 ;;
        *--name=gone*) echo 'ERROR: (VaultNotFound) The vault was not found.' >&2; exit 3 ;;
        *) echo "ERROR: Please run 'az login' to setup account." >&2; exit 1 ;;"#;
    let home = stand_in("recipe: azure-keyvault, vault: dev", "az", "\"$*\"", cases);
    hit(&home, "prod/api-key", "s3cret");
    hit(&home, "prod/lines", "one\ntwo\n");
    miss(&home, "prod/nothing");
    let cases = [
        ("prod/forbidden", 1),
        ("no-vault", 1),
        ("gone", 3),
        ("logged-out", 1),
    ];
    fails(&home, "az", &cases);
}

/// github.com/Infisical/cli, packages/cmd/secrets.go: with --plain, what is not found is left out without a word.
#[test]
fn infisical() {
    let cases = r#"
        *" PROD_API_KEY "*) echo s3cret ;;
        *" PROD_NOTHING "*) ;;
        *) echo 'error: CallGetRawSecretsV3: Unsuccessful response [status-code=403]' >&2; exit 1 ;;"#;
    let home = stand_in(
        "recipe: infisical, environment: prod",
        "infisical",
        "\"$*\"",
        cases,
    );
    hit(&home, "prod/api-key", "s3cret");
    failed(
        &home,
        "prod/nothing",
        "infisical ended with no output and status 0",
    );
    fails(&home, "infisical", &[("forbidden", 1)]);
    assert_eq!(
        home.log("infisical")[0],
        "secrets get PROD_API_KEY --plain --silent --env=prod --path=/"
    );
}

/// Apple's SecBase.h: errSecItemNotFound is -25300, errSecInteractionNotAllowed -25308, errSecAuthFailed -25293; the status
/// of security is the last byte of these: 44, 36, 51. Its message is that of security(1), find-generic-password.
#[test]
fn macos_keychain() {
    let cases = r#"
        *"-a prod/api-key") echo s3cret ;;
        *"-a prod/nothing") echo 'security: SecKeychainSearchCopyNext: The specified item could not be found in the keychain.' >&2; exit 44 ;;
        *"-a prod/locked") echo 'security: SecKeychainItemCopyContent: User interaction is not allowed.' >&2; exit 36 ;;
        *) echo 'security: SecKeychainSearchCopyNext: The user name or passphrase you entered is not correct.' >&2; exit 51 ;;"#;
    let home = stand_in("recipe: macos-keychain", "security", "\"$*\"", cases);
    hit(&home, "prod/api-key", "s3cret");
    miss(&home, "prod/nothing");
    fails(
        &home,
        "security",
        &[("prod/locked", 36), ("prod/other", 51)],
    );
    assert_eq!(
        home.log("security")[0],
        "find-generic-password -w -s mxm -a prod/api-key"
    );
}

/// The other end is a real mxm-secrets, in a home of its own; what leads there is played.
#[test]
fn another_mxm_secrets() {
    for (recipe, program, leads) in [
        ("mxm, host: there", "ssh", "shift 2; exec sh -c \"$*\""),
        ("podman, container: there", "podman", "shift 2; exec \"$@\""),
        ("docker, container: there", "docker", "shift 2; exec \"$@\""),
    ] {
        let home = home(&format!("recipe: {recipe}"));
        home.install("mxm-secrets", program_under_test());
        home.link(&["sh", "mkdir", "cat"]);
        home.write("there/run/prod_text", "s3cret\n\n");
        home.write("there/run/prod_fields", "line\nuser: bob\n");
        let there = home.path().join("there");
        let there = there.display();
        home.fake(
            program,
            &format!(
                "[ ! -e lost ] || {{ echo 'no route to host' >&2; exit 255; }}\n\
                 unset MXM_SECRETS_CONFIG; export HOME='{there}' CREDENTIALS_DIRECTORY='{there}/run' MXM_SECRETS_BACKENDS=credentials\n{leads}"
            ),
        );
        hit(&home, "prod/text", "s3cret\n\n");
        hit(&home, "prod/fields#user", "bob");
        miss(&home, "prod/nothing");
        miss(&home, "prod/fields#token");
        home.write("lost", "");
        failed(
            &home,
            "prod/nothing",
            &format!("{program} ended with status 255"),
        );
        let shown = transcript(home.mxm_secrets(["resolve", "prod/text"]).arg("-q"));
        assert_eq!(shown.status, Some(4));
    }
}

/// The service of KeePassXC, src/fdosecrets: a collection for each database, of which a locked one finds nothing
/// (Collection::searchItems), and no default one where no database is open; an item that needs to be allowed is locked.
const KEYRING: &str = r#"case "$*" in
    *" Collections") [ -e none ] && echo 'ao 0' || echo 'ao 2 "/c/a" "/c/b"' ;;
    *" /c/b "*Locked) [ -e locked ] && echo 'b true' || echo 'b false' ;;
    *"/aliases/default "*Locked) [ ! -e none ] || exit 1; echo 'b false' ;;
    *" Locked") echo 'b false' ;;
    *"SearchItems a{ss} 2 service mxm username prod/guarded") echo 'aoao 0 1 "/c/a/1"' ;;
    *"SearchItems a{ss} 2 service mxm username prod/nothing") echo 'aoao 0 0' ;;
    *) exit 1 ;;
esac"#;

/// An error is no silence, though the keyring is open.
#[test]
fn secret_service_says_why() {
    let home = home("recipe: secret-service");
    home.link(&["sh"]);
    home.fake("busctl", KEYRING);
    home.fake("secret-tool", "exit 1");
    miss(&home, "prod/nothing");
    // An item whose use nobody has allowed; a database that is locked; a file manager's keyring, but no default one.
    failed(&home, "prod/guarded", "secret-tool did not find ");
    for fault in ["locked", "none"] {
        home.write(fault, "");
        failed(&home, "prod/nothing", "secret-tool did not find ");
        std::fs::remove_file(home.path().join(fault)).unwrap();
    }
    miss(&home, "prod/nothing");
    home.fake(
        "secret-tool",
        "echo 'secret-tool: Timeout was reached' >&2; exit 1",
    );
    failed(&home, "prod/nothing", "secret-tool ended with status 1");
}
