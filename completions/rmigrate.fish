# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rmigrate_global_optspecs
    string join \n format= o/output= kind= context= root= id= h/help V/version
end

function __fish_rmigrate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rmigrate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rmigrate_using_subcommand
    set -l cmd (__fish_rmigrate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rmigrate -n "__fish_rmigrate_needs_command" -l format -d 'How the report is written' -r -f -a "text\t'Aligned for a terminal'
json\t'For programs'
markdown\t'For tickets and wikis'
html\t'One page that needs nothing beside it'
sarif\t'The findings in the form that forges and editors read (SARIF 2.1.0)'"
complete -c rmigrate -n "__fish_rmigrate_needs_command" -s o -l output -d 'The file to write it to, instead of the standard output' -r -F
complete -c rmigrate -n "__fish_rmigrate_needs_command" -l kind -d 'What the files configure, where their content does not tell' -r -f -a "nginx\t'nginx.conf and what it includes'
keepalived\t'keepalived.conf'
emqx\t'emqx.conf'"
complete -c rmigrate -n "__fish_rmigrate_needs_command" -l context -d 'The block nginx\'s files belong in, where they are parts of a configuration and their content does not tell' -r -f -a "main\t'None: the file is whole'
http\t'`http {}`'
server\t'`server {}` in http'
location\t'`location {}`'
upstream\t'`upstream {}` in http'
events\t'`events {}`'
stream\t'`stream {}`'
stream-server\t'`server {}` in stream'
stream-upstream\t'`upstream {}` in stream'
mail\t'`mail {}`'
mail-server\t'`server {}` in mail'"
complete -c rmigrate -n "__fish_rmigrate_needs_command" -l root -d 'The folder in which the files of another machine lie: absolute paths start there' -r
complete -c rmigrate -n "__fish_rmigrate_needs_command" -l id -d 'What keepalived\'s @ conditions are compared with (its -i)' -r
complete -c rmigrate -n "__fish_rmigrate_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmigrate -n "__fish_rmigrate_needs_command" -s V -l version -d 'Print version'
complete -c rmigrate -n "__fish_rmigrate_needs_command" -f -a "survey" -d 'Lists every directive used and how it is served'
complete -c rmigrate -n "__fish_rmigrate_needs_command" -f -a "diff" -d 'Tells what differs between two configurations of one program'
complete -c rmigrate -n "__fish_rmigrate_needs_command" -f -a "explain" -d 'Tells what becomes of a request, or who becomes master when what fails'
complete -c rmigrate -n "__fish_rmigrate_needs_command" -f -a "lint" -d 'Finds mistakes in files that are well-formed, alone and between the nodes of a cluster'
complete -c rmigrate -n "__fish_rmigrate_needs_command" -f -a "probe" -d 'Asks the installed nginx and rnginx the same and compares the answers'
complete -c rmigrate -n "__fish_rmigrate_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -l fail-on -d 'The least that makes the exit code 1' -r -f -a "not-served\t'Something that is not served, unknown or unreadable'
differs\t'The same, or something that is served with a difference'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -l format -d 'How the report is written' -r -f -a "text\t'Aligned for a terminal'
json\t'For programs'
markdown\t'For tickets and wikis'
html\t'One page that needs nothing beside it'
sarif\t'The findings in the form that forges and editors read (SARIF 2.1.0)'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -s o -l output -d 'The file to write it to, instead of the standard output' -r -F
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -l kind -d 'What the files configure, where their content does not tell' -r -f -a "nginx\t'nginx.conf and what it includes'
keepalived\t'keepalived.conf'
emqx\t'emqx.conf'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -l context -d 'The block nginx\'s files belong in, where they are parts of a configuration and their content does not tell' -r -f -a "main\t'None: the file is whole'
http\t'`http {}`'
server\t'`server {}` in http'
location\t'`location {}`'
upstream\t'`upstream {}` in http'
events\t'`events {}`'
stream\t'`stream {}`'
stream-server\t'`server {}` in stream'
stream-upstream\t'`upstream {}` in stream'
mail\t'`mail {}`'
mail-server\t'`server {}` in mail'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -l root -d 'The folder in which the files of another machine lie: absolute paths start there' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -l id -d 'What keepalived\'s @ conditions are compared with (its -i)' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand survey" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -l format -d 'How the report is written' -r -f -a "text\t'Aligned for a terminal'
json\t'For programs'
markdown\t'For tickets and wikis'
html\t'One page that needs nothing beside it'
sarif\t'The findings in the form that forges and editors read (SARIF 2.1.0)'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -s o -l output -d 'The file to write it to, instead of the standard output' -r -F
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -l kind -d 'What the files configure, where their content does not tell' -r -f -a "nginx\t'nginx.conf and what it includes'
keepalived\t'keepalived.conf'
emqx\t'emqx.conf'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -l context -d 'The block nginx\'s files belong in, where they are parts of a configuration and their content does not tell' -r -f -a "main\t'None: the file is whole'
http\t'`http {}`'
server\t'`server {}` in http'
location\t'`location {}`'
upstream\t'`upstream {}` in http'
events\t'`events {}`'
stream\t'`stream {}`'
stream-server\t'`server {}` in stream'
stream-upstream\t'`upstream {}` in stream'
mail\t'`mail {}`'
mail-server\t'`server {}` in mail'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -l root -d 'The folder in which the files of another machine lie: absolute paths start there' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -l id -d 'What keepalived\'s @ conditions are compared with (its -i)' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -l nodes -d 'The files are those of two nodes of a pair: what has to differ between them is told apart, and does not count'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -l text -d 'Also shows the lines that differ, without secrets'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -s c -l conf -d 'The configuration that serves it' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l from -d 'The client\'s address' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l to -d 'The address the request is sent to, where the URL has a name' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l method -d 'The request\'s method' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l header -d 'A header of the request; once for each' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l vrrp -d 'Explains instead who of two nodes is master when what fails, and after how long' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l format -d 'How the report is written' -r -f -a "text\t'Aligned for a terminal'
json\t'For programs'
markdown\t'For tickets and wikis'
html\t'One page that needs nothing beside it'
sarif\t'The findings in the form that forges and editors read (SARIF 2.1.0)'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -s o -l output -d 'The file to write it to, instead of the standard output' -r -F
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l kind -d 'What the files configure, where their content does not tell' -r -f -a "nginx\t'nginx.conf and what it includes'
keepalived\t'keepalived.conf'
emqx\t'emqx.conf'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l context -d 'The block nginx\'s files belong in, where they are parts of a configuration and their content does not tell' -r -f -a "main\t'None: the file is whole'
http\t'`http {}`'
server\t'`server {}` in http'
location\t'`location {}`'
upstream\t'`upstream {}` in http'
events\t'`events {}`'
stream\t'`stream {}`'
stream-server\t'`server {}` in stream'
stream-upstream\t'`upstream {}` in stream'
mail\t'`mail {}`'
mail-server\t'`server {}` in mail'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l root -d 'The folder in which the files of another machine lie: absolute paths start there' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -l id -d 'What keepalived\'s @ conditions are compared with (its -i)' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l node -d 'The files of one node of several; where NAME is an address, it is the node\'s own' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l allow -d 'A rule that is not asked for; once for each' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l fail-on -d 'The least that makes the exit code 1' -r -f -a "error\t'What will not work'
warning\t'What will work otherwise than it looks, too'
note\t'Whatever is found'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l format -d 'How the report is written' -r -f -a "text\t'Aligned for a terminal'
json\t'For programs'
markdown\t'For tickets and wikis'
html\t'One page that needs nothing beside it'
sarif\t'The findings in the form that forges and editors read (SARIF 2.1.0)'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -s o -l output -d 'The file to write it to, instead of the standard output' -r -F
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l kind -d 'What the files configure, where their content does not tell' -r -f -a "nginx\t'nginx.conf and what it includes'
keepalived\t'keepalived.conf'
emqx\t'emqx.conf'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l context -d 'The block nginx\'s files belong in, where they are parts of a configuration and their content does not tell' -r -f -a "main\t'None: the file is whole'
http\t'`http {}`'
server\t'`server {}` in http'
location\t'`location {}`'
upstream\t'`upstream {}` in http'
events\t'`events {}`'
stream\t'`stream {}`'
stream-server\t'`server {}` in stream'
stream-upstream\t'`upstream {}` in stream'
mail\t'`mail {}`'
mail-server\t'`server {}` in mail'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l root -d 'The folder in which the files of another machine lie: absolute paths start there' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l id -d 'What keepalived\'s @ conditions are compared with (its -i)' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -l rules -d 'Lists the rules instead'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l requests -d 'Requests, one a line: METHOD URL, then headers in brackets, then < and a body: POST http://host/path [Cookie: a=b] < body; for the stream server TCP tcp://host:port < line and UDP udp://host:port < datagram' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l log -d 'An access log in the common or combined format, whose requests are asked again' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l host -d 'The host of the log\'s requests' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l most -d 'The most requests that are asked' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l nginx -d 'The original' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l rnginx -d 'Ours; the one beside this program where nothing is said' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l format -d 'How the report is written' -r -f -a "text\t'Aligned for a terminal'
json\t'For programs'
markdown\t'For tickets and wikis'
html\t'One page that needs nothing beside it'
sarif\t'The findings in the form that forges and editors read (SARIF 2.1.0)'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -s o -l output -d 'The file to write it to, instead of the standard output' -r -F
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l kind -d 'What the files configure, where their content does not tell' -r -f -a "nginx\t'nginx.conf and what it includes'
keepalived\t'keepalived.conf'
emqx\t'emqx.conf'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l context -d 'The block nginx\'s files belong in, where they are parts of a configuration and their content does not tell' -r -f -a "main\t'None: the file is whole'
http\t'`http {}`'
server\t'`server {}` in http'
location\t'`location {}`'
upstream\t'`upstream {}` in http'
events\t'`events {}`'
stream\t'`stream {}`'
stream-server\t'`server {}` in stream'
stream-upstream\t'`upstream {}` in stream'
mail\t'`mail {}`'
mail-server\t'`server {}` in mail'"
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l root -d 'The folder in which the files of another machine lie: absolute paths start there' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l id -d 'What keepalived\'s @ conditions are compared with (its -i)' -r
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -l live -d 'Asks the real servers behind nginx instead of stand-ins; requests that change something change it twice'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand probe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand help; and not __fish_seen_subcommand_from survey diff explain lint probe help" -f -a "survey" -d 'Lists every directive used and how it is served'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand help; and not __fish_seen_subcommand_from survey diff explain lint probe help" -f -a "diff" -d 'Tells what differs between two configurations of one program'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand help; and not __fish_seen_subcommand_from survey diff explain lint probe help" -f -a "explain" -d 'Tells what becomes of a request, or who becomes master when what fails'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand help; and not __fish_seen_subcommand_from survey diff explain lint probe help" -f -a "lint" -d 'Finds mistakes in files that are well-formed, alone and between the nodes of a cluster'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand help; and not __fish_seen_subcommand_from survey diff explain lint probe help" -f -a "probe" -d 'Asks the installed nginx and rnginx the same and compares the answers'
complete -c rmigrate -n "__fish_rmigrate_using_subcommand help; and not __fish_seen_subcommand_from survey diff explain lint probe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
