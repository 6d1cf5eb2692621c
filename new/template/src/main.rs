fn main() -> std::process::ExitCode {
    daybook::run(guestbook::app())
}
