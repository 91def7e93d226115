//! The completion for bash.

use std::fmt::Write as _;

use super::{
    COMMANDS, FLAGS, OWN, REFS, Takes, backends, flags, names_secrets, spellings, takes_name,
};

const HEAD: &str = r#"# bash completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

# Names from the configuration, which the one on the PATH reads; it asks no store.
_mxm_secrets_configured() {
    command mxm-secrets config --json "${config[@]}" 2>/dev/null </dev/null | sed -n "$1"
}

# The names in refs that begin with $2, after $1.
_mxm_secrets_refs() {
    mapfile -t COMPREPLY < <(compgen -P "$1" -W "$(_mxm_secrets_configured '@REFS@')" -- "$2")
}

_mxm_secrets() {
    local -a words=('') config=()
    local piece last='' cur prev command='' flags values word i
    COMPREPLY=()
    # bash splits at every =, so that --flag=value comes in three pieces: put them together again.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if [[ $piece == -- && $last != = && $i -lt $COMP_CWORD ]]; then
            case " ${words[*]} " in
                *" @EXEC@ "*)
                    # What follows is a command of its own.
                    if declare -F _command_offset >/dev/null; then
                        _command_offset $((i + 1))
                    elif ((i + 1 == COMP_CWORD)); then
                        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
                    else
                        compopt -o default 2>/dev/null
                    fi
                    ;;
            esac
            return
        fi
        if [[ $piece == = || $last == = ]]; then
            words[${#words[@]} - 1]+=$piece
        else
            words+=("$piece")
        fi
        last=$piece
    done
    cur=${words[${#words[@]} - 1]} prev=${words[${#words[@]} - 2]}
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
            --config) config=(--config "${words[i + 1]/#\~\//$HOME/}") ;;&
            --config=*) config=("${words[i]}") ;;
            @VALUED@) ((i++)) ;;
            -*) ;;
            *) [[ -n $command ]] || command=${words[i]} ;;
        esac
    done
    # What stands before the value stays on the line, unless bash takes --flag=value for one word.
    local before=''
    [[ ${COMP_WORDS[COMP_CWORD]} == ?*=* ]] && before=${COMP_WORDS[COMP_CWORD]%=*}=
    [[ $cur == --*=* ]] && prev=${cur%%=*} cur=${cur#*=}
"#;

const TAIL: &str = r#"    if [[ $cur == -* || " @NAMELESS@ " == *" ${command:-/} "* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    elif [[ -z $command || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W '@COMMANDS@' -- "$cur")
    elif [[ " @NAMING@ " == *" $command "* ]]; then
        _mxm_secrets_refs '' "$cur"
    fi
}
complete -F _mxm_secrets mxm-secrets
"#;

pub fn draw() -> String {
    let list = |words: Vec<String>, between: &str| words.join(between);
    let valued = FLAGS
        .iter()
        .filter(|flag| flag.takes.value().is_some())
        .flat_map(spellings)
        .collect();
    let mut text = HEAD
        .replace("@VALUED@", &list(valued, " | "))
        .replace("@REFS@", REFS);
    text.push_str("    case $prev in\n");
    for flag in FLAGS {
        let complete = match flag.takes {
            Takes::Nothing => continue,
            Takes::Text(_) => match takes_name(flag) {
                None => "return ;;\n".to_owned(),
                // The variable must stand before the name.
                Some("VAR=") => {
                    "\n            [[ $cur != *=* ]] || _mxm_secrets_refs \"$before\" \"${cur#*=}\"\n            return\n            ;;\n".to_owned()
                }
                Some(_) => {
                    "\n            _mxm_secrets_refs \"$before\" \"${cur#*=}\"\n            return\n            ;;\n".to_owned()
                }
            },
            Takes::Variable(_) => {
                "\n            mapfile -t COMPREPLY < <(compgen -P \"$before\" -e -- \"$cur\")\n            return\n            ;;\n".to_owned()
            }
            // Completed by bash itself, which knows about blanks and directories.
            Takes::Path(_) => "\n            compopt -o default 2>/dev/null\n            return\n            ;;\n".to_owned(),
            Takes::Word(_, words) => format!(
                "\n            mapfile -t COMPREPLY < <(compgen -P \"$before\" -W '{}' -- \"$cur\")\n            return\n            ;;\n",
                words.join(" ")
            ),
            Takes::Backends(_) => format!(
                r#"
            # Names with commas between them, each once.
            local given=''
            [[ $cur == *,* ]] && given=${{cur%,*}},
            values=''
            for word in {} $(_mxm_secrets_configured '{OWN}'); do
                [[ ,$given == *,$word,* ]] || values+=" $word"
            done
            mapfile -t COMPREPLY < <(compgen -P "$before$given" -W "$values" -- "${{cur##*,}}")
            compopt -o nospace 2>/dev/null
            return
            ;;
"#,
                backends()
            ),
        };
        let space = if complete.starts_with('\n') { "" } else { " " };
        let _ = write!(
            text,
            "        {}){space}{complete}",
            spellings(flag).join(" | ")
        );
    }
    text.push_str("    esac\n    case $command in\n");
    for command in COMMANDS {
        let mut words: Vec<String> = flags(command).flat_map(spellings).collect();
        if command.runs_another {
            words.push("--".to_owned());
        }
        let _ = writeln!(
            text,
            "        {}) flags='{}' ;;",
            command.name,
            words.join(" ")
        );
    }
    let general = FLAGS
        .iter()
        .filter(|flag| flag.commands.is_empty())
        .flat_map(spellings)
        .collect();
    let _ = writeln!(
        text,
        "        *) flags='{}' ;;\n    esac",
        list(general, " ")
    );
    let commands = COMMANDS
        .iter()
        .map(|command| command.name.to_owned())
        .collect();
    // Where no name of a secret can stand, flags are all there is.
    let nameless = COMMANDS
        .iter()
        .filter(|command| !command.usage.contains("NAME") && command.name != "help")
        .map(|command| command.name.to_owned())
        .collect();
    let naming = COMMANDS.iter().filter(|command| names_secrets(command));
    let naming = naming.map(|command| command.name.to_owned()).collect();
    let tail = TAIL
        .replace("@NAMELESS@", &list(nameless, " "))
        .replace("@NAMING@", &list(naming, " "));
    text.push_str(&tail.replace("@COMMANDS@", &list(commands, " ")));
    let runners = COMMANDS.iter().filter(|command| command.runs_another);
    text.replace(
        "@EXEC@",
        &list(
            runners.map(|command| command.name.to_owned()).collect(),
            "|",
        ),
    )
}
