"""Hooks of schemathesis. They sign in and make payments as a browser does."""

import functools
import os
import random
import re

import requests
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, ServerError
from schemathesis.openapi.checks import RejectedPositiveData

WORKER = os.environ["SCHEMA_WORKER"]
SIMULATOR = os.environ["SCHEMA_SIMULATOR"]
CREDENTIAL = os.environ["SCHEMA_CREDENTIAL"]
OPERATOR = os.environ["SCHEMA_OPERATOR"]
# How the session token is sent: `bearer` or `cookie`. In `none`, the caller has no valid
# credential. In `peers`, schemathesis itself signs two users in.
PASS = os.environ["SCHEMA_PASS"]
SIGNS_IN = PASS in ("bearer", "cookie")

COOKIE = "__Host-pi_session"
# Requests that delete something are Bob's, so that Alice is never erased and her orders stay.
ALICE, BOB = "sim-alice", "sim-bob"

session = requests.Session()
tokens = {}


def new_session(access_token):
    """The tokens of a new session."""
    answer = session.post(f"{WORKER}/session", json={"accessToken": access_token})
    answer.raise_for_status()
    return answer.json()


def sign_in(access_token):
    """A session token that is valid now. Other cases revoke sessions and erase users."""
    known = tokens.get(access_token)
    if known is None or session.get(f"{WORKER}/session", headers=bearer(known)).status_code != 200:
        tokens[access_token] = new_session(access_token)["sessionToken"]
    return tokens[access_token]


def bearer(token):
    """The header that carries this token."""
    return {"Authorization": f"Bearer {token}"}


def schemes(operation):
    """The names of the security schemes of the operation."""
    requirements = operation.definition.raw.get("security", [])
    return {name for requirement in requirements for name in requirement}


if SIGNS_IN:

    # Not cached: `sign_in` checks before each use that the token is live.
    @schemathesis.auth(refresh_interval=None)
    class Credentials:
        """The session token or the credential that the operation needs."""

        def get(self, case, context):
            wanted = schemes(context.operation)
            if "backend" in wanted:
                return "backend", CREDENTIAL
            if "operator" in wanted:
                return "operator", OPERATOR
            if "session" in wanted:
                return "session", sign_in(BOB if case.method == "DELETE" else ALICE)
            return None

        def set(self, case, data, context):
            scheme, token = data
            if scheme == "session" and PASS == "cookie":
                case.cookies = {**(case.cookies or {}), COOKIE: token}
                case.headers["Origin"] = WORKER
            else:
                case.headers.update(bearer(token))


def wallet(method, path, **arguments):
    """Sends a request of Alice's Pi wallet to the simulator."""
    return session.request(method, f"{SIMULATOR}/simulator/{path}", headers=bearer(ALICE), **arguments)


def order():
    """Creates an order of Alice."""
    answer = session.post(f"{WORKER}/orders", headers=bearer(sign_in(ALICE)), json={"productId": "coffee"})
    answer.raise_for_status()
    return answer.json()


def payment():
    """Creates the payment for an order, as Alice's browser does."""
    for left in wallet("GET", "payments/incomplete").json():
        # Pi allows no second payment before the first one is finished.
        session.post(f"{WORKER}/payments/{left['identifier']}/recover", headers=bearer(sign_in(ALICE)))
        wallet("POST", f"payments/{left['identifier']}/cancel")
    wanted = order()
    wanted["amount"] = float(wanted["amount"])
    made = wallet("POST", "payments", json={name: wanted[name] for name in ("amount", "memo", "metadata")})
    made.raise_for_status()
    return made.json()["identifier"]


def approved():
    """A payment that the Worker has approved."""
    identifier = payment()
    session.post(f"{WORKER}/payments/{identifier}/approve", headers=bearer(sign_in(ALICE))).raise_for_status()
    return identifier


def paid():
    """A payment that the Worker has approved and Alice has paid, and its transaction."""
    identifier = approved()
    made = wallet("POST", f"payments/{identifier}/pay")
    made.raise_for_status()
    return identifier, made.json()["transaction"]["txid"]


def other_session():
    """The id of one more session of Bob."""
    more = new_session(BOB)["sessionToken"]
    return session.get(f"{WORKER}/session", headers=bearer(more)).json()["sid"]


def complete(case):
    """Puts a payment and its transaction into the case."""
    case.path_parameters["paymentId"], case.body["txid"] = paid()


def put(**values):
    """Puts values into the path. A function makes each value."""
    return lambda case: case.path_parameters.update({name: make() for name, make in values.items()})


def put_body(**values):
    """Puts values into the body. A function makes each value."""
    return lambda case: case.body.update({name: make() for name, make in values.items()})


def product_id():
    """The id of a product that does not exist."""
    return f"product-{chance.getrandbits(64):x}"


def console_file():
    """The name of the console's script, which contains a hash."""
    page = session.get(f"{WORKER}/console").text
    return re.search(r"console/(main-[^\"']+[.]js)", page)[1]


@functools.cache
def carol():
    """A user who has signed in once, and does not sign in again."""
    new_session("sim-no-username")
    return CAROL_UID


def erase_bob(case):
    """Confirms the erasure of Bob."""
    case.path_parameters["uid"] = BOB_UID
    case.query = {"confirm": BOB_UID}


ALICE_UID, BOB_UID = "a11ce000-0000-4000-8000-000000000001", "b0b00000-0000-4000-8000-000000000002"
CAROL_UID = "ca501000-0000-4000-8000-000000000003"
AUDIENCE = "test-app"  # startIssuer in tests/support/workers.mjs

REAL = {
    "POST /session": put_body(accessToken=lambda: BOB),
    "POST /session/refresh": put_body(refreshToken=lambda: new_session(BOB)["refreshToken"]),
    "DELETE /sessions/{sid}": put(sid=other_session),
    "PUT /me/data": lambda case: case.headers.update({"If-Match": "*"}),
    "POST /orders": put_body(productId=lambda: "coffee"),
    "GET /orders/{orderId}": put(orderId=lambda: order()["orderId"]),
    "POST /payments/{paymentId}/approve": put(paymentId=payment),
    "POST /payments/{paymentId}/complete": complete,
    "POST /payments/{paymentId}/cancel": put(paymentId=payment),
    "POST /payments/{paymentId}/recover": put(paymentId=lambda: chance.choice([payment, lambda: paid()[0]])()),
    "POST /ads/{adId}/claim": put(adId=lambda: wallet("POST", "ads", json={"status": "granted"}).json()["adId"]),
    "POST /introspect": put_body(token=lambda: sign_in(ALICE)),
    "GET /users/{uid}": put(uid=lambda: ALICE_UID),
    "GET /users/{uid}/payments": put(uid=lambda: ALICE_UID),
    "POST /users/{uid}/revoke": put(uid=lambda: BOB_UID),
    "POST /admin/products": put_body(id=product_id, name=lambda: "Cake", amount=lambda: "1"),
    "POST /admin/payments/{paymentId}/settle": put(paymentId=lambda: chance.choice([approved, lambda: paid()[0]])()),
    "POST /admin/payments/{paymentId}/cancel": put(paymentId=approved),
    "POST /admin/revoke-all": put_body(confirm=lambda: AUDIENCE),
    "POST /admin/users/{uid}/block": put(uid=carol),
    "DELETE /admin/users/{uid}": erase_bob,
    "GET /console/{name}": put(name=console_file),
}
# Operators can do these to anyone and anything. The users who sign in here must not be blocked, Alice
# must stay, and coffee must be for sale.
SPARED = {
    "POST /admin/users/{uid}/block": ("uid", {ALICE_UID: CAROL_UID, BOB_UID: CAROL_UID}),
    "DELETE /admin/users/{uid}": ("uid", {ALICE_UID: BOB_UID}),
    "PATCH /admin/products/{productId}": ("productId", {"coffee": "tea"}),
}
# In sequences of requests, links provide real ids. Only payments come from elsewhere: the browser.
IN_SEQUENCE = {"POST /payments/{paymentId}/approve"}

chance = random.Random(int(os.environ["SCHEMA_SEED"]))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts real values into every second valid case, because random values are almost always refused."""
    label = case.operation.label
    name, others = SPARED.get(label, (None, {}))
    chosen = (case.path_parameters or {}).get(name)
    if chosen in others:
        case.path_parameters[name] = others[chosen]
    if not SIGNS_IN or label not in REAL or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.meta.phase.name.value == "stateful" and label not in IN_SEQUENCE:
        return
    is_bare = label.startswith("POST /session") and not isinstance(case.body, dict)
    if chance.random() < 0.5 and not is_bare:
        REAL[label](case)


# Pi refuses an invented transaction, and a user's notifications beyond its quota. The Worker
# answers 502.
REFUSED_BY_PI = {"POST /payments/{paymentId}/complete", "POST /notifications"}


def only_header_is_wrong(case):
    """Whether the case violates the schema of a header, and of nothing else."""
    wrong = {location.value for location, part in case.meta.components.items() if part.mode.is_negative}
    return wrong == {"header"}


def is_expected(failure, case, code):
    """Whether the request was refused or accepted for a reason that a schema cannot express."""
    label = case.operation.label
    if isinstance(failure, ServerError):
        return label in REFUSED_BY_PI and code == "pi_refused"
    # The object that is stored already is accepted whatever If-Match says: the answer to its first
    # request may have been lost.
    if isinstance(failure, AcceptedNegativeData):
        return label == "PUT /me/data" and only_header_is_wrong(case)
    # Random characters may contain a comma. The Worker counts such a bearer token as two
    # credentials.
    return isinstance(failure, RejectedPositiveData) and PASS == "none" and code == "ambiguous_credentials"


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops the failures that are expected. The summary counts them."""
    try:
        code = response.json().get("code")
    except (ValueError, AttributeError):
        code = None
    return not is_expected(failure, case, code)


# schemathesis treats application/jwt as JSON, but it is a string in the compact serialization of
# RFC 7519.
@schemathesis.deserializer("application/json")
def read(context, response):
    """The JSON value, or the text of a JWT."""
    is_jwt = response.headers.get("content-type") == ["application/jwt"]
    return response.text if is_jwt else response.json()
