"""Which tokens are good, and what they let their holders do."""

import base64
import hashlib
import hmac
import json
from hashlib import sha256
from time import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from app.dataplane.plan import Caller
from app.errors import AuthUnavailable, Forbidden, Unauthorized
from app.oidc import tokens as tokens_module
from app.oidc.issuer import Issuer
from app.oidc.key_set import read_key_set
from app.oidc.settings import Oidc
from app.oidc.tokens import Tokens
from tests.app.oidc.issuer_server import AUDIENCE, SigningKey

ISSUER = "https://login.example.com"


def made(*keys, clock=time, **changes):
    settings = {"issuer": ISSUER, "audience": [AUDIENCE], "leeway_s": 0, "jwks_url": "http://x/keys", **changes}
    settings["issuer"] = settings["issuer"].replace("https:", "http:")  # no authorities are read
    issuer = Issuer(Oidc(**settings))
    issuer.settings = issuer.settings.model_copy(update={"issuer": ISSUER})
    publish(issuer, *keys)
    seen = []

    def caller_for(subject, rights):
        seen.append(rights)
        return Caller(rights.tenant, tuple(rights.profiles), rights.profile, frozenset(rights.routes), None, subject)

    tokens = Tokens(issuer, caller_for, frozenset(("default", "research")), clock)
    tokens.issuer, tokens.seen = issuer, seen
    return tokens


def publish(issuer, *keys):
    issuer._use(read_key_set(json.dumps({"keys": [key.published for key in keys]}).encode(), RS), frozenset())


RS = ("RS256", "ES256", "PS256", "EdDSA")


def check(tokens, token):
    token = token.encode() if isinstance(token, str) else token
    return tokens.caller(token, sha256(token).digest())


def refused(tokens, token, kind=Unauthorized):
    with pytest.raises(kind) as told:
        check(tokens, token)
    text = told.value.body().decode()
    assert (token if isinstance(token, str) else token.decode("latin-1"))[-40:] not in text or len(token) < 40
    return told.value.message


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_good_token_is_checked_once(rsa_key, ec_key, monkeypatch):
    tokens = made(rsa_key, ec_key)
    checks = []
    decode = jwt.decode
    monkeypatch.setattr(jwt, "decode", lambda *a, **k: checks.append(1) or decode(*a, **k))
    for key in (rsa_key, ec_key):
        token = key.token(ISSUER)
        assert check(tokens, token) is check(tokens, token)
    assert len(checks) == 2


def test_a_token_is_forgotten_when_it_expires(rsa_key):
    now = time()
    clock = [now]
    tokens = made(rsa_key, clock=lambda: clock[0], leeway_s=5)
    token = rsa_key.token(ISSUER, exp=now + 100)
    check(tokens, token)
    clock[0] = now + 104.9
    check(tokens, token)
    clock[0] = now + 105
    assert "expired" in refused(tokens, token)
    assert tokens._known == {}
    clock[0] = now - 3600  # the clock goes back: nothing of before is remembered, and it was issued in the future
    assert "not valid yet" in refused(tokens, token)


def test_other_keys_of_the_issuer_mean_that_every_token_is_checked_anew(rsa_key, ec_key):
    tokens = made(rsa_key, ec_key)
    token = rsa_key.token(ISSUER)
    check(tokens, token)
    publish(tokens.issuer, ec_key)
    assert "does not publish" in refused(tokens, token)


def test_what_is_remembered_is_bounded(ec_key, monkeypatch):
    monkeypatch.setattr(tokens_module, "MOST_KNOWN", 3)
    tokens = made(ec_key)
    for i in range(5):
        check(tokens, ec_key.token(ISSUER, sub=f"user-{i}"))
    assert len(tokens._known) == 3


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"exp": 1000}, "expired"),
        ({"exp": None}, "no claim `exp`"),
        ({"exp": "soon"}, "no time"),
        ({"exp": True}, "no time"),
        ({"exp": float("inf")}, "no time"),
        ({"exp": float("nan")}, "no time"),
        ({"exp": 10**400}, "no time"),
        ({"nbf": 2**40}, "not valid yet"),
        ({"iat": 2**40}, "not valid yet"),
        ({"nbf": []}, "no time"),
        ({"aud": "other"}, "not for this service"),
        ({"aud": None}, "no claim `aud`"),
        ({"aud": ["other", "third"]}, "not for this service"),
        ({"aud": []}, "no claim `aud`"),
        ({"iss": "https://evil.example.com"}, "another issuer"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": None}, "no claim `iss`"),
    ],
    ids=str,
)
def test_claims_that_are_wrong(ec_key, claims, says):
    assert says in refused(made(ec_key), ec_key.token(ISSUER, **claims))


def test_one_of_several_audiences_is_enough(ec_key):
    check(made(ec_key, audience=["a", AUDIENCE]), ec_key.token(ISSUER, aud=["x", AUDIENCE]))


def test_no_signature_is_refused(rsa_key):
    tokens = made(rsa_key)
    claims = part(jwt.decode(rsa_key.token(ISSUER), options={"verify_signature": False}))
    for algorithm in ("none", "None", "NONE", "", None):
        head = part({"alg": algorithm, "kid": "rsa-1"})
        refused(tokens, f"{head}.{claims}.")
        refused(tokens, f"{head}.{claims}.{rsa_key.token(ISSUER).split('.')[2]}")
    refused(tokens, f"{part({'kid': 'rsa-1'})}.{claims}.")
    refused(tokens, f"{part({'alg': 'RS256', 'kid': 'rsa-1'})}.{claims}.")


@pytest.mark.parametrize("encoding", ["pem", "der", "jwk"])
def test_a_public_key_as_a_secret_is_refused(rsa_key, encoding):
    public = rsa_key.private.public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = {
        "pem": public.public_bytes(serialization.Encoding.PEM, info),
        "der": public.public_bytes(serialization.Encoding.DER, info),
        "jwk": json.dumps(rsa_key.published).encode(),
    }[encoding]
    claims = jwt.decode(rsa_key.token(ISSUER), options={"verify_signature": False})
    for algorithm in ("HS256", "RS256"):
        signed = f"{part({'alg': algorithm, 'kid': 'rsa-1'})}.{part(claims)}"
        mac = base64.urlsafe_b64encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest()).rstrip(b"=")
        refused(made(rsa_key), f"{signed}.{mac.decode()}")


def test_a_key_is_good_for_its_own_algorithm_only(rsa_key):
    other = SigningKey("rsa-1", "PS256")
    other.private = rsa_key.private
    assert "not for" in refused(made(rsa_key, algorithms=["RS256", "PS256"]), other.token(ISSUER))
    assert "not accepted" in refused(made(rsa_key), other.token(ISSUER))


def test_another_key_of_the_same_name_is_refused(rsa_key):
    refused(made(rsa_key), SigningKey("rsa-1").token(ISSUER))


def test_a_key_in_the_token_itself_is_not_used(rsa_key):
    evil = SigningKey("evil")
    refused(made(rsa_key), evil.token(ISSUER, {"jwk": evil.published, "kid": "rsa-1"}))
    refused(made(rsa_key), evil.token(ISSUER, {"jku": "http://evil/keys", "kid": "rsa-1"}))


def test_an_unknown_key_is_looked_for(rsa_key):
    refused(made(rsa_key), SigningKey("rsa-2").token(ISSUER), AuthUnavailable)


def test_a_token_with_a_changed_claim_is_refused(ec_key):
    head, _, signature = ec_key.token(ISSUER).split(".")
    claims = part({"iss": ISSUER, "aud": AUDIENCE, "exp": time() + 60, "sub": "root"})
    refused(made(ec_key), f"{head}.{claims}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        b"..", b"a.b.c", b"\xff.\xff.\xff", b"e30.e30.e30", b"W10.W10.W10", b"bnVsbA.e30.", b"." * 2 + b"x" * 20_000,
        (base64.urlsafe_b64encode(b"[" * 11_000).rstrip(b"=") + b".e30.x"),
        part({"alg": ["RS256"], "kid": "rsa-1"}).encode() + b".e30.x",
        part({"alg": "RS256", "kid": 5}).encode() + b".e30.x",
        part({"alg": "RS256", "kid": "rsa-1", "crit": ["x"]}).encode() + b".e30.x",
    ],
    ids=lambda token: repr(token[:30]),
)  # fmt: skip
def test_garbage_is_401(rsa_key, token):
    refused(made(rsa_key), token)


@pytest.mark.parametrize(
    ("changes", "claims", "wanted"),
    [
        ({}, {}, ("default", (), "", {"*"})),
        ({"rights": {"tenant": "t", "routes": ["auto"]}}, {}, ("t", (), "", {"auto"})),
        ({"tenant_claim": "org"}, {"org": "acme"}, ("acme", (), "", {"*"})),
        ({"tenant_claim": "org.id"}, {"org": {"id": "acme"}}, ("acme", (), "", {"*"})),
        ({"tenant_claim": "https://x.y/org"}, {"https://x.y/org": "acme"}, ("acme", (), "", {"*"})),
        ({"profile_claim": "p"}, {"p": "research"}, ("default", (), "research", {"*"})),
        ({"profile_claim": "p", "rights": {"profile": "default"}}, {}, ("default", (), "", {"*"})),
        ({"profiles_claim": "p"}, {"p": ["research", "x"]}, ("default", ("research", "x"), "", {"*"})),
        ({"profiles_claim": "p", "rights": {"profiles": ["*"]}}, {}, ("default", (), "", {"*"})),
        ({"routes_claim": "scope"}, {"scope": "auto support"}, ("default", (), "", {"auto", "support"})),
        ({"routes_claim": "scope"}, {}, ("default", (), "", set())),
    ],
    ids=str,
)
def test_claims_and_the_configuration_give_the_rights(ec_key, changes, claims, wanted):
    caller = check(made(ec_key, **changes), ec_key.token(ISSUER, **claims))
    assert (caller.tenant, caller.profiles, caller.profile, set(caller.names)) == wanted
    assert caller.key.startswith("sub_")
    assert len(caller.key) == 16


def test_models_come_from_a_claim_too(ec_key):
    tokens = made(ec_key, models_claim="models")
    check(tokens, ec_key.token(ISSUER, models=["m"]))
    check(tokens, ec_key.token(ISSUER))
    assert [rights.models for rights in tokens.seen] == [["m"], []]


@pytest.mark.parametrize(
    ("changes", "claims", "kind"),
    [
        ({"tenant_claim": "org"}, {}, Unauthorized),
        ({"tenant_claim": "org"}, {"org": ""}, Unauthorized),
        ({"tenant_claim": "org"}, {"org": "*"}, Unauthorized),
        ({"tenant_claim": "org"}, {"org": "a\nb"}, Unauthorized),
        ({"tenant_claim": "org"}, {"org": "x" * 129}, Unauthorized),
        ({"tenant_claim": "org"}, {"org": ["acme"]}, Unauthorized),
        ({"tenant_claim": "org.id"}, {"org": "acme"}, Unauthorized),
        ({"routes_claim": "r"}, {"r": [5]}, Unauthorized),
        ({"routes_claim": "r"}, {"r": {"auto": 1}}, Unauthorized),
        ({"profile_claim": "p"}, {"p": "unknown"}, Forbidden),
        ({"profile_claim": "p"}, {"p": ["research"]}, Forbidden),
    ],
    ids=str,
)
def test_claims_that_say_nothing_that_is_known_let_nobody_in(ec_key, changes, claims, kind):
    tokens = made(ec_key, **changes)
    refused(tokens, ec_key.token(ISSUER, **claims), kind)
    assert tokens.seen == []


def test_subjects_have_names_of_their_own(ec_key):
    tokens = made(ec_key)
    one, same, other = (check(tokens, ec_key.token(ISSUER, sub=sub, jti=jti)) for sub, jti in ("a1", "a2", "b3"))
    assert one.key == same.key != other.key
