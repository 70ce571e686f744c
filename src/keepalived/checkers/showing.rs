//! What is known of virtual servers, for dumps.

use super::{Running, State};
use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::dumps::saved;
use crate::keepalived::dump::{self, servers};

impl Running {
    fn seen(&self) -> servers::Seen<'_> {
        let of = |states: &[super::CheckState]| {
            let seen = states
                .iter()
                .map(|one| servers::CheckSeen { attempts: one.schedule.attempts(), progress: one.progress });
            seen.collect()
        };
        servers::Seen {
            given: &self.given,
            machine: &self.machine,
            checks: self.check_states.iter().map(|states| of(states)).collect(),
            enabled: self.is_enabled(),
            kept: self.kept.as_deref(),
        }
    }
}

impl State {
    /// Writes keepalived_check.data.
    pub(super) fn dump(&self) {
        self.log.say(format!("Printing checker data for process({}) on signal", std::process::id()));
        let root = &self.site.root;
        let names = (root.net_namespace.as_deref(), root.instance.as_deref());
        self.write(&self.site.global.dumps.data_file("_check", names));
    }

    /// Keeps what is known before and after a reload, where the configuration asks for that.
    pub(super) fn save(&mut self, when: &str) {
        self.reloads += u32::from(when == "pre");
        if let Some(folder) = &self.site.global.config_save_dir {
            self.write(&saved(folder, "check", self.reloads, when));
        }
    }

    fn write(&self, path: &str) {
        if let Err(error) = dump::write(path, &self.text()) {
            self.log.say(format!("Can't open dump file {path} ({})", reason(&error)));
        }
    }

    /// Everything there is to see.
    pub(super) fn text(&self) -> String {
        let view = servers::View {
            site: &self.site,
            servers: self.servers.iter().map(Running::seen).collect(),
            alive: &|group, entry, protocol, ipv6| self.kernel.alive(group, entry, protocol, ipv6),
            file: &|name| self.files.seen(name),
        };
        servers::data(&view)
    }
}
