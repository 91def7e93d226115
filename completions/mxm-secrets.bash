# bash completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

_mxm_secrets() {
    local -a words=('')
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
            --default | --secret | --optional | --file | --value | --template | --stdin | --set | --from | --keep | --config | --backend | --on-error | --timeout) ((i++)) ;;
            -*) ;;
            *) [[ -n $command ]] || command=${words[i]} ;;
        esac
    done
    # What stands before the value stays on the line, unless bash takes --flag=value for one word.
    local before=''
    if [[ $cur == --*=* ]]; then
        prev=${cur%%=*} cur=${cur#*=}
        [[ ${COMP_WORDS[COMP_CWORD]} == --*=* ]] && before=$prev=
    fi
    case $prev in
        --default) return ;;
        --secret) return ;;
        --optional) return ;;
        --file) return ;;
        --value) return ;;
        --template) return ;;
        --stdin) return ;;
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
            for word in gopass env age vault credentials keyring; do
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
        resolve) flags='--set --from --explain --all --json --config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version' ;;
        list-backends) flags='--json --login --config --backend --timeout -q --quiet -h --help -V --version' ;;
        config) flags='--json --check --config --backend --timeout -q --quiet -h --help -V --version' ;;
        help) flags='-h --help -V --version' ;;
        version) flags='-h --help -V --version' ;;
        *) flags='-h --help -V --version' ;;
    esac
    if [[ $cur == -* || " exec list-backends config version " == *" ${command:-/} "* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    elif [[ -z $command || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'get exec resolve list-backends config help version' -- "$cur")
    fi
}
complete -F _mxm_secrets mxm-secrets
