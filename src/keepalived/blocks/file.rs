//! `track_file`: a file whose number virtual routers may track.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::FILE;
use crate::keepalived::slot::{Name, complain, first, whole};

/// The keywords of tracked files.
pub const MODULE: Module = Module { name: "track_file", directives: DIRECTIVES, scopes: &[Scope::of::<File>(FILE)] };

const DIRECTIVES: &[Directive] = &[
    Directive::new("file", FILE, Arity::AtLeast(1), &Name(|c: &mut File| &mut c.path))
        .doc("Sets the path. The file holds one number; no file and no number mean 0."),
    Directive::new("weight", FILE, Arity::AtLeast(1), &Custom(weight))
        .doc("Sets what the number is multiplied by before it is added to the priority."),
    Directive::new("init_file", FILE, Arity::AtLeast(0), &Custom(init_file))
        .doc("Creates the file at start if it is not there; `overwrite` replaces it."),
];

/// A tracked file as configured.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its name.
    pub name: String,
    /// `file`.
    pub path: Option<String>,
    /// `weight`.
    pub weight: Option<i32>,
    /// `weight … reverse`.
    pub reverse: bool,
    /// `init_file`: the value, and whether an existing file is overwritten.
    pub init: Option<(i64, bool)>,
}

impl Conf for File {
    fn inherit(&mut self, _: &Self) {}
}

/// `track_file NAME {`.
///
/// # Errors
/// The name is missing or taken.
pub fn open(cx: &mut Setting<'_>, file: &mut File, statement: &Statement) -> Result<(), Diagnostic> {
    file.name = super::root::name(cx, statement)?;
    Ok(())
}

fn weight(_: &mut Setting<'_>, file: &mut File, statement: &Statement) -> Result<(), Diagnostic> {
    file.weight = Some(whole(&first(statement), &(-254..=254))? as i32);
    match statement.arguments().get(1) {
        None => {}
        Some(word) if word.is("reverse") => file.reverse = true,
        Some(word) => return Err(complain(format!("unknown weight option '{}'", word.text()))),
    }
    Ok(())
}

fn init_file(_: &mut Setting<'_>, file: &mut File, statement: &Statement) -> Result<(), Diagnostic> {
    let mut init = (0, false);
    for word in statement.arguments() {
        match &*word.bytes {
            b"overwrite" => init.1 = true,
            _ => init.0 = whole(&word.text(), &(i64::from(i32::MIN)..=i64::from(i32::MAX)))?,
        }
    }
    file.init = Some(init);
    Ok(())
}
