//! Telling the neighbours: gratuitous ARP (RFC 5227 §3) and unsolicited neighbour advertisements (RFC 4861 §7.2.6).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use pnet_packet::Packet;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};
use std::net::{Ipv4Addr, Ipv6Addr};

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

/// The ICMPv6 message announcing `address` at `mac`; its checksum is the kernel's to fill in.
pub fn unsolicited_na(mac: [u8; 6], address: Ipv6Addr, router: bool) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    const ROUTER: u8 = 0x80;
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    let mut bytes = vec![136, 0, 0, 0, flags, 0, 0, 0];
    bytes.extend(address.octets());
    // Target link-layer address, one unit of eight bytes.
    bytes.extend([2, 1]);
    bytes.extend(mac);
    bytes
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
        let message = unsolicited_na([2, 0, 0, 0, 0, 1], Ipv6Addr::LOCALHOST, false);
        assert_eq!((message[0], message[4], message.len()), (136, 0x20, 32));
    }
}
