//! A folder in which a configuration can run without touching anything else: its own ports, logs and caches, and
//! symbolic links to what it only reads.

use super::backend::{Backends, Speech};
use super::text::{Row, print, print_with_places, rows};
use crate::conf::diagnostic::reason;
use crate::migrate::input::Text;
use crate::migrate::report::Failure;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::{fs, io};

mod stream;

/// The folder, removed when dropped.
pub struct Sandbox {
    folder: PathBuf,
    /// The rewritten configuration.
    pub conf: PathBuf,
    /// What `-p` is.
    pub prefix: PathBuf,
    /// Where each port of the http servers is now.
    pub ports: BTreeMap<u16, Place>,
    /// The same of the stream servers.
    pub streams: BTreeMap<u16, Place>,
    /// The same of those that take datagrams.
    pub datagrams: BTreeMap<u16, Place>,
    /// The stream module has to be loaded where it is not part of the program.
    pub wants_stream: bool,
    /// What is not as it was, for the reader.
    pub notes: Vec<String>,
    /// Folders for temporary files that have to be named for nginx to leave its own alone.
    temporary: Vec<&'static str>,
    /// Where the operator's files have what begins in each line of the configuration.
    places: Vec<Option<String>>,
}

/// Where a port is now.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The address.
    pub address: SocketAddr,
    /// Connections begin with a PROXY header.
    pub proxied: bool,
}

/// Directives of the outermost level that are left out.
const PROCESS: [&str; 9] = [
    "daemon",
    "master_process",
    "pid",
    "lock_file",
    "worker_processes",
    "working_directory",
    "worker_rlimit_core",
    "worker_cpu_affinity",
    "google_perftools_profiles",
];

/// Directives that write into the folders that are served, and are left out.
const WRITING: [&str; 7] = [
    "dav_methods",
    "create_full_put_path",
    "proxy_store",
    "fastcgi_store",
    "uwsgi_store",
    "scgi_store",
    "ssl_stapling",
];

/// Folders nginx makes for itself, wherever it was built to.
const TEMPORARY: [&str; 5] =
    ["client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path"];

/// The file that names them: what rnginx does not serve it would refuse, and needs no folder for.
const PATHS: &str = "conf/rmigrate-paths.conf";

/// The file that loads what a program does not have built in.
const MODULES: &str = "conf/rmigrate-modules.conf";

/// Gateways no stand-in speaks the language of.
const FOREIGN: [&str; 5] = ["fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "grpc_pass"];

impl Sandbox {
    /// Makes it, and the configuration in it.
    ///
    /// # Errors
    /// The folder cannot be made, or the configuration not read.
    pub fn make(text: &Text, backends: &Backends, live: bool) -> Result<Self, Failure> {
        let rows = rows(&text.tree).map_err(|said| Failure(format!("{}: {said}", text.name)))?;
        let folder = fresh().map_err(|error| Failure(format!("no folder for the sandbox: {}", reason(&error))))?;
        let mut sandbox = Self {
            conf: folder.join("conf/rmigrate-probe.conf"),
            prefix: folder.join("prefix"),
            folder,
            ports: BTreeMap::new(),
            streams: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            wants_stream: false,
            notes: Vec::new(),
            temporary: Vec::new(),
            places: Vec::new(),
        };
        let prefix = crate::nginx::view::inputs(&text.name).prefix;
        let own = Path::new(&text.name).parent().map(Path::to_path_buf).unwrap_or_default();
        let made = sandbox.furnish(Path::new(&prefix), &own);
        made.map_err(|error| Failure(format!("{}: {}", sandbox.folder.display(), reason(&error))))?;
        let mut rewriter = Rewriter {
            folder: sandbox.folder.to_string_lossy().into_owned(),
            prefix,
            backends,
            live,
            groups: groups(&rows, "http"),
            stream_groups: groups(&rows, "stream"),
            temporary: Vec::new(),
            files: 0,
            ports: BTreeMap::new(),
            streams: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            notes: Vec::new(),
        };
        let loaded = |row: &Row| row.name() == "load_module" && row.word(1).contains("ngx_stream_module");
        sandbox.wants_stream = rows.iter().any(|row| row.name() == "stream") && !rows.iter().any(loaded);
        let rewritten = rewriter.main(rows)?;
        let (printed, places) = print_with_places(&rewritten);
        sandbox.places = places.into_iter().map(|span| span.map(|span| text.place(span))).collect();
        let written = fs::write(&sandbox.conf, printed);
        written.map_err(|error| Failure::file(&sandbox.conf.to_string_lossy(), &error))?;
        (sandbox.ports, sandbox.streams) = (rewriter.ports, rewriter.streams);
        sandbox.datagrams = rewriter.datagrams;
        (sandbox.notes, sandbox.temporary) = (rewriter.notes, rewriter.temporary);
        sandbox.notes.sort();
        sandbox.notes.dedup();
        Ok(sandbox)
    }

    /// A text without the sandbox's own paths, for a reader: a line of its configuration is the operator's own.
    pub fn plain(&self, text: &str) -> String {
        let conf = format!("{}:", self.conf.to_string_lossy());
        let mut parts = text.split(conf.as_str());
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (line, rest) = part.split_at(digits);
            let place = line.parse::<usize>().ok().and_then(|line| self.places.get(line.checked_sub(1)?)?.as_ref());
            match place {
                Some(place) => out.push_str(place),
                None => out.push_str(&format!("{conf}{line}")),
            }
            out.push_str(rest);
        }
        out.replace(&*self.folder.to_string_lossy(), "SANDBOX")
    }

    /// Makes ready for a program: nothing is left of the one before. `served` tells which directives it has, `modules`
    /// which it must load for them.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn prepare(&self, served: &dyn Fn(&str) -> bool, modules: &[String]) -> io::Result<()> {
        for name in ["temp", "cache", "log"] {
            let folder = self.folder.join(name);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder)?;
            // Workers that give up root write here.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o1777))?;
        }
        let named = self.temporary.iter().filter(|name| served(name));
        let rows: Vec<Row> =
            named.map(|name| Row::new(&[name, &format!("{}/temp/{name}", self.folder.to_string_lossy())])).collect();
        fs::write(self.folder.join(PATHS), print(&rows))?;
        let rows: Vec<Row> = modules.iter().map(|module| Row::new(&["load_module", module])).collect();
        fs::write(self.folder.join(MODULES), print(&rows))
    }

    fn furnish(&self, prefix: &Path, own: &Path) -> io::Result<()> {
        for name in ["conf", "prefix/logs"] {
            fs::create_dir_all(self.folder.join(name))?;
        }
        link_all(own, &self.folder.join("conf"), |_| true)?;
        link_all(prefix, &self.prefix, |name| name != "logs" && name != "conf" && !name.ends_with("_temp"))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Links are removed, never followed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn fresh() -> io::Result<PathBuf> {
    let base = std::env::temp_dir();
    for number in 0..1000 {
        let path = base.join(format!("rmigrate-probe-{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Links to everything in a folder, which may be missing.
fn link_all(from: &Path, to: &Path, wanted: fn(&str) -> bool) -> io::Result<()> {
    let from = fs::canonicalize(if from.as_os_str().is_empty() { Path::new(".") } else { from });
    let Ok(entries) = from.and_then(fs::read_dir) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if wanted(&name.to_string_lossy()) {
            match symlink(entry.path(), to.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The names of the upstreams in blocks of a name.
fn groups(rows: &[Row], block: &str) -> Vec<String> {
    let inside = rows.iter().filter(|row| row.name() == block).filter_map(|row| row.inside.as_ref()).flatten();
    inside.filter(|row| row.name() == "upstream").map(|row| row.word(1)).collect()
}

struct Rewriter<'a> {
    folder: String,
    prefix: String,
    backends: &'a Backends,
    live: bool,
    groups: Vec<String>,
    stream_groups: Vec<String>,
    /// Folders for temporary files the configuration does not name.
    temporary: Vec<&'static str>,
    files: usize,
    ports: BTreeMap<u16, Place>,
    streams: BTreeMap<u16, Place>,
    datagrams: BTreeMap<u16, Place>,
    notes: Vec<String>,
}

impl Rewriter<'_> {
    fn main(&mut self, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        let mut out = vec![
            Row::new(&["include", &format!("{}/{MODULES}", self.folder)]),
            Row::new(&["daemon", "off"]),
            Row::new(&["worker_processes", "1"]),
            Row::new(&["pid", &format!("{}/nginx.pid", self.folder)]),
            Row::new(&["lock_file", &format!("{}/nginx.lock", self.folder)]),
        ];
        if !rows.iter().any(|row| matches!(row.name().as_str(), "http" | "stream")) {
            return Err(Failure("there is no http or stream block whose servers could be asked".to_owned()));
        }
        for mut row in rows {
            let name = row.name();
            if PROCESS.contains(&name.as_str()) {
                continue;
            }
            if name == "mail" {
                self.note("mail is left out; only http and stream are asked");
                continue;
            }
            if name == "load_module" && !row.word(1).starts_with('/') {
                let full = format!("{}{}", self.prefix, row.word(1));
                row.set(1, &full);
            }
            if name == "http" {
                row.inside = Some(self.http(row.inside.unwrap_or_default())?);
            } else if name == "stream" {
                row.inside = Some(self.stream(row.inside.unwrap_or_default())?);
            } else if let Some(kept) = self.line(&mut row)? {
                row = kept;
            } else {
                continue;
            }
            out.push(row);
        }
        Ok(out)
    }

    fn http(&mut self, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        let given = |name: &str| rows.iter().any(|row| row.name() == name);
        let mut out = Vec::new();
        self.temporary = TEMPORARY.into_iter().filter(|name| !given(name)).collect();
        out.push(Row::new(&["include", &format!("{}/{PATHS}", self.folder)]));
        if !given("access_log") {
            out.push(Row::new(&["access_log", &format!("{}/log/access", self.folder)]));
        }
        for mut row in rows {
            match row.name().as_str() {
                "upstream" => {
                    row.inside = Some(self.upstream(Speech::Http, row.inside.unwrap_or_default())?);
                    out.push(row);
                }
                "server" => {
                    let inside = self.listens(row.inside.unwrap_or_default())?;
                    row.inside = Some(self.block(inside)?);
                    out.push(row);
                }
                _ => out.extend(self.line(&mut row)?),
            }
        }
        Ok(out)
    }

    fn block(&mut self, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        let mut out = Vec::new();
        for mut row in rows {
            out.extend(self.line(&mut row)?);
        }
        Ok(out)
    }

    /// A statement as it is in the sandbox; nothing where it is left out.
    fn line(&mut self, row: &mut Row) -> Result<Option<Row>, Failure> {
        let name = row.name();
        if let Some(inside) = row.inside.take() {
            // The rows of tables are no directives.
            let table = matches!(name.as_str(), "map" | "geo" | "types" | "split_clients" | "charset_map");
            row.inside = Some(if table { inside } else { self.block(inside)? });
            return Ok(Some(row.clone()));
        }
        match name.as_str() {
            "error_log" => {
                let file = self.file("error");
                row.set(1, &file);
            }
            "access_log" if row.word(1) != "off" => {
                let file = self.file("access");
                row.set(1, &file);
            }
            _ if WRITING.contains(&name.as_str()) => {
                self.note(&format!("{name} is left out: it would write, or ask outside, in earnest"));
                return Ok(None);
            }
            _ if TEMPORARY.contains(&name.as_str()) => {
                let file = self.file("temp");
                row.set(1, &file.replace("/log/", "/temp/"));
            }
            _ if name.ends_with("_cache_path") => {
                let file = self.file("cache");
                row.set(1, &file.replace("/log/", "/cache/"));
            }
            "proxy_pass" if !self.live => self.proxied(row)?,
            "proxy_http_version" if !self.live && row.word(1) == "2" => {
                self.note("proxy_http_version 2: the stand-ins speak HTTP/1.1");
                row.set(1, "1.1");
            }
            "resolver" if !self.live => {
                self.note("resolver is left out: every server is a stand-in");
                return Ok(None);
            }
            _ if FOREIGN.contains(&name.as_str()) && !self.live => {
                if !self.groups.contains(&row.word(1)) {
                    let nowhere = self.backends.nowhere()?;
                    row.set(1, &nowhere.to_string());
                }
                self.note(&format!("{name} has no stand-in: these requests end with 502"));
            }
            _ => {}
        }
        Ok(Some(row.clone()))
    }

    fn upstream(&mut self, speech: Speech, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        let mut out = Vec::new();
        for mut row in rows {
            if row.name() == "server" && !self.live {
                let address = self.backends.of(speech, &row.word(1))?;
                row.set(1, &address.to_string());
                // A stand-in's address need not be looked up.
                row.words.retain(|word| word != b"resolve");
            }
            if row.name() != "resolver" || self.live {
                out.push(row);
            }
        }
        Ok(out)
    }

    fn proxied(&mut self, row: &mut Row) -> Result<(), Failure> {
        let url = row.word(1);
        let Some((scheme, rest)) = url.split_once("://") else {
            let address = self.backends.of(Speech::Http, &url)?;
            self.note(&format!("proxy_pass {url}: one stand-in for all that the variable may be"));
            row.set(1, &format!("http://{address}"));
            return Ok(());
        };
        if scheme != "http" {
            self.note(&format!("proxy_pass {scheme}://: the stand-ins speak plain HTTP"));
        }
        let unix =
            rest.strip_prefix("unix:").map(|rest| rest.split_once(':').map_or((rest, ""), |(path, uri)| (path, uri)));
        let (authority, uri) = unix.unwrap_or_else(|| rest.split_at(end_of_host(rest)));
        if self.groups.iter().any(|group| group == authority) {
            row.set(1, &format!("http://{authority}{uri}"));
            return Ok(());
        }
        if authority.contains('$') {
            self.note(&format!("proxy_pass {url}: one stand-in for all that the variable may be"));
        }
        let address = self.backends.of(Speech::Http, authority)?;
        row.set(1, &format!("http://{address}{uri}"));
        Ok(())
    }

    /// The listens of a server, each port in its new place, each once.
    fn listens(&mut self, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        let mut seen = Vec::new();
        let mut out = Vec::new();
        let none = !rows.iter().any(|row| row.name() == "listen");
        let implied = none.then(|| Row::new(&["listen", "80"]));
        for row in implied.into_iter().chain(rows) {
            if row.name() != "listen" {
                out.push(row);
                continue;
            }
            out.extend(self.listen(&row, Speech::Http, &mut seen)?);
        }
        if seen.is_empty() {
            let nowhere = self.backends.nowhere()?;
            out.push(Row::new(&["listen", &nowhere.to_string()]));
        }
        Ok(out)
    }

    /// A `listen` line at the sandbox's place for its port; nothing for what cannot be asked, or has been `seen`.
    fn listen(&mut self, row: &Row, speech: Speech, seen: &mut Vec<SocketAddr>) -> Result<Option<Row>, Failure> {
        let words = row.rest(2);
        let udp = words.iter().any(|word| word == "udp");
        let Some(port) = port(&row.word(1)) else {
            self.note("listen unix: is left out");
            return Ok(None);
        };
        let places = match (speech, udp) {
            (Speech::Line, true) => &mut self.datagrams,
            (Speech::Line, false) => &mut self.streams,
            (Speech::Http, _) => &mut self.ports,
        };
        let address = place(places, port)?.address;
        if seen.contains(&address) {
            return Ok(None);
        }
        seen.push(address);
        if words.iter().any(|word| word == "proxy_protocol") {
            places.insert(port, Place { address, proxied: true });
        }
        let mut listen = vec!["listen".to_owned(), address.to_string()];
        for word in words {
            match word.as_str() {
                "default_server" | "default" | "proxy_protocol" | "udp" => listen.push(word),
                "ssl" if speech == Speech::Line => self.note("listen ssl: a plain line is said instead"),
                "ssl" | "http2" | "quic" => self.note(&format!("listen {word}: plain HTTP is asked instead")),
                _ => {}
            }
        }
        Ok(Some(Row::new(&listen.iter().map(String::as_str).collect::<Vec<_>>())))
    }

    fn file(&mut self, name: &str) -> String {
        self.files += 1;
        format!("{}/log/{name}-{}", self.folder, self.files)
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

/// Where the host of an URL ends: at its path, or at a variable that stands for one.
fn end_of_host(rest: &str) -> usize {
    let paths = ["$request_uri", "$uri", "$document_uri", "$is_args", "?"].iter().filter_map(|mark| rest.find(mark));
    paths.chain(rest.find('/')).min().unwrap_or(rest.len())
}

/// The port of a listen; nothing for a socket in the file system.
fn port(text: &str) -> Option<u16> {
    if text.starts_with("unix:") {
        return None;
    }
    if let Ok(port) = text.parse() {
        return Some(port);
    }
    let end = if text.ends_with(']') { None } else { text.rsplit_once(':') };
    Some(end.and_then(|(_, port)| port.parse().ok()).unwrap_or(80))
}

/// Where a port is; a new place for one that is new.
pub fn place(ports: &mut BTreeMap<u16, Place>, port: u16) -> Result<Place, Failure> {
    if let Some(place) = ports.get(&port) {
        return Ok(*place);
    }
    let address = free().map_err(|error| Failure(format!("no port is free: {}", reason(&error))))?;
    let place = Place { address, proxied: false };
    ports.insert(port, place);
    Ok(place)
}

/// An address nobody listens on at the moment.
pub fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::{end_of_host, port};

    #[test]
    fn ports_and_hosts_are_told() {
        assert_eq!(
            [port("80"), port("*:81"), port("[::]:82"), port("[::1]"), port("unix:/x")],
            [Some(80), Some(81), Some(82), Some(80), None]
        );
        assert_eq!(end_of_host("10.0.0.1:80$request_uri"), 11);
        assert_eq!(end_of_host("$host/x"), 5);
    }
}
