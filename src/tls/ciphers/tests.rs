use super::*;

#[test]
fn a_string_must_leave_a_cipher() {
    let check = |text: &str| select(text).map(|_| ());
    assert_eq!(check("HIGH:!aNULL:!MD5:FOO"), Ok(()));
    assert_eq!(check("ECDHE-RSA-AES128-GCM-SHA256:!ECDHE"), Err(NO_MATCH));
    assert_eq!(check("TLS_AES_128_GCM_SHA256"), Err(NO_MATCH));
    assert_eq!((check(""), check("PROFILE=SYSTEM")), (Err(NO_MATCH), Err(NO_MATCH)));
    assert_eq!(check("!aNULL:@FOO"), Err(BAD_COMMAND));
    assert_eq!(check("ECDH+AESGCM:DH+AESGCM"), Ok(()));
    assert_eq!((level(None), level(Some("DEFAULT@SECLEVEL=0"))), (2, 0));
}

/// As `openssl ciphers` 3.0 prints them.
#[test]
fn the_order_is_openssls() {
    let order = |text: &str| select(text).map(|selection| selection.names.join(":"));
    for line in include_str!("orders.txt").lines() {
        let (text, wanted) = line.split_once(" => ").expect("a string and its ciphers");
        assert_eq!(order(text).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn every_number_is_known_once() {
    let mut numbers: Vec<u16> = all().map(|cipher| cipher.number).collect();
    assert_eq!(numbers.len(), LIST.lines().count());
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), LIST.lines().count());
}

#[test]
fn a_systems_policy_is_taken_whole() {
    let policy = "@SECLEVEL=2:kEECDH:kRSA:kEDH:kPSK:-aDSS:-3DES:!DES:!RC4:!SEED:!eNULL:!aNULL:!MD5:-SHA384:-CAMELLIA";
    let all = of_policy(policy, "").expect("ciphers");
    assert_eq!(all.names, selected(policy).expect("ciphers").names);
    assert_eq!(all.words, [(PROFILE.to_owned(), all.names.clone())]);
    let fewer = of_policy(policy, ":!kRSA:!PSK").expect("ciphers");
    assert!(fewer.names.len() < all.names.len() && fewer.names.contains(&"ECDHE-RSA-AES128-GCM-SHA256"), "{fewer:?}");
    assert_eq!(of_policy(policy, ":!ALL"), Err(NO_MATCH));
}
