use super::*;
use crate::tls::der::wrap;
use crate::tls::facts::Facts;
use crate::tls::testing::certificates;

fn name_of(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let parts: Vec<_> = attributes
        .iter()
        .map(|(id, tag, value)| wrap(0x31, &[&wrap(0x30, &[&wrap(6, &[id]), &wrap(*tag, &[value])])]))
        .collect();
    wrap(0x30, &[&parts.concat()])
}

/// As `openssl x509 -subject` printed it with `-nameopt RFC2253` and `-nameopt compat`.
#[test]
fn an_odd_subject_is_printed_as_openssl_prints_it() {
    let subject = Facts::read(&certificates("odd.crt")[0]).expect("a certificate").subject;
    let rfc = "role=r,pseudonym=p,initials=i,SN=f,GN=g,title=t,name=n,street=s,UID=u,DC=test,dnQualifier=q=r,\
               serialNumber=12,emailAddress=a@b.test,CN=two+CN=one,OU=Gr\\C3\\BC\\C3\\9Fe \\E5\\90\\8D,OU=\\#x,\
               O=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h,L=trail\\ ,ST=\\ lead,C=DE";
    assert_eq!(rfc2253(&subject), rfc);
    let line = "/C=DE/ST= lead/L=trail /O=a,b\\+c\"d\\e<f>g;h/OU=#x/OU=Gr\\xC3\\xBC\\xC3\\x9Fe \\xE5\\x90\\x8D\
                /CN=one+CN=two/emailAddress=a@b.test/serialNumber=12/dnQualifier=q=r/DC=test/UID=u/street=s/name=n\
                /title=t/GN=g/SN=f/initials=i/pseudonym=p/role=r";
    assert_eq!(oneline(&subject), line);
}

#[test]
fn unknown_attributes_and_values_are_dumped() {
    const CN: &[u8] = &[0x55, 4, 3];
    let unknown = name_of(&[(&[0x2a, 3, 4], 12, b"y"), (CN, 4, b"xy"), (&[0x88, 0x37, 3], 19, b"z")]);
    assert_eq!(rfc2253(&unknown), "2.999.3=#13017A,CN=#04027879,1.2.3.4=#0C0179");
    assert_eq!(oneline(&unknown), "/1.2.3.4=y/CN=xy/2.999.3=z");
}

#[test]
fn strings_of_every_width_become_utf_8() {
    const CN: &[u8] = &[0x55, 4, 3];
    let wide = name_of(&[(CN, 30, &[0, b'a', 0x20, 0xac]), (CN, 28, &[0, 0, 0, b'b']), (CN, 20, &[0xe4, 7])]);
    assert_eq!(rfc2253(&wide), "CN=\\C3\\A4\\07,CN=b,CN=a\\E2\\82\\AC");
    assert_eq!(rfc2253(b""), "");
    assert_eq!(rfc2253(&name_of(&[])), "");
}

#[test]
fn names_are_compared_as_openssl_compares_them() {
    const CN: &[u8] = &[0x55, 4, 3];
    const O: &[u8] = &[0x55, 4, 10];
    let form = |attributes: &[(&[u8], u8, &[u8])]| canonical(&name_of(attributes));
    let name = form(&[(O, 12, b"House"), (CN, 19, b"a  Root ")]);
    assert_eq!(name, form(&[(O, 19, b"HOUSE"), (CN, 12, b" A root")]));
    assert_eq!(name, form(&[(O, 30, &[0, b'h', 0, b'o', 0, b'u', 0, b's', 0, b'e']), (CN, 22, b"a root")]));
    assert_ne!(name, form(&[(O, 12, b"House"), (CN, 19, b"aRoot")]));
    assert_ne!(name, form(&[(CN, 19, b"a Root"), (O, 12, b"House")]));
    assert!(name.starts_with(&form(&[(O, 12, b"house")])));
    assert!(!name.starts_with(&form(&[(O, 12, b"hous")])));
    // A number in text is compared as it is.
    assert_ne!(form(&[(CN, 18, b"1 2")]), form(&[(CN, 19, b"1 2")]));
    let multi = |first: &[u8], second: &[u8]| {
        let pair = |value: &[u8]| wrap(0x30, &[&wrap(6, &[CN]), &wrap(12, &[value])]);
        canonical(&wrap(0x30, &[&wrap(0x31, &[&pair(first), &pair(second)])]))
    };
    assert_eq!(multi(b"a", b"b"), multi(b"B", b"A"));
}
