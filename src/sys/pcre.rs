//! PCRE2 with all of its options, for texts that come in pieces.

use parking_lot::Mutex;
use pcre2_sys as pcre;
use std::ffi::c_int;
use std::ptr::{self, NonNull};

/// The options by name.
pub const OPTIONS: &[(&str, u32)] = &[
    ("allow_empty_class", pcre::PCRE2_ALLOW_EMPTY_CLASS),
    ("alt_bsux", pcre::PCRE2_ALT_BSUX),
    ("auto_callout", pcre::PCRE2_AUTO_CALLOUT),
    ("caseless", pcre::PCRE2_CASELESS),
    ("dollar_endonly", pcre::PCRE2_DOLLAR_ENDONLY),
    ("dotall", pcre::PCRE2_DOTALL),
    ("dupnames", pcre::PCRE2_DUPNAMES),
    ("extended", pcre::PCRE2_EXTENDED),
    ("firstline", pcre::PCRE2_FIRSTLINE),
    ("match_unset_backref", pcre::PCRE2_MATCH_UNSET_BACKREF),
    ("multiline", pcre::PCRE2_MULTILINE),
    ("never_ucp", pcre::PCRE2_NEVER_UCP),
    ("never_utf", pcre::PCRE2_NEVER_UTF),
    ("no_auto_capture", pcre::PCRE2_NO_AUTO_CAPTURE),
    ("no_auto_possess", pcre::PCRE2_NO_AUTO_POSSESS),
    ("no_dotstar_anchor", pcre::PCRE2_NO_DOTSTAR_ANCHOR),
    ("no_start_optimize", pcre::PCRE2_NO_START_OPTIMIZE),
    ("ucp", pcre::PCRE2_UCP),
    ("ungreedy", pcre::PCRE2_UNGREEDY),
    ("utf", pcre::PCRE2_UTF),
    ("never_backslash_c", pcre::PCRE2_NEVER_BACKSLASH_C),
    ("alt_circumflex", pcre::PCRE2_ALT_CIRCUMFLEX),
    ("alt_verbnames", pcre::PCRE2_ALT_VERBNAMES),
    ("use_offset_limit", pcre::PCRE2_USE_OFFSET_LIMIT),
];

/// PCRE2's number where an expression does not match.
const NO_MATCH: c_int = -1;
/// Where it may match once more of the text is there.
const PARTIAL: c_int = -2;
/// Where it has been given a bad argument.
pub const BAD_OPTION: i32 = -34;
/// Where it has no memory.
pub const NO_MEMORY: i32 = -48;

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// A match begins here.
    Match(usize),
    /// Once more of the text is there, one may begin here.
    Partial(usize),
    /// There is none.
    None,
    /// PCRE2 gave up; its own number.
    Failed(i32),
}

/// An expression PCRE2 does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where in the expression.
    pub offset: usize,
    /// PCRE2's words.
    pub text: String,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Pattern {
    code: Code,
    /// How far a match looks back.
    lookbehind: usize,
    scratch: Mutex<Scratch>,
}

#[derive(Debug)]
struct Code(NonNull<pcre::pcre2_code_8>);

/// What a search needs: only one may run at a time.
#[derive(Debug)]
struct Scratch {
    data: NonNull<pcre::pcre2_match_data_8>,
    /// The stack of compiled code, and what names it; null for that of the thread.
    stack: *mut pcre::pcre2_jit_stack_8,
    context: *mut pcre::pcre2_match_context_8,
}

#[expect(unsafe_code, reason = "PCRE2's compiled code is read only once it is made")]
// SAFETY: PCRE2 allows any number of threads to match with one code.
unsafe impl Send for Code {}
#[expect(unsafe_code, reason = "PCRE2's compiled code is read only once it is made")]
// SAFETY: as above.
unsafe impl Sync for Code {}
#[expect(unsafe_code, reason = "a search owns its room")]
// SAFETY: nothing of it belongs to a thread.
unsafe impl Send for Scratch {}

impl Drop for Code {
    #[expect(unsafe_code, reason = "the interface of PCRE2")]
    fn drop(&mut self) {
        // SAFETY: made by pcre2_compile, freed once.
        unsafe { pcre::pcre2_code_free_8(self.0.as_ptr()) }
    }
}

impl Drop for Scratch {
    #[expect(unsafe_code, reason = "the interface of PCRE2")]
    fn drop(&mut self) {
        // SAFETY: each was made by its function or is null, which these take.
        unsafe {
            pcre::pcre2_match_data_free_8(self.data.as_ptr());
            pcre::pcre2_match_context_free_8(self.context);
            pcre::pcre2_jit_stack_free_8(self.stack);
        }
    }
}

/// PCRE2's words for a number.
#[expect(unsafe_code, reason = "the interface of PCRE2")]
fn words(number: c_int) -> String {
    let mut buffer = [0_u8; 256];
    // SAFETY: PCRE2 writes at most as many bytes.
    let length = unsafe { pcre::pcre2_get_error_message_8(number, buffer.as_mut_ptr(), buffer.len()) };
    let length = usize::try_from(length).unwrap_or_default();
    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
}

impl Pattern {
    /// Compiles an expression; `stack` is the size of the stack of compiled code, at first and at most.
    ///
    /// Text that is not UTF-8 matches nothing where `utf` is among the options.
    ///
    /// # Errors
    /// What is wrong with it.
    #[expect(unsafe_code, reason = "the interface of PCRE2")]
    pub fn compile(pattern: &[u8], options: u32, stack: Option<(usize, usize)>) -> Result<Self, Invalid> {
        let options = if options & pcre::PCRE2_UTF != 0 { options | pcre::PCRE2_MATCH_INVALID_UTF } else { options };
        let (mut number, mut offset) = (0, 0);
        // SAFETY: the pattern has as many bytes; the numbers are written to.
        let code = unsafe {
            pcre::pcre2_compile_8(
                pattern.as_ptr(),
                pattern.len(),
                options,
                &raw mut number,
                &raw mut offset,
                ptr::null_mut(),
            )
        };
        let code = Code(NonNull::new(code).ok_or_else(|| Invalid { offset, text: words(number) })?);
        // What cannot be compiled further is interpreted.
        // SAFETY: the code is valid.
        let _ = unsafe { pcre::pcre2_jit_compile_8(code.0.as_ptr(), pcre::PCRE2_JIT_PARTIAL_HARD) };
        let mut lookbehind = 0_u32;
        // SAFETY: this question is answered with a number of 32 bits.
        unsafe {
            pcre::pcre2_pattern_info_8(code.0.as_ptr(), pcre::PCRE2_INFO_MAXLOOKBEHIND, (&raw mut lookbehind).cast());
        }
        let scratch = Scratch::new(&code, stack).ok_or_else(|| Invalid { offset: 0, text: words(NO_MEMORY) })?;
        Ok(Self { code, lookbehind: lookbehind as usize, scratch: Mutex::new(scratch) })
    }

    /// How many characters before its begin a match may look at.
    pub const fn lookbehind(&self) -> usize {
        self.lookbehind
    }

    /// Looks for a match that begins at `from` or later; one that reaches the end of the text is partial, as it might go on.
    #[expect(unsafe_code, reason = "the interface of PCRE2")]
    pub fn search(&self, text: &[u8], from: usize) -> Search {
        let scratch = self.scratch.lock();
        // SAFETY: code, data and context are valid; the text has as many bytes, and an offset behind it is refused.
        let code = unsafe {
            pcre::pcre2_match_8(
                self.code.0.as_ptr(),
                text.as_ptr(),
                text.len(),
                from,
                pcre::PCRE2_PARTIAL_HARD,
                scratch.data.as_ptr(),
                scratch.context,
            )
        };
        if code < 0 && code != PARTIAL {
            return if code == NO_MATCH { Search::None } else { Search::Failed(code) };
        }
        // SAFETY: after a match, also a partial one, there is a first pair.
        let start = unsafe { *pcre::pcre2_get_ovector_pointer_8(scratch.data.as_ptr()) };
        if code == PARTIAL { Search::Partial(start) } else { Search::Match(start) }
    }
}

impl Scratch {
    /// Room for searches; a stack there is no memory for is that of the thread.
    #[expect(unsafe_code, reason = "the interface of PCRE2")]
    fn new(code: &Code, stack: Option<(usize, usize)>) -> Option<Self> {
        // SAFETY: the code is valid; PCRE2's own allocator is used.
        let data = unsafe { pcre::pcre2_match_data_create_from_pattern_8(code.0.as_ptr(), ptr::null_mut()) };
        let mut own = Self { data: NonNull::new(data)?, stack: ptr::null_mut(), context: ptr::null_mut() };
        let Some((first, most)) = stack else { return Some(own) };
        // SAFETY: PCRE2's own allocator is used; null stands for the thread's stack.
        unsafe {
            own.context = pcre::pcre2_match_context_create_8(ptr::null_mut());
            own.stack = pcre::pcre2_jit_stack_create_8(first, most, ptr::null_mut());
            if !own.context.is_null() && !own.stack.is_null() {
                pcre::pcre2_jit_stack_assign_8(own.context, None, own.stack.cast());
            }
        }
        Some(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str) -> u32 {
        OPTIONS.iter().find(|(own, _)| *own == name).map_or(0, |(_, bit)| *bit)
    }

    #[test]
    fn a_match_that_reaches_the_end_is_partial() {
        let pattern = Pattern::compile(b"wor(ld|th)", 0, None).unwrap();
        assert_eq!(pattern.search(b"hello world!", 0), Search::Match(6));
        assert_eq!(pattern.search(b"hello wor", 0), Search::Partial(6));
        assert_eq!(pattern.search(b"hello world!", 7), Search::None);
        assert_eq!(Pattern::compile(b"d.*", 0, None).unwrap().search(b"world", 0), Search::Partial(4));
    }

    #[test]
    fn options_and_stacks_are_pcres() {
        let stack = Some((1024, 65_536));
        let pattern = Pattern::compile(b"WORLD", option("caseless"), stack).unwrap();
        assert_eq!(pattern.search(b"hello world!", 0), Search::Match(6));
        assert_eq!(Pattern::compile(b"(?<=ll)o", 0, None).unwrap().lookbehind(), 2);
        // Bytes that are no UTF-8 end nothing.
        let pattern = Pattern::compile("\u{e9}".as_bytes(), option("utf"), None).unwrap();
        assert_eq!(pattern.search(b"\xff\xc3\xa9.", 0), Search::Match(1));
    }

    #[test]
    fn what_is_wrong_is_pcres_text() {
        let invalid = Pattern::compile(b"a(b", 0, None).unwrap_err();
        assert_eq!((invalid.offset, invalid.text.as_str()), (3, "missing closing parenthesis"));
        assert_eq!(Pattern::compile(b"a", 0, None).unwrap().search(b"a", 9), Search::Failed(-33));
    }
}
