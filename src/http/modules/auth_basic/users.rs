//! The file of names and passwords, read as nginx reads it.

/// What a file says of a user.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The hash of the password.
    Password(&'a [u8]),
    /// The file has no such user.
    Nothing,
}

/// Finds a user. A line of another user ends the comparison where it differs; where that is its line end, the next line
/// is taken for the rest of it, as nginx does.
pub fn find<'a>(file: &'a [u8], user: &[u8]) -> Found<'a> {
    let mut rest = file;
    loop {
        while let Some(after) = rest.strip_prefix(b"\n") {
            rest = after;
        }
        if rest.is_empty() {
            return Found::Nothing;
        }
        let comment = rest.starts_with(b"#") || rest.starts_with(b"\r");
        let name = user.iter().chain(b":");
        let same = if comment { 0 } else { rest.iter().zip(name).take_while(|(one, other)| one == other).count() };
        if same > user.len() {
            let text = rest.get(same..).unwrap_or_default();
            let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r' | b':')).unwrap_or(text.len());
            return Found::Password(text.get(..end).unwrap_or_default());
        }
        // The byte that differs is not looked at again.
        let after = rest.get(same + 1..).unwrap_or_default();
        rest = match memchr::memchr(b'\n', after) {
            Some(end) => after.get(end + 1..).unwrap_or_default(),
            None => return Found::Nothing,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_as_nginx_finds_them() {
        let file = b"# user:comment\n\n\ruser:no\nus:short\nuser:secret:more\nother:x\r\nlast:end";
        assert_eq!(find(file, b"user"), Found::Password(b"secret"));
        assert_eq!(find(file, b"us"), Found::Password(b"short"));
        assert_eq!(find(file, b"other"), Found::Password(b"x"));
        assert_eq!(find(file, b"last"), Found::Password(b"end"));
        assert_eq!(find(file, b"use"), Found::Nothing);
        assert_eq!(find(b"", b"user"), Found::Nothing);
        assert_eq!(find(b"user", b"user"), Found::Nothing);
        assert_eq!(find(b"user:", b"user"), Found::Password(b""));
    }

    #[test]
    fn a_line_that_is_the_beginning_of_a_name_hides_the_next_one() {
        assert_eq!(find(b"us\nuser:secret\n", b"user"), Found::Nothing);
        assert_eq!(find(b"us\nskipped\nuser:secret\n", b"user"), Found::Password(b"secret"));
    }
}
