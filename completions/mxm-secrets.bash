# bash completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

# Names from the configuration, which the one on the PATH reads; it asks no store.
_mxm_secrets_configured() {
    command mxm-secrets config --json "${config[@]}" 2>/dev/null </dev/null | sed -n "$1"
}

# The names in refs that begin with $2, after $1.
_mxm_secrets_refs() {
    mapfile -t COMPREPLY < <(compgen -P "$1" -W "$(_mxm_secrets_configured 's/^{"schema":1,"key":"refs\.\([a-z0-9_]*\)\.store".*/\1/p')" -- "$2")
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
                *" exec "*)
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
            --default | --secret | --optional | --file | --value | --template | --stdin | --set | --from | --keep | --config | --backend | --on-error | --timeout) ((i++)) ;;
            -*) ;;
            *) [[ -n $command ]] || command=${words[i]} ;;
        esac
    done
    # What stands before the value stays on the line, unless bash takes --flag=value for one word.
    local before=''
    [[ ${COMP_WORDS[COMP_CWORD]} == ?*=* ]] && before=${COMP_WORDS[COMP_CWORD]%=*}=
    [[ $cur == --*=* ]] && prev=${cur%%=*} cur=${cur#*=}
    case $prev in
        --default) return ;;
        --secret)
            _mxm_secrets_refs "$before" "${cur#*=}"
            return
            ;;
        --optional)
            _mxm_secrets_refs "$before" "${cur#*=}"
            return
            ;;
        --file)
            [[ $cur != *=* ]] || _mxm_secrets_refs "$before" "${cur#*=}"
            return
            ;;
        --value) return ;;
        --template) return ;;
        --stdin)
            _mxm_secrets_refs "$before" "${cur#*=}"
            return
            ;;
        --set) return ;;
        --from)
            compopt -o default 2>/dev/null
            return
            ;;
        --keep)
            mapfile -t COMPREPLY < <(compgen -P "$before" -e -- "$cur")
            return
            ;;
        --config)
            compopt -o default 2>/dev/null
            return
            ;;
        --backend)
            # Names with commas between them, each once.
            local given=''
            [[ $cur == *,* ]] && given=${cur%,*},
            values=''
            for word in gopass env age vault credentials keyring $(_mxm_secrets_configured '/"key":"sets\./d; s/^{"schema":1,"key":"\([a-z0-9_-]*\)\.names".*/\1/p'); do
                [[ ,$given == *,$word,* ]] || values+=" $word"
            done
            mapfile -t COMPREPLY < <(compgen -P "$before$given" -W "$values" -- "${cur##*,}")
            compopt -o nospace 2>/dev/null
            return
            ;;
        --on-error)
            mapfile -t COMPREPLY < <(compgen -P "$before" -W 'stop continue' -- "$cur")
            return
            ;;
        --timeout) return ;;
    esac
    case $command in
        get) flags='--default --default-ok --raw --json --config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version' ;;
        exec) flags='--secret --optional --file --value --template --stdin --set --from --clean-env --keep --json-errors --config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version --' ;;
        resolve) flags='--set --from --json-errors --explain --all --json --config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version' ;;
        list-backends) flags='--json --login --recipes --config --backend --timeout -q --quiet -h --help -V --version' ;;
        config) flags='--json --check --config --backend --timeout -q --quiet -h --help -V --version' ;;
        credential) flags='--config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version' ;;
        help) flags='-h --help -V --version' ;;
        version) flags='-h --help -V --version' ;;
        *) flags='-h --help -V --version' ;;
    esac
    if [[ $cur == -* || " exec list-backends config credential version " == *" ${command:-/} "* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    elif [[ -z $command || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'get exec resolve list-backends config credential help version' -- "$cur")
    elif [[ " get resolve " == *" $command "* ]]; then
        _mxm_secrets_refs '' "$cur"
    fi
}
complete -F _mxm_secrets mxm-secrets
