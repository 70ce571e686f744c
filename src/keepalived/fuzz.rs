//! What the fuzzers of this product run (`fuzz/run`).

use super::blocks::probe::MARK;
use super::read;
use super::slot::Machine;
use crate::check::http::{self, Regex, Response};
use crate::check::probe::Probe;
use crate::check::smtp::Dialogue;
use crate::check::udp::{self, Reply};
use crate::check::{dns, grpc, mqtt, ping};
use crate::conf::expand::Environment;
use crate::conf::print;
use crate::conf::source::Memory;
use crate::kernel::ipvs;
use crate::sys::pcre::Pattern;
use crate::vrrp::config::{Authentication, Config, Version};
use crate::vrrp::wire::{self, Datagram, ipv4_packet, receive};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

/// Reads any text as a configuration, and shows what is wrong with it.
pub fn configuration(text: &[u8]) {
    let memory = Memory { texts: [("/k.conf".to_owned(), text.to_vec())].into(), ..Memory::default() };
    let machine =
        Machine { has_interface: &|name| name == "ens33", has_user: &|user, _| user == "root", read_secret: &|_| None };
    let environment = Environment { mark: Some(MARK), ..Environment::default() };
    let Ok(reading) = read::read(&memory, "/k.conf", &environment, &machine) else { return };
    for complaint in &reading.diagnostics {
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

/// A page with an expression that looks back and may match across pieces.
static PAGE: LazyLock<http::Url> = LazyLock::new(|| {
    let pattern = b"(?<=a)b+(c|\\n)".to_vec();
    let engine = Pattern::compile(&pattern, 0, None).ok();
    let regex = engine.map(|engine| {
        let engine = Arc::new(engine);
        Box::new(Regex { pattern, options: 0, no_match: false, min: 3, max: Some(9000), stack: None, engine })
    });
    http::Url { digest: Some([0; 16]), regex, ..http::Url::default() }
});

/// Takes any bytes for the reply of each kind of check, in pieces of the length the first byte gives, and for answers of the
/// kernel's IPVS.
pub fn replies(bytes: &[u8]) {
    let piece = bytes.first().map_or(1, |first| usize::from(*first).max(1));
    let mut response = Response::default();
    let mut dialogue = Dialogue::new("fuzz");
    for part in bytes.chunks(piece) {
        let _ = response.take(part, &PAGE);
        let _ = dialogue.take(part);
    }
    let _ = response.judge(&PAGE);
    let _ = dns::answer(bytes, 0x3030);
    let _ = (ping::answer(bytes, false), ping::answer(bytes, true));
    if let Some(data) = udp::hexadecimal(&String::from_utf8_lossy(bytes), true) {
        let _ = Reply { data, least: 0, most: 255 }.fits(bytes);
    }
    for probe in [
        Probe::Tcp,
        Probe::Http(Vec::new(), u32::MAX),
        Probe::FastCgi(Vec::new(), u32::MAX),
        Probe::SslHello,
        Probe::Mysql,
        Probe::Ajp,
    ] {
        let _ = probe.judge(bytes);
    }
    let status = grpc::status([(&b"grpc-status"[..], bytes)].into_iter());
    let _ = (grpc::is_healthy(status, bytes, None), mqtt::answer(bytes));
    ipvs::read(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::fuzz;

    fn run(seconds: u64, least: usize) -> usize {
        let seeds: &[&[u8]] = &[
            b"HTTP/1.0 200 OK\r\n\r\nabbc",
            b"220 mail\r\n250 hello\r\n221 bye\r\n",
            b"00\x81\x80\0\x01\0\0",
            b"\x16\x03\x01\0\x02\x02",
            b"AB\0\x01\x09",
            b"\x01\x06\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0",
            b"\x20\x02\0\0",
            // An acknowledgement, and a message with an attribute.
            b"\x24\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\xfe\xff\xff\xff\x14\0\0\0\x10\0\x05\0\x01\0\0\0\0\0\0\0",
            b"\x1c\0\0\0\x10\0\0\0\x01\0\0\0\0\0\0\0\x01\x02\0\0\x06\0\x01\0\x1c\0\0\0",
        ];
        fuzz::run(&seeds.iter().map(|seed| seed.to_vec()).collect::<Vec<_>>(), seconds, least, replies)
    }

    #[test]
    fn no_reply_makes_a_check_panic() {
        assert_eq!(run(0, 2000), 2000);
    }

    /// `RHA_FUZZ_SECONDS=600 cargo test … -- --ignored replies_for_a_time` looks longer.
    #[test]
    #[ignore = "runs as long as it is told"]
    fn replies_for_a_time() {
        let seconds = std::env::var("RHA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
        eprintln!("{} replies in {seconds} s, at most {} KiB", run(seconds, 1), fuzz::most_memory());
    }
}
