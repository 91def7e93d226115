# bash completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

_mxm_secrets() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' flags values word i
    COMPREPLY=()
    # bash splits --flag=value into three words.
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            --)
                if [[ $command == exec ]]; then
                    # What follows is a command of its own.
                    if declare -F _command_offset >/dev/null; then
                        _command_offset $((i + 1))
                    elif ((i + 1 == COMP_CWORD)); then
                        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
                    else
                        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                    fi
                fi
                return
                ;;
            --default | --secret | --optional | --file | --keep | --config | --backend | --on-error | --timeout) [[ ${COMP_WORDS[i + 1]} == = ]] || ((i++)) ;;
            -* | =) ;;
            *) [[ -n $command ]] || command=$word ;;
        esac
    done
    case $prev in
        --default) return ;;
        --secret) return ;;
        --optional) return ;;
        --file) return ;;
        --keep)
            mapfile -t COMPREPLY < <(compgen -e -- "$cur")
            return
            ;;
        --config) return ;;
        --backend)
            # Names with commas between them, each once.
            local given=''
            [[ $cur == *,* ]] && given=${cur%,*},
            values=''
            for word in gopass env age vault credentials keyring; do
                [[ ,$given == *,$word,* ]] || values+=" $word"
            done
            mapfile -t COMPREPLY < <(compgen -P "$given" -W "$values" -- "${cur##*,}")
            compopt -o nospace 2>/dev/null
            return
            ;;
        --on-error)
            mapfile -t COMPREPLY < <(compgen -W 'stop continue' -- "$cur")
            return
            ;;
        --timeout) return ;;
    esac
    case $command in
        get) flags='--default --default-ok --raw --config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version' ;;
        exec) flags='--secret --optional --file --clean-env --keep --config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version --' ;;
        resolve) flags='--explain --all --json --config --backend --on-error --timeout --no-input -v --verbose -q --quiet -h --help -V --version' ;;
        list-backends) flags='--json --config --backend --timeout -q --quiet -h --help -V --version' ;;
        config) flags='--json --check --config --backend --timeout -q --quiet -h --help -V --version' ;;
        *) flags='-h --help -V --version' ;;
    esac
    if [[ $cur == -* || $command == exec || $command == list-backends ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'get exec resolve list-backends config' -- "$cur")
    fi
}
complete -F _mxm_secrets mxm-secrets
