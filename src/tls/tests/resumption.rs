//! Sessions, from one connection to the next.

use super::*;

async fn resumed(client: &ClientTls, server: &ServerTls) -> bool {
    let (mut near, mut far) = secured(client, server, tcp().await).await;
    let resumed = near.info().resumed;
    assert_eq!(far.info().resumed, resumed);
    assert!(near.info().peer_certificate.is_some(), "a resumed session still knows its peer");
    close_notify(&mut near).await.unwrap();
    assert_eq!(event(&mut far).await, Ok(ReadEvent::CloseNotify));
    close_notify(&mut far).await.unwrap();
    assert_eq!(event(&mut near).await, Ok(ReadEvent::CloseNotify));
    resumed
}

#[tokio::test]
async fn the_second_connection_is_resumed() {
    for version in VERSIONS {
        let server = server().build().unwrap();
        let client = client().min_version(version).max_version(version);
        let remembers = client.clone().build().unwrap();
        assert!(!resumed(&remembers, &server).await);
        for _ in 0..3 {
            assert!(resumed(&remembers, &server).await, "{version:?}");
        }
        assert!(!resumed(&client.clone().build().unwrap(), &server).await, "another configuration shares nothing");
        let forgets = client.resumption(false).build().unwrap();
        for _ in 0..2 {
            assert!(!resumed(&forgets, &server).await);
        }
        server.reload().unwrap();
        assert!(!resumed(&remembers, &server).await, "the keys of the tickets are new");
        assert!(resumed(&remembers, &server).await);
    }
}

#[tokio::test]
async fn a_session_is_not_resumed_under_another_name() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    assert!(!resumed(&client, &server).await);
    let (ours, _, near, _) = shake(&client, "127.0.0.1", &server, tcp().await).await;
    ours.unwrap();
    assert!(!near.info().resumed);
}

#[tokio::test]
async fn clients_with_certificates_and_pins_resume_too() {
    let authority = self_signed(&["client.test"]).unwrap();
    let server = server().client_ca_pem(&authority.ca_pem).build().unwrap();
    for version in VERSIONS {
        let client = client().min_version(version).max_version(version);
        let known = client.identity_pem(&authority.certificate_pem, &authority.key_pem).build().unwrap();
        assert!(!resumed(&known, &server).await);
        assert!(resumed(&known, &server).await, "{version:?}");
        let (near, far) = secured(&known, &server, tcp().await).await;
        assert!(far.info().peer_certificate.is_some(), "the client's certificate came with the ticket");

        let pin = near.info().peer_certificate.unwrap().sha256();
        let pinned = ClientTls::builder().pin_sha256(pin).min_version(version).max_version(version);
        let pinned = pinned.identity_pem(&authority.certificate_pem, &authority.key_pem).build().unwrap();
        assert!(!resumed(&pinned, &server).await);
        assert!(resumed(&pinned, &server).await, "{version:?}");
    }
}

#[tokio::test]
async fn nothing_is_kept_with_a_limit_of_none() {
    let client = client().resumption_limits(0, 0).build().unwrap();
    let server = server().build().unwrap();
    for _ in 0..2 {
        assert!(!resumed(&client, &server).await);
    }
}

/// What is on disk is used after a reload, and not before; what is wrong on disk is not used.
#[tokio::test]
async fn a_reload_changes_the_certificate_of_new_connections() {
    let scratch = Scratch::new("reload");
    let [old, new] = [self_signed(NAMES).unwrap(), self_signed(NAMES).unwrap()];
    let certificate = scratch.write("cert.pem", &old.certificate_pem);
    let key = scratch.write("key.pem", &old.key_pem);
    let server = ServerTls::builder().identity_files(&certificate, &key).build().unwrap();
    let client = ClientTls::builder().dangerously_accept_any_certificate().resumption(false).build().unwrap();
    let shown = async || secured(&client, &server, tcp().await).await.0.info().peer_certificate.unwrap();
    let before = shown().await;

    scratch.write("cert.pem", &new.certificate_pem);
    assert_eq!(shown().await, before);
    assert!(server.reload().is_err(), "the key is still the old one's");
    assert_eq!(shown().await, before);
    scratch.write("key.pem", &new.key_pem);
    server.clone().reload().unwrap();
    assert_ne!(shown().await, before);
    std::fs::remove_file(&key).unwrap();
    assert_eq!(server.reload().unwrap_err().file(), Some(&*key));
    assert_ne!(shown().await, before);
}
