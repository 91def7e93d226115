//! The completion for fish.

use std::fmt::Write as _;

use super::{COMMANDS, FLAGS, OWN, REFS, Takes, backends, names_secrets, takes_name};

const HEAD: &str = r#"# fish completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

# The words after `--`, where another command begins.
function __mxm_secrets_command_line
    set -l words (commandline -opc)
    set -l dashes (contains -i -- -- $words); or return 1
    contains -- @EXEC@ $words[1..$dashes]; or return 1
    set -e words[1..$dashes]
    echo (string join ' ' -- (string escape -- $words) (commandline -ct))
end

# Names from the configuration, which the one on the PATH reads; it asks no store.
function __mxm_secrets_configured
    set -l words (commandline -opc)
    set -l config (string match -- '--config=*' $words)
    if set -l at (contains -i -- --config $words)
        set config --config=(string replace -r '^~/' "$HOME/" -- $words[(math $at + 1)])
    end
    command mxm-secrets config --json $config 2>/dev/null </dev/null | sed -n $argv[1]
end

function __mxm_secrets_refs
    __mxm_secrets_configured '@REFS@'
end

# The names in refs, after VAR= where the word has it; with an argument, only there.
function __mxm_secrets_names
    set -l word (commandline -ct | string replace -r '^--[a-z]+=' '')
    set -l given (string replace -r '[^=]*$' '' -- $word)
    test -n "$given" -o (count $argv) -eq 0; or return
    for name in (__mxm_secrets_refs)
        echo $given$name
    end
end

function __mxm_secrets_backends
    set -l given (string replace -r '[^,]*$' '' -- (commandline -ct | string replace -r '^--backend=' ''))
    for backend in @BACKENDS@ (__mxm_secrets_configured '@OWN@')
        string match -q -- '*,'$backend',*' ,$given; or echo $given$backend
    end
end

# The subcommand on the line: the first word that is one.
function __mxm_secrets_in
    __mxm_secrets_command_line >/dev/null; and return 1
    for word in (commandline -opc)[2..-1]
        if contains -- $word @COMMANDS@
            contains -- $word $argv
            return
        end
    end
    return 1
end

complete -c mxm-secrets -f
complete -c mxm-secrets -n '__mxm_secrets_command_line >/dev/null' \
    -a '(complete -C (__mxm_secrets_command_line))'
"#;

pub fn draw() -> String {
    let runners: Vec<&str> = COMMANDS
        .iter()
        .filter(|command| command.runs_another)
        .map(|command| command.name)
        .collect();
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let mut text = HEAD
        .replace("@EXEC@", &runners.join(" "))
        .replace("@COMMANDS@", &names.join(" "))
        .replace("@BACKENDS@", &backends())
        .replace("@REFS@", REFS)
        .replace("@OWN@", OWN);
    for command in COMMANDS {
        let _ = writeln!(
            text,
            "complete -c mxm-secrets -n 'not __fish_seen_subcommand_from {}' -a {} -d {}",
            names.join(" "),
            command.name,
            quote(command.about)
        );
    }
    let _ = writeln!(
        text,
        "complete -c mxm-secrets -n '__mxm_secrets_in help' -a '{}'",
        names.join(" ")
    );
    let naming = COMMANDS.iter().filter(|command| names_secrets(command));
    let naming: Vec<&str> = naming.map(|command| command.name).collect();
    let _ = writeln!(
        text,
        "complete -c mxm-secrets -n '__mxm_secrets_in {}' -a '(__mxm_secrets_refs)'",
        naming.join(" ")
    );
    for flag in FLAGS {
        let commands = if flag.commands.is_empty() {
            &names
        } else {
            &flag.commands.to_vec()
        };
        let when = match flag.commands {
            [] => "not __mxm_secrets_command_line >/dev/null".to_owned(),
            _ => format!("__mxm_secrets_in {}", commands.join(" ")),
        };
        let short = flag
            .short
            .map(|short| format!(" -s {short}"))
            .unwrap_or_default();
        let value = match flag.takes {
            Takes::Nothing => String::new(),
            Takes::Text(_) => match takes_name(flag) {
                None => " -x".to_owned(),
                Some("VAR=") => " -x -a '(__mxm_secrets_names after)'".to_owned(),
                Some(_) => " -x -a '(__mxm_secrets_names)'".to_owned(),
            },
            Takes::Variable(_) => " -x -a '(set -nx)'".to_owned(),
            Takes::Path(_) => " -r -F".to_owned(),
            Takes::Word(_, words) => format!(" -x -a {}", quote(&words.join(" "))),
            Takes::Backends(_) => " -x -a '(__mxm_secrets_backends)'".to_owned(),
        };
        let about = quote(flag.about);
        let _ = writeln!(
            text,
            "complete -c mxm-secrets -n '{when}'{short} -l {}{value} -d {about}",
            flag.long
        );
    }
    text
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
