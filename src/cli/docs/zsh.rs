//! The completion for zsh.

use std::fmt::Write as _;

use super::{
    COMMANDS, Command, FLAGS, Flag, OWN, REFS, Takes, backends, flags, names_secrets, spellings,
    takes_name,
};

const HEAD: &str = r#"#compdef mxm-secrets
# zsh completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

# Names from the configuration, which the one on the PATH reads; it asks no store.
_mxm_secrets_configured() {
    local -a config
    [[ -n ${opt_args[--config]} ]] && config=(--config=${${(Q)opt_args[--config]}/#\~\//$HOME/})
    command mxm-secrets config --json $config 2>/dev/null </dev/null | sed -n $1
}

_mxm_secrets_names() {
    local -a names
    local expl
    names=($(_mxm_secrets_configured '@REFS@'))
    _wanted names expl name compadd -a names
}

_mxm_secrets_backends() {
    _values -s , backend @BACKENDS@ $(_mxm_secrets_configured '@OWN@')
}

_mxm_secrets() {
    local context state state_descr line
    typeset -A opt_args
    # Not named commands: that is where zsh has the commands of the PATH.
    local -a subcommands
    subcommands=(
@COMMANDS@    )
    _arguments -s -S -C \
@GENERAL@        '1:command:->command' \
        '*::argument:->argument'
    case $state in
        command) _describe -t commands command subcommands ;;
        argument)
            case $words[1] in
@CASES@            esac
            ;;
    esac
}

_mxm_secrets "$@"
"#;

pub fn draw() -> String {
    let mut commands = String::new();
    let mut cases = String::new();
    for command in COMMANDS {
        let _ = writeln!(
            commands,
            "        '{}:{}'",
            command.name,
            escape(command.about)
        );
        let _ = writeln!(cases, "                {})", command.name);
        if command.runs_another {
            cases.push_str(
                "                    local dashes=${words[(i)--]}\n\
                 \x20                   if ((dashes < CURRENT)); then\n\
                 \x20                       # What follows is a command of its own.\n\
                 \x20                       shift $dashes words\n\
                 \x20                       ((CURRENT -= dashes))\n\
                 \x20                       _normal -p mxm-secrets\n\
                 \x20                       return\n\
                 \x20                   fi\n",
            );
        }
        let _ = writeln!(cases, "                    _arguments -s -S \\");
        for flag in flags(command) {
            let _ = writeln!(
                cases,
                "                        {} \\",
                specification(flag, command)
            );
        }
        let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        let rest = match command.name {
            "help" => format!("'1:command:({})'", names.join(" ")),
            _ if command.runs_another => "'1:dashes:(--)'".to_owned(),
            _ if names_secrets(command) => "'*:name:_mxm_secrets_names'".to_owned(),
            _ => "'*:name: '".to_owned(),
        };
        let _ = writeln!(
            cases,
            "                        {rest}\n                    ;;"
        );
    }
    let general = FLAGS.iter().filter(|flag| flag.commands.is_empty());
    let general = general
        .map(|flag| format!("        {} \\\n", specification(flag, &COMMANDS[0])))
        .collect::<String>();
    HEAD.replace("@BACKENDS@", &backends())
        .replace("@REFS@", REFS)
        .replace("@OWN@", OWN)
        .replace("@COMMANDS@", &commands)
        .replace("@GENERAL@", &general)
        .replace("@CASES@", &cases)
}

/// `'(-v --verbose)'{-v,--verbose}'[tell …]'`, as _arguments takes it.
fn specification(flag: &Flag, command: &Command) -> String {
    // With = after its name, a flag takes its value in the same word or in the next.
    let equals = if flag.takes.value().is_some() {
        "="
    } else {
        ""
    };
    let names: Vec<String> = spellings(flag)
        .into_iter()
        .map(|name| {
            if name.starts_with("--") {
                name + equals
            } else {
                name
            }
        })
        .collect();
    let values = match flag.takes {
        Takes::Nothing => String::new(),
        Takes::Text(name) => {
            let complete = match takes_name(flag) {
                None => " ",
                Some("") => "_mxm_secrets_names",
                Some("VAR=") => r#"{compset -P "*=" && _mxm_secrets_names}"#,
                Some(_) => r#"{compset -P "*="; _mxm_secrets_names}"#,
            };
            format!(":{}:{complete}", escape(name))
        }
        Takes::Variable(name) => format!(":{name}:_parameters -g \"*export*\""),
        Takes::Path(name) => format!(":{name}:_files"),
        Takes::Word(name, words) => format!(":{name}:({})", words.join(" ")),
        Takes::Backends(name) => format!(":{}:_mxm_secrets_backends", escape(name)),
    };
    let about = format!("[{}]{values}", escape(flag.about));
    let often = command.runs_another
        && matches!(flag.takes, Takes::Text(_) | Takes::Variable(_))
        && flag.variable.is_none();
    match (names.as_slice(), often) {
        ([long], true) => format!("'*{long}{about}'"),
        ([long], false) => format!("'{long}{about}'"),
        _ => format!("'({})'{{{}}}'{about}'", names.join(" "), names.join(",")),
    }
}

fn escape(text: &str) -> String {
    text.replace('\'', "'\\''")
        .replace(':', "\\:")
        .replace('[', "\\[")
        .replace(']', "\\]")
}
