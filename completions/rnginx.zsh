#compdef rnginx

autoload -U is-at-least

_rnginx() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-s+[Send a signal to the running parent\: stop, quit, reopen or reload. A reload that fails says why.]: :(stop quit reopen reload)' \
'-p+[The folder that relative paths start from.]:prefix:_files' \
'-e+[The error log until the configuration names one, or stderr.]:filename:_files' \
'-c+[The configuration file.]:filename:_files' \
'-g+[Directives in front of the configuration file'\''s.]:directives:_files' \
'-h[Show the version and a summary of the options; also -?.]' \
'-v[Show the version and exit.]' \
'-V[Show the version and how it was built, and exit.]' \
'-t[Test the configuration and exit; warn of directives that are not served.]' \
'-T[Test the configuration, print it and exit.]' \
'-q[Say nothing but errors while testing.]' \
'--allow-unserved[Start although some directives are known and not served, and leave those out.]' \
'--explain[Test the configuration and show every error at its place, with what would help.]' \
'--json[Test the configuration and print every error as JSON.]' \
&& ret=0
}

(( $+functions[_rnginx_commands] )) ||
_rnginx_commands() {
    local commands; commands=()
    _describe -t commands 'rnginx commands' commands "$@"
}

if [ "$funcstack[1]" = "_rnginx" ]; then
    _rnginx "$@"
else
    compdef _rnginx rnginx
fi
