//! Which program a configuration file is for, told by what stands in it.

use clap::ValueEnum;

/// The programs whose files are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Dialect {
    /// nginx.conf and what it includes.
    Nginx,
    /// keepalived.conf.
    Keepalived,
    /// emqx.conf.
    Emqx,
}

impl Dialect {
    /// The program's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Keepalived => "keepalived",
            Self::Emqx => "emqx",
        }
    }

    /// Which program `text` is for; nothing when nothing in it tells. Lines only one of them could mean are counted.
    pub fn of(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let mut votes = [(Self::Keepalived, 0_usize), (Self::Emqx, 0), (Self::Nginx, 0)];
        for told in text.lines().filter_map(Self::of_line) {
            votes.iter_mut().filter(|(who, _)| *who == told).for_each(|(_, count)| *count += 1);
        }
        votes.into_iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count).map(|(who, _)| who)
    }

    fn of_line(line: &str) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default().trim();
        let first: &str = line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).next()?;
        let rest = line.get(first.len()..).unwrap_or_default().trim_start();
        if first.is_empty() {
            return None;
        }
        let ends = line.ends_with(';') || line.contains(';') && line.ends_with('}');
        if ends || rest.starts_with('{') && matches!(first, "events" | "http" | "stream" | "mail") {
            return Some(Self::Nginx);
        }
        if rest.starts_with('=') {
            return Some(Self::Emqx);
        }
        crate::keepalived::view::is_keyword(first).then_some(Self::Keepalived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_what_stands_in_it() {
        let told = |text: &str| Dialect::of(text.as_bytes());
        assert_eq!(told("events {}\nhttp { server { listen 80; } }"), Some(Dialect::Nginx));
        assert_eq!(told("server {\n  # state MASTER\n  listen 80;\n  root /x;\n}"), Some(Dialect::Nginx));
        assert_eq!(told("server { listen 80; location / { root /x; } }"), Some(Dialect::Nginx));
        assert_eq!(
            told("! head\nvrrp_instance VI_1 {\n  state MASTER\n  virtual_router_id 51\n}"),
            Some(Dialect::Keepalived)
        );
        assert_eq!(told("node {\n  name = \"emqx@10.0.0.1\"\n}"), Some(Dialect::Emqx));
        assert_eq!(told("listener.tcp.external = 1883\n"), Some(Dialect::Emqx));
        assert_eq!(told("words that configure nothing\n"), None);
    }
}
