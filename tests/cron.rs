//! Real cron with the lines of the README, in the machine of the tests for systemd.

use std::time::{Duration, Instant};

use crate::support::machine::Machine;
use crate::support::program;

/// Until cron has had a minute of its own, and some.
fn within_a_minute(so: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(65);
    while Instant::now() < end {
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}

#[test]
fn cron_runs_the_lines_of_the_readme_and_mails_what_fails() {
    let (Some(machine), Some(_)) = (Machine::shared(), program("cron")) else {
        return;
    };
    let value = format!("cr0n-{}", std::process::id());
    // Word for word, but that it is every minute.
    let lines = crate::readme::block("In cron");
    assert!(lines.contains("\n5 * * * * mxm-secrets exec "), "{lines}");
    let lines = lines.replace("\n5 * ", "\n* * ");
    machine.output(&format!(
        "useradd --create-home trader
        mkdir /home/trader/bin
        printf '#!/bin/sh\\nprintf %%s \"$PROD_API_KEY\" >\"$HOME/seen\"\\n' >/home/trader/bin/report
        chmod 755 /home/trader/bin/report
        mkdir -p /home/trader/.config/mxm-secrets /home/trader/store/prod
        printf %s {value} >/home/trader/store/prod/api-key
        printf '%s\\n' 'mxm_secrets:' '  backends: [store]' \
            '  store: {{command: [cat, \"/home/trader/store/{{name}}\"], miss: {{says: No such file}}}}' \
            >/home/trader/.config/mxm-secrets/config.yaml
        test ! -e /usr/sbin/sendmail
        crontab -u trader - <<'END'
{lines}
* * * * * mxm-secrets exec --secret prod/none -- /home/trader/bin/none
@reboot mxm-secrets exec --secret prod/none -- none
END
        systemctl start cron"
    ));
    // Without a mail program, cron discards what a job says.
    let log =
        || machine.output("journalctl --sync; journalctl --no-pager -t CRON -t cron --output=cat");
    crate::exec::waits_for(|| log().contains("No MTA installed, discarding output"));
    assert!(!log().contains("mxm-secrets: prod/none"), "{}", log());
    machine.output(
        "printf '#!/bin/sh\\ncat >>/run/mail\\n' >/usr/sbin/sendmail; chmod 755 /usr/sbin/sendmail
        : >/run/mail; chmod 666 /run/mail",
    );
    let mail = || machine.output("cat /run/mail");
    let done = within_a_minute(|| {
        let seen = machine.run("cat /home/trader/seen");
        seen.stdout == value.as_bytes() && mail().contains("prod/none")
    });
    let seen = machine.run("cat /home/trader/seen; cat /run/mail; journalctl --no-pager -t CRON");
    assert!(done, "{seen:?}");
    assert!(
        mail().contains("\nmxm-secrets: prod/none: missing: "),
        "{}",
        mail()
    );
    // What the crontab itself sets, cron tells: no secret belongs there.
    assert!(
        mail().contains("\nX-Cron-Env: <HOME=/home/trader>\n"),
        "{}",
        mail()
    );
    assert!(!mail().contains(&value), "{}", mail());
    machine.output("systemctl stop cron");
    machine.is_not_told(&value);
}
