//! `auth_hmac` completed: its keys read and judged, and what it excludes.

use super::instance::Completion;
use crate::keepalived::blocks::hmac::{LENGTH, Source, decode};
use crate::keepalived::blocks::instance::Instance as Given;
use crate::keepalived::slot::LONGEST_SECRET;
use crate::vrrp::config::{Authentication, Config};
use crate::vrrp::wire::hmac::{Hmac, Key, Mode};

/// The window of clocks unless given, in seconds: three intervals, between these.
const WINDOW: [u64; 2] = [5, 300];

impl Completion<'_> {
    /// The trailer behind the adverts of an instance; its window is completed by [`Completion::protect`].
    ///
    /// Differs from keepalived: keys are judged with the instance, behind the lines about its words, and a key file that others may read is an error like any other. [test: what_is_wrong_with_trailers_is_said]
    pub(super) fn hmac(&mut self, given: &Given, strict: bool) -> Option<Hmac> {
        let name = &given.name;
        let wanted = given.hmac.as_ref()?;
        let mut keys: Vec<Key> = Vec::new();
        for (id, source) in &wanted.keys {
            let bytes = self.key(name, source);
            if !LENGTH.contains(&bytes.len()) {
                let (length, least, most) = (bytes.len(), LENGTH.start(), LENGTH.end());
                self.error(format!("({name}) auth_hmac key {id} length {length} not in range [{least}, {most}]"));
            } else if keys.iter().any(|key| key.id == *id) {
                self.error(format!("({name}) duplicate auth_hmac key id {id}"));
            } else {
                keys.push(Key { id: *id, bytes });
            }
        }
        let active = wanted.active.unwrap_or_default();
        if !keys.iter().any(|key| key.id == active) {
            self.error(format!("({name}) auth_hmac active_key {active} is not defined, disabling extension"));
            return None;
        }
        let mut mode = wanted.mode;
        if strict && mode != Mode::Enforce {
            self.error(format!("({name}) strict mode requires auth_hmac mode enforce"));
            mode = Mode::Enforce;
        }
        Some(Hmac { keys, active, mode, window: (!wanted.monotonic).then(|| wanted.window.unwrap_or_default()) })
    }

    /// The bytes of a key.
    fn key(&mut self, name: &str, source: &Source) -> Vec<u8> {
        let path = match source {
            Source::Text(text) => return decode(text),
            Source::File(path) => path,
        };
        let Some(file) = (self.read_secret)(path) else {
            self.error(format!("({name}) auth_hmac key file '{path}' cannot be opened"));
            return Vec::new();
        };
        if file.exposed {
            let text = format!("({name}) auth_hmac key file '{path}' is readable by group or others");
            self.error(text);
        }
        if file.bytes.len() > LONGEST_SECRET {
            self.error(format!("({name}) auth_hmac key file '{path}' is too large"));
            return Vec::new();
        }
        let end = file.bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        decode(file.bytes.get(..end).unwrap_or_default())
    }

    /// Gives a router its trailer, which excludes every other authentication.
    pub(super) fn protect(&mut self, router: &mut Config, hmac: Option<Hmac>, given: &Given) {
        if given.hmac.is_some() && router.authentication != Authentication::None {
            let text = "auth_hmac cannot be combined with authentication, dropping legacy auth";
            self.error(format!("({}) {text}", given.name));
            router.authentication = Authentication::None;
        }
        let [least, most] = WINDOW;
        let window = (router.interval.as_secs() * 3).clamp(least, most) as u32;
        router.hmac =
            hmac.map(|hmac| Hmac { window: hmac.window.map(|given| if given == 0 { window } else { given }), ..hmac });
    }
}

#[cfg(test)]
mod tests {
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::{Machine, SecretFile};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    /// What is said of an instance with these words in its `auth_hmac`, and what its trailer becomes.
    fn outcome(words: &str, more: &str) -> (Vec<String>, String) {
        let text = format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {{\n 192.0.2.9\n }}\n{more}\n \
             auth_hmac {{\n {words}\n }}\n}}\n"
        );
        let secret = |path: &str| match path {
            "/open" => Some(SecretFile { bytes: format!("{KEY}\r\n").into_bytes(), exposed: true }),
            "/large" => Some(SecretFile { bytes: vec![b'a'; 140], exposed: false }),
            _ => None,
        };
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &secret };
        let reading = read(&Memory::of("k", &text), "k", &Environment::default(), &machine).unwrap();
        // Without their places.
        let line = |text: &str| text[text.find("(V)").unwrap_or(0)..].to_owned();
        let lines = reading.complaints.iter().map(|complaint| line(&complaint.text)).collect();
        let hmac = reading.site.instances[0].router.hmac.as_ref();
        let shown = hmac.map(|hmac| {
            let keys: Vec<u8> = hmac.keys.iter().map(|key| key.id).collect();
            format!("{keys:?} {} {} {:?}", hmac.active, hmac.mode.word(), hmac.window)
        });
        (lines, shown.unwrap_or_default())
    }

    #[test]
    fn what_is_wrong_with_trailers_is_said() {
        let good = format!("key 1 {KEY}\n active_key 1");
        assert_eq!(outcome(&good, ""), (vec![], "[1] 1 enforce Some(5)".to_owned()));
        assert_eq!(outcome(&good, "advert_int 3").1, "[1] 1 enforce Some(9)");
        let more = format!("{good}\n time_window 20\n mode receive-only");
        assert_eq!(outcome(&more, "").1, "[1] 1 receive-only Some(20)");
        assert_eq!(outcome(&format!("{more}\n anti_replay monotonic"), "").1, "[1] 1 receive-only None");
        let disabled = |id: u8| format!("(V) auth_hmac active_key {id} is not defined, disabling extension");
        for (words, lines) in [
            (
                "key 1 short".to_owned(),
                vec!["(V) auth_hmac key 1 length 5 not in range [32, 64]".to_owned(), disabled(0)],
            ),
            ("key 1".to_owned(), vec!["(V) auth_hmac key needs an id and a value".to_owned(), disabled(0)]),
            (format!("key 1 {KEY}\n active_key 2"), vec![disabled(2)]),
            (
                "key 1 file:/none\n active_key 1".to_owned(),
                vec![
                    "(V) auth_hmac key file '/none' cannot be opened".to_owned(),
                    "(V) auth_hmac key 1 length 0 not in range [32, 64]".to_owned(),
                    disabled(1),
                ],
            ),
            (
                "key 1 file:/large\n active_key 1".to_owned(),
                vec![
                    "(V) auth_hmac key file '/large' is too large".to_owned(),
                    "(V) auth_hmac key 1 length 0 not in range [32, 64]".to_owned(),
                    disabled(1),
                ],
            ),
        ] {
            let (said, hmac) = outcome(&words, "");
            assert_eq!((said, hmac.as_str()), (lines, ""), "{words}");
        }
        let (said, hmac) = outcome("key 7 file:/open\n active_key 7", "");
        assert_eq!(said, ["(V) auth_hmac key file '/open' is readable by group or others"]);
        assert_eq!(hmac, "[7] 7 enforce Some(5)");
        let (said, hmac) = outcome(&format!("{good}\n key 1 {KEY}\n mode maybe\n anti_replay no"), "");
        let ends = |end: &str| said.iter().any(|line| line.ends_with(end));
        assert!(ends("(V) duplicate auth_hmac key id 1"), "{said:?}");
        assert!(ends("(V) auth_hmac mode 'maybe' must be enforce, permissive or receive-only"), "{said:?}");
        assert!(ends("(V) auth_hmac anti_replay 'no' must be time or monotonic"), "{said:?}");
        assert_eq!(hmac, "[1] 1 enforce Some(5)");
        let both = "authentication {\n auth_type PASS\n auth_pass x\n }";
        let dropped = "(V) auth_hmac cannot be combined with authentication, dropping legacy auth";
        assert_eq!(outcome(&good, both), (vec![dropped.to_owned()], "[1] 1 enforce Some(5)".to_owned()));
        let strict = outcome(&format!("{good}\n mode permissive"), "strict_mode");
        assert!(strict.0.contains(&"(V) strict mode requires auth_hmac mode enforce".to_owned()), "{:?}", strict.0);
        assert_eq!(strict.1, "[1] 1 enforce Some(5)");
    }
}
