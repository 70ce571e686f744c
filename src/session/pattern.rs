//! Regular expressions in the words of a configuration.

use crate::conf::diagnostic::{Diagnostic, Kind};
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::script::regex::{Expression, Invalid};

/// Compiles `pattern`, which ends `word`.
///
/// # Errors
/// nginx's words, pointing at where in the word PCRE2 gave up.
pub fn compile(word: &Word, pattern: &str, caseless: bool) -> Result<Expression, Diagnostic> {
    Expression::compile(pattern, caseless).map_err(|invalid| complaint(word, invalid))
}

/// What is wrong with an expression that ends `word`.
pub fn complaint(word: &Word, invalid: Invalid) -> Diagnostic {
    let span = word.span;
    // Where escapes were resolved, the bytes are not those of the text.
    let plain = (span.end.saturating_sub(span.start)) as usize == word.bytes.len();
    let at = (span.end as usize).saturating_sub(invalid.rest.max(1)) as u32;
    let place = if plain { Span { start: at.max(span.start), ..span } } else { span };
    Diagnostic::emerg(invalid.message).kind(Kind::Pattern).point(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::source::SourceId;

    #[test]
    fn a_complaint_points_at_where_the_expression_goes_wrong() {
        let word = |text: &str, end: u32| Word {
            bytes: text.as_bytes().into(),
            span: Span { source: SourceId(0), start: 10, end },
            quoted: false,
        };
        for (text, pattern, end, start) in
            [("~*a[b", "a[b", 15, 14), ("a(*x)b", "a(*x)b", 16, 14), ("a(", "a(", 14, 10)]
        {
            let word = word(text, end);
            let complaint = compile(&word, pattern, false).err().expect("a complaint");
            assert_eq!(complaint.point.map(|span| (span.start, span.end)), Some((start, end)), "{}", complaint.message);
        }
    }
}
