//! Telling the neighbours: gratuitous ARP (RFC 5227 §3) and unsolicited neighbour advertisements (RFC 4861 §7.2.6).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use pnet::packet::Packet;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet::packet::ethernet::{EtherTypes, MutableEthernetPacket};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::wire::checksum;

/// The length of an Ethernet frame that holds an ARP packet.
const FRAME: usize = 14 + 28;

/// Everybody on the link.
const BROADCAST: [u8; 6] = [0xff; 6];

/// An Ethernet frame announcing `address` at `mac`: an ARP request, sender and target alike, as keepalived sends it.
pub fn gratuitous_arp(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut arp_bytes = [0_u8; 28];
    if let Some(mut arp) = MutableArpPacket::new(&mut arp_bytes) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(mac.into());
        arp.set_sender_proto_addr(address);
        arp.set_target_hw_addr(BROADCAST.into());
        arp.set_target_proto_addr(address);
    }
    let mut bytes = [0_u8; FRAME];
    if let Some(mut frame) = MutableEthernetPacket::new(&mut bytes) {
        frame.set_destination(BROADCAST.into());
        frame.set_source(mac.into());
        frame.set_ethertype(EtherTypes::Arp);
        frame.set_payload(&arp_bytes);
        return frame.packet().to_vec();
    }
    Vec::new()
}

/// An Ethernet frame with an unsolicited neighbour advertisement to all nodes: `address` is at `mac`, whatever was known.
pub fn unsolicited_na(mac: [u8; 6], address: Ipv6Addr, router: bool) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    const ROUTER: u8 = 0x80;
    const ICMPV6: u8 = 58;
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    let mut message = vec![136, 0, 0, 0, flags, 0, 0, 0];
    message.extend(address.octets());
    // Target link-layer address, one unit of eight bytes.
    message.extend([2, 1]);
    message.extend(mac);
    let pseudo = [address.octets(), ALL_NODES.octets()].concat();
    let sum = checksum(&[&pseudo, &[0, 0, 0, message.len() as u8, 0, 0, 0, ICMPV6], &message]);
    if let Some(slot) = message.get_mut(2..4) {
        slot.copy_from_slice(&sum.to_be_bytes());
    }
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1];
    frame.extend(mac);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, 255]);
    frame.extend(pseudo);
    frame.extend(message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gratuitous_arp_is_a_broadcast_request_about_itself() {
        let frame = gratuitous_arp([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 168, 110, 10));
        assert_eq!(frame.len(), 42);
        assert_eq!(frame[..14], [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6]);
        assert_eq!(frame[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(frame[22..32], [2, 0, 0, 0, 0, 1, 192, 168, 110, 10]);
        assert_eq!(frame[32..], [255, 255, 255, 255, 255, 255, 192, 168, 110, 10]);
    }

    #[test]
    fn an_unsolicited_advertisement_overrides() {
        let frame = unsolicited_na([2, 0, 0, 0, 0, 1], "fe80::1".parse().unwrap(), false);
        assert_eq!((frame.len(), frame[54], frame[58]), (86, 136, 0x20));
        let pseudo = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
        assert_eq!(checksum(&[&pseudo, &frame[54..]]), 0);
    }
}
