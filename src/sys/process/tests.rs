use super::*;
use std::process::Stdio;

#[test]
fn a_process_with_several_threads_neither_forks_nor_takes_its_title() {
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || wait.recv().is_err());
    assert!(!is_only_thread());
    assert!(fork().is_err_and(|error| error.to_string() == "the process has several threads"));
    let mut title = Title::take();
    title.set("another");
    assert_eq!(title.length, 0);
    let shown = std::fs::read("/proc/self/cmdline").expect("a command line");
    assert!(!shown.starts_with(b"another"));
    drop(stop);
    assert!(other.join().expect("the other thread"));
}

#[test]
fn arguments_and_environment_have_their_places() {
    let (arguments, environment) = places().expect("places");
    assert!(arguments.end <= environment.start && environment.end > environment.start);
}

#[test]
fn a_starter_without_a_word_fails_and_with_one_ends_with_it() {
    for (word, wanted) in [(Some(0), Some(0)), (Some(3), Some(3)), (None, None)] {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let ready = Ready(Some(writer));
        match word {
            Some(code) => ready.tell(code),
            None => drop(ready),
        }
        let mut code = [9];
        let told = File::from(reader).read_exact(&mut code).is_ok().then_some(code[0]);
        assert_eq!(told, wanted);
    }
}

#[test]
fn a_command_of_its_own_leads_a_group_and_has_no_signal_blocked() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cut -d' ' -f1,5 /proc/$$/stat; exec grep SigBlk /proc/self/status"]).stdout(Stdio::piped());
    on_its_own(&mut command, Signal::SIGKILL);
    unblocked(&mut command);
    let output = command.output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let numbers: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    assert!(numbers.len() == 2 && numbers[0] == numbers[1], "{text}");
    assert_eq!(lines.next(), Some("SigBlk:\t0000000000000000"));
}

#[test]
fn a_signal_reaches_the_process_it_is_sent_to() {
    let mut child = Command::new("/bin/sleep").arg("60").spawn().expect("a child");
    signal(Pid::from_raw(child.id() as i32), libc::SIGKILL).expect("a signal");
    assert!(!child.wait().expect("an end").success());
    assert!(signal(Pid::from_raw(i32::MAX), 0).is_err());
}
