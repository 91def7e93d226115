//! The configuration: a store with all of its five layers, against none.

use crate::Bench;
use crate::core::instructions;
use crate::support::Home;

/// The store's files, each with what is not selected beside what is.
const FILES: [(&str, &str); 5] = [
    (
        "default",
        "mxm_secrets:\n  backends: [gopass, env]\n  on_error: stop\n  timeout: 10\n  gopass: {command: gopass, prefix: \"\"}\n  \
         env: {prefix: \"${stage}_\"}\nstage: NONE\n",
    ),
    (
        "environment",
        "dev:\n  stage: DEV\nprod:\n  stage: PROD\n  mxm_secrets:\n    timeout: 3\n",
    ),
    (
        "machine",
        "laptop: {}\nbridge:\n  mxm_secrets:\n    backends: [env]\n",
    ),
    (
        "substrate",
        "local-process: {}\ndocker-container:\n  mxm_secrets:\n    backends: [env]\n",
    ),
    (
        "role",
        "trader: {}\nmarketdata:\n  mxm_secrets:\n    timeout: 1\n",
    ),
];

/// A ref, and what it needs, for the end of our section in the first file.
const REF: &str = "  stores: {red: {backend: env, root: red}}\n  policies: {p: {allowed_principals: [trader]}}\n  \
     refs: {key: {store: red, path: api/key, policy: p}}\nstage: ";

pub fn run(bench: &Bench) {
    let mut bare = Home::new();
    bare.set("PROD_API_KEY", "s3cret");
    let mut home = Home::new();
    for (name, text) in FILES {
        home.write(
            &format!("mxm-config-store/apps/mxm-secrets/{name}.yaml"),
            text,
        );
    }
    home.set("PROD_API_KEY", "s3cret")
        .set("MXM_ENVIRONMENT", "prod")
        .set("MXM_MACHINE", "bridge")
        .set("MXM_SUBSTRATE", "local-process")
        .set("MXM_ROLE", "trader");
    let layered = || {
        let mut command = home.command(&bench.program);
        command.args(["get", "api-key"]);
        command
    };
    let get = || {
        let mut command = bare.command(&bench.program);
        command.args(["get", "--backend", "env", "prod/api-key"]);
        command
    };
    bench.ratio("get with a five-layer store / without", 1.3, layered, get);
    bench.figure("get with a five-layer store, instructions", 400_000, || {
        instructions(layered())
    });
    home.write(
        "mxm-config-store/apps/mxm-secrets/default.yaml",
        FILES[0].1.replace("stage: ", REF),
    );
    home.set("PROD_RED_API_KEY", "s3cret");
    let of_a_ref = || {
        let mut command = home.command(&bench.program);
        command.args(["get", "key"]);
        command
    };
    let title = "get of a ref with a five-layer store";
    bench.ratio(&format!("{title} / without"), 1.4, of_a_ref, get);
    bench.figure(&format!("{title}, instructions"), 450_000, || {
        instructions(of_a_ref())
    });
}
