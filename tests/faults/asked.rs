//! What happens to those who are asked: programs, plugins of age, servers, files. Fakes, since no real one does this.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use super::{Owner, Scene};
use crate::support::place::Place;
use crate::support::vault::{Scripted, kv};
use crate::support::{Home, find};

/// The value, and how half of it is printed.
pub const VALUE: &str = "canary-value\n";

/// The backend's program is this script; `None` when it is not there. A plugin of age is one, too.
pub fn program(backend: &str, script: Option<&str>) -> Option<Scene> {
    let (owner, name) = match backend {
        "age" => (Owner::Place(plugin()?), "age-plugin-fake"),
        _ => {
            let mut home = Home::new();
            home.write(
                ".config/mxm-secrets/config.yaml",
                "mxm_secrets:\n  own: {command: [program, \"{name}\"]}\n",
            );
            home.set("MXM_SECRETS_BACKENDS", backend);
            let name = if backend == "own" {
                "program"
            } else {
                "gopass"
            };
            (Owner::Home(home), name)
        }
    };
    let scene = Scene::of(owner, VALUE);
    let home = scene.home();
    home.link(&["sleep", "head", "cat", "tr"]);
    match script {
        Some(script) if script.starts_with("#!") => home.fake(name, script),
        Some(script) => home.fake(name, &format!("echo $$ >>children; {script}")),
        None => {}
    }
    Some(scene)
}

/// A store whose only identity is one of a plugin.
fn plugin() -> Option<Place> {
    let place = Place::new("age")?;
    place
        .home()
        .write(".passage/identities", "AGE-PLUGIN-FAKE-1DPJKCMR0YMXKZ5\n");
    Some(place)
}

/// The server does this with every request.
pub fn server(does: fn(&mut TcpStream)) -> Option<Scene> {
    let server = Scripted::start(move |_, stream| does(stream));
    let home = server.home();
    Some(Scene::of(Owner::Server(server, home), VALUE.trim_end()))
}

/// The server is an agent at a Unix socket that takes no connection, and has a queue that is full.
pub fn agent() -> Option<Scene> {
    let mut home = Home::new();
    let path = home.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let first = UnixStream::connect(&path).unwrap();
    // Until this process ends.
    std::mem::forget((listener, first));
    home.set("VAULT_ADDR", format!("unix://{}", path.display()))
        .set("MXM_SECRETS_VAULT_KV_VERSION", "2")
        .set("MXM_SECRETS_BACKENDS", "vault");
    Some(Scene::of(Owner::Home(home), ""))
}

/// This is where the file of the secret should be, or, for the server, that of the token.
pub fn file(backend: &'static str, puts: fn(&Path)) -> Option<Scene> {
    let place = Place::new(backend)?;
    let file = match backend {
        "age" => ".passage/store/leaks/canary.age",
        "vault" => ".vault-token",
        _ => "mnt/leaks_canary",
    };
    puts(&place.home().path().join(file));
    Some(Scene::of(Owner::Place(place), ""))
}

/// Nobody has set it up.
pub fn nothing(backend: &str) -> Option<Scene> {
    let mut home = Home::new();
    home.set("MXM_SECRETS_BACKENDS", backend);
    if backend == "credentials" {
        home.set("CREDENTIALS_DIRECTORY", home.path().join("mnt"));
        let file = home.write(
            "config.yaml",
            "mxm_secrets: {credentials: {directories: []}}\n",
        );
        home.set("MXM_SECRETS_CONFIG", file);
    }
    Some(Scene::of(Owner::Home(home), ""))
}

/// What servers do.
pub mod servers {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\n";

    fn answer() -> String {
        kv("{\"value\":\"canary-value\"}")
    }

    /// Until the other side has gone.
    fn wait(stream: &mut TcpStream) {
        let _ = stream.read(&mut [0]);
    }

    /// Says all of it, but not that this is the end.
    fn say(stream: &mut TcpStream, text: &str) {
        let _ = stream.write_all(text.as_bytes());
    }

    pub fn hangs(stream: &mut TcpStream) {
        wait(stream);
    }

    /// As if a child of it held the connection, after all has been said.
    pub fn holds_the_connection(stream: &mut TcpStream) {
        let body = answer().split_once("\r\n\r\n").unwrap().1.to_owned();
        say(stream, &format!("{HEAD}\r\n{body}"));
        wait(stream);
    }

    pub fn floods_the_body(stream: &mut TcpStream) {
        say(stream, &format!("{HEAD}\r\n"));
        flood(stream, 1 << 30);
    }

    pub fn floods_the_head(stream: &mut TcpStream) {
        say(stream, &format!("{HEAD}X: "));
        flood(stream, 1 << 30);
    }

    fn flood(stream: &mut TcpStream, mut bytes: usize) {
        while bytes > 0 && stream.write_all(&[b'x'; 1 << 16]).is_ok() {
            bytes -= 1 << 16;
        }
    }

    /// Half an answer, and then the reset that the system sends for one that has died.
    pub fn dies(stream: &mut TcpStream) {
        half(stream);
        reset(stream);
    }

    /// A reset before the first byte.
    pub fn dies_at_once(stream: &mut TcpStream) {
        reset(stream);
    }

    fn reset(stream: &mut TcpStream) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: the descriptor is open, and the pointer and the size are those of the structure.
        let set = unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of_val(&linger) as libc::socklen_t,
            )
        };
        assert_eq!(set, 0);
    }

    pub fn closes_early(_: &mut TcpStream) {}

    pub fn half(stream: &mut TcpStream) {
        let answer = answer();
        say(stream, &answer[..answer.len() - 20]);
    }

    pub fn slow(stream: &mut TcpStream) {
        for byte in answer().bytes() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What can be in the place of a file.
pub mod files {
    use super::*;

    /// What is written there comes when somebody writes it.
    pub fn fifo(path: &Path) {
        fs::remove_file(path).unwrap();
        let made = std::process::Command::new(find("mkfifo").unwrap())
            .arg(path)
            .status();
        assert!(made.unwrap().success());
    }

    /// The same, and somebody holds it open for ever.
    pub fn held_fifo(path: &Path) {
        fifo(path);
        let holder = fs::OpenOptions::new().read(true).write(true).open(path);
        std::mem::forget(holder.unwrap());
    }

    pub fn flood(path: &Path) {
        fs::File::create(path).unwrap().set_len(1 << 30).unwrap();
    }

    pub fn empty(path: &Path) {
        fs::write(path, "").unwrap();
    }

    pub fn half(path: &Path) {
        let whole = fs::read(path).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
    }

    /// A link to what has gone.
    pub fn dangling(path: &Path) {
        fs::remove_file(path).unwrap();
        symlink("gone", path).unwrap();
    }
}
