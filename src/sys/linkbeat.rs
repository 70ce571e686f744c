//! The state of a link as its driver tells it, asked by ioctl(2).

use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::AsRawFd;

/// What is asked, and how.
#[derive(Debug)]
pub struct LinkQuery(Socket);

/// The length of an interface's name with the byte that ends it.
const NAME: usize = libc::IFNAMSIZ;
/// Asks for the transceiver's number, and for one of its registers (`linux/sockios.h`).
const SIOCGMIIPHY: libc::Ioctl = 0x8947;
const SIOCGMIIREG: libc::Ioctl = 0x8948;
/// Asks what ethtool(8) asks.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// Asks whether there is a link (`linux/ethtool.h`).
const ETHTOOL_GLINK: u32 = 0x0a;

/// `struct ifreq` with `struct mii_ioctl_data` in it.
#[repr(C)]
struct MiiRequest {
    name: [u8; NAME],
    transceiver: u16,
    register: u16,
    input: u16,
    output: u16,
    rest: [u8; 16],
}

/// `struct ifreq` with flags in it.
#[repr(C)]
struct FlagsRequest {
    name: [u8; NAME],
    flags: u16,
    rest: [u8; 22],
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// `struct ifreq` with a pointer in it.
#[repr(C)]
struct EthtoolRequest {
    name: [u8; NAME],
    value: *mut EthtoolValue,
    rest: [u8; 16],
}

fn padded(name: &str) -> io::Result<[u8; NAME]> {
    let mut bytes = [0; NAME];
    let room = bytes.get_mut(..name.len()).filter(|_| name.len() < NAME);
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
    Ok(bytes)
}

impl LinkQuery {
    /// A socket to ask by.
    ///
    /// # Errors
    /// What socket(2) said.
    pub fn open() -> io::Result<Self> {
        Ok(Self(Socket::new(Domain::IPV4, Type::DGRAM, None)?))
    }

    /// Asks with a request the kernel may change.
    #[expect(unsafe_code, reason = "no crate has these requests")]
    fn ask<T>(&self, number: libc::Ioctl, request: &mut T) -> io::Result<()> {
        // SAFETY: every request of this file is as large as `struct ifreq`, and what the kernel writes into it are integers.
        let outcome = unsafe { libc::ioctl(self.0.as_raw_fd(), number, std::ptr::from_mut(request)) };
        if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The number of an interface's transceiver.
    ///
    /// # Errors
    /// The driver has none.
    pub fn transceiver(&self, interface: &str) -> io::Result<u16> {
        let mut request =
            MiiRequest { name: padded(interface)?, transceiver: 0, register: 0, input: 0, output: 0, rest: [0; 16] };
        self.ask(SIOCGMIIPHY, &mut request)?;
        Ok(request.transceiver)
    }

    /// A register of a transceiver.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn register(&self, interface: &str, transceiver: u16, register: u16) -> io::Result<u16> {
        let mut request =
            MiiRequest { name: padded(interface)?, transceiver, register, input: 0, output: 0, rest: [0; 16] };
        self.ask(SIOCGMIIREG, &mut request)?;
        Ok(request.output)
    }

    /// Whether ethtool(8) sees a link.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn ethtool(&self, interface: &str) -> io::Result<bool> {
        let mut value = EthtoolValue { command: ETHTOOL_GLINK, data: 0 };
        let mut request = EthtoolRequest { name: padded(interface)?, value: &raw mut value, rest: [0; 16] };
        self.ask(SIOCETHTOOL, &mut request)?;
        Ok(value.data != 0)
    }

    /// Whether the interface is up and running by its flags.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn runs(&self, interface: &str) -> io::Result<bool> {
        let mut request = FlagsRequest { name: padded(interface)?, flags: 0, rest: [0; 22] };
        self.ask(libc::SIOCGIFFLAGS, &mut request)?;
        let wanted = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
        Ok(request.flags & wanted == wanted)
    }
}

#[cfg(test)]
mod tests;
