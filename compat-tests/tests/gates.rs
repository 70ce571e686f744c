//! Who may, how often and how fast: the modules that hold requests back, beside the installed nginx.

use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime};

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

const PROGRAMS: [Program; 2] = [Program::Original, Program::Ours];

/// A configuration around pieces of http and of its server.
fn conf(http: &str, server: &str) -> String {
    format!(
        r#"worker_processes 1;
error_log logs/error.log info;
events {{ }}
http {{
    server_tokens off;
    log_format all "$remote_user|$request|$status|$body_bytes_sent|$limit_conn_status";
    access_log logs/access.log all;
    default_type text/plain;
    {http}
    server {{
        listen 127.0.0.1:8080;
        {server}
    }}
    server {{ listen 127.0.0.1:8081; access_log off; location / {{ return 200 "up $request_method $request_uri $http_x_seen\n"; }} }}
}}
"#
    )
}

/// A host with files below the prefix and a program that runs.
fn started(program: Program, conf: &str, files: &[(&str, &str)]) -> io::Result<TestBed> {
    let testbed = TestBed::new(program)?;
    testbed.write(conf)?;
    let files: Vec<(String, Vec<u8>)> =
        files.iter().map(|(name, text)| (format!("{PREFIX}/{name}"), text.as_bytes().to_vec())).collect();
    testbed.host().run(move || {
        for (path, bytes) in files {
            mount::file(&path, &bytes, 0o644)?;
            let file = std::fs::File::options().write(true).open(path)?;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
        }
        io::Result::Ok(())
    })??;
    testbed.command(&[])?;
    Ok(testbed)
}

/// `GET` with more header lines.
fn get(target: &str, headers: &str) -> String {
    request("GET", target, headers)
}

fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
}

/// Answers one after the other, without what differs from run to run.
fn answers(testbed: &TestBed, requests: &[String]) -> io::Result<Vec<String>> {
    let sent = requests.to_vec();
    let answers = testbed.host().run(move || {
        sent.iter().map(|text| client::raw(local(8080), text.as_bytes(), LIMIT)).collect::<io::Result<Vec<_>>>()
    })??;
    let lines = answers.iter().map(|bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
    });
    Ok(lines.collect())
}

/// The lines of the access log, of which there are to be so many.
fn access(testbed: &TestBed, count: usize) -> io::Result<Vec<String>> {
    wait_for("a line for each request", LIMIT, || {
        let log = testbed.file("logs/access.log").ok()?;
        (log.lines().count() == count).then(|| log.lines().map(str::to_owned).collect())
    })
}

/// The lines of the error log about requests, whose numbers are shown as 0.
fn errors(testbed: &TestBed) -> Vec<String> {
    let log = testbed.file("logs/error.log").unwrap_or_default();
    let line = |line: &str| {
        let (level, text) = line.split_once("] ")?;
        let (_, level) = level.split_once('[')?;
        let (_, text) = text.split_once(": *")?;
        let (_, text) = text.split_once(' ')?;
        let excess = |text: &str| match text.split_once("excess: ") {
            Some((before, after)) => {
                let rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                format!("{before}excess: 0{rest}")
            }
            None => text.to_owned(),
        };
        Some(format!("[{level}] {}", excess(text)))
    };
    log.lines()
        .filter_map(line)
        .filter(|line| !["while waiting for request", "temporary file"].iter().any(|text| line.contains(text)))
        .collect()
}

/// What both programs answer and log.
fn both(
    http: &str,
    server: &str,
    files: &[(&str, &str)],
    requests: &[String],
) -> [(Vec<String>, Vec<String>, Vec<String>); 2] {
    let conf = conf(http, server);
    PROGRAMS.map(|program| {
        let testbed = started(program, &conf, files).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
        let answers = answers(&testbed, requests).unwrap_or_else(|error| panic!("{program:?} answers: {error}"));
        let lines = access(&testbed, requests.len()).unwrap_or_else(|error| panic!("{program:?} logs: {error}"));
        (answers, lines, errors(&testbed))
    })
}

/// Compares both programs request by request.
fn same(http: &str, server: &str, files: &[(&str, &str)], requests: &[String]) -> Vec<String> {
    let [original, ours] = both(http, server, files, requests);
    for (request, (theirs, own)) in requests.iter().zip(original.0.iter().zip(&ours.0)) {
        assert_eq!(theirs, own, "{request}");
    }
    assert_eq!(original.1, ours.1);
    assert_eq!(original.2, ours.2);
    ours.0
}

/// base64, for credentials.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |value: u32| DIGITS[(value & 63) as usize] as char;
    let group = |part: &[u8]| {
        let value = part.iter().chain(&[0, 0]).take(3).fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let text: String = [18, 12, 6, 0].map(|shift| digit(value >> shift)).iter().take(part.len() + 1).collect();
        format!("{text:=<4}")
    };
    bytes.chunks(3).map(group).collect()
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", base64(format!("{user}:{password}").as_bytes()))
}

/// Users whose password is [`PASSWORD`], hashed by other programs, and some that nobody is.
const USERS: &str = "# users
plain:{PLAIN}secret
des:ab6bn52rB/6Pw
md5:$1$saltsalt$l9DZeVHz063701QV2eroq0
apr:$apr1$saltsalt$bo826J7g9r5LteJMKgRVh/
bcrypt:$2y$04$abcdefghijklmnopqrstuuvt96MOaoEqG/uIOjsfD8sO6d73/qUau
sha512:$6$rounds=1000$x$/6M8p1c8fG4TkZDMb/rzCR2k2xK8rRb8N9BBby4AMENwd5.T/l4NlbqVtFch.J4OUYu8XJWnEkRAewKcDXne21
sha256:$5$saltstring$MnVybaaYCGPaP15/hditmo6OVcsbo6YmI9rxMy2TNcB
yescrypt:$y$j75$abcdefghijkl$0s9DKseKTvTaoXWJMv1/ufVvt6nNbl4hejBUm1DvJy8
sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
star:*
token:*0
empty:
pla
hidden:{PLAIN}hidden
";
const PASSWORD: &str = "pa s:éwörd";

const BASIC: &str = r#"
    location / { auth_basic "closed $arg_r"; auth_basic_user_file users; alias html/; }
    location /none/ { auth_basic x; auth_basic_user_file missing; alias html/; }
    location /folder/ { auth_basic x; auth_basic_user_file folder; alias html/; }
    location /named/ { auth_basic x; auth_basic_user_file $document_root/../conf/$arg_f; try_files /a.txt =404; }
    location /short/ { auth_basic x; auth_basic_user_file $arg_f; root html; try_files /a.txt =404; }
    location /off/ { auth_basic $arg_o; auth_basic_user_file users; alias html/; }
    location /any/ { satisfy any; deny all; auth_basic x; auth_basic_user_file users; alias html/; }
    location /let/ { satisfy any; allow all; auth_basic x; auth_basic_user_file users; alias html/; }
    location /all/ { deny all; auth_basic x; auth_basic_user_file users; alias html/; }
    location /asked/ { satisfy any; auth_request /ask; auth_basic x; auth_basic_user_file users; alias html/; }
    location /page/ { error_page 401 /page.txt; auth_basic x; auth_basic_user_file users; alias html/; }
    location = /page.txt { return 200 "page\n"; }
    location /delayed/ { auth_delay 10ms; auth_basic x; auth_basic_user_file users; alias html/; }
    location = /ask { internal; return 403; }
"#;

#[test]
fn names_and_passwords_are_asked_for_as_nginx_asks() {
    let mut requests = Vec::new();
    for headers in [
        "",
        "Authorization: Basic\r\n",
        "Authorization: Basic !!!\r\n",
        "Authorization: bAsIC   cGxhaW46c2VjcmV0\r\n",
        "Authorization: Basic OnNlY3JldA==\r\n",
        "Authorization: Basic cGxhaW4=\r\n",
        "Authorization: Basic cGxhaW46c2VjcmV0=x\r\n",
        "Authorization: Bearer cGxhaW46c2VjcmV0\r\n",
    ] {
        requests.push(get("/a.txt?r=1", headers));
    }
    let hashed = ["des", "md5", "apr", "bcrypt", "sha512", "sha256", "yescrypt"];
    for user in hashed.into_iter().chain(["sha", "star", "token", "empty", "nobody", "pla", "hidden"]) {
        for password in [PASSWORD, "password", "secret", "hidden", "", "*0", "*1", "pa s:"] {
            requests.push(get("/a.txt", &basic(user, password)));
        }
        requests.push(get("/a.txt", &basic(user, PASSWORD)));
    }
    for place in ["", "none/", "folder/", "off/", "any/", "let/", "all/", "asked/", "page/", "delayed/"] {
        for query in ["", "?o=off"] {
            for headers in [String::new(), basic("plain", "secret"), basic("plain", "wrong")] {
                requests.push(get(&format!("/{place}a.txt{query}"), &headers));
            }
        }
    }
    for file in ["users", "other"] {
        requests.push(get(&format!("/short/?f={file}"), &basic("plain", "secret")));
        requests.push(get(&format!("/named/?f={file}"), &basic("plain", "secret")));
    }
    let files = [("conf/users", USERS), ("conf/folder/file", ""), ("html/a.txt", "file\n")];
    let ours = same("", BASIC, &files, &requests);
    let granted = |answer: &&String| answer.starts_with("HTTP/1.1 200");
    let right = requests
        .iter()
        .zip(&ours)
        .filter(|(request, _)| hashed.iter().any(|user| request.contains(&basic(user, PASSWORD))));
    assert_eq!(right.clone().count(), 2 * hashed.len());
    assert!(right.map(|(_, answer)| answer).all(|answer| granted(&answer)), "every kind of hash lets its user in");
}

const LIMITS: &str = "
    limit_req_zone $arg_a zone=one:64k rate=1r/m;
    limit_req_zone $arg_b zone=two:64k rate=1r/m;
    limit_req_zone $arg_c zone=fast:64k rate=1000r/s;
    limit_conn_zone $arg_a zone=open:64k;
";
const LIMITED: &str = r#"
    location /one/ { limit_req zone=one; alias html/; }
    location /burst/ { limit_req zone=one burst=2 nodelay; alias html/; limit_req_log_level notice; limit_req_status 429; }
    location /late/ { limit_req zone=fast burst=100; alias html/; limit_req_log_level warn; }
    location /some/ { limit_req zone=fast burst=3 delay=1; alias html/; }
    location /both/ { limit_req zone=one burst=3 nodelay; limit_req zone=two burst=1 nodelay; alias html/; }
    location /dry/ { limit_req zone=one burst=1; limit_req_dry_run on; alias html/; }
    location /after/ { limit_req zone=one burst=1 nodelay; limit_conn open 1; error_page 503 /one/a.txt; alias html/; }
    location /asks/ { limit_req zone=one; auth_request /asked/; alias html/; }
    location /asked/ { limit_req zone=one; return 204; }
"#;

#[test]
fn rates_of_requests_are_limited_as_nginx_limits_them() {
    let mut requests = Vec::new();
    for (place, query) in [
        ("one", "a=1"),
        ("burst", "a=2"),
        ("both", "a=3&b=1"),
        ("both", "a=4&b=1"),
        ("both", "b=2"),
        ("both", "a=5"),
        ("both", ""),
        ("dry", "a=6"),
        ("after", "a=7"),
        ("asks", "a=8"),
        ("late", "c=1"),
        ("some", "c=2"),
    ] {
        for _ in 0..4 {
            requests.push(get(&format!("/{place}/a.txt?{query}"), ""));
        }
    }
    // Whether a request of the fast zone is early depends on when it comes.
    let of_time = |line: &String| line.contains("fast");
    let (http, files) = (LIMITS, [("html/a.txt", "file\n")]);
    let [mut original, mut ours] = both(http, LIMITED, &files, &requests);
    for side in [&mut original, &mut ours] {
        side.2.retain(|line| !of_time(line));
    }
    assert_eq!(original, ours);
    let refused =
        ours.0.iter().filter(|answer| answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 429"));
    assert!(refused.count() > 10, "{:#?}", ours.0);
}

#[test]
fn a_request_that_waits_for_its_turn_is_delayed_and_says_so() {
    // Requests that follow each other within 50 milliseconds are early.
    let http = "limit_req_zone $host zone=z:64k rate=20r/s; log_format status $limit_req_status;";
    let server = "access_log logs/access.log status; location / { limit_req zone=z burst=5; alias html/; }";
    for program in PROGRAMS {
        let testbed = started(program, &conf(http, server), &[("html/a.txt", "file\n")]).expect("a host");
        let requests = vec![get("/a.txt", ""); 4];
        let answered = answers(&testbed, &requests).expect("answers");
        assert!(answered.iter().all(|answer| answer.starts_with("HTTP/1.1 200")), "{program:?}: {answered:#?}");
        let lines = access(&testbed, 4).expect("lines");
        assert_eq!(lines[0], "PASSED", "{program:?}");
        let late = lines.iter().filter(|line| *line == "DELAYED").count();
        let logged = errors(&testbed)
            .iter()
            .filter(|line| line.starts_with("[warn] delaying request, excess: 0, by zone \"z\""))
            .count();
        assert_eq!(late, logged, "{program:?}");
    }
}

#[test]
fn a_reload_keeps_the_counts_of_a_zone_and_refuses_another_key() {
    let with = |key: &str, size: &str| {
        let http = format!("limit_req_zone {key} zone=z:{size} rate=1r/m; limit_conn_zone {key} zone=c:{size};");
        let server =
            "location / { limit_req zone=z; limit_conn c 10; alias html/; } location = /ready { return 200 $pid; }";
        conf(&http, server)
    };
    for program in PROGRAMS {
        let testbed = started(program, &with("$server_name$host", "64k"), &[("html/a.txt", "file\n")]).expect("a host");
        let status = || testbed.get(8080, "/a.txt").expect("an answer").status;
        assert_eq!((status(), status()), (200, 503), "{program:?}");
        let reload = |text: &str, wait: &str| {
            testbed.write(text).expect("a configuration");
            let before = testbed.file("logs/error.log").unwrap_or_default().matches(wait).count();
            let _ = testbed.command(&["-s", "reload"]);
            let more =
                || (testbed.file("logs/error.log").unwrap_or_default().matches(wait).count() > before).then_some(());
            wait_for(wait, LIMIT, more).unwrap_or_else(|error| panic!("{program:?}: {error}"));
        };
        let other = "limit_req \"z\" uses the \"$host\" key while previously it used the \"$server_name$host\" key";
        reload(&with("$host", "64k"), other);
        assert_eq!(status(), 503, "{program:?}: the configuration before goes on");
        testbed.write(&with("$server_name$host", "64k").replace("$pid", "again")).expect("a configuration");
        let _ = testbed.command(&["-s", "reload"]);
        testbed.wait_for_text(8080, "/ready", "again").expect("a reload");
        assert_eq!(status(), 503, "{program:?}: the counts are kept");
        testbed.write(&with("$host", "128k").replace("$pid", "larger")).expect("a configuration");
        let _ = testbed.command(&["-s", "reload"]);
        testbed.wait_for_text(8080, "/ready", "larger").expect("a reload");
        // nginx's worker of the configuration before takes connections for a moment.
        let master = testbed.master().expect("a master");
        let alone = || testbed.workers(master).ok().filter(|workers| workers.len() == 1).map(|_| ());
        wait_for("one worker", LIMIT, alone).expect("one worker");
        assert_eq!(status(), 200, "{program:?}: a zone of another size is another one");
    }
}

const EXCEPT: &str = r#"
    location /read/ { limit_except GET { deny all; } alias html/; }
    location /post/ { limit_except POST { auth_basic p; auth_basic_user_file users; } proxy_pass http://127.0.0.1:8081/x/; }
    location /own/ { limit_except put MKCOL { proxy_pass http://127.0.0.1:8081; } rewrite ^ /rewritten break; return 200 inner; }
    location /static/ { limit_except OPTIONS { allow all; } return 200 inner; alias html/; }
    location /page/ { error_page 403 = @named; limit_except GET { deny all; } alias html/; }
    location /if/ { limit_except GET { deny all; } if ($arg_a) { return 200 if; } alias html/; }
    location @named { limit_except POST { deny all; } return 200 "named\n"; }
"#;

#[test]
fn other_methods_have_settings_of_their_own() {
    let mut requests = Vec::new();
    for place in ["read", "post", "own", "static", "page", "if"] {
        for method in ["GET", "HEAD", "POST", "PUT", "MKCOL", "OPTIONS", "FOO"] {
            requests.push(request(method, &format!("/{place}/a.txt"), ""));
        }
    }
    requests.push(get("/post/a.txt", &basic("plain", "secret")));
    requests.push(request("POST", "/if/a.txt?a=1", ""));
    let ours = same("", EXCEPT, &[("conf/users", USERS), ("html/a.txt", "file\n")], &requests);
    assert!(ours[0].starts_with("HTTP/1.1 200") && ours[2].starts_with("HTTP/1.1 403"), "{ours:#?}");
}

/// What comes of a response in one read, and in all of it.
fn first_and_all(testbed: &TestBed, target: &str) -> io::Result<(usize, usize)> {
    let target = target.to_owned();
    testbed.host().run(move || {
        let mut stream = client::connect(local(8080), LIMIT)?;
        stream.write_all(get(&target, "").as_bytes())?;
        let mut piece = vec![0; 1 << 20];
        let first = stream.read(&mut piece)?;
        let mut all = first;
        loop {
            match stream.read(&mut piece)? {
                0 => return Ok((first, all)),
                count => all += count,
            }
        }
    })?
}

#[test]
fn a_rate_holds_responses_back() {
    let big = "x".repeat(50_000);
    let server = r#"
        location /fixed/ { limit_rate 40k; alias html/; }
        location /after/ { limit_rate 40k; limit_rate_after 5k; alias html/; }
        location /text/ { limit_rate $arg_r; alias html/; }
        location /set/ { set $limit_rate 40k; add_header X-Rate $limit_rate; alias html/; }
        location /wrong/ { set $limit_rate all; alias html/; }
        location /accel/ { proxy_pass http://127.0.0.1:8080/asking/; }
        location /asking/ { add_header X-Accel-Limit-Rate 40000; alias html/; }
        location /ignored/ { proxy_ignore_headers X-Accel-Limit-Rate; proxy_pass http://127.0.0.1:8080/asking/; }
        location /upstream/ { proxy_limit_rate 40k; proxy_pass http://127.0.0.1:8080/all/; }
        location /all/ { alias html/; }
    "#;
    let mut logs = Vec::new();
    for program in PROGRAMS {
        let testbed = started(program, &conf("", server), &[("html/big", &big)]).expect("a host");
        let mut sizes = Vec::new();
        for (target, held) in [
            ("/fixed/big", true),
            ("/after/big", true),
            ("/text/big?r=40k", true),
            ("/text/big?r=much", false),
            ("/text/big", false),
            ("/set/big", true),
            ("/wrong/big", false),
            ("/accel/big", true),
            ("/ignored/big", false),
            ("/upstream/big", true),
        ] {
            let (first, all) =
                first_and_all(&testbed, target).unwrap_or_else(|error| panic!("{program:?} {target}: {error}"));
            assert!(all > 50_000, "{program:?} {target}: {all}");
            assert!(!held || first < 50_000, "{program:?} {target}: {first} at once");
            sizes.push(all);
        }
        logs.push((sizes, errors(&testbed)));
    }
    assert_eq!(logs[0], logs[1]);
}

#[test]
fn links_are_checked_as_nginx_checks_them() {
    let server = r#"
        location /texts/ {
            secure_link $arg_m,$arg_e;
            secure_link_md5 "$uri secret";
            return 200 "[$secure_link][$secure_link_expires]\n";
        }
        location /plain/ {
            secure_link $arg_m;
            secure_link_md5 "$uri secret";
            if ($secure_link = "") { return 403; }
            rewrite ^ /kept break;
            return 200 "[$secure_link][$secure_link_expires]\n";
        }
        location /word/ { secure_link_secret word; return 200 "[$secure_link][$secure_link_expires]\n"; }
        location /none/ { return 200 "[$secure_link][$secure_link_expires]\n"; }
        location /page/ {
            secure_link $arg_m;
            secure_link_md5 "$uri secret";
            error_page 410 /none/;
            if ($secure_link = 1) { return 410; }
            return 200 "[$secure_link]\n";
        }
    "#;
    // md5 of "/texts/a secret", "/plain/a secret", "/page/a secret"; md5 of "a?b=1word" and "aword".
    let [texts, plain, page] = ["YTVxJK7C5jkHolh163bFwQ", "OECX53160nOGp8hgk6iYFQ", "1lZvxRqlKI6ECUA8qT4fCw"];
    let mut requests: Vec<String> = Vec::new();
    for hash in [texts, &format!("{texts}=="), &format!("{texts}==="), "wrong", "", plain] {
        for ends in ["", "0", "1", "4000000000", "-1", "x", "99999999999999999999"] {
            requests.push(get(&format!("/texts/a?m={hash}&e={ends}"), ""));
        }
    }
    for target in
        [format!("/plain/a?m={plain}"), "/plain/a?m=".to_owned(), "/plain/a".to_owned(), format!("/page/a?m={page}")]
    {
        requests.push(get(&target, ""));
    }
    for target in [
        "/word/c75f13e5956831dd7703ea99f0d1caa4/a",
        "/word/C75F13E5956831DD7703EA99F0D1CAA4/a",
        "/word/c75f13e5956831dd7703ea99f0d1caa4/b",
        "/word/c75f13e5956831dd7703ea99f0d1caa4/",
        "/word/c75f13e5956831dd7703ea99f0d1caa4",
        "/word/",
        "/word/538deca4a5ae60d660f67ee23171e1c0/a?b=1",
        "/none/",
        "/word//a",
    ] {
        requests.push(get(target, ""));
    }
    let ours = same("", server, &[], &requests);
    let right = |answer: &&String| answer.ends_with("[1][4000000000]");
    assert_eq!(ours.iter().filter(right).count(), 2, "{ours:#?}");
    assert!(
        ours.iter().any(|answer| answer.ends_with("[0][1]")) && ours.iter().any(|answer| answer.ends_with("[a?b=1][]"))
    );
}

/// Identities of the present, by the second and the process, as `NEW`.
fn known_identities(texts: &mut [String], known: &[&str]) {
    for text in texts {
        let mut shown = String::new();
        for (number, part) in text.split("uid=").enumerate() {
            if number > 0 {
                shown += "uid=";
            }
            let value = part.split([';', '|', '\n', ']']).next().unwrap_or_default();
            let of_now = number > 0 && value.len() >= 24 && !known.iter().any(|known| value.starts_with(known));
            shown +=
                &if of_now { format!("NEW{}", part.get(value.len()..).unwrap_or_default()) } else { part.to_owned() };
        }
        *text = shown;
    }
}

#[test]
fn clients_are_told_apart_by_cookies_as_nginx_does() {
    let server = r#"
        log_not_found off;
        userid_name uid;
        location /on/ { userid on; return 200 "[$uid_got][$uid_set]\n"; }
        location /v1/ { userid v1; userid_service 5; return 200 "[$uid_got][$uid_set]\n"; }
        location /log/ { userid log; return 200 "[$uid_got][$uid_set]\n"; }
        location /off/ { return 200 "[$uid_got][$uid_set]\n"; }
        location /all/ {
            userid on;
            userid_service 7;
            userid_domain example.org;
            userid_path /all;
            userid_expires max;
            userid_p3p "policyref";
            userid_flags secure httponly samesite=lax;
            userid_mark X;
            add_header X-Own 1;
            return 200 "[$uid_got]\n";
        }
        location /strict/ { userid on; userid_flags samesite=strict; userid_domain none; userid_p3p none; return 204; }
        location /reset/ { userid on; set $uid_reset $arg_r; return 200 "[$uid_got]\n"; }
        location /missing/ { userid on; alias html/none/; }
    "#;
    let known = "AQAAf2cKKGdEM6+QAwMDAg";
    let mut requests = Vec::new();
    for place in ["on", "v1", "log", "off", "all", "strict", "reset", "missing"] {
        for query in ["", "?r=1", "?r=log", "?r=0"] {
            let cookie = |value: &str| format!("Cookie: a=b; uid={value}; c=d\r\n");
            for cookie in [
                String::new(),
                cookie(&format!("{known}==")),
                cookie(&format!("{known}X=")),
                cookie(&format!("{known}Y=")),
                cookie("short"),
                cookie("!!!!!!!!!!!!!!!!!!!!!!!!"),
                cookie("AAAAAAAAAAAAAAAAAAAAAA=="),
            ] {
                if query.is_empty() || place == "reset" {
                    requests.push(get(&format!("/{place}/{query}"), &cookie));
                }
            }
        }
    }
    let hexadecimal = "7F00000167280A67";
    let mut sides = both("", server, &[], &requests);
    for side in &mut sides {
        known_identities(&mut side.0, &[known, "7F00000167280A67"]);
    }
    let [original, ours] = sides;
    for (request, (theirs, own)) in requests.iter().zip(original.0.iter().zip(&ours.0)) {
        assert_eq!(theirs, own, "{request}");
    }
    assert_eq!((original.1, original.2), (ours.1, ours.2));
    let text = ours.0.join("\n");
    assert!(text.contains("uid=NEW; path=/") && text.contains(&format!("uid={hexadecimal}")), "{text}");
}

#[test]
fn browsers_are_modern_or_ancient_as_nginx_says() {
    let server = r#"
        modern_browser gecko 1.0;
        modern_browser msie 5.5;
        ancient_browser Links netscape4;
        location /a/ { return 200 "[$modern_browser][$ancient_browser][$msie]\n"; }
        location /b/ {
            modern_browser safari 413;
            modern_browser opera 9;
            modern_browser konqueror 3.1;
            modern_browser unlisted;
            modern_browser_value new;
            ancient_browser_value old;
            return 200 "[$modern_browser][$ancient_browser][$msie]\n";
        }
        location /c/ { modern_browser unlisted; return 200 "[$modern_browser][$ancient_browser][$msie]\n"; }
    "#;
    let mut requests = Vec::new();
    for place in ["a", "b", "c"] {
        requests.push(get(&format!("/{place}/"), ""));
        for agent in [
            "",
            "x",
            "Opera/9.01 (X11; FreeBSD 6 i386; U; en)",
            "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.0; en) Opera 8.0",
            "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)",
            "Mozilla/4.0 (compatible; MSIE 5.0; Windows NT 5.1)",
            "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.0.0) Gecko/20020610",
            "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:0.9) Gecko/20020610",
            "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:",
            "Mozilla/5.0 (Macintosh; U; PPC Mac OS X; en) AppleWebKit/418 (KHTML, like Gecko) Safari/417.9.3",
            "Mozilla/5.0 (SymbianOS/9.1; U; en-us) AppleWebKit/413 (KHTML, like Gecko) Safari/412",
            "Mozilla/5.0 (compatible; Konqueror/3.1; Linux)",
            "Mozilla/4.72 [en] (X11; U; Linux)",
            "Mozilla/4.72 ",
            "Links (2.8)",
        ] {
            requests.push(get(&format!("/{place}/"), &format!("User-Agent: {agent}\r\n")));
        }
    }
    same("", server, &[], &requests);
}

#[test]
fn modern_browsers_of_the_http_block_hold_for_its_servers() {
    let server = r#"location / { return 200 "[$modern_browser][$ancient_browser]\n"; }"#;
    let testbed = started(Program::Ours, &conf("modern_browser msie 5.5;", server), &[]).expect("a host");
    let agent = |version: &str| get("/", &format!("User-Agent: Mozilla/4.0 (compatible; MSIE {version}; Windows)\r\n"));
    let answered = answers(&testbed, &[agent("6.0"), agent("5.0")]).expect("answers");
    assert!(answered[0].ends_with("[1][]") && answered[1].ends_with("[][1]"), "{answered:#?}");
}

#[test]
fn copies_of_requests_go_to_mirrors() {
    let http = r#"log_format copies "$request_method $uri?$args $http_x_from $content_length $request_body";"#;
    let server = r#"
        location /both/ { mirror /copy; mirror /other; proxy_pass http://127.0.0.1:8081; }
        location /bare/ { mirror /nobody; mirror_request_body off; proxy_pass http://127.0.0.1:8081; }
        location /off/ { mirror off; proxy_pass http://127.0.0.1:8081; }
        location /odd/ { mirror /other?x=1; proxy_pass http://127.0.0.1:8081; }
        location /text/ { mirror /copy; return 200 "text\n"; }
        location /file/ { mirror /copy; alias html/; }
        location = /copy { internal; proxy_set_header X-From $request_uri; proxy_pass http://127.0.0.1:8082/copied; }
        location = /other { internal; proxy_pass http://127.0.0.1:8082/other; }
        location = /nobody {
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://127.0.0.1:8082/nobody;
        }
    "#;
    let backend = r#"server { listen 127.0.0.1:8082; access_log logs/copies.log copies; client_body_in_single_buffer on;
        location / { proxy_pass http://127.0.0.1:8081; } }"#;
    let body = "Content-Length: 4\r\n\r\nbody";
    let mut requests = Vec::new();
    for place in ["both", "bare", "off", "file"] {
        for method in ["GET", "POST"] {
            let target = format!("/{place}/a.txt?q=1");
            let text = request(method, &target, if method == "POST" { body } else { "" });
            requests.push(if method == "POST" { text.trim_end().to_owned() } else { text });
        }
    }
    requests.push(get("/text/", ""));
    requests.push(get("/odd/", ""));
    let conf = conf(&format!("{http}\n{backend}"), server);
    let [original, ours] = PROGRAMS.map(|program| {
        let testbed = started(program, &conf, &[("html/a.txt", "file\n")]).expect("a host");
        let answered = answers(&testbed, &requests).unwrap_or_else(|error| panic!("{program:?}: {error}"));
        let copies = || {
            let log = testbed.file("logs/copies.log").ok()?;
            let mut lines: Vec<String> = log.lines().map(str::to_owned).collect();
            lines.sort();
            (lines.len() >= 8).then_some(lines)
        };
        (answered, wait_for("copies", LIMIT, copies).unwrap_or_else(|error| panic!("{program:?}: {error}")))
    });
    assert_eq!(original, ours);
}

#[test]
fn mirrors_do_not_hold_up_the_next_request() {
    // Nobody answers on the port of the mirror.
    let server = "location / { mirror /copy; proxy_pass http://127.0.0.1:8081; }
        location = /copy { internal; proxy_pass http://127.0.0.1:8083; proxy_read_timeout 1h; }";
    let testbed = started(Program::Ours, &conf("", server), &[]).expect("a host");
    let answer = testbed.host().run(|| {
        let silent = std::net::TcpListener::bind("127.0.0.1:8083")?;
        let two = "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\nGET /two HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut stream = client::connect(local(8080), LIMIT)?;
        stream.write_all(two.as_bytes())?;
        let mut reader = io::BufReader::new(stream);
        let first = client::response(&mut reader, false)?.text();
        let second = client::response(&mut reader, false)?.text();
        drop(silent);
        io::Result::Ok(first + &second)
    });
    let answer = answer.expect("a host").expect("answers");
    assert!(answer.contains("GET /one") && answer.contains("GET /two"), "{answer}");
}

#[test]
fn requests_with_too_many_headers_are_refused() {
    let testbed = started(Program::Ours, &conf("", "max_headers 3; location / { return 204; }"), &[]).expect("a host");
    let requests = [get("/", "A: 1\r\n"), get("/", "A: 1\r\nB: 2\r\n")];
    let answered = answers(&testbed, &requests).expect("answers");
    assert!(answered[0].starts_with("HTTP/1.1 204"), "{answered:#?}");
    assert!(
        answered[1].starts_with("HTTP/1.1 400") && answered[1].contains("Header Or Cookie Too Large"),
        "{answered:#?}"
    );
    let text = "[info] client sent too many header lines while reading client request headers";
    assert!(errors(&testbed).iter().any(|line| line.starts_with(text)), "{:#?}", errors(&testbed));
}

#[test]
fn added_headers_are_inherited_as_a_block_says() {
    let server = r#"
        add_header X-Outer outer;
        location /on/ { add_header X-Own own; return 204; }
        location /merge/ { add_header_inherit merge; add_header X-Own own; return 204; }
        location /off/ { add_header_inherit off; return 204; }
        location /none/ { return 204; }
    "#;
    let testbed = started(Program::Ours, &conf("", server), &[]).expect("a host");
    let requests = ["on", "merge", "off", "none"].map(|place| get(&format!("/{place}/"), ""));
    let answered = answers(&testbed, &requests).expect("answers");
    let added = answered
        .iter()
        .map(|answer| answer.lines().filter(|line| line.starts_with("X-")).collect::<Vec<_>>().join(" "));
    let expected = ["X-Own: own", "X-Own: own X-Outer: outer", "", "X-Outer: outer"];
    assert_eq!(added.collect::<Vec<_>>(), expected);
}

#[test]
fn added_trailers_are_inherited_as_a_block_says() {
    let server = r#"
        add_trailer X-Outer outer;
        location /on/ { add_trailer X-Own own; alias html/; }
        location /merge/ { add_trailer_inherit merge; add_trailer X-Own own; alias html/; }
        location /off/ { add_trailer_inherit off; alias html/; }
        location /none/ { alias html/; }
    "#;
    let testbed = started(Program::Ours, &conf("", server), &[("html/a.txt", "file\n")]).expect("a host");
    let requests = ["on", "merge", "off", "none"].map(|place| get(&format!("/{place}/a.txt"), ""));
    let answered = answers(&testbed, &requests).expect("answers");
    let added = answered
        .iter()
        .map(|answer| answer.lines().filter(|line| line.starts_with("X-")).collect::<Vec<_>>().join(" "));
    let expected = ["X-Own: own", "X-Own: own X-Outer: outer", "", "X-Outer: outer"];
    assert_eq!(added.collect::<Vec<_>>(), expected);
}

#[test]
fn an_ended_request_goes_to_its_post_action() {
    let http = "log_format ends \"$request|$uri|$status|$body_bytes_sent|$upstream_status\";";
    let server = r#"
        access_log logs/access.log ends;
        location /file/ { post_action /post/a.txt; alias html/; }
        location /text/ { post_action /missing/; return 201 "text\n"; }
        location /passed/ { post_action @named; proxy_pass http://127.0.0.1:8081; }
        location /redirected/ { post_action /post/a.txt; return 302 /file/; }
        location /post/ { internal; access_log logs/post.log ends; alias html/; }
        location /missing/ { log_not_found off; alias html/none/; }
        location @named { proxy_pass http://127.0.0.1:8082; }
    "#;
    let backend = "server { listen 127.0.0.1:8082; access_log logs/asked.log ends; location / { return 202; } }";
    let conf = conf(&format!("{http}{backend}"), server);
    let mut requests = Vec::new();
    for place in ["file", "text", "passed", "redirected"] {
        requests.push(get(&format!("/{place}/a.txt?q=1"), ""));
        requests.push(request("HEAD", &format!("/{place}/a.txt"), ""));
        let kept = format!("GET /{place}/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if place != "redirected" {
            requests.push(kept + &get(&format!("/{place}/a.txt"), ""));
        }
    }
    let [original, ours] = PROGRAMS.map(|program| {
        let testbed = started(program, &conf, &[("html/a.txt", "file\n")]).expect("a host");
        let answered = answers(&testbed, &requests).unwrap_or_else(|error| panic!("{program:?}: {error}"));
        let lines = |name: &str, count: usize| {
            wait_for(name, LIMIT, || {
                let log = testbed.file(&format!("logs/{name}.log")).ok()?;
                (log.lines().count() == count).then(|| log.lines().map(str::to_owned).collect::<Vec<_>>())
            })
            .unwrap_or_else(|error| panic!("{program:?}: {error}: {:?}", testbed.file(&format!("logs/{name}.log"))))
        };
        (answered, lines("access", 8), lines("post", 6), lines("asked", 4), errors(&testbed))
    });
    assert_eq!(original, ours);
    // Everything of the server goes there, the place itself included: once.
    let server = "post_action /post/; location / { return 200; } location /post/ { proxy_pass http://127.0.0.1:8082; }";
    let text = self::conf(&format!("{http}{backend}"), server);
    let testbed = started(Program::Ours, &text, &[]).expect("a host");
    answers(&testbed, &[get("/", ""), get("/", "")]).expect("answers");
    access(&testbed, 2).expect("lines");
    assert_eq!(testbed.file("logs/asked.log").expect("a log").lines().count(), 2);
}
