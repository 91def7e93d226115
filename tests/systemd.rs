//! Where it runs for a living: a real systemd as process 1, in a copy of this machine.

#[cfg(all(feature = "age", feature = "vault"))]
mod credential;

use crate::recipes::{MOUNTED, blocks};
use crate::support::machine::Machine;
use crate::support::{program, program_under_test};

/// What a unit or a script is called that no other test has.
fn own(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The strictest that systemd.exec(5) has, of what `systemd-analyze security` counts.
const STRICTEST: &str = "
DynamicUser=yes
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
DevicePolicy=closed
PrivateDevices=yes
PrivateMounts=yes
PrivateNetwork=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
ProtectSystem=strict
IPAddressDeny=any
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictAddressFamilies=none
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0777
";

/// What starts there cleans up as on a machine of its own.
#[test]
fn the_copy_only_reads_what_it_has_of_this_machine() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    for path in [env!("CARGO_MANIFEST_DIR").as_ref(), program_under_test()] {
        let touch = machine.run(&format!("touch '{}'", path.display()));
        touch.has(1, "", &["Read-only file system"]);
    }
}

#[test]
fn the_units_of_the_readme_run_word_for_word() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    let value = own("v4lue");
    machine.output(&format!(
        "mkdir -p /etc/credstore.encrypted
        printf %s {value} | systemd-creds encrypt --name=prod_api-key - /etc/credstore.encrypted/prod_api-key"
    ));
    for (number, unit) in blocks(MOUNTED, "ini").into_iter().enumerate() {
        let name = own(&format!("readme{number}"));
        machine.output(&format!(
            "cat >/run/systemd/system/{name}.service <<'END'\n{unit}\nEND
            systemctl daemon-reload; systemctl start {name}"
        ));
        // It is the service's own program, in place of ours, and has what it was promised.
        crate::exec::waits_for(|| {
            let pid = format!("$(systemctl show -P MainPID {name})");
            machine
                .run(&format!(
                    "tr '\\0' ' ' </proc/{pid}/cmdline | grep -q '^sleep '"
                ))
                .status
                == Some(0)
        });
        let environment = machine.output(&format!(
            "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID {name})/environ"
        ));
        let has = environment.contains(&format!("PROD_API_KEY={value}\n"));
        assert_eq!(has, unit.contains("exec --backend"), "{environment}");
        machine.output(&format!(
            "systemctl stop {name}; test $(systemctl show -P Result {name}) = success"
        ));
    }
    machine.is_not_told(&value);
}

/// Runs our program as a service with these properties; what systemd-run prints, and the status of the service.
fn service(machine: &Machine, properties: &str, arguments: &str) -> crate::support::Transcript {
    machine.run(&format!(
        "systemd-run --quiet --wait --pipe --collect {properties} mxm-secrets {arguments}"
    ))
}

/// What systemd has room for is 1 MiB for all credentials of a unit, with their names.
const MOST: usize = (1 << 20) - "prod_api-key".len();

#[test]
fn a_service_gets_its_credential_however_systemd_has_it() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    let folder = own("/run/given");
    let value = own("k3y");
    machine.output(&format!(
        "mkdir {folder}
        printf %s {value} >{folder}/api-key
        printf 'a\\0\\377\\n\\n' >{folder}/odd
        : >{folder}/empty
        head -c {MOST} /dev/zero | tr '\\0' x >{folder}/most
        printf x | cat {folder}/most - >{folder}/more
        printf %s {value} | systemd-creds encrypt --name=prod_api-key - {folder}/encrypted"
    ));
    let get = "get --raw --backend credentials prod/api-key";
    let load = |file: &str| format!("-p LoadCredential=prod_api-key:{folder}/{file}");
    for dynamic in ["", "-p DynamicUser=yes "] {
        for given in [
            load("api-key"),
            format!("-p SetCredential=prod_api-key:{value}"),
            format!("-p LoadCredentialEncrypted=prod_api-key:{folder}/encrypted"),
            // A folder's files are called after it.
            format!("-p LoadCredential=prod:{folder}/in"),
        ] {
            if given.ends_with("/in") {
                machine.output(&format!(
                    "mkdir -p {folder}/in; cp {folder}/api-key {folder}/in/api-key"
                ));
            }
            service(machine, &format!("{dynamic}{given}"), get).is(0, &value, "");
        }
        let given = format!("{dynamic}{}", load("odd"));
        service(machine, &given, get).is(0, b"a\0\xff\n\n", "");
        let given = format!("{dynamic}{}", load("most"));
        let seen = service(machine, &given, get);
        assert!(
            seen.status == Some(0) && seen.stdout == vec![b'x'; MOST],
            "{}",
            seen.stderr
        );
    }
    // Larger, or not there: systemd does not start the service, which ends with its status for that.
    for file in ["more", "none"] {
        service(machine, &load(file), get).is(243, "", "");
    }
    // Empty: systemd has nothing else for what is not there, so it is missing, and a default stands in.
    let empty = service(machine, &load("empty"), get);
    empty.has(1, "", &["prod/api-key is empty"]);
    service(
        machine,
        &load("empty"),
        "get --default d --backend credentials prod/api-key",
    )
    .has(3, "d\n", &[]);
    // Another one's: the directory is there, and says so. None at all: there is no directory.
    let other = service(
        machine,
        &load("api-key"),
        "get --backend credentials prod/other",
    );
    other.is(
        1,
        "",
        "mxm-secrets: prod/other: missing: not in credentials\n",
    );
    let none = service(machine, "", get);
    none.has(4, "", &["CREDENTIALS_DIRECTORY is not set"]);
    machine.is_not_told(&value);
}

#[test]
fn the_strictest_hardening_is_none_too_strict() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    let (name, value) = (own("strict"), own("h4rd"));
    let unit = format!(
        "[Service]\nType=oneshot\nSetCredential=prod_api-key:{value}\nStandardOutput=append:/run/{name}.out\n\
        StandardError=inherit\nEnvironment=MXM_SECRETS_BACKENDS=credentials\n\
        ExecStart=mxm-secrets get prod/api-key\n\
        ExecStart=mxm-secrets exec --file KEY=prod/api-key --value TWICE={{{{{{{{prod/api-key}}}}}}}} -- sh -c 'cat $KEY; echo $TWICE'\n\
        ExecStart=mxm-secrets resolve prod/api-key\n{STRICTEST}"
    );
    let unit = unit.replace("{{{{", "{{").replace("}}}}", "}}");
    let seen = machine.run(&format!(
        "cat >/run/systemd/system/{name}.service <<'END'\n{unit}\nEND
        systemctl daemon-reload
        systemctl start {name}; s=$?; cat /run/{name}.out; exit $s"
    ));
    let path = format!("prod/api-key\tcredentials\t/run/credentials/{name}.service/prod_api-key\n");
    seen.is(0, format!("{value}\n{value}{value}\n{path}"), "");
    let exposure = machine.output(&format!(
        "systemd-analyze security --no-pager {name}.service | tail -1"
    ));
    assert!(exposure.contains(": 0."), "{exposure}");
    machine.is_not_told(&value);

    // A call that the filter leaves out kills, without a word; with an error number, it is an error like others.
    for (filter, arguments, status, said) in [
        (
            "~@keyring",
            "get --backend keyring prod/api-key",
            4,
            "no kernel keyrings here",
        ),
        (
            "~memfd_create",
            "exec --backend credentials --file KEY=prod/api-key -- true",
            125,
            "cannot make a file in memory",
        ),
    ] {
        let filter = format!("-p SetCredential=prod_api-key:x -p SystemCallFilter={filter}");
        let killed = service(machine, &filter, arguments);
        assert!(
            killed.status != Some(0) && killed.stderr.is_empty(),
            "{killed:?}"
        );
        let filter = format!("{filter} -p SystemCallErrorNumber=EPERM");
        service(machine, &filter, arguments).has(status, "", &[said]);
    }
}

#[test]
fn a_home_that_is_closed_is_no_error_where_nothing_of_it_is_needed() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    machine.output("useradd --create-home --uid 4244 trader44");
    for closed in ["ProtectHome=yes", "InaccessiblePaths=/home/trader44"] {
        let properties = format!("-p User=trader44 -p Environment=A=cl0sed -p {closed}");
        service(machine, &properties, "get --backend env a").is(0, "cl0sed\n", "");
        let seen = service(machine, &properties, "get a");
        seen.has(2, "", &["cannot be read: Permission denied"]);
    }
}

#[test]
fn a_users_own_manager_hands_credentials_over() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    let value = own("us3r");
    let user = |script: &str| {
        machine.run(&format!(
            "exec setpriv --reuid=4242 --regid=4242 --clear-groups env HOME=/home/trader42 \
            XDG_RUNTIME_DIR=/run/user/4242 sh -euc '{script}'"
        ))
    };
    machine.output(
        "useradd --create-home --uid 4242 trader42
        systemctl start user@4242.service",
    );
    let run = "systemd-run --user --quiet --wait --pipe --collect";
    let get = "mxm-secrets get --backend credentials prod/api-key";
    user(
        &format!("printf %s {value} >key; {run} -p LoadCredential=prod_api-key:$HOME/key {get}")
            .replace(">key", ">$HOME/key"),
    )
    .is(0, format!("{value}\n"), "");
    user(&format!(
        "{run} -p SetCredential=prod_api-key:{value} {get}"
    ))
    .is(0, format!("{value}\n"), "");
    // The machine's key is not the user's: systemd does not start it.
    machine.output(&format!(
        "printf %s {value} | systemd-creds encrypt --name=prod_api-key - /home/trader42/encrypted; chmod 644 /home/trader42/encrypted"
    ));
    let seen = user(&format!(
        "{run} -p LoadCredentialEncrypted=prod_api-key:$HOME/encrypted {get}"
    ));
    assert!(
        seen.status == Some(243) && seen.stdout.is_empty(),
        "{seen:?}"
    );
    machine.is_not_told(&value);
}

#[test]
fn the_keyring_is_read_in_each_of_its_modes() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    if program("keyctl").is_none() {
        return;
    }
    // The keyring of root is one for this machine and the copy.
    let (name, other) = (own("machine/key"), own("machine/session"));
    let value = own("r1ng");
    machine.output(&format!(
        "printf %s {value} | keyctl padd user mxm:{name} @u >/run/{}.id",
        value
    ));
    let seen: Vec<_> = ["private", "shared", "inherit"]
        .iter()
        .map(|mode| {
            let properties = format!("-p KeyringMode={mode}");
            service(
                machine,
                &properties,
                &format!("get --backend keyring {name}"),
            )
        })
        .collect();
    // In the session of whoever adds it, no service sees it.
    let session = machine.run(&format!(
        "keyctl session - sh -euc 'printf %s x | keyctl padd user mxm:{other} @s >/run/{value}.session
        systemd-run --quiet --wait --pipe --collect mxm-secrets get --backend keyring {other}' 2>&1"
    ));
    machine.output(&format!("keyctl unlink $(cat /run/{value}.id) @u"));
    for seen in seen {
        seen.is(0, format!("{value}\n"), "");
    }
    assert_eq!(session.status, Some(1), "{session:?}");
    machine.is_not_told(&value);
}

#[test]
fn a_timer_starts_it() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    let (name, value) = (own("timed"), own("t1mer"));
    machine.output(&format!(
        "systemd-run --quiet --unit={name} --on-active=200ms --timer-property=AccuracySec=1ms \
        -p SetCredential=prod_api-key:{value} -p StandardOutput=file:/run/{name}.out \
        mxm-secrets exec --backend credentials --secret prod/api-key -- printenv PROD_API_KEY"
    ));
    crate::exec::waits_for(|| {
        let seen = machine.run(&format!("cat /run/{name}.out"));
        seen.stdout == format!("{value}\n").as_bytes()
    });
}

#[test]
fn what_a_service_prints_is_in_the_journal() {
    let Some(machine) = Machine::shared() else {
        return;
    };
    // As the manual warns: ExecStart= alone has the journal as its standard output.
    let (name, value) = (own("told"), own("t0ld"));
    machine.output(&format!(
        "systemd-run --quiet --wait --unit={name} -p SetCredential=prod_api-key:{value} \
        mxm-secrets get --backend credentials prod/api-key"
    ));
    let journal = machine.output(&format!(
        "journalctl --sync; journalctl -u {name} --output=cat"
    ));
    assert!(journal.contains(&value), "{journal}");
}
