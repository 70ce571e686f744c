use super::Buffer;
use crate::http::heart::filter::Then;
use crate::http::heart::wire::Carries;
use crate::net::transport::Transport;
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::{self, Read as _};

impl Carries for Transport {
    fn try_send(&self, bytes: &[u8], _: Then) -> io::Result<usize> {
        self.try_write(bytes)
    }

    fn try_send_file(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        Self::try_send_file(self, file, offset, count)
    }
}

/// Bytes that tell their place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at >> 8) as u8).collect()
}

#[test]
fn bytes_leave_in_order_through_memory_file_and_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (ours, mut theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let stream = Transport::new(ours).expect("a stream");
        let folder = std::env::temp_dir();
        let mut buffer = Buffer::default();
        buffer.open(&folder.to_string_lossy()).expect("a file");
        let all = pattern(3_000_000);
        let (mut given, mut got) = (0, Vec::new());
        let (mut from_file, mut spilled) = (false, false);
        let mut piece = vec![0; 7_000];
        while got.len() < all.len() {
            // Twice as much comes in as goes out.
            for _ in 0..2 {
                let end = (given + 9_973).min(all.len());
                buffer.push(&all[given..end]);
                given = end;
                buffer.spill(20_000).expect("space");
                spilled |= buffer.file_size() > 0;
                assert!(buffer.memory() <= 20_000 + 64 * 1024 + 9_973);
            }
            let mut file = false;
            let _ = buffer.send(&stream, &mut file);
            from_file |= file;
            let count = theirs.read(&mut piece).expect("bytes");
            got.extend_from_slice(&piece[..count]);
        }
        assert!(got == all && buffer.is_empty() && from_file && spilled);
    });
}
