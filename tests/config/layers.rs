//! Where the configuration is looked for, and the layers of the store.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{
    Home, Transcript, copy_program, emulated, find, not_run, program_under_test, transcript,
};

const STORE: &str = "mxm-config-store/apps/mxm-secrets";

/// The chain that is in effect, as `config --json` tells it.
fn chain(home: &Home, variables: &[(&str, &str)]) -> String {
    let mut command = home.mxm_secrets(["config", "--json"]);
    let output = transcript(command.envs(variables.iter().copied()));
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().next().unwrap();
    let (_, value) = line.split_once("\"value\":").unwrap();
    value
        .split_once(']')
        .unwrap()
        .0
        .trim_start_matches('[')
        .replace('"', "")
}

fn run(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> Transcript {
    transcript(home.mxm_secrets(arguments).envs(variables.iter().copied()))
}

fn file(chain: &str) -> String {
    format!("mxm_secrets: {{backends: [{chain}]}}\n")
}

#[test]
fn the_places_are_read_in_their_order() {
    let home = Home::new();
    assert_eq!(chain(&home, &[]), "gopass,env");
    home.write(".config/mxm-secrets/config.yaml", file("env"));
    assert_eq!(chain(&home, &[]), "env");
    home.write("xdg/mxm-secrets/config.yaml", file("gopass"));
    let xdg = home.path().join("xdg");
    assert_eq!(
        chain(&home, &[("XDG_CONFIG_HOME", xdg.to_str().unwrap())]),
        "gopass"
    );
    home.write(&format!("{STORE}/default.yaml"), file("env, gopass"));
    assert_eq!(chain(&home, &[]), "env,gopass");
    home.write("other/apps/app/default.yaml", file("gopass"));
    assert_eq!(
        chain(&home, &[("MXM_CONFIG_STORE", "other"), ("MXM_APP", "app")]),
        "gopass"
    );
    // A store that has nothing for us is passed over.
    assert_eq!(chain(&home, &[("MXM_CONFIG_STORE", "other")]), "env");
    home.write("given.yaml", file("env"));
    assert_eq!(chain(&home, &[("MXM_SECRETS_CONFIG", "given.yaml")]), "env");
    home.write("flag.yaml", file("gopass"));
    let with_flag = run(
        &home,
        &["config", "--config", "flag.yaml", "--json"],
        &[("MXM_SECRETS_CONFIG", "given.yaml")],
    );
    with_flag.has(0, &with_flag.stdout, &[]);
    assert!(String::from_utf8_lossy(&with_flag.stdout).contains("flag.yaml"));
    // The chain of a variable and of a flag win over the file's.
    assert_eq!(
        chain(
            &home,
            &[
                ("MXM_SECRETS_CONFIG", "given.yaml"),
                ("MXM_SECRETS_BACKENDS", "gopass")
            ]
        ),
        "gopass"
    );
}

#[test]
fn what_is_asked_for_and_is_not_there_is_an_error() {
    let home = Home::new();
    let path = home.path().display().to_string();
    run(&home, &["get", "a", "--config", "no.yaml"], &[]).is(
        2,
        "",
        &format!("mxm-secrets: --config: {path}/no.yaml does not exist\n"),
    );
    run(
        &home,
        &["get", "a"],
        &[("MXM_SECRETS_CONFIG", "/no/x.yaml")],
    )
    .is(
        2,
        "",
        "mxm-secrets: MXM_SECRETS_CONFIG: /no/x.yaml does not exist\n",
    );
    run(&home, &["get", "a"], &[("MXM_APP", "app")]).is(
        2,
        "",
        &format!("mxm-secrets: MXM_APP: {path}/mxm-config-store/apps/app does not exist\n"),
    );
    run(&home, &["get", "a"], &[("MXM_CONFIG_STORE", "/no/store")]).is(
        2,
        "",
        "mxm-secrets: MXM_CONFIG_STORE: /no/store does not exist\n",
    );
    run(&home, &["get", "a"], &[("MXM_APP", "../x")]).is(
        2,
        "",
        "mxm-secrets: MXM_APP is \"../x\": expected the name of a program\n",
    );
    fs::create_dir_all(home.path().join(STORE)).unwrap();
    run(&home, &["get", "a"], &[]).is(
        2,
        "",
        &format!("mxm-secrets: {path}/{STORE}/default.yaml does not exist, but a configuration store has one for each program\n"),
    );
}

/// What such a link leads to may be on a disk that is not there: a default would be another configuration.
#[test]
fn a_link_to_nothing_on_the_way_is_an_error() {
    let link = |home: &Home, place: &str| {
        let link = home.path().join(place);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        format!("mxm-secrets: {} is a link to nothing\n", link.display())
    };
    for place in [
        ".config",
        ".config/mxm-secrets",
        "mxm-config-store",
        "mxm-config-store/apps",
        STORE,
        &format!("{STORE}/default.yaml"),
    ] {
        let home = Home::new();
        let says = link(&home, place);
        home.run(["get", "a"]).is(2, "", &says);
        home.run(["config", "--check"]).is(2, "", &says);
    }
    for place in [STORE, "mxm-config-store/apps", "mxm-config-store"] {
        let home = Home::new();
        let says = link(&home, place);
        let store = home.path().join("mxm-config-store");
        let store = [("MXM_CONFIG_STORE", store.to_str().unwrap())];
        run(&home, &["get", "a"], &store).is(2, "", &says);
    }
    let home = Home::new();
    home.write(&format!("{STORE}/default.yaml"), file("env"));
    let says = link(&home, &format!("{STORE}/environment.yaml"));
    home.run(["get", "a"]).is(2, "", &says);
    // A directory behind a link is one like any other.
    let home = Home::new();
    home.write("real/mxm-secrets/config.yaml", file("env"));
    std::os::unix::fs::symlink("real", home.path().join(".config")).unwrap();
    assert_eq!(chain(&home, &[]), "env");
}

/// Neither is a file where a directory of the configuration is expected: someone has overwritten it. A home directory
/// that is no directory at all, as some accounts have it, has no configuration.
#[test]
fn a_file_in_place_of_a_directory_is_an_error() {
    for place in [
        ".config",
        ".config/mxm-secrets",
        "mxm-config-store",
        "mxm-config-store/apps",
        STORE,
    ] {
        let home = Home::new();
        let file = home.write(place, "x");
        let says = format!(
            "mxm-secrets: expected a directory, found a file: {}\n",
            file.display()
        );
        home.run(["get", "a"]).is(2, "", &says);
        home.run(["config", "--check"]).is(2, "", &says);
    }
    let mut home = Home::new();
    home.set("HOME", "/dev/null").set("A", "1");
    home.run(["get", "a", "--backend", "env"]).is(0, "1\n", "");
}

#[test]
fn a_named_store_is_a_directory() {
    let home = Home::new();
    let path = home.path().display().to_string();
    home.write("file", "x");
    home.write("store/apps", "x");
    for (store, wrong) in [
        ("file", "file"),
        ("file/below", "file"),
        ("store", "store/apps"),
    ] {
        let store = format!("{path}/{store}");
        run(&home, &["get", "a"], &[("MXM_CONFIG_STORE", &store)]).is(
            2,
            "",
            &format!("mxm-secrets: expected a directory, found a file: {path}/{wrong}\n"),
        );
    }
    run(&home, &["get", "a"], &[("MXM_CONFIG_STORE", "/dev/null")]).is(
        2,
        "",
        "mxm-secrets: MXM_CONFIG_STORE: /dev/null is not a directory\n",
    );
    // It may have files of other programs alone.
    home.write("other/apps/app/default.yaml", "{}");
    let store = format!("{path}/other");
    run(
        &home,
        &["get", "a", "--backend", "env"],
        &[("MXM_CONFIG_STORE", &store)],
    )
    .has(1, "", &[]);
}

/// As age has it: the home directory is that of the account when HOME is no absolute path.
#[test]
fn the_home_directory_is_that_of_the_account_without_home() {
    let mut home = Home::new();
    let path = home.path().display().to_string();
    home.write(".config/mxm-secrets/config.yaml", file("gopass"));
    let mut run = |passwd: &str, variable: Option<&str>, arguments: &[&str]| {
        home.write("passwd", passwd);
        home.set("LC_ALL", "C");
        let inner = home.mxm_secrets(arguments);
        // A mount namespace, whose accounts are ours.
        let script = format!("mount --bind {path}/passwd /etc/passwd && exec \"$@\"");
        let mut outer = home.command(find("unshare").unwrap());
        outer.args(["-rm", "--", "/bin/sh", "-c", &script, "sh"]);
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.env("PATH", format!("{path}/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
        outer.env_remove("HOME").current_dir("/");
        outer.envs(variable.map(|home| ("HOME", home)));
        transcript(&mut outer)
    };
    let passwd = format!("root:x:0:0::{path}:/bin/sh\n");
    for variable in [None, Some(""), Some("tmp"), Some("./.")] {
        let seen = run(&passwd, variable, &["config", "--json"]);
        if seen.stderr.contains("unshare") || seen.stderr.contains("mount:") {
            return not_run(&format!("no namespaces here: {}", seen.stderr));
        }
        let shown = String::from_utf8(seen.stdout).unwrap();
        let file = format!("{path}/.config/mxm-secrets/config.yaml");
        assert!(shown.contains(&file), "{variable:?}: {shown}");
    }
}

/// A full disk cuts a file to nothing, and the default would be another configuration.
#[test]
fn a_named_file_is_not_empty() {
    let home = Home::new();
    let path = home.write("c.yaml", "").display().to_string();
    let says = |source: &str| {
        format!("mxm-secrets: {source}: {path} is empty; for no configuration, give /dev/null\n")
    };
    home.run(["get", "a", "--config", "c.yaml"])
        .is(2, "", &says("--config"));
    home.run(["config", "--check", "--config", "c.yaml"])
        .is(2, "", &says("--config"));
    run(&home, &["get", "a"], &[("MXM_SECRETS_CONFIG", "c.yaml")]).is(
        2,
        "",
        &says("MXM_SECRETS_CONFIG"),
    );
    home.write("c.yaml", "# nothing is configured\n");
    home.run(["get", "a", "--backend", "env", "--config", "c.yaml"])
        .has(1, "", &["a: missing"]);
}

#[test]
fn files_that_cannot_be_trusted_or_read_are_errors() {
    let home = Home::new();
    let path = home.write(".config/mxm-secrets/config.yaml", file("env"));
    let shown = path.display();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
    home.run(["get", "a"]).is(2, "", &format!("mxm-secrets: {shown} is not read, since it can name programs: everyone can write to {shown}, which belongs to root (0); fix it with: chmod o-w {shown}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    home.run(["get", "a"]).has(1, "", &["a: missing"]);
    fs::write(&path, format!("# {}\n", "x".repeat(1 << 20))).unwrap();
    home.run(["get", "a"]).is(
        2,
        "",
        &format!("mxm-secrets: {shown} is larger than 1 MiB\n"),
    );
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    home.run(["get", "a"]).is(
        2,
        "",
        &format!("mxm-secrets: {shown} is not a regular file\n"),
    );
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    home.run(["get", "a"])
        .has(2, "", &[&format!("{shown} cannot be read: ")]);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/nowhere", &path).unwrap();
    home.run(["get", "a"]).is(
        2,
        "",
        &format!("mxm-secrets: {shown} is a link to nothing\n"),
    );
    fs::remove_file(&path).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(fifo.success());
    home.run(["get", "a"]).is(
        2,
        "",
        &format!("mxm-secrets: {shown} is not a regular file\n"),
    );
}

#[test]
fn an_unreadable_file_is_an_error() {
    let home = Home::new();
    let path = home.write("config.yaml", file("env"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        // Root reads everything. As nobody, then.
        let Some(setpriv) = find("setpriv") else {
            return not_run("setpriv is not installed, and root reads everything");
        };
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = home.path().join("program");
        copy_program(program_under_test(), &program);
        let mut command = home.command(setpriv);
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command
            .arg(program)
            .args(["get", "a", "--config", "config.yaml"]);
        transcript(&mut command).has(2, "", &["config.yaml cannot be read: Permission denied"]);
    } else {
        home.run(["get", "a", "--config", "config.yaml"]).has(
            2,
            "",
            &["config.yaml cannot be read: Permission denied"],
        );
    }
}

/// A store with everything for each of the dimensions.
fn deployments(home: &Home) {
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets:
  backends: [gopass, env]
  timeout: 10
  env: {prefix: \"${stage}_\"}
  bridge: {command: [ssh, bridge, mxm-secrets, get, --raw, \"{name}\"]}
stage: NONE
other_program: {broken: \"${no.where}\", also: \"${oc.env:NOT_SET}\"}
",
    );
    home.write(
        &format!("{STORE}/environment.yaml"),
        "dev: {stage: DEV}\nprod: {stage: PROD, mxm_secrets: {on_error: stop, timeout: 3}}\n",
    );
    home.write(
        &format!("{STORE}/machine.yaml"),
        "laptop: {}
bridge: {mxm_secrets: {backends: [gopass]}}
cloud-1: {mxm_secrets: {backends: [env], env: {required: yes}}}
cloud-2: {mxm_secrets: {backends: [bridge, env]}}
",
    );
    home.write(
        &format!("{STORE}/substrate.yaml"),
        "local-process: {}\ndocker-container: {mxm_secrets: {backends: [env]}}\n",
    );
    home.write(
        &format!("{STORE}/role.yaml"),
        "trader: {}\nmarketdata: {mxm_secrets: {timeout: 1, backends: [env, gopass]}}\n",
    );
}

#[test]
fn every_deployment_has_the_chain_that_its_layers_say() {
    let home = Home::new();
    deployments(&home);
    for (machine, of_machine) in [
        ("laptop", "gopass,env"),
        ("bridge", "gopass"),
        ("cloud-1", "env"),
        ("cloud-2", "bridge,env"),
    ] {
        for (environment, prefix, of_environment) in [("dev", "DEV_", "10"), ("prod", "PROD_", "3")]
        {
            for (role, of_role) in [("trader", None), ("marketdata", Some(("env,gopass", "1")))] {
                let variables = [
                    ("MXM_MACHINE", machine),
                    ("MXM_ENVIRONMENT", environment),
                    ("MXM_ROLE", role),
                    ("MXM_SUBSTRATE", "local-process"),
                ];
                let (expected, timeout) = of_role.unwrap_or((of_machine, of_environment));
                assert_eq!(chain(&home, &variables), expected, "{variables:?}");
                let all = run(&home, &["config", "--json"], &variables);
                let all = String::from_utf8(all.stdout).unwrap();
                for part in [
                    format!("\"key\":\"timeout\",\"value\":{timeout},"),
                    format!("\"key\":\"env.prefix\",\"value\":\"{prefix}\","),
                ] {
                    assert!(all.contains(&part), "{part} in {all}");
                }
            }
        }
    }
    // It is the chain that is asked, too.
    let variables = [
        ("MXM_MACHINE", "cloud-1"),
        ("MXM_ENVIRONMENT", "prod"),
        ("MXM_ROLE", "trader"),
        ("MXM_SUBSTRATE", "local-process"),
        ("PROD_A", "value"),
    ];
    run(&home, &["get", "a"], &variables).is(0, "value\n", "");
}

#[test]
fn a_layer_needs_its_selector() {
    let home = Home::new();
    deployments(&home);
    let path = home.path().join(STORE);
    let path = path.display();
    run(&home, &["get", "a"], &[]).is(
        2,
        "",
        &format!("mxm-secrets: MXM_ENVIRONMENT is not set, but {path}/environment.yaml needs it; it has: dev, prod\n"),
    );
    let prod = ("MXM_ENVIRONMENT", "prod");
    run(&home, &["get", "a"], &[("MXM_ENVIRONMENT", "prdo")]).is(
        2,
        "",
        &format!("mxm-secrets: MXM_ENVIRONMENT is \"prdo\", but {path}/environment.yaml has no block for it: did you mean prod?\n"),
    );
    run(&home, &["get", "a"], &[prod, ("MXM_MACHINE", "moon")]).is(
        2,
        "",
        &format!("mxm-secrets: MXM_MACHINE is \"moon\", but {path}/machine.yaml has no block for it; it has: laptop, bridge, cloud-1, cloud-2\n"),
    );
    let here = [
        prod,
        ("MXM_MACHINE", "laptop"),
        ("MXM_SUBSTRATE", "local-process"),
    ];
    run(&home, &["get", "a"], &here).has(
        2,
        "",
        &["role.yaml needs it; it has: trader, marketdata"],
    );
    fs::remove_file(home.path().join(STORE).join("role.yaml")).unwrap();
    run(&home, &["get", "a"], &here).has(1, "", &["a: missing"]);
}

#[test]
fn the_machine_and_the_substrate_are_known_without_being_given() {
    let Some(hostname) = find("hostname") else {
        return not_run("hostname is not installed");
    };
    let host = std::process::Command::new(hostname).output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let machine = host.trim_end().split('.').next().unwrap();
    let substrate = if fs::exists("/.dockerenv").unwrap() {
        "docker-container"
    } else {
        "local-process"
    };
    let home = Home::new();
    home.write(&format!("{STORE}/default.yaml"), file("gopass"));
    home.write(
        &format!("{STORE}/machine.yaml"),
        format!("\"{machine}\":\n  {}", file("env")),
    );
    assert_eq!(chain(&home, &[]), "env");
    home.write(
        &format!("{STORE}/substrate.yaml"),
        format!("{substrate}:\n  {}", file("env, gopass")),
    );
    assert_eq!(chain(&home, &[]), "env,gopass");
}

#[test]
fn what_the_section_does_not_need_is_none_of_our_business() {
    let mut home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets: {backends: [env]}\nother: {a: \"${no.where}\", b: \"${oc.env:NO}\", c: \"${c\", d: \"${b.loop}\"}\n",
    );
    home.set("A", "1");
    home.run(["get", "a"]).is(0, "1\n", "");
    let path = home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets: {backends: [env], env: {prefix: \"${other.a}\"}}\nother: {a: \"${no.where}\"}\n",
    );
    home.run(["get", "a"]).is(2, "", &format!("mxm-secrets: {}:1:46: mxm_secrets.env.prefix: ${{no.where}} not found: there is no key no\n", path.display()));
}

#[test]
fn without_a_configuration_three_opens_fail() {
    let Some(strace) = find("strace") else {
        return not_run("strace is not installed");
    };
    if emulated("strace sees the runner's own calls as well") {
        return;
    }
    let mut home = Home::new();
    home.set("A", "1");
    let trace = home.path().join("trace");
    let mut command = home.command(strace);
    command.args([
        "-f",
        "-e",
        "trace=open,openat,stat,statx,newfstatat,access",
        "-o",
    ]);
    command.arg(&trace).arg(program_under_test());
    command.args(["get", "--backend", "env", "a"]);
    transcript(&mut command).is(0, "1\n", "");
    let trace = fs::read_to_string(trace).unwrap();
    let ours = home.path().to_str().unwrap();
    let looked: Vec<&str> = trace.lines().filter(|line| line.contains(ours)).collect();
    let opens: Vec<&&str> = looked.iter().filter(|line| line.contains("open")).collect();
    assert!(opens.len() <= 3, "{looked:?}");
    assert!(
        opens.iter().all(|line| line.contains("ENOENT")),
        "{looked:?}"
    );
    // For each, the way down to what is missing: home, what is not in it, and whether that is a link.
    assert!(looked.len() <= 3 + 3 * 3, "{looked:?}");
}

/// What the layers have in common is looked at once, and each of them where it is open.
#[test]
fn each_further_layer_costs_one_look() {
    let Some(strace) = find("strace") else {
        return not_run("strace is not installed");
    };
    if emulated("strace sees the runner's own calls as well") {
        return;
    }
    let mut home = Home::new();
    home.write(
        &format!("{STORE}/default.yaml"),
        "mxm_secrets: {backends: [env]}\n",
    );
    for (layer, block) in [("environment", "prod"), ("role", "trader")] {
        home.write(&format!("{STORE}/{layer}.yaml"), format!("{block}: {{}}\n"));
    }
    home.set("MXM_ENVIRONMENT", "prod")
        .set("MXM_ROLE", "trader")
        .set("A", "1");
    let trace = home.path().join("trace");
    let mut command = home.command(strace);
    command.args(["-f", "-e", "trace=%file", "-o"]);
    command.arg(&trace).arg(program_under_test());
    command.args(["get", "a"]);
    transcript(&mut command).is(0, "1\n", "");
    let trace = fs::read_to_string(trace).unwrap();
    for layer in ["default", "environment", "role"] {
        let path = format!("/{layer}.yaml\"");
        let looks: Vec<&str> = trace.lines().filter(|line| line.contains(&path)).collect();
        assert!(
            matches!(looks[..], [look] if look.contains("open")),
            "{looks:?}"
        );
    }
}

/// As in a container, or under systemd, whose user is not the one that HOME is of.
#[test]
fn a_home_that_may_not_be_searched_is_no_error_where_nothing_of_it_is_needed() {
    let mut home = Home::new();
    let closed = home.path().join("closed");
    fs::create_dir_all(closed.join(".config")).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    home.set("HOME", &closed).set("A", "value");
    let run = |home: &Home, arguments: &[&str]| {
        transcript(&mut crate::support::rights::bound(
            &home.mxm_secrets(arguments),
        ))
    };
    let cannot = "cannot be read: Permission denied";
    // The user's own may have a configuration that says what else this is about.
    run(&home, &["get", "--backend", "env", "a"]).has(2, "", &[cannot]);
    home.set("HOME", closed.join("below"));
    run(&home, &["get", "--backend", "env", "a"]).has(2, "", &[cannot]);
    if std::os::unix::fs::chown(&closed, Some(12345), None).is_err() {
        return not_run("only root can give a directory to another user");
    }
    run(&home, &["get", "--backend", "env", "a"]).is(0, "value\n", "");
    home.set("HOME", &closed);
    run(&home, &["get", "--backend", "env", "a"]).is(0, "value\n", "");
    run(&home, &["resolve", "--backend", "env", "b"]).has(1, "", &["b: missing"]);
    // Whom to ask, what a set has, where a configuration or a secret is: this is needed.
    run(&home, &["get", "a"]).has(2, "", &[cannot]);
    run(&home, &["config", "--check"]).has(2, "", &[cannot]);
    run(
        &home,
        &["exec", "--backend", "env", "--set", "a", "--", "true"],
    )
    .has(125, "", &["unknown set"]);
    let file = closed.join("c.yaml");
    let file = [
        "get",
        "--backend",
        "env",
        "--config",
        file.to_str().unwrap(),
        "a",
    ];
    run(&home, &file).has(2, "", &[cannot]);
    if cfg!(feature = "age") {
        run(&home, &["get", "--backend", "age", "a"]).has(4, "", &["Permission denied"]);
    }
    home.set("MXM_SECRETS_BACKENDS", "env");
    run(&home, &["config", "--check"]).has(2, "", &[cannot]);
    home.set("MXM_APP", "mine");
    run(&home, &["get", "--backend", "env", "a"]).has(2, "", &[cannot]);
    // One that is there and may be searched is read.
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let other = Home::new();
    other.write(
        ".config/mxm-secrets/config.yaml",
        "mxm_secrets: {timeout: x}\n",
    );
    other
        .run(["get", "--backend", "env", "a"])
        .has(2, "", &["config.yaml:1:"]);
}
