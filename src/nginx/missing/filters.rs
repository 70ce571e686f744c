//! The modules that change responses on their way out.

use super::{FLAG, ONE, SOME, TWO};
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::Module;
use crate::session::contexts::{HTTP, HTTP_ANY, HTTP_ANY_IF, LOCATION};

/// The modules of this file.
pub const MODULES: &[Module] = &[
    Module {
        name: "ngx_http_addition_filter_module",
        directives: &[
            Directive::missing("add_after_body", HTTP_ANY, ONE),
            Directive::missing("add_before_body", HTTP_ANY, ONE),
            Directive::missing("addition_types", HTTP_ANY, SOME),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_charset_filter_module",
        directives: &[
            Directive::missing("charset", HTTP_ANY_IF, ONE),
            Directive::missing("charset_map", HTTP, Arity::Block(2, 2, Opens::Rows)),
            Directive::missing("charset_types", HTTP_ANY, SOME),
            Directive::missing("override_charset", HTTP_ANY_IF, FLAG),
            Directive::missing("source_charset", HTTP_ANY_IF, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_copy_filter_module",
        directives: &[Directive::missing("output_buffers", HTTP_ANY, TWO)],
        scopes: &[],
    },
    Module {
        name: "ngx_http_gunzip_filter_module",
        directives: &[
            Directive::missing("gunzip", HTTP_ANY, FLAG),
            Directive::missing("gunzip_buffers", HTTP_ANY, TWO),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_gzip_filter_module",
        directives: &[
            Directive::missing("gzip", HTTP_ANY_IF, FLAG),
            Directive::missing("gzip_buffers", HTTP_ANY, TWO),
            Directive::missing("gzip_comp_level", HTTP_ANY, ONE),
            Directive::missing("gzip_hash", HTTP_ANY, ONE),
            Directive::missing("gzip_min_length", HTTP_ANY, ONE),
            Directive::missing("gzip_no_buffer", HTTP_ANY, FLAG),
            Directive::missing("gzip_types", HTTP_ANY, SOME),
            Directive::missing("gzip_window", HTTP_ANY, ONE),
            Directive::missing("postpone_gzipping", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_headers_filter_module",
        directives: &[
            Directive::missing("add_header", HTTP_ANY_IF, Arity::Between(2, 3)),
            Directive::missing("add_trailer", HTTP_ANY_IF, Arity::Between(2, 3)),
            Directive::missing("expires", HTTP_ANY_IF, Arity::Between(1, 2)),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_slice_filter_module",
        directives: &[Directive::missing("slice", HTTP_ANY, ONE)],
        scopes: &[],
    },
    Module {
        name: "ngx_http_ssi_filter_module",
        directives: &[
            Directive::missing("ssi", HTTP_ANY_IF, FLAG),
            Directive::missing("ssi_ignore_recycled_buffers", HTTP_ANY, FLAG),
            Directive::missing("ssi_last_modified", HTTP_ANY, FLAG),
            Directive::missing("ssi_min_file_chunk", HTTP_ANY, ONE),
            Directive::missing("ssi_silent_errors", HTTP_ANY, FLAG),
            Directive::missing("ssi_types", HTTP_ANY, SOME),
            Directive::missing("ssi_value_length", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_sub_filter_module",
        directives: &[
            Directive::missing("sub_filter", HTTP_ANY, TWO),
            Directive::missing("sub_filter_last_modified", HTTP_ANY, FLAG),
            Directive::missing("sub_filter_once", HTTP_ANY, FLAG),
            Directive::missing("sub_filter_types", HTTP_ANY, SOME),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_userid_filter_module",
        directives: &[
            Directive::missing("userid", HTTP_ANY, ONE),
            Directive::missing("userid_domain", HTTP_ANY, ONE),
            Directive::missing("userid_expires", HTTP_ANY, ONE),
            Directive::missing("userid_flags", HTTP_ANY, Arity::Between(1, 3)),
            Directive::missing("userid_mark", HTTP_ANY, ONE),
            Directive::missing("userid_name", HTTP_ANY, ONE),
            Directive::missing("userid_p3p", HTTP_ANY, ONE),
            Directive::missing("userid_path", HTTP_ANY, ONE),
            Directive::missing("userid_service", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_image_filter_module",
        directives: &[
            Directive::missing("image_filter", LOCATION, Arity::Between(1, 3)),
            Directive::missing("image_filter_buffer", HTTP_ANY, ONE),
            Directive::missing("image_filter_interlace", HTTP_ANY, FLAG),
            Directive::missing("image_filter_jpeg_quality", HTTP_ANY, ONE),
            Directive::missing("image_filter_sharpen", HTTP_ANY, ONE),
            Directive::missing("image_filter_transparency", HTTP_ANY, FLAG),
            Directive::missing("image_filter_webp_quality", HTTP_ANY, ONE),
        ],
        scopes: &[],
    },
    Module {
        name: "ngx_http_xslt_filter_module",
        directives: &[
            Directive::missing("xml_entities", HTTP_ANY, ONE),
            Directive::missing("xslt_last_modified", HTTP_ANY, FLAG),
            Directive::missing("xslt_param", HTTP_ANY, TWO),
            Directive::missing("xslt_string_param", HTTP_ANY, TWO),
            Directive::missing("xslt_stylesheet", LOCATION, SOME),
            Directive::missing("xslt_types", HTTP_ANY, SOME),
        ],
        scopes: &[],
    },
];
