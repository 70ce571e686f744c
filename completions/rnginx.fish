complete -c rnginx -s s -d 'Send a signal to the running parent: stop, quit, reopen or reload. A reload that fails says why.' -r -f -a "stop\t''
quit\t''
reopen\t''
reload\t''"
complete -c rnginx -s p -d 'The folder that relative paths start from.' -r -F
complete -c rnginx -s e -d 'The error log until the configuration names one, or stderr.' -r -F
complete -c rnginx -s c -d 'The configuration file.' -r -F
complete -c rnginx -s g -d 'Directives in front of the configuration file\'s.' -r -F
complete -c rnginx -s h -d 'Show the version and a summary of the options; also -?.'
complete -c rnginx -s v -d 'Show the version and exit.'
complete -c rnginx -s V -d 'Show the version and how it was built, and exit.'
complete -c rnginx -s t -d 'Test the configuration and exit; warn of directives that are not served.'
complete -c rnginx -s T -d 'Test the configuration, print it and exit.'
complete -c rnginx -s q -d 'Say nothing but errors while testing.'
complete -c rnginx -l allow-unserved -d 'Start although some directives are known and not served, and leave those out.'
complete -c rnginx -l explain -d 'Test the configuration and show every error at its place, with what would help.'
complete -c rnginx -l json -d 'Test the configuration and print every error as JSON.'
