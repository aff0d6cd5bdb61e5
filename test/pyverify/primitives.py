"""What both verifiers are made of: findings, Ed25519, SSH signatures, JSON."""

import base64, collections, datetime, fnmatch, hashlib, json, re, struct, subprocess, tempfile

GRAVITY = ["VERIFIED", "VERIFIED-PREFIX", "INTACT-TIME-UNPROVEN", "INTACT-SIGNER-UNKNOWN", "DAMAGED", "ALTERED", "UNREADABLE", "NEWER"]


class Broken(Exception):
    """Something that breaks a "must" of the format."""


class Findings(list):
    def add(self, verdict, text):
        self.append((verdict, text))

    def verdict(self):
        return max([v for v, _ in self if v in GRAVITY], key=GRAVITY.index, default="VERIFIED")


def need(condition, text):
    if not condition:
        raise Broken(text)


def sha256(data):
    return hashlib.sha256(data).digest()


def check(found, what, *args):
    try:
        return what(*args)
    except (Broken, KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        found.add("ALTERED", str(e) or repr(e))


# ---- Ed25519 (RFC 8032), SSH signatures and who may sign -----------------------------------------------------------

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def mul(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(key, message, signature):
    a, s = point(key), int.from_bytes(signature[32:], "little")
    if a is None or len(key) != 32 or len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    x, y, z, _ = add(mul(s, BASE), mul(k, (P - a[0], a[1], 1, P - a[3])))  # R = sB - kA, compared as bytes
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def strings(data, count):
    """The next count SSH strings of data, and what follows them."""
    out = []
    for _ in range(count):
        need(len(data) >= 4, "SSH string cut short")
        n = struct.unpack(">I", data[:4])[0]
        need(len(data) >= 4 + n, "SSH string cut short")
        out, data = out + [data[4:4 + n]], data[4 + n:]
    return out, data


def b64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Broken("no base64")
    need(base64.b64encode(data) == text, "base64 in another spelling")
    return data


def sshsig(armor, message, namespace, widths=(64, 70)):
    """The public key that made an armored SSH signature over message; Broken if there is none."""
    blob = b64(b"".join(armor.split(b"\n")[1:-2]))
    text = base64.b64encode(blob)
    need(any(armor == b"\n".join([b"-----BEGIN SSH SIGNATURE-----"] + [text[i:i + n] for i in range(0, len(text), n)] +
             [b"-----END SSH SIGNATURE-----", b""]) for n in widths), "armor in another spelling")
    need(blob[:10] == b"SSHSIG\0\0\0\1", "no SSHSIG of version 1")
    (key, space, reserved, algorithm, signature), rest = strings(blob[10:], 5)
    need(space == namespace.encode() and not reserved and algorithm == b"sha512" and not rest, "SSHSIG for something else")
    signed = b"SSHSIG" + b"".join(struct.pack(">I", len(s)) + s for s in (space, b"", algorithm, hashlib.sha512(message).digest()))
    kind = strings(key, 1)[0][0]
    if kind == b"ssh-ed25519":
        (_, raw), rest = strings(key, 2)
        (name, sig), more = strings(signature, 2)
        need(not rest and not more and name == kind and ed25519(raw, signed, sig), "signature does not hold")
    else:  # RSA, ECDSA and tokens: ssh-keygen knows how
        with tempfile.NamedTemporaryFile() as f:
            f.write(armor)
            f.flush()
            done = subprocess.run(["ssh-keygen", "-Y", "check-novalidate", "-n", namespace, "-s", f.name], input=message, capture_output=True)
            need(done.returncode == 0, "signature does not hold")
    return key


def fingerprint(key):
    return "SHA256:" + base64.b64encode(sha256(key)).decode().rstrip("=")


Signer = collections.namedtuple("Signer", "principals namespaces after before key")


def signers(path):
    out = []
    for line in open(path, encoding="utf-8"):
        words = re.findall(r'(?:[^\s"]|"(?:\\.|[^"])*")+', line)
        if not words or words[0].startswith("#"):
            continue
        at = next(i for i, w in enumerate(words) if i and re.match(r"(sk-)?(ssh|ecdsa)-", w))
        options = dict(re.findall(r'([a-z-]+)(?:="((?:\\.|[^"])*)")?', " ".join(words[1:at])))
        if "cert-authority" in options:
            continue  # certificates are reserved in version 1

        def when(name):
            text = options.get(name)
            if text is None:
                return None
            zone = datetime.timezone.utc if text.endswith("Z") else None
            text = text.rstrip("Z")
            return datetime.datetime.strptime(text, "%Y%m%d%H%M%S"[:{8: 6, 12: 10, 14: 12}[len(text)]]).replace(tzinfo=zone).timestamp()
        out.append(Signer(words[0].strip('"'), options.get("namespaces"), when("valid-after"), when("valid-before"), base64.b64decode(words[at + 1])))
    return out


def matches(patterns, text):
    hits = [p for p in patterns.split(",") if fnmatch.fnmatchcase(text, p.lstrip("!").replace("[", "[[]"))]
    return bool(hits) and not any(p.startswith("!") for p in hits)


def allowed(entries, key, principal, namespace, at):
    return any(s.key == key and (principal is None or matches(s.principals, principal)) and (s.namespaces is None or matches(s.namespaces, namespace))
               and (s.after is None or s.after <= at) and (s.before is None or at <= s.before) for s in entries)


def trust(entries, key, principal, namespaces, stated, now):
    ok = [any(allowed(entries, key, principal, n, at) for n in namespaces) for at in (stated, now)]
    return "VERIFIED" if all(ok) else "INTACT-TIME-UNPROVEN" if ok[0] else "INTACT-SIGNER-UNKNOWN"


# ---- JSON in one spelling ----------------------------------------------------------------------------------------------

def unique(pairs):
    need(len(dict(pairs)) == len(pairs), "a key stands twice")
    return dict(pairs)


def refuse(text):
    raise Broken("%s is no integer" % text)


def parse(data):
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError) as e:
        raise Broken("no JSON: %s" % e)


def spell(value, escapes):
    if isinstance(value, str):
        return '"' + re.sub('["\\\\]|' + escapes[0], lambda m: escapes[1].get(m[0], "\\u%04x" % ord(m[0])), value) + '"'
    if isinstance(value, dict):
        return "{" + ",".join(spell(k, escapes) + ":" + spell(v, escapes) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spell(v, escapes) for v in value) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        need(-2**63 <= value < 2**64, "number of more than 64 bits")
    return json.dumps(value)


def text_time(text):
    """(seconds, nanoseconds) of a time in a record."""
    m = re.fullmatch(r"@(-?\d+)\.(\d{9})", text)
    if m:
        return int(m[1]), int(m[2])
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", text)
    need(m, "no time: " + text)
    try:
        day = datetime.datetime.strptime(m[1], "%Y-%m-%dT%H:%M:%S") - datetime.datetime(1970, 1, 1)
    except ValueError:
        raise Broken("no time: " + text)
    return day.days * 86400 + day.seconds, int((m[2] or "0").ljust(9, "0"))

