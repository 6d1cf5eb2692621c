"""server/daybook-certificate: the names it requests, and the file it expects from lego. test_tls.py tests the rest."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent / "server/daybook-certificate"


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """The program, with its paths in a temporary directory."""
    loader = importlib.machinery.SourceFileLoader("certificate", str(PROGRAM))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("certificate", loader))
    loader.exec_module(module)
    module.IN_USE = tmp_path / "site.pem"
    module.ISSUED = tmp_path / "issued"
    module.NAMES_FOR_LEGO = tmp_path / "lego.env"
    module.ISSUED_BY = tmp_path / "issued-by"
    monkeypatch.setenv("ACME_TERMS_ACCEPTED", "yes")
    monkeypatch.delenv("ACME_EMAIL", raising=False)
    return module


@pytest.mark.parametrize("given, wanted, file", [
    ("bücher.example", ["xn--bcher-kva.example"], "xn--bcher-kva.example.pem"),
    ("BÜCHER.Example", ["xn--bcher-kva.example"], "xn--bcher-kva.example.pem"),
    # The same with a combining mark.
    ("bu\u0308cher.example", ["xn--bcher-kva.example"], "xn--bcher-kva.example.pem"),
    ("xn--bcher-kva.example,bücher.example", ["xn--bcher-kva.example"], "xn--bcher-kva.example.pem"),
    ("日本語.example", ["xn--wgv71a119e.example"], "xn--wgv71a119e.example.pem"),
    ("Example.ORG, example.org.,www.example.org,", ["example.org", "www.example.org"], "example.org.pem"),
    ("*.bücher.example", ["*.xn--bcher-kva.example"], "_.xn--bcher-kva.example.pem"),
])
def test_a_name_is_asked_for_once_and_its_file_is_found(certificate, monkeypatch, capsys, given, wanted, file):
    monkeypatch.setenv("ACME_DOMAINS", given)
    assert certificate.due() == 0
    arguments = certificate.NAMES_FOR_LEGO.read_text()
    assert arguments == f"LEGO_DOMAINS={' '.join(f'--domains={name}' for name in wanted)}\n"
    with pytest.raises(certificate.CertificateError, match=f"{certificate.ISSUED}/{file}: No such file"):
        certificate.use_issued()

    in_use(certificate, wanted)
    capsys.readouterr()
    assert certificate.due() == certificate.NOT_DUE
    assert capsys.readouterr().out.endswith("is in use: not yet due\n")


def in_use(certificate, names: list[str]) -> None:
    """Makes a certificate in use, as lego gets it."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90",
         "-subj", "/CN=x", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names),
         "-keyout", "/dev/null", "-out", certificate.IN_USE],
        check=True, capture_output=True,
    )


def test_after_a_first_try_at_the_staging_server_the_real_one_is_asked(certificate, monkeypatch):
    monkeypatch.setenv("ACME_DOMAINS", "example.org")
    monkeypatch.setattr(certificate, "use", lambda *_: in_use(certificate, ["example.org"]) or 0)
    for server in ("https://staging.example/directory", "https://acme.example/directory"):
        monkeypatch.setenv("ACME_SERVER", server)
        assert certificate.due() == 0
        assert certificate.use_issued() == 0
        assert certificate.due() == certificate.NOT_DUE
    # The operator's own certificate has no ACME server.
    assert certificate.use_own("site.pem") == 0
    monkeypatch.setenv("ACME_SERVER", "https://other.example/directory")
    assert certificate.due() == certificate.NOT_DUE


@pytest.mark.parametrize("sites, names", [
    ("on", ["example.org", "www.example.org"]),
    ("*.bücher.example,Example.ORG", ["example.org", "www.example.org", "*.xn--bcher-kva.example"]),
])
def test_a_site_has_the_names_of_its_certificate_by_acme_and_those_of_sites(certificate, monkeypatch, capsys, sites, names):
    monkeypatch.setenv("ACME_DOMAINS", "example.org,www.example.org")
    monkeypatch.setenv("SITES", sites)
    assert certificate.main(["site-names"]) == 0
    assert capsys.readouterr().out.splitlines() == names


@pytest.mark.parametrize("given, said", [
    ("faß.example", "`faß.example`, which cannot be encoded (ß, ς and joiners are not encoded here): write it as your registrar"),
    ("bücher..example", "`bücher..example`, which cannot be encoded (label empty or too long): write it as your registrar"),
    ("x" * 64 + ".example", "which is no host name"),
    ("example..org", "which is no host name"),
    ("two words.example", "`two words.example`, which is no host name: write `example.org,www.example.org`"),
    ("example.org;www.example.org", "which is no host name"),
    ("https://example.org", "which is no host name"),
    ("example.org:443", "which is no host name"),
    ("a_b.example", "which is no host name"),
    ("-a.example", "which is no host name"),
    ("a.*.example", "which is no host name"),
])
def test_what_is_no_name_is_refused_before_anybody_is_asked(certificate, monkeypatch, given, said):
    monkeypatch.setenv("ACME_DOMAINS", f"example.org,{given}")
    with pytest.raises(certificate.CertificateError) as refused:
        certificate.due()
    assert said in str(refused.value)
    assert not certificate.NAMES_FOR_LEGO.exists()
