//! Real containers: podman and crun, in the machine of the tests for systemd.

use std::sync::OnceLock;

use crate::recipes::{MOUNTED, blocks};
use crate::support::machine::Machine;
use crate::support::{Transcript, program};

const VALUE: &str = "c0ntained";

struct Podman(&'static Machine);

impl Podman {
    /// The one that the tests share; `None` (said loudly) where a program is missing.
    fn shared() -> Option<Podman> {
        static READY: OnceLock<()> = OnceLock::new();
        let needed = ["podman", "crun", "podman-compose", "busybox", "catatonit"];
        if needed.iter().any(|name| program(name).is_none()) {
            return None;
        }
        let podman = Podman(Machine::shared()?);
        READY.get_or_init(|| {
            let checkout = env!("CARGO_MANIFEST_DIR");
            podman
                .0
                .output(&format!("'{checkout}/tests/podman/set-up'"));
            podman.output(&format!(
                "printf %s {VALUE} | podman secret create prod_api-key -"
            ));
        });
        Some(podman)
    }

    /// Runs a shell script where that podman is meant.
    fn shell(&self, script: &str) -> Transcript {
        self.0.run(&format!(
            "cd /run/podman-tests
            export CONTAINERS_STORAGE_CONF=$PWD/storage.conf CONTAINERS_CONF=$PWD/containers.conf
            {script}"
        ))
    }

    /// The same, which must end with 0.
    #[track_caller]
    fn output(&self, script: &str) -> String {
        let seen = self.shell(script);
        assert_eq!(seen.status, Some(0), "{script}\n{}", seen.stderr);
        String::from_utf8(seen.stdout).unwrap()
    }

    /// Runs a command in a container that has no rights and may write nothing.
    fn run(&self, options: &str, command: &str) -> Transcript {
        self.shell(&format!("exec podman run --rm {BOUND} {options} {command}"))
    }
}

const BOUND: &str = "--read-only --cap-drop=all --security-opt=no-new-privileges";
const GET: &str = "mxm-secrets get --backend credentials prod/api-key";

#[test]
fn a_container_has_its_secrets_as_files_and_as_variables() {
    let Some(podman) = Podman::shared() else {
        return;
    };
    let value = format!("{VALUE}\n");
    let run =
        |options: &str, command: &str| podman.run(&format!("--user 1000:1000 {options}"), command);
    // The program alone, as process 1.
    run("--secret prod_api-key", &format!("scratch {GET}")).is(0, &value, "");
    run("", &format!("scratch {GET}")).has(4, "", &["/run/secrets does not exist"]);
    let env = "scratch mxm-secrets get --backend env prod/api-key";
    run("--secret prod_api-key,type=env,target=PROD_API_KEY", env).is(0, &value, "");
    // Without a target, the variable has the name of the secret, which is not the one that is read.
    run("--secret prod_api-key,type=env", env).has(1, "", &["prod/api-key"]);
    // A home that this user may not search is no concern of a mounted file.
    run(
        "--env HOME=/root --secret prod_api-key",
        &format!("scratch {GET}"),
    )
    .is(0, &value, "");
    // Owner and mode; what may not be read has failed, and no default stands in.
    let stat = format!("trader sh -c 'stat -c %u:%g:%a /run/secrets/prod_api-key; {GET}'");
    run("--secret prod_api-key,uid=1000,gid=1001,mode=0400", &stat).is(
        0,
        format!("1000:1001:400\n{value}"),
        "",
    );
    let get = GET.replace("get", "get --default d");
    run("--secret prod_api-key,mode=0400", &format!("scratch {get}")).has(
        4,
        "",
        &["Permission denied"],
    );
}

#[test]
fn podman_stop_reaches_the_command() {
    let Some(podman) = Podman::shared() else {
        return;
    };
    let exec = "mxm-secrets exec --backend credentials --secret prod/api-key -- trader --live";
    // As process 1 itself, and below an init, which reaps what a command leaves behind.
    for (name, option, pid) in [("alone", "", 1), ("init", "--init", 2)] {
        podman.output(&format!(
            "podman run -d --name {name} {BOUND} --user 1000:1000 {option} --secret prod_api-key trader {exec}"
        ));
        let first = format!("trader --live pid={pid} bytes={}\n", VALUE.len());
        let log = || podman.shell(&format!("podman logs {name}"));
        crate::exec::waits_for(|| log().stdout == first.as_bytes());
        podman.output(&format!("podman stop -t 10 {name}"));
        log().is(0, format!("{first}got TERM\n"), "");
        let inspected = podman.output(&format!("podman inspect {name}"));
        assert!(inspected.contains("\"ExitCode\": 0,"), "{inspected}");
        assert!(!inspected.contains(VALUE), "{inspected}");
    }
}

#[test]
fn the_compose_file_of_the_readme_runs_word_for_word() {
    let Some(podman) = Podman::shared() else {
        return;
    };
    let file = blocks(MOUNTED, "yml").remove(0);
    // With the line that the manual names for a command which does not reap, it is below an init.
    let image = "    image: trader\n";
    let with_init = file.replace(image, &format!("{image}    init: true\n"));
    assert_ne!(file, with_init);
    for (project, file, pid) in [("compose", file, 1), ("init", &with_init, 2)] {
        podman.output(&format!(
            "mkdir {project}; cd {project}; printf %s {VALUE} >prod_api-key; cat >compose.yml <<'END'\n{file}\nEND
            export CONTAINERS_CONF=/run/podman-tests/compose.conf; podman-compose up -d"
        ));
        let first = format!("trader --live pid={pid} bytes={}\n", VALUE.len());
        let log = || podman.shell(&format!("podman logs {project}_trader_1"));
        crate::exec::waits_for(|| log().stdout == first.as_bytes());
        podman.output(&format!("cd {project}; podman-compose stop"));
        log().is(0, format!("{first}got TERM\n"), "");
        podman.output(&format!("cd {project}; podman-compose down"));
    }
}

#[test]
fn the_image_is_one_to_copy_from() {
    let Some(podman) = Podman::shared() else {
        return;
    };
    let (checkout, version) = (env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_VERSION"));
    podman.output(&format!(
        "PROGRAM=/usr/local/bin/mxm-secrets DIST=$PWD/dist '{checkout}/.ci/image' {}-unknown-linux-musl
        podman load -q -i dist/mxm-secrets-{version}-*.oci.tar
        printf 'FROM localhost/trader\\nCOPY --from=localhost/mxm-secrets:{version} /mxm-secrets /bin/copied\\n' >Containerfile
        podman build -q --isolation=chroot --network=host -t copied -f Containerfile .",
        std::env::consts::ARCH
    ));
    podman
        .run(
            "--user 1000:1000 --secret prod_api-key",
            &format!("copied {}", GET.replace("mxm-secrets", "copied")),
        )
        .is(0, format!("{VALUE}\n"), "");
    // By itself it is the program, and nobody's; the program of the tests needs its libraries for that.
    let alone = podman.run(
        "--secret prod_api-key",
        &format!("mxm-secrets:{version} --version"),
    );
    // A program that needs libraries has them below /.
    let needs = podman.shell("ldd /usr/local/bin/mxm-secrets").stdout;
    let is_static = !needs.contains(&b'/');
    assert_eq!(alone.status == Some(0), is_static, "{alone:?}");
    let config = podman.output(&format!("podman image inspect mxm-secrets:{version}"));
    assert!(config.contains("\"User\": \"65534:65534\""), "{config}");
}
