//! What other rooms may see of a keepalived configuration: plain data, nothing that runs.

use super::blocks::daemon::INCLUDE_CHECK;
use super::blocks::probe::MARK;
use super::contexts::{PLACES, ROOT};
use super::read::{self, Complaint, Gravity};
use super::slot::Machine;
use crate::conf::directive::Contexts;
use crate::conf::effect::Unserved;
use crate::conf::expand::Environment;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, Sources};
use crate::conf::tree::Block;

/// A configuration as it was read.
pub struct View {
    /// The statements, with everything put in.
    pub tree: Block,
    /// The texts they stand in.
    pub sources: Sources,
    /// What is known and not served.
    pub unserved: Vec<Unserved>,
    /// What keepalived complains of, in its words, and whether the configuration fails because of it.
    pub complaints: Vec<(String, bool)>,
    /// The complaint because of which keepalived does not start.
    pub refused: Option<String>,
}

/// Reads a configuration for a machine that has every interface and every user it names.
///
/// # Errors
/// The file cannot be read.
pub fn view(loader: &dyn Loader, path: &str, id: &str) -> std::io::Result<View> {
    let environment = Environment {
        id: id.to_owned(),
        instance: id.to_owned(),
        seed: 1,
        checks: Some(INCLUDE_CHECK),
        mark: Some(MARK),
    };
    let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    let reading = read::read(loader, path, &environment, &machine)?;
    let fatal = |complaint: &&Complaint| complaint.gravity >= Gravity::Fatal;
    let refused = reading.complaints.iter().find(fatal).map(|complaint| complaint.text.clone());
    let complaints = reading.complaints.into_iter().filter(|complaint| complaint.gravity > Gravity::Notice);
    Ok(View {
        tree: reading.tree,
        sources: reading.sources,
        unserved: reading.places,
        refused,
        complaints: complaints.map(|complaint| (complaint.text, complaint.gravity >= Gravity::Error)).collect(),
    })
}

/// Every keyword, and the context a file begins in.
pub fn registry() -> (Registry, Contexts) {
    (read::registry(), ROOT)
}

/// The arguments that a keyword has where a block does not give it, if they are the same in every file.
pub fn implied(registry: &Registry, block: &str, keyword: &str) -> Option<String> {
    let (context, _) = PLACES.iter().find(|(_, name)| *name == block)?;
    let row = registry.find(keyword.as_bytes(), *context)?;
    // A keyword without arguments that is on anyway.
    row.implied.map(|text| if text == row.name { String::new() } else { text.to_owned() })
}

/// Whether keepalived has a keyword of this name, anywhere.
pub fn is_keyword(name: &str) -> bool {
    read::registry().named(name.as_bytes()).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::{PLACES, read};
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::rows;
    use crate::keepalived::site::Site;
    use crate::keepalived::slot::Machine;

    fn site(block: &str, line: &str) -> Site {
        let inside = |name: &str| if name == block { line.to_owned() } else { String::new() };
        let text = format!(
            "global_defs {{\n{}\n}}\nvrrp_script s {{\nscript /bin/true\n{}\n}}\ntrack_file f {{\nfile /f\n{}\n}}\n\
             vrrp_track_process p {{\nprocess p\n{}\n}}\nvrrp_instance v {{\ninterface eth0\nvirtual_router_id 1\n\
             virtual_ipaddress {{\n10.0.0.1\n}}\ntrack_script {{\ns\n}}\ntrack_file {{\nf\n}}\ntrack_process {{\np\n}}\n{}\n}}\n",
            inside("global_defs"),
            inside("vrrp_script"),
            inside("track_file"),
            inside("vrrp_track_process"),
            inside("vrrp_instance"),
        );
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        read::read(&Memory::of("/k.conf", &text), "/k.conf", &Environment::default(), &machine).unwrap().into_site()
    }

    /// What a site makes of its instances and of what they track.
    fn meaning(site: &Site) -> (String, String) {
        (format!("{:?}", site.instances), format!("{:?} {:?}", site.scripts, site.processes))
    }

    #[test]
    fn an_implied_value_is_what_holds_without_it() {
        let mut count = 0;
        for (row, text) in rows().filter_map(|row| Some((row, row.implied?))) {
            let (_, block) = PLACES.iter().find(|(context, _)| row.contexts.meets(*context)).unwrap();
            let line = if text == row.name { text.to_owned() } else { format!("{} {text}", row.name) };
            // A comment of the same length keeps every place.
            let comment = format!("#{}", "x".repeat(line.len() - 1));
            assert_eq!(meaning(&site(block, &line)), meaning(&site(block, &comment)), "{block}: {line}");
            let other = match text.parse::<u32>() {
                Ok(number) => format!("{} {}", row.name, number + 1),
                Err(_) if text == row.name => format!("no{}{text}", if text == "accept" { "_" } else { "" }),
                Err(_) if text == "BACKUP" => "state MASTER".to_owned(),
                Err(_) if text.contains(':') => format!("{} ff02::13", row.name),
                Err(_) => format!("{} 224.0.0.19", row.name),
            };
            let comment = format!("#{}", "x".repeat(other.len() - 1));
            // The group of IPv6 adverts means nothing to a router of IPv4.
            let changed = meaning(&site(block, &other)) != meaning(&site(block, &comment));
            assert_eq!(changed, !text.contains(':'), "{block}: {other}");
            count += 1;
        }
        assert_eq!(count, 21);
    }
}
