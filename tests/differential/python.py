"""The Python columns of the differential matrix: PyJWT and joserfc, each with its strictest options.

Reads the tokens that run.mjs sends on standard input, and prints the verdicts as JSON.
"""

import datetime
import json
import sys
import warnings
from importlib.metadata import version

import jwt
import jwt.api_jwt
from joserfc import jwt as jose_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter, in_choices, is_str

# joserfc warns that RFC 9864 deprecates the name EdDSA.
warnings.simplefilter("ignore")


def pyjwt(setting, jwks):
    """Uses a key set without a network, and every option that refuses a token."""

    class Keys(jwt.PyJWKClient):
        def fetch_data(self):
            return jwks

    class Clock(datetime.datetime):
        """Stands still, because PyJWT has no option for the time."""

        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(setting["now"], tz)

    jwt.api_jwt.datetime = Clock
    keys = Keys(setting["issuer"])
    options = {
        "require": setting["required"],
        "strict_aud": True,
        "enforce_minimum_key_length": True,
        "verify_signature": True,
        "verify_exp": True,
        "verify_nbf": True,
        "verify_iat": True,
        "verify_aud": True,
        "verify_iss": True,
        "verify_sub": True,
        "verify_jti": True,
    }

    def verify(token):
        return jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["EdDSA"],
            audience=setting["audience"],
            issuer=setting["issuer"],
            leeway=setting["tolerance"],
            options=options,
        )

    return verify


def joserfc(setting, jwks):
    """Uses a header registry with the one type and a required kid, and all required claims."""

    def is_our_type(value):
        is_str(value)
        # RFC 7515 §4.1.9: a media type, with or without its prefix.
        in_choices([setting["typ"]])(value.lower().removeprefix("application/"))

    keys = KeySet.import_key_set(jwks)
    headers = JWSRegistry(
        header_registry={
            "typ": HeaderParameter("Type", is_our_type, required=True),
            "kid": HeaderParameter("Key ID", "str", required=True),
        },
        algorithms=["EdDSA", "Ed25519"],
        strict_check_header=True,
    )
    claims = {name: {"essential": True} for name in setting["required"]}
    claims["iss"]["value"] = setting["issuer"]
    claims["aud"]["value"] = setting["audience"]
    # A session can have no scope.
    claims["scope"]["allow_blank"] = True
    registry = jose_jwt.JWTClaimsRegistry(now=setting["now"], leeway=setting["tolerance"], **claims)

    def verify(token):
        registry.validate(jose_jwt.decode(token, keys, registry=headers).claims)

    return verify


COLUMNS = {
    "PyJWT": (
        pyjwt,
        jwt.PyJWTError,
        "PyJWT",
        "PyJWKClient; algorithms, issuer, audience, strict_aud (which refuses lists), require, every verify_… option, leeway."
        " It has no check of typ and no maximal age",
    ),
    "joserfc": (
        joserfc,
        JoseError,
        "joserfc",
        "KeySet; algorithms, typ and kid by the header registry, strict_check_header, essential claims, iss, aud, now, leeway."
        " It has no maximal age; decoder_cls would run the caller's own JSON decoder",
    ),
}


def judge(make, own_error, setting):
    verifiers = {}
    verdicts = []
    for entry in setting["tokens"]:
        if entry is None:
            verdicts.append(None)
            continue
        try:
            name = json.dumps(entry["jwks"])
            if name not in verifiers:
                verifiers[name] = make(setting, entry["jwks"])
            verifiers[name](entry["token"])
            verdicts.append({"verdict": "accepts"})
        except own_error as error:
            verdicts.append({"verdict": "refuses", "reason": f"{type(error).__name__}: {error}"})
        # An error of another type is a result, too.
        except Exception as error:
            verdicts.append({"verdict": f"throws {type(error).__name__}", "reason": f"{type(error).__name__}: {error}"})
    return verdicts


setting = json.load(sys.stdin)
json.dump(
    {
        name: {"version": version(package), "options": options, "clock": "fixed", "verdicts": judge(make, own_error, setting)}
        for name, (make, own_error, package, options) in COLUMNS.items()
    },
    sys.stdout,
)
