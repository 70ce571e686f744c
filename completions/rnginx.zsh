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
'-s+[send signal to a master process\: stop, quit, reopen, reload]: :(stop quit reopen reload)' \
'-p+[set prefix path]:prefix:_files' \
'-e+[set error log file]:filename:_files' \
'-c+[set configuration file]:filename:_files' \
'-g+[set global directives out of configuration file]:directives:_files' \
'-h[this help]' \
'-v[show version and exit]' \
'-V[show version and configure options then exit]' \
'-t[test configuration and exit]' \
'-T[test configuration, dump it and exit]' \
'-q[suppress non-error messages during configuration testing]' \
'--allow-unserved[start although some directives are not served; they are left out, and what they protect stays closed]' \
'--explain[test configuration and show every error with its place, what was there first, and what would help]' \
'--json[test configuration and print every error as JSON on standard output]' \
'--sarif[test configuration and print every error as SARIF on standard output]' \
'--help[this help]' \
'--version[show version and exit]' \
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
