//! Names of hosts, as the system finds them.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What getaddrinfo(3) allocated, until this is dropped.
struct Found(*mut libc::addrinfo);

impl Drop for Found {
    #[expect(unsafe_code, reason = "freeaddrinfo has no safe form")]
    fn drop(&mut self) {
        // SAFETY: made by getaddrinfo, not null, freed once.
        unsafe { libc::freeaddrinfo(self.0) }
    }
}

/// The addresses of a host in the system's order, each once; of a family this machine has no address of, none.
#[expect(unsafe_code, reason = "the standard library asks for families that the machine does not have, too")]
pub fn addresses(host: &str) -> Vec<IpAddr> {
    let Ok(host) = CString::new(host) else { return Vec::new() };
    let mut found: Vec<IpAddr> = Vec::new();
    // SAFETY: a zeroed addrinfo is a valid hint; the name ends with a zero. The list is the system's until it is freed, and
    // an address is of the kind its family says.
    unsafe {
        let mut hints: libc::addrinfo = std::mem::zeroed();
        hints.ai_family = libc::AF_UNSPEC;
        hints.ai_socktype = libc::SOCK_STREAM;
        hints.ai_flags = libc::AI_ADDRCONFIG;
        let mut list = std::ptr::null_mut();
        if libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &raw const hints, &raw mut list) != 0 || list.is_null() {
            return found;
        }
        let list = Found(list);
        let mut next = list.0;
        while let Some(one) = next.as_ref() {
            next = one.ai_next;
            let address = match one.ai_family {
                libc::AF_INET => {
                    let address = one.ai_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    IpAddr::V4(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)))
                }
                libc::AF_INET6 => {
                    let address = one.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr))
                }
                _ => continue,
            };
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_once_each() {
        assert_eq!(addresses("127.0.0.1"), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert_eq!(addresses("192.0.2.7"), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert!(addresses("a\0b").is_empty() && addresses("").is_empty());
    }
}
