//! `get`: the command line, the chain and the bytes.

use crate::support::Home;

#[test]
fn a_variable_is_found() {
    let mut home = Home::new();
    home.set("PROD_API_KEY", "s3cret");
    home.run(["get", "prod/api-key"]).is(0, "s3cret\n", "");
    home.run(["get", "--raw", "prod/api-key"])
        .is(0, "s3cret", "");
}
