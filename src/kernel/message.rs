//! The body of a netlink message: a fixed part, and attributes behind it.

/// A body that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(Vec<u8>);

impl Body {
    /// A body that begins with a fixed part.
    pub fn new(fixed: &[u8]) -> Self {
        Self(fixed.to_vec())
    }

    /// Adds an attribute, filled up to four bytes.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Adds a number of four bytes.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Adds an address.
    pub fn address(&mut self, kind: u16, ip: std::net::IpAddr) {
        match ip {
            std::net::IpAddr::V4(ip) => self.attribute(kind, &ip.octets()),
            std::net::IpAddr::V6(ip) => self.attribute(kind, &ip.octets()),
        }
    }

    /// Adds a name, with a zero byte behind it.
    pub fn name(&mut self, kind: u16, name: &str) {
        self.attribute(kind, &[name.as_bytes(), &[0]].concat());
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::Attributes;

    #[test]
    fn what_is_written_is_read_again() {
        let mut body = Body::new(&[1, 2, 3, 4]);
        body.attribute(5, &[9, 8, 7]);
        body.number(6, 77);
        body.name(7, "eth0");
        let read: Vec<(u16, Vec<u8>)> =
            Attributes(&body.bytes()[4..]).map(|(kind, value)| (kind, value.to_vec())).collect();
        let number = 77_u32.to_ne_bytes().to_vec();
        assert_eq!(read, [(5, vec![9, 8, 7]), (6, number), (7, b"eth0\0".to_vec())]);
    }
}
