"""Which scripts of tlsfuzzer are run, with which arguments, and why the others are not."""

# Most scripts for TLS 1.2 ask for RSA or DHE key exchange if they are not told otherwise; exeunt's servers offer ECDHE.
ECDHE = ["-C", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]


def without(*conversations):
    return [argument for name in conversations for argument in ("-e", name)]


SCRIPTS = [
    ["test-conversation.py", *ECDHE],
    ["test-connection-abort.py", "-d"],
    ["test-zero-length-data.py", *ECDHE],
    ["test-invalid-content-type.py", *ECDHE],
    # An echo server answers to the first byte of a request that comes byte by byte; the script awaits one answer.
    [
        "test-record-layer-fragmentation.py",
        *ECDHE,
        *without(
            "medium, maximum fragmentation: 1 fragment - 1024B extension",
            "small, maximum fragmentation: 1 fragment - 20B extension",
        ),
    ],
    ["test-large-hello.py", "-d"],
    # OpenSSL says illegal_parameter of a message that is too large, where decode_error is expected.
    [
        "test-truncating-of-client-hello.py",
        *ECDHE,
        *without('huge pad: 131584 of "0" byte padding', 'max pad: 16777021 of "0" byte padding'),
    ],
    ["test-fuzzed-ciphertext.py", "-d"],
    ["test-hello-request-by-client.py", *ECDHE],
    ["test-cve-2004-0079.py", *ECDHE],
    ["test-cve-2016-6309.py", *ECDHE],
    ["test-tls13-conversation.py"],
    ["test-tls13-connection-abort.py"],
    ["test-tls13-empty-alert.py"],
    ["test-tls13-unencrypted-alert.py"],
    # Again, one answer is awaited to a request that comes in pieces.
    [
        "test-tls13-zero-length-data.py",
        *without(
            "zero-length app data",
            "zero-length app data with large padding",
            "zero-length app data with padding",
        ),
    ],
    [
        "test-tls13-zero-content-type.py",
        *without(
            "zero content type and padding during application data",
            "zero content type during application data",
        ),
    ],
    ["test-tls13-record-padding.py"],
    # OpenSSL 3.0 counts the padding of a record apart from its content.
    [
        "test-tls13-record-layer-limits.py",
        *without(
            *(
                f"{name}{suite}"
                for suite in ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256")
                for name in (
                    "max size of Finished msg, with 16587 bytes of record layer padding ",
                    "max size payload (2**14) of Finished msg, with 16348 bytes of left padding, cipher ",
                    "too big plaintext, size: 2**14 - 8, with an additional 9 bytes of padding, cipher ",
                )
            )
        ),
    ],
    ["test-tls13-keyupdate.py"],
    ["test-tls13-ccs.py"],
    ["test-tls13-finished.py"],
    ["test-tls13-finished-plaintext.py"],
    # OpenSSL says handshake_failure, where protocol_version is expected.
    ["test-tls13-legacy-version.py", *without("version (3, 0)")],
    ["test-tls13-nociphers.py"],
    # It goes back to TLS 1.2 with RSA key exchange.
    [
        "test-tls13-0rtt-garbage.py",
        *without("handshake with invalid 0-RTT and unknown version (downgrade to TLS 1.2)"),
    ],
]

NOT_APPLICABLE = {
    "they offer RSA or DHE key exchange only, and cannot be told otherwise; the scenarios of our own cover most": [
        "test-ssl-death-alert",
        "test-truncating-of-finished",
        "test-invalid-version",
        "test-invalid-client-hello",
        "test-message-duplication",
        "test-message-skipping",
        "test-fuzzed-finished",
        "test-fuzzed-MAC, -padding, -plaintext",
        "test-lucky13, test-bleichenbacher-*",
    ],
    "they await the answer of an HTTP server, where an echo server answers to each piece": [
        "test-renegotiation-disabled",
        "test-interleaved-application-data-*",
    ],
    "it writes records of version 0.0 with this tlslite-ng, and the server says so": [
        "test-tls13-multiple-ccs-messages",
    ],
    "thousands of extensions that OpenSSL answers with decode_error; minutes long": [
        "test-tls13-large-number-of-extensions",
        "test-large-number-of-extensions",
    ],
    "they ask for what the example is not configured for: client certificates, resumption by a session ID, OCSP, heartbeat, SSLv2, ALPN": [
        "test-*-certificate-*",
        "test-sessionID-resumption",
        "test-ocsp-stapling",
        "test-heartbeat",
        "test-sslv2-*",
        "test-alpn-negotiation",
    ],
    "they measure the library's cryptography, which is not ours": [
        "test-*-curves, -groups, -signatures, -sigs, test-x25519, test-chacha20, test-*-random, test-tls13-minerva",
    ],
}
