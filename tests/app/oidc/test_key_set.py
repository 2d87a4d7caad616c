"""Which published keys are used, and for what."""

import json

import pytest

from app.oidc.key_set import NoKeySet, read_key_set
from tests.app.oidc.issuer_server import SigningKey

BOTH = ("RS256", "ES256")


def document(*keys: dict) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_a_key_is_found_by_its_id_and_for_its_own_algorithm_only(rsa_key, ec_key):
    keys = read_key_set(document(rsa_key.published, ec_key.published), (*BOTH, "PS256"))
    assert keys.find("rsa-1", "RS256") is not None
    assert keys.find("ec-1", "ES256") is not None
    assert keys.find("rsa-1", "PS256") is None  # published for RS256
    assert keys.find("rsa-1", "ES256") is None
    assert keys.find("ec-1", "RS256") is None
    assert keys.find("none", "RS256") is None
    assert keys.ids == {"rsa-1", "ec-1"}


def test_a_key_without_algorithm_verifies_all_that_its_kind_can(rsa_key):
    public = {name: value for name, value in rsa_key.published.items() if name not in ("alg", "use")}
    keys = read_key_set(document(public), ("RS256", "PS384", "ES256"))
    assert keys.find("rsa-1", "RS256") is not None
    assert keys.find("rsa-1", "PS384") is not None
    assert keys.find("rsa-1", "ES256") is None


def test_a_token_without_an_id_gets_the_only_key_and_none_of_two(rsa_key, ec_key):
    one = read_key_set(document(rsa_key.published, ec_key.published), BOTH)
    assert one.find(None, "RS256") is not None
    nameless = {name: value for name, value in ec_key.published.items() if name != "kid"}
    assert read_key_set(document(nameless), BOTH).find(None, "ES256") is not None
    two = read_key_set(document(rsa_key.published, {**rsa_key.published, "kid": "rsa-2"}), BOTH)
    assert two.find(None, "RS256") is None


def test_what_is_no_signing_key_is_passed_over(rsa_key, ec_key):
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"}
    weak = SigningKey("weak", bits=1024).published
    enciphering = {**rsa_key.published, "use": "enc", "kid": "e"}
    broken = {"kty": "RSA", "n": "!", "e": "AQAB", "kid": "b"}
    off_curve = {**ec_key.published, "y": ec_key.published["x"], "kid": "o"}
    others = [secret, weak, enciphering, broken, off_curve, {"kty": 5}, {}, {"kty": "EC", "crv": []}]
    keys = read_key_set(json.dumps({"keys": [*others, "text", None, ec_key.published]}).encode(), BOTH)
    assert keys.ids == {"ec-1"}
    with pytest.raises(NoKeySet):
        read_key_set(document(*others), BOTH)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": {}}', b"\xff", b"[" * 100_000])
def test_what_is_no_key_set_is_told(text):
    with pytest.raises(NoKeySet):
        read_key_set(text, BOTH)


def test_the_same_keys_are_the_same_however_they_are_written(rsa_key, ec_key):
    one = read_key_set(document(rsa_key.published, ec_key.published), BOTH)
    other = read_key_set(document({**ec_key.published, "x5t": "y"}, rsa_key.published), BOTH)
    assert one.same_as(other)
    assert not one.same_as(read_key_set(document(rsa_key.published), BOTH))
    assert not one.same_as(read_key_set(document(rsa_key.published, {**SigningKey("ec-1", "ES256").published}), BOTH))


@pytest.mark.parametrize("algorithm", ["ES384", "ES512", "EdDSA"])
def test_other_curves(algorithm):
    key = SigningKey("k", algorithm)
    assert read_key_set(document(key.published), (algorithm,)).find("k", algorithm) is not None
