//! rkeepalived's pages of the manual.

use super::contexts::PLACES;
use super::{options, read};
use crate::conf::manual::Page;

/// `rkeepalived.8`.
pub fn program() -> String {
    let mut page = Page::new("rkeepalived", 8, "runs keepalived.conf files unchanged");
    page.section("DESCRIPTION");
    page.paragraph(
        "rkeepalived reads the configuration keepalived 2.1.5 reads and speaks VRRP with it. Command line, signals, \
         messages and exit codes are keepalived's; what is known and not served yet is refused by name.",
    );
    page.section("OPTIONS");
    for (option, does) in options::described() {
        page.item(&option, &does);
    }
    page.section("EXIT CODES");
    for (code, means) in [
        ("0", "All is well."),
        ("1", "The command line is wrong, or the system refused something."),
        ("3", "The configuration cannot be run."),
        ("4", "A configuration test found mistakes."),
        ("5", "A configuration test found insecure scripts."),
        ("6", "There is no configuration file."),
    ] {
        page.item(code, means);
    }
    page.section("DATA");
    page.data("rkeepalived");
    page.section("SEE ALSO");
    page.paragraph("rkeepalived.conf(5)");
    page.finish()
}

/// `rkeepalived.conf.5`.
pub fn configuration() -> String {
    let mut page = Page::new("rkeepalived.conf", 5, "the keywords of keepalived.conf as rkeepalived serves them");
    page.section("DESCRIPTION");
    page.paragraph(
        "Every keyword of keepalived 2.1.5, by block. A keyword without a remark is served as keepalived serves it.",
    );
    page.registry(&read::registry(), PLACES);
    page.section("SEE ALSO");
    page.paragraph("rkeepalived(8)");
    page.finish()
}
