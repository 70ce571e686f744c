use super::*;

fn complaint(text: &str) -> Option<String> {
    let block = crate::conf::lex::nginx::file(text.as_bytes(), crate::conf::source::SourceId(0));
    parse(block.statements().next()?).err().map(|complaint| complaint.message)
}

#[test]
fn a_name_server_is_no_file() {
    let refused = complaint("resolver unix:/run/dns;");
    assert_eq!(refused.as_deref(), Some("unix domain socket in resolver \"unix:/run/dns\""));
    assert_eq!(complaint("resolver 127.0.0.1 [::1]:5353 valid=30s ipv6=off;"), None);
}
