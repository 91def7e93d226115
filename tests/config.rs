//! The configuration: its places, the layers of the MXM store, its mistakes, and `config`.

#[cfg(feature = "config")]
mod bounds;
#[cfg(feature = "config")]
mod differential;
#[cfg(feature = "config")]
mod layers;
#[cfg(feature = "config")]
mod mistakes;
#[cfg(feature = "config")]
mod own;
#[cfg(feature = "config")]
mod refs;
#[cfg(feature = "config")]
mod trust;

/// Every configuration that the README and the man page show is one.
#[cfg(feature = "config")]
#[test]
fn the_examples_of_the_documents_are_without_mistakes() {
    use crate::support::Home;
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let page = include_str!("../man/mxm-secrets.1");
    let of_readme = text.split("```yaml\n").skip(1);
    let of_page = page.split("\n.Bd -literal -offset indent\n").skip(1);
    let examples: Vec<&str> = of_readme
        .map(|rest| rest.split("```").next().unwrap())
        .chain(of_page.map(|rest| rest.split("\n.Ed").next().unwrap()))
        .filter(|example| example.contains("mxm_secrets:"))
        .collect();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in examples {
        // The files of a store stand in one block, each under its name.
        let home = Home::new();
        if let Some(files) = example.strip_prefix("# default.yaml\n") {
            let (default, environment) = files.split_once("# environment.yaml\n").unwrap();
            let store = "mxm-config-store/apps/mxm-secrets";
            home.write(&format!("{store}/default.yaml"), default);
            home.write(&format!("{store}/environment.yaml"), environment);
        } else {
            home.write(".config/mxm-secrets/config.yaml", example);
        }
        let checked = home.run(["config", "--check"]);
        assert_eq!(
            (checked.status, checked.stderr.as_str()),
            (Some(0), ""),
            "{example}"
        );
    }
}

#[cfg(not(feature = "config"))]
#[test]
fn without_the_feature_a_file_that_is_asked_for_is_an_error() {
    use crate::support::Home;
    let mut home = Home::new();
    home.write(".config/mxm-secrets/config.yaml", "not: looked at");
    home.set("A", "1");
    home.run(["get", "a", "--backend", "env"]).is(0, "1\n", "");
    home.run(["get", "a", "--config", "x.yaml"]).is(
        2,
        "",
        "mxm-secrets: --config: this build has no configuration support (Cargo feature config)\n",
    );
    home.set("MXM_SECRETS_CONFIG", "x.yaml");
    home.run(["get", "a"]).is(
        2,
        "",
        "mxm-secrets: MXM_SECRETS_CONFIG: this build has no configuration support (Cargo feature config)\n",
    );
}
