//! The chapters of rha-switch(7).

/// A paragraph and the commands that belong to it.
type Step = (&'static str, &'static str);

/// Titles and what they say, in their order.
pub const CHAPTERS: &[(&str, &[Step])] = &[
    (
        "BEFORE",
        &[
            (
                "Everything in this chapter runs on the live nodes and changes nothing. Install the package: it leaves the programs, units and files of nginx and keepalived as they are.",
                "dpkg -i rha_*.deb",
            ),
            (
                "What is served of the files, by line. Rows under \"not served\" must be empty, or see NOT SERVED.",
                "rmigrate survey /etc/nginx/nginx.conf /etc/keepalived/keepalived.conf",
            ),
            (
                "Whether the new programs take the files as they are.",
                "/usr/lib/rha/nginx -t\n/usr/lib/rha/keepalived -t",
            ),
            (
                "What is well-formed and wrong, on a node and between the nodes of a pair; copy the other node's files first.",
                "rmigrate lint --node A=nginx.conf,keepalived.conf --node B=b/nginx.conf,b/keepalived.conf",
            ),
            (
                "Whether the installed nginx and rnginx answer alike, with the requests of a real log.",
                "rmigrate probe /etc/nginx/nginx.conf --log /var/log/nginx/access.log",
            ),
        ],
    ),
    (
        "NAMES",
        &[
            (
                "The units rnginx.service and rkeepalived.service run /usr/lib/rha/nginx and /usr/lib/rha/keepalived, so that the processes are called nginx and keepalived: what asks ps -C nginx, pidof nginx or killall -0 nginx finds them, a track script of keepalived among it. A program that is started as rnginx is called rnginx. Pid files, logs and signals are those of nginx and keepalived.",
                "ps -C nginx,keepalived -o pid,args",
            ),
            (
                "The commands nginx and keepalived become alternatives when no other package has them: after the original packages are removed (which keeps /etc/nginx and /etc/keepalived), configure this one again.",
                "apt-get remove nginx keepalived\ndpkg-reconfigure rha",
            ),
            (
                "Scripts that call systemctl reload nginx need the unit's name. Where the original's unit is gone, on the node that has no addresses at the moment; stop the unit first, because systemd may forget that a unit runs which gets another loaded unit's name:",
                "systemctl stop rnginx\nln -s /lib/systemd/system/rnginx.service /etc/systemd/system/nginx.service\nsystemctl daemon-reload\nsystemctl start rnginx",
            ),
        ],
    ),
    (
        "THE BACKUP NODE FIRST",
        &[
            (
                "On the node whose state is BACKUP. Its addresses are on the other node, so nobody is served by it.",
                "ip -brief address\nsystemctl disable --now nginx && systemctl enable --now rnginx\nsystemctl disable --now keepalived && systemctl enable --now rkeepalived",
            ),
            (
                "It must stay BACKUP, and answer when it is asked directly.",
                "journalctl -u rkeepalived -n 20\ncurl -sk --resolve www.example.org:443:127.0.0.1 https://www.example.org/ -o /dev/null -w '%{http_code}\\n'",
            ),
            (
                "The two nodes speak VRRP with each other: keepalived here and rkeepalived there may run like this for as long as you want.",
                "",
            ),
        ],
    ),
    (
        "FAIL OVER AND CHECK",
        &[
            (
                "On the master: stop keepalived. It sends priority 0, and the other node has the addresses within a second.",
                "systemctl stop keepalived",
            ),
            (
                "On the new master: the addresses are there, requests are answered, and the error log is quiet.",
                "ip -brief address\ntail -f /var/log/nginx/access.log /var/log/nginx/error.log\nkill -USR1 $(cat /run/keepalived.pid) && sleep 1\ngrep -A3 'VRRP Instance' /tmp/keepalived.data",
            ),
            (
                "Start keepalived again, and with preemption the addresses move back. Leave it running like this through a busy hour before the next step.",
                "systemctl start keepalived",
            ),
        ],
    ),
    (
        "THE MASTER",
        &[
            (
                "Stop keepalived first: the addresses move to the node that was switched, and nobody is served here while nginx is exchanged.",
                "systemctl disable --now keepalived\nsystemctl disable --now nginx && systemctl enable --now rnginx\nsystemctl enable --now rkeepalived",
            ),
            (
                "nginx itself can be left without a closed port, as at any change of binary: put the new program in the old one's place, USR2 to the master, QUIT to the old one when the new one serves.",
                "",
            ),
        ],
    ),
    (
        "BACK",
        &[(
            "At any time, on each node, in the same order; the configuration files were never changed.",
            "systemctl disable --now rkeepalived\nsystemctl disable --now rnginx && systemctl enable --now nginx\nsystemctl enable --now keepalived",
        )],
    ),
    (
        "NOT SERVED",
        &[(
            "A directive that is known, has an effect in the file and is not served is refused by name at -t and at a start. Do not switch a node whose configuration needs it. With --allow-unserved it is left out, and what it protects stays closed. Give that option only where the survey's row says what is lost and you can do without.",
            "rmigrate survey --format json /etc/nginx/nginx.conf\n/usr/lib/rha/nginx -t --allow-unserved",
        )],
    ),
];
