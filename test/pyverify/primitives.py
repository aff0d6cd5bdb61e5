"""What the verifiers are made of: findings, JSON, SSH signatures and who may sign.

Signatures are checked by two stock programs: ssh-keygen (SSHSIG) and openssl (the bare Ed25519 of notes)."""

import base64, collections, datetime, fnmatch, functools, hashlib, json, os, re, struct, subprocess, tempfile

GRAVITY = ["VERIFIED", "VERIFIED-PREFIX", "INTACT-TIME-UNPROVEN", "INTACT-SIGNER-UNKNOWN", "DAMAGED", "ALTERED",
           "UNREADABLE", "NEWER"]


class Broken(Exception):
    """Something that breaks a "must" of the format."""


class Findings(list):
    def add(self, verdict, text):
        self.append((verdict, text))

    def verdict(self):
        return max([v for v, _ in self if v in GRAVITY], key=GRAVITY.index, default="VERIFIED")

    def check(self, what, *args):
        try:
            return what(*args)
        except (Broken, KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
            self.add("ALTERED", str(e) or repr(e))


def need(condition, text):
    if not condition:
        raise Broken(text)


def sha256(data):
    return hashlib.sha256(data).digest()


def b64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Broken("no base64")
    need(base64.b64encode(data) == text, "base64 in another spelling")
    return data


# ---- JSON and times ----------------------------------------------------------------------------------------------

def unique(pairs):
    need(len(dict(pairs)) == len(pairs), "a key stands twice")
    return dict(pairs)


def refuse(text):
    raise Broken("%s is no integer" % text)


def integer(text):
    need(len(text) <= 20 and -2**63 <= int(text) < 2**64, "number of more than 64 bits")
    return int(text)


def parse(data):
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_int=integer, parse_float=refuse,
                          parse_constant=refuse)
    except (ValueError, RecursionError) as e:
        raise Broken("no JSON: %s" % e)


def text_time(text):
    """(seconds, nanoseconds) of a time in a record."""
    m = re.fullmatch(r"@(-?[0-9]+)\.([0-9]{9})", text)
    if m:
        return int(m[1]), int(m[2])
    m = re.fullmatch(r"([0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z", text)
    need(m, "no time: " + text)
    day = datetime.datetime.strptime(m[1], "%Y-%m-%dT%H:%M:%S") - datetime.datetime(1970, 1, 1)
    return day.days * 86400 + day.seconds, int((m[2] or "0").ljust(9, "0"))


# ---- signatures --------------------------------------------------------------------------------------------------

@functools.lru_cache(1024)
def accepts(program, signature, message, key=b""):
    """Whether a program accepts a signature. The program's @signature, @message and @key become files of these."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("signature", signature), ("message", message), ("key", key)):
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        command = [os.path.join(folder, word[1:]) if word[0] == "@" else word for word in program.split()]
        return subprocess.run(command, input=message, capture_output=True).returncode == 0


def pem(key):
    """SubjectPublicKeyInfo of an Ed25519 key (RFC 8410)."""
    text = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"\n-----END PUBLIC KEY-----\n"


def ed25519(key, message, signature):
    program = "openssl pkeyutl -verify -pubin -inkey @key -rawin -in @message -sigfile @signature"
    return len(key) == 32 and len(signature) == 64 and accepts(program, signature, message, pem(key))


def strings(data, count):
    """The next count SSH strings of data, and what follows them."""
    out = []
    for _ in range(count):
        need(len(data) >= 4, "SSH string cut short")
        n = struct.unpack(">I", data[:4])[0]
        need(len(data) >= 4 + n, "SSH string cut short")
        out, data = out + [data[4:4 + n]], data[4 + n:]
    return out, data


def sshsig(armor, message, namespace, widths=(64, 70)):
    """The public key that made an armored SSH signature over message; Broken if there is none."""
    blob = b64(b"".join(armor.split(b"\n")[1:-2]))
    text = base64.b64encode(blob)
    spellings = [b"\n".join([b"-----BEGIN SSH SIGNATURE-----"] + [text[i:i + n] for i in range(0, len(text), n)] +
                            [b"-----END SSH SIGNATURE-----", b""]) for n in widths]
    need(armor in spellings and blob[:10] == b"SSHSIG\0\0\0\1", "SSHSIG in another spelling")
    (key, space, reserved, algorithm, _), rest = strings(blob[10:], 5)
    need(space == namespace.encode() and not reserved and algorithm == b"sha512" and not rest, "SSHSIG for another use")
    program = "ssh-keygen -Y check-novalidate -n %s -s @signature" % namespace
    need(accepts(program, armor, message), "signature does not hold")
    return key


def fingerprint(key):
    return "SHA256:" + base64.b64encode(sha256(key)).decode().rstrip("=")


# ---- who may sign: ssh-keygen(1), ALLOWED SIGNERS ----------------------------------------------------------------

Signer = collections.namedtuple("Signer", "principals namespaces after before key")


def bound(text, otherwise):
    """A time as seconds of Unix; local without Z."""
    if text is None:
        return otherwise
    digits = text.rstrip("Z")
    day = datetime.datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S")
    return day.replace(tzinfo=datetime.timezone.utc if text.endswith("Z") else None).timestamp()


def signers(path):
    out = []
    for line in open(path, encoding="utf-8"):
        words = re.findall(r'(?:[^\s"]|"(?:\\.|[^"])*")+', line)
        if not words or words[0].startswith("#"):
            continue
        at = next(i for i, w in enumerate(words) if i and re.match(r"(sk-)?(ssh|ecdsa)-", w))
        options = dict(re.findall(r'([a-z-]+)(?:="((?:\\.|[^"])*)")?', " ".join(words[1:at])))
        if "cert-authority" not in options:  # certificates are not followed here: they vouch for nobody
            window = bound(options.get("valid-after"), -2**63), bound(options.get("valid-before"), 2**63)
            names = words[0].strip('"'), options.get("namespaces", "*")
            out.append(Signer(*names, *window, base64.b64decode(words[at + 1])))
    return out


def matches(patterns, text):
    hits = [p for p in patterns.split(",") if fnmatch.fnmatchcase(text, p.lstrip("!").replace("[", "[[]"))]
    return bool(hits) and not any(p.startswith("!") for p in hits)


def trust(entries, key, principal, namespaces, stated, now):
    """The verdict about a signer; any person of the list will do where principal is None."""
    fit = [s for s in entries if s.key == key and (principal is None or matches(s.principals, principal)) and
           any(matches(s.namespaces, n) for n in namespaces)]
    then, today = [any(s.after <= at <= s.before for s in fit) for at in (stated, now)]
    return "INTACT-SIGNER-UNKNOWN" if not then else "VERIFIED" if today else "INTACT-TIME-UNPROVEN"
