//! A handler's write needs the whole body.

use super::{Event, chunked, start, status_and_text, with_length, written};
use crate::common::TIMEOUT;
use crate::common::client::Client;

#[test]
fn a_write_before_the_body_s_end_is_refused_and_writes_nothing() {
    let (server, _events) = start(&[]);
    let early =
        "Err(\"the request's body has not been read to its end: read it before the write\")";
    let mut client = Client::connect(&server.listen);
    client.send(with_length("/early-write", 5) + "hello");
    assert_eq!(
        status_and_text(&client.response()),
        (200, &*format!("{early}, then 5"))
    );
    // A part of a chunked body that the write has seen still reaches the handler.
    client.send(chunked("/early-write") + "5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(
        status_and_text(&client.response()),
        (200, &*format!("{early}, then 5"))
    );
    let record = ("/early-write".to_owned(), 5);
    assert_eq!(written(&server), (vec![record.clone(), record], vec![5, 5]));
}

#[test]
fn a_write_waits_for_the_end_of_a_chunked_body_whose_last_byte_was_read() {
    let (server, events) = start(&[]);
    let mut client = Client::connect(&server.listen);
    client.send(chunked("/five") + "5\r\nhello\r\n");
    assert_eq!(events.recv_timeout(TIMEOUT), Ok(Event::Data(5)));
    client.send("0\r\n\r\n");
    assert_eq!(status_and_text(&client.response()), (200, "written"));
    // With a known length there is nothing to wait for.
    client.send(with_length("/five", 5) + "hello");
    assert_eq!(status_and_text(&client.response()), (200, "written"));
    // The client does not end its body.
    client.send(chunked("/five") + "5\r\nhello\r\n");
    let response = client.response();
    assert!(
        response.text().contains("not been read to its end"),
        "{}",
        response.text()
    );
    assert!(response.closes_connection());
    assert_eq!(written(&server).1, [5, 5]);
}
