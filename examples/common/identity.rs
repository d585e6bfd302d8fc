//! Who a server says it is.

use exeunt::ServerTls;

use super::command::Early;

/// The configuration for a certificate and a key in files; without them for a certificate of our own making, and what a client has to trust then. `alpn`: the protocols that are spoken.
pub fn server_tls(
    files: Option<&(String, String)>,
    host: &str,
    alpn: &[&str],
) -> Result<(ServerTls, Option<String>), Early> {
    let builder = ServerTls::builder().alpn(alpn);
    if let Some((cert, key)) = files {
        return Ok((builder.identity_files(cert, key).build()?, None));
    }
    let mut names = vec!["localhost", "127.0.0.1", "::1"];
    if !names.contains(&host) {
        names.push(host);
    }
    let signed = exeunt::tls::self_signed(&names)?;
    let tls = builder.identity_pem(&signed.certificate_pem, &signed.key_pem).build()?;
    Ok((tls, Some(signed.ca_pem)))
}
