use super::*;

#[test]
fn base64_is_read_as_nginx_reads_it() {
    let standard = |text: &str| decode(text.as_bytes(), Alphabet::Standard);
    assert_eq!(standard("dXNlcjpwYXNz").as_deref(), Some(&b"user:pass"[..]));
    assert_eq!(standard("dXNlcjpwYXM=").as_deref(), Some(&b"user:pas"[..]));
    assert_eq!(standard("dXNlcjpwYXM").as_deref(), Some(&b"user:pas"[..]));
    assert_eq!(standard("dX==Nlcj").as_deref(), Some(&b"u"[..]), "what follows a = is not read");
    assert_eq!(standard("+/+/").as_deref(), Some(&b"\xfb\xff\xbf"[..]));
    assert_eq!(standard("-_-_"), None);
    assert_eq!(standard("dXNlc"), None, "a single character is no byte");
    assert_eq!(standard("dX Nl"), None);
    assert_eq!(decode(b"-_-_", Alphabet::Url).as_deref(), Some(&b"\xfb\xff\xbf"[..]));
    assert_eq!(decode(b"+/+/", Alphabet::Url), None);
}
