//! zlib: deflate and inflate of gzip streams (RFC 1952).

use libz_sys as z;
use std::ffi::c_int;
use std::mem::MaybeUninit;

/// Bytes of output that are made room for at a time.
const PIECE: usize = 4096;

/// Bytes zlib takes in one call.
const MOST: usize = 1 << 30;

/// The largest window, in bits.
const WINDOW: c_int = 15;

/// What deflate does with bytes it holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// They stay.
    None,
    /// They go out, to the byte.
    Sync,
    /// The stream ends.
    Finish,
}

/// Why zlib stopped: its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZlibError(pub i32);

/// The fields of a stream; zlib keeps their address.
type Stream = Box<MaybeUninit<z::z_stream>>;

/// A stream of which every field is zero: zlib's own allocator, no bytes.
fn blank() -> Stream {
    Box::new(MaybeUninit::zeroed())
}

/// The length of the fields, as zlib checks it.
const LENGTH: c_int = size_of::<z::z_stream>() as c_int;

/// One call of zlib: from `input` into the room behind `out`; bytes taken, and what it returned.
#[expect(unsafe_code, reason = "the interface of zlib")]
fn step(
    stream: &mut Stream,
    input: &[u8],
    out: &mut Vec<u8>,
    call: impl FnOnce(*mut z::z_stream) -> c_int,
) -> (usize, c_int) {
    out.reserve(PIECE);
    let room = out.spare_capacity_mut();
    let (given, most) = (input.len().min(MOST), room.len().min(MOST));
    let at = stream.as_mut_ptr();
    // SAFETY: `at` is valid for writes; zlib reads `given` bytes of `input`, and writes at most `most` bytes of `room`.
    let (left, free, code) = unsafe {
        (*at).next_in = input.as_ptr().cast_mut();
        (*at).avail_in = given as z::uInt;
        (*at).next_out = room.as_mut_ptr().cast();
        (*at).avail_out = most as z::uInt;
        let code = call(at);
        ((*at).avail_in as usize, (*at).avail_out as usize, code)
    };
    let length = out.len() + (most - free);
    // SAFETY: zlib has written the bytes up to there.
    unsafe { out.set_len(length) };
    (given - left, code)
}

/// The compression of one gzip stream.
pub struct Deflate {
    stream: Stream,
    /// Bytes taken and made.
    pub total: (u64, u64),
}

impl Deflate {
    /// A stream of this level, window (in bits) and memory level.
    ///
    /// # Errors
    /// zlib's number.
    #[expect(unsafe_code, reason = "the interface of zlib")]
    pub fn new(level: u8, window: u8, memory: u8) -> Result<Self, ZlibError> {
        let mut stream = blank();
        let (level, window, memory) = (c_int::from(level), c_int::from(window), c_int::from(memory));
        // SAFETY: the fields are zero, the version is that of the library that is linked.
        let code = unsafe {
            let (at, version) = (stream.as_mut_ptr(), z::zlibVersion());
            z::deflateInit2_(at, level, z::Z_DEFLATED, window + 16, memory, z::Z_DEFAULT_STRATEGY, version, LENGTH)
        };
        if code == z::Z_OK { Ok(Self { stream, total: (0, 0) }) } else { Err(ZlibError(code)) }
    }

    /// Compresses all of `input`, and appends what comes out.
    ///
    /// # Errors
    /// zlib's number.
    #[expect(unsafe_code, reason = "the interface of zlib")]
    pub fn run(&mut self, mut input: &[u8], flush: Flush, out: &mut Vec<u8>) -> Result<(), ZlibError> {
        let begun = out.len();
        self.total.0 += input.len() as u64;
        loop {
            let how = match flush {
                Flush::None => z::Z_NO_FLUSH,
                _ if input.len() > MOST => z::Z_NO_FLUSH,
                Flush::Sync => z::Z_SYNC_FLUSH,
                Flush::Finish => z::Z_FINISH,
            };
            // SAFETY: `new` initialised the stream; `step` set its buffers.
            let (taken, code) = step(&mut self.stream, input, out, |at| unsafe { z::deflate(at, how) });
            input = input.get(taken..).unwrap_or_default();
            match code {
                z::Z_STREAM_END => break,
                z::Z_OK | z::Z_BUF_ERROR if input.is_empty() && out.len() < out.capacity() => {
                    if flush != Flush::Finish {
                        break;
                    }
                }
                z::Z_OK | z::Z_BUF_ERROR => {}
                code => return Err(ZlibError(code)),
            }
        }
        self.total.1 += (out.len() - begun) as u64;
        Ok(())
    }
}

impl Drop for Deflate {
    #[expect(unsafe_code, reason = "the interface of zlib")]
    fn drop(&mut self) {
        // SAFETY: `new` initialised the stream, and nobody uses it afterwards.
        unsafe { z::deflateEnd(self.stream.as_mut_ptr()) };
    }
}

/// The decompression of gzip streams, one behind the other.
pub struct Inflate {
    stream: Stream,
    /// Whether a stream has just ended.
    ended: bool,
}

impl Inflate {
    /// Nothing read yet.
    ///
    /// # Errors
    /// zlib's number.
    #[expect(unsafe_code, reason = "the interface of zlib")]
    pub fn new() -> Result<Self, ZlibError> {
        let mut stream = blank();
        // SAFETY: the fields are zero, the version is that of the library that is linked.
        let code = unsafe { z::inflateInit2_(stream.as_mut_ptr(), WINDOW + 16, z::zlibVersion(), LENGTH) };
        if code == z::Z_OK { Ok(Self { stream, ended: false }) } else { Err(ZlibError(code)) }
    }

    /// Whether the bytes so far end with the end of a stream.
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Decompresses from the beginning of `input`, until it is used up or there are `most` bytes in `out`; tells how much
    /// was read.
    ///
    /// # Errors
    /// zlib's number.
    #[expect(unsafe_code, reason = "the interface of zlib")]
    pub fn run(&mut self, input: &[u8], most: usize, out: &mut Vec<u8>) -> Result<usize, ZlibError> {
        let mut read = 0;
        while out.len() < most {
            let rest = input.get(read..).unwrap_or_default();
            if self.ended {
                if rest.is_empty() {
                    break;
                }
                self.ended = false;
                // SAFETY: `new` initialised the stream.
                match unsafe { z::inflateReset(self.stream.as_mut_ptr()) } {
                    z::Z_OK => {}
                    code => return Err(ZlibError(code)),
                }
            }
            // SAFETY: `new` initialised the stream; `step` set its buffers.
            let (taken, code) = step(&mut self.stream, rest, out, |at| unsafe { z::inflate(at, z::Z_SYNC_FLUSH) });
            read += taken;
            match code {
                z::Z_STREAM_END => self.ended = true,
                z::Z_OK | z::Z_BUF_ERROR if read == input.len() && out.len() < out.capacity() => break,
                z::Z_OK | z::Z_BUF_ERROR => {}
                code => return Err(ZlibError(code)),
            }
        }
        Ok(read)
    }
}

impl Drop for Inflate {
    #[expect(unsafe_code, reason = "the interface of zlib")]
    fn drop(&mut self) {
        // SAFETY: `new` initialised the stream, and nobody uses it afterwards.
        unsafe { z::inflateEnd(self.stream.as_mut_ptr()) };
    }
}

#[cfg(test)]
mod tests;
