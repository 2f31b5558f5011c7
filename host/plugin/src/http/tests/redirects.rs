//! Redirects: within the grants, out of them, and in circles.

use super::*;

#[tokio::test]
async fn a_redirect_within_the_grants_is_followed() {
    let server = Server::answering(|request| {
        if request.starts_with("GET /new") { server::ok("moved") } else { server::redirect(301, "/new?x") }
    })
    .await;
    let (plugin, _) = plugin(&[host(&server.url(""))]);
    let answer = request(&plugin, "GET", &server.url("/old"), &[("authorization", "secret")], "").await.unwrap();
    assert_eq!(answer.body, "moved");
    let seen = server.requests();
    assert!(seen[1].starts_with("GET /new?x ") && seen[1].contains("authorization: secret"), "{}", seen[1]);
}

#[tokio::test]
async fn one_that_leaves_the_grants_is_not() {
    let other = Server::answering(|_| server::ok("metadata")).await;
    for to in
        [other.url("/"), "http://169.254.169.254/".into(), "gopher://evil.example/".into(), "//evil.example/".into()]
    {
        let server = {
            let to = to.clone();
            Server::answering(move |_| server::redirect(302, &to)).await
        };
        let (plugin, denials) = plugin(&[host(&server.url(""))]);
        let error = get(&plugin, &server.url("/")).await.unwrap_err();
        assert!(matches!(error, HttpError::NotGranted(_)), "to {to}: {error:?}");
        assert_eq!(denials.list().len(), 1, "to {to}");
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn another_origin_learns_no_secrets() {
    let other = Server::answering(|_| server::ok("there")).await;
    let to = other.url("/");
    let server = Server::answering(move |_| server::redirect(307, &to)).await;
    let (plugin, _) = plugin(&[host(&server.url("")), host(&other.url(""))]);
    let headers =
        [("authorization", "secret"), ("cookie", "secret"), ("x-api-key", "secret"), ("accept", "text/plain")];
    let answer = request(&plugin, "POST", &server.url("/"), &headers, "body").await.unwrap();
    assert_eq!(answer.body, "there");
    let [seen] = &other.requests()[..] else { panic!() };
    assert!(seen.starts_with("POST / ") && seen.ends_with("body"), "{seen}");
    assert!(seen.contains("accept: text/plain") && !seen.contains("secret"), "{seen}");
    assert!(seen.contains(&format!("host: {}", other.authority())), "{seen}");
}

#[tokio::test]
async fn what_is_sent_again_follows_from_the_status() {
    for (status, method, expected) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
    ] {
        let server = Server::answering(move |request| {
            if request.contains(" /new ") {
                "HTTP/1.1 204 No Content\r\n\r\n".into()
            } else {
                server::redirect(status, "/new")
            }
        })
        .await;
        let (plugin, _) = plugin(&[host(&server.url(""))]);
        let body = if method == "HEAD" { "" } else { "body" };
        let answer = request(&plugin, method, &server.url("/old"), &[], body).await.unwrap();
        assert_eq!(answer.status.as_u16(), 204, "{status} {method}");
        let again = &server.requests()[1];
        assert!(again.starts_with(&format!("{expected} /new ")), "{status} {method}: {again}");
        assert_eq!(again.ends_with("body"), expected == method && !body.is_empty(), "{status} {method}: {again}");
    }
}

#[tokio::test]
async fn a_circle_ends() {
    let server = Server::answering(|_| server::redirect(302, "/")).await;
    let (plugin, _) = plugin(&[host(&server.url(""))]);
    assert_failed(get(&plugin, &server.url("/")).await, "redirected more than 5 times");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn an_answer_that_leads_to_no_host_is_an_answer() {
    for to in ["", "Location: file:///etc/passwd\r\n", "Location: http://\r\n"] {
        let answer = format!("HTTP/1.1 302 Found\r\n{to}Content-Length: 0\r\n\r\n");
        let server = Server::answering(move |_| answer.clone()).await;
        let (plugin, _) = plugin(&[host(&server.url(""))]);
        assert_eq!(get(&plugin, &server.url("/")).await.unwrap().status.as_u16(), 302, "{to}");
    }
}
