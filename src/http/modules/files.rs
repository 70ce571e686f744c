//! Rows of `ngx_http_core_module` and `ngx_http_copy_filter_module` on how files are opened and read.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Buffers, Custom, Flag, Number, Offset, Seconds, Size};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::settings::{FileSettings, Symlinks};
use crate::net::file_cache::{Capacity, Rules};
use crate::net::symlinks::Refuse;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::pools::Pools;
use crate::session::slot::free;
use crate::session::used;
use std::sync::Arc;
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_core_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Files>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("aio", HTTP_ANY, Arity::Exactly(1), &Custom(aio))
        .words(&["on", "off", "threads", "threads="])
        .default("off")
        .since("0.8.11")
        .omitted(Omission::Tunes("only how files are read"))
        .doc("Reads files without waiting for the disk."),
    Directive::checked("aio_write", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Files| &mut c.aio_write))
        .default("off")
        .since("1.9.13")
        .omitted(Omission::Tunes("only how files are read"))
        .doc("Writes files without waiting for the disk."),
    Directive::checked("read_ahead", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Files| &mut c.read_ahead))
        .default("0")
        .omitted(Omission::Tunes("only how files are read"))
        .doc("Sets how much of a file is read ahead."),
    Directive::checked("directio", HTTP_ANY, Arity::Exactly(1), &Custom(directio))
        .default("off")
        .since("0.7.7")
        .omitted(Omission::Tunes("only how files are read"))
        .doc("Sets from which size on files are read past the page cache."),
    Directive::checked(
        "directio_alignment",
        HTTP_ANY,
        Arity::Exactly(1),
        &Offset(|c: &mut Files| &mut c.directio_alignment),
    )
    .default("512")
    .since("0.8.11")
    .omitted(Omission::Tunes("only how files are read"))
    .doc("Sets what such reads are aligned to."),
    Directive::checked("output_buffers", HTTP_ANY, Arity::Exactly(2), &Buffers(|c: &mut Files| &mut c.output_buffers))
        .default("2 32k")
        .omitted(Omission::Tunes("only how files are read"))
        .doc("Sets the number and size of buffers files are read into."),
    Directive::new(
        "subrequest_output_buffer_size",
        HTTP_ANY,
        Arity::Exactly(1),
        &Size(|c: &mut Files| &mut c.subrequest_output_buffer_size),
    )
    .default("4k")
    .since("1.13.10")
    .doc("Sets how large a response may be that an SSI command keeps in a variable."),
    Directive::new("open_file_cache", HTTP_ANY, Arity::Between(1, 2), &Custom(open_file_cache))
        .words(&["max=", "inactive=", "off"])
        .default("off")
        .doc("Keeps files open that are used again."),
    Directive::new(
        "open_file_cache_valid",
        HTTP_ANY,
        Arity::Exactly(1),
        &Seconds(|c: &mut Files| &mut c.open_file_cache_valid),
    )
    .default("60s")
    .doc("Sets how long nobody looks whether such a file has changed."),
    Directive::new(
        "open_file_cache_min_uses",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Files| &mut c.open_file_cache_min_uses, 0..=u64::MAX),
    )
    .default("1")
    .doc("Sets how often a file must be used to be kept open."),
    Directive::new(
        "open_file_cache_errors",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Files| &mut c.open_file_cache_errors),
    )
    .default("off")
    .doc("Keeps in mind which files are not there."),
    Directive::new(
        "open_file_cache_events",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Files| &mut c.open_file_cache_events),
    )
    .default("off")
    .support(Support::Inert("Linux has no such events, and nginx does nothing there either"))
    .doc("Is told by the kernel when such a file changes."),
    Directive::new("disable_symlinks", HTTP_ANY, Arity::Between(1, 2), &Custom(disable_symlinks))
        .words(&["off", "on", "if_not_owner", "from="])
        .default("off")
        .since("1.1.15")
        .doc("Refuses paths with symbolic links, or with those of another owner than what they lead to."),
];

/// Settings of the module.
#[derive(Default)]
struct Files {
    aio_write: Option<bool>,
    read_ahead: Option<u64>,
    directio_alignment: Option<u64>,
    output_buffers: Option<(u64, u64)>,
    subrequest_output_buffer_size: Option<u64>,
    open_file_cache_valid: Option<Duration>,
    open_file_cache_min_uses: Option<u64>,
    open_file_cache_errors: Option<bool>,
    open_file_cache_events: Option<bool>,
    aio: Option<bool>,
    directio: Option<u64>,
    open_file_cache: Option<Option<Arc<Capacity>>>,
    disable_symlinks: Option<(Option<Refuse>, Option<Word>)>,
}

impl Conf for Files {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; aio_write, read_ahead, directio_alignment, output_buffers, subrequest_output_buffer_size, open_file_cache_valid, open_file_cache_min_uses, open_file_cache_errors, open_file_cache_events);
        inherit!(self, outer; aio, directio, open_file_cache, disable_symlinks);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Files>() else { return Ok(()) };
    place.files = cx.once(conf, |cx| {
        let symlinks = match &conf.disable_symlinks {
            Some((Some(refuse), from)) => {
                let from = from.as_ref().map(|from| cx.text(from)).transpose()?;
                Some(Symlinks { refuse: *refuse, from })
            }
            _ => None,
        };
        let cache = match conf.open_file_cache.clone().flatten() {
            Some(capacity) => Some(Rules {
                capacity,
                valid: conf.open_file_cache_valid.merged()?.as_secs(),
                min_uses: conf.open_file_cache_min_uses.merged()?,
                errors: conf.open_file_cache_errors.merged()?,
            }),
            None => None,
        };
        let subrequest_output_buffer_size = conf.subrequest_output_buffer_size.merged()?;
        Ok(FileSettings { symlinks, cache, subrequest_output_buffer_size })
    })?;
    Ok(())
}

fn aio(cx: &mut Setting<'_>, conf: &mut Files, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.aio)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.aio = Some(match &*word.bytes {
        b"off" => false,
        b"on" => return Err(Diagnostic::emerg("\"aio on\" is unsupported on this platform")),
        b"threads" => true,
        _ => match word.after("threads=") {
            None => return Err(cx.complain("invalid value")),
            Some(pool) => {
                used::text(cx, pool)?;
                if !used::varies(pool) {
                    Pools::uses(cx, pool);
                }
                true
            }
        },
    });
    Ok(())
}

fn directio(cx: &mut Setting<'_>, conf: &mut Files, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.directio)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    conf.directio = Some(match word.is("off") {
        true => u64::MAX,
        false => value::size(&word.bytes, true).ok_or_else(|| cx.complain("invalid value"))?,
    });
    Ok(())
}

fn open_file_cache(cx: &mut Setting<'_>, conf: &mut Files, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.open_file_cache)?;
    let (mut most, mut inactive, mut off) = (0, 60, false);
    for word in statement.arguments() {
        let fail = || Diagnostic::emerg(format!("invalid \"open_file_cache\" parameter \"{}\"", word.text()));
        if let Some(number) = word.after("max=") {
            most = value::number(number).filter(|most| *most > 0).ok_or_else(fail)?;
        } else if let Some(time) = word.after("inactive=") {
            inactive = value::time(time, true).ok_or_else(fail)?.as_secs();
        } else if word.is("off") {
            off = true;
        } else {
            return Err(fail());
        }
    }
    if most == 0 && !off {
        return Err(Diagnostic::emerg("\"open_file_cache\" must have the \"max\" parameter"));
    }
    conf.open_file_cache = Some((!off).then(|| Arc::new(Capacity { most, inactive })));
    Ok(())
}

fn disable_symlinks(cx: &mut Setting<'_>, conf: &mut Files, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.disable_symlinks)?;
    let (mut mode, mut from) = (None, None);
    for word in statement.arguments() {
        match &*word.bytes {
            b"off" => mode = Some(None),
            b"on" => mode = Some(Some(Refuse::All)),
            b"if_not_owner" => mode = Some(Some(Refuse::ForeignOwner)),
            _ => {
                let Some(path) = word.after("from=") else {
                    return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
                };
                used::text(cx, path)?;
                from = Some(Word { bytes: path.into(), ..word.clone() });
            }
        }
    }
    let name = cx.row.name;
    let Some(mode) = mode else {
        let text = format!("\"{name}\" must have \"off\", \"on\" or \"if_not_owner\" parameter");
        return Err(Diagnostic::emerg(text));
    };
    if let ([first, second], false) = (statement.arguments(), from.is_some()) {
        return Err(Diagnostic::emerg(format!("duplicate parameters \"{} {}\"", first.text(), second.text())));
    }
    if mode.is_none() && from.is_some() {
        return Err(Diagnostic::emerg("\"from=\" cannot be used with \"off\" parameter"));
    }
    conf.disable_symlinks = Some((mode, from));
    Ok(())
}
