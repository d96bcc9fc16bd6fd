"""A certificate for "localhost", for tests and the soak alone: its key is public."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Self-signed for "localhost" and 127.0.0.1, valid until 2125; made for these tests alone.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUdbiYfgQFnz8SUHlq4xfnEelvWfYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA2MzgzN1oYDzIxMjYxMDI4
MDYzODM3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT3+Z5ijiaWvYdTCTjF/gRXx0eJuCWv963bNtCwVzoRyEAS/nr2TMB7
2xbux7v7QbizA8MZPwUMFUmQ2cIA9Ljzo28wbTAdBgNVHQ4EFgQU2ebNHJJXXPsW
vId7Wh8uwCd1rQ8wHwYDVR0jBBgwFoAU2ebNHJJXXPsWvId7Wh8uwCd1rQ8wGgYD
VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDSAAwRQIhAK3YunRZ7hCOvT4/yQVuOBD2dQMyTLQAvh1WXHVeLaI1AiAx
DqRsOMmvHkXaMhzrSRJJgO+x/qpHYUihDlGQKH1rzg==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnR4/5Q7KQQYUgDC9
aOZYlEXPQxHa4bvlZFT/1vdahSShRANCAAT3+Z5ijiaWvYdTCTjF/gRXx0eJuCWv
963bNtCwVzoRyEAS/nr2TMB72xbux7v7QbizA8MZPwUMFUmQ2cIA9Ljz
-----END PRIVATE KEY-----
"""


def server_context(folder: Path) -> ssl.SSLContext:
    """A server's context with the certificate, which is written into a temporary folder."""
    certificate = folder / "certificate.pem"
    certificate.write_text(CERTIFICATE + KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def client_context() -> ssl.SSLContext:
    """A client's context that trusts the certificate and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=CERTIFICATE)
    return context
