use super::{Answers, Status};
use parking_lot::Mutex;

#[test]
fn answers_are_kept_until_they_end_and_the_zone_is_full() {
    let answers = Answers { most: 2, entries: Mutex::default() };
    answers.put(b"a".to_vec(), Status::Good, (100, Some(200)));
    answers.put(b"b".to_vec(), Status::Revoked, (100, None));
    answers.put(b"late".to_vec(), Status::Good, (100, Some(99)));
    assert_eq!(answers.get(b"a", 200), Some(Status::Good));
    assert_eq!(answers.get(b"a", 201), None);
    assert_eq!(answers.get(b"b", 3700), Some(Status::Revoked));
    assert_eq!(answers.get(b"late", 99), None);
    answers.put(b"c".to_vec(), Status::Good, (150, Some(300)));
    assert_eq!(answers.get(b"a", 150), None, "the one that ends first made room");
    assert_eq!(answers.get(b"b", 150), Some(Status::Revoked));
    assert_eq!(answers.get(b"c", 150), Some(Status::Good));
}
