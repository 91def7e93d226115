# fish completion for mxm-secrets. Drawn from the table of commands and flags by make docs.

# The words after `--`, where another command begins.
function __mxm_secrets_command_line
    set -l words (commandline -opc)
    set -l dashes (contains -i -- -- $words); or return 1
    contains -- exec $words[1..$dashes]; or return 1
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
    __mxm_secrets_configured 's/^{"schema":1,"key":"refs\.\([a-z0-9_]*\)\.store".*/\1/p'
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
    for backend in gopass env age vault credentials keyring (__mxm_secrets_configured '/"key":"sets\./d; s/^{"schema":1,"key":"\([a-z0-9_-]*\)\.names".*/\1/p')
        string match -q -- '*,'$backend',*' ,$given; or echo $given$backend
    end
end

# The subcommand on the line: the first word that is one.
function __mxm_secrets_in
    __mxm_secrets_command_line >/dev/null; and return 1
    for word in (commandline -opc)[2..-1]
        if contains -- $word get exec resolve list-backends config credential help version
            contains -- $word $argv
            return
        end
    end
    return 1
end

complete -c mxm-secrets -f
complete -c mxm-secrets -n '__mxm_secrets_command_line >/dev/null' \
    -a '(complete -C (__mxm_secrets_command_line))'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a get -d 'print one secret'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a exec -d 'run a command with secrets in its environment'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a resolve -d 'show which backend has a secret, not its value'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a list-backends -d 'show which backends are set up on this machine'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a config -d 'show the configuration and where each value comes from'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a credential -d 'answer systemd when it asks for a unit\'s credential'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a help -d 'show help, like --help'
complete -c mxm-secrets -n 'not __fish_seen_subcommand_from get exec resolve list-backends config credential help version' -a version -d 'show the version, like --version'
complete -c mxm-secrets -n '__mxm_secrets_in help' -a 'get exec resolve list-backends config credential help version'
complete -c mxm-secrets -n '__mxm_secrets_in get resolve' -a '(__mxm_secrets_refs)'
complete -c mxm-secrets -n '__mxm_secrets_in get' -l default -x -d 'if the secret is missing, print V, exit with 3'
complete -c mxm-secrets -n '__mxm_secrets_in get' -l default-ok -d 'with --default: exit with 0 instead of 3'
complete -c mxm-secrets -n '__mxm_secrets_in get' -l raw -d 'print the exact bytes, without adding a newline'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l secret -x -a '(__mxm_secrets_names)' -d 'set the variable VAR to the secret'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l optional -x -a '(__mxm_secrets_names)' -d 'like --secret, but if it is missing, unset VAR'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l file -x -a '(__mxm_secrets_names after)' -d 'set VAR to the path of a file with the secret'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l value -x -d 'set VAR to TEXT, with secrets for {{NAME}}'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l template -x -d 'set VAR to the path of FILE with secrets filled in'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l stdin -x -a '(__mxm_secrets_names)' -d 'give the command the secret as its standard input'
complete -c mxm-secrets -n '__mxm_secrets_in exec resolve' -l set -x -d 'all that SET of the configuration asks for'
complete -c mxm-secrets -n '__mxm_secrets_in exec resolve' -l from -r -F -d 'all that the set in FILE asks for'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l clean-env -d 'give the command no other environment variables'
complete -c mxm-secrets -n '__mxm_secrets_in exec' -l keep -x -a '(set -nx)' -d 'with --clean-env: keep the variable VAR'
complete -c mxm-secrets -n '__mxm_secrets_in exec resolve' -l json-errors -d 'report problems as JSON, one object per line'
complete -c mxm-secrets -n '__mxm_secrets_in resolve' -l explain -d 'show each backend of the chain and its answer'
complete -c mxm-secrets -n '__mxm_secrets_in resolve' -l all -d 'also ask the backends after the first hit'
complete -c mxm-secrets -n '__mxm_secrets_in get resolve list-backends config' -l json -d 'print JSON, one object per line'
complete -c mxm-secrets -n '__mxm_secrets_in list-backends' -l login -d 'try the login of a backend, too'
complete -c mxm-secrets -n '__mxm_secrets_in list-backends' -l recipes -d 'list the recipes for backends of your own'
complete -c mxm-secrets -n '__mxm_secrets_in config' -l check -d 'check the configuration, including every layer'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config credential' -l config -r -F -d 'read this configuration file'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config credential' -l backend -x -a '(__mxm_secrets_backends)' -d 'ask these backends, in this order'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve credential' -l on-error -x -a 'stop continue' -d 'after a failure: stop (the default) or continue'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config credential' -l timeout -x -d 'seconds for each backend and name (default 10)'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve credential' -l no-input -d 'never prompt or wait for a person'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve credential' -s v -l verbose -d 'report each backend\'s answer as it happens'
complete -c mxm-secrets -n '__mxm_secrets_in get exec resolve list-backends config credential' -s q -l quiet -d 'suppress hints and warnings, but not errors'
complete -c mxm-secrets -n 'not __mxm_secrets_command_line >/dev/null' -s h -l help -d 'show help (-h: summary, --help: everything)'
complete -c mxm-secrets -n 'not __mxm_secrets_command_line >/dev/null' -s V -l version -d 'show the version and the built-in backends'
