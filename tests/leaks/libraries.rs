//! What the libraries that are linked in say of what they cannot read: nothing of it, in whatever form. Each reader gets
//! what holds a canary, damaged in twenty ways and more.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use crate::support::place::canary;
use crate::support::vault::{Scripted, keys, kv, openssl};
use crate::support::{Home, Transcript, program};

/// How many bytes in a row give a secret away.
const TELLING: usize = 12;

/// The parts of a secret in every form in which a library might show them.
struct Forms(Vec<String>);

impl Forms {
    fn of(secret: &[u8]) -> Forms {
        let list = |part: &[u8], each: fn(&u8) -> String, between: &str| {
            part.iter().map(each).collect::<Vec<_>>().join(between)
        };
        let mut forms = Vec::new();
        for part in secret.windows(TELLING) {
            forms.extend([
                String::from_utf8_lossy(part).into_owned(),
                list(part, |byte| format!("{byte:02x}"), ""),
                list(part, |byte| format!("{byte:02X}"), ""),
                list(part, |byte| format!("{byte:02x}"), " "),
                list(part, |byte| format!("{byte:02x}"), ":"),
                list(part, |byte| format!("{byte:x}"), ", "),
                list(part, |byte| format!("0x{byte:02x}"), ", "),
                list(part, u8::to_string, ", "),
                list(part, u8::to_string, ","),
                list(part, u8::to_string, " "),
            ]);
            let encoded = base64(part);
            forms.push(encoded.clone());
            forms.push(encoded.replace('+', "-").replace('/', "_"));
        }
        Forms(forms)
    }

    /// Checks that nothing of the secret is in what was written.
    #[track_caller]
    fn are_not_in(&self, seen: &Transcript, what: &str) {
        let all = format!("{}{}", String::from_utf8_lossy(&seen.stdout), seen.stderr);
        for form in &self.0 {
            assert!(!all.contains(form), "{what}: {form} in {all}");
        }
    }
}

/// The base64 of `bytes`, whose number can be divided by three. A part of a longer text begins at any of its bytes, and so
/// all three ways in which it may be cut into groups are among those of all parts.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks_exact(3) {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for shift in [18, 12, 6, 0] {
            text.push(char::from(ALPHABET[(bits >> shift & 63) as usize]));
        }
    }
    text
}

#[test]
fn a_canary_is_found_in_every_form() {
    let secret = b"a canary that sings, and no other bird";
    let forms = Forms::of(secret);
    // Of base64, with any number of bytes before it.
    for before in ["", "x", "xx", "xyz"] {
        let whole = [before.as_bytes(), secret, b"zzz"].concat();
        let shown = base64(&whole[..whole.len() / 3 * 3]);
        assert!(forms.0.iter().any(|form| shown.contains(form)), "{shown}");
    }
    for shown in [
        format!("{secret:?}"),
        format!("{secret:02x?}"),
        String::from_utf8(secret.to_vec()).unwrap(),
        "no key: [97, 32, 99, 97, 110, 97, 114, 121, 32, 116, 104, 97, 116]".to_owned(),
    ] {
        assert!(forms.0.iter().any(|form| shown.contains(form)), "{shown}");
    }
}

/// `whole`, which is text, damaged in more than twenty ways, none of which changes what stands between blanks.
fn spoiled(whole: &str) -> Vec<Vec<u8>> {
    let bytes = whole.as_bytes();
    let part =
        |from: usize, to: usize| bytes[from * bytes.len() / 8..to * bytes.len() / 8].to_vec();
    let joined = |parts: &[&[u8]]| parts.concat();
    let reversed: Vec<&str> = whole.lines().rev().collect();
    let mut all = vec![
        part(0, 4),
        part(0, 6),
        part(0, 7),
        part(1, 8),
        part(2, 8),
        bytes[..bytes.len() - 1].to_vec(),
        bytes[..bytes.len() - 2].to_vec(),
        bytes[1..].to_vec(),
        joined(&[bytes, bytes]),
        joined(&[b"\xef\xbb\xbf", bytes]),
        joined(&[b"\xff", bytes]),
        joined(&[b"\0", bytes]),
        joined(&[bytes, b"\xff\xfe"]),
        joined(&[&part(0, 4), b"\0", &part(4, 8)]),
        joined(&[&part(0, 4), b"\xff", &part(4, 8)]),
        joined(&[b"[", bytes]),
        joined(&[bytes, b"}"]),
        reversed.join("\n").into_bytes(),
    ];
    for (from, to) in [
        ("\n", " "),
        ("\n", "\r"),
        ("\n", "\\n"),
        ("\n", ""),
        ("\n", "\n\t"),
        ("\"", ""),
        ("\"", "'"),
        (":", "="),
        ("{", "["),
        ("}", ""),
        (",", ""),
        ("-", "_"),
    ] {
        if whole.contains(from) {
            all.push(whole.replace(from, to).into_bytes());
        }
    }
    all
}

/// What the age and ssh libraries are given to read.
#[test]
fn no_library_shows_an_identity_that_it_cannot_read() {
    let Some(keygen) = program("ssh-keygen") else {
        return;
    };
    let home = Home::new();
    let key = |name: &str, arguments: &[&str]| {
        let path = home.path().join(name);
        let mut command = home.command(&keygen);
        command
            .args(["-q", "-C", "", "-f"])
            .arg(&path)
            .args(arguments);
        assert!(command.status().unwrap().success());
        fs::read_to_string(path).unwrap()
    };
    let ed25519 = key("ed25519", &["-t", "ed25519", "-N", ""]);
    let locked = key("locked", &["-t", "ed25519", "-N", "passphrase"]);
    let rsa = key("rsa", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]);
    let native = format!("# age\nAGE-SECRET-KEY-1{}\n", canary().to_uppercase());
    let plugin = format!("AGE-PLUGIN-X-1{}\n", canary().to_uppercase());
    home.write(
        ".passage/store/a.age",
        "age-encryption.org/v1\n-> X25519 a\nYWdl\n--- AAAA\n",
    );
    let path = home.path().join(".passage/identities");
    for (what, text) in [
        ("ed25519", ed25519),
        ("locked", locked),
        ("rsa", rsa),
        ("native", native),
        ("plugin", plugin),
    ] {
        let secret: String = text.lines().filter(|line| line.len() > 30).collect();
        let secret = secret.trim_start_matches(|c: char| !c.is_ascii_digit());
        let forms = Forms::of(secret.as_bytes());
        let spoiled = spoiled(&text);
        let damaged = match text.starts_with("-----BEGIN") {
            true => damages(&text).into_iter().map(String::into_bytes).collect(),
            false => Vec::new(),
        };
        for (number, content) in spoiled.into_iter().chain(damaged).enumerate() {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let seen = home.run(["get", "-v", "--backend", "age", "a"]);
            assert_eq!(seen.status, Some(4), "{what} {number}: {}", seen.stderr);
            forms.are_not_in(&seen, &format!("{what} {number}"));
        }
    }
}

/// A value in an age file, whose plaintext may be out before the damage is seen.
#[test]
fn no_library_shows_the_plaintext_of_a_damaged_file() {
    let (Some(age), Some(keygen)) = (program("age"), program("age-keygen")) else {
        return;
    };
    let home = Home::new();
    let secret = canary().repeat(3000);
    let identities = home.path().join(".passage/identities");
    let file = home.path().join(".passage/store/a.age");
    let plain = home.write("plain", &secret);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut command = home.command(keygen);
    command.arg("-o").arg(&identities).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    let mut command = home.command(age);
    command
        .args(["-e", "-i"])
        .arg(&identities)
        .arg("-o")
        .arg(&file);
    assert!(command.arg(plain).status().unwrap().success());
    let whole = fs::read(&file).unwrap();
    let forms = Forms::of(&secret.as_bytes()[..64]);
    for number in 1..=24 {
        let mut damaged = whole.clone();
        let at = number * whole.len() / 25;
        match number % 3 {
            0 => damaged.truncate(at),
            1 => damaged[at] ^= 1,
            _ => drop(damaged.drain(at..at + number)),
        }
        fs::write(&file, damaged).unwrap();
        let seen = home.run(["get", "-v", "--backend", "age", "a"]);
        assert_eq!(seen.status, Some(4), "{number}: {}", seen.stderr);
        forms.are_not_in(&seen, &format!("{number}"));
    }
}

/// A value in JSON and in HTTP, as a server sends it, and in a text.
#[test]
fn no_reader_shows_a_value_that_it_cannot_read() {
    let secret = canary();
    let forms = Forms::of(secret.as_bytes());
    let fields =
        format!("{{\"value\": \"{secret}\",\n\"other\": [\"{secret}\", {{\"{secret}\": 1}}]}}");
    let replies = {
        let whole = spoiled(&kv(&fields));
        let bodies = spoiled(&fields);
        let bodies = bodies
            .iter()
            .map(|body| kv(&String::from_utf8_lossy(body)).into_bytes());
        let head = |head: String| format!("{head}\r\n\r\n{secret}").into_bytes();
        let heads = [
            head(format!("HTTP/1.1 {secret}")),
            head(format!("HTTP/1.1 200 X\r\nContent-Length: {secret}")),
            head(format!("HTTP/1.1 200 X\r\nTransfer-Encoding: {secret}")),
            head(format!("HTTP/1.1 200 X\r\nContent-Encoding: {secret}")),
            head("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked".to_owned()),
            head(format!("HTTP/1.1 200 X\r\n{secret}")),
            head(format!("{secret} 200")),
        ];
        whole
            .into_iter()
            .chain(bodies)
            .chain(heads)
            .collect::<Vec<_>>()
    };
    assert!(replies.len() > 60);
    let next = Arc::new(Mutex::new(Vec::new()));
    let reply = next.clone();
    let server = Scripted::start(move |_, stream| {
        let _ = std::io::Write::write_all(stream, &reply.lock().unwrap());
    });
    for (number, content) in replies.into_iter().enumerate() {
        next.lock().unwrap().clone_from(&content);
        for name in ["a#none", "a#none.x"] {
            let seen = server.home().run(["get", "-v", "--timeout", "5", name]);
            let what = format!("{number}: {}", String::from_utf8_lossy(&content));
            assert!(
                matches!(seen.status, Some(1 | 4)),
                "{what}: {}",
                seen.stderr
            );
            forms.are_not_in(&seen, &what);
        }
    }
    // The same text in a file, and in a variable of headers.
    let mut home = Home::new();
    home.set("CREDENTIALS_DIRECTORY", home.path().join("mnt"));
    for (number, content) in spoiled(&fields).into_iter().enumerate() {
        home.write("mnt/a", &content);
        let seen = home.run(["get", "-v", "--backend", "credentials", "a#none"]);
        assert!(
            matches!(seen.status, Some(1 | 4)),
            "{number}: {}",
            seen.stderr
        );
        forms.are_not_in(&seen, &number.to_string());
        if !content.contains(&0) {
            let mut home = server.home();
            home.set("VAULT_HEADERS", String::from_utf8_lossy(&content).as_ref());
            let seen = home.run(["get", "-v", "--timeout", "5", "a"]);
            forms.are_not_in(&seen, &number.to_string());
        }
    }
}

/// A server that does not speak TLS, or not whole, and repeats what it has been told.
#[test]
fn no_library_shows_what_stands_where_tls_should() {
    let secret = canary();
    let forms = Forms::of(secret.as_bytes());
    let record = |kind: u8, length: usize| {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        [&[kind, 3, 3, length[0], length[1]][..], secret.as_bytes()].concat()
    };
    let mut replies: Vec<Vec<u8>> = (20..=24)
        .flat_map(|kind| [0, 16, secret.len(), 16_000].map(|length| record(kind, length)))
        .collect();
    replies.push(secret.clone().into_bytes());
    let next = Arc::new(Mutex::new(Vec::new()));
    let reply = next.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "https://127.0.0.1:{}",
        listener.local_addr().unwrap().port()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 2000]);
            let _ = std::io::Write::write_all(&mut stream, &reply.lock().unwrap());
        }
    });
    for (number, content) in replies.into_iter().enumerate() {
        *next.lock().unwrap() = content;
        let mut home = Home::new();
        home.set("VAULT_ADDR", &address).set("VAULT_TOKEN", "t");
        let seen = home.run(["get", "-v", "--timeout", "5", "--backend", "vault", "a"]);
        assert_eq!(seen.status, Some(4), "{number}: {}", seen.stderr);
        forms.are_not_in(&seen, &number.to_string());
    }
}

/// A value in a configuration that cannot be read.
#[test]
fn no_message_shows_a_value_of_a_damaged_configuration() {
    let home = Home::new();
    let secret = canary();
    let forms = Forms::of(secret.as_bytes());
    let text = format!(
        "mxm_secrets:\n  backends: [own, env]\n  own:\n    command: [tool, \"-p\", \"{secret}\"]\n    names: \"any\"\n"
    );
    for (number, content) in spoiled(&text).into_iter().enumerate() {
        home.write("config.yaml", content);
        for command in [&["get", "-v", "a"][..], &["config", "--check"], &["config"]] {
            let seen = home.run([command, &["--config", "config.yaml"]].concat());
            forms.are_not_in(&seen, &format!("{number}"));
        }
    }
}

/// A key or certificate in PEM, damaged in one of twenty ways.
fn damages(pem: &str) -> Vec<String> {
    let lines: Vec<&str> = pem.lines().collect();
    let body = lines[1..lines.len() - 1].join("\n");
    let (begin, end) = (lines[0], lines[lines.len() - 1]);
    vec![
        pem.replace('\n', "\\n"),
        pem.replace('\n', " "),
        pem.replace('\n', "\r"),
        pem.replace('\n', ""),
        body.clone(),
        format!("{begin}\n{body}\n"),
        format!("{body}\n{end}\n"),
        format!("{begin}{body}\n{end}\n"),
        format!("{begin}\n{body}{end}\n"),
        format!("-----BEGIN {body}\n"),
        format!("-----BEGIN {body}-----\n{end}\n"),
        format!("{begin}\n{}\n{end}\n", body.replace('A', "*")),
        format!("{begin}\n{}\n{end}\n", &body[..body.len() / 2]),
        format!("{begin}\n{}\n{end}\n", &body[1..]),
        format!("{begin}\n{body}{body}\n{end}\n"),
        pem.replace("-----", "----"),
        pem.replace("BEGIN", "BEGIN X").replace("END", "END X"),
        pem.replace("PRIVATE KEY", "CERTIFICATE"),
        pem.replace("CERTIFICATE", "PRIVATE KEY"),
        format!("{begin}\nProc-Type: 4,ENCRYPTED\nDEK-Info: {body}\n\n{body}\n{end}\n"),
        format!("{{\"key\": \"{}\"}}", pem.replace('\n', "\\n")),
    ]
}

#[test]
fn no_library_shows_a_key_that_it_cannot_read() {
    let keys = keys();
    openssl(
        keys.path(),
        "req -x509 -key key.pem -out cert.pem -days 2 -subj /CN=canary-of-a-certificate",
    );
    openssl(
        keys.path(),
        "ecparam -name prime256v1 -genkey -noout -out ec.pem",
    );
    let read = |name: &str| fs::read_to_string(keys.path().join(name)).unwrap();
    for (variable, pem) in [
        ("VAULT_CLIENT_KEY", read("key.pem")),
        ("VAULT_CLIENT_KEY", read("ec.pem")),
        ("VAULT_CLIENT_CERT", read("cert.pem")),
        ("VAULT_CACERT", read("cert.pem")),
        ("VAULT_CACERT_BYTES", read("key.pem")),
        ("VAULT_CACERT", read("key.pem")),
        ("SSL_CERT_FILE", read("key.pem")),
    ] {
        let lines: Vec<&str> = pem.lines().collect();
        let forms = Forms::of(lines[1..lines.len() - 1].concat().as_bytes());
        for (number, damaged) in damages(&pem).into_iter().enumerate() {
            let mut home = Home::new();
            home.set("VAULT_ADDR", "https://127.0.0.1:1")
                .set("VAULT_TOKEN", "hvs.example")
                .set("MXM_SECRETS_BACKENDS", "vault");
            if variable.starts_with("VAULT_CLIENT") {
                home.set("VAULT_CLIENT_CERT", keys.path().join("cert.pem"))
                    .set("VAULT_CLIENT_KEY", keys.path().join("key.pem"))
                    .set("VAULT_SKIP_VERIFY", "1");
            }
            match variable {
                "VAULT_CACERT_BYTES" => home.set(variable, damaged),
                _ => home.set(variable, home.write_key("damaged.pem", damaged)),
            };
            for arguments in [&["get", "-v", "a"][..], &["list-backends", "--json"]] {
                let seen = home.run(arguments);
                assert_eq!(seen.status, Some(4), "{variable} {number}: {}", seen.stderr);
                forms.are_not_in(&seen, &format!("{variable} {number}"));
            }
        }
    }
}
