//! Caches beside the installed nginx: the same answers, the same statuses of the cache, the same files, and files of the
//! one served by the other.

mod bench;

use std::io::{self, Write as _};

use bench::{Bench, CONF, PATHS, get, timeless};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};

/// Both programs with the same configuration.
fn both(paths: &str, places: &str) -> [Bench; 2] {
    [Program::Original, Program::Ours].map(|program| Bench::new(program, paths, places))
}

/// Asks both, and compares answers, log lines and files; the lines.
fn same(places: &str, asked: &[String]) -> Vec<String> {
    let [original, ours] = both(PATHS, places);
    for text in asked {
        assert_eq!(original.ask(text), ours.ask(text), "{text}");
    }
    let lines = original.lines(asked.len());
    assert_eq!(lines, ours.lines(asked.len()));
    for folder in ["cache", "flat"] {
        same_files(&original, &ours, folder);
    }
    lines
}

/// Compares the files below a folder.
fn same_files(original: &Bench, ours: &Bench, folder: &str) {
    let [original, ours] =
        [original, ours].map(|bench| bench.files(folder).into_iter().map(timeless).collect::<Vec<_>>());
    let heads = |files: &[(String, String)]| -> Vec<String> {
        files
            .iter()
            .map(|(name, bytes)| format!("{name}{}", bytes.split("\\nKEY").nth(1).unwrap_or_default()))
            .collect()
    };
    assert_eq!(heads(&original), heads(&ours));
    assert_eq!(original, ours);
}

/// Copies the files below folders to another host.
fn move_files(from: &Bench, to: &Bench, folders: &[&str]) {
    for (path, bytes) in folders.iter().flat_map(|folder| from.files(folder)) {
        to.testbed.host().run(move || mount::file(&path, &bytes, 0o644)).expect("a host").expect("a file");
    }
    let open = || std::process::Command::new("chmod").args(["-R", "a+rwX", PREFIX]).status().map(|_| ());
    to.testbed.host().run(open).expect("a host").expect("rights");
}

/// The statuses of the cache in log lines.
fn statuses(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split('|').nth(2).expect("a status")).collect()
}

#[test]
fn answers_are_kept_as_by_nginx() {
    let targets = [
        "/a?Cache-Control=max-age=100",
        "/b?Cache-Control=no-cache",
        "/c",
        "/d?X-Accel-Expires=50&Cache-Control=private",
        "/e?Cache-Control=max-age=100&Set-Cookie=a=b",
        "/f?Expires=Thu,+31+Dec+2099+23:59:59+GMT",
        "/f?Expires=Thu,+31+Dec+1999+23:59:59+GMT",
        "/g?status=404&Cache-Control=max-age=60",
        "/h/301?status=301&Location=/there",
        "/valid/a",
        "/valid/404?status=404",
        "/valid/500?status=500",
        "/tagged?Cache-Control=max-age=100,+stale-if-error=5",
        "/chunked?Cache-Control=max-age=100",
        "/chunked/broken?Cache-Control=max-age=100",
        "/short?Cache-Control=max-age=100",
        "/large?Cache-Control=max-age=100&Accept-Ranges=bytes",
        "/off/a?Cache-Control=max-age=100",
        "/key/a?Cache-Control=max-age=100",
        "/named/b/a?Cache-Control=max-age=100",
        "/named/off/a?Cache-Control=max-age=100",
        "/named/none/a?Cache-Control=max-age=100",
        "/quoted/%41%20b?Cache-Control=max-age=100",
        "/uses?Cache-Control=max-age=100",
        "/uses?Cache-Control=max-age=100",
        "/ignore?Cache-Control=private&Set-Cookie=a=b&Vary=*&Expires=0",
        "/unbuffered?Cache-Control=max-age=100",
        "/unbuffered/named?Cache-Control=max-age=100&X-Accel-Buffering=no",
        "/bypass?Cache-Control=max-age=100&nothing=1",
        "/errors/404?status=404&Cache-Control=max-age=100",
        "/small/a?Cache-Control=max-age=100",
    ];
    let places = r#"
        location /h/ { proxy_cache_valid 1m; proxy_pass http://127.0.0.1:9111; }
        location /valid/ { proxy_cache_valid 200 1m; proxy_cache_valid 404 2m; proxy_cache_valid any 3m; proxy_pass http://127.0.0.1:9111; }
        location /off/ { proxy_cache off; proxy_pass http://127.0.0.1:9111; }
        location /key/ { proxy_cache b; proxy_cache_key "k$uri"; proxy_pass http://127.0.0.1:9111; }
        location ~ ^/named/(\w+)/ { proxy_cache $1; proxy_pass http://127.0.0.1:9111; }
        location /quoted/ { proxy_pass http://127.0.0.1:9111/q/; }
        location /uses { proxy_cache_min_uses 2; proxy_pass http://127.0.0.1:9111; }
        location /ignore { proxy_ignore_headers Cache-Control Expires Set-Cookie Vary; proxy_cache_valid 1m; proxy_pass http://127.0.0.1:9111; }
        location /unbuffered { proxy_buffering off; proxy_pass http://127.0.0.1:9111; location /unbuffered/named { proxy_buffering on; proxy_pass http://127.0.0.1:9111; } }
        location /bypass { proxy_cache_bypass $http_x_skip; proxy_no_cache $http_x_keep_out; proxy_pass http://127.0.0.1:9111; }
        location /errors/ { proxy_intercept_errors on; error_page 404 /a?Cache-Control=max-age=100; proxy_pass http://127.0.0.1:9111; }
        location /small/ { proxy_buffer_size 512; proxy_cache_key "0123456789012345678901234567890123456789"; proxy_pass http://127.0.0.1:9111; }
    "#;
    let mut asked = Vec::new();
    for target in targets {
        for _ in 0..2 {
            asked.push(get("GET", target, ""));
        }
    }
    for headers in ["X-Skip: 1\r\n", "X-Skip: 0\r\n", "X-Keep-Out: 1\r\nX-Skip: 1\r\n", ""] {
        asked.push(get("GET", "/bypass?Cache-Control=max-age=100&nothing=2", headers));
    }
    let lines = same(places, &asked);
    assert_eq!(statuses(&lines)[..6], ["MISS", "HIT", "MISS", "MISS", "MISS", "MISS"]);
    for status in ["MISS", "HIT", "BYPASS", "-"] {
        assert!(statuses(&lines).contains(&status), "{status}: {lines:#?}");
    }
}

#[test]
fn kept_answers_go_through_the_usual_filters() {
    let places = r#"
        location /gzip/ { gzip on; gzip_min_length 1; proxy_pass http://127.0.0.1:9111; }
        location /sub/ { sub_filter_types *; sub_filter sub exchanged; proxy_pass http://127.0.0.1:9111; }
        location /force/ { proxy_force_ranges on; proxy_pass http://127.0.0.1:9111; }
        location /beyond/ { proxy_cache_max_range_offset 100; proxy_pass http://127.0.0.1:9111; }
        location /never/ { proxy_cache_max_range_offset 0; proxy_pass http://127.0.0.1:9111; }
        location /head/ { proxy_cache_convert_head off; proxy_cache_key "$request_method$uri"; proxy_pass http://127.0.0.1:9111; }
        location /post/ { proxy_cache_methods POST; proxy_pass http://127.0.0.1:9111; }
        location /hidden/ { proxy_hide_header X-Secret; add_header X-Added $upstream_http_x_secret always; proxy_pass http://127.0.0.1:9111; }
        location /sent/ { proxy_no_cache $sent_http_x_never; proxy_pass http://127.0.0.1:9111; }
        location /uncached/ { proxy_cache off; proxy_force_ranges on; proxy_pass http://127.0.0.1:9111; }
    "#;
    let keep = "Cache-Control=max-age=100";
    let ranges = format!("{keep}&Accept-Ranges=bytes");
    let mut asked = Vec::new();
    let mut twice = |method: &str, target: String, headers: &str| {
        asked.push(get(method, &target, headers));
        asked.push(get(method, &target, headers));
    };
    for target in ["/tagged", "/tagged/chunked", "/force/tagged"] {
        for headers in [
            "Range: bytes=1-3\r\n",
            "Range: bytes=0-0,4-5\r\n",
            "Range: bytes=99-\r\n",
            "Range: bytes=-2\r\nIf-Range: \"tag\"\r\n",
            "If-None-Match: \"tag\"\r\n",
            "If-Modified-Since: Mon, 28 Sep 1970 06:00:00 GMT\r\n",
            "If-Match: \"other\"\r\n",
            "If-Unmodified-Since: Mon, 28 Sep 1969 06:00:00 GMT\r\n",
        ] {
            twice("GET", format!("{target}?{ranges}"), headers);
        }
        // Conditions and ranges of what is not in the cache yet.
        twice("GET", format!("{target}/fresh?{ranges}"), "Range: bytes=1-3\r\n");
        twice("GET", format!("{target}/multi?{ranges}"), "Range: bytes=0-0,4-5\r\n");
        twice("GET", format!("{target}/condition?{ranges}"), "If-None-Match: \"tag\"\r\n");
        twice("GET", format!("{target}/no?Cache-Control=no-store"), "If-None-Match: \"tag\"\r\nRange: bytes=1-2\r\n");
    }
    twice("GET", format!("/plain?{keep}"), "Range: bytes=1-3\r\n");
    twice("GET", format!("/gzip/a?{keep}"), "Accept-Encoding: gzip\r\n");
    twice("GET", format!("/sub/a?{keep}"), "");
    twice("GET", format!("/beyond/large?{ranges}"), "Range: bytes=200-203\r\n");
    twice("GET", format!("/beyond/large?{ranges}"), "Range: bytes=20-23\r\n");
    twice("GET", format!("/never/large?{ranges}"), "Range: bytes=0-3\r\n");
    twice("GET", "/uncached/large?a=b".to_owned(), "Range: bytes=5-9\r\n");
    for target in ["/whole", "/head/a", "/chunked/head", "/large/head"] {
        twice("HEAD", format!("{target}?{keep}"), "");
        twice("GET", format!("{target}?{keep}"), "");
    }
    twice("HEAD", "/not?Cache-Control=no-cache".to_owned(), "");
    twice("POST", format!("/post/a?{keep}"), "Content-Length: 0\r\n");
    twice("POST", format!("/a?{keep}"), "Content-Length: 0\r\n");
    twice("GET", format!("/hidden/a?{keep}&X-Secret=1"), "");
    twice("GET", format!("/sent/a?{keep}&X-Never=1"), "");
    twice("GET", format!("/moved?{keep}&X-Accel-Redirect=/a"), "");
    for headers in ["Accept-Language: de, en\r\n", "Accept-Language: de,en\r\n", "Accept-Language: fr\r\n", ""] {
        twice("GET", format!("/vary?{keep}&Vary=Accept-Language,+X-Who"), headers);
    }
    let lines = same(places, &asked);
    assert!(statuses(&lines).iter().filter(|status| **status == "HIT").count() > 30, "{lines:#?}");
}

#[test]
fn files_of_one_are_served_by_the_other() {
    let targets = [
        "/a?Cache-Control=max-age=1000",
        "/tagged?Cache-Control=max-age=1000",
        "/chunked?Cache-Control=max-age=1000",
        "/large?Cache-Control=max-age=1000",
        "/vary?Cache-Control=max-age=1000&Vary=X-Who",
        "/key/a?Cache-Control=max-age=1000",
    ];
    let places = "location /key/ { proxy_cache b; proxy_cache_key k$uri; proxy_pass http://127.0.0.1:9111; }";
    let asked: Vec<String> = targets
        .iter()
        .flat_map(|target| ["X-Who: a\r\n", "X-Who: b\r\n"].map(|headers| get("GET", target, headers)))
        .collect();
    for (writer, reader) in [(Program::Original, Program::Ours), (Program::Ours, Program::Original)] {
        let from = Bench::new(writer, PATHS, places);
        let written: Vec<String> = asked.iter().map(|text| from.ask(text)).collect();
        let to = Bench::stopped(reader, PATHS, places).expect("a host");
        move_files(&from, &to, &["cache", "flat"]);
        to.start();
        let read: Vec<String> = asked.iter().map(|text| to.ask(text)).collect();
        assert_eq!(written, read);
        assert_eq!(statuses(&to.lines(asked.len())), vec!["HIT"; asked.len()], "{reader:?}");
        assert_eq!(to.backend.heads(), Vec::<String>::new());
    }
}

/// Requests that the backend answers, then the same while it fails.
#[test]
fn expired_answers_are_given_where_that_is_asked_for() {
    let places = r#"
        proxy_cache_valid 200 1s;
        location /error/ { proxy_cache_use_stale error invalid_header; proxy_pass http://127.0.0.1:9111; }
        location /status/ { proxy_cache_use_stale http_500 http_503; proxy_pass http://127.0.0.1:9111; }
        location /off/ { proxy_cache_use_stale off; proxy_pass http://127.0.0.1:9111; }
        location /again/ { proxy_cache_revalidate on; proxy_pass http://127.0.0.1:9111; }
        location /remembered/ { proxy_cache_valid 502 1m; proxy_cache_valid 503 1m; proxy_intercept_errors on; error_page 503 /page; proxy_pass http://127.0.0.1:9111; }
    "#;
    let targets = [
        "/error/a",
        "/error/if?Cache-Control=max-age=1,+stale-if-error=100",
        "/status/a",
        "/off/a",
        "/off/if?Cache-Control=max-age=1,+stale-if-error=100",
        "/again/tagged",
        "/again/a",
        "/again/tagged?Cache-Control=max-age=1",
    ];
    let [original, ours] = both(PATHS, places);
    let mut asked = 0;
    let mut all = |target: &str, headers: &str| {
        let text = get("GET", target, headers);
        assert_eq!(original.ask(&text), ours.ask(&text), "{text}");
        asked += 1;
    };
    targets.iter().for_each(|target| all(target, ""));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    for fails in [
        Some("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        Some("HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n"),
        Some(""),
        None,
    ] {
        original.backend.fail(fails);
        ours.backend.fail(fails);
        targets.iter().take(5).for_each(|target| all(target, ""));
    }
    targets.iter().for_each(|target| all(target, "If-None-Match: \"tag\"\r\n"));
    targets.iter().for_each(|target| all(target, ""));
    for fails in [Some(""), Some("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), None] {
        original.backend.fail(fails);
        ours.backend.fail(fails);
        all("/remembered/a", "");
        all("/remembered/b?Cache-Control=max-age=100", "");
        all("/page", "");
    }
    let lines = original.lines(asked);
    assert_eq!(lines, ours.lines(asked));
    for status in ["STALE", "EXPIRED", "REVALIDATED", "HIT"] {
        assert!(statuses(&lines).contains(&status), "{status}: {lines:#?}");
    }
    let heads = |bench: &Bench| bench.backend.heads();
    assert_eq!(heads(&original), heads(&ours));
    same_files(&original, &ours, "cache");
}

/// Starts a request and goes on without its answer.
fn begin(bench: &Bench, target: &str) -> std::net::TcpStream {
    let text = get("GET", target, "");
    let open = move || -> io::Result<std::net::TcpStream> {
        let mut stream = client::connect(local(8080), LIMIT)?;
        stream.write_all(text.as_bytes())?;
        Ok(stream)
    };
    bench.testbed.host().run(open).expect("a host").expect("a request")
}

fn end(stream: std::net::TcpStream) -> String {
    use std::io::Read as _;
    let (mut stream, mut answer) = (stream, String::new());
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Waits until the backend was sent so many requests.
fn asked(bench: &Bench, count: usize) {
    wait_for("the backend to be asked", LIMIT, || (bench.backend.heads().len() >= count).then_some(()))
        .expect("requests");
}

#[test]
fn one_request_fetches_for_all_that_wait() {
    let places = "location /held { proxy_cache_lock on; proxy_cache_lock_age 1m; proxy_cache_lock_timeout 1m; proxy_cache_valid 1m; proxy_pass http://127.0.0.1:9111; }";
    for bench in both(PATHS, places) {
        bench.backend.hold(true);
        let first = begin(&bench, "/held/a");
        asked(&bench, 1);
        let others: Vec<_> = (0..5).map(|_| begin(&bench, "/held/a")).collect();
        // Another answer is fetched meanwhile.
        assert!(bench.get("/b").contains("200 OK"));
        bench.backend.hold(false);
        let answer = end(first);
        assert!(answer.ends_with("/held/a\n"), "{answer}");
        for other in others {
            assert!(end(other).ends_with("/held/a\n"));
        }
        assert_eq!(bench.backend.heads().len(), 2);
        let lines = bench.lines(7);
        let mut statuses = statuses(&lines);
        statuses.sort_unstable();
        assert_eq!(statuses, ["HIT", "HIT", "HIT", "HIT", "HIT", "MISS", "MISS"]);
    }
}

#[test]
fn who_waits_too_long_is_answered_past_the_cache() {
    let places = "location /held { proxy_cache_lock on; proxy_cache_lock_age 1m; proxy_cache_lock_timeout 300ms; proxy_cache_valid 1m; proxy_pass http://127.0.0.1:9111; }
        location /held/age { proxy_cache_lock on; proxy_cache_lock_age 300ms; proxy_cache_lock_timeout 1m; proxy_cache_valid 1m; proxy_pass http://127.0.0.1:9111; }";
    for bench in both(PATHS, places) {
        bench.backend.hold(true);
        let first = begin(&bench, "/held/a");
        asked(&bench, 1);
        let second = begin(&bench, "/held/a");
        asked(&bench, 2);
        let third = begin(&bench, "/held/age");
        asked(&bench, 3);
        let fourth = begin(&bench, "/held/age");
        asked(&bench, 4);
        bench.backend.hold(false);
        for stream in [first, second, third, fourth] {
            assert!(end(stream).contains("200 OK"));
        }
        assert!(bench.testbed.file("logs/info.log").expect("a log").contains("cache lock timeout"));
        assert_eq!(bench.files("cache").len(), 2);
    }
}

#[test]
fn an_update_in_the_background_holds_nobody_up() {
    let places = "location /held { proxy_cache_valid 1s; proxy_cache_use_stale updating; proxy_cache_background_update on; proxy_pass http://127.0.0.1:9111; }
        location /held/said { proxy_cache_background_update on; proxy_pass http://127.0.0.1:9111; }
        location /held/front { proxy_cache_valid 1s; proxy_cache_use_stale updating; proxy_pass http://127.0.0.1:9111; }";
    let bench = Bench::new(Program::Ours, PATHS, places);
    let said = "/held/said?Cache-Control=max-age=1,+stale-while-revalidate=100";
    for target in ["/held/a", said, "/held/front"] {
        assert!(bench.get(target).contains("X-Count"));
    }
    std::thread::sleep(std::time::Duration::from_millis(2100));
    bench.backend.hold(true);
    // Two requests on one connection: neither waits for the server.
    let keep = "GET /held/a HTTP/1.1\r\nHost: x\r\n\r\n";
    let both = bench.ask(&format!("{keep}{}", get("GET", "/held/a", "")));
    assert_eq!(both.matches("X-Count: 1").count(), 2, "{both}");
    asked(&bench, 4);
    assert!(bench.get(said).contains("X-Count: 2"));
    asked(&bench, 5);
    let first = begin(&bench, "/held/front");
    asked(&bench, 6);
    assert!(bench.get("/held/front").contains("X-Count: 3"));
    bench.backend.hold(false);
    assert!(end(first).contains("X-Count: "));
    for target in ["/held/a", said] {
        wait_for("the new answer", LIMIT, || {
            let answer = bench.get(target);
            (!answer.contains("X-Count: 1\n") && !answer.contains("X-Count: 2\n")).then_some(())
        })
        .expect("an update");
    }
    let lines = bench.lines(8);
    assert_eq!(statuses(&lines)[..7], ["MISS", "MISS", "MISS", "STALE", "UPDATING", "STALE", "UPDATING"]);
    assert_eq!(bench.backend.heads().len(), 6, "{lines:#?}");
}

#[test]
fn a_client_that_leaves_does_not_keep_an_answer_from_the_cache() {
    let bench = Bench::new(Program::Ours, PATHS, "");
    bench.backend.hold(true);
    let first = begin(&bench, "/held/large?Cache-Control=max-age=100");
    asked(&bench, 1);
    drop(first);
    bench.backend.hold(false);
    wait_for("the file", LIMIT, || (bench.files("cache").len() == 1).then_some(())).expect("a file");
    assert!(bench.get("/held/large?Cache-Control=max-age=100").contains("X-Count: 1"));
}

#[test]
fn a_full_disk_loses_no_answer() {
    let bench = Bench::stopped(Program::Ours, PATHS, "").expect("a host");
    let small = || -> io::Result<()> {
        std::fs::create_dir_all(format!("{PREFIX}/cache"))?;
        let mount = ["-t", "tmpfs", "-o", "size=64k,mode=777", "none", &format!("{PREFIX}/cache")];
        std::process::Command::new("mount").args(mount).status().map(|_| ())
    };
    bench.testbed.host().run(small).expect("a host").expect("a small disk");
    bench.start();
    let target = "/large?Cache-Control=max-age=100";
    for count in 1..=2 {
        let answer = bench.get(target);
        assert!(answer.contains(&format!("X-Count: {count}")) && answer.len() > 300_000, "{}", answer.len());
        let log = bench.testbed.file("logs/info.log").expect("a log");
        assert_eq!(log.matches("failed (28: No space left on device)").count(), count, "{log}");
    }
    assert_eq!(bench.files("cache"), []);
    assert!(bench.get("/a?Cache-Control=max-age=100").contains("X-Count: 3"));
    assert!(bench.get("/a?Cache-Control=max-age=100").contains("X-Count: 3"), "there is room for a small one");
}

const PROGRAMS: &str =
    "fastcgi_cache_path f keys_zone=f:1m; scgi_cache_path s keys_zone=s:1m; uwsgi_cache_path u levels=2 keys_zone=u:1m;
    fastcgi_cache_key f$request_uri; scgi_cache_key s$request_uri; uwsgi_cache_key u$request_uri;
    fastcgi_param TARGET \"$request_uri \"; scgi_param TARGET \"$request_uri \"; uwsgi_param TARGET \"$request_uri \";
    proxy_cache_path flat keys_zone=a:1m;";

const PROGRAM_PLACES: &str = "
    location /f/ { fastcgi_cache f; fastcgi_cache_revalidate on; fastcgi_pass 127.0.0.1:9112; }
    location /s/ { scgi_cache s; scgi_cache_revalidate on; scgi_pass 127.0.0.1:9113; }
    location /u/ { uwsgi_cache u; uwsgi_cache_revalidate on; uwsgi_pass 127.0.0.1:9114; }";

#[test]
fn answers_of_programs_are_kept_as_by_nginx() {
    let mut asked = Vec::new();
    for place in ["f", "s", "u"] {
        for target in [
            "a?Cache-Control=max-age=1000",
            "a?Cache-Control=no-store",
            "404?status=404&X-Accel-Expires=1000",
            "large?Cache-Control=max-age=1000&Accept-Ranges=bytes",
            "tagged?Cache-Control=max-age=1000&Vary=X-Who",
        ] {
            for headers in ["", "Range: bytes=1-3\r\n", "If-None-Match: \"tag\"\r\n", "X-Who: a\r\n"] {
                asked.push(get("GET", &format!("/{place}/{target}"), headers));
            }
        }
    }
    let [original, ours] = both(PROGRAMS, PROGRAM_PLACES);
    for text in &asked {
        assert_eq!(original.ask(text), ours.ask(text), "{text}");
    }
    assert_eq!(original.lines(asked.len()), ours.lines(asked.len()));
    assert_eq!(original.backend.heads(), ours.backend.heads());
    same_files(&original, &ours, "s");
    same_files(&original, &ours, "u");
    let names = |bench: &Bench| bench.files("f").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&original), names(&ours));
    // The files of the one are the other's: after a change of programs nothing is asked again.
    for (from, reader) in [(&original, Program::Ours), (&ours, Program::Original)] {
        let to = Bench::stopped(reader, PROGRAMS, PROGRAM_PLACES).expect("a host");
        move_files(from, &to, &["f", "s", "u"]);
        to.start();
        let fresh: Vec<&String> = asked.iter().filter(|text| !text.contains("no-store")).collect();
        for text in &fresh {
            assert_eq!(from.ask(text), to.ask(text), "{text}");
        }
        assert_eq!(statuses(&to.lines(fresh.len())), vec!["HIT"; fresh.len()], "{reader:?}");
    }
}

#[test]
fn answers_become_files_as_by_nginx() {
    let places = r#"
        location /kept/ { proxy_cache off; root store; proxy_store on; proxy_pass http://127.0.0.1:9111; }
        location /named/ { proxy_cache off; proxy_store named$uri.txt; proxy_store_access user:rw group:r all:r; proxy_pass http://127.0.0.1:9111; }
        location /program/ { fastcgi_param TARGET "$request_uri "; fastcgi_store program$uri; fastcgi_pass 127.0.0.1:9112; }
        location /unbuffered/ { proxy_cache off; root store; proxy_store on; proxy_buffering off; proxy_pass http://127.0.0.1:9111; }
    "#;
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let bench = Bench::stopped(program, PATHS, places).expect("a host");
        let folders = || -> io::Result<()> {
            use std::os::unix::fs::PermissionsExt as _;
            for folder in ["store", "named", "program"] {
                mount::folder(&format!("{PREFIX}/{folder}"))?;
                std::fs::set_permissions(format!("{PREFIX}/{folder}"), std::fs::Permissions::from_mode(0o777))?;
            }
            Ok(())
        };
        bench.testbed.host().run(folders).expect("a host").expect("folders");
        bench.start();
        bench
    });
    let targets = [
        "/kept/a",
        "/kept/in/folders/tagged",
        "/kept/large",
        "/kept/short",
        "/kept/404?status=404",
        "/kept/chunked",
        "/kept/chunked/broken",
        "/named/tagged",
        "/program/a",
        "/program/large",
        "/unbuffered/a",
    ];
    for target in targets {
        assert_eq!(original.get(target), ours.get(target), "{target}");
    }
    let files = |bench: &Bench| {
        let list = || -> io::Result<String> {
            let folders = "for d in store named program; do cd $0/$d && find . -printf '%p %y %m %s %u\\n' && find . -name 'tagged*' -printf '%T@\\n' && cat $(find . -type f | sort); cd ..; done; ls $0/proxy_temp";
            let output = std::process::Command::new("sh").args(["-c", folders, PREFIX]).output()?;
            let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
            lines.sort();
            Ok(lines.join("\n"))
        };
        bench.testbed.host().run(list).expect("a host").expect("files")
    };
    for bench in [&original, &ours] {
        bench.lines(targets.len());
    }
    let (original, ours) = (files(&original), files(&ours));
    assert!(original.contains("kept/in/folders/tagged f 600"), "{original}");
    let temporary = |text: &str| text.lines().filter(|line| line.len() > 1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(temporary(&original), temporary(&ours));
}

#[test]
fn a_server_that_is_killed_leaves_no_half_of_an_answer() {
    let bench = Bench::new(Program::Ours, PATHS, "");
    bench.backend.hold(true);
    let target = "/half/large?Cache-Control=max-age=1000";
    let first = begin(&bench, target);
    wait_for("the first half", LIMIT, || {
        let written = bench.files("cache").first().map_or(0, |(_, bytes)| bytes.len());
        (written > 30_000).then_some(())
    })
    .expect("a temporary file");
    let master = bench.testbed.master().expect("a master");
    let workers = bench.testbed.workers(master).expect("workers");
    for pid in [master].into_iter().chain(workers) {
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("a signal");
        bench.testbed.wait_for_end(pid).expect("its end");
    }
    drop(first);
    let names: Vec<String> = bench.files("cache").into_iter().map(|(name, _)| name).collect();
    assert!(matches!(&*names, [name] if name.rsplit_once('.').is_some_and(|(_, end)| end.len() == 10)), "{names:?}");
    bench.backend.hold(false);
    bench.start();
    assert!(bench.get(target).contains("X-Count: 2"), "it is fetched again");
    assert!(bench.get(target).contains("X-Count: 2"), "and kept");
}

#[test]
fn a_reload_keeps_what_a_cache_knows() {
    let places = |text: &str| format!("proxy_cache_min_uses 2; location /marker {{ return 200 {text}; }}");
    let bench = Bench::new(Program::Ours, PATHS, &places("first"));
    let target = "/a?Cache-Control=max-age=1000";
    assert!(bench.get(target).contains("X-Count: 1"));
    let reload = |paths: &str, text: &str| {
        bench.testbed.write(&CONF.replace("PATHS", paths).replace("PLACES", &places(text))).expect("a configuration");
        bench.testbed.command(&["-s", "reload"])
    };
    reload(PATHS, "second").expect("-s reload");
    bench.testbed.wait_for_text(8080, "/marker", "second").expect("the reload");
    assert!(bench.get(target).contains("X-Count: 2"), "the first use is remembered: this one is kept");
    assert!(bench.get(target).contains("X-Count: 2"));
    let moved = PATHS.replace("cache levels", "elsewhere levels");
    let _ = reload(&moved, "third");
    let text = format!(
        "cache \"a\" uses the \"{PREFIX}/elsewhere\" cache path while previously it used the \"{PREFIX}/cache\" cache path"
    );
    wait_for("the refusal", LIMIT, || {
        bench.testbed.file("logs/info.log").ok().filter(|log| log.contains(&text)).map(|_| ())
    })
    .expect("a refusal");
    assert!(bench.get("/marker").contains("second"));
}

#[test]
fn a_head_without_room_behind_its_key_is_passed_on() {
    let big = "x".repeat(400);
    let conf = format!(
        "events {{ }}
http {{
    access_log off;
    proxy_cache_path cache keys_zone=small:1m;
    server {{ listen 127.0.0.1:8080; proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_busy_buffers_size 2k;
        location / {{ proxy_pass http://127.0.0.1:8081; proxy_cache small; proxy_cache_valid 1m; }} }}
    server {{ listen 127.0.0.1:8081; location / {{ add_header X-Big {big}; return 200 \"answer\\n\"; }} }}
}}
"
    );
    let statuses = [Program::Original, Program::Ours].map(|program| {
        let testbed = TestBed::new(program).expect("a host");
        testbed.write(&conf).expect("a configuration");
        testbed.command(&[]).expect("a start");
        testbed.wait_for_text(8081, "/", "answer").expect("an answer");
        let long = format!("/{}", "k".repeat(300));
        // The same head behind a short key has room.
        ["/", &long].map(|target| testbed.get(8080, target).expect("an answer").status)
    });
    assert_eq!(statuses, [[200, 502], [200, 200]]);
}
