#compdef rmigrate

autoload -U is-at-least

_rmigrate() {
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
'--format=[How the report is written]:FORMAT:((text\:"Aligned for a terminal"
json\:"For programs"
markdown\:"For tickets and wikis"
html\:"One page that needs nothing beside it"
sarif\:"The findings in the form that forges and editors read (SARIF 2.1.0)"))' \
'-o+[The file to write it to, instead of the standard output]:FILE:_files' \
'--output=[The file to write it to, instead of the standard output]:FILE:_files' \
'--kind=[What the files configure, where their content does not tell]:KIND:((nginx\:"nginx.conf and what it includes"
keepalived\:"keepalived.conf"
emqx\:"emqx.conf"))' \
'--context=[The block nginx'\''s files belong in, where they are parts of a configuration and their content does not tell]:CONTEXT:((main\:"None\: the file is whole"
http\:"\`http {}\`"
server\:"\`server {}\` in http"
location\:"\`location {}\`"
upstream\:"\`upstream {}\` in http"
events\:"\`events {}\`"
stream\:"\`stream {}\`"
stream-server\:"\`server {}\` in stream"
stream-upstream\:"\`upstream {}\` in stream"
mail\:"\`mail {}\`"
mail-server\:"\`server {}\` in mail"))' \
'--root=[The folder in which the files of another machine lie\: absolute paths start there]:DIR:_default' \
'--id=[What keepalived'\''s @ conditions are compared with (its -i)]:NAME:_default' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_rmigrate_commands" \
"*::: :->rmigrate" \
&& ret=0
    case $state in
    (rmigrate)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:rmigrate-command-$line[1]:"
        case $line[1] in
            (survey)
_arguments "${_arguments_options[@]}" : \
'--fail-on=[The least that makes the exit code 1]:FAIL_ON:((not-served\:"Something that is not served, unknown or unreadable"
differs\:"The same, or something that is served with a difference"))' \
'--format=[How the report is written]:FORMAT:((text\:"Aligned for a terminal"
json\:"For programs"
markdown\:"For tickets and wikis"
html\:"One page that needs nothing beside it"
sarif\:"The findings in the form that forges and editors read (SARIF 2.1.0)"))' \
'-o+[The file to write it to, instead of the standard output]:FILE:_files' \
'--output=[The file to write it to, instead of the standard output]:FILE:_files' \
'--kind=[What the files configure, where their content does not tell]:KIND:((nginx\:"nginx.conf and what it includes"
keepalived\:"keepalived.conf"
emqx\:"emqx.conf"))' \
'--context=[The block nginx'\''s files belong in, where they are parts of a configuration and their content does not tell]:CONTEXT:((main\:"None\: the file is whole"
http\:"\`http {}\`"
server\:"\`server {}\` in http"
location\:"\`location {}\`"
upstream\:"\`upstream {}\` in http"
events\:"\`events {}\`"
stream\:"\`stream {}\`"
stream-server\:"\`server {}\` in stream"
stream-upstream\:"\`upstream {}\` in stream"
mail\:"\`mail {}\`"
mail-server\:"\`server {}\` in mail"))' \
'--root=[The folder in which the files of another machine lie\: absolute paths start there]:DIR:_default' \
'--id=[What keepalived'\''s @ conditions are compared with (its -i)]:NAME:_default' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::files -- Files of nginx or keepalived; what they include is looked at too:_default' \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
'--format=[How the report is written]:FORMAT:((text\:"Aligned for a terminal"
json\:"For programs"
markdown\:"For tickets and wikis"
html\:"One page that needs nothing beside it"
sarif\:"The findings in the form that forges and editors read (SARIF 2.1.0)"))' \
'-o+[The file to write it to, instead of the standard output]:FILE:_files' \
'--output=[The file to write it to, instead of the standard output]:FILE:_files' \
'--kind=[What the files configure, where their content does not tell]:KIND:((nginx\:"nginx.conf and what it includes"
keepalived\:"keepalived.conf"
emqx\:"emqx.conf"))' \
'--context=[The block nginx'\''s files belong in, where they are parts of a configuration and their content does not tell]:CONTEXT:((main\:"None\: the file is whole"
http\:"\`http {}\`"
server\:"\`server {}\` in http"
location\:"\`location {}\`"
upstream\:"\`upstream {}\` in http"
events\:"\`events {}\`"
stream\:"\`stream {}\`"
stream-server\:"\`server {}\` in stream"
stream-upstream\:"\`upstream {}\` in stream"
mail\:"\`mail {}\`"
mail-server\:"\`server {}\` in mail"))' \
'--root=[The folder in which the files of another machine lie\: absolute paths start there]:DIR:_default' \
'--id=[What keepalived'\''s @ conditions are compared with (its -i)]:NAME:_default' \
'--nodes[The files are those of two nodes of a pair\: what has to differ between them is told apart, and does not count]' \
'--text[Also shows the lines that differ, without secrets]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':old -- The configuration as it was, or that of one node:_default' \
':new -- The configuration as it will be, or that of the other node:_default' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration that serves it]:FILE:_default' \
'--conf=[The configuration that serves it]:FILE:_default' \
'--from=[The client'\''s address]:IP:_default' \
'--to=[The address the request is sent to, where the URL has a name]:IP:_default' \
'--method=[The request'\''s method]:METHOD:_default' \
'*--header=[A header of the request; once for each]:NAME: VALUE:_default' \
'()*--vrrp=[Explains instead who of two nodes is master when what fails, and after how long]:NODE-A.conf:_default:NODE-A.conf:_default' \
'--format=[How the report is written]:FORMAT:((text\:"Aligned for a terminal"
json\:"For programs"
markdown\:"For tickets and wikis"
html\:"One page that needs nothing beside it"
sarif\:"The findings in the form that forges and editors read (SARIF 2.1.0)"))' \
'-o+[The file to write it to, instead of the standard output]:FILE:_files' \
'--output=[The file to write it to, instead of the standard output]:FILE:_files' \
'--kind=[What the files configure, where their content does not tell]:KIND:((nginx\:"nginx.conf and what it includes"
keepalived\:"keepalived.conf"
emqx\:"emqx.conf"))' \
'--context=[The block nginx'\''s files belong in, where they are parts of a configuration and their content does not tell]:CONTEXT:((main\:"None\: the file is whole"
http\:"\`http {}\`"
server\:"\`server {}\` in http"
location\:"\`location {}\`"
upstream\:"\`upstream {}\` in http"
events\:"\`events {}\`"
stream\:"\`stream {}\`"
stream-server\:"\`server {}\` in stream"
stream-upstream\:"\`upstream {}\` in stream"
mail\:"\`mail {}\`"
mail-server\:"\`server {}\` in mail"))' \
'--root=[The folder in which the files of another machine lie\: absolute paths start there]:DIR:_default' \
'--id=[What keepalived'\''s @ conditions are compared with (its -i)]:NAME:_default' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::url -- The request\: `http\://HOST\[\:PORT\]/PATH`, `https\://...`, or `tcp\://IP\:PORT` for a connection to the stream server, or `udp\://IP\:PORT` for datagrams:_default' \
&& ret=0
;;
(lint)
_arguments "${_arguments_options[@]}" : \
'()*--node=[The files of one node of several; where NAME is an address, it is the node'\''s own]:NAME=FILE[,FILE...]:_default' \
'*--allow=[A rule that is not asked for; once for each]:RULE:_default' \
'--fail-on=[The least that makes the exit code 1]:FAIL_ON:((error\:"What will not work"
warning\:"What will work otherwise than it looks, too"
note\:"Whatever is found"))' \
'--format=[How the report is written]:FORMAT:((text\:"Aligned for a terminal"
json\:"For programs"
markdown\:"For tickets and wikis"
html\:"One page that needs nothing beside it"
sarif\:"The findings in the form that forges and editors read (SARIF 2.1.0)"))' \
'-o+[The file to write it to, instead of the standard output]:FILE:_files' \
'--output=[The file to write it to, instead of the standard output]:FILE:_files' \
'--kind=[What the files configure, where their content does not tell]:KIND:((nginx\:"nginx.conf and what it includes"
keepalived\:"keepalived.conf"
emqx\:"emqx.conf"))' \
'--context=[The block nginx'\''s files belong in, where they are parts of a configuration and their content does not tell]:CONTEXT:((main\:"None\: the file is whole"
http\:"\`http {}\`"
server\:"\`server {}\` in http"
location\:"\`location {}\`"
upstream\:"\`upstream {}\` in http"
events\:"\`events {}\`"
stream\:"\`stream {}\`"
stream-server\:"\`server {}\` in stream"
stream-upstream\:"\`upstream {}\` in stream"
mail\:"\`mail {}\`"
mail-server\:"\`server {}\` in mail"))' \
'--root=[The folder in which the files of another machine lie\: absolute paths start there]:DIR:_default' \
'--id=[What keepalived'\''s @ conditions are compared with (its -i)]:NAME:_default' \
'--rules[Lists the rules instead]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::files -- Files of one node\: nginx.conf, keepalived.conf, emqx.conf and check scripts, told apart by their content:_default' \
&& ret=0
;;
(probe)
_arguments "${_arguments_options[@]}" : \
'(--log)--requests=[Requests, one a line\: METHOD URL, then headers in brackets, then < and a body\: POST http\://host/path \[Cookie\: a=b\] < body; for the stream server TCP tcp\://host\:port < line and UDP udp\://host\:port < datagram]:FILE:_default' \
'--log=[An access log in the common or combined format, whose requests are asked again]:FILE:_default' \
'--host=[The host of the log'\''s requests]:NAME:_default' \
'--most=[The most requests that are asked]:NUMBER:_default' \
'--nginx=[The original]:PROGRAM:_default' \
'--rnginx=[Ours; the one beside this program where nothing is said]:PROGRAM:_default' \
'--format=[How the report is written]:FORMAT:((text\:"Aligned for a terminal"
json\:"For programs"
markdown\:"For tickets and wikis"
html\:"One page that needs nothing beside it"
sarif\:"The findings in the form that forges and editors read (SARIF 2.1.0)"))' \
'-o+[The file to write it to, instead of the standard output]:FILE:_files' \
'--output=[The file to write it to, instead of the standard output]:FILE:_files' \
'--kind=[What the files configure, where their content does not tell]:KIND:((nginx\:"nginx.conf and what it includes"
keepalived\:"keepalived.conf"
emqx\:"emqx.conf"))' \
'--context=[The block nginx'\''s files belong in, where they are parts of a configuration and their content does not tell]:CONTEXT:((main\:"None\: the file is whole"
http\:"\`http {}\`"
server\:"\`server {}\` in http"
location\:"\`location {}\`"
upstream\:"\`upstream {}\` in http"
events\:"\`events {}\`"
stream\:"\`stream {}\`"
stream-server\:"\`server {}\` in stream"
stream-upstream\:"\`upstream {}\` in stream"
mail\:"\`mail {}\`"
mail-server\:"\`server {}\` in mail"))' \
'--root=[The folder in which the files of another machine lie\: absolute paths start there]:DIR:_default' \
'--id=[What keepalived'\''s @ conditions are compared with (its -i)]:NAME:_default' \
'--live[Asks the real servers behind nginx instead of stand-ins; requests that change something change it twice]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':conf -- The configuration:_default' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_rmigrate__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:rmigrate-help-command-$line[1]:"
        case $line[1] in
            (survey)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(lint)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(probe)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_rmigrate_commands] )) ||
_rmigrate_commands() {
    local commands; commands=(
'survey:Lists every directive used and how it is served' \
'diff:Tells what differs between two configurations of one program' \
'explain:Tells what becomes of a request, or who becomes master when what fails' \
'lint:Finds mistakes in files that are well-formed, alone and between the nodes of a cluster' \
'probe:Asks the installed nginx and rnginx the same and compares the answers' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'rmigrate commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__diff_commands] )) ||
_rmigrate__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate diff commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__explain_commands] )) ||
_rmigrate__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate explain commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__help_commands] )) ||
_rmigrate__subcmd__help_commands() {
    local commands; commands=(
'survey:Lists every directive used and how it is served' \
'diff:Tells what differs between two configurations of one program' \
'explain:Tells what becomes of a request, or who becomes master when what fails' \
'lint:Finds mistakes in files that are well-formed, alone and between the nodes of a cluster' \
'probe:Asks the installed nginx and rnginx the same and compares the answers' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'rmigrate help commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__help__subcmd__diff_commands] )) ||
_rmigrate__subcmd__help__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate help diff commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__help__subcmd__explain_commands] )) ||
_rmigrate__subcmd__help__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate help explain commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__help__subcmd__help_commands] )) ||
_rmigrate__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate help help commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__help__subcmd__lint_commands] )) ||
_rmigrate__subcmd__help__subcmd__lint_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate help lint commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__help__subcmd__probe_commands] )) ||
_rmigrate__subcmd__help__subcmd__probe_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate help probe commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__help__subcmd__survey_commands] )) ||
_rmigrate__subcmd__help__subcmd__survey_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate help survey commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__lint_commands] )) ||
_rmigrate__subcmd__lint_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate lint commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__probe_commands] )) ||
_rmigrate__subcmd__probe_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate probe commands' commands "$@"
}
(( $+functions[_rmigrate__subcmd__survey_commands] )) ||
_rmigrate__subcmd__survey_commands() {
    local commands; commands=()
    _describe -t commands 'rmigrate survey commands' commands "$@"
}

if [ "$funcstack[1]" = "_rmigrate" ]; then
    _rmigrate "$@"
else
    compdef _rmigrate rmigrate
fi
