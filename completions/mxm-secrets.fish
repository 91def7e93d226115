# fish completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

# The words after `--`, where another command begins.
function __mxm_secrets_command_line
    set -l words (commandline -opc)
    set -l dashes (contains -i -- -- $words); or return 1
    contains -- exec $words[1..$dashes]; or return 1
    set -e words[1..$dashes]
    echo (string join ' ' -- (string escape -- $words) (commandline -ct))
end

function __mxm_secrets_backends
    set -l given (string replace -r '[^,]*$' '' -- (commandline -ct | string replace -r '^--backend=' ''))
    for backend in gopass env age vault credentials keyring
        string match -q -- '*,'$backend',*' ,$given; or echo $given$backend
    end
end

# The subcommand on the line: the first word that is one.
function __mxm_secrets_in
    __mxm_secrets_command_line >/dev/null; and return 1
    for word in (commandline -opc)[2..-1]
        if contains -- $word get exec resolve list-backends config
            contains -- $word $argv
            return
        end
    end
    return 1
end

complete -c mxm-secrets -f
complete -c mxm-secrets -n '__mxm_secrets_command_line >/dev/null' \
    -a '(complete -C (__mxm_secrets_command_line))'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config' -a get -d 'print one secret'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config' -a exec -d 'run a command with secrets in its environment'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config' -a resolve -d 'tell which backend has a secret, not its value'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config' -a list-backends -d 'tell which backends are set up on this machine'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config' -a config -d 'tell what is configured, and where it says so'
complete -c mxm-secrets -n '__mxm_secrets_in get' -l default -x -d 'print V when the secret is missing, status 3'
complete -c mxm-secrets -n '__mxm_secrets_in get' -l default-ok -d 'with --default: status 0 in place of 3'
complete -c mxm-secrets -n '__mxm_secrets_in get' -l raw -d 'print the bytes exactly, adding no newline'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l secret -x -d 'put the secret into the variable VAR'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l optional -x -d 'the same; when missing, VAR is not set'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l file -x -d 'put the path of a file with the secret into VAR'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l clean-env -d 'start the command with an empty environment'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l keep -x -a '(set -nx)' -d 'with --clean-env: keep the variable VAR'
complete -c mxm-secrets -n '__mxm_secrets_in resolve' -l explain -d 'show the chain: who was asked and what they said'
complete -c mxm-secrets -n '__mxm_secrets_in resolve' -l all -d 'ask the backends after the first hit, too'
complete -c mxm-secrets -n '__mxm_secrets_in resolve list-backends config' -l json -d 'print JSON, one object per line'
complete -c mxm-secrets -n '__mxm_secrets_in config' -l check -d 'check the configuration, all of its layers'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config' -l config -r -F -d 'read this configuration file'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config' -l backend -x -a '(__mxm_secrets_backends)' -d 'ask these backends, in this order'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve' -l on-error -x -a 'stop continue' -d 'after a failure: stop (the default) or continue'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config' -l timeout -x -d 'how long each backend may take (default 10)'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve' -l no-input -d 'never prompt or wait for a person'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve' -s v -l verbose -d 'tell what each backend answers, as it happens'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config' -s q -l quiet -d 'no hints and no warnings; errors stay'
complete -c mxm-secrets -n 'not __mxm_secrets_command_line >/dev/null' -s h -l help -d 'show help; -h is short, --help is whole'
complete -c mxm-secrets -n 'not __mxm_secrets_command_line >/dev/null' -s V -l version -d 'show the version and the backends built in'
