use daybook::testing::Server;

#[test]
fn a_note_is_shown_escaped_and_stored_with_its_request() {
    let server = Server::start(guestbook::app());
    let added = server.post("/notes", "text=%3Cb%3Ehello");
    assert_eq!(added.status, 303);
    assert_eq!(added.header("location"), Some("/"));

    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<li>&lt;b&gt;hello</li>"), "{}", page.text());

    let stored: (String, String) = server
        .database()
        .query_row("select text, path from notes, requests where requests.id = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(stored, ("<b>hello".to_owned(), "/notes".to_owned()));
}
