//! The directives of nginx 1.23.4 that are known but not served: checked for place and arity, then refused by name.
//!
//! A row leaves here in effect as soon as a served module has one of its name in its contexts (`modules`).

mod filters;
mod gateways;
mod handlers;
mod http;
mod upstream;

use crate::conf::directive::Arity;
use crate::conf::module::Module;

/// `on` or `off`.
const FLAG: Arity = Arity::Flag;
/// No argument.
const NONE: Arity = Arity::Exactly(0);
/// One argument.
const ONE: Arity = Arity::Exactly(1);
/// Two arguments.
const TWO: Arity = Arity::Exactly(2);
/// Three arguments.
const THREE: Arity = Arity::Exactly(3);
/// One argument or more.
const SOME: Arity = Arity::AtLeast(1);

/// Every module of nginx 1.23.4 with all of its rows, as if nothing were served.
pub const MODULES: &[&[Module]] =
    &[http::MODULES, handlers::MODULES, filters::MODULES, gateways::MODULES, upstream::MODULES];
