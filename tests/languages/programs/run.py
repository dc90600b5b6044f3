"""Prints the verdicts of the Python program of the documents on the cases of conformance.json."""

import base64
import json
import sys

from pi_session import Refused, load_keys, read_feed, verify

cases = json.load(open(sys.argv[1], encoding="utf-8"))
settings = cases["settings"]
keys = load_keys(cases["jwks"])
common = (keys, settings["issuer"], settings["audience"])
clock = {"tolerance": settings["clockTolerance"], "now": settings["now"]}
feeds = [base64.b64decode(case["feed"]) for case in cases["feeds"]]
feed = read_feed(feeds[0], *common, **clock)


def verdict(work, *arguments, **options):
    try:
        work(*arguments, **options)
        return "valid"
    except Refused as refused:
        return str(refused)


json.dump(
    {
        "tokens": [verdict(verify, case["token"], *common, feed=feed, **clock) for case in cases["tokens"]],
        "feeds": [verdict(read_feed, document, *common, **clock) for document in feeds],
    },
    sys.stdout,
)
