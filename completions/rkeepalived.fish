complete -c rkeepalived -s f -l use-file -d 'Use the specified configuration file' -r -F
complete -c rkeepalived -s S -l log-facility -d 'Set syslog facility to LOG_LOCAL[0-7]' -r -F
complete -c rkeepalived -s g -l log-file -d 'Also log to FILE (default /tmp/keepalived.log)' -r -F
complete -c rkeepalived -s u -l umask -d 'umask for file creation (in numeric form)' -r -F
complete -c rkeepalived -s p -l pid -d 'Use specified pidfile for parent process' -r -F
complete -c rkeepalived -s r -l vrrp_pid -d 'Use specified pidfile for VRRP child process' -r -F
complete -c rkeepalived -s c -l checkers_pid -d 'Use specified pidfile for checkers child process' -r -F
complete -c rkeepalived -s b -l bfd_pid -d 'Use specified pidfile for BFD child process' -r -F
complete -c rkeepalived -s s -l namespace -d 'Run in network namespace NAME (overrides config)' -r -F
complete -c rkeepalived -s M -l core-dump-pattern -d 'Also set /proc/sys/kernel/core_pattern to PATN (default \'core\')' -r -F
complete -c rkeepalived -s i -l config-id -d 'Skip any configuration lines beginning \'@\' that don\'t match ID' -r -F
complete -c rkeepalived -l signum -d 'Return signal number for STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON' -r -F
complete -c rkeepalived -s t -l config-test -d 'Check the configuration for obvious errors, output to stderr by default' -r -F
complete -c rkeepalived -l record -d 'Write events and actions of the virtual routers to FILE' -r -F
complete -c rkeepalived -l control-socket -d 'Answer `rkeepalived status` at this socket, not beside the pid file' -r -F
complete -c rkeepalived -l metrics-address -d 'Tell Prometheus the numbers at this IP:PORT' -r -F
complete -c rkeepalived -s P -l vrrp -d 'Only run with VRRP subsystem'
complete -c rkeepalived -s C -l check -d 'Only run with Health-checker subsystem'
complete -c rkeepalived -s B -l no_bfd -d 'Don\'t run BFD subsystem'
complete -c rkeepalived -l all -d 'Force all child processes to run, even if have no configuration'
complete -c rkeepalived -s l -l log-console -d 'Log messages to local console'
complete -c rkeepalived -s D -l log-detail -d 'Detailed log messages'
complete -c rkeepalived -l flush-log-file -d 'Flush log file on write'
complete -c rkeepalived -s G -l no-syslog -d 'Don\'t log via syslog'
complete -c rkeepalived -s X -l release-vips -d 'Drop VIP on transition from signal.'
complete -c rkeepalived -s V -l dont-release-vrrp -d 'Don\'t remove VRRP VIPs and VROUTEs on daemon stop'
complete -c rkeepalived -s I -l dont-release-ipvs -d 'Don\'t remove IPVS topology on daemon stop'
complete -c rkeepalived -s R -l dont-respawn -d 'Don\'t respawn child processes'
complete -c rkeepalived -s n -l dont-fork -d 'Don\'t fork the daemon process'
complete -c rkeepalived -s d -l dump-conf -d 'Dump the configuration data'
complete -c rkeepalived -s a -l address-monitoring -d 'Report all address additions/deletions notified via netlink'
complete -c rkeepalived -s m -l core-dump -d 'Produce core dump if terminate abnormally'
complete -c rkeepalived -l allow-unserved -d 'Start although some keywords are known and not served'
complete -c rkeepalived -l fault-on-disabled-script -d 'A tracked script that may not be run counts as failed'
complete -c rkeepalived -l read-processes -d 'Read the list of processes each second where the kernel does not report them'
complete -c rkeepalived -l detect-conflicts -d 'Report other hosts that hold the addresses of a master, found in adverts, ARP packets and neighbour advertisements'
complete -c rkeepalived -l explain-start -d 'Log at the start what keeps each instance from being master'
complete -c rkeepalived -l simulate-ipvs -d 'Keep virtual servers in memory, check their real servers, and program no kernel'
complete -c rkeepalived -l no-control-socket -d 'Answer at no socket'
complete -c rkeepalived -l explain -d 'Check the configuration and show the places of its errors'
complete -c rkeepalived -l json -d 'Check the configuration and print its errors as JSON'
complete -c rkeepalived -l sarif -d 'Check the configuration and print its errors as SARIF'
complete -c rkeepalived -s v -l version -d 'Display the version number'
complete -c rkeepalived -s h -l help -d 'Display this help message'
