#!/usr/bin/env python3
"""A second, independent verifier of Exhibit's evidence, written from docs/format/bundle.md and
docs/format/custody.md alone. Python 3.9, its standard library and the programs zstd, ssh-keygen and openssl (3.0).

    exhibit_verify.py bundle FILE [--signers FILE] [--now UTC]
    exhibit_verify.py custody CASE EXHIBIT [--signers FILE] [--now UTC] [--head SHA256]... [--bundle FILE]
    exhibit_verify.py event FILE

It prints what it found, one line each, and last the verdict; the exit code is the one of the table in bundle.md."""

import argparse, datetime, os, sys

from bundle_check import bundle, read
from custody_check import Newer, custody, event
from primitives import Findings, signers, text_time

EXIT = {"VERIFIED": 0, "UNREADABLE": 1, "VERIFIED-PREFIX": 3, "DAMAGED": 4, "ALTERED": 4,
        "INTACT-SIGNER-UNKNOWN": 5, "INTACT-TIME-UNPROVEN": 5, "NEWER": 7}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("bundle", "custody", "event"))
    p.add_argument("path")
    p.add_argument("exhibit", nargs="?")
    p.add_argument("--signers")
    p.add_argument("--now")
    p.add_argument("--head", action="append", default=[])
    p.add_argument("--bundle")
    a = p.parse_args()
    now = text_time(a.now)[0] if a.now else datetime.datetime.now().timestamp()
    if a.what == "custody":
        entries = signers(a.signers or os.path.join(a.path, "allowed_signers"))
        found = custody(a.path, a.exhibit, entries, now, a.head, a.bundle)
    elif a.what == "bundle":
        found = bundle(read(a.path), signers(a.signers) if a.signers else [], now)
    else:
        found = Findings()
        try:
            found.check(event, read(a.path))
        except Newer as why:
            found.add("NEWER", str(why))
    for verdict, text in found:
        print("%s: %s" % (verdict, ascii(text)[1:-1]))
    print(found.verdict())
    return EXIT[found.verdict()]


if __name__ == "__main__":
    sys.exit(main())
