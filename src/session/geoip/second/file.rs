//! A database that may be replaced while it is used.

use crate::log::Level;
use maxminddb::{PathElement, Reader};
use parking_lot::Mutex;
use serde::de::{Deserialize, Deserializer, Visitor};
use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What MaxMind's library says of a file that cannot be read.
pub const UNREADABLE: &str = "Error opening the specified MaxMind DB file";
/// What it says of one that is no database.
const INVALID: &str = "The MaxMind DB file contains invalid metadata";

type Table = Reader<Vec<u8>>;

/// A field of a record.
#[derive(Debug, PartialEq)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// A number with a fraction.
    Float(f64),
    /// A number without a sign.
    Unsigned(u64),
    /// A number with a sign.
    Signed(i64),
    /// A number of 128 bits.
    Long(u128),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Scalar)
    }
}

/// Takes what is neither a map nor a list.
struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a single value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Bytes(value.as_bytes().to_vec()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_vec()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Signed(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Long(value))
    }
}

/// A database and its file.
pub struct File {
    path: String,
    /// How often the file is looked at.
    interval: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    table: Arc<Table>,
    /// When the file was looked at, and when it had changed, in seconds.
    checked: i64,
    changed: i64,
    /// What is to be logged of the file that was read meanwhile.
    outcome: Option<(Level, String)>,
    is_reading: bool,
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

impl File {
    /// The database of a file's bytes.
    ///
    /// # Errors
    /// The library's words.
    pub fn new(path: &str, bytes: Vec<u8>) -> Result<Self, &'static str> {
        let table = Arc::new(Reader::from_source(bytes).map_err(|_| INVALID)?);
        let (checked, changed) = (now(), now());
        let state = Mutex::new(State { table, checked, changed, outcome: None, is_reading: false });
        Ok(Self { path: path.to_owned(), interval: None, state })
    }

    /// The same, looked at again at this interval.
    pub fn every(mut self, interval: Option<Duration>) -> Self {
        self.interval = interval;
        self
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is looked at again.
    pub const fn is_watched(&self) -> bool {
        self.interval.is_some()
    }

    /// When the database was made.
    pub fn built(&self) -> u64 {
        self.state.lock().table.metadata().build_epoch
    }

    /// When the file was looked at.
    pub fn checked(&self) -> i64 {
        self.state.lock().checked
    }

    /// When the file had changed.
    pub fn changed(&self) -> i64 {
        self.state.lock().changed
    }

    /// A field of an address's record. A number in the path that finds nothing in a list is taken for a name.
    pub fn value(&self, address: IpAddr, path: &[PathElement<'_>]) -> Option<Value> {
        let table = self.state.lock().table.clone();
        let record = table.lookup(address).ok()?;
        let found = record.decode_path(path).ok().flatten();
        found.or_else(|| {
            let words: Vec<String> = path.iter().map(word).collect();
            let names: Vec<_> = words.iter().map(|word| PathElement::Key(word)).collect();
            record.decode_path(&names).ok().flatten()
        })
    }

    /// Looks whether the file has changed, where that is due; a new one is read by a thread. What is to be logged: of the
    /// file that was read since, or why it could not be looked at.
    pub fn watch(self: &Arc<Self>) -> Option<(Level, String)> {
        let interval = i64::try_from(self.interval?.as_secs()).unwrap_or(i64::MAX);
        let mut state = self.state.lock();
        let outcome = state.outcome.take();
        if state.is_reading || state.checked.saturating_add(interval) > now() {
            return outcome;
        }
        state.checked = now();
        let about = match std::fs::metadata(&self.path) {
            Ok(about) => about,
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                return Some((Level::Emerg, format!("stat() \"{}\" failed ({text})", self.path)));
            }
        };
        if about.mtime() > state.changed {
            let (file, changed) = (self.clone(), about.mtime());
            let read = move || file.replace(changed);
            match std::thread::Builder::new().name("geoip2".to_owned()).spawn(read) {
                Ok(_) => state.is_reading = true,
                Err(error) => return Some(self.unchanged(&error.to_string())),
            }
        }
        outcome
    }

    fn unchanged(&self, why: &str) -> (Level, String) {
        (Level::Error, format!("MMDB_open(\"{}\") failed to reload - {why}", self.path))
    }

    /// Reads the file anew; where that fails, the database stays as it is.
    fn replace(&self, changed: i64) {
        let bytes = std::fs::read(&self.path).map_err(|_| UNREADABLE);
        let table = bytes.and_then(|bytes| Reader::from_source(bytes).map_err(|_| INVALID));
        let mut state = self.state.lock();
        state.is_reading = false;
        state.outcome = Some(match table {
            Ok(table) => {
                state.changed = changed;
                state.table = Arc::new(table);
                (Level::Info, format!("Reload MMDB \"{}\"", self.path))
            }
            Err(why) => self.unchanged(why),
        });
    }
}

fn word(element: &PathElement<'_>) -> String {
    match element {
        PathElement::Key(key) => (*key).to_owned(),
        PathElement::Index(number) => number.to_string(),
        PathElement::IndexFromEnd(number) => format!("-{}", number + 1),
    }
}
