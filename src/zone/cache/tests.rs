use super::*;
use std::path::PathBuf;

/// A cache in a folder of its own, which goes with it.
struct Bench {
    cache: Arc<Cache>,
    folder: PathBuf,
}

impl Bench {
    fn new(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = std::env::temp_dir().join(format!("rha-zone-cache-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut settings = Settings::new(folder.to_string_lossy().into_owned());
        settings.size = 1 << 20;
        change(&mut settings);
        let zone = Arc::new(Zone::new(settings.size));
        Self { cache: Arc::new(Cache::new(settings, zone)), folder }
    }

    fn enter(&self, digest: u8, min_uses: u64, now: (Instant, i64)) -> (Visit, Found) {
        self.cache.enter([digest; 16], min_uses, now, &Log::default()).expect("room")
    }

    /// A file of a digest, known or not.
    fn file(&self, digest: u8, bytes: usize) -> String {
        let path = self.cache.path(&[digest; 16]);
        std::fs::create_dir_all(std::path::Path::new(&path).parent().expect("a folder")).expect("folders");
        std::fs::write(&path, vec![0; bytes]).expect("a file");
        path
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn now() -> (Instant, i64) {
    (Instant::now(), 100)
}

#[test]
fn files_are_named_as_nginx_names_them() {
    let digest = files::digest_of(b"/c/841aea6ab0df3aaa7a3fdfc63b55fe43").expect("a digest");
    let path = |levels: &[usize]| files::path("/c", levels, &digest);
    assert_eq!(path(&[]), "/c/841aea6ab0df3aaa7a3fdfc63b55fe43");
    assert_eq!(path(&[1, 2]), "/c/3/e4/841aea6ab0df3aaa7a3fdfc63b55fe43");
    assert_eq!(path(&[2, 2, 1]), "/c/43/fe/5/841aea6ab0df3aaa7a3fdfc63b55fe43");
    assert_eq!(files::digest_of(b"841aea6ab0df3aaa7a3fdfc63b55fe4"), None);
    assert_eq!(files::digest_of(b"841aea6ab0df3aaa7a3fdfc63b55f+43"), None);
    assert!(files::is_temporary(b"841aea6ab0df3aaa7a3fdfc63b55fe43.0000000001"));
    assert!(!files::is_temporary(b"841aea6ab0df3aaa7a3fdfc63b55fe43"));
}

#[test]
fn an_entry_is_known_once_it_is_stored_and_forgotten_when_nothing_came_of_it() {
    let bench = Bench::new("known", |_| ());
    let (visit, found) = bench.enter(1, 1, now());
    assert_eq!(found, Found::New);
    drop(visit);
    let (visit, found) = bench.enter(1, 1, now());
    assert_eq!(found, Found::New, "it was forgotten");
    let (other, found) = bench.enter(1, 1, now());
    assert_eq!(found, Found::Known { exists: false });
    visit.stored(Some(3));
    drop(other);
    assert_eq!(bench.enter(1, 1, now()).1, Found::Known { exists: true });
    assert_eq!(bench.cache.zone.blocks.load(Ordering::Relaxed), 3);
}

#[test]
fn uses_are_counted() {
    let bench = Bench::new("uses", |_| ());
    let found: Vec<Found> = (0..4).map(|_| bench.enter(1, 3, now()).1).collect();
    let known = Found::Known { exists: false };
    assert_eq!(found, [Found::New, Found::Scarce, known, known]);
}

#[test]
fn a_failure_is_remembered_for_its_time() {
    let bench = Bench::new("failure", |_| ());
    bench.enter(1, 1, now()).0.failed(502, 110);
    assert_eq!(bench.enter(1, 1, (Instant::now(), 110)).1, Found::Failed(502));
    assert_eq!(bench.enter(1, 1, (Instant::now(), 111)).1, Found::New);
}

#[test]
fn one_visitor_at_a_time_has_the_lock() {
    let bench = Bench::new("lock", |_| ());
    let (begun, second) = now();
    let (mut first, _) = bench.enter(1, 1, (begun, second));
    let (mut next, _) = bench.enter(1, 1, (begun, second));
    assert!(first.lock(begun, Duration::from_secs(5)).is_none());
    assert!(next.lock(begun, Duration::from_secs(5)).is_some());
    assert_eq!(next.locked(begun + Duration::from_secs(1)), Some(Duration::from_secs(4)));
    let late = begun + Duration::from_secs(6);
    assert_eq!(next.locked(late), None);
    assert!(next.lock(late, Duration::from_secs(5)).is_none(), "the lock is too old");
    drop(first);
    assert!(next.locked(late).is_some(), "the first visitor's end is not the second lock's");
    drop(next);
    let (mut last, _) = bench.enter(1, 1, (begun, second));
    assert!(last.renew(begun));
    assert!(!bench.enter(1, 1, (begun, second)).0.renew(begun));
}

#[test]
fn the_oldest_files_go_first_and_those_in_use_stay() {
    let bench = Bench::new("oldest", |settings| settings.levels = vec![1, 2]);
    let paths: Vec<String> = (1..=3).map(|digest| bench.file(digest, 10)).collect();
    let (start, second) = now();
    for digest in 1..=3_u8 {
        bench.enter(digest, 1, (start, second)).0.stored(Some(1));
    }
    let (visit, _) = bench.enter(1, 1, (start, second));
    let log = Log::default();
    assert!(matches!(bench.cache.remove_oldest(Some(start), &log), Removed::Young(_)));
    let late = start + Duration::from_secs(601);
    assert!(matches!(bench.cache.remove_oldest(Some(late), &log), Removed::One));
    let there = |path: &String| std::path::Path::new(path).exists();
    assert_eq!(paths.iter().map(there).collect::<Vec<_>>(), [true, false, true]);
    assert!(matches!(bench.cache.remove_oldest(Some(late), &log), Removed::One));
    assert!(matches!(bench.cache.remove_oldest(Some(late), &log), Removed::Busy(_, 1)));
    drop(visit);
    assert!(matches!(bench.cache.remove_oldest(Some(late), &log), Removed::One));
    assert!(matches!(bench.cache.remove_oldest(Some(late), &log), Removed::Nothing));
    assert_eq!(bench.cache.zone.blocks.load(Ordering::Relaxed), 0);
}

#[test]
fn a_full_zone_makes_room() {
    let bench = Bench::new("full", |settings| settings.size = 256);
    for digest in 1..=9_u8 {
        bench.enter(digest, 2, now());
    }
    assert_eq!(bench.cache.zone.entries.len(), 2);
    assert!(bench.cache.zone.watermark.load(Ordering::Relaxed) <= 2);
    let kept: Vec<_> = (1..=2_u8).map(|digest| bench.enter(digest, 2, now())).collect();
    assert!(bench.cache.enter([3; 16], 2, now(), &Log::default()).is_err(), "both are in use");
    drop(kept);
}

#[test]
fn files_of_an_earlier_run_are_found_and_others_deleted() {
    let bench = Bench::new("load", |settings| settings.levels = vec![1]);
    let good = bench.file(0xab, 400);
    let small = bench.file(0xcd, 300);
    let (stray, temporary) = (bench.folder.join("stray"), format!("{good}.0000000001"));
    for path in [&stray, &PathBuf::from(&temporary)] {
        std::fs::write(path, "x").expect("a file");
    }
    keeper::load_now(&bench.cache);
    let there = |path: &str| std::path::Path::new(path).exists();
    assert!(there(&good) && there(&temporary) && !there(&small) && !stray.exists());
    assert!(!bench.cache.is_cold());
    assert_eq!(bench.enter(0xab, 1, now()).1, Found::Known { exists: true });
    assert_eq!(bench.enter(0xcd, 1, now()).1, Found::New);
    assert!(bench.cache.zone.blocks.load(Ordering::Relaxed) > 0);
}

#[test]
fn what_is_too_large_is_removed() {
    let bench = Bench::new("large", |settings| settings.max_size = Some(1));
    let path = bench.file(1, 10);
    bench.enter(1, 1, now()).0.stored(Some(1));
    keeper::manage_now(&bench.cache);
    assert!(!std::path::Path::new(&path).exists());
    assert_eq!(bench.cache.zone.entries.len(), 0);
}
