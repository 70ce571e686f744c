complete -c rnginx -s s -d 'send signal to a master process: stop, quit, reopen, reload' -r -f -a "stop\t''
quit\t''
reopen\t''
reload\t''"
complete -c rnginx -s p -d 'set prefix path' -r -F
complete -c rnginx -s e -d 'set error log file' -r -F
complete -c rnginx -s c -d 'set configuration file' -r -F
complete -c rnginx -s g -d 'set global directives out of configuration file' -r -F
complete -c rnginx -s h -d 'this help'
complete -c rnginx -s v -d 'show version and exit'
complete -c rnginx -s V -d 'show version and configure options then exit'
complete -c rnginx -s t -d 'test configuration and exit'
complete -c rnginx -s T -d 'test configuration, dump it and exit'
complete -c rnginx -s q -d 'suppress non-error messages during configuration testing'
complete -c rnginx -l allow-unserved -d 'start although some directives are not served; they are left out, and what they protect stays closed'
complete -c rnginx -l explain -d 'test configuration and show every error with its place, what was there first, and what would help'
complete -c rnginx -l json -d 'test configuration and print every error as JSON on standard output'
complete -c rnginx -l sarif -d 'test configuration and print every error as SARIF on standard output'
complete -c rnginx -l help -d 'this help'
complete -c rnginx -l version -d 'show version and exit'
