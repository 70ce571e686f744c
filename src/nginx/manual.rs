//! rnginx's pages of the manual.

use super::modules::modules;
use super::options;
use crate::conf::manual::Page;
use crate::conf::registry::Registry;
use crate::session::contexts::PLACES;

/// `rnginx.8`.
pub fn program() -> String {
    let mut page = Page::new("rnginx", 8, "runs nginx.conf files unchanged");
    page.section("DESCRIPTION");
    page.paragraph(
        "rnginx reads the configuration nginx 1.23.4 reads and serves what it asks for. Command line, signals, \
         messages and exit codes are nginx's; what is known and not served yet is refused by name.",
    );
    page.section("OPTIONS");
    for (option, does) in options::described() {
        page.item(&option, &format!("{does}."));
    }
    page.section("SIGNALS");
    for (signal, does) in [
        ("TERM, INT", "Ends at once."),
        ("QUIT", "Ends when the requests at work are answered."),
        ("HUP", "Reads the configuration again; a bad one changes nothing."),
        ("USR1", "Opens the log files again."),
        ("USR2", "Starts the program's file anew on the same sockets."),
        ("WINCH", "Stops accepting connections."),
    ] {
        page.item(signal, does);
    }
    page.section("DATA");
    page.data("rnginx");
    page.section("SEE ALSO");
    page.paragraph("rnginx.conf(5)");
    page.finish()
}

/// `rnginx.conf.5`.
pub fn configuration() -> String {
    let mut page = Page::new("rnginx.conf", 5, "the directives of nginx.conf as rnginx serves them");
    page.section("DESCRIPTION");
    page.paragraph(
        "Every directive of nginx 1.23.4, by module. A directive without a remark is served as nginx serves it.",
    );
    page.registry(&Registry::new(&modules()), PLACES);
    page.section("SEE ALSO");
    page.paragraph("rnginx(8)");
    page.finish()
}
