#compdef rkeepalived

autoload -U is-at-least

_rkeepalived() {
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
'-f+[Use the specified configuration file]:VALUE:_files' \
'--use-file=[Use the specified configuration file]:VALUE:_files' \
'-S+[Set syslog facility to LOG_LOCAL\[0-7\]]:VALUE:_files' \
'--log-facility=[Set syslog facility to LOG_LOCAL\[0-7\]]:VALUE:_files' \
'-g+[Also log to FILE (default /tmp/keepalived.log)]:VALUE:_files' \
'--log-file=[Also log to FILE (default /tmp/keepalived.log)]:VALUE:_files' \
'-u+[umask for file creation (in numeric form)]:VALUE:_files' \
'--umask=[umask for file creation (in numeric form)]:VALUE:_files' \
'-p+[Use specified pidfile for parent process]:VALUE:_files' \
'--pid=[Use specified pidfile for parent process]:VALUE:_files' \
'-r+[Use specified pidfile for VRRP child process]:VALUE:_files' \
'--vrrp_pid=[Use specified pidfile for VRRP child process]:VALUE:_files' \
'-c+[Use specified pidfile for checkers child process]:VALUE:_files' \
'--checkers_pid=[Use specified pidfile for checkers child process]:VALUE:_files' \
'-b+[Use specified pidfile for BFD child process]:VALUE:_files' \
'--bfd_pid=[Use specified pidfile for BFD child process]:VALUE:_files' \
'-s+[Run in network namespace NAME (overrides config)]:VALUE:_files' \
'--namespace=[Run in network namespace NAME (overrides config)]:VALUE:_files' \
'-M+[Also set /proc/sys/kernel/core_pattern to PATN (default '\''core'\'')]:VALUE:_files' \
'--core-dump-pattern=[Also set /proc/sys/kernel/core_pattern to PATN (default '\''core'\'')]:VALUE:_files' \
'-i+[Skip any configuration lines beginning '\''@'\'' that don'\''t match ID]:VALUE:_files' \
'--config-id=[Skip any configuration lines beginning '\''@'\'' that don'\''t match ID]:VALUE:_files' \
'--signum=[Return signal number for STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON]:VALUE:_files' \
'-t+[Check the configuration for obvious errors, output to stderr by default]:VALUE:_files' \
'--config-test=[Check the configuration for obvious errors, output to stderr by default]:VALUE:_files' \
'--record=[Write events and actions of the virtual routers to FILE]:VALUE:_files' \
'--control-socket=[Answer \`rkeepalived status\` at this socket, not beside the pid file]:VALUE:_files' \
'--metrics-address=[Tell Prometheus the numbers at this IP\:PORT]:VALUE:_files' \
'-P[Only run with VRRP subsystem]' \
'--vrrp[Only run with VRRP subsystem]' \
'-C[Only run with Health-checker subsystem]' \
'--check[Only run with Health-checker subsystem]' \
'-B[Don'\''t run BFD subsystem]' \
'--no_bfd[Don'\''t run BFD subsystem]' \
'--all[Force all child processes to run, even if have no configuration]' \
'-l[Log messages to local console]' \
'--log-console[Log messages to local console]' \
'-D[Detailed log messages]' \
'--log-detail[Detailed log messages]' \
'--flush-log-file[Flush log file on write]' \
'-G[Don'\''t log via syslog]' \
'--no-syslog[Don'\''t log via syslog]' \
'-X[Drop VIP on transition from signal.]' \
'--release-vips[Drop VIP on transition from signal.]' \
'-V[Don'\''t remove VRRP VIPs and VROUTEs on daemon stop]' \
'--dont-release-vrrp[Don'\''t remove VRRP VIPs and VROUTEs on daemon stop]' \
'-I[Don'\''t remove IPVS topology on daemon stop]' \
'--dont-release-ipvs[Don'\''t remove IPVS topology on daemon stop]' \
'-R[Don'\''t respawn child processes]' \
'--dont-respawn[Don'\''t respawn child processes]' \
'-n[Don'\''t fork the daemon process]' \
'--dont-fork[Don'\''t fork the daemon process]' \
'-d[Dump the configuration data]' \
'--dump-conf[Dump the configuration data]' \
'-a[Report all address additions/deletions notified via netlink]' \
'--address-monitoring[Report all address additions/deletions notified via netlink]' \
'-m[Produce core dump if terminate abnormally]' \
'--core-dump[Produce core dump if terminate abnormally]' \
'--allow-unserved[Start although some keywords are known and not served]' \
'--fault-on-disabled-script[A tracked script that may not be run counts as failed]' \
'--read-processes[Read the list of processes each second where the kernel does not report them]' \
'--detect-conflicts[Report other hosts that hold the addresses of a master, found in adverts, ARP packets and neighbour advertisements]' \
'--explain-start[Log at the start what keeps each instance from being master]' \
'--simulate-ipvs[Keep virtual servers in memory, check their real servers, and program no kernel]' \
'--no-control-socket[Answer at no socket]' \
'--explain[Check the configuration and show the places of its errors]' \
'--json[Check the configuration and print its errors as JSON]' \
'--sarif[Check the configuration and print its errors as SARIF]' \
'-v[Display the version number]' \
'--version[Display the version number]' \
'-h[Display this help message]' \
'--help[Display this help message]' \
&& ret=0
}

(( $+functions[_rkeepalived_commands] )) ||
_rkeepalived_commands() {
    local commands; commands=()
    _describe -t commands 'rkeepalived commands' commands "$@"
}

if [ "$funcstack[1]" = "_rkeepalived" ]; then
    _rkeepalived "$@"
else
    compdef _rkeepalived rkeepalived
fi
