//! The units that are shipped: systemd asks at their socket, and gets a unit's credential out of real stores.

use std::sync::OnceLock;

use crate::support::machine::Machine;
use crate::support::program;

/// The machine, with the units and the stores.
fn machine() -> Option<&'static Machine> {
    static READY: OnceLock<()> = OnceLock::new();
    let machine = Machine::shared()?;
    let programs = ["vault", "gopass-1.16.1", "age", "age-keygen", "gpg"].map(program);
    let [Some(vault), Some(gopass), Some(age), Some(keygen), Some(_)] = &programs else {
        return None;
    };
    READY.get_or_init(|| {
        let checkout = env!("CARGO_MANIFEST_DIR");
        let words = [vault, gopass, age, keygen].map(|path| format!("'{}'", path.display()));
        let words = words.join(" ");
        machine.output(&format!(
            "'{checkout}/tests/systemd/stores' '{checkout}' {words}"
        ));
    });
    Some(machine)
}

/// Starts a unit that has the credential `id`, and prints it.
fn ask(unit: &str, id: &str) -> String {
    format!(
        "systemd-run --quiet --wait --pipe --collect --unit='{unit}' -p DynamicUser=yes \
        -p 'LoadCredential={id}:/run/mxm-secrets/credential' show-credential"
    )
}

/// What the service has said since its start, of the unit that has asked.
fn said(machine: &Machine, unit: &str) -> String {
    let journal =
        machine.output("journalctl --sync; journalctl --no-pager -t mxm-secrets --output=cat");
    let lines = journal.lines().filter(|line| line.contains(unit));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_unit_gets_its_credential_out_of_each_store() {
    let Some(machine) = machine() else { return };
    for (id, value) in [
        ("of_age", &b"0f-age\n\0"[..]),
        ("of_gopass", b"0f-gopass\n"),
        ("of_vault", b"0f-vault"),
        ("prod_api-key", b"0f-env"),
    ] {
        let unit = format!("asks-{}", id.replace('_', "-"));
        machine.run(&ask(&unit, id)).is(0, value, "");
        assert_eq!(said(machine, &unit), "");
        machine.is_not_told(std::str::from_utf8(&value[..6]).unwrap());
    }
    // Nothing stays of what has answered, here and in the tests beside this one.
    crate::exec::waits_for(|| {
        let seen = machine.run(
            "systemctl list-units --all --no-legend 'mxm-secrets-credential@*'
            pgrep -f '[g]pg-agent --homedir /var/lib/mxm-secrets' || :",
        );
        seen.stdout.is_empty()
    });
    // Each answer has an agent of its own: one in the home, which may end or hang at any time, is not asked.
    machine.output(
        "gpg-agent --homedir /var/lib/mxm-secrets/.gnupg --daemon >/dev/null 2>&1
        pkill -STOP -f '^gpg-agent --homedir /var/lib/mxm-secrets/.gnupg --daemon'",
    );
    let seen = machine.run(&ask("asks-beside", "of_gopass"));
    machine.output("pkill -KILL -f '^gpg-agent --homedir /var/lib/mxm-secrets/.gnupg --daemon'");
    seen.is(0, "0f-gopass\n", "");
}

#[test]
fn a_unit_that_gets_nothing_has_an_empty_credential_and_the_journal_says_why() {
    let Some(machine) = machine() else { return };
    for (unit, id, why) in [
        (
            "asks-denied",
            "other",
            "denied: credentials_for does not allow it the credential other",
        ),
        (
            "stranger",
            "of_age",
            "denied: credentials_for does not allow it the credential of_age",
        ),
        ("asks-missing", "none", ""),
        ("asks-failed", "dying", ""),
    ] {
        machine.run(&ask(unit, id)).is(0, "", "");
        let said = said(machine, &format!("{unit}.service"));
        assert!(
            said.contains(&format!("{unit}.service gets an empty credential {id}\n")),
            "{said}"
        );
        assert!(said.contains(why), "{said}");
    }
    let said =
        machine.output("journalctl --sync; journalctl --no-pager -t mxm-secrets --output=cat");
    for line in [
        "mxm-secrets: none: missing: ",
        "mxm-secrets: dying: failed: ",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let ended =
        machine.output("journalctl --no-pager --output=cat -u 'mxm-secrets-credential@*.service'");
    for status in ["1/FAILURE", "2/INVALIDARGUMENT", "4/NOPERMISSION"] {
        assert!(
            ended.contains(&format!("status={status}")),
            "{status}: {ended}"
        );
    }
    // Our own backend calls it missing.
    let get = ask("asks-one", "prod_none").replace(
        "show-credential",
        "mxm-secrets get --backend credentials prod/none",
    );
    machine.run(&get).has(1, "", &["prod/none"]);
}

#[test]
fn a_name_that_is_too_long_for_a_socket_does_not_start_the_unit() {
    let Some(machine) = machine() else { return };
    // As the manual has it: 83 bytes for both; the random number may be a digit shorter.
    let unit = |length: usize| {
        let name =
            "asks-".to_owned() + &"x".repeat(length - "asks-.service".len() - "of_age".len());
        machine.run(&ask(&name, "of_age")).status
    };
    assert_eq!(unit(83), Some(0));
    assert_eq!(unit(104), Some(243));
}

#[test]
fn twenty_units_at_once_get_theirs() {
    let Some(machine) = machine() else { return };
    let seen = machine.output(&format!(
        "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            case $((n % 4)) in 0) id=of_age;; 1) id=of_gopass;; 2) id=of_vault;; *) id=prod_api-key;; esac
            {{ {}; echo; }} &
        done; wait",
        ask("asks-n'$n'", "'$id'")
    ));
    let said =
        machine.output("journalctl --sync; journalctl --no-pager -t mxm-secrets --output=cat");
    for value in ["0f-age", "0f-gopass", "0f-vault", "0f-env"] {
        assert_eq!(seen.matches(value).count(), 5, "{seen}{said}");
    }
}

/// A user's manager asks in the same way; the service is the user's own then.
#[test]
fn a_users_own_manager_may_ask_too() {
    let Some(machine) = machine() else { return };
    let seen = machine.run(
        "useradd --create-home --uid 4243 trader43
        systemctl start user@4243.service
        cd /home/trader43
        mkdir -p .config/mxm-secrets .config/systemd/user
        cat >.config/mxm-secrets/config.yaml <<'END'
mxm_secrets: {backends: [env], credentials_for: {mine.service: [prod_api-key]}}
END
        cat >.config/systemd/user/credential.socket <<'END'
[Socket]
ListenStream=%t/credential
Accept=yes
END
        cat >.config/systemd/user/credential@.service <<'END'
[Service]
Environment=PROD_API_KEY=us3rs
ExecStart=mxm-secrets credential
StandardInput=socket
StandardOutput=journal
END
        chown -R trader43: .config
        exec setpriv --reuid=4243 --regid=4243 --clear-groups env HOME=$PWD XDG_RUNTIME_DIR=/run/user/4243 sh -euc '
            systemctl --user daemon-reload
            systemctl --user start credential.socket
            for unit in mine other; do
                systemd-run --user --quiet --wait --pipe --collect --unit=$unit \
                    -p LoadCredential=prod_api-key:$XDG_RUNTIME_DIR/credential \
                    show-credential; echo .
            done'",
    );
    seen.is(0, "us3rs.\n.\n", "");
    machine.is_not_told("us3rs\n");
}

#[test]
fn the_units_are_hardened() {
    let Some(machine) = machine() else { return };
    let unit = "mxm-secrets-credential@x.service";
    let said = machine.output(&format!(
        "systemd-analyze security --no-pager {unit} | tail -1"
    ));
    let exposure = said.split(' ').find_map(|word| word.parse::<f64>().ok());
    assert!(exposure.is_some_and(|exposure| exposure <= 2.0), "{said}");
    let verified = machine.run("systemd-analyze verify --man=no mxm-secrets-credential.socket mxm-secrets-credential@x.service");
    verified.is(0, "", "");
    machine
        .run("systemctl is-enabled mxm-secrets-credential.socket")
        .is(1, "disabled\n", "");
    // Nobody else may even connect.
    let seen = machine.run("stat -c %a:%U /run/mxm-secrets/credential");
    seen.is(0, "600:root\n", "");
}

/// The shipped units once more, at a socket of their own and with a configuration of their own.
fn beside(machine: &Machine, name: &str, configuration: &str) {
    machine.output(&format!(
        "cat >/etc/mxm-secrets/{name}.yaml <<'END'\n{configuration}\nEND
        systemctl cat mxm-secrets-credential.socket | sed s,/credential,/{name}, >/run/systemd/system/{name}.socket
        systemctl cat mxm-secrets-credential@.service | sed s,secrets/config,secrets/{name}, >/run/systemd/system/{name}@.service
        systemctl daemon-reload; systemctl start {name}.socket"
    ));
}

/// Starts a unit that has its credential from there.
fn ask_beside(name: &str, unit: &str) -> String {
    let at = format!("/run/mxm-secrets/{name}");
    ask(unit, "prod_key").replace("/run/mxm-secrets/credential", &at)
}

/// What the services there have said.
fn said_beside(machine: &Machine, name: &str) -> String {
    machine.output(&format!(
        "journalctl --sync; journalctl --no-pager --output=cat -u '{name}@*.service'"
    ))
}

/// Vault itself, as it dies: it hangs, and then it is gone. Nothing is handed over, within the deadline.
#[test]
fn a_server_that_dies_hands_nothing_over() {
    let Some(machine) = machine() else { return };
    let vault = program("vault").unwrap();
    let vault = vault.display();
    machine.output(&format!(
        "systemd-run --quiet --unit=mortal '{vault}' server -dev -dev-root-token-id=root -dev-no-store-token \
            -dev-listen-address=127.0.0.1:8300
        export VAULT_ADDR=http://127.0.0.1:8300 VAULT_TOKEN=root
        until '{vault}' kv put secret/prod/key value=m0rtal >/dev/null 2>&1; do sleep 0.1; done"
    ));
    beside(
        machine,
        "mortal",
        "mxm_secrets:
  backends: [vault]
  timeout: 1
  vault: {address: \"http://127.0.0.1:8300\"}
  credentials_for: {\"*.service\": [prod_key]}",
    );
    let ask = |unit: &str| {
        let began = std::time::Instant::now();
        let seen = machine.run(&ask_beside("mortal", unit));
        assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
        seen
    };
    ask("mortal-well").is(0, "m0rtal", "");
    for (signal, unit) in [("STOP", "mortal-hangs"), ("KILL", "mortal-gone")] {
        machine.output(&format!("systemctl kill --signal={signal} mortal.service"));
        ask(unit).is(0, "", "");
        let said = said(machine, unit);
        assert_eq!(
            said,
            format!("mxm-secrets: {unit}.service gets an empty credential prod_key\n")
        );
    }
    let ended = said_beside(machine, "mortal");
    assert_eq!(
        ended
            .matches("mxm-secrets: prod/key: failed: vault: ")
            .count(),
        2,
        "{ended}"
    );
    assert_eq!(ended.matches("status=4/NOPERMISSION").count(), 2, "{ended}");
    machine.is_not_told("m0rtal");
}

/// All that it sees of the system is a read-only mount of its own, and others can write there all the same.
#[test]
fn what_others_may_write_is_not_read() {
    let Some(machine) = machine() else { return };
    beside(
        machine,
        "open",
        "mxm_secrets:
  backends: [opened]
  opened: {command: [echo, 0pened, \"{name}\"]}
  credentials_for: {\"*.service\": [prod_key]}",
    );
    let value = "0pened prod/key\n";
    machine
        .run(&ask_beside("open", "open-well"))
        .is(0, value, "");
    machine.output("chmod 666 /etc/mxm-secrets/open.yaml");
    machine.run(&ask_beside("open", "open-file")).is(0, "", "");
    machine.output(
        "chmod 644 /etc/mxm-secrets/open.yaml; cp /bin/echo /opt/opened; chmod 777 /opt/opened
        sed -i 's,echo,/opt/opened,' /etc/mxm-secrets/open.yaml",
    );
    machine
        .run(&ask_beside("open", "open-program"))
        .is(0, "", "");
    let said = said_beside(machine, "open");
    for path in ["/etc/mxm-secrets/open.yaml", "/opt/opened"] {
        let why = format!("everyone can write to {path}, which belongs to ");
        assert_eq!(said.matches(&why).count(), 1, "{said}");
    }
}

/// What is written elsewhere, and units in there, would outlive it.
#[test]
fn its_programs_can_write_to_its_home_alone() {
    let Some(machine) = machine() else { return };
    let seen = machine.run(&ask("asks-writing", "writing"));
    // The homes of others are an empty directory in memory, which goes with it.
    let stays = machine.output(
        "cd /; for place in run run/systemd/system run/lock dev/shm home var/lib/mxm-secrets; do
            [ ! -e $place/probe ] || { echo $place; rm $place/probe; }
        done",
    );
    seen.is(0, "/var/lib/mxm-secrets\n/home\nend\n", "");
    assert_eq!(stays, "var/lib/mxm-secrets\n");
}

/// A unit that is stopped while it waits waits no longer; what is stopped itself says whom it leaves with nothing.
#[test]
fn what_is_stopped_is_told_and_leaves_nothing() {
    let Some(machine) = machine() else { return };
    beside(
        machine,
        "slow",
        "mxm_secrets:
  backends: [slow]
  timeout: 60
  slow: {command: [sh, -c, exec sleep 59, \"{name}\"]}
  credentials_for: {\"*.service\": [prod_key]}",
    );
    for (unit, stopped, said) in [
        (
            "slow-asker",
            "slow-asker.service",
            "slow-asker.service waits no longer for its credential prod_key\n",
        ),
        (
            "slow-answer",
            "'slow@*.service'",
            "interrupted: slow-answer.service gets an empty credential prod_key\n",
        ),
    ] {
        let ask = ask_beside("slow", unit);
        let seen = machine.run(&format!(
            "{ask} & for _ in $(seq 200); do ! pgrep -f '^sleep 59$' >/dev/null || break; sleep 0.05; done
            systemctl stop {stopped}; wait || :"
        ));
        assert_eq!(seen.status, Some(0), "{seen:?}");
        crate::exec::waits_for(|| {
            let left = "pgrep -f '^sleep 59$' || systemctl list-units --no-legend 'slow@*'";
            machine.run(left).stdout.is_empty()
        });
        let journal = said_beside(machine, "slow");
        assert!(journal.contains(said), "{journal}");
        assert!(!journal.contains("Failed with result"), "{journal}");
    }
}
