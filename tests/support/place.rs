//! A real store for every backend, with one secret whose value is found nowhere else in the world.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::store::Store;
use super::vault::{Agent, ROOT, Scripted, Server, answer, eventually, jwt, keys, member};
use super::{Home, find, not_run, program, program_under_test};

/// The secret's name in every store.
pub const NAME: &str = "leaks/canary";
/// A secret that every store has and no variable can hold.
pub const BINARY: &str = "leaks/binary";

/// A real store, set up for one backend, with one secret whose value is found nowhere else in the world.
pub struct Place {
    pub backend: &'static str,
    pub canary: String,
    owner: Owner,
    /// What unlocks the store, when it comes from a file: as little to be left behind as the value.
    pub credential: Option<String>,
    /// The key that an age identity spells. Code that is not optimised leaves a copy on the stack wherever it hands such
    /// a value on, so there it is not looked for.
    key: Vec<u8>,
    /// Whom alone one may connect to, as strace shows it.
    pub peers: Vec<String>,
    /// The address of the server.
    address: String,
    /// Asked in place of the server.
    agent: Option<Box<Agent>>,
    /// The keys of the session that the program is started in.
    keys: Vec<(String, Vec<u8>)>,
}

pub enum Owner {
    Home(Home),
    Store(Store),
}

/// A text that was never there before: no eight bytes of it are likely to stand anywhere by chance.
pub fn canary() -> String {
    use std::collections::hash_map::RandomState;
    use std::hash::{BuildHasher, Hasher};
    let number = || RandomState::new().build_hasher().finish();
    let numbers: [u64; 4] = std::array::from_fn(|_| number());
    numbers.map(|number| format!("{number:016x}")).concat()
}

impl Place {
    /// The store; `None` (said loudly) where it cannot be set up.
    pub fn new(backend: &'static str) -> Option<Place> {
        Place::with(backend, canary())
    }

    /// The same with a value of one's own, `canary`, which must have eight bytes.
    pub fn with(backend: &'static str, canary: String) -> Option<Place> {
        let binary = format!("{canary}\0{canary}");
        let text = format!("{canary}\nuser: {canary}\n");
        let mut place = Place {
            backend,
            canary: canary.clone(),
            owner: Owner::Home(Home::new()),
            credential: None,
            key: Vec::new(),
            peers: Vec::new(),
            address: String::new(),
            agent: None,
            keys: Vec::new(),
        };
        match backend {
            "env" => {
                place.set("LEAKS_CANARY", &text);
            }
            "gopass" => {
                let store = Store::new("1.16.1")?;
                store.insert(NAME, &text);
                store.encrypt(BINARY, binary.as_bytes());
                place.owner = Owner::Store(store);
                // Starts the agent, so that it is no child of what is looked at.
                assert_eq!(place.home().run(["get", NAME]).status, Some(0));
            }
            "age" => {
                let (age, keygen) = (program("age")?, program("age-keygen")?);
                let made = Command::new(keygen).output().unwrap();
                let identity = String::from_utf8(made.stdout).unwrap();
                let key = identity.split("AGE-SECRET-KEY-1").nth(1).unwrap();
                place.key = from_bech32(key.trim_end());
                place.credential = Some(key.trim_end().to_owned());
                place.home().write(".passage/identities", &identity);
                place.home().link(&["chmod"]);
                let private = Command::new("chmod")
                    .arg("600")
                    .arg(place.home().path().join(".passage/identities"))
                    .status();
                assert!(private.unwrap().success());
                for (name, value, plain) in
                    [(NAME, &text, "plain"), (BINARY, &binary, "plain-binary")]
                {
                    let plain = place.home().write(plain, value);
                    place
                        .home()
                        .write(&format!(".passage/store/{name}.age"), "");
                    let mut command = place.home().command(&age);
                    command.args(["-e", "-i", ".passage/identities", "-o"]);
                    command.arg(format!(".passage/store/{name}.age"));
                    assert!(command.arg(&plain).status().unwrap().success());
                }
            }
            "vault" => {
                let server = Server::shared()?;
                // The server is one for all places.
                let fields = format!("{{\"value\":\"{canary}\",\"user\":\"{canary}\"}}");
                server.put(&format!("{canary:.8}/{NAME}"), &fields);
                let binary = format!("{{\"value\":\"{canary}\\u0000{canary}\"}}");
                server.put(&format!("{canary:.8}/{BINARY}"), &binary);
                let answer = server.set_up("auth/token/create", "{\"policies\":[\"root\"]}");
                let token = member(&answer, "client_token");
                place.owner = Owner::Home(server.home());
                place.address = server.address.clone();
                place.peers = vec![peer(&server.address)];
                place.home().write_key(".vault-token", &token);
                place.set("MXM_SECRETS_VAULT_PREFIX", format!("{canary:.8}"));
                assert_ne!(token, ROOT);
                place.credential = Some(token);
            }
            "credentials" => {
                let directory = place.home().path().join("mnt");
                place.set("CREDENTIALS_DIRECTORY", directory);
                place.home().write("mnt/leaks_canary", &text);
                place.home().write("mnt/leaks_binary", &binary);
            }
            "keyring" => {
                place.keys = [(NAME, text), (BINARY, binary)]
                    .map(|(name, value)| (format!("mxm:{name}\0"), value.into_bytes()))
                    .into();
                if place.command(find("true").unwrap()).status().is_err() {
                    not_run("keyrings are not allowed here");
                    return None;
                }
            }
            "own" => {
                place.home().link(&["cat"]);
                place.home().write(NAME, &text);
                place.home().write(BINARY, &binary);
                let text = "mxm_secrets:\n  own: {command: [cat, \"{name}\"], miss: {status: 1, says: No such file}}\n";
                place
                    .home()
                    .write("mxm-config-store/apps/mxm-secrets/default.yaml", text);
            }
            _ => unreachable!(),
        }
        place.set("MXM_SECRETS_BACKENDS", backend);
        Some(place)
    }

    /// The store in Vault, with a login in place of a token. What it logs in with is the credential.
    pub fn login(method: &'static str) -> Option<Place> {
        /// What the server takes for a login by jwt: the key that it is told of is one for all places.
        static JWT: OnceLock<String> = OnceLock::new();
        let (server, mut place) = (Server::shared()?, Place::new("vault")?);
        let jwt = JWT.get_or_init(|| {
            server.policy(
                "leaks",
                r#"path "secret/data/*" { capabilities = ["read"] }"#,
            );
            for method in ["approle", "jwt"] {
                let kind = format!("{{\"type\":\"{method}\"}}");
                server.set_up(&format!("sys/auth/leaks-{method}"), &kind);
            }
            server.set_up(
                "auth/leaks-approle/role/leaks",
                r#"{"token_policies":"leaks"}"#,
            );
            let keys = keys();
            let public = std::fs::read_to_string(keys.path().join("pub.pem")).unwrap();
            let public = public.replace('\n', "\\n");
            server.set_up(
                "auth/leaks-jwt/config",
                &format!("{{\"jwt_validation_pubkeys\":[\"{public}\"]}}"),
            );
            server.set_up(
                "auth/leaks-jwt/role/leaks",
                r#"{"role_type":"jwt","user_claim":"sub","bound_audiences":["vault"],"token_policies":"leaks"}"#,
            );
            let claims = r#"{"sub":"me","aud":"vault","iat":1700000000,"nbf":1700000000,"exp":4000000000}"#;
            jwt(keys.path(), claims)
        });
        std::fs::remove_file(place.home().path().join(".vault-token")).unwrap();
        place.set("MXM_SECRETS_VAULT_AUTH_METHOD", method);
        place.set("MXM_SECRETS_VAULT_AUTH_MOUNT", format!("leaks-{method}"));
        let (file, credential) = match method {
            "approle" => {
                let role = "auth/leaks-approle/role/leaks";
                let answer = server.api("GET", &format!("{role}/role-id"), "");
                let role_id = place
                    .home()
                    .write_key("role_id", member(&answer, "role_id"));
                place.set("MXM_SECRETS_VAULT_ROLE_ID_FILE", role_id);
                let answer = server.set_up(&format!("{role}/secret-id"), "");
                ("SECRET_ID", member(&answer, "secret_id"))
            }
            _ => {
                place.set("MXM_SECRETS_VAULT_AUTH_ROLE", "leaks");
                ("JWT", jwt.clone())
            }
        };
        let path = place.home().write_key("credential", &credential);
        place.set(&format!("MXM_SECRETS_VAULT_{file}_FILE"), path);
        place.credential = Some(credential);
        Some(place)
    }

    /// The store in Vault, with a login by the token that GitHub gives to a workflow.
    pub fn workflow() -> Option<Place> {
        let mut place = Place::login("jwt")?;
        let token = place.credential.clone().unwrap();
        std::fs::remove_file(place.home().path().join("credential")).unwrap();
        place.set("MXM_SECRETS_VAULT_JWT_FILE", "");
        let github = Scripted::answering(answer(200, &format!("{{\"value\":\"{token}\"}}")));
        place.set(
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            format!("{}/token", github.address()),
        );
        place.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer");
        place.peers.push(peer(&github.address()));
        Some(place)
    }

    /// The store in Vault, behind an agent that has a token for it.
    pub fn agent() -> Option<Place> {
        let (server, mut place) = (Server::shared()?, Place::login("approle")?);
        let take = |file| {
            let path = place.home().path().join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            text
        };
        let agent = Agent::start(
            server,
            "leaks-approle",
            &take("role_id"),
            &take("credential"),
        );
        for auth in [
            "AUTH_METHOD",
            "AUTH_MOUNT",
            "ROLE_ID_FILE",
            "SECRET_ID_FILE",
        ] {
            place.set(&format!("MXM_SECRETS_VAULT_{auth}"), "");
        }
        place.set("VAULT_AGENT_ADDR", agent.address());
        place.peers = vec![format!("sun_path=\"{}\"", agent.socket.display())];
        place.agent = Some(Box::new(agent));
        place.credential = None;
        eventually("the agent answers", || {
            place.home().run(["get", NAME]).status == Some(0)
        });
        Some(place)
    }

    /// A store of age whose only identity is one of a plugin.
    pub fn plugin() -> Option<Place> {
        let (keygen, plugin) = (program("age-keygen-1.3.2")?, program("age-plugin-pq")?);
        let mut place = Place::new("age")?;
        place.home().install("age-plugin-pq", &plugin);
        let made = place.home().command(keygen).arg("-pq").output().unwrap();
        let text = String::from_utf8(made.stdout).unwrap();
        let recipient = text.split("public key: ").nth(1).unwrap();
        let recipient = recipient.lines().next().unwrap();
        let native = place.home().write("native", &text);
        let mut command = place.home().command(&plugin);
        command
            .arg("-identity")
            .stdin(std::fs::File::open(native).unwrap());
        let identity = String::from_utf8(command.output().unwrap().stdout).unwrap();
        place.home().write(".passage/identities", &identity);
        for name in [NAME, BINARY] {
            let file = place
                .home()
                .path()
                .join(format!(".passage/store/{name}.age"));
            let mut command = place.home().command(program("age")?);
            command.args(["-r", recipient, "-o"]).arg(&file);
            let plain = if name == NAME {
                "plain"
            } else {
                "plain-binary"
            };
            command.arg(place.home().path().join(plain));
            assert!(command.status().unwrap().success());
        }
        let identity = identity.split("AGE-PLUGIN-PQ-1").nth(1).unwrap();
        place.credential = Some(identity.trim_end().to_owned());
        place.key = Vec::new();
        Some(place)
    }

    /// A place whose backend does what a script says, in a home with its canary in the file [`NAME`].
    pub fn faulty(script: &str) -> Place {
        let mut place = Place::new("own").unwrap();
        place.home().link(&["sleep"]);
        place.home().fake("tool", script);
        let text = "mxm_secrets: {own: {command: [tool, \"{name}\"]}}\n";
        let file = place.home().write("faulty.yaml", text);
        place.set("MXM_SECRETS_CONFIG", file);
        place
    }

    /// The address of the server, if there is one.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn home(&self) -> &Home {
        match &self.owner {
            Owner::Home(home) => home,
            Owner::Store(store) => &store.home,
        }
    }

    fn set(&mut self, variable: &str, value: impl AsRef<OsStr>) {
        match &mut self.owner {
            Owner::Home(home) => home.set(variable, value),
            Owner::Store(store) => store.home.set(variable, value),
        };
    }

    /// A command in this place.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.home().command(program);
        if !self.keys.is_empty() {
            let keys = self.keys.clone();
            // SAFETY: system calls alone, on memory that is there.
            unsafe { command.pre_exec(move || join_session(&keys)) };
        }
        command
    }

    /// The program under test, in this place.
    pub fn mxm_secrets<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.command(program_under_test());
        command.args(arguments);
        command
    }

    /// What must be left behind nowhere.
    pub fn canaries(&self) -> Vec<&[u8]> {
        let value = [self.canary.as_bytes()].into_iter();
        value
            .chain(self.credential.as_ref().map(String::as_bytes))
            .chain(Some(self.key.as_slice()).filter(|key| !key.is_empty() && !is_unoptimised()))
            .collect()
    }
}

/// How strace shows that someone connects to `address`, which ends in a port of this machine.
fn peer(address: &str) -> String {
    let port = address.rsplit(':').next().unwrap();
    format!("sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")")
}

/// strace, where it can read the arguments of a program that is not dumpable; else `None` (said loudly).
pub fn strace() -> Option<PathBuf> {
    const CAP_SYS_PTRACE: u64 = 1 << 19;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|rights| u64::from_str_radix(rights.trim(), 16).ok());
    if rights.is_some_and(|rights| rights & CAP_SYS_PTRACE == 0) {
        not_run("strace needs CAP_SYS_PTRACE to look into a program that is not dumpable");
        return None;
    }
    program("strace")
}

/// Names another build of the program to be tested, such as the one that is shipped.
const OTHER_BUILD: &str = "MXM_SECRETS_TEST_PROGRAM";

/// Whether the program under test is the one that cargo has built for the tests.
pub fn is_unoptimised() -> bool {
    cfg!(debug_assertions) && std::env::var_os(OTHER_BUILD).is_none()
}

/// The 32 bytes that the letters of an age identity stand for, five bits each; a checksum follows them.
fn from_bech32(letters: &str) -> Vec<u8> {
    const ALPHABET: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let value = |letter| ALPHABET.find(letter).unwrap();
    let bits: Vec<bool> = letters
        .chars()
        .flat_map(|letter| (0..5).rev().map(move |bit| value(letter) >> bit & 1 == 1))
        .collect();
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks_exact(8).take(32).map(byte).collect()
}

/// Starts a session of its own with these keys in it.
fn join_session(keys: &[(String, Vec<u8>)]) -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    const SESSION_KEYRING: libc::c_long = -3;
    // SAFETY: the kernel reads what the pointers and lengths say, and the descriptions end in NUL.
    unsafe {
        let none = std::ptr::null::<u8>();
        if libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, none) < 0 {
            return Err(io::Error::last_os_error());
        }
        for (description, value) in keys {
            let key = libc::syscall(
                libc::SYS_add_key,
                c"user".as_ptr(),
                description.as_ptr(),
                value.as_ptr(),
                value.len(),
                SESSION_KEYRING,
            );
            if key < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}
