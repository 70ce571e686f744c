//! DER, read field by field and written: what certificates, keys, CRLs and OCSP messages are made of.

/// Tags of the universal types used here.
pub mod tag {
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BITS: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTETS: u8 = 0x04;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
}

/// The fields of one constructed value, in order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its tag.
    pub tag: u8,
    /// Its contents.
    pub body: &'a [u8],
    /// Its contents with tag and length.
    pub whole: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields `bytes` consist of.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field, of any tag; nothing at the end and where the encoding is wrong.
    pub fn any(&mut self) -> Option<Field<'a>> {
        let (tag, rest) = self.0.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match *length {
            short @ 0..=0x7f => (usize::from(short), rest),
            long => {
                let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                if digits.len() > 4 {
                    return None;
                }
                (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
            }
        };
        let (body, after) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - after.len())?;
        self.0 = after;
        Some(Field { tag: *tag, body, whole })
    }

    /// The contents of the next field if it has that tag; another one stays.
    pub fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut after = *self;
        let field = after.any().filter(|field| field.tag == tag)?;
        *self = after;
        Some(field.body)
    }

    /// The fields of the next field if it has that tag.
    pub fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    /// Whether no bytes are left.
    #[cfg(test)]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes a field of that tag around the parts.
pub fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let digits = length.to_be_bytes();
    let digits = digits.get(digits.iter().take_while(|digit| **digit == 0).count()..).unwrap_or_default();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        out.push(0x80 | digits.len() as u8);
        out.extend_from_slice(digits);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// A number without the zeros before it.
pub fn unsigned(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// A small number; nothing where it has more than eight bytes.
pub fn small(number: &[u8]) -> Option<u64> {
    let digits = unsigned(number);
    (digits.len() <= 8).then(|| digits.iter().fold(0, |sum, digit| sum << 8 | u64::from(*digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let body = vec![7; length];
            let written = wrap(tag::SEQUENCE, &[&body, b"x"]);
            let mut fields = Fields::new(&written);
            assert!(fields.take(tag::OCTETS).is_none());
            assert_eq!(fields.take(tag::SEQUENCE).map(<[u8]>::len), Some(length + 1));
            assert!(fields.is_empty());
        }
    }

    #[test]
    fn a_field_longer_than_its_bytes_is_none() {
        assert!(Fields::new(&[0x30, 3, 1, 1]).any().is_none());
        assert!(Fields::new(&[0x30, 0x85, 0, 0, 0, 0, 0]).any().is_none());
        assert_eq!((small(&[0, 0, 1, 2]), small(&[1; 9])), (Some(258), None));
    }
}
