//! What the fuzzers of this product run (`fuzz/run`).

use super::blocks::probe::MARK;
use super::read;
use super::slot::Machine;
use crate::conf::expand::Environment;
use crate::conf::print;
use crate::conf::source::Memory;
use crate::vrrp::config::{Authentication, Config, Version};
use crate::vrrp::wire::{self, Datagram, ipv4_packet, receive};
use std::net::{IpAddr, Ipv4Addr};

/// Reads any text as a configuration, and shows what is wrong with it.
pub fn configuration(text: &[u8]) {
    let memory = Memory { texts: [("/k.conf".to_owned(), text.to_vec())].into(), ..Memory::default() };
    let machine =
        Machine { has_interface: &|name| name == "ens33", has_user: &|user, _| user == "root", read_secret: &|_| None };
    let environment = Environment { mark: Some(MARK), ..Environment::default() };
    let Ok(reading) = read::read(&memory, "/k.conf", &environment, &machine) else { return };
    for complaint in reading.diagnostics.iter().chain(&reading.places) {
        let _ = print::picture(complaint, &reading.sources, false);
    }
}

/// Takes any bytes for a packet and for its payload, in both versions of VRRP.
pub fn advert(bytes: &[u8]) {
    for version in [Version::V2, Version::V3] {
        let mut config = Config::new(51, 100, vec![IpAddr::from([192, 168, 110, 10])]);
        config.authentication = Authentication::Pass(*b"123456\0\0");
        config.version = version;
        if let Ok(packet) = ipv4_packet(bytes) {
            let _ = receive(&packet, &config, true, &mut wire::Memory::default());
        }
        let (source, destination) =
            (Ipv4Addr::new(192, 168, 110, 11).into(), Some(Ipv4Addr::new(224, 0, 0, 18).into()));
        let _ = receive(
            &Datagram { source, destination, hops: 255, header: 20, ah: None, payload: bytes.to_vec(), clock: 0 },
            &config,
            false,
            &mut wire::Memory::default(),
        );
    }
}
