use super::*;

#[test]
fn a_match_limit_is_neither_a_match_nor_none() {
    let expression = Expression::compile("^(x+x+)+y", false).expect("an expression");
    let text = format!("{}zy", "x".repeat(40));
    let error = MatchError(format!("pcre2_match() failed: -47 on \"{text}\" using \"^(x+x+)+y\""));
    let mut captures = Captures::default();
    assert_eq!(expression.capture(text.as_bytes(), &mut captures), Err(error));
    assert_eq!(expression.capture(b"xxy", &mut captures), Ok(true));
    assert_eq!(captures.group(1), Some(&b"xx"[..]));
    assert_eq!(expression.capture(b"z", &mut captures), Ok(false));
    assert_eq!(captures.group(1), Some(&b"xx"[..]));
}

#[test]
fn a_text_too_long_for_the_stack_of_compiled_code_is_matched_by_the_interpreter() {
    let expression = Expression::compile("^/(?:(a)|b)*$", false).expect("an expression");
    let text = format!("/{}", "ab".repeat(4000));
    let compiled = expression.regex.is_match(text.as_bytes()).map_err(|error| error.code());
    assert_eq!(compiled, Err(JIT_STACK_LIMIT));
    let mut captures = Captures::default();
    assert_eq!(expression.capture(text.as_bytes(), &mut captures), Ok(true));
    assert_eq!(captures.group(1), Some(&b"a"[..]));
    assert_eq!(expression.matches(text.as_bytes()), Ok(true));
}
