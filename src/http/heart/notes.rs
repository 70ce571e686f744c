//! What modules keep with a request, so that they work it out once.

/// What is known of a request's link; the first use settles it for the whole request.
#[derive(Clone, Default)]
pub struct Link {
    /// `$secure_link`: 1, 0 for a link that has ended, or what follows the checksum in the path; nothing for a wrong one.
    pub value: Option<Vec<u8>>,
    /// `$secure_link_expires`.
    pub expires: Option<Vec<u8>>,
}

/// What is known of the client by its `userid` cookie.
#[derive(Clone, Default)]
pub struct Client {
    /// The identity it has; nothing where the last number is 0.
    pub got: [u32; 4],
    /// The one it is given; nothing where the last number is 0.
    pub set: [u32; 4],
    /// The value of its cookie.
    pub cookie: Vec<u8>,
    /// Whether it is given another one for what it has.
    pub is_reset: bool,
}
