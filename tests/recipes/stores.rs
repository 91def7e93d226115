//! The recipes of src/backend/recipes.rs with the real programs: what there is, what there is not, and what cannot be
//! told: no default takes its place.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Home, find, program, say_not_run, transcript};

/// Values of several lines, with other letters, with fields, and with a newline at the end.
pub const VALUES: &[(&str, &str)] = &[
    ("text", "s3cret"),
    ("lines", "one\ntwo\n\n"),
    ("letters", "Zürich € 日本"),
    ("fields", r#"{"user": "bob", "password": "p w"}"#),
];

/// A home whose chain is one backend of a recipe.
pub fn home(section: &str) -> Home {
    let mut home = Home::new();
    configure(&home, section);
    let file = home.path().join("c.yaml");
    home.set("MXM_SECRETS_CONFIG", file);
    home
}

fn configure(home: &Home, section: &str) {
    let text = format!("mxm_secrets:\n  backends: [own]\n  own: {{{section}}}\n");
    home.write("c.yaml", text);
}

/// What is asked for, and how that ends: programs in Python take their time on a busy machine.
#[track_caller]
fn ask(home: &Home, name: &str) -> crate::support::Transcript {
    home.run(["get", "--timeout=60", "--raw", "--default=d", name])
}

#[track_caller]
pub fn hit(home: &Home, name: &str, value: &str) {
    ask(home, name).is(0, value, "");
}

#[track_caller]
pub fn miss(home: &Home, name: &str) {
    ask(home, name).has(3, "d", &[]);
}

#[track_caller]
pub fn failed(home: &Home, name: &str, words: &str) {
    let failed = format!("mxm-secrets: {name}: failed: own: {words}");
    ask(home, name).has(4, "", &[&failed]);
}

/// All of [`VALUES`], and a field.
#[track_caller]
fn values(home: &Home) {
    for (name, value) in VALUES {
        hit(home, &format!("prod/{name}"), value);
    }
    hit(home, "prod/fields#password", "p w");
    miss(home, "prod/fields#token");
    miss(home, "prod/nothing");
}

/// Runs a program of the machine, which must succeed.
#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Writes [`VALUES`] to plain.yaml, and to secrets.yaml by sops, with a key of age that it makes.
fn sealed(home: &mut Home, sops: &Path, keygen: &Path) {
    let key = home.path().join("key.txt");
    run(home.command(keygen).arg("-o").arg(&key));
    home.set("SOPS_AGE_KEY_FILE", &key);
    let text = fs::read_to_string(&key).unwrap();
    let (_, recipient) = text.split_once("public key: ").unwrap();
    let mut plain = String::from(
        "top: there\nlist: [a]\nprod:\n  empty: \"\"\n  number: 0123\n  below: {a: b}\n",
    );
    for (name, value) in VALUES {
        plain += &format!("  {name}: {}\n", quoted(value));
    }
    home.write("plain.yaml", plain);
    let mut command = home.command(sops);
    command.args(["encrypt", "--age", recipient.lines().next().unwrap()]);
    run(command.args(["--output", "secrets.yaml", "plain.yaml"]));
}

/// Changes a byte of what is in secrets.yaml, and gives the whole.
fn damage(home: &Home) -> String {
    let whole = fs::read_to_string(home.path().join("secrets.yaml")).unwrap();
    let (start, rest) = whole.split_once("data:").unwrap();
    home.write("secrets.yaml", format!("{start}data:AA{}", &rest[2..]));
    whole
}

#[test]
fn sops() {
    let (Some(sops), Some(keygen)) = (program("sops"), program("age-keygen-1.3.2")) else {
        return;
    };
    let mut home = home("recipe: sops, file: secrets.yaml");
    home.install("sops", &sops);
    sealed(&mut home, &sops, &keygen);
    values(&home);
    hit(&home, "top", "there");
    for name in ["nothing", "nothing/at/all", "prod/empty"] {
        miss(&home, name);
    }
    // No text: sops would print all that is below, and 0123 as 83.
    for name in ["prod", "prod/below", "list", "prod/number"] {
        failed(&home, name, "sops ended with status 4");
    }
    // There is no mapping: sops panics.
    failed(&home, "top/deeper", "sops ended with status 2");
    // Damaged; cut; a plain file; none; one of nobody's.
    let whole = damage(&home);
    failed(&home, "nothing", "sops ended with status 25");
    home.write("secrets.yaml", &whole[..whole.len() / 2]);
    failed(&home, "nothing", "sops ended with status");
    fs::copy(
        home.path().join("plain.yaml"),
        home.path().join("secrets.yaml"),
    )
    .unwrap();
    failed(&home, "nothing", "sops ended with status 1");
    fs::remove_file(home.path().join("secrets.yaml")).unwrap();
    failed(&home, "nothing", "sops ended with status 100");
    home.write("secrets.yaml", whole);
    fs::remove_file(home.path().join("key.txt")).unwrap();
    failed(&home, "nothing", "sops ended with status 128");
    failed(&home, "prod/text", "sops ended with status 128");
}

#[test]
fn keepassxc() {
    let Some(keepassxc) = program("keepassxc-cli") else {
        return;
    };
    let mut home = home("recipe: keepassxc, file: db.kdbx, key_file: key");
    home.install("keepassxc-cli", &keepassxc);
    // In the language of the user, the program has other words for it.
    home.set("LANG", "de_DE.UTF-8").set("LANGUAGE", "de");
    home.write("key", "a key of enough characters");
    let cli = |arguments: &[&str], input: &str| {
        let mut command = home.command(&keepassxc);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{arguments:?}");
    };
    let open = ["-q", "--no-password", "-k", "key"];
    let with = |words: &[&str], input: &str| {
        cli(&[&words[..1], &open, &words[1..]].concat(), input);
    };
    cli(
        &[
            "db-create",
            "-q",
            "-t",
            "100",
            "--set-key-file",
            "key",
            "db.kdbx",
        ],
        "",
    );
    with(&["mkdir", "db.kdbx", "prod"], "");
    with(
        &["add", "-u", "bob", "-p", "db.kdbx", "prod/text"],
        "s3cret\n",
    );
    with(&["add", "-p", "db.kdbx", "prod/letters"], "Zürich € 日本\n");
    with(
        &["add", "--notes", r"one\ntwo\n", "db.kdbx", "prod/empty"],
        "",
    );
    with(&["add", "-p", "db.kdbx", "prod/removed"], "x\n");
    with(&["rm", "db.kdbx", "prod/removed"], "");
    hit(&home, "prod/text", "s3cret");
    hit(&home, "prod/text#UserName", "bob");
    hit(&home, "prod/letters", "Zürich € 日本");
    hit(&home, "prod/empty#Notes", "one\ntwo\n");
    // By its title alone it would be found, in the recycle bin too.
    for name in [
        "prod/nothing",
        "prod",
        "text",
        "removed",
        "prod/removed",
        "prod/empty",
        "prod/text#Nothing",
    ] {
        miss(&home, name);
    }
    let key = fs::read(home.path().join("key")).unwrap();
    home.write("key", "another key");
    failed(&home, "prod/nothing", "keepassxc-cli ended with status 1");
    fs::remove_file(home.path().join("key")).unwrap();
    failed(&home, "prod/nothing", "keepassxc-cli ended with status 1");
    home.write("key", key);
    let whole = fs::read(home.path().join("db.kdbx")).unwrap();
    home.write("db.kdbx", &whole[..whole.len() - 100]);
    failed(&home, "prod/nothing", "keepassxc-cli ended with status 1");
    fs::remove_file(home.path().join("db.kdbx")).unwrap();
    failed(&home, "prod/nothing", "keepassxc-cli ended with status 1");
    // A password that nobody is there to type.
    cli(
        &["db-create", "-q", "-t", "100", "-p", "db.kdbx"],
        "pw\npw\n",
    );
    failed(&home, "prod/nothing", "keepassxc-cli ended with status 1");
}

/// A session bus with a keyring that opens with the password `pw`, in the home; both end with the script. Its runtime
/// directory is its own: the daemon of a session that has just ended answers for a moment in the old one.
fn in_session(home: &Home, script: &str) -> Option<crate::support::Transcript> {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    let session = program("dbus-run-session")?;
    let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let runtime = home.path().join(format!("run-{number}"));
    fs::create_dir_all(&runtime).unwrap();
    fs::create_dir_all(home.path().join(".cache")).unwrap();
    fs::create_dir_all(home.path().join(".local/share")).unwrap();
    let mut command = home.command(session);
    command
        .args(["--", "sh", "-ec", script])
        .env("XDG_RUNTIME_DIR", runtime);
    Some(transcript(&mut command))
}

/// Who asks before the daemon is on the bus starts a second one.
const UNLOCK: &str =
    "printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
    for _ in $(seq 100); do
        busctl --user --auto-start=no status org.freedesktop.secrets >/dev/null 2>&1 && break
        sleep 0.1
    done\n";

#[test]
fn secret_service() {
    let home = home("recipe: secret-service");
    for name in [
        "secret-tool",
        "gnome-keyring-daemon",
        "busctl",
        "dbus-daemon",
    ] {
        let Some(path) = program(name) else { return };
        home.install(name, &path);
    }
    home.link(&["sh", "cat", "seq", "sleep"]);
    home.install("mxm-secrets", crate::support::program_under_test());
    let store = |name: &str, value: &str| {
        let file = home.write(&format!("value-{name}"), value);
        let file = file.display();
        format!("secret-tool store --label=x service mxm username prod/{name} <'{file}'\n")
    };
    let get = |name: &str| format!("mxm-secrets get --timeout=60 --raw --default=d {name}\n");
    let stores: String = VALUES
        .iter()
        .map(|(name, value)| store(name, value))
        .collect();
    for (name, value) in VALUES {
        let script = format!(
            "{UNLOCK}{}{}",
            store(name, value),
            get(&format!("prod/{name}"))
        );
        let Some(got) = in_session(&home, &script) else {
            return;
        };
        got.has(0, value, &[]);
    }
    let unlocked =
        |name: &str| in_session(&home, &format!("{UNLOCK}{stores}{}", get(name))).unwrap();
    unlocked("prod/fields#password").has(0, "p w", &[]);
    unlocked("prod/nothing").has(3, "d", &[]);
    // Locked: what there is, and what there is not, end alike, and secret-tool says nothing.
    for name in ["prod/text", "prod/nothing"] {
        let words = [
            ": failed: own: secret-tool did not find ",
            "says that the store is not open",
        ];
        in_session(&home, &get(name)).unwrap().has(4, "", &words);
    }
    // A second keyring that nobody has unlocked, which secret-tool searches too.
    let keyrings = home.path().join(".local/share/keyrings");
    let [login, other] = ["login.keyring", "other.keyring"].map(|file| keyrings.join(file));
    fs::rename(login, &other).unwrap();
    for name in ["prod/text", "prod/nothing"] {
        let words = [
            ": failed: own: secret-tool did not find ",
            "says that the store is not open",
        ];
        let script = format!("{UNLOCK}{}", get(name));
        in_session(&home, &script).unwrap().has(4, "", &words);
    }
    fs::remove_file(other).unwrap();
    let script = format!("{UNLOCK}{}", get("prod/text"));
    in_session(&home, &script).unwrap().has(3, "d", &[]);
    // No bus at all, and one that nobody answers on.
    failed(&home, "prod/text", "secret-tool ended with status 1");
    let mut lost = home;
    lost.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    failed(&lost, "prod/text", "secret-tool ended with status 1");
}

/// KeePassXC as the service of secret-tool: each database is a collection, which finds nothing while it is locked.
#[test]
fn secret_service_of_keepassxc() {
    let home = home("recipe: secret-service");
    let programs = [
        "secret-tool",
        "busctl",
        "dbus-daemon",
        "keepassxc",
        "keepassxc-cli",
    ];
    for name in programs {
        let Some(path) = program(name) else { return };
        home.install(name, &path);
    }
    home.link(&["sh", "sleep"]);
    home.install("mxm-secrets", crate::support::program_under_test());
    let entry = |(name, value): &(&str, &str)| {
        let username = format!("prod/{name}");
        let strings = [
            ("Title", *name),
            ("Password", *value),
            ("service", "mxm"),
            ("username", &username),
        ];
        let strings = strings
            .map(|(key, text)| format!("<String><Key>{key}</Key><Value>{text}</Value></String>"));
        // It ends where two have the same, or none.
        let id = [b'A' + name.len() as u8; 21].map(char::from);
        let id = String::from_iter(id) + "A==";
        format!("<Entry><UUID>{id}</UUID>{}</Entry>", strings.concat())
    };
    let entries: String = VALUES.iter().map(entry).collect();
    home.write(
        "db.xml",
        format!(
            "<KeePassFile><Meta><CustomData><Item><Key>FDO_SECRETS_EXPOSED_GROUP</Key>\
            <Value>{{01020304-0506-0708-090a-0b0c0d0e0f10}}</Value></Item></CustomData></Meta>\
            <Root><Group><UUID>AQIDBAUGBwgJCgsMDQ4PEA==</UUID><Name>Root</Name>{entries}</Group></Root></KeePassFile>"
        ),
    );
    // It does not ask a person who uses the item.
    home.write(
        ".config/keepassxc/keepassxc.ini",
        "[General]\nConfigVersion=2\nUpdateCheckMessageShown=true\n[GUI]\nCheckForUpdates=false\n\
        [FdoSecrets]\nEnabled=true\nShowNotification=false\nConfirmAccessItem=false\nUnlockBeforeSearch=false\n",
    );
    let import = "printf 'pw\\npw\\n' | keepassxc-cli import -q -p db.xml db.kdbx";
    let Some(imported) = in_session(&home, import) else {
        return;
    };
    imported.has(0, "", &[]);
    // It is there before it has opened a database.
    let asks = |starts: &str, until: &str, names: &[&str]| {
        let names = names.join(" ");
        let script = format!(
            "export QT_QPA_PLATFORM=offscreen TMPDIR=$PWD
            busctl='busctl --user --auto-start=no' service=org.freedesktop.secrets
            {starts} >/dev/null 2>&1 &
            keepassxc=$!
            trap 'kill $keepassxc; wait' EXIT
            until {until}; do kill -0 $keepassxc; sleep 0.1; done
            for name in {names}; do
                mxm-secrets get --timeout=60 --raw --default=d $name && echo ' 0' || echo \" $?\"
            done"
        );
        in_session(&home, &script).unwrap()
    };
    // Whatever else is asked starts the service that the machine has.
    let is_there = "$busctl status $service >/dev/null 2>&1";
    let is_open = format!(
        "{is_there} && [ \"$($busctl get-property $service /org/freedesktop/secrets/collection/db \
        org.freedesktop.Secret.Collection Locked 2>&1)\" = 'b false' ]"
    );
    let names: Vec<_> = VALUES
        .iter()
        .map(|(name, _)| format!("prod/{name}"))
        .collect();
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.extend(["prod/fields#password", "prod/nothing"]);
    let hits: String = VALUES
        .iter()
        .map(|(_, value)| format!("{value} 0\n"))
        .collect();
    asks("echo pw | keepassxc --pw-stdin db.kdbx", &is_open, &names).has(
        0,
        format!("{hits}p w 0\nd 3\n"),
        &[],
    );
    // With the database locked, and with none.
    for starts in ["exec keepassxc db.kdbx", "exec keepassxc"] {
        let seen = asks(starts, is_there, &["prod/text", "prod/nothing"]);
        seen.has(0, " 4\n 4\n", &[": failed: own: secret-tool did not find "]);
    }
}

/// moto's server, on a port of its own, that ends with the test process.
struct Moto {
    address: String,
    aws: PathBuf,
    _lifeline: Child,
}

/// The one that lets everybody do everything.
fn moto() -> Option<&'static Moto> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    MOTO.get_or_init(|| Moto::start(None)).as_ref()
}

impl Moto {
    /// With the number of calls after which it checks who calls.
    fn start(checks: Option<&str>) -> Option<Moto> {
        let aws = program("aws")?;
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let script = "\"$1\" -H 127.0.0.1 -p \"$2\" >/dev/null 2>&1 & cat >/dev/null; kill -9 $!";
        let lifeline = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(aws.with_file_name("moto_server"))
            .arg(port.to_string())
            .envs(checks.map(|checks| ("INITIAL_NO_AUTH_ACTION_COUNT", checks)))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let moto = Moto {
            address: format!("http://127.0.0.1:{port}"),
            aws,
            _lifeline: lifeline,
        };
        crate::support::vault::eventually("moto answers", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(moto)
    }
}

/// A home that asks moto, of a region of its own.
fn with_moto(moto: &Moto, section: &str, region: &str) -> Home {
    let mut home = home(&format!("{section}, region: {region}"));
    home.install("aws", &moto.aws);
    home.set("AWS_ACCESS_KEY_ID", "a")
        .set("AWS_SECRET_ACCESS_KEY", "b")
        .set("AWS_EC2_METADATA_DISABLED", "true")
        .set("AWS_MAX_ATTEMPTS", "1")
        .set("AWS_ENDPOINT_URL", &moto.address);
    home
}

fn aws(home: &Home, region: &str, arguments: &[&str]) {
    let mut command = home.command(home.path().join("bin/aws"));
    run(command.args(arguments).args(["--region", region]));
}

/// What is the same for both recipes: no network, no credentials, no such profile.
fn aws_fails(home: &mut Home) {
    home.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    failed(home, "prod/text", "aws ended with status 255");
    home.set("AWS_PROFILE", "nobody");
    failed(home, "prod/text", "aws ended with status 255");
}

#[test]
fn aws_forbids() {
    let Some(moto) = Moto::start(Some("0")) else {
        return;
    };
    for recipe in ["aws-secretsmanager", "aws-ssm"] {
        let home = with_moto(&moto, &format!("recipe: {recipe}"), "eu-west-1");
        failed(&home, "prod/nothing", "aws ended with status 255");
    }
}

#[test]
fn aws_secretsmanager() {
    let Some(moto) = moto() else { return };
    let mut home = with_moto(moto, "recipe: aws-secretsmanager", "eu-west-1");
    let create = |name: &str, kind: &str, value: &str| {
        aws(
            &home,
            "eu-west-1",
            &[
                "secretsmanager",
                "create-secret",
                "--name",
                name,
                kind,
                value,
            ],
        );
    };
    for (name, value) in VALUES {
        create(&format!("prod/{name}"), "--secret-string", value);
    }
    values(&home);
    // Not text: it would be printed as None.
    home.write("binary", b"\xff\x00");
    create("prod/binary", "--secret-binary", "fileb://binary");
    failed(&home, "prod/binary", "aws ended with status 255");
    // Marked for deletion: it may come back.
    create("prod/gone", "--secret-string", "x");
    aws(
        &home,
        "eu-west-1",
        &[
            "secretsmanager",
            "delete-secret",
            "--secret-id",
            "prod/gone",
        ],
    );
    failed(&home, "prod/gone", "aws ended with status 255");
    aws_fails(&mut home);
}

#[test]
fn aws_ssm() {
    let Some(moto) = moto() else { return };
    let mut home = with_moto(moto, "recipe: aws-ssm", "eu-west-2");
    for (name, value) in VALUES {
        let name = format!("/prod/{name}");
        let kind = "--type=SecureString";
        aws(
            &home,
            "eu-west-2",
            &[
                "ssm",
                "put-parameter",
                kind,
                "--name",
                &name,
                "--value",
                value,
            ],
        );
    }
    values(&home);
    aws_fails(&mut home);
}

/// A server that a script beside this file plays, as long as its standard input is open; gives its port first.
pub fn play(script: &str, arguments: &[&OsStr]) -> Option<(String, Child)> {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recipes");
    let mut child = Command::new(program("python3")?)
        .arg(Path::new(scripts).join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut port).unwrap();
    Some((port.trim().to_owned(), child))
}

/// One of the [`VALUES`] as JSON, which is YAML, too.
pub fn quoted(value: &str) -> String {
    let value = value.replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{value}\"")
}

/// The address of the server that plays the services of kubectl, gcloud and doppler; it ends with the test process.
fn played() -> Option<&'static str> {
    static SERVER: OnceLock<Option<(String, Child)>> = OnceLock::new();
    let start = || {
        let values = VALUES
            .iter()
            .map(|(name, value)| format!("\"{name}\": {}", quoted(value)));
        let values = format!("{{{}}}", values.collect::<Vec<_>>().join(", "));
        let (port, child) = play("servers.py", &[values.as_ref()])?;
        Some((format!("http://127.0.0.1:{port}"), child))
    };
    let server = SERVER.get_or_init(start).as_ref();
    server.map(|(address, _)| address.as_str())
}

/// The address of nobody.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn kubernetes() {
    let (Some(kubectl), Some(address)) = (program("kubectl"), played()) else {
        return;
    };
    let mut home = home("recipe: kubernetes");
    home.install("kubectl", &kubectl);
    home.set("KUBECONFIG", "kubeconfig");
    let serve = |address: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"{address}\"}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
        );
        home.write("kubeconfig", text);
    };
    serve(address);
    for (name, value) in VALUES {
        hit(&home, &format!("prod#{name}"), value);
    }
    miss(&home, "prod#nothing");
    miss(&home, "prod");
    miss(&home, "nothing");
    miss(&home, "no/thing#x");
    // A Secret without any data.
    miss(&home, "bare");
    failed(&home, "forbidden", "kubectl ended with status 1");
    failed(&home, "unauthorized", "kubectl ended with status 1");
    serve(NOBODY);
    failed(&home, "nothing", "kubectl ended with status 1");
    home.write("kubeconfig", "{");
    failed(&home, "nothing", "kubectl ended with status 1");
    fs::remove_file(home.path().join("kubeconfig")).unwrap();
    failed(&home, "nothing", "kubectl ended with status 1");
}

#[test]
fn gcloud() {
    let Some(gcloud) = find("gcloud") else {
        return say_not_run("gcloud is not installed, and no registry has it");
    };
    let Some(address) = played() else { return };
    let mut home = home("recipe: gcloud, project: p");
    home.install("gcloud", &gcloud);
    let path = std::env::var_os("PATH").unwrap();
    let here = home.path().join("bin").display().to_string();
    home.set("PATH", format!("{here}:{}", path.display()))
        .set("CLOUDSDK_CORE_DISABLE_FILE_LOGGING", "1")
        .set("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "token")
        .set(
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER",
            format!("{address}/"),
        );
    home.write("token", "t");
    values(&home);
    for name in ["forbidden", "disabled"] {
        failed(&home, name, "gcloud ended with status 1");
    }
    let token = fs::read(home.path().join("token")).unwrap();
    fs::remove_file(home.path().join("token")).unwrap();
    failed(&home, "prod/nothing", "gcloud ended with status 1");
    home.write("token", token);
    home.set(
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER",
        format!("{NOBODY}/"),
    );
    failed(&home, "prod/nothing", "gcloud ended with status 1");
}

#[test]
fn doppler() {
    let (Some(doppler), Some(address)) = (program("doppler"), played()) else {
        return;
    };
    let mut home = home("recipe: doppler");
    home.install("doppler", &doppler);
    home.set("DOPPLER_API_HOST", address)
        .set("DOPPLER_TOKEN", "dp.st.good");
    for (name, value) in VALUES {
        hit(&home, &format!("prod/{name}"), value);
    }
    // The field is a part of the name.
    miss(&home, "prod/fields#password");
    miss(&home, "prod/nothing");
    home.set("DOPPLER_TOKEN", "dp.st.bad");
    failed(&home, "prod/nothing", "doppler ended with status 1");
    home.set("DOPPLER_TOKEN", "");
    failed(&home, "prod/nothing", "doppler ended with status 1");
    home.set("DOPPLER_TOKEN", "dp.st.good")
        .set("DOPPLER_API_HOST", NOBODY);
    failed(&home, "prod/nothing", "doppler ended with status 1");
}

#[test]
fn vals() {
    let (Some(vals), Some(sops), Some(keygen)) = (
        program("vals"),
        program("sops"),
        program("age-keygen-1.3.2"),
    ) else {
        return;
    };
    let mut home = home("recipe: vals, ref: \"sops://secrets.yaml#/{name}\"");
    home.install("vals", &vals);
    sealed(&mut home, &sops, &keygen);
    values(&home);
    for name in ["nothing", "nothing/at/all", "prod/empty"] {
        miss(&home, name);
    }
    let whole = damage(&home);
    failed(&home, "nothing", "vals ended with status 1");
    fs::remove_file(home.path().join("secrets.yaml")).unwrap();
    failed(&home, "nothing", "vals ended with status 1");
    home.write("secrets.yaml", whole);
    fs::remove_file(home.path().join("key.txt")).unwrap();
    failed(&home, "nothing", "vals ended with status 1");
    // A file in plain text, and no such provider.
    configure(&home, "recipe: vals, ref: \"file://plain.yaml#/{name}\"");
    values(&home);
    configure(&home, "recipe: vals, ref: \"nobody://plain.yaml#/{name}\"");
    failed(&home, "nothing", "vals ended with status 1");
}
